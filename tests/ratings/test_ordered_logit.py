from __future__ import annotations

import numpy as np

from pluralign.ratings.ordered_logit import bounds, curvature, log_probability, option_probabilities

CUTS = np.array([-1.0, 0.5, 2.0])


def test_by_hand() -> None:
    # Leaning 0, spread 2, cut points ln(3)/2 * (-1, 1): F(-ln 3) = 1/4, F(ln 3) = 3/4, so 1/4, 1/2, 1/4.
    cuts = np.log(3) / 2 * np.array([-1.0, 1.0])
    shares = option_probabilities(np.array(0.0), np.array(2.0), cuts)
    np.testing.assert_allclose(shares, [0.25, 0.5, 0.25], atol=1e-12)


def test_log_probability_is_the_logarithm() -> None:
    leaning = np.linspace(-6, 6, 25)[:, None]
    spread = np.array([[0.3], [1.0], [3.0]])[:, None]
    options = np.arange(4)
    ours = np.exp(log_probability(leaning, spread, *bounds(options, CUTS)))
    theirs = option_probabilities(np.broadcast_to(leaning[..., 0], (3, 25)), np.broadcast_to(spread[..., 0], (3, 25)), CUTS)
    np.testing.assert_allclose(ours, theirs, atol=1e-14)


def test_tails_keep_their_digits() -> None:
    # Far above all cut points the lowest option has log P = c_1 - u, up to e^(c_1 - u).
    value = log_probability(np.array(800.0), np.array(1.0), *bounds(np.array(0), CUTS))
    np.testing.assert_allclose(value, -801.0, atol=1e-9)
    # And the next one log(F(c_2 - u) - F(c_1 - u)) = c_2 - u + log(1 - e^(c_1 - c_2)).
    value = log_probability(np.array(800.0), np.array(1.0), *bounds(np.array(1), CUTS))
    np.testing.assert_allclose(value, 0.5 - 800 + np.log1p(-np.exp(-1.5)), atol=1e-9)


def test_gradient_equals_finite_differences() -> None:
    leaning, log_spread = np.meshgrid(np.linspace(-3, 3, 7), [-0.7, 0.0, 0.6])
    for option in range(4):
        below, above = bounds(np.full(leaning.shape, option), CUTS)

        def value(u: np.ndarray, s: np.ndarray, below: np.ndarray = below, above: np.ndarray = above) -> np.ndarray:
            return log_probability(u, np.exp(s), below, above)

        ours = curvature(leaning, np.exp(log_spread), below, above)
        h = 1e-5
        by_u = (value(leaning + h, log_spread) - value(leaning - h, log_spread)) / (2 * h)
        by_s = (value(leaning, log_spread + h) - value(leaning, log_spread - h)) / (2 * h)
        np.testing.assert_allclose(ours.by_leaning, by_u, atol=1e-8)
        np.testing.assert_allclose(ours.by_log_spread, by_s, atol=1e-8)


def test_curvature_is_exact_in_the_leaning_and_gauss_newton_in_the_spread() -> None:
    leaning, log_spread = np.meshgrid(np.linspace(-3, 3, 7), [-0.7, 0.0, 0.6])
    spread, h = np.exp(log_spread), 1e-5
    for option in range(4):
        below, above = bounds(np.full(leaning.shape, option), CUTS)
        ours = curvature(leaning, spread, below, above)
        right, left = (curvature(leaning + d, spread, below, above) for d in (h, -h))
        np.testing.assert_allclose(ours.leaning_leaning, -(right.by_leaning - left.by_leaning) / (2 * h), atol=1e-7)
        np.testing.assert_allclose(ours.leaning_log_spread, -(right.by_log_spread - left.by_log_spread) / (2 * h), atol=1e-7)
        wide, narrow = (curvature(leaning, spread * np.exp(d), below, above) for d in (h, -h))
        # d2/ds2 = -(Gauss-Newton) + d/ds, since e^s is its own derivative.
        second = (wide.by_log_spread - narrow.by_log_spread) / (2 * h)
        np.testing.assert_allclose(ours.log_spread_log_spread, ours.by_log_spread - second, atol=1e-6)
        determinant = ours.leaning_leaning * ours.log_spread_log_spread - ours.leaning_log_spread**2
        assert determinant.min() > -1e-12
