"""A rater's ratings as one Gaussian message about her effects: what is left of a posterior when its prior is divided out.

Priors can then be learned and exchanged without going back to the ratings: every step here costs raters x effects^3, however
many ratings there are.

Source: Minka 2001, Expectation propagation (a posterior as a product of messages).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pluralign.raters.linear_prior import learn_spread
from pluralign.raters.variational import Beliefs

__all__ = ["Messages", "learn_population", "messages_of"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Messages:
    precision: FloatArray
    """[raters, effects, effects]"""
    pull: FloatArray
    """[raters, effects] precision times what the message points at."""

    def covariance(self, prior_cov: FloatArray) -> FloatArray:
        """Posterior covariance [raters, effects, effects] under any prior with this covariance."""
        return np.asarray(np.linalg.inv(self.precision + np.linalg.inv(prior_cov)), dtype=np.float64)

    def posterior(self, prior_mean: FloatArray, prior_cov: FloatArray, *, cov: FloatArray | None = None) -> Beliefs:
        """Beliefs under the prior Normal(prior_mean [effects, or raters x effects], prior_cov [effects, effects]).

        `cov` is `covariance(prior_cov)`, where it is known already: it is the costly part.
        """
        cov = self.covariance(prior_cov) if cov is None else cov
        mean = np.broadcast_to(prior_mean, self.pull.shape)
        off = self.pull - np.matmul(self.precision, mean[:, :, None])[:, :, 0]
        return Beliefs(mean + np.matmul(cov, off[:, :, None])[:, :, 0], cov)

    def marginal(self, prior_cov: FloatArray, *, cov: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
        """Precision and pull of the message about a rater's expected effects, her own deviation integrated out.

        With W = prior_cov^-1 and V the posterior covariance: W - W V W, and W V pull.
        """
        w: FloatArray = np.linalg.inv(prior_cov).astype(np.float64)
        cov = self.covariance(prior_cov) if cov is None else cov
        return w - w @ cov @ w, np.matmul(w @ cov, self.pull[:, :, None])[:, :, 0]


def messages_of(beliefs: Beliefs, prior_cov: FloatArray) -> Messages:
    """From posteriors that were taken under the prior Normal(0, prior_cov)."""
    precision = np.linalg.inv(beliefs.cov)
    pull = np.matmul(precision, beliefs.mean[:, :, None])[:, :, 0]
    return Messages(precision - np.linalg.inv(prior_cov), pull)


def learn_population(messages: Messages, spread: FloatArray, *, steps: int) -> tuple[FloatArray, FloatArray]:
    """Mean [effects] and covariance [effects, effects] of the raters' effects: generalised least squares, then the spread."""
    mean = np.zeros(len(spread))
    for _ in range(steps):
        cov = messages.covariance(spread)
        precision, pull = messages.marginal(spread, cov=cov)
        mean = np.linalg.solve(precision.sum(axis=0) + 1e-3 * np.linalg.inv(spread), pull.sum(axis=0))
        beliefs = messages.posterior(mean, spread, cov=cov)
        spread = learn_spread(Beliefs(beliefs.mean - mean, beliefs.cov), spread)
    return mean, spread
