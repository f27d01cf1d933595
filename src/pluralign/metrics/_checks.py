"""What every metric asks of its arrays, checked once at the border; the formulas behind it trust what they get."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.errors import UsageError

__all__ = [
    "FloatArray",
    "IntArray",
    "checked_counts",
    "checked_distributions",
    "checked_indices",
    "checked_pair",
    "checked_values",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

TOLERANCE = 1e-6
"""How far from 1 the sum of a distribution may be: more than float32 rounding, less than any real mistake."""


def checked_distributions(p: npt.NDArray[Any], name: str) -> FloatArray:
    """Rows of `p` [items, options] (or one [options]) as float64 that sum to 1; else UsageError with the first bad row."""
    rows = np.atleast_2d(np.asarray(p, dtype=np.float64))
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise UsageError(f"{name}: need an array [items, options] or [options], got shape {np.shape(p)}.")
    sums = rows.sum(axis=1)
    bad = ~((np.abs(sums - 1) <= TOLERANCE) & (rows >= 0).all(axis=1))  # written so that NaN is bad
    if bad.any():
        first = int(np.argmax(bad))
        raise UsageError(
            f"{name}: row {first} is not a distribution: {rows[first].tolist()[:12]} sums to {sums[first]:.8g}; "
            f"entries must be >= 0 and sum to 1 (within {TOLERANCE:g}). Normalise the row, or leave it out and count it."
        )
    return np.asarray(rows / sums[:, None])


def checked_pair(p: npt.NDArray[Any], q: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Two arrays of distributions of one shape [items, options]; a single distribution is repeated beside many."""
    left, right = checked_distributions(p, "p"), checked_distributions(q, "q")
    if left.shape[1] != right.shape[1] or (len(left) != len(right) and 1 not in (len(left), len(right))):
        raise UsageError(
            f"p {np.shape(p)} and q {np.shape(q)} do not fit: need the same items and options, or one row beside many."
        )
    left, right = np.broadcast_arrays(left, right)
    return left, right


def checked_counts(counts: npt.NDArray[Any]) -> FloatArray:
    """`counts` [items, options] as float64: whole numbers >= 0; else UsageError with the first bad row."""
    table = np.asarray(counts)
    if table.ndim != 2 or table.shape[1] < 1:
        raise UsageError(f"counts: need an array [items, options], got shape {table.shape}; see item_option_counts.")
    table = table.astype(np.float64)
    bad = ~((table >= 0) & (table == np.floor(table)) & np.isfinite(table)).all(axis=1)
    if bad.any():
        first = int(np.argmax(bad))
        raise UsageError(f"counts: row {first} is {table[first].tolist()[:12]}; counts are whole numbers >= 0.")
    return table


def checked_values(values: npt.NDArray[Any], n_options: int, name: str = "values") -> FloatArray:
    """One finite number an option [options], rising; else UsageError."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != (n_options,) or not np.isfinite(numbers).all() or not (np.diff(numbers) > 0).all():
        raise UsageError(f"{name}: need {n_options} finite, rising numbers, one an option; got {numbers.tolist()}.")
    return numbers


def checked_indices(index: npt.NDArray[Any], name: str, *, length: int, below: int | None = None) -> IntArray:
    """`index` [length] as int64 with 0 <= index < below; else UsageError with the first bad position."""
    positions = np.asarray(index)
    if positions.shape != (length,) or (length and positions.dtype.kind not in "iu"):
        raise UsageError(f"{name}: need {length} whole numbers, got shape {positions.shape} of {positions.dtype}.")
    positions = positions.astype(np.int64, copy=False)
    if length and (positions.min() < 0 or (below is not None and positions.max() >= below)):
        bad = (positions < 0) | (positions >= (np.inf if below is None else below))
        first = int(np.argmax(bad))
        allowed = ">= 0" if below is None else f"0..{below - 1}"
        raise UsageError(f"{name}: position {first} holds {positions[first]}; allowed are {allowed}.")
    return positions
