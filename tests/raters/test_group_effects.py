from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from pluralign.raters import group_effects as module
from pluralign.raters.group_effects import GroupEffects, Membership, fit_group_effects
from pluralign.raters.messages import Messages
from pluralign.raters.variational import Beliefs
from reference.group_effects import solve

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def messages_about(u: FloatArray, variance: FloatArray, rng: np.random.Generator) -> Messages:
    """What ratings with these error variances [raters, effects] say about effects u."""
    seen = u + np.sqrt(variance) * rng.normal(size=u.shape)
    return Messages(np.stack([np.diag(1 / v) for v in variance]), seen / variance)


def planted(means: FloatArray, level: IntArray, *, within: float, noise: float, seed: int) -> tuple[Beliefs, FloatArray]:
    """Posteriors of raters whose effects lie around their group's mean, and the spread between raters they were taken under."""
    rng = np.random.default_rng(seed)
    u = means[level] + np.sqrt(within) * rng.normal(size=(len(level), means.shape[1]))
    spread = np.diag(u.var(axis=0))
    variance = noise * rng.uniform(0.5, 1.5, size=u.shape)
    return messages_about(u, variance, rng).posterior(np.zeros(means.shape[1]), spread), spread


def test_two_attributes_equal_one_big_system() -> None:
    rng, n, d = np.random.default_rng(0), 14, 2
    level = np.column_stack([rng.integers(-1, 3, size=n), rng.integers(-1, 2, size=n)])
    membership = Membership(level, (3, 2))
    messages = messages_about(rng.normal(size=(n, d)), rng.uniform(0.2, 2.0, size=(n, d)), rng)
    spread, within = np.array([[0.8, 0.2], [0.2, 0.5]]), np.array([[0.4, -0.1], [-0.1, 0.3]])
    tau2 = np.repeat([0.3, 0.05], (3, 2))
    mean, cov = module._solve(messages.marginal(within), membership.columns(), tau2, spread)
    levels = [[*([a] if a >= 0 else []), *([3 + b] if b >= 0 else [])] for a, b in level.tolist()]
    slow_mean, slow_cov = solve(messages.precision, messages.pull, levels, tau2, spread, within)
    np.testing.assert_allclose(mean, slow_mean, atol=1e-9)
    np.testing.assert_allclose(cov.reshape(5 * d, 5 * d), slow_cov, atol=1e-9)


def test_what_an_attribute_tells_by_hand() -> None:
    # E[g^2] / spread: (1 + 0.2) and (4 + 0.6) over 2 give 2.9 / 2; the other attribute's one level (0 + 0.1) / 2.
    mean, cov = np.array([[1.0], [-2.0], [0.0]]), np.diag([0.2, 0.6, 0.1]).reshape(3, 1, 3, 1)
    tau2 = module._learn_tau2(mean, cov, np.array([[1 / 2]]), (2, 1))
    np.testing.assert_allclose(tau2, [2.9 / 2, 0.05], atol=1e-12)
    nothing = module._learn_tau2(0 * mean, 0 * cov, np.array([[1 / 2]]), (2, 1))
    np.testing.assert_array_equal(nothing, module.MIN_TAU2)


def test_beliefs_from_groups_by_hand() -> None:
    cov = np.array([[0.20, 0.02, 0.05], [0.02, 0.30, -0.04], [0.05, -0.04, 0.10]]).reshape(3, 1, 3, 1)
    effects = GroupEffects(np.array([[1.0], [-2.0], [0.5]]), cov, np.array([[0.7]]), np.array([0.1, 0.1]))
    # Two attributes, of two levels and of one; both known, the first, the second, none.
    beliefs = effects.beliefs(Membership(np.array([[1, 0], [0, -1], [-1, 0], [-1, -1]]), (2, 1)))
    np.testing.assert_allclose(beliefs.mean[:, 0], [-1.5, 1.0, 0.5, 0.0], atol=1e-12)
    np.testing.assert_allclose(beliefs.cov[:, 0, 0], [0.7 + 0.3 + 0.1 - 2 * 0.04, 0.9, 0.8, 0.7], atol=1e-12)


