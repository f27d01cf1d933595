"""The evaluations that ask questions again: which tasks, what records say, what a run, its card and exports make of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
import pytest

from evals.alignment_worlds import by_metric, lettered_question, question
from pluralign import evaluating
from pluralign.errors import UsageError
from pluralign.evals.alignment_questions import Question
from pluralign.evals.compare import compared
from pluralign.evals.evaluate import planned
from pluralign.evals.export_lm_eval import to_lm_eval
from pluralign.evals.kinds import Material, Setting
from pluralign.evals.registry import KINDS, chosen
from pluralign.evals.results import read_records
from pluralign.evals.sensitivity_kind import SENSITIVITY, VariedQuestion
from pluralign.models import Query
from pluralign.models.scripted import ScriptedModel

BOTH = ("Yes, of course", "No, never")
SETTING = Setting()


def _asked_of(
    monkeypatch: pytest.MonkeyPatch, questions: Sequence[Question], answer: Mapping[str, float] | ScriptedModel
) -> tuple[Material, pl.DataFrame]:
    """Material and records of these questions in the place of a task's."""
    material = Material(task="made", questions=questions, unit="question")
    monkeypatch.setattr("pluralign.evals.sensitivity_kind.ALIGNMENT.material", lambda task, setting: material)
    varied = SENSITIVITY.material("made", SETTING)
    model = answer if isinstance(answer, ScriptedModel) else ScriptedModel(lambda _: answer)
    return varied, SENSITIVITY.ask(varied.questions, model, SETTING)


# which tasks


def test_a_task_alone_does_not_mean_those_that_ask_it_again() -> None:
    assert chosen(("urn", "rng_1_10")) == [("alignment", "urn"), ("coverage", "rng_1_10")]
    assert chosen(("sensitivity/urn", "elicitation/states")) == [("sensitivity", "urn"), ("elicitation", "states")]
    assert chosen(("verbalized-coverage/rng_1_10",)) == [("verbalized-coverage", "rng_1_10")]
    assert ("sensitivity", "urn") in chosen(("sensitivity",))
    with pytest.raises(UsageError, match="'sensitivity'"):
        chosen(("sensitivty",))


def test_only_cheap_ones_are_asked_unless_they_are_named() -> None:
    usual = {evaluation for evaluation, _ in chosen(())}
    assert "sensitivity" in usual
    assert not usual & {"elicitation", "verbalized-coverage"}
    assert {"elicitation", "verbalized-coverage"} < set(KINDS)


def test_files_of_ratings_can_be_asked_again(tmp_path: Path) -> None:
    rows = [f"q{i},r{j},{(i + j) % 2}" for i in range(3) for j in range(6)]
    (tmp_path / "votes.csv").write_text("\n".join(["item_id,rater_id,rating", *rows]))
    file = f"ratings:{tmp_path / 'votes.csv'}"
    assert chosen((f"sensitivity/{file}", file)) == [("sensitivity", file), ("alignment", file)]
    [(kind, material)] = planned([f"sensitivity/{file}"], SETTING).materials
    assert (kind.name, len(material.questions), material.requests_each) == ("sensitivity", 3, 5)
    with pytest.raises(UsageError):
        chosen((f"coverage/{file}",))


def test_a_hundred_questions_are_usual_and_a_part_of_those_of_alignment() -> None:
    few, many = (SENSITIVITY.material("urn", Setting(limit=limit)).questions for limit in (None, 120))
    assert (len(few), len(many)) == (100, 120)
    assert {one.wordings[0].item for one in few} < {one.wordings[0].item for one in many}


# what is asked and found


def test_every_way_of_asking_is_a_record_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    material, records = _asked_of(
        monkeypatch, [lettered_question("tea", (0.7, 0.3), BOTH), question("jam", (0.5, 0.5))], {"A": 1.0}
    )
    tea, jam = material.questions
    assert isinstance(tea, VariedQuestion)
    assert material.requests_each == 6
    assert str(material.left_out[0]).startswith("1 of 2 questions: their options are not listed")
    assert jam.orders == ()
    variants = records.filter(pl.col("item") == "tea")["variant"].to_list()
    assert variants == ["as is", "in one", "question first", "with headings", "with cue", "order 1"]


