"""Ratios of sums over raters, such as losses a rating, with intervals from resampling the raters."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pluralign.estimates import Estimate, bootstrap_ratios, estimate_from_draws

__all__ = ["ratio_estimates", "resampled_ratios"]

FloatArray = npt.NDArray[np.float64]


def ratio_estimates(above: FloatArray, below: FloatArray, seed: int, n_resamples: int) -> list[Estimate]:
    """sum(above) / sum(below) for each column of two arrays [raters, statistics], raters resampled."""
    return resampled_ratios(above, below, seed, n_resamples)[0]


def resampled_ratios(
    above: FloatArray, below: FloatArray, seed: int, n_resamples: int, *, widening: FloatArray | float = 1.0
) -> tuple[list[Estimate], FloatArray]:
    """The same, and the resampled values [n_resamples, statistics], `widening` [statistics] times as far from the value."""
    used = below.any(axis=1)
    above, below = above[used], below[used]
    draws = bootstrap_ratios(above, below, seed=seed, n_resamples=n_resamples)
    totals = below.sum(axis=0)
    values = np.divide(above.sum(axis=0), totals, out=np.full(len(totals), math.nan), where=totals != 0)
    wide = np.broadcast_to(np.asarray(widening, dtype=np.float64), values.shape) > 1
    draws[:, wide] = (values + widening * (draws - values))[:, wide]
    estimates = [
        estimate_from_draws(float(value), draws[:, j], n=len(above), unit="rater", seed=seed) for j, value in enumerate(values)
    ]
    return estimates, draws