def test_planted_groups_are_recovered() -> None:
    rng = np.random.default_rng(1)
    means = np.array([[0.9, 0.0, -0.4], [-0.6, 0.3, 0.0], [-0.3, -0.3, 0.4]])
    level = rng.integers(0, 3, size=900)
    raters, spread = planted(means, level, within=0.3, noise=0.4, seed=2)
    effects = fit_group_effects(raters, spread, Membership(level[:, None], (3,)))
    error_sd = np.sqrt(np.einsum("lele->le", effects.cov))
    assert np.abs((effects.mean - means) / error_sd).max() < 3.5
    assert error_sd.max() < 0.1
    np.testing.assert_allclose(effects.within, 0.3 * np.eye(3), atol=0.06)
    # tau^2: between-group variance (0.44, 0.06, 0.11 about 0) over the spread (0.74, 0.36, 0.41): 0.59, 0.17, 0.26.
    assert 0.15 < effects.tau2[0] < 0.7


def test_an_attribute_that_tells_nothing_is_shrunk_away() -> None:
    rng = np.random.default_rng(3)
    means = np.array([[0.8, 0.0], [-0.8, 0.0]])
    level = np.column_stack([rng.integers(0, 2, size=400), rng.integers(0, 6, size=400)])
    raters, spread = planted(means, level[:, 0], within=0.3, noise=0.4, seed=4)
    effects = fit_group_effects(raters, spread, Membership(level, (2, 6)))
    told, silent = effects.tau2
    assert told > 0.2
    assert silent < 0.02
    raw = np.stack([raters.mean[level[:, 1] == k].mean(axis=0) for k in range(6)])
    assert np.abs(effects.mean[2:]).max() < 0.5 * np.abs(raw).max()
    np.testing.assert_allclose(effects.mean[:2], means, atol=0.2)


def test_a_level_nobody_has_says_nothing() -> None:
    rng = np.random.default_rng(5)
    level = rng.integers(0, 2, size=200)
    raters, spread = planted(np.array([[0.5], [-0.5]]), level, within=0.2, noise=0.2, seed=6)
    effects = fit_group_effects(raters, spread, Membership(level[:, None], (3,)))
    assert effects.mean[2, 0] == pytest.approx(0.0, abs=1e-12)
    assert effects.cov[2, 0, 2, 0] == pytest.approx(effects.tau2[0] * spread[0, 0], rel=0.01)  # its prior
    nobody = effects.beliefs(Membership(np.array([[-1]]), (3,)))
    np.testing.assert_array_equal(nobody.mean, 0.0)
    np.testing.assert_allclose(nobody.cov[0], effects.within, atol=1e-12)


def test_raters_of_unknown_groups_change_the_groups_little() -> None:
    rng = np.random.default_rng(7)
    level = rng.integers(0, 2, size=400)
    raters, spread = planted(np.array([[0.5], [-0.5]]), level, within=0.2, noise=0.2, seed=8)
    known = fit_group_effects(raters, spread, Membership(level[:, None], (2,)))
    half = np.where(np.arange(400) < 200, level, -1)
    some = fit_group_effects(raters, spread, Membership(half[:, None], (2,)))
    np.testing.assert_allclose(some.mean, known.mean, atol=0.15)
    assert (np.einsum("lele->le", some.cov) > np.einsum("lele->le", known.cov)).all()


def test_membership_counts_levels_over_attributes() -> None:
    membership = Membership(np.array([[0, 2], [-1, 1], [1, -1]]), (2, 3))
    assert membership.n_columns == 5
    assert membership.columns().tolist() == [[0, 4], [-1, 3], [1, -1]]
    part = membership.take(np.array([2, 0]))
    assert (part.level.tolist(), part.n_levels) == ([[1, -1], [0, 2]], (2, 3))
