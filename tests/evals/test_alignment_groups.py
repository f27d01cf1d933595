"""Steering to groups: by hand, beside a slow version, for models that copy, ignore or swap groups."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from evals.alignment_worlds import by_metric, question, records_of
from pluralign.evals.alignment import ALIGNMENT
from pluralign.evals.alignment_groups import pair_gain
from pluralign.evals.alignment_questions import Question

GROUPS = ("men", "women", "others")


def _questions(n_questions: int, *, seed: int, spread: float = 4.0, n_people: int = 40) -> list[Question]:
    """The groups differ the less, the larger `spread` is; not at all where it is infinite."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n_questions):
        base = rng.dirichlet(np.full(4, 3.0))
        for group in GROUPS:
            truth = base if math.isinf(spread) else rng.dirichlet(base * spread + 0.05)
            shares = rng.multinomial(n_people, truth) / n_people
            found.append(question(f"q{i}", shares, n=n_people, group=group))
    return found


def _tv(p: np.ndarray, q: np.ndarray) -> float:
    return float(sum(abs(a - b) for a, b in zip(p.tolist(), q.tolist(), strict=True)) / 2)


def test_two_groups_by_hand() -> None:
    people = np.array([[[3 / 4, 1 / 4], [1 / 4, 3 / 4]]])
    model = np.array([[[1 / 2, 1 / 2], [1 / 4, 3 / 4]]])
    # own: 1/4 and 0; the other's description: TV(m_2, p_1) = 1/2, TV(m_1, p_2) = 1/4: (1/2 + 1/4)/2 - (1/4 + 0)/2 = 1/4
    gain, difference = pair_gain(model, people)
    assert gain == pytest.approx(1 / 4, abs=1e-12)
    assert difference == pytest.approx(1 / 2, abs=1e-12)


def test_gain_is_the_mean_over_ordered_pairs_and_bounded_by_the_difference() -> None:
    rng = np.random.default_rng(1)
    for n_groups in (2, 3, 5):
        model, people = rng.dirichlet(np.ones(4), size=(2, n_groups))
        pairs = list(itertools.permutations(range(n_groups), 2))
        slow = sum(_tv(model[h], people[g]) - _tv(model[g], people[g]) for g, h in pairs) / len(pairs)
        between = sum(_tv(people[g], people[h]) for g, h in pairs) / len(pairs)
        gain, difference = pair_gain(model[None], people[None])
        assert (gain, difference) == (pytest.approx(slow, abs=1e-12), pytest.approx(between, abs=1e-12))
        assert abs(gain) <= difference + 1e-12


def test_models_that_copy_ignore_and_swap_groups() -> None:
    questions = _questions(30, seed=2)
    shares = np.array([one.target.shares for one in questions])
    mean = shares.reshape(30, 3, 4).mean(axis=1).repeat(3, axis=0)
    swapped = np.roll(shares.reshape(30, 3, 4), 1, axis=1).reshape(90, 4)
    shown = {}
    for name, model in (("copy", shares), ("ignored", mean), ("swapped", swapped)):
        shown[name] = by_metric(ALIGNMENT.findings(records_of(questions, model), seed=0))["steering_share"]
    assert shown["copy"].estimate.value == pytest.approx(1.0, abs=1e-12)
    assert shown["ignored"].estimate.value == pytest.approx(0.0, abs=1e-12)
    assert shown["swapped"].estimate.high < 0
    floor, ceiling = shown["copy"].floor, shown["copy"].ceiling
    assert floor is not None
    assert ceiling is not None
    assert floor.estimate.value == 0
    assert 0 < ceiling.estimate.low < ceiling.estimate.high < 1


@pytest.mark.parametrize("n_people", [12, 100])
def test_groups_that_do_not_differ_have_a_ceiling_of_nothing(n_people: int) -> None:
    questions = _questions(60, seed=3, spread=math.inf, n_people=n_people)
    records = records_of(questions, [one.target.shares for one in questions])
    ceiling = by_metric(ALIGNMENT.findings(records, seed=0))["steering_gain"].ceiling
    assert ceiling is not None
    assert ceiling.estimate.low < 0.01
    assert abs(ceiling.estimate.value) < 0.03


def test_the_ceiling_is_below_what_a_perfect_model_gains() -> None:
    rng = np.random.default_rng(4)
    questions, truth = [], []
    for i in range(50):
        for group in GROUPS:
            p = rng.dirichlet(np.full(4, 2.0))
            truth.append(p)
            questions.append(question(f"q{i}", rng.multinomial(20, p) / 20, n=20, group=group))
    found = by_metric(ALIGNMENT.findings(records_of(questions, truth), seed=0))["steering_gain"]
    assert found.ceiling is not None
    assert 0.6 * found.estimate.value < found.ceiling.estimate.value < found.estimate.value


def test_intervals_and_items_are_of_questions() -> None:
    questions = _questions(10, seed=5)
    records = records_of(questions, [one.target.shares for one in questions])
    found = by_metric(ALIGNMENT.findings(records, seed=0))["steering_gain"]
    assert (found.estimate.n, found.estimate.unit) == (10, "question")
    items = ALIGNMENT.items(records)
    gains = items.filter(items["metric"] == "steering_gain")
    assert gains["item"].to_list() == [f"q{i}" for i in range(10)]
    assert gains["value"].mean() == pytest.approx(found.estimate.value, abs=1e-12)


def test_every_group_is_measured_apart() -> None:
    questions = _questions(12, seed=6)
    flat = [[0.25] * 4 if one.group == "men" else one.target.shares for one in questions]
    findings = ALIGNMENT.findings(records_of(questions, flat), seed=0)
    assert {finding.group for finding in findings} == {None, *GROUPS}
    women, men = (by_metric(findings, group=group)["total_variation"] for group in ("women", "men"))
    assert women.estimate.value == pytest.approx(0.0, abs=1e-12)
    assert men.floor is not None
    assert men.estimate.value == pytest.approx(men.floor.estimate.value, abs=1e-12)
    assert (men.estimate.n, men.estimate.unit, men.is_headline) == (12, "question", False)


def test_a_group_without_an_answer_is_left_out_of_its_question() -> None:
    questions = _questions(4, seed=7)
    models: list[object] = [one.target.shares for one in questions]
    good = records_of(questions[1:], models[1:])
    records = records_of(questions[:1], models[:1], outcome="refusal").extend(good)
    items = ALIGNMENT.items(records)
    values = items.filter(items["metric"] == "steering_gain")["value"]
    shares = np.array([one.target.shares for one in questions[1:3]])
    assert values[0] == pytest.approx(_tv(shares[0], shares[1]), abs=1e-12)  # of the two that are left, copied
    both = records_of(questions[:2], models[:2], outcome="refusal").extend(records_of(questions[2:], models[2:]))
    items = ALIGNMENT.items(both)
    assert math.isnan(items.filter(items["metric"] == "steering_gain")["value"][0])


def test_without_groups_there_is_nothing_to_steer() -> None:
    questions = [question(f"q{i}", (0.5, 0.5)) for i in range(3)]
    findings = ALIGNMENT.findings(records_of(questions, [(0.5, 0.5)] * 3), seed=0)
    assert {finding.group for finding in findings} == {None}
    assert not any(finding.metric.startswith("steering") for finding in findings)


def test_groups_of_different_questions_are_not_compared() -> None:
    questions = [question(f"q{i}", (0.5, 0.5), group=group) for i, group in enumerate(("men", "women"))]
    findings = ALIGNMENT.findings(records_of(questions, [(0.5, 0.5)] * 2), seed=0)
    assert not any(finding.metric.startswith("steering") for finding in findings)
