"""Calibration over bins of equal mass, one row at a time."""

from __future__ import annotations

from collections.abc import Sequence


def bin_of_each(predicted: Sequence[float], n_bins: int) -> list[int]:
    """A row's bin by the place of the middle of all predictions equal to its own; numbered over the bins in use."""
    n = len(predicted)
    raw = []
    for p in predicted:
        below, equal = sum(x < p for x in predicted), sum(x == p for x in predicted)
        raw.append((2 * below + equal) * n_bins // (2 * n))
    used = sorted(set(raw))
    return [used.index(b) for b in raw]


def expected_calibration_error(predicted: Sequence[float], observed: Sequence[bool], n_bins: int) -> float:
    bins = bin_of_each(predicted, n_bins)
    error = 0.0
    for b in set(bins):
        rows = [i for i in range(len(bins)) if bins[i] == b]
        gap = sum(predicted[i] for i in rows) / len(rows) - sum(observed[i] for i in rows) / len(rows)
        error += len(rows) / len(predicted) * abs(gap)
    return error
