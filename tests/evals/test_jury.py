from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from evals.jury_people import (
    PROMPTS,
    RESPONSES,
    certain,
    judge,
    knowing,
    people,
    questions,
    utility,
    write_people,
    write_questions,
)
from pluralign.errors import DataError, UsageError
from pluralign.estimates import Estimate
from pluralign.evals.findings import ITEM_SCHEMA, Finding
from pluralign.evals.judge_models import Judge, Judges
from pluralign.evals.jurors import LanguageModelJurors
from pluralign.evals.jury import JURY, RECORD_SCHEMA, Jury
from pluralign.evals.jury_files import OWN
from pluralign.evals.kinds import Setting
from pluralign.metrics import p_mean
from pluralign.models import LanguageModel, Query, ScriptedModel

SETTING = Setting(seed=0)


def files(folder: Path, **more: Any) -> tuple[Path, Path]:
    return write_questions(folder / "asked.jsonl", questions(**more)), write_people(folder / "panel.jsonl")


def found_of(
    task: str, model: LanguageModel, kind: Jury = JURY, setting: Setting = SETTING
) -> tuple[pl.DataFrame, list[Finding]]:
    material = kind.material(task, setting)
    records = kind.ask(material.questions, model, setting)
    return records, kind.findings(records, seed=0)


def one(found: list[Finding], metric: str, group: str | None = None) -> Finding:
    [finding] = [f for f in found if f.metric == metric and f.group == group]
    return finding


def truth(p: float) -> np.ndarray:
    """Welfare [prompts, responses], from the law of the made-up people."""
    table = [[[utility(person, text + "!" * n) for person in people()] for text in RESPONSES.values()] for n in range(3)]
    return p_mean(np.array(table), p)


def shown(query: Query) -> dict[str, str]:
    """Letter to response."""
    return {name: text for name, text in json.loads(query.input or "").items() if name != "prompt"}


def by_letter(wanted: str) -> Any:
    """Chooses the response that begins so, wherever it stands."""

    def distribution(query: Query) -> dict[str, float]:
        return {letter: float(text.startswith(wanted)) for letter, text in shown(query).items()}

    return distribution


def test_a_judge_that_knows_the_people_chooses_the_best_of_every_prompt(tmp_path: Path) -> None:
    asked, panel = files(tmp_path)
    records, found = found_of(f"jury:{asked}?people={panel}", judge())
    assert records.schema == pl.Schema(RECORD_SCHEMA)
    assert len(records) == 3 * 3 * 8
    assert set(records["outcome"]) == {"ok"}
    for p, name in ((1.0, "1"), (0.0, "0"), (-1.0, "-1"), (-math.inf, "-inf"), (math.inf, "inf")):
        score = one(found, f"jury_welfare_p{name}")
        assert score.floor is not None
        assert score.ceiling is not None
        assert score.estimate.value == pytest.approx(truth(p).max(axis=1).mean(), abs=1e-12)
        assert score.ceiling.estimate.value == pytest.approx(score.estimate.value, abs=1e-12)
        assert score.floor.estimate.value == pytest.approx(truth(p).mean(), abs=1e-12)
        for k, response in enumerate(RESPONSES):
            assert one(found, f"jury_welfare_p{name}", response).estimate.value == pytest.approx(
                truth(p)[:, k].mean(), abs=1e-12
            )
    assert one(found, "juror_error").estimate.value == pytest.approx(0, abs=1e-12)
    assert one(found, "judged").estimate.value == one(found, "answered").estimate.value == 1.0
    assert [f.metric for f in found if f.is_headline] == ["jury_welfare_p-inf", "jury_welfare_p1"]


def test_a_judge_that_knows_no_doubt_is_worse(tmp_path: Path) -> None:
    asked, panel = files(tmp_path)
    _, knows = found_of(f"jury:{asked}?people={panel}", judge())
    _, collapsed = found_of(f"jury:{asked}?people={panel}", judge(certain))
    assert one(collapsed, "juror_error").estimate.low > one(knows, "juror_error").estimate.high + 0.02
    assert one(collapsed, "jury_welfare_p0").estimate.value < one(knows, "jury_welfare_p0").estimate.value


def test_women_and_men_prefer_different_responses(tmp_path: Path) -> None:
    asked, panel = files(tmp_path)
    _, women = found_of(f"jury:{asked}?people={panel}&jury=4 woman", judge())
    _, men = found_of(f"jury:{asked}?people={panel}&jury=4 gender=man", judge())
    for found, liked, other in ((women, "long", "short"), (men, "short", "long")):
        assert one(found, "juries_preferring", liked).estimate.value == 1.0
        assert one(found, "juries_preferring", other).estimate.value == 0.0
        assert one(found, "jury_welfare_p1", liked).estimate.value > one(found, "jury_welfare_p1", other).estimate.value
        difference = [f for f in found if f.metric == "welfare_difference_p1" and f.group == f"{liked} over {other}"]
        assert len(difference) == 1
        assert difference[0].estimate.low > 0
        assert "(Holm)" in difference[0].label


