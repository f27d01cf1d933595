"""The noise floor: what a model that knows the population exactly would get."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import multinomial

from evals.alignment_worlds import by_metric, drawn_questions, question, records_of
from pluralign.errors import UsageError
from pluralign.evals.alignment import ALIGNMENT
from pluralign.evals.alignment_measures import Answers
from pluralign.evals.kinds import Setting
from pluralign.evals.noise_floor import (
    expected_measures,
    expected_total_variation,
    resampled_shares,
    split_half_total_variation,
)
from pluralign.metrics import total_variation_distance


def _exact_total_variation(p: list[float], n: int) -> float:
    """By listing every outcome of n people."""
    total = 0.0
    for counts in itertools.product(range(n + 1), repeat=len(p)):
        if sum(counts) == n:
            total += multinomial.pmf(counts, n, p) * sum(abs(c / n - share) for c, share in zip(counts, p, strict=True)) / 2
    return float(total)


def test_two_people_by_hand() -> None:
    # 2, 1 or 0 of two choose the first option, with probabilities 1/4, 1/2, 1/4: (1/2)(1/2) + 0 = 1/4
    assert _exact_total_variation([0.5, 0.5], 2) == pytest.approx(1 / 4, abs=1e-12)
    found = expected_total_variation(np.array([[0.5, 0.5]]), np.array([2.0]), ["q"], seed=0, n_draws=40_000)
    assert found[0] == pytest.approx(1 / 4, abs=0.005)


@pytest.mark.parametrize(("shares", "n"), [([0.7, 0.2, 0.1], 4), ([0.25, 0.25, 0.5], 7)])
def test_expected_distance_is_that_of_all_outcomes(shares: list[float], n: int) -> None:
    found = expected_total_variation(np.array([shares]), np.array([float(n)]), ["q"], seed=1, n_draws=40_000)
    assert found[0] == pytest.approx(_exact_total_variation(shares, n), abs=0.004)
    answers = Answers(np.array([shares]), np.array([shares]), np.array([True]), np.array([float(n)]))
    means = expected_measures(answers, ["q"], seed=2, n_draws=400)
    assert means["total_variation"][0] == pytest.approx(_exact_total_variation(shares, n), abs=0.02)


def test_draws_belong_to_their_question() -> None:
    people, n = np.array([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]]), np.array([5.0, 6.0, 7.0])
    whole = resampled_shares(people, n, ["a", "b", "c"], seed=3)
    part = resampled_shares(people[[2, 0]], n[[2, 0]], ["c", "a"], seed=3)
    np.testing.assert_array_equal(whole[:, [2, 0]], part)
    assert (whole != resampled_shares(people, n, ["a", "b", "c"], seed=4)).any()


def test_laws_are_exact_and_unknown_numbers_have_no_floor() -> None:
    people = np.array([[0.2, 0.8], [0.5, 0.5]])
    drawn = resampled_shares(people, np.array([math.inf, math.nan]), ["a", "b"], seed=0, n_draws=2)
    np.testing.assert_array_equal(drawn[:, 0], [people[0], people[0]])
    assert np.isnan(drawn[:, 1]).all()


@pytest.mark.parametrize("n", [0.0, 2.5])
def test_people_are_whole(n: float) -> None:
    with pytest.raises(UsageError, match=r"question a: .* people cannot be drawn"):
        resampled_shares(np.array([[0.5, 0.5]]), np.array([n]), ["a"], seed=0)


def test_halves_by_hand() -> None:
    people = np.array([[0.5, 0.5], [1.0, 0.0], [2 / 3, 1 / 3]])
    found = split_half_total_variation(people, np.array([2.0, 4.0, 3.0]), ["a", "b", "c"], seed=0, n_draws=20_000)
    # one against another who chose otherwise; all alike; of three people two at random differ with 2/3 1/2 + 1/3 = 2/3
    assert found[:2].tolist() == [1.0, 0.0]
    assert found[2] == pytest.approx(2 / 3, abs=0.01)


def test_halves_need_whole_people() -> None:
    people = np.array([[0.3, 0.7], [0.5, 0.5], [0.5, 0.5], [1.0, 0.0]])
    n = np.array([4.0, math.nan, math.inf, 1.0])  # 1.2 people; unknown; a law; one person
    assert np.isnan(split_half_total_variation(people, n, list("abcd"), seed=0)).all()


def test_the_floor_is_what_a_perfect_model_gets() -> None:
    rng = np.random.default_rng(5)
    truth = rng.dirichlet(np.full(4, 3.0), size=1500)
    shares = np.stack([rng.multinomial(40, p) for p in truth]) / 40
    perfect = total_variation_distance(shares, truth).mean()
    floor = expected_total_variation(shares, np.full(1500, 40.0), [str(i) for i in range(1500)], seed=0)
    # a little too low, since the shares are less spread out than the truth
    assert 0.93 * perfect < floor.mean() < 1.01 * perfect


def test_perfect_models_reach_the_ceiling_and_collapsed_ones_do_not() -> None:
    rng = np.random.default_rng(6)
    truth = rng.dirichlet(np.full(4, 3.0), size=150)
    questions = [question(f"q{i}", rng.multinomial(40, p) / 40, n=40) for i, p in enumerate(truth)]
    shares = np.array([one.target.shares for one in questions])
    perfect = by_metric(ALIGNMENT.findings(records_of(questions, truth), seed=0))
    copy = by_metric(ALIGNMENT.findings(records_of(questions, shares), seed=0))
    collapsed = by_metric(ALIGNMENT.findings(records_of(questions, np.eye(4)[truth.argmax(axis=1)]), seed=0))
    for metric in ("total_variation", "js_divergence_nats", "js_distance", "wasserstein1", "cross_entropy_nats"):
        ceiling = perfect[metric].ceiling
        assert ceiling is not None
        assert ceiling.name == "resampled people"
        assert perfect[metric].estimate.value == pytest.approx(ceiling.estimate.value, rel=0.15), metric
        assert copy[metric].estimate.value <= ceiling.estimate.value * 1.001, metric
        if metric == "cross_entropy_nats":
            assert collapsed[metric].estimate.why_undefined == "infinite for 150 of 150 items"
        else:
            assert collapsed[metric].estimate.low > 2 * ceiling.estimate.high, metric
    ceiling = perfect["simbench_score"].ceiling
    assert ceiling is not None
    assert perfect["simbench_score"].estimate.value == pytest.approx(ceiling.estimate.value, abs=8)
    corrected = perfect["js_divergence_corrected_nats"]
    assert corrected.estimate.low < 0 < corrected.estimate.high


def test_two_halves_are_nearly_twice_as_far_as_the_floor() -> None:
    found = by_metric(
        ALIGNMENT.findings(records_of(questions := drawn_questions(80, seed=1), [q.target.shares for q in questions]), seed=0)
    )
    floor = found["total_variation"].ceiling
    assert floor is not None
    # each half is of n/2 people: variances add up to 4/n in place of 1/n
    assert found["split_half_total_variation"].estimate.value / floor.estimate.value == pytest.approx(2.0, abs=0.2)
    assert found["split_half_total_variation"].better == "neither"


@pytest.mark.data
def test_published_rows_of_the_new_york_times_books(data_dir: Path) -> None:
    """Meister et al. print .2233 for uniform and .1154 for resampling on this set; the second is of 30 draws, not of as many as
    were asked (6 to 31)."""
    questions = ALIGNMENT.material("nytimes", Setting(data_dir=data_dir)).questions
    people = np.array([one.target.shares for one in questions])
    n = np.array([float(one.target.n) for one in questions])
    keys = [one.item for one in questions]
    assert total_variation_distance(people, np.full(4, 1 / 4)).mean() == pytest.approx(0.2233, abs=0.0005)
    assert expected_total_variation(people, np.full(len(n), 30.0), keys, seed=0).mean() == pytest.approx(0.1154, abs=0.001)
    assert expected_total_variation(people, n, keys, seed=0).mean() == pytest.approx(0.1447, abs=0.001)
