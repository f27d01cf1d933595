"""Calibration of predicted distributions with intervals: every option's probability is a prediction of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.estimates import N_RESAMPLES, Estimate, bootstrap_weights, estimate_from_draws, estimate_mean
from pluralign.metrics import one_vs_rest, reliability_curve
from pluralign.raters.findings import Calibration, CalibrationBin

__all__ = ["calibration_of"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def calibration_of(
    probabilities: FloatArray,
    outcomes: npt.NDArray[Any],
    units: IntArray,
    *,
    unit: str = "rater",
    representation: str,
    label: str,
    seed: int,
    n_resamples: int = N_RESAMPLES,
) -> Calibration:
    """Reliability in ten bins of equal mass, and the expected calibration error; intervals resample the units of the rows.

    `probabilities` are [rows, options] and sum to 1, `outcomes` [rows] are positions, `units` [rows] any integers.
    """
    predicted, happened = one_vs_rest(probabilities, outcomes)
    curve, observed = reliability_curve(predicted, happened), happened.astype(np.float64)
    of_rows = np.repeat(units, probabilities.shape[1])
    resampled: dict[str, Any] = {"unit": unit, "seed": seed, "n_resamples": n_resamples}
    bins = [
        CalibrationBin(
            predicted=float(curve.predicted_mean[b]),
            observed=estimate_mean(observed[at := curve.bin_index == b], of_rows[at], **resampled),
            n_ratings=int(curve.n[b]),
        )
        for b in range(len(curve.n))
    ]
    ece = _expected_error(observed - predicted, curve.bin_index, of_rows, len(bins), **resampled)
    return Calibration(representation=representation, label=label, ece=ece, bins=bins)


def _expected_error(
    off: FloatArray, bins: IntArray, units: IntArray, n_bins: int, *, unit: str, seed: int, n_resamples: int
) -> Estimate:
    """The bins are kept while units are resampled; the interval of an error of size 0 lies above 0."""
    _, codes = np.unique(units, return_inverse=True)
    n = int(codes.max()) + 1
    by_bin = np.stack([np.bincount(codes, off * (bins == b), n) for b in range(n_bins)], axis=1)
    mass = np.bincount(codes, minlength=n).astype(np.float64)
    value = float(np.abs(by_bin.sum(axis=0)).sum() / mass.sum())
    weights = bootstrap_weights(n, seed=seed, n_resamples=n_resamples)
    draws = np.concatenate([np.abs(w @ by_bin).sum(axis=1) / (w @ mass) for w in weights])
    return estimate_from_draws(value, draws, n=n, unit=unit, seed=seed)