def test_wording_and_order_are_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model looks at letters alone: another order turns its answer round, another wording leaves it."""
    questions = [lettered_question(f"q{i}", (0.7, 0.3), BOTH) for i in range(4)]
    _, records = _asked_of(monkeypatch, questions, {"A": 0.9, "B": 0.1})
    found = by_metric(SENSITIVITY.findings(records, seed=0))
    assert found["wording_sensitivity"].estimate.value == pytest.approx(0.0, abs=1e-12)
    assert found["order_sensitivity"].estimate.value == pytest.approx(0.8, abs=1e-12)
    assert {name for name, one in found.items() if one.is_headline} == {"wording_sensitivity", "order_sensitivity"}
    # of the wordings alone: |0.9 - 0.7|
    assert found["mean_wording_total_variation"].estimate.value == pytest.approx(0.2, abs=1e-12)
    assert found["mean_wording_total_variation"].floor is not None
    assert found["mean_wording_js_distance"].estimate.is_defined


def test_the_mean_is_over_wordings(monkeypatch: pytest.MonkeyPatch) -> None:
    def cued(query: Query) -> Mapping[str, float]:
        return {"1": 0.9, "2": 0.1} if (query.input or "").endswith("Answer:") else {"1": 0.5, "2": 0.5}

    _, records = _asked_of(monkeypatch, [question(f"q{i}", (0.5, 0.5)) for i in range(3)], ScriptedModel(cued))
    found = by_metric(SENSITIVITY.findings(records, seed=0))
    # 4 of 10 pairs are 0.4 apart; (4 x 0.5 + 0.9) / 5 = 0.58
    assert found["wording_sensitivity"].estimate.value == pytest.approx(0.16, abs=1e-12)
    assert found["mean_wording_total_variation"].estimate.value == pytest.approx(0.08, abs=1e-12)
    order = found["order_sensitivity"]
    assert (order.estimate.is_defined, order.is_headline) == (False, False)
    assert "another order" in str(order.estimate.why_undefined)


def test_refused_variants_have_no_value_and_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ScriptedModel(lambda _: {"1": 0.5, "2": 0.5}, faults={"refusal": 1.0})
    _, records = _asked_of(monkeypatch, [question(f"q{i}", (0.5, 0.5)) for i in range(3)], model)
    found = by_metric(SENSITIVITY.findings(records, seed=0))
    assert found["wording_sensitivity"].estimate.why_undefined == "no question has a distribution in two ways of asking"
    assert found["wording_sensitivity_measured_share"].estimate.value == 0.0
    assert found["mean_wording_answered_share"].estimate.value == 0.0
    assert SENSITIVITY.items(records).filter(pl.col("metric") == "wording_sensitivity")["value"].is_nan().all()


# a run


def _leaning(cue: float) -> ScriptedModel:
    def shares(query: Query) -> Mapping[str, float]:
        first, *rest = query.asked_options
        share = cue if (query.input or "").endswith("Answer:") else 0.5
        return {first: share, **dict.fromkeys(rest, (1 - share) / len(rest))}

    return ScriptedModel(shares, revision=f"cue {cue}")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name, cue in (("calm", 0.5), ("moved", 0.9)):
        tasks = ["sensitivity/urn", "urn"]
        evaluating.evaluate(_leaning(cue), folder / name, tasks=tasks, setting=Setting(limit=12))
    return folder


def test_a_run_is_measured_again_and_compared(runs: Path) -> None:
    before = (runs / "moved" / "results.json").read_text()
    evaluating.rescore(runs / "moved")
    assert (runs / "moved" / "results.json").read_text() == before
    differences = {
        one.metric: one for one in compared([runs / "calm", runs / "moved"]).differences if one.evaluation == "sensitivity"
    }
    moved = differences["wording_sensitivity"]
    assert moved.estimate.value == pytest.approx(0.16, abs=1e-12)
    assert (moved.n_items, moved.is_clear, moved.is_headline) == (12, True, True)
    assert "mean_wording_total_variation" in differences


def test_the_card_says_what_changes(runs: Path) -> None:
    page = (runs / "moved" / "report.html").read_text()
    assert "Between two wordings of a question 16% of its answers change, in the mean." in page
    assert "12 of 12 questions: their options are not listed" in page
    records = read_records(runs / "moved", "sensitivity")
    assert len(records) == 60
    assert records["variant"].n_unique() == 5


def test_exports_name_the_variant(runs: Path, tmp_path: Path) -> None:
    results, first, _ = to_lm_eval(runs / "moved", tmp_path)
    lines = [json.loads(line) for line in first.read_text().splitlines()]
    assert [one["doc"]["variant"] for one in lines[:2]] == ["as is", "in one"]
    assert set(json.loads(lines[0]["target"])) == set(lines[0]["doc"]["options"])
    assert len(lines[0]["resps"]) == len(lines[0]["doc"]["options"])
    found = json.loads(results.read_text())
    assert found["results"]["sensitivity_urn"]["wording_sensitivity,none"] == pytest.approx(0.16, abs=1e-12)
    assert found["configs"]["sensitivity_urn"]["output_type"] == "multiple_choice"


def test_what_two_evaluations_leave_out_of_a_task_is_told_together(runs: Path) -> None:
    from pluralign.evals.kinds import LeftOut
    from pluralign.evals.results import read_evaluated
    from pluralign.report.card_run import card_of

    found = read_evaluated(runs / "calm")
    beyond = LeftOut("questions", 1, 9, "beyond the limit")
    both = dataclasses.replace(
        found, left_out={"alignment": {"urn": [beyond]}, "sensitivity": {"urn": [beyond, LeftOut("a", 1, 2, "b")]}}
    )
    card = card_of(both, {name: read_records(runs / "calm", name) for name in both.findings})
    assert [one.what for one in card.left_out["urn"]] == ["questions", "a"]
