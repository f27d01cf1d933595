from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from pluralign.raters.linear_prior import MAX_VARIANCE, LinearPrior, learn_linear_prior, learn_spread
from pluralign.raters.variational import Beliefs

FloatArray = npt.NDArray[np.float64]


def start(n_features: int, n_effects: int) -> LinearPrior:
    return LinearPrior(np.zeros((n_features, n_effects)), np.eye(n_features), 0.1, 0.5 * np.eye(n_effects))


def learned(x: FloatArray, seen: FloatArray, noise: FloatArray, *, steps: int) -> LinearPrior:
    """Beliefs from units' effects `seen` [units, effects] through noise with these variances, and the prior, in turn."""
    prior = start(x.shape[1], seen.shape[1])
    for _ in range(steps):
        precision = np.linalg.inv(prior.spread)
        cov = np.linalg.inv(precision + np.stack([np.diag(1 / v) for v in noise]))
        mean = np.einsum("ude,ue->ud", cov, x @ prior.coefficients @ precision + seen / noise)
        prior = learn_linear_prior(prior, Beliefs(mean, cov), x)
    return prior


@pytest.mark.parametrize("noise", [0.01, 0.5])
def test_a_linear_relation_is_recovered(noise: float) -> None:
    rng, n = np.random.default_rng(0), 800
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 3))])
    coefficients = np.array([[0.3, -1.0], [0.8, 0.0], [0.0, -0.5], [0.2, 0.4]])
    spread = np.array([[0.4, 0.1], [0.1, 0.2]])
    effects = x @ coefficients + rng.multivariate_normal(np.zeros(2), spread, size=n)
    variance = noise * rng.uniform(0.5, 1.0, size=(n, 2))
    prior = learned(x, effects + np.sqrt(variance) * rng.normal(size=(n, 2)), variance, steps=40)
    # Standard errors: 0.63 / sqrt(800) = 0.022, and up to sqrt(0.4 + 0.5) / sqrt(800) = 0.034 with the noise.
    np.testing.assert_allclose(prior.coefficients, coefficients, atol=0.1)
    np.testing.assert_allclose(prior.spread, spread, atol=0.08)


def test_features_that_tell_nothing_are_shrunk_away() -> None:
    rng, n = np.random.default_rng(1), 300
    noise = np.full((n, 1), 0.1)
    useful, useless = rng.normal(size=(2, n, 10))
    weights = rng.normal(size=(10, 1))
    units = rng.normal(size=(n, 1))
    ones = np.ones((n, 1))
    with_signal = learned(np.hstack([ones, useful]), useful @ weights + units, noise, steps=100)
    without = learned(np.hstack([ones, useless]), units, noise, steps=100)
    # tau^2 is the coefficients' variance as a multiple of the spread (here 1): about 1 with signal, 0 without.
    assert 0.3 < with_signal.tau2 < 3
    assert without.tau2 < 0.003
    least_squares = np.linalg.lstsq(np.hstack([ones, useless]), units, rcond=None)[0][1:]
    assert np.abs(without.coefficients[1:]).max() < 0.4 * np.abs(least_squares).max()
    assert without.spread[0, 0] == pytest.approx(units.var(), rel=0.2)


def test_one_step_by_hand() -> None:
    # Two units known exactly, feature values 1 and -1, tau^2 = 1/2, spread 1. X'X + ridge = diag(2 + 1/10, 2 + 2), so the
    # coefficient is (1 - (-1)) / 4 = 1/2 with uncertainty 1/4, and tau^2 becomes 1/2^2 + 1/4 = 1/2.
    before = LinearPrior(np.zeros((2, 1)), np.eye(2), 0.5, np.eye(1))
    after = learn_linear_prior(
        before, Beliefs(np.array([[1.0], [-1.0]]), np.zeros((2, 1, 1))), np.array([[1.0, 1.0], [1.0, -1.0]])
    )
    np.testing.assert_allclose(after.coefficients, [[0.0], [0.5]], atol=1e-12)
    np.testing.assert_allclose(after.uncertainty, np.diag([1 / 2.1, 1 / 4]), atol=1e-12)
    assert after.tau2 == pytest.approx(0.5, abs=1e-12)


