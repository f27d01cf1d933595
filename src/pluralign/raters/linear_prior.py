"""What is expected of a unit's effects before its ratings are seen: a linear function of its features, plus a spread.

    effects_i ~ Normal(B' x_i, spread),     B ~ Normal(0, tau^2 per feature (none on the intercept), scaled by spread)

Both the spread and tau are learned from the beliefs about the units (empirical Bayes), so features that tell nothing are
shrunk to nothing. For items, x are text features: the prior then speaks of items nobody has rated yet.

Source: Bishop 2006, sections 3.3 and 3.5 (Bayesian linear regression, evidence), matrix-normal form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pluralign.raters.variational import Beliefs

__all__ = ["LinearPrior", "learn_linear_prior", "learn_spread"]

FloatArray = npt.NDArray[np.float64]

INTERCEPT_VARIANCE = 10.0
"""In units of the spread. A single well-known unit outweighs it; it holds where few ratings leave options that nobody chose."""
MIN_TAU2 = 1e-8
OVER_RELAXATION = 1.8
MAX_STRETCH = 4.0
"""Most that a variance may grow or shrink in one step."""
MAX_VARIANCE = 10.0
"""Of effects in any direction. At a standard deviation of 3 a softmax is all but certain, larger ones cannot be learned; with
few ratings that seem to allow them (somebody always gave the same answer) they would grow until nothing else is seen."""


@dataclass(frozen=True, slots=True)
class LinearPrior:
    coefficients: FloatArray
    """[features, effects]; the first feature is the constant 1."""
    uncertainty: FloatArray
    """[features, features] covariance of the coefficients, in units of `spread`."""
    tau2: float
    spread: FloatArray
    """[effects, effects]"""

    def beliefs(self, x: FloatArray) -> Beliefs:
        """About units never seen, from their features [units, features]: the spread and the coefficients' uncertainty."""
        doubt = 1.0 + np.einsum("if,fg,ig->i", x, self.uncertainty, x)
        return Beliefs(x @ self.coefficients, doubt[:, None, None] * self.spread)


def learn_linear_prior(before: LinearPrior, beliefs: Beliefs, x: FloatArray) -> LinearPrior:
    """One step of empirical Bayes: coefficients, then tau, then the spread, given beliefs about the units."""
    n_features, n_effects = before.coefficients.shape
    ridge = np.full(n_features, 1.0 / before.tau2)
    ridge[0] = 1.0 / INTERCEPT_VARIANCE
    gram = x.T @ x
    uncertainty: FloatArray = np.linalg.inv(gram + np.diag(ridge)).astype(np.float64)
    coefficients = uncertainty @ (x.T @ beliefs.mean)
    tau2 = before.tau2
    if n_features > 1:
        scaled = coefficients[1:] @ np.linalg.solve(before.spread, coefficients[1:].T)
        tau2 = max(MIN_TAU2, float(np.trace(scaled) / n_effects + np.trace(uncertainty[1:, 1:])) / (n_features - 1))
    doubt = _doubt(beliefs, before.spread, np.einsum("if,fg,ig->i", x, uncertainty, x))
    residuals = Beliefs(beliefs.mean - x @ coefficients, beliefs.cov + doubt)
    return LinearPrior(coefficients, uncertainty, tau2, learn_spread(residuals, before.spread))


def _doubt(beliefs: Beliefs, spread: FloatArray, leverage: FloatArray) -> FloatArray:
    """What not knowing the coefficients adds to each unit's residual, [units, effects, effects].

    With the unit's own ratings silent this is nothing: its effects follow what is expected of them, wherever that goes. With
    them decisive it is `leverage` [units] times the spread, which makes up for the degrees of freedom that the coefficients
    took. Adding the latter always would let the spread of sparsely rated items grow without end.
    """
    heard = np.eye(len(spread)) - beliefs.cov @ np.linalg.inv(spread)
    return np.asarray(leverage[:, None, None] * (heard @ spread @ heard.transpose(0, 2, 1)), dtype=np.float64)


def learn_spread(residuals: Beliefs, before: FloatArray) -> FloatArray:
    """Covariance of the units' effects around their expectation [effects, effects].

    Correlations are shrunk towards none with the weight of as many units as there are effects: with few units a full
    covariance would be learned from noise. No direction gets more than `MAX_VARIANCE`.
    """
    n, n_effects = residuals.mean.shape
    scatter = residuals.mean.T @ residuals.mean + residuals.cov.sum(axis=0)
    diagonal = np.diag(np.diag(scatter) / n)
    learned = (scatter + n_effects * diagonal) / (n + n_effects) + 1e-6 * np.eye(n_effects)
    values, vectors = np.linalg.eigh(_further(before, learned, OVER_RELAXATION))
    capped = (vectors * np.minimum(values, MAX_VARIANCE)) @ vectors.T
    return np.asarray((capped + capped.T) / 2)


def _further(start: FloatArray, end: FloatArray, step: float) -> FloatArray:
    """The covariance reached by going `step` times the way from start to end, along the geodesic of covariances.

    Plain steps (1.0) creep where few ratings a unit leave its effects uncertain; further ones have the same fixed point.
    """
    values, vectors = np.linalg.eigh(start)
    root, inverse_root = (vectors * values**0.5) @ vectors.T, (vectors * values**-0.5) @ vectors.T
    ratios, turns = np.linalg.eigh(inverse_root @ end @ inverse_root)
    stretch = np.clip(np.maximum(ratios, 1e-9) ** step, 1 / MAX_STRETCH, MAX_STRETCH)
    moved = root @ (turns * stretch) @ turns.T @ root
    return np.asarray((moved + moved.T) / 2)
