"""Measures of alignment: by hand, beside scipy, and what holds for all of them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy, wasserstein_distance

from pluralign.evals.alignment_measures import MEASURES, Answers, js_divergence_corrected_nats, measured, mode_match
from pluralign.metrics import js_divergence_nats

FloatArray = npt.NDArray[np.float64]


def _answers(people: object, model: object, *, is_ordinal: bool = True, n: float = 20.0) -> Answers:
    p, q = np.atleast_2d(np.asarray(people, dtype=np.float64)), np.atleast_2d(np.asarray(model, dtype=np.float64))
    return Answers(p, q, np.full(len(p), is_ordinal), np.full(len(p), n))


def _random(n_questions: int, n_options: int, seed: int) -> FloatArray:
    return np.random.default_rng(seed).dirichlet(np.ones(n_options), size=n_questions)


def test_every_measure_by_hand() -> None:
    found = measured(_answers([1 / 2, 1 / 4, 1 / 4], [1 / 4, 1 / 2, 1 / 4], n=10))
    divergence = math.log(4 / 3) / 2 + math.log(2 / 3) / 4  # both to the mixture (3/8, 3/8, 1/4)
    # sum_k q_k (1 - s_k) / (s_k + q_k) = (1/4)(1/2)/(3/4) + (1/2)(3/4)/(3/4) + (1/4)(3/4)/(1/2) = 1/6 + 1/2 + 3/8 = 25/24
    expected = {
        "total_variation": 1 / 4,
        "js_divergence_nats": divergence,
        "js_divergence_corrected_nats": divergence - 25 / 24 / 40,
        "js_distance": math.sqrt(divergence),
        "wasserstein1": 1 / 4,  # one person in four moves one position
        "kl_people_to_model_nats": math.log(2) / 4,  # 1/2 ln 2 - 1/4 ln 2
        "kl_model_to_people_nats": math.log(2) / 4,
        "cross_entropy_nats": 7 / 4 * math.log(2),  # 1/2 ln 4 + 1/4 ln 2 + 1/4 ln 4
        "mode_match": 0.0,
        "representativeness": 7 / 8,  # 1 - (1/4) / 2
    }
    assert set(found) == set(expected)
    for metric, value in expected.items():
        assert found[metric][0] == pytest.approx(value, abs=1e-12), metric


@pytest.mark.parametrize("n_options", [2, 3, 7])
def test_measures_are_those_of_scipy(n_options: int) -> None:
    people, model = _random(30, n_options, 1), _random(30, n_options, 2)
    found = measured(_answers(people, model))
    positions = np.arange(n_options)
    for i, (p, q) in enumerate(zip(people, model, strict=True)):
        assert found["js_distance"][i] == pytest.approx(jensenshannon(p, q), abs=1e-12)
        assert found["js_divergence_nats"][i] == pytest.approx(jensenshannon(p, q) ** 2, abs=1e-12)
        assert found["kl_people_to_model_nats"][i] == pytest.approx(entropy(p, q), abs=1e-12)
        assert found["kl_model_to_people_nats"][i] == pytest.approx(entropy(q, p), abs=1e-12)
        assert found["cross_entropy_nats"][i] == pytest.approx(entropy(p) + entropy(p, q), abs=1e-12)
        assert found["wasserstein1"][i] == pytest.approx(wasserstein_distance(positions, positions, p, q), abs=1e-12)
        # total variation is the Wasserstein distance where all options are 1 apart: by halves of the absolute differences
        assert found["total_variation"][i] == pytest.approx(
            sum(wasserstein_distance([0, 1], [0, 1], [1 - a, a], [1 - b, b]) for a, b in zip(p, q, strict=True)) / 2, abs=1e-12
        )


def test_a_copy_is_best_on_every_measure() -> None:
    people, model = _random(50, 5, 3), _random(50, 5, 4)
    copy, other = measured(_answers(people, people)), measured(_answers(people, model))
    for measure in MEASURES:
        difference = other[measure.metric] - copy[measure.metric]
        sign = 1 if measure.better == "lower" else -1
        if measure.metric == "js_divergence_corrected_nats":  # the bias that is taken off differs from model to model
            assert (difference > -0.01).all()
        else:
            assert (sign * difference >= -1e-12).all(), measure.metric
            assert (sign * difference).mean() > 0.01, measure.metric


def test_infinite_stays_infinite() -> None:
    found = measured(_answers([[0.5, 0.5], [1.0, 0.0]], [[1.0, 0.0], [0.5, 0.5]]))
    assert found["kl_people_to_model_nats"].tolist() == [math.inf, pytest.approx(math.log(2))]
    assert found["kl_model_to_people_nats"].tolist() == [pytest.approx(math.log(2)), math.inf]
    assert found["cross_entropy_nats"].tolist() == [math.inf, pytest.approx(math.log(2))]
    assert np.isfinite(found["js_divergence_nats"]).all()


def test_what_needs_an_order_is_undefined_without_one() -> None:
    found = measured(_answers([1.0, 0.0], [0.0, 1.0], is_ordinal=False))
    undefined = {metric for metric, values in found.items() if np.isnan(values).any()}
    assert undefined == {"wasserstein1", "representativeness"}


def test_what_needs_the_number_of_people_is_undefined_without_it() -> None:
    found = measured(_answers([1.0, 0.0], [0.0, 1.0], n=math.nan))
    assert {metric for metric, values in found.items() if np.isnan(values).any()} == {"js_divergence_corrected_nats"}


def test_ties_of_modes() -> None:
    people = np.array([[0.4, 0.4, 0.2], [0.4, 0.4, 0.2], [0.6, 0.2, 0.2], [0.1 + 0.2, 0.3, 0.4]])
    model = np.array([[0.4, 0.4, 0.2], [1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3], [0.3, 0.3, 0.4]])
    # both modes of people; one of them; one of the model's three; 0.1 + 0.2 is no mode beside 0.4
    assert mode_match(people, model).tolist() == [1.0, 1.0, pytest.approx(1 / 3), 1.0]


def test_a_law_has_no_bias_to_take_off() -> None:
    people, model = _random(5, 3, 5), _random(5, 3, 6)
    corrected = js_divergence_corrected_nats(people, model, np.full(5, np.inf))
    np.testing.assert_allclose(corrected, js_divergence_nats(people, model), atol=1e-15)


@pytest.mark.parametrize("is_perfect", [True, False])
def test_the_correction_takes_nine_tenths_of_the_bias_off(is_perfect: bool) -> None:
    rng = np.random.default_rng(7)
    truth = rng.dirichlet(np.full(4, 2.0), size=4000)
    model = truth if is_perfect else rng.dirichlet(np.full(4, 2.0), size=4000)
    shares = np.stack([rng.multinomial(20, p) for p in truth]) / 20
    exact = js_divergence_nats(truth, model).mean()
    plain = js_divergence_nats(shares, model).mean() - exact
    corrected = js_divergence_corrected_nats(shares, model, np.full(4000, 20.0)).mean() - exact
    assert plain == pytest.approx(3 / (8 * 20), rel=0.35)  # (options - 1) / 8n, to the first order
    assert abs(corrected) < plain / 10
