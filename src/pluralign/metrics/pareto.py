"""Several objectives at once: who is at least as good in all of them, and how much of their space a set of points reaches.

        second objective
        |  a                     a, b and c are the front: nothing is at least as good in both and better in one
        |      b                 d is not: b is a Pareto improvement on it
        |    d     c             the hypervolume is the area between the reference r and the steps through a, b, c
        r___________ first objective

Every objective counts upwards: turn a loss into its negative.

Source: Pareto 1906; Zitzler & Thiele 1998, Multiobjective optimization using evolutionary algorithms (hypervolume);
While et al. 2006, A faster algorithm for calculating hypervolume (objective by objective, in slices).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.errors import UsageError
from pluralign.metrics._checks import FloatArray

__all__ = ["MAX_OBJECTIVES", "hypervolume", "is_pareto_improvement", "pareto_front"]

MAX_OBJECTIVES = 4
"""Of a hypervolume: n points of d objectives take n^(d - 1) steps."""
BoolArray = npt.NDArray[np.bool_]


def is_pareto_improvement(ours: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> BoolArray:
    """Whether ours is no worse than theirs in every objective and better in one [...], of arrays [..., objectives].

    Of equal points neither is. Raises UsageError where a number is not finite or shapes do not fit.

    >>> bool(is_pareto_improvement(np.array([0.5, 0.2]), np.array([0.5, 0.1])))
    True
    """
    left, right = _checked(ours, "ours"), _checked(theirs, "theirs")
    if left.shape[-1] != right.shape[-1]:
        raise UsageError(f"ours has {left.shape[-1]} objectives, theirs {right.shape[-1]}; they must be the same ones.")
    return np.asarray((left >= right).all(axis=-1) & (left > right).any(axis=-1))


def pareto_front(points: npt.NDArray[Any]) -> BoolArray:
    """Which points [..., points, objectives] no other point is a Pareto improvement on [..., points]; of equal ones all are.

    >>> pareto_front(np.array([[1.0, 0.0], [0.5, 0.5], [0.4, 0.5]])).tolist()
    [True, True, False]
    """
    table = _checked(points, "points")
    if table.ndim < 2:
        raise UsageError(f"points: need an array [points, objectives], got shape {table.shape}.")
    others, each = table[..., None, :, :], table[..., :, None, :]
    return np.asarray(~((others >= each).all(axis=-1) & (others > each).any(axis=-1)).any(axis=-1))


def hypervolume(points: npt.NDArray[Any], reference: npt.NDArray[Any]) -> float:
    """Volume of what lies above `reference` [objectives] and below some of the points [points, objectives]; at least 0.

    In the product of the objectives' units. A point that is not above the reference in every objective adds nothing.
    *Undefined when* there are no points (NaN). Raises UsageError for more than `MAX_OBJECTIVES`, shapes that do not fit and
    numbers that are not finite.

    >>> hypervolume(np.array([[1.0, 0.5], [0.5, 1.0]]), np.zeros(2))
    0.75
    """
    table, low = _checked(points, "points"), _checked(reference, "reference")
    if table.ndim != 2 or low.shape != table.shape[1:]:
        raise UsageError(f"points {table.shape} and reference {low.shape} must be [points, objectives] and [objectives].")
    if table.shape[1] > MAX_OBJECTIVES:
        raise UsageError(
            f"a hypervolume of {table.shape[1]} objectives takes too long; name {MAX_OBJECTIVES} of them or fewer."
        )
    if not len(table):
        return math.nan
    above = np.unique(table[(table > low).all(axis=1)] - low, axis=0)
    return _volume(above[pareto_front(above)]) if len(above) else 0.0


def _volume(heights: FloatArray) -> float:
    """Of different points of a front above 0, by slices across the last objective."""
    if heights.shape[1] == 1:
        return float(heights.max())
    heights = heights[np.argsort(-heights[:, -1], kind="stable")]
    depths = heights[:, -1] - np.append(heights[1:, -1], 0.0)
    if heights.shape[1] == 2:
        return float(np.maximum.accumulate(heights[:, 0]) @ depths)
    slices = (heights[: n + 1, :-1] for n in range(len(heights)))
    return sum(float(depth) * _volume(_front_only(points)) for points, depth in zip(slices, depths, strict=True) if depth > 0)


def _front_only(points: FloatArray) -> FloatArray:
    return points[pareto_front(points)]


def _checked(numbers: npt.NDArray[Any], name: str) -> FloatArray:
    table = np.asarray(numbers, dtype=np.float64)
    if table.ndim == 0 or table.shape[-1] == 0:
        raise UsageError(f"{name}: need an array [..., objectives], got shape {table.shape}.")
    if not np.isfinite(table).all():
        where = [int(i) for i in np.argwhere(~np.isfinite(table))[0]]
        raise UsageError(f"{name}: entry {where} is {table[tuple(where)]}; leave out what has no value, and count it.")
    return table
