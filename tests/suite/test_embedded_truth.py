"""Limits of held-out questions: by hand, against slow versions, and right on average about what happened."""

from __future__ import annotations

from math import factorial, log, prod

import numpy as np
import pytest

from pluralign.episodes import Episode, Example
from pluralign.errors import UsageError
from pluralign.ratings.simulated_bayes import Known, bayes_predict
from pluralign.suite.embedded_truth import (
    CASES,
    N_LABELS,
    KnownTruth,
    categorical_predictive,
    categorical_truth,
    coin_truth,
    excess_nats,
    population_truth,
    ratings_truth,
    values_truth,
)
from pluralign.suite.embedded_world import FIRST_HELD_OUT, ratings_in_order, simulate_people
from pluralign.suite.task import Around


def test_excess_is_the_kl_of_the_truth_to_the_model() -> None:
    episodes = [Episode("t", (Example("a"),), "d", ("a", "b"))] * 2
    truth = KnownTruth(episodes=episodes, probabilities=np.array([[0.5, 0.5], [1.0, 0.0]]))
    # .5 ln(.5/.25) + .5 ln(.5/.25) = ln 2: half of the probability lies outside of the options; 1 ln(1/.5) = ln 2
    found = excess_nats(truth.probabilities, np.log([[0.25, 0.25], [0.5, 1e-9]]))
    assert found == pytest.approx([log(2), log(2)], abs=1e-12)
    with pytest.raises(UsageError, match=r"\(2, 3\)"):
        excess_nats(truth.probabilities, np.zeros((2, 3)))


def test_a_coin_by_hand() -> None:
    truth = coin_truth(5, k=8)
    for episode, (heads, tails) in zip(truth.episodes, truth.probabilities.tolist(), strict=True):
        assert len(episode.examples) == 9
        assert episode.description is None
        n = sum(example.output == "Heads" for example in episode.examples[:8])
        assert heads == pytest.approx((n + 1) / 10, abs=1e-12)
        assert heads + tails == pytest.approx(1, abs=1e-12)


def test_the_categorical_predictive_against_a_slow_sum() -> None:
    # p(next = j | counts) = sum_K p(K) p(counts with j | K) / sum_K p(K) p(counts | K), with
    # p(counts | K) = (K - 1)! prod n_j! / (K + n - 1)! for labels below K
    rng = np.random.default_rng(0)
    sizes = [max(2, Around(12).draw(rng)) for _ in range(200_000)]
    law = np.bincount(sizes, minlength=N_LABELS + 1)[: N_LABELS + 1] / len(sizes)
    counts = [3, 0, 1, 2]

    def evidence(counts: list[int]) -> float:
        least = max(i + 1 for i, n in enumerate(counts) if n)
        one = [factorial(k - 1) / factorial(k + sum(counts) - 1) for k in range(1, N_LABELS + 1)]
        return prod(map(factorial, counts)) * sum(law[k] * one[k - 1] for k in range(max(least, 2), N_LABELS + 1))

    row = np.zeros((1, N_LABELS))
    row[0, :4] = counts
    found = categorical_predictive(row)[0]
    assert found.sum() == pytest.approx(1, abs=1e-9)
    for j in range(6):
        more = [*counts, 0, 0]
        more[j] += 1
        assert found[j] == pytest.approx(evidence(more) / evidence(counts), rel=0.03)  # the law of K was drawn, not computed


def test_ratings_are_those_of_the_bayes_predictive() -> None:
    numbers = range(FIRST_HELD_OUT, FIRST_HELD_OUT + 4)
    simulation = simulate_people(numbers.start, 4)
    shown = ratings_in_order(simulation, numbers)
    truth = ratings_truth(4, k=3)
    given = simulation.ratings.take(np.sort(np.concatenate([one.rows[:3] for one in shown])))
    items = np.array([one.item[3] for one in shown])
    expected = bayes_predict(simulation, items, np.arange(4), known=Known(examples=given)).probabilities
    np.testing.assert_allclose(truth.probabilities, expected, atol=1e-12)
    assert [len(episode.examples) for episode in truth.episodes] == [4] * 4
    assert truth.outcomes.tolist() == [int(one.option[3]) for one in shown]


@pytest.mark.parametrize(("k", "told"), [(3, "profile"), (3, "both"), (0, "nothing")])
def test_what_has_no_known_limit_is_refused(k: int, told: str) -> None:
    with pytest.raises(UsageError, match="no limit is known"):
        ratings_truth(2, k=k, told=told)  # type: ignore[arg-type]


def test_lists_have_no_options() -> None:
    with pytest.raises(UsageError, match="not one of several options"):
        values_truth(2, kind="list")


@pytest.mark.parametrize("name", [name for name in CASES if "profile" not in name])
def test_limits_come_true(name: str) -> None:
    # mean over questions of (-log p(what happened) - entropy) is 0 for the true law, with a standard error of sd / sqrt(n)
    truth = CASES[name](120)
    p, outcomes = truth.probabilities, truth.outcomes
    assert p.sum(axis=1) == pytest.approx(np.ones(120), abs=1e-9)
    assert len(truth.units) == 120
    assert {episode.options for episode in truth.episodes} == {truth.options}
    safe = np.maximum(p, 1e-300)
    surplus = -np.log(safe[np.arange(120), outcomes]) + (p * np.log(safe)).sum(axis=1)
    assert abs(surplus.mean()) < 4 * surplus.std() / np.sqrt(120)


def test_a_written_profile_tells_more_than_attributes() -> None:
    profile, attributes = (ratings_truth(40, k=0, told=told) for told in ("profile", "attributes"))
    entropy = [float(-(one.probabilities * np.log(one.probabilities)).sum(axis=1).mean()) for one in (profile, attributes)]
    assert entropy[0] < entropy[1] - 0.1


def test_the_same_questions_come_first() -> None:
    few, more = categorical_truth(3, k=8), categorical_truth(5, k=8)
    assert list(more.episodes[:3]) == list(few.episodes)
    assert list(population_truth(2).episodes) == list(population_truth(3).episodes[:2])
