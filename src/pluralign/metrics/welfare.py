"""Welfare of several people: their utilities made one number, by how much the worst off counts.

    p          -inf        -1           0           1        +inf
    W_p      minimum    harmonic    geometric    mean     maximum
             (Rawls)      mean     (Nash)   (utilitarian)

The lower p, the more the worst off decides; W_p never falls as p rises.

Source: Hardy, Littlewood & Polya 1934, chapter 2 (power means); Moulin 2003, Fair Division and Collective Welfare, chapter 3
(why these are the welfare functions that depend neither on the unit nor on people who are not concerned); Sorensen et al. 2024
(arXiv 2402.05070), which judges responses by them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.errors import UsageError
from pluralign.metrics._checks import FloatArray

__all__ = ["p_mean", "p_mean_resampled"]

SMALLEST_POWER = 1e-3
"""Nearer to 0 (and not 0) the logarithm of a mean of powers has lost too many digits to a matrix product."""
VANISHED = 1e-250
"""A sum of powers below it may have lost those that count."""


def p_mean(utilities: npt.NDArray[Any], p: float, *, weights: npt.NDArray[Any] | None = None) -> FloatArray:
    """W_p = (sum_i w_i u_i^p)^(1/p) over the last axis [..., jurors], in the unit of the utilities, which are at least 0.

    p = 0 is the geometric mean, -inf the minimum, inf the maximum. For p <= 0 a single utility of 0 makes it 0. `weights`
    [jurors] or as utilities are at least 0 and are scaled to sum to 1; a juror with weight 0 is not looked at and may be NaN.
    *Undefined when* there is no juror, or none with a weight (NaN).
    Raises UsageError for a utility that is negative or not finite, for weights that do not fit, and for p = NaN.

    >>> p_mean(np.array([1.0, 4.0]), 0.0).tolist(), p_mean(np.array([[1.0, 4.0], [2.0, 2.0]]), -np.inf).tolist()
    (2.0, [1.0, 2.0])
    """
    table, shares = _checked(utilities, p, weights)
    if table.shape[-1] == 0:
        return np.full(table.shape[:-1], math.nan)
    counted = shares > 0
    lowest = np.where(counted, table, np.inf).min(axis=-1)
    highest = np.where(counted, table, -np.inf).max(axis=-1)
    if math.isinf(p):
        found = highest if p > 0 else lowest
    else:
        unit = highest if p > 0 else lowest if p < 0 else np.ones_like(lowest)
        found = unit * np.exp(_log_mean(table, np.where(unit > 0, unit, 1.0), p, shares))
        found = np.clip(found, lowest, highest)  # where it lies; only rounding takes it out
        found = np.where(lowest == 0, 0.0, found) if p <= 0 else found
    return np.asarray(np.where(counted.any(axis=-1), found, math.nan))


def p_mean_resampled(
    utilities: npt.NDArray[Any], p: float, weights: npt.NDArray[Any], *, present: npt.NDArray[Any] | None = None
) -> FloatArray:
    """`p_mean` of every row [rows, jurors] under every weighting [weightings, jurors]: [weightings, rows].

    One matrix product in place of a pass for each weighting, as for intervals. `present` [rows, jurors] says which jurors a
    row has, all if not given; another one's utility is not looked at.
    *Undefined when* no juror of a row has a weight (NaN there). Raises as `p_mean` does.

    >>> p_mean_resampled(np.array([[0.0, 1.0]]), 1.0, np.array([[1, 1], [1, 3]])).tolist()
    [[0.5], [0.75]]
    """
    there = np.ones(np.shape(utilities), dtype=bool) if present is None else np.asarray(present, dtype=bool)
    table, _ = _checked(utilities, p, there.astype(np.float64))
    draws = np.asarray(weights, dtype=np.float64)
    if table.ndim != 2 or draws.ndim != 2 or draws.shape[1] != table.shape[1]:
        raise UsageError(f"need utilities [rows, jurors] and weights [weightings, jurors]; got {table.shape}, {draws.shape}.")
    if not (np.isfinite(draws).all() and (draws >= 0).all()):
        raise UsageError("weights must be finite and at least 0.")
    if math.isinf(p) or 0 < abs(p) < SMALLEST_POWER:
        each = [p_mean(table, p, weights=row * there) for row in draws]
        return np.stack(each) if each else np.zeros((0, len(table)))
    is_above = there & (table > 0)
    logs = np.log(table, where=is_above, out=np.zeros_like(table))
    total = draws @ there.T.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.exp(draws @ logs.T / total) if p == 0 else _by_powers(logs, p, draws, is_above, total)
        found = np.where(draws @ (there & ~is_above).T > 0, 0.0, found) if p <= 0 else found
    lost = np.argwhere((total > 0) & np.isnan(found))
    if len(lost):
        which, row = lost.T
        found[which, row] = p_mean(table[row], p, weights=draws[which] * there[row])
    return np.asarray(np.where(total > 0, found, math.nan))


def _by_powers(logs: FloatArray, p: float, draws: FloatArray, is_above: npt.NDArray[np.bool_], total: FloatArray) -> FloatArray:
    """The p-means [weightings, rows] of the utilities above 0; NaN where the powers of all that were drawn have vanished."""
    exponents = np.where(is_above, p * logs, -np.inf)
    largest = np.max(exponents, axis=1, initial=-np.inf)
    largest = np.where(np.isfinite(largest), largest, 0.0)
    sums = draws @ np.exp(exponents - largest[:, None]).T
    found = np.exp((np.log(sums / total) + largest) / p)
    return np.asarray(np.where(sums < VANISHED, math.nan, found))


def _log_mean(table: FloatArray, unit: FloatArray, p: float, shares: FloatArray) -> FloatArray:
    """log of the p-mean in the given unit [...], of which all ratios are on the side where their powers are at most 1."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        logs = np.where(shares > 0, np.log(np.where(shares > 0, table, 1.0)) - np.log(unit)[..., None], 0.0)
        if p == 0:
            return np.asarray(np.where(shares > 0, shares * logs, 0.0).sum(axis=-1))
        exponents = np.where(shares > 0, p * logs, 0.0)
        excess = (shares * np.expm1(exponents)).sum(axis=-1)  # of the mean power above 1: exact where p is near 0
        direct = np.log((shares * np.exp(exponents)).sum(axis=-1))
        return np.asarray(np.where(excess > -0.5, np.log1p(np.maximum(excess, -0.5)), direct) / p)


