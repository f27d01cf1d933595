"""How much wording, order and elicitation change a model's distribution."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping

import numpy as np
import polars as pl
import pytest

from evals.alignment_worlds import answering, by_metric, drawn_questions, lettered_question, question, records_of
from pluralign.errors import DataError, UsageError
from pluralign.evals.alignment import ALIGNMENT
from pluralign.evals.alignment_questions import Question
from pluralign.evals.alignment_records import query_of
from pluralign.evals.kinds import Setting
from pluralign.evals.sensitivity import averaged, sensitivity_findings, sensitivity_items
from pluralign.evals.sensitivity_elicitations import compare_elicitations
from pluralign.evals.sensitivity_variants import AS_IS, WORDINGS, in_other_orders, in_other_wordings
from pluralign.models import Query, ScriptedModel
from pluralign.suite.evaluation import Target

SETTING = Setting()
BOTH = ("Yes, of course", "No, never")


def _numbered(name: str) -> Question:
    one = question(name, (0.5, 0.3, 0.2))
    asked = dataclasses.replace(one.target, input=f"How is {name}?\n1: Low\n2: Middle\n3: High\nSay so.")
    return dataclasses.replace(one, target=asked)


# variants


def test_wordings_keep_all_that_is_said() -> None:
    original = question("tea", (0.5, 0.5))
    variants = in_other_wordings(original)
    assert [one.variant for one in variants] == [AS_IS, "in one", "question first", "with headings", "with cue"]
    assert len({query_of(one) for one in variants}) == 5
    for one in variants:
        asked = one.asked or one.target
        said = f"{asked.description or ''} {asked.input}"
        assert "How is tea?" in said
        assert "Somebody of None answers." in said
        assert (one.item, one.target, asked.options) == (original.item, original.target, original.target.options)


def test_without_a_description_some_frames_change_nothing() -> None:
    bare = question("tea", (0.5, 0.5))
    bare = dataclasses.replace(bare, target=dataclasses.replace(bare.target, description=None))
    assert [one.variant for one in in_other_wordings(bare)] == [AS_IS, "with headings", "with cue"]


def test_a_wording_may_not_change_the_answers() -> None:
    def other(target: Target) -> Target:
        return dataclasses.replace(target, options=("a", "b"))

    with pytest.raises(UsageError, match="wording 'other' changes the options"):
        in_other_wordings(question("tea", (0.5, 0.5)), {**WORDINGS, "other": other})


def test_behind_letters_the_texts_move() -> None:
    variants = in_other_orders(lettered_question("tea", (0.7, 0.3), BOTH), seed=0)
    assert [one.variant for one in variants] == [AS_IS, "order 1"]  # two options have one other order
    asked = variants[1].asked
    assert asked is not None
    assert asked.input == "How is tea?\nA: No, never\nB: Yes, of course"
    assert asked.options == ("A", "B")
    assert asked.shares == (0.3, 0.7)
    assert variants[1].order == (1, 0)


def test_numbers_move_with_their_texts() -> None:
    variants = in_other_orders(_numbered("tea"), seed=0, n_orders=5)
    assert len(variants) == 6  # all orders of three
    for one in variants[1:]:
        assert one.asked is not None
        assert one.order is None
        assert one.asked.options == ("1", "2", "3")
        lines = one.asked.input.split("\n")
        assert (lines[0], lines[-1]) == ("How is tea?", "Say so.")
        assert sorted(lines[1:4]) == ["1: Low", "2: Middle", "3: High"]
    assert len({one.asked.input for one in variants if one.asked}) == 5


def test_orders_differ_from_question_to_question_and_follow_the_seed() -> None:
    texts = tuple(f"text {k}" for k in range(8))
    questions = [lettered_question(f"q{i}", np.full(8, 1 / 8), texts) for i in range(6)]
    orders = [tuple(one.order for one in in_other_orders(q, seed=0)[1:]) for q in questions]
    assert len(set(orders)) == 6
    assert all(len(set(some)) == 3 and tuple(range(8)) not in some for some in orders)
    assert orders[4] == tuple(one.order for one in in_other_orders(questions[4], seed=0)[1:])
    assert orders[4] != tuple(one.order for one in in_other_orders(questions[4], seed=1)[1:])


@pytest.mark.parametrize(
    "texts",
    [("Yes", "None of the above"), ("One", "Two", "Both A and B"), ("See below", "No"), ("same", "same")],
)
def test_options_that_speak_of_others_stay_where_they_are(texts: tuple[str, ...]) -> None:
    one = lettered_question("tea", np.full(len(texts), 1 / len(texts)), texts)
    assert [variant.variant for variant in in_other_orders(one, seed=0)] == [AS_IS]


def test_options_that_are_not_listed_have_no_order() -> None:
    assert len(in_other_orders(question("tea", (0.5, 0.5)), seed=0)) == 1


# what is measured


def test_a_model_that_looks_at_letters_alone_is_as_sensitive_as_can_be() -> None:
    variants = [v for i in range(4) for v in in_other_orders(lettered_question(f"q{i}", (0.7, 0.3), BOTH), seed=0)]
    records = ALIGNMENT.ask(variants, ScriptedModel(lambda query: {"A": 1.0}), SETTING)
    assert records["logprobs"].to_list()[:2] == [[0.0, -math.inf], [-math.inf, 0.0]]  # the second A was the other text
    found = by_metric(sensitivity_findings(records, seed=0, metric="order_sensitivity"))
    assert found["order_sensitivity"].estimate.value == 1.0
    assert found["order_sensitivity_measured_share"].estimate.value == 1.0


def test_a_model_that_reads_the_texts_is_not() -> None:
    def reads(query: Query) -> Mapping[str, float]:
        lines = [line for line in (query.input or "").split("\n") if line[1:2] == ":"]
        return {line[0]: 0.8 if "Yes" in line else 0.2 for line in lines}

    variants = [v for i in range(4) for v in in_other_orders(lettered_question(f"q{i}", (0.7, 0.3), BOTH), seed=0)]
    records = ALIGNMENT.ask(variants, ScriptedModel(reads), SETTING)
    found = by_metric(sensitivity_findings(records, seed=0))["wording_sensitivity"]
    assert found.estimate.value == pytest.approx(0.0, abs=1e-12)
    assert found.ceiling is None


def _cued(query: Query) -> Mapping[str, float]:
    return {"1": 0.9, "2": 0.1} if (query.input or "").endswith("Answer:") else {"1": 0.5, "2": 0.5}


def test_sensitivity_is_the_mean_over_pairs_of_variants() -> None:
    questions = [variant for i in range(5) for variant in in_other_wordings(question(f"q{i}", (0.5, 0.5)))]
    records = ALIGNMENT.ask(questions, ScriptedModel(_cued), SETTING)
    # 4 of the 10 pairs of 5 wordings hold the cue, and are 0.4 apart
    values = sensitivity_items(records)["value"].to_list()
    assert values == [pytest.approx(0.16, abs=1e-12)] * 5
    assert by_metric(sensitivity_findings(records, seed=0))["wording_sensitivity"].estimate.value == pytest.approx(0.16)


def test_variants_that_were_not_answered_are_counted() -> None:
    one, two = (in_other_wordings(question(name, (0.5, 0.5))) for name in "ab")
    lost = records_of(one[1:], [(0.5, 0.5)] * 4, outcome="refusal")
    records = pl.concat([records_of(one[:1], [(0.5, 0.5)]), lost, records_of(two, [(0.5, 0.5)] * 5)])
    assert [math.isnan(value) for value in sensitivity_items(records)["value"]] == [True, False]
    found = by_metric(sensitivity_findings(records, seed=0))
    assert found["wording_sensitivity_measured_share"].estimate.value == pytest.approx(1 / 2)


def test_one_way_of_asking_has_no_sensitivity() -> None:
    records = records_of([question("a", (0.5, 0.5))], [(0.5, 0.5)])
    assert len(sensitivity_items(records)) == 0
    with pytest.raises(DataError, match="no question was asked in two ways"):
        sensitivity_findings(records, seed=0)


def test_samples_differ_by_chance_and_the_ceiling_says_how_much() -> None:
    rng = np.random.default_rng(0)
    questions = [variant for i in range(60) for variant in in_other_wordings(question(f"q{i}", (0.5, 0.3, 0.2)))]
    models = rng.multinomial(30, (0.5, 0.3, 0.2), size=len(questions)) / 30
    records = records_of(questions, models, elicitation="sampling", n_samples=30)
    found = by_metric(sensitivity_findings(records, seed=0))["wording_sensitivity"]
    assert found.ceiling is not None
    assert found.estimate.value > 0.1  # of a model that does not change at all
    assert found.ceiling.estimate.value == pytest.approx(found.estimate.value, rel=0.1)


def test_the_mean_over_wordings_is_measured_like_any_record() -> None:
    questions = [variant for i in range(3) for variant in in_other_wordings(question(f"q{i}", (0.5, 0.5)))]
    mean = averaged(ALIGNMENT.ask(questions, ScriptedModel(_cued), SETTING))
    assert mean["item"].to_list() == ["q0", "q1", "q2"]
    # (4 x 1/2 + 9/10) / 5 = 0.58
    np.testing.assert_allclose(np.exp(mean["logprobs"].to_list()), [[0.58, 0.42]] * 3, atol=1e-12)
    found = by_metric(ALIGNMENT.findings(mean, seed=0))["total_variation"]
    assert found.estimate.value == pytest.approx(0.08, abs=1e-12)


def test_the_mean_of_covered_masses_and_of_what_was_refused() -> None:
    one, two = (in_other_wordings(question(name, (0.5, 0.5)))[:2] for name in "ab")
    good = records_of(one, [(0.5, 0.0), (0.25, 0.25)])
    refused = records_of(two[1:], [(0.5, 0.5)], outcome="refusal")
    mean = averaged(pl.concat([good, records_of(two[:1], [(0.5, 0.5)]), refused]))
    assert mean["covered_mass"].to_list() == [pytest.approx(0.5), pytest.approx(math.nan, nan_ok=True)]
    np.testing.assert_allclose(np.exp(mean["logprobs"][0]), [0.375, 0.125], atol=1e-12)
    assert mean["outcome"].to_list() == ["ok", "refusal"]
    assert mean["detail"][1].startswith("1 of 2 variants: in one")
    assert len(ALIGNMENT.findings(mean, seed=0)) > 0


def test_elicitations_are_compared_on_the_questions_that_both_have() -> None:
    questions = [question(f"q{i}", (0.5, 0.5)) for i in range(4)]
    own = records_of(questions, [(0.5, 0.5)] * 4)
    sampled = records_of(questions, [(0.6, 0.4)] * 4, elicitation="sampling", n_samples=10)
    said = records_of(questions[1:], [(0.9, 0.1)] * 3, elicitation="verbalised")
    lost = records_of(questions[:1], [(0.9, 0.1)], elicitation="verbalised", outcome="malformed")
    found = compare_elicitations(pl.concat([own, sampled, said, lost]), seed=0)
    values = {(one.group, one.metric): one.estimate.value for one in found}
    expected = {"logprobs, sampling": 0.1, "logprobs, verbalised": 0.4, "sampling, verbalised": 0.3}
    for pair, apart in expected.items():
        assert values[pair, "elicitation_sensitivity"] == pytest.approx(apart, abs=1e-12)
        assert values[pair, "elicitation_change"] == pytest.approx(apart, abs=1e-12)  # all are further from people
    assert {one.estimate.n for one in found if one.group == "logprobs, verbalised"} == {3}


def test_what_cannot_be_compared_is_refused() -> None:
    records = records_of([question("a", (0.5, 0.5))], [(0.5, 0.5)])
    with pytest.raises(DataError, match="one elicitation only"):
        compare_elicitations(records, seed=0)
    twice = pl.concat([records, records, records.with_columns(elicitation=pl.lit("sampling"))])
    with pytest.raises(DataError, match="a question comes twice"):
        compare_elicitations(twice, seed=0)


def test_elicitations_of_variants_are_apart() -> None:
    questions = [variant for i in range(3) for variant in in_other_wordings(question(f"q{i}", (0.5, 0.5)))]
    flat = records_of(questions, [(0.5, 0.5)] * len(questions))
    models = [(0.9, 0.1) if one.variant == "with cue" else (0.5, 0.5) for one in questions]
    said = records_of(questions, models, elicitation="verbalised")
    found = {
        f.group: f.estimate.value for f in sensitivity_findings(pl.concat([flat, said]), seed=0) if "share" not in f.metric
    }
    assert found == {"logprobs": pytest.approx(0.0, abs=1e-12), "verbalised": pytest.approx(0.16, abs=1e-12)}


def test_variants_of_a_drawn_task_are_asked_like_any_question() -> None:
    questions = [variant for one in drawn_questions(3, seed=1) for variant in in_other_wordings(one)]
    shares = [one.target.shares for one in questions]
    records = ALIGNMENT.ask(questions, answering(questions, shares), SETTING)
    names = list(itertools.chain.from_iterable([[f"q{i}"] * 5 for i in range(3)]))
    assert records["item"].to_list() == names
    assert averaged(records)["variant"].to_list() == [""] * 3
