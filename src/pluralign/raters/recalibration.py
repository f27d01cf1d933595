"""Recalibration of predicted distributions: one temperature, and one weight for each option.

    p'(option) ~ p(option)^(1 / T) * exp(b_option)

A model that was not made for a scale favours some answers whoever is asked ("3", say) and is too sure; both are mended with
as many numbers as the scale has options, learned from ratings of training raters. A ridge draws T to 1 and b to 0, where
nothing changes.

Sources: Guo et al. 2017 (arXiv 1706.04599), temperature and vector scaling; Zhao et al. 2021 (arXiv 2102.09690), the options'
prior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pluralign.errors import UsageError
from pluralign.models.protocol import renormalised

__all__ = ["Recalibration", "fit_recalibration"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

RIDGE = 1.0
"""In ratings: a parameter as far off as 1 costs as much as half of one rating whose probability falls by a factor e."""
LEAST = 1e-12
"""What an option without any probability is taken for, so that one of them cannot cost infinitely much."""


@dataclass(frozen=True, slots=True, eq=False)
class Recalibration:
    """T and b of the formula above."""

    temperature: float
    weights: FloatArray
    """[options] b, in nats; their mean is 0."""
    n: int
    """Ratings that it was fitted on."""

    @classmethod
    def none(cls, n_options: int) -> Recalibration:
        """Changes nothing."""
        return cls(1.0, np.zeros(n_options), 0)

    def apply(self, probabilities: FloatArray) -> FloatArray:
        """[rows, options] rows sum to 1; a row of NaN stays one."""
        if self.n == 0:
            return probabilities
        return renormalised(_logs(probabilities) / self.temperature + self.weights)


def fit_recalibration(probabilities: FloatArray, chosen: IntArray, *, ridge: float = RIDGE) -> Recalibration:
    """The T and b under which the chosen options [rows] are most probable, given probabilities [rows, options].

    Rows of NaN, for which there is no prediction, are left out; without any other nothing is changed.
    """
    from scipy.optimize import minimize

    if probabilities.ndim != 2 or chosen.shape != (len(probabilities),):
        raise UsageError(f"need probabilities [rows, options] and chosen [rows], got {probabilities.shape}, {chosen.shape}.")
    known = np.isfinite(probabilities).all(axis=1)
    logs, chosen, n_options = _logs(probabilities[known]), chosen[known], probabilities.shape[1]
    if not len(chosen):
        return Recalibration.none(n_options)
    of_options = np.bincount(chosen, minlength=n_options)
    rows = np.arange(len(chosen))

    def loss(x: FloatArray) -> tuple[float, FloatArray]:
        sharpness, weights = np.exp(x[0]), x[1:]
        scores = sharpness * logs + weights
        p = renormalised(scores)
        highest = scores.max(axis=1)
        normaliser = highest + np.log(np.exp(scores - highest[:, None]).sum(axis=1))
        value = float((normaliser - scores[rows, chosen]).sum() + ridge / 2 * (x**2).sum())
        by_sharpness = sharpness * ((p * logs).sum() - logs[rows, chosen].sum())
        return value, np.concatenate([[by_sharpness], p.sum(axis=0) - of_options]) + ridge * x

    found = minimize(
        loss, np.zeros(1 + n_options), jac=True, method="L-BFGS-B", bounds=[(-4.0, 4.0), *[(None, None)] * n_options]
    )
    weights = found.x[1:] - found.x[1:].mean()
    return Recalibration(float(np.exp(-found.x[0])), weights, len(chosen))


def _logs(probabilities: FloatArray) -> FloatArray:
    return np.asarray(np.log(np.maximum(probabilities, LEAST)))