def _checked(utilities: npt.NDArray[Any], p: float, weights: npt.NDArray[Any] | None) -> tuple[FloatArray, FloatArray]:
    """Utilities, 0 where a juror does not count, and weights that sum to 1 or are all 0, in one shape [..., jurors]."""
    if math.isnan(p):
        raise UsageError("p must be a number or an infinity, not NaN.")
    table = np.asarray(utilities, dtype=np.float64)
    if table.ndim == 0:
        raise UsageError("need an array [..., jurors] of utilities, not one number.")
    given = np.ones(table.shape[-1]) if weights is None else np.asarray(weights, dtype=np.float64)
    if given.shape not in (table.shape, table.shape[-1:]):
        raise UsageError(f"weights {given.shape} do not fit utilities {table.shape}: one a juror, or one an entry.")
    if not (np.isfinite(given).all() and (given >= 0).all()):
        raise UsageError("weights must be finite and at least 0.")
    given = np.broadcast_to(given, table.shape)
    bad = (given > 0) & ~(np.isfinite(table) & (table >= 0))
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise UsageError(
            f"utilities: entry {list(where)} is {table[where]}; they are finite and at least 0. Rescale them, or give a juror "
            "without an answer the weight 0 and count it."
        )
    total = given.sum(axis=-1, keepdims=True)
    shares = np.divide(given, total, out=np.zeros_like(table), where=total > 0)
    return np.where(given > 0, table, 0.0), shares