def test_units_known_exactly_give_the_spread_its_degrees_of_freedom() -> None:
    # An intercept alone, no doubt about the units: it is sum / (n + 1/10), which takes n / (n + 1/10) degrees of freedom.
    effects = np.array([[0.5], [1.0], [2.0], [4.5]])
    prior = start(1, 1)
    for _ in range(100):
        prior = learn_linear_prior(prior, Beliefs(effects, np.zeros((4, 1, 1))), np.ones((4, 1)))
    intercept = 8 / 4.1
    assert prior.coefficients[0, 0] == pytest.approx(intercept, abs=1e-12)
    assert prior.spread[0, 0] == pytest.approx(((effects - intercept) ** 2).sum() / (4 - 4 / 4.1), abs=1e-4)


@pytest.mark.parametrize("n", [1, 2, 30])
def test_silent_units_teach_nothing(n: int) -> None:
    # Units without ratings have the prior itself as belief; its spread must stay where it was, however few they are.
    prior = LinearPrior(np.zeros((1, 2)), np.eye(1), 0.1, np.diag([0.7, 0.2]))
    for _ in range(50):
        prior = learn_linear_prior(prior, Beliefs(np.zeros((n, 2)), np.stack([prior.spread] * n)), np.ones((n, 1)))
    np.testing.assert_allclose(prior.spread, np.diag([0.7, 0.2]), atol=1e-3)


def test_beliefs_about_units_never_seen_by_hand() -> None:
    prior = LinearPrior(
        np.array([[1.0, 0.0], [2.0, -1.0]]), np.array([[0.1, 0.05], [0.05, 0.2]]), 0.1, np.array([[0.5, 0.1], [0.1, 0.3]])
    )
    beliefs = prior.beliefs(np.array([[1.0, 0.0], [1.0, 2.0]]))
    np.testing.assert_allclose(beliefs.mean, [[1.0, 0.0], [5.0, -2.0]], atol=1e-12)
    # 1 + 0.1; and 1 + 0.1 + 2 * 2 * 0.05 + 4 * 0.2 = 2.1
    np.testing.assert_allclose(beliefs.cov, [1.1 * prior.spread, 2.1 * prior.spread], atol=1e-12)


# the spread alone


def test_one_step_goes_1_8_times_the_way_and_no_further_than_a_factor_4() -> None:
    def step(before: float, square: float) -> float:
        residuals = Beliefs(np.full((3, 1), np.sqrt(square)), np.zeros((3, 1, 1)))
        return float(learn_spread(residuals, np.array([[before]]))[0, 0])

    assert step(0.5, 1.0) == pytest.approx(0.5 * 2**1.8, rel=1e-4)
    assert step(0.5, 0.25) == pytest.approx(0.5 / 2**1.8, rel=1e-4)
    assert step(0.5, 5.0) == pytest.approx(2.0, rel=1e-9)
    assert step(0.5, 0.0) == pytest.approx(0.125, rel=1e-9)
    assert step(5.0, 100.0) == MAX_VARIANCE


def test_the_fixed_point_is_the_shrunken_covariance() -> None:
    rng, n, d = np.random.default_rng(2), 12, 3
    residuals = Beliefs(rng.normal(size=(n, d)), np.stack([np.diag(rng.uniform(0.1, 0.5, d)) for _ in range(n)]))
    spread = np.eye(d)
    for _ in range(60):
        spread = learn_spread(residuals, spread)
    scatter = residuals.mean.T @ residuals.mean + residuals.cov.sum(axis=0)
    # Off the diagonal: divided by n + d units instead of n; on it by n.
    expected = np.where(np.eye(d, dtype=bool), scatter / n, scatter / (n + d))
    np.testing.assert_allclose(spread, expected, atol=1e-5)


def test_the_spread_is_a_covariance_whatever_comes() -> None:
    rng = np.random.default_rng(3)
    for n in (1, 2, 50):
        spread = np.eye(4)
        for size in (0.0, 1e-6, 1.0, 1e6):
            residuals = Beliefs(size * rng.normal(size=(n, 4)), np.zeros((n, 4, 4)))
            spread = learn_spread(residuals, spread)
            values = np.linalg.eigvalsh(spread)
            assert 0 < values[0] <= values[-1] <= MAX_VARIANCE * (1 + 1e-9)
            np.testing.assert_array_equal(spread, spread.T)
