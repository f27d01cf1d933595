from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from pluralign.raters.messages import Messages, learn_population, messages_of

FloatArray = npt.NDArray[np.float64]


def covariance(rng: np.random.Generator, d: int) -> FloatArray:
    root = rng.normal(size=(d, d + 2))
    return np.asarray(root @ root.T / d)


def made_up(seed: int, n: int, d: int) -> tuple[Messages, FloatArray, FloatArray]:
    """Messages with points and precisions of their own; a prior's mean and covariance."""
    rng = np.random.default_rng(seed)
    precision = np.stack([covariance(rng, d) for _ in range(n)])
    pull = np.einsum("ude,ue->ud", precision, rng.normal(size=(n, d)))
    return Messages(precision, pull), rng.normal(size=d), covariance(rng, d)


def test_a_posterior_is_its_prior_and_its_message() -> None:
    messages, _, prior_cov = made_up(0, 6, 3)
    posterior = messages.posterior(np.zeros(3), prior_cov)
    again = messages_of(posterior, prior_cov)
    np.testing.assert_allclose(again.precision, messages.precision, atol=1e-9)
    np.testing.assert_allclose(again.pull, messages.pull, atol=1e-9)


def test_posterior_is_gaussian_algebra() -> None:
    messages, mean, cov = made_up(1, 5, 3)
    means = np.arange(15.0).reshape(5, 3)
    shared, own = messages.posterior(mean, cov), messages.posterior(means, cov)
    for r in range(5):
        total = messages.precision[r] + np.linalg.inv(cov)
        np.testing.assert_allclose(shared.cov[r], np.linalg.inv(total), atol=1e-12)
        for beliefs, prior_mean in ((shared, mean), (own, means[r])):
            by_hand = np.linalg.solve(total, messages.pull[r] + np.linalg.solve(cov, prior_mean))
            np.testing.assert_allclose(beliefs.mean[r], by_hand, atol=1e-10)


def test_a_rater_without_ratings_is_her_prior() -> None:
    _, mean, cov = made_up(2, 1, 3)
    silent = Messages(np.zeros((1, 3, 3)), np.zeros((1, 3)))
    beliefs = silent.posterior(mean, cov)
    np.testing.assert_allclose(beliefs.mean[0], mean, atol=1e-12)
    np.testing.assert_allclose(beliefs.cov[0], cov, atol=1e-12)
    precision, pull = silent.marginal(cov)
    np.testing.assert_allclose(precision, 0.0, atol=1e-9)
    np.testing.assert_array_equal(pull, 0.0)


def test_marginal_integrates_the_deviation_out() -> None:
    # A message Normal(point; u, P^-1) with u ~ Normal(m, S) says Normal(point; m, P^-1 + S) about m.
    messages, _, cov = made_up(3, 4, 3)
    precision, pull = messages.marginal(cov)
    for r in range(4):
        by_hand = np.linalg.inv(np.linalg.inv(messages.precision[r]) + cov)
        np.testing.assert_allclose(precision[r], by_hand, atol=1e-9)
        point = np.linalg.solve(messages.precision[r], messages.pull[r])
        np.testing.assert_allclose(pull[r], by_hand @ point, atol=1e-9)


@pytest.mark.parametrize("noise", [0.05, 1.0])
def test_the_population_is_recovered(noise: float) -> None:
    # 3,000 raters, effects ~ Normal(mean, cov), each seen through noise of up to twice the effects' own variance.
    rng, n = np.random.default_rng(4), 3000
    mean, cov = np.array([0.6, -0.3, 0.0]), np.array([[0.5, 0.2, 0.0], [0.2, 0.3, -0.1], [0.0, -0.1, 0.8]])
    u = rng.multivariate_normal(mean, cov, size=n)
    variance = noise * rng.uniform(0.2, 1.0, size=(n, 3))
    seen = u + np.sqrt(variance) * rng.normal(size=(n, 3))
    messages = Messages(np.stack([np.diag(1 / v) for v in variance]), seen / variance)
    found_mean, found_cov = learn_population(messages, np.eye(3), steps=60)
    np.testing.assert_allclose(found_mean, mean, atol=0.08)
    np.testing.assert_allclose(found_cov, cov, atol=0.1)
    # A fixed point: going on changes nothing.
    more_mean, more_cov = learn_population(messages, found_cov, steps=3)
    np.testing.assert_allclose(more_mean, found_mean, atol=1e-3)
    np.testing.assert_allclose(more_cov, found_cov, atol=1e-3)


def test_silent_raters_do_not_move_the_population() -> None:
    messages, _, _ = made_up(5, 40, 2)
    silent = Messages(
        np.concatenate([messages.precision, np.zeros((40, 2, 2))]), np.concatenate([messages.pull, np.zeros((40, 2))])
    )
    (mean, cov), (mean_2, cov_2) = (learn_population(m, np.eye(2), steps=200) for m in (messages, silent))
    np.testing.assert_allclose(mean_2, mean, atol=0.02)
    np.testing.assert_allclose(np.diag(cov_2), np.diag(cov), atol=0.02)
