"""Do predicted probabilities come true? Proper losses a row, and calibration over bins of equal mass.

Losses come back a row, not averaged: the caller needs them to resample raters. Bins hold equal numbers of predictions; equal
predictions are never split between two bins, so the result does not depend on the order of rows, and every row is in
exactly one bin.

Sources: Good 1952 (log loss); Brier 1950; Naeini et al. 2015 (expected calibration error); Nguyen & O'Connor 2015 (equal mass).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.errors import UsageError
from pluralign.metrics._checks import FloatArray, IntArray, checked_distributions, checked_indices

__all__ = [
    "ReliabilityCurve",
    "brier_loss",
    "expected_calibration_error",
    "log_loss_nats",
    "one_vs_rest",
    "reliability_curve",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class ReliabilityCurve:
    """What was predicted and what happened, a bin; bins rise in predicted probability and none is empty."""

    predicted_mean: FloatArray
    """[bins] mean predicted probability, 0..1."""
    observed_share: FloatArray
    """[bins] share of rows where the event happened, 0..1."""
    n: IntArray
    """[bins] rows."""
    bin_index: IntArray
    """[rows] the bin of each row, for resampling the observed share by rater: `estimate_mean(observed[rows], raters[rows])`."""


def log_loss_nats(probabilities: npt.NDArray[Any], outcomes: npt.NDArray[Any]) -> FloatArray:
    """-log of the probability that was given to what happened [rows], in nats: 0 = certain and right.

    `probabilities` [rows, options] are distributions, `outcomes` [rows] positions of options. Infinity where probability 0
    was given to what happened: that is its value; a predictor that must not show it has to smooth.
    Source: Good 1952.

    >>> log_loss_nats(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0, 1])).round(6).tolist()
    [0.693147, inf]
    """
    rows = checked_distributions(probabilities, "probabilities")
    chosen = rows[np.arange(len(rows)), checked_indices(outcomes, "outcomes", length=len(rows), below=rows.shape[1])]
    with np.errstate(divide="ignore"):
        return np.asarray(np.abs(np.log(chosen)))  # abs: -log(1) is 0, not -0


def brier_loss(probabilities: npt.NDArray[Any], outcomes: npt.NDArray[Any]) -> FloatArray:
    """Sum over options of (probability - happened)^2 [rows]: 0 = certain and right, 2 = certain and wrong.

    *Departures*: the sum over all options, as in the paper; for two options this is twice the usual binary score.
    Source: Brier 1950, equation 2 before averaging over rows.

    >>> brier_loss(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0, 1])).tolist()
    [0.5, 2.0]
    """
    rows = checked_distributions(probabilities, "probabilities")
    chosen = checked_indices(outcomes, "outcomes", length=len(rows), below=rows.shape[1])
    happened = np.zeros_like(rows)
    happened[np.arange(len(rows)), chosen] = 1.0
    return np.asarray(((rows - happened) ** 2).sum(axis=1))


def one_vs_rest(probabilities: npt.NDArray[Any], outcomes: npt.NDArray[Any]) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Every option's probability as a prediction of its own: (predicted, observed), both [rows * options], row after row.

    Repeat the rows' raters by `np.repeat(raters, n_options)` to resample them.

    >>> predicted, observed = one_vs_rest(np.array([[0.75, 0.25]]), np.array([1]))
    >>> predicted.tolist(), observed.tolist()
    ([0.75, 0.25], [False, True])
    """
    rows = checked_distributions(probabilities, "probabilities")
    chosen = checked_indices(outcomes, "outcomes", length=len(rows), below=rows.shape[1])
    observed = np.arange(rows.shape[1])[None, :] == chosen[:, None]
    return rows.ravel(), observed.ravel()


def reliability_curve(predicted: npt.NDArray[Any], observed: npt.NDArray[Any], *, n_bins: int = 10) -> ReliabilityCurve:
    """Rows in at most `n_bins` bins of equal mass by `predicted` [rows] (0..1), with the observed share of each.

    A block of equal predictions goes whole into the bin in which its middle lies, so there may be fewer bins than asked for,
    of unequal mass; with distinct predictions the bins differ by at most one row. No rows: no bins.

    >>> curve = reliability_curve(np.array([0.1, 0.1, 0.9, 0.9]), np.array([False, False, True, False]), n_bins=2)
    >>> curve.predicted_mean.tolist(), curve.observed_share.tolist(), curve.n.tolist()
    ([0.1, 0.9], [0.0, 0.5], [2, 2])
    """
    given, happened = _checked_predictions(predicted, observed, n_bins)
    n = len(given)
    _, block, sizes = np.unique(given, return_inverse=True, return_counts=True)
    # Twice the number of rows below the middle of each block, so that all is done in whole numbers.
    twice_middle = 2 * np.cumsum(sizes) - sizes
    bins_used, bin_of_block = np.unique(twice_middle * n_bins // max(1, 2 * n), return_inverse=True)
    bin_index = bin_of_block[block].astype(np.int64)
    rows = np.bincount(bin_index, minlength=len(bins_used)).astype(np.int64)
    return ReliabilityCurve(
        predicted_mean=np.bincount(bin_index, weights=given, minlength=len(bins_used)) / rows,
        observed_share=np.bincount(bin_index, weights=happened, minlength=len(bins_used)) / rows,
        n=rows,
        bin_index=bin_index,
    )


def expected_calibration_error(predicted: npt.NDArray[Any], observed: npt.NDArray[Any], *, n_bins: int = 10) -> float:
    """Mean over rows of |predicted mean - observed share| of the row's bin, 0..1: 0 = calibrated. Lower is better.

    Bins as in `reliability_curve`. The value depends on `n_bins` and is biased upward in small samples, since a bin's noise
    counts as error; compare only values with the same bins and similar n.
    *Undefined when* there are no rows (NaN).
    Source: Naeini et al. 2015. *Departures*: bins of equal mass instead of equal width, each row in one bin.
    """
    curve = reliability_curve(predicted, observed, n_bins=n_bins)
    n = int(curve.n.sum())
    return float((curve.n * np.abs(curve.predicted_mean - curve.observed_share)).sum() / n) if n else math.nan


def _checked_predictions(predicted: npt.NDArray[Any], observed: npt.NDArray[Any], n_bins: int) -> tuple[FloatArray, FloatArray]:
    given, happened = np.asarray(predicted, dtype=np.float64), np.asarray(observed)
    if n_bins < 1:
        raise UsageError(f"n_bins: need at least 1, got {n_bins}.")
    if given.ndim != 1 or given.shape != happened.shape:
        raise UsageError(
            f"predicted {given.shape} and observed {happened.shape}: need two arrays [rows]; "
            "for several options see one_vs_rest."
        )
    bad = ~((given >= 0) & (given <= 1))  # written so that NaN is bad
    if bad.any():
        first = int(np.argmax(bad))
        raise UsageError(f"predicted: row {first} is {given[first]}; probabilities lie in 0..1.")
    if len(happened) and happened.dtype != np.bool_:
        raise UsageError(f"observed: need True or False, got {happened.dtype}.")
    return given, happened.astype(np.float64)