def test_a_jury_needs_people(tmp_path: Path) -> None:
    asked, panel = files(tmp_path)
    _, found = found_of(f"jury:{asked}?people={panel}", judge())
    assert "enough people for a jury of 12 people" in str(one(found, "jury_agreement").estimate.why_undefined)
    _, found = found_of(f"jury:{asked}?people={panel}&seats=8", judge())
    assert one(found, "jury_agreement").estimate.value == 1.0  # all of them, every time
    _, found = found_of(f"jury:{asked}?people={panel}&seats=3", judge())
    agreement = one(found, "jury_agreement")
    assert agreement.floor is not None
    assert agreement.floor.estimate.value == pytest.approx(1 / 3)
    assert 1 / 3 < agreement.estimate.value < 1
    each = [one(found, "juries_preferring", name).estimate.value for name in RESPONSES]
    assert sum(each) == pytest.approx(1)


def test_choosing_by_letter_does_not_depend_on_the_letter(tmp_path: Path) -> None:
    asked, _ = files(tmp_path)
    records, found = found_of(f"jury:{asked}", ScriptedModel(by_letter("Rather")))
    assert one(found, "jury_welfare_p1").estimate.value == pytest.approx(truth(1.0)[:, 1].mean(), abs=1e-12)
    assert one(found, "answered").estimate.value == 1.0
    picked = records.filter(pl.col("response") == "middle")
    assert set(picked["probability"]) == {1.0}
    # a taste for the letter A alone is a taste for no response: over many questions it is the floor
    many = [{**questions()[n % 3], "id": f"q{n}"} for n in range(60)]
    task = f"jury:{write_questions(tmp_path / 'many.jsonl', many)}"
    _, found = found_of(task, ScriptedModel(lambda query: {"A": 1.0}))
    score = one(found, "jury_welfare_p1")
    assert score.floor is not None
    assert abs(score.estimate.value - score.floor.estimate.value) < 0.02


def test_probabilities_of_a_choice_are_averaged(tmp_path: Path) -> None:
    asked, _ = files(tmp_path)

    def torn(query: Query) -> dict[str, float]:
        return {letter: 0.6 if text.startswith("Rather") else 0.1 for letter, text in shown(query).items()}

    _, found = found_of(f"jury:{asked}", ScriptedModel(torn))
    expected = (truth(1.0) * np.array([1 / 8, 6 / 8, 1 / 8])).sum(axis=1).mean()
    assert one(found, "jury_welfare_p1").estimate.value == pytest.approx(expected, abs=1e-12)


def test_a_response_of_the_models_own(tmp_path: Path) -> None:
    asked, panel = files(tmp_path, given=False)
    own = "My own view of it."
    kind = Jury(jurors=LanguageModelJurors(judge()))
    records, found = found_of(f"jury:{asked}?people={panel}&as=writes", ScriptedModel(lambda query: {own: 1.0}), kind)
    written = records.filter(pl.col("response") == OWN)
    assert set(written["text"]) == {own}
    assert not written["is_candidate"].any()
    expected = p_mean(np.array([utility(person, own) for person in people()]), 1.0)
    score = one(found, "jury_welfare_p1")
    assert score.estimate.value == pytest.approx(float(expected), abs=1e-12)
    assert one(found, "jury_welfare_p1", OWN).estimate.value == pytest.approx(float(expected), abs=1e-12)
    assert score.ceiling is not None
    assert score.ceiling.estimate.value == pytest.approx(truth(1.0).max(axis=1).mean(), abs=1e-12)
    assert not [f for f in found if f.metric == "juries_preferring" and f.group == OWN]


def test_a_judge_is_opened_by_its_name_once(tmp_path: Path) -> None:
    asked, panel = files(tmp_path, given=False)
    opened: list[str] = []

    def open_one(name: str, *_: object, **__: object) -> LanguageModel:
        opened.append(name)
        return judge()

    setting = Setting(judges=Judges(open_model=open_one))
    task = f"jury:{asked}?people={panel}&as=writes&judge=scripted/seed=3"
    material = JURY.material(task, SETTING)
    model = ScriptedModel(lambda query: {"Yes.": 1.0})
    assert list(material.judges) == [Judge("scripted/seed=3")]
    parts = [JURY.ask([question], model, setting) for question in material.questions]
    assert opened == ["scripted/seed=3"]
    assert pl.concat(parts).equals(JURY.ask(material.questions, model, setting))


