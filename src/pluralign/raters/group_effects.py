"""What belonging to a group tells about a rater: group effects on habits and slopes, learned from training raters.

A rater's ratings enter as one Gaussian message about her effects u_r (the mixed model's posterior divided by its prior), so a
group model is linear and can be solved exactly, without going back to the ratings:

    u_r = sum_attributes g[attribute, level of r] + e_r,    g ~ Normal(0, tau_attribute^2 spread),    e_r ~ Normal(0, within)

tau (how much an attribute tells) is learned for each attribute, so an attribute that tells nothing is shrunk to nothing and the
model falls back on the population; `within` is what the groups leave unexplained.

Source: Gelman & Hill 2007, chapters 12-13 (group-level regression, partial pooling), with the expectation-propagation view of
a posterior as a product of messages (Minka 2001).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pluralign.raters.linear_prior import learn_spread
from pluralign.raters.messages import messages_of
from pluralign.raters.variational import Beliefs

__all__ = ["GroupEffects", "Membership", "fit_group_effects"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

ITERATIONS = 20
MIN_TAU2 = 1e-6


@dataclass(frozen=True, slots=True)
class Membership:
    """Which level of each attribute a rater has."""

    level: IntArray
    """[raters, attributes], -1 where it is not known."""
    n_levels: tuple[int, ...]

    @property
    def n_columns(self) -> int:
        return sum(self.n_levels)

    def columns(self) -> IntArray:
        """[raters, attributes] the level's position among all levels of all attributes; -1 where it is not known."""
        start = np.cumsum([0, *self.n_levels[:-1]])
        return np.where(self.level >= 0, self.level + start, -1)

    def take(self, raters: IntArray) -> Membership:
        return Membership(self.level[raters], self.n_levels)


@dataclass(frozen=True, slots=True)
class GroupEffects:
    mean: FloatArray
    """[levels of all attributes, effects]"""
    cov: FloatArray
    """[levels, effects, levels, effects]"""
    within: FloatArray
    """[effects, effects] spread of raters around their groups."""
    tau2: FloatArray
    """[attributes] variance between groups as a multiple of the spread between raters."""

    def beliefs(self, membership: Membership) -> Beliefs:
        """About raters of whom only the groups are known; covariance includes the effects' own uncertainty."""
        columns = membership.columns()
        n_effects = self.mean.shape[1]
        mean = np.zeros((len(columns), n_effects))
        cov = np.broadcast_to(self.within, (len(columns), n_effects, n_effects)).copy()
        for a in range(columns.shape[1]):
            known = columns[:, a] >= 0
            mean[known] += self.mean[columns[known, a]]
            for b in range(columns.shape[1]):
                both = known & (columns[:, b] >= 0)
                cov[both] += self.cov[columns[both, a], :, columns[both, b], :]
        return Beliefs(mean, cov)


def fit_group_effects(
    raters: Beliefs, spread: FloatArray, membership: Membership, *, iterations: int = ITERATIONS
) -> GroupEffects:
    """Group effects from posteriors of training raters, each taken under the prior Normal(0, spread).

    Axes: `raters` and `membership` have one entry for each training rater (those with ratings only).
    """
    prior_precision: FloatArray = np.linalg.inv(spread).astype(np.float64)
    messages = messages_of(raters, spread)
    columns = membership.columns()
    within = spread.copy()
    tau2 = np.full(len(membership.n_levels), 0.1)
    for _ in range(iterations):
        cov = messages.covariance(within)
        mean, effect_cov = _solve(messages.marginal(within, cov=cov), columns, np.repeat(tau2, membership.n_levels), spread)
        tau2_before = tau2
        tau2 = _learn_tau2(mean, effect_cov, prior_precision, membership.n_levels)
        expected = _expected(mean, columns)
        posterior = messages.posterior(expected, within, cov=cov)
        within = learn_spread(Beliefs(posterior.mean - expected, posterior.cov), within)
        if np.abs(tau2 - tau2_before).max() < 1e-3 * max(1e-2, tau2.max()):
            break
    return GroupEffects(mean, effect_cov, within, tau2)


def _solve(
    marginal: tuple[FloatArray, FloatArray], columns: IntArray, tau2: FloatArray, spread: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Mean [levels, effects] and covariance [levels, effects, levels, effects] of the group effects."""
    precision, pull = marginal
    n_levels, n_effects = len(tau2), len(spread)
    system = np.zeros((n_levels, n_effects, n_levels, n_effects))
    right = np.zeros((n_levels, n_effects))
    for a in range(columns.shape[1]):
        for level in np.unique(columns[:, a][columns[:, a] >= 0]):
            members = columns[:, a] == level
            right[level] += pull[members].sum(axis=0)
            for b in range(columns.shape[1]):
                others = columns[members, b]
                for other in np.unique(others[others >= 0]):
                    system[level, :, other, :] += precision[members][others == other].sum(axis=0)
    between = np.linalg.inv(spread)
    for level in range(n_levels):
        system[level, :, level, :] += between / tau2[level]
    size = n_levels * n_effects
    inverse = np.linalg.inv(system.reshape(size, size))
    inverse = (inverse + inverse.T) / 2
    return (inverse @ right.ravel()).reshape(n_levels, n_effects), inverse.reshape(n_levels, n_effects, n_levels, n_effects)


def _learn_tau2(mean: FloatArray, cov: FloatArray, precision: FloatArray, n_levels: tuple[int, ...]) -> FloatArray:
    """Expectation-maximisation step for each attribute's share, never below a floor that keeps the system solvable."""
    per_level = np.einsum("ld,de,le->l", mean, precision, mean) + np.einsum("lalb,ab->l", cov, precision)
    ends = np.cumsum(n_levels)
    return np.array(
        [max(MIN_TAU2, per_level[end - n : end].mean() / len(precision)) for end, n in zip(ends, n_levels, strict=True)]
    )


def _expected(mean: FloatArray, columns: IntArray) -> FloatArray:
    out = np.zeros((len(columns), mean.shape[1]))
    for a in range(columns.shape[1]):
        known = columns[:, a] >= 0
        out[known] += mean[columns[known, a]]
    return out
