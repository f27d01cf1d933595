"""Questions of alignment from a table of ratings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from evals.alignment_worlds import answering, by_metric
from pluralign import cli, evaluating
from pluralign.errors import DataError, UsageError
from pluralign.evals.alignment import ALIGNMENT
from pluralign.evals.alignment_questions import ratings_material
from pluralign.evals.kinds import Setting
from pluralign.evals.lines import evaluated_lines
from pluralign.evals.results import read_evaluated
from pluralign.models.scripted import ScriptedModel
from pluralign.ratings import Ratings
from pluralign.ratings.scale import Scale
from pluralign.ratings.simulate import Population, simulate
from tables import small_table

SETTING = Setting()
ROWS = [
    # item, rater, rating, age
    ("a", "r1", "1", "young"),
    ("a", "r2", "1", "young"),
    ("a", "r3", "2", "old"),
    ("a", "r4", "3", None),
    ("b", "r1", "3", "young"),
    ("b", "r3", "3", "old"),
    ("c", "r2", "2", "young"),
]


def _long() -> pl.DataFrame:
    return pl.DataFrame({name: [row[i] for row in ROWS] for i, name in enumerate(("item_id", "rater_id", "rating"))})


def _table(kind: str = "ordinal", *, text: bool = True) -> Ratings:
    columns = {name: [row[i] for row in ROWS] for i, name in enumerate(("item_id", "rater_id", "rating", "rater_age"))}
    if text:
        columns["item_text"] = [f"Thing {row[0]}" for row in ROWS]
    return Ratings.from_long(pl.DataFrame(columns), Scale(kind, ("1", "2", "3")), name="things")  # type: ignore[arg-type]


def test_shares_are_of_those_who_rated() -> None:
    material = ratings_material(_table(), SETTING, fewest=2)
    assert (material.task, material.unit) == ("things", "item")
    a, b = material.questions  # c has one rating
    assert (a.item, a.target.input, a.target.options) == ("a", "Thing a", ("1", "2", "3"))
    assert a.target.shares == (1 / 2, 1 / 4, 1 / 4)
    assert (a.target.n, b.target.n) == (4, 2)
    assert b.target.shares == (0.0, 0.0, 1.0)
    assert a.is_ordinal
    assert a.group is None
    assert a.target.description == (
        'One of many people, picked at random, rates what is shown. The possible answers, in this order: ["1", "2", "3"].'
    )


def test_each_level_of_an_attribute_is_a_group_and_is_said() -> None:
    material = ratings_material(_table(), SETTING, by="age", fewest=1)
    assert material.task == "things by age"
    found = {one.item: one for one in material.questions}
    assert set(found) == {"a | young", "b | young", "c | young", "a | old", "b | old"}  # r4 is in no group
    young = found["a | young"]
    assert (young.group, young.question, young.unit, young.target.n) == ("young", "a", "a", 2)
    assert young.target.shares == (1.0, 0.0, 0.0)
    assert young.target.description is not None
    assert young.target.description.endswith('What is known of the person: {"age": "young"}')
    assert [one.item for one in ratings_material(_table(), SETTING, by="rater_age", fewest=1).questions] == list(found)


def test_who_and_what_is_left_out_is_counted() -> None:
    """Of four raters r4, who rated once, has no age; "old" rated a and b once each, "young" a twice, b and c once."""
    material = ratings_material(_table(), SETTING, by="age", fewest=2)
    assert [one.item for one in material.questions] == ["a | young"]
    assert list(map(str, material.left_out)) == [
        "1 of 4 raters: age is not known",
        "1 of 7 ratings: their rater's age is not known",
        "1 of 2 groups: no item has 2 of their ratings: old (of 1)",
        "2 of 3 items: no group gave it 2 ratings",
        "4 of 5 pairs of item and group: fewer than 2 ratings",
    ]
    assert list(map(str, ratings_material(_table(), SETTING, fewest=2).left_out)) == ["1 of 3 items: fewer than 2 ratings"]
    assert not ratings_material(_table(), SETTING, fewest=1).left_out
    few = ratings_material(_table(), Setting(limit=2), fewest=1)
    assert list(map(str, few.left_out)) == ["1 of 3 questions: beyond the limit, by lot of the seed"]
    with pytest.raises(DataError, match="1 of 4 raters: age is not known"):
        ratings_material(_table(), SETTING, by="age", fewest=3)


def test_scales_and_texts() -> None:
    [question] = ratings_material(_table("nominal", text=False), SETTING, fewest=4).questions
    assert not question.is_ordinal
    assert question.target.input == "a"
    assert "in no particular order" in (question.target.description or "")


def test_what_cannot_be_made_is_named() -> None:
    with pytest.raises(UsageError, match="did you mean 'age'"):
        ratings_material(_table(), SETTING, by="agee")
    with pytest.raises(UsageError, match="nothing is known of the raters"):
        ratings_material(Ratings.from_long(_long(), Scale("nominal", ("1", "2", "3"))), SETTING, by="age")
    with pytest.raises(DataError, match="no item has 5 ratings or more; pass a lower `fewest`"):
        ratings_material(_table(), SETTING)
    with pytest.raises(DataError, match="no item of any level of rater_age has 3 ratings"):
        ratings_material(_table(), SETTING, by="age", fewest=3)


def test_a_lower_limit_gives_a_part() -> None:
    ratings = simulate(Population(n_raters=60, n_items=30, ratings_per_rater=20), seed=1).ratings
    whole, few = ([one.item for one in ratings_material(ratings, Setting(limit=limit)).questions] for limit in (None, 7))
    assert len(whole) == 30
    assert len(few) == 7
    assert [item for item in whole if item in few] == few


def test_groups_of_a_question_are_drawn_together() -> None:
    ratings = simulate(Population(n_raters=200, n_items=30, ratings_per_rater=20), seed=1).ratings
    questions = ratings_material(ratings, Setting(limit=16), by="region", fewest=1).questions
    assert len({one.question for one in questions}) == 4
    assert [one.group for one in questions[:4]] == [questions[0].group] * 4  # in the order of the source: level by level


def test_a_model_that_knows_the_table_is_exact() -> None:
    ratings = simulate(Population(n_raters=120, n_items=20, ratings_per_rater=20), seed=2).ratings
    material = ratings_material(ratings, SETTING, by="region", fewest=5, name="people")
    shares = [one.target.shares for one in material.questions]
    records = ALIGNMENT.ask(material.questions, answering(material.questions, shares, mass=0.7), SETTING)
    found = by_metric(ALIGNMENT.findings(records, seed=0))
    assert found["total_variation"].task == "people by region"
    assert found["total_variation"].estimate.value == pytest.approx(0.0, abs=1e-12)
    assert found["wasserstein1"].estimate.value == pytest.approx(0.0, abs=1e-12)
    assert found["steering_share"].estimate.value == pytest.approx(1.0, abs=1e-9)
    assert np.allclose([sum(one) for one in shares], 1.0)


def test_a_file_of_ratings_is_a_task(tmp_path: Path) -> None:
    path = small_table(tmp_path / "votes.csv")
    material = ALIGNMENT.material(f"ratings:{path}", SETTING)
    assert material.task == "ratings_votes"
    assert len(material.questions) == 24
    assert sum(one.target.n for one in material.questions) == 1200


def _votes(path: Path) -> Path:
    """Two questions; four women, four men who vote otherwise, one of whom nothing is known, one of another gender."""
    people = [(f"w{n}", "woman", "no") for n in range(4)] + [(f"m{n}", "man", "yes") for n in range(4)]
    people += [("x", "", "yes"), ("y", "other", "no")]
    rows = [f"q{q},May we {q}?,{name},{gender},{vote}" for q in (1, 2) for name, gender, vote in people]
    path.write_text("item,text,who,gender,vote\n" + "\n".join(rows) + "\n")
    return path


def _name(path: Path, more: str = "") -> str:
    return f"ratings:{path}?item=item&text=text&rater=who&rating=vote{more}"


def test_groups_are_asked_for_by_name_and_are_on_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = _name(_votes(tmp_path / "votes.csv"), "&by=gender&fewest=4")
    assert cli.main(["evaluate", "scripted", "--tasks", name, "--dry-run"]) == 0
    said = capsys.readouterr().out
    for left_out in ("1 of 10 raters: gender is not known", "1 of 3 groups: no item has 4 of their ratings: other (of 1)"):
        assert f"left out of ratings_votes by gender: {left_out}" in said
    assert cli.main(["evaluate", "scripted", "--tasks", name, "--dry-run", "--json"]) == 0
    [task] = json.loads(capsys.readouterr().out)["tasks"]
    assert task["n_questions"] == 4
    assert task["left_out"][0] == {"what": "raters", "n": 1, "of": 10, "why": "gender is not known"}
    found = evaluating.evaluate(ScriptedModel(), tmp_path / "run", tasks=[name])
    groups = {one.group for one in found.findings["alignment"] if one.metric == "total_variation"}
    assert groups == {None, "woman", "man"}
    assert read_evaluated(tmp_path / "run").to_dict() == found.to_dict()
    assert "1 of 10 raters: gender is not known" in "\n".join(evaluated_lines(found))
    page = (tmp_path / "run" / "report.html").read_text()
    heat = page[page.index('<section id="groups"') :].partition("</section>")[0]
    for words in ("woman", "man", "1 of 10 raters: gender is not known"):
        assert words in heat
    assert evaluating.rescore(tmp_path / "run").left_out == found.left_out


def test_an_unknown_attribute_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = _name(_votes(tmp_path / "votes.csv"), "&by=gendr")
    assert cli.main(["evaluate", "scripted", "--tasks", name, "--dry-run"]) == 2
    assert "did you mean 'gender'" in capsys.readouterr().err


def test_offensive_comments_by_gender(data_dir: Path) -> None:
    """262 raters of popquorn, all of known gender, 7 of them non-binary and too few for a question of 5 ratings."""
    path = data_dir / "popquorn" / "offensiveness_raw_data.csv"
    name = f"ratings:{path}?item=instance_id&rater=user_id&rating=offensiveness&text=text&by=gender"
    material = ALIGNMENT.material(name, Setting(limit=10_000))
    assert {one.group for one in material.questions} == {"Man", "Woman"}
    assert str(material.left_out[0]) == "1 of 3 groups: no item has 5 of their ratings: Non-binary (of 7)"
    assert len(material.questions) + material.left_out[2].n == material.left_out[2].of
