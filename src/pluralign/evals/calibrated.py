"""Calibration of distributions over closed sets of options, which may differ in size from question to question.

Every option's probability is a prediction of its own, as in `metrics.one_vs_rest`; bins hold equal numbers of them. The error
of a finite sample is hardly ever 0, so beside it stands what it would be if the model's own probabilities were the true ones.

Source: Naeini et al. 2015 (expected calibration error); Nguyen & O'Connor 2015 (equal mass). Intervals as in
`raters.reliability`: bins are kept while units are resampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.estimates import Estimate, bootstrap_weights, estimate_from_draws, undefined
from pluralign.metrics import reliability_curve

__all__ = ["Forecasts", "calibrated_limit", "calibration_error"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

N_DRAWS = 200
"""Of what might have happened, for `calibrated_limit`."""


@dataclass(frozen=True, slots=True, eq=False)
class Forecasts:
    """Distributions, what happened, and whose it is: three of the same length."""

    probabilities: Sequence[FloatArray]
    """Of each question over its own options; each sums to 1."""
    outcomes: Sequence[int]
    """Position of what happened among the question's options."""
    units: npt.NDArray[Any]
    """What intervals resample [questions]."""

    @property
    def predicted(self) -> FloatArray:
        """Option after option, question after question [options in all]."""
        together: FloatArray = np.concatenate([*self.probabilities, np.empty(0)])
        return together.clip(0.0, 1.0)  # 1 + 1e-16 is rounding

    @property
    def question(self) -> IntArray:
        """Number of the question that each option belongs to [options in all]."""
        return np.repeat(np.arange(len(self.probabilities)), [len(row) for row in self.probabilities])

    @property
    def happened(self) -> BoolArray:
        """[options in all]"""
        rows = [np.arange(len(row)) == outcome for row, outcome in zip(self.probabilities, self.outcomes, strict=True)]
        return np.concatenate([*rows, np.empty(0, dtype=np.bool_)])


def calibration_error(forecasts: Forecasts, *, unit: str, seed: int) -> Estimate:
    """Mean over options of |predicted mean - observed share| of the option's bin, 0..1; ten bins of equal mass.

    Biased upward in small samples; see `calibrated_limit`. *Undefined when* there are no questions, or one unit.
    """
    if not len(forecasts.probabilities):
        return undefined("no question has a distribution", unit=unit, seed=seed)
    predicted, happened = forecasts.predicted, forecasts.happened
    bins = reliability_curve(predicted, happened).bin_index
    _, codes = np.unique(forecasts.units, return_inverse=True)
    n, of_option = int(codes.max()) + 1, codes[forecasts.question]
    off = happened - predicted
    by_bin = np.stack([np.bincount(of_option, off * (bins == b), n) for b in range(int(bins.max()) + 1)], axis=1)
    mass = np.bincount(of_option, minlength=n).astype(np.float64)
    value = float(np.abs(by_bin.sum(axis=0)).sum() / mass.sum())
    draws = np.concatenate([np.abs(w @ by_bin).sum(axis=1) / (w @ mass) for w in bootstrap_weights(n, seed=seed)])
    return estimate_from_draws(value, draws, n=n, unit=unit, seed=seed)


def calibrated_limit(forecasts: Forecasts, *, unit: str, seed: int) -> Estimate:
    """The `calibration_error` of these very forecasts if they were true: mean and middle 95 % over what might have happened.

    *Undefined when* there are no questions, or one unit.
    """
    if not len(forecasts.probabilities):
        return undefined("no question has a distribution", unit=unit, seed=seed)
    predicted, question = forecasts.predicted, forecasts.question
    bins = reliability_curve(predicted, forecasts.happened).bin_index
    above = np.cumsum(predicted)
    before = above - predicted
    start = before[np.searchsorted(question, np.arange(len(forecasts.probabilities)))][question]
    rng = np.random.default_rng([seed, 2])
    errors = np.empty(N_DRAWS)
    for draw in range(N_DRAWS):
        place = start + rng.random(len(forecasts.probabilities))[question]
        off = ((before <= place) & (place < above)) - predicted
        errors[draw] = np.abs(np.bincount(bins, off)).sum() / len(predicted)
    n = len(np.unique(forecasts.units))
    return estimate_from_draws(float(errors.mean()), errors, n=n, unit=unit, seed=seed)