def test_replies_that_are_no_answer_are_counted(tmp_path: Path) -> None:
    asked, panel = files(tmp_path, given=False)
    many = [{**questions(given=False)[0], "id": f"q{n}", "prompt": f"Shall we {n}?"} for n in range(40)]
    task = f"jury:{write_questions(tmp_path / 'many.jsonl', many)}?people={panel}&as=writes"
    writer = ScriptedModel(lambda query: {"Yes.": 0.7, "so " * 300: 0.3}, faults={"refusal": 0.2}, seed=5)
    records, found = found_of(task, writer, Jury(jurors=LanguageModelJurors(judge())))
    own = records.filter(pl.col("response") == OWN)
    outcomes = set(own["outcome"])
    assert outcomes == {"ok", "refusal", "length"}
    assert own.filter(pl.col("outcome") != "ok")["utility"].is_nan().all()
    share = (own.group_by("item").agg(pl.col("outcome").first())["outcome"] == "ok").mean()
    assert one(found, "answered").estimate.value == pytest.approx(share)
    assert one(found, "jury_welfare_p1").estimate.is_defined
    # jurors who do not answer
    refusing = judge(knowing, faults={"refusal": 0.1}, seed=2)
    records, found = found_of(f"jury:{asked}?people={panel}", refusing)
    refused = records.filter(pl.col("outcome") == "refusal")
    assert 0 < len(refused) < len(records)
    whole = records.group_by("item", "unit").agg((pl.col("outcome") == "ok").all())["outcome"].mean()
    assert one(found, "judged").estimate.value == pytest.approx(whole)
    # a choice that was refused
    asked, _ = files(tmp_path)
    records, found = found_of(f"jury:{asked}", ScriptedModel(by_letter("No."), faults={"refusal": 1.0}))
    assert set(records["outcome"]) == {"refusal"}
    assert not one(found, "jury_welfare_p1").estimate.is_defined
    assert one(found, "answered").estimate.value == 0.0
    assert one(found, "jury_welfare_p1", "long").estimate.is_defined


def test_predicted_jurors_without_a_truth_give_no_score(tmp_path: Path) -> None:
    asked, panel = files(tmp_path, given=False)
    records, found = found_of(f"jury:{asked}?people={panel}", judge())
    assert not [f for f in found if f.metric.startswith("jury_welfare") or f.metric == "juror_error"]
    predicted = one(found, "predicted_welfare_p1")
    assert predicted.better == "neither"
    assert predicted.estimate.value == pytest.approx(truth(1.0).mean(), abs=1e-12)
    assert JURY.items(records).is_empty()


def test_items_are_what_the_score_is_the_mean_of(tmp_path: Path) -> None:
    asked, panel = files(tmp_path)
    records, found = found_of(f"jury:{asked}?people={panel}", judge(certain))
    items = JURY.items(records)
    assert items.schema == pl.Schema(ITEM_SCHEMA)
    for name in ("1", "-inf", "0.5"):
        rows = items.filter(pl.col("metric") == f"jury_welfare_p{name}")
        assert rows["item"].to_list() == ["q0", "q1", "q2"]
        assert rows["value"].mean() == pytest.approx(one(found, f"jury_welfare_p{name}").estimate.value, abs=1e-12)


def test_order_and_limit_change_nothing(tmp_path: Path) -> None:
    asked, panel = files(tmp_path)
    task = f"jury:{asked}?people={panel}"
    whole = JURY.material(task, SETTING)
    assert [q.item for q in JURY.material(task, Setting(limit=2)).questions] == ["q0", "q1"]
    backwards = JURY.ask(whole.questions[::-1], judge(), SETTING)
    again = JURY.ask(whole.questions, judge(), SETTING)
    assert backwards.sort("item", maintain_order=True).equals(again)
    assert JURY.findings(backwards, seed=0)[0].estimate.value == pytest.approx(JURY.findings(again, seed=0)[0].estimate.value)
    assert repr(whole.questions[0]) == repr(JURY.material(task, SETTING).questions[0])  # what a run is told apart by
    choosers = JURY.material(f"jury:{asked}", SETTING).questions
    one_by_one = [JURY.ask([q], ScriptedModel(by_letter("No.")), SETTING) for q in choosers]
    assert pl.concat(one_by_one).equals(JURY.ask(choosers, ScriptedModel(by_letter("No.")), SETTING))


def test_requests_are_counted(tmp_path: Path) -> None:
    asked, panel = files(tmp_path)
    model = judge()
    material = JURY.material(f"jury:{asked}?people={panel}", SETTING)
    JURY.ask(material.questions, model, SETTING)
    assert model.usage.requests == 3 * 3 * 8
    assert material.requests_each >= 3 * 8
    assert JURY.material(f"jury:{asked}", SETTING).requests_each == 1
    assert material.task == "jury_asked"
    assert JURY.tasks() == ()


