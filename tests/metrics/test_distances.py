from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy, wasserstein_distance

from pluralign.errors import UsageError
from pluralign.metrics import (
    hellinger_distance,
    js_distance,
    js_divergence_nats,
    kl_nats,
    opinionqa_representativeness,
    simbench_score,
    total_variation_distance,
    wasserstein1_distance,
)

P = np.array([[0.5, 0.5, 0.0]])
Q = np.array([[0.25, 0.25, 0.5]])


def random_pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(5, 0.3), size=40), rng.dirichlet(np.ones(5), size=40)


def test_by_hand() -> None:
    # mixture (3/8, 3/8, 1/4): KL(P||M) = ln(4/3); KL(Q||M) = 1/2 ln(2/3) + 1/2 ln 2 = 1/2 ln(4/3); half of the sum: 3/4 ln(4/3)
    assert js_divergence_nats(P, Q)[0] == pytest.approx(0.75 * math.log(4 / 3), abs=1e-12)
    assert js_distance(P, Q)[0] == pytest.approx(math.sqrt(0.75 * math.log(4 / 3)), abs=1e-12)
    assert kl_nats(P, Q)[0] == pytest.approx(math.log(2), abs=1e-12)  # 2 * 1/2 ln 2
    assert kl_nats(Q, P)[0] == math.inf  # Q gives 1/2 to an option that P excludes
    assert total_variation_distance(P, Q)[0] == pytest.approx(1 / 2, abs=1e-12)  # (1/4 + 1/4 + 1/2) / 2
    assert wasserstein1_distance(P, Q, np.array([0, 1, 3]))[0] == pytest.approx(1.25, abs=1e-12)  # 1/4 * 1 + 1/2 * 2
    # 1/2 [2 (sqrt(1/2) - 1/2)^2 + 1/2] = 1/2 [2 (3/4 - sqrt(1/2)) + 1/2] = 1 - sqrt(1/2)
    assert hellinger_distance(P, Q)[0] == pytest.approx(math.sqrt(1 - math.sqrt(0.5)), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_same_as_scipy(seed: int) -> None:
    p, q = random_pair(seed)
    places = np.array([-2.0, 0.0, 1.0, 1.5, 9.0])
    np.testing.assert_allclose(js_distance(p, q), jensenshannon(p, q, axis=1), atol=1e-12)
    np.testing.assert_allclose(kl_nats(p, q), entropy(p, q, axis=1), atol=1e-12)
    expected = [wasserstein_distance(places, places, a, b) for a, b in zip(p, q, strict=True)]
    np.testing.assert_allclose(wasserstein1_distance(p, q, places), expected, atol=1e-12)


def test_one_distribution_stands_beside_many() -> None:
    p, q = random_pair(9)
    np.testing.assert_array_equal(js_divergence_nats(p[0], q), js_divergence_nats(np.tile(p[0], (40, 1)), q))
    assert total_variation_distance(p[0], q[0]).shape == (1,)
    assert total_variation_distance(p, q[0]).shape == (40,)


def test_rounding_makes_no_negative_divergence_and_no_nan() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(7), size=2000)
    nearly = p * (1 + 1e-9 * np.random.default_rng(1).standard_normal(p.shape))
    for distance in (js_divergence_nats, js_distance, kl_nats):
        assert (distance(p, nearly) >= 0).all()
    tiny = np.array([5e-324, 1.0])
    assert js_divergence_nats(tiny, np.array([0.0, 1.0]))[0] == pytest.approx(0, abs=1e-300)


def test_float32_rounding_is_scaled_away() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(9), size=50).astype(np.float32)
    np.testing.assert_allclose(kl_nats(p, p * np.float32(1 + 3e-7)), 0, atol=1e-12)


@pytest.mark.parametrize(
    ("bad", "seen"),
    [([0.5, 0.4], "sums to 0.9"), ([1.5, -0.5], r"\[1.5, -0.5\]"), ([math.nan, 1.0], "nan"), ([math.inf, 0.0], "inf")],
)
def test_what_is_no_distribution_names_its_row(bad: list[float], seen: str) -> None:
    rows = np.array([[0.5, 0.5], bad])
    with pytest.raises(UsageError, match="p: row 1 is not a distribution") as caught:
        js_divergence_nats(rows, np.array([0.5, 0.5]))
    assert caught.match(seen)
    with pytest.raises(UsageError, match="q: row 1"):
        total_variation_distance(np.array([0.5, 0.5]), rows)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(UsageError, match=r"p \(1, 3\) and q \(2,\) do not fit"):
        js_divergence_nats(P, np.array([0.5, 0.5]))
    with pytest.raises(UsageError, match="do not fit"):
        js_divergence_nats(np.tile(P, (2, 1)), np.tile(Q, (3, 1)))
    with pytest.raises(UsageError, match="positions: need 3 finite, rising numbers"):
        wasserstein1_distance(P, Q, np.array([0, 2, 1]))


def test_no_items_give_no_numbers() -> None:
    nothing = np.zeros((0, 3))
    for metric in (js_divergence_nats, total_variation_distance, simbench_score, opinionqa_representativeness):
        assert metric(nothing, nothing).shape == (0,)


def test_simbench_score_by_hand() -> None:
    people = np.array([[1.0, 0.0], [0.75, 0.25]])
    model = np.array([[0.75, 0.25], [0.75, 0.25]])
    # TV to uniform: 1/2 and 1/4, mean 3/8; TV to the model: 1/4 and 0: 100 (1 - 2/3) and 100
    np.testing.assert_allclose(simbench_score(people, model), [100 / 3, 100], atol=1e-12)
    assert simbench_score(people, np.full(2, 0.5)).mean() == pytest.approx(0, abs=1e-12)  # the uniform guess
    assert simbench_score(people, np.array([0.0, 1.0]))[0] == pytest.approx(100 * (1 - 1 / (3 / 8)), abs=1e-12)
    assert np.isnan(simbench_score(np.full((2, 3), 1 / 3), np.full((2, 3), 1 / 3))).all()


def test_opinionqa_representativeness_by_hand() -> None:
    # P to Q on positions 0, 1, 2: W1 = 1/4 + 1/2 = 3/4; 1 - (3/4)/2 = 5/8
    assert opinionqa_representativeness(P, Q)[0] == pytest.approx(5 / 8, abs=1e-12)
    assert opinionqa_representativeness(np.array([1.0, 0, 0]), np.array([0, 0, 1.0]))[0] == 0.0
    assert math.isnan(opinionqa_representativeness(np.array([1.0]), np.array([1.0]))[0])
