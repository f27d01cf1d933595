"""Questions of alignment from a table of ratings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from evals.alignment_worlds import answering, by_metric
from pluralign.errors import DataError, UsageError
from pluralign.evals.alignment import ALIGNMENT
from pluralign.evals.alignment_questions import ratings_material
from pluralign.evals.kinds import Setting
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


def test_scales_and_texts() -> None:
    [question] = ratings_material(_table("nominal", text=False), SETTING, fewest=4).questions
    assert not question.is_ordinal
    assert question.target.input == "a"
    assert "in no particular order" in (question.target.description or "")


def test_what_cannot_be_made_is_named() -> None:
    with pytest.raises(UsageError, match="did you mean 'age'"):
        ratings_material(_table(), SETTING, by="agee")
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