def test_unnamed_responses_are_not_added_up_over_prompts(tmp_path: Path) -> None:
    asked, panel = files(tmp_path, named=False)
    _, found = found_of(f"jury:{asked}?people={panel}", judge())
    assert {f.group for f in found} == {None}
    _, single = found_of(f"jury:{asked}?people={panel}", judge(), setting=Setting(limit=1))
    assert {f.group for f in single if f.metric == "jury_welfare_p1"} == {None, "1", "2", "3"}
    assert one(single, "jury_welfare_p1", "1").estimate.unit == "juror"
    undefined: Estimate = one(single, "jury_welfare_p-inf").estimate
    assert "nothing to resample" in str(undefined.why_undefined)


def test_faults_of_a_file_come_by_line_and_all_at_once(tmp_path: Path) -> None:
    good = questions()[0]
    lines = [
        json.dumps(good),
        "{not json}",
        "[1]",
        json.dumps({**good, "id": "x", "promt": "Hm?"}),
        json.dumps({**good, "id": "y", "prompt": " "}),
        json.dumps({**good, "id": "z", "responses": ["one"]}),
        json.dumps({**good, "id": "a", "responses": {"a": "same", "b": "same"}}),
        json.dumps({**good, "id": "b", "responses": {OWN: "one", "b": "two"}}),
        json.dumps({**good, "id": "c", "utilities": {"p00": [0.1, 0.2]}}),
        json.dumps({**good, "id": "d", "utilities": {"p00": [0.1, 0.2, 4]}}),
        json.dumps({**good, "id": "e", "utilities": {"stranger": [0.1, 0.2, None]}}),
        json.dumps(good),
        json.dumps({k: v for k, v in good.items() if k != "utilities"} | {"id": "f"}),
    ]
    path, panel = tmp_path / "faulty.jsonl", write_people(tmp_path / "panel.jsonl")
    path.write_text("\n".join(lines))
    with pytest.raises(DataError) as caught:
        JURY.material(f"jury:{path}?people={panel}", SETTING)
    text = str(caught.value)
    for line, fault in (
        (2, "not JSON"),
        (3, "a question is an object"),
        (4, "field 'promt' is unknown; did you mean 'prompt'"),
        (5, "prompt must be a text"),
        (6, "2 to 26 responses"),
        (7, "two responses are the same"),
        (8, "cannot be called 'model'"),
        (9, "3 numbers are needed"),
        (10, "4 is not in 0..1; rescale"),
        (11, "'stranger' is none of the people"),
        (12, "also that of line 1"),
    ):
        assert f"line {line}: " in text
        assert fault in text, fault
    assert "either all have, or none" in text
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(DataError, match="there is no question"):
        JURY.material(f"jury:{tmp_path / 'empty.jsonl'}", SETTING)
    with pytest.raises(DataError, match="cannot be read"):
        JURY.material(f"jury:{tmp_path / 'nothing.jsonl'}", SETTING)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("peple={panel}", "did you mean 'people'"),
        ("as=judges", "as=judges needs people=FILE"),
        ("as=judge&people={panel}", "did you mean 'judges'"),
        ("as=writes&people={panel}", "needs people=FILE and judge=MODEL"),
        ("judge=scripted&people={panel}", "has nothing to judge here"),
        ("jury=6 women", "needs people=FILE"),
        ("jury=6 women&people={panel}", "did you mean 'woman'"),
        ("seats=0", "seats must be a whole number of at least 1"),
        ("people={panel}&people={panel}", "given twice"),
        ("people=", "without a value"),
        ("people", "after"),
    ],
)
def test_names_that_do_not_say_what_they_must(tmp_path: Path, flags: str, message: str) -> None:
    asked, panel = files(tmp_path)
    with pytest.raises(UsageError, match=message):
        JURY.material(f"jury:{asked}?{flags.format(panel=panel)}", SETTING)
    for name in ("jury", "jury:", f"other:{asked}"):
        with pytest.raises(UsageError, match="the form is jury:FILE"):
            JURY.material(name, SETTING)


def test_nobody_to_judge(tmp_path: Path) -> None:
    asked, panel = files(tmp_path, given=False)
    with pytest.raises(UsageError, match="as=chooses needs people=FILE and judge=MODEL"):
        JURY.material(f"jury:{asked}", SETTING)
    material = Jury(jurors=LanguageModelJurors(judge())).material(f"jury:{asked}?people={panel}&as=writes", SETTING)
    with pytest.raises(UsageError, match="nobody judges the responses"):
        JURY.ask(material.questions, ScriptedModel(lambda query: {"Yes.": 1.0}), SETTING)
    assert PROMPTS[0] == material.questions[0].prompt
