"""What is asked: missing pairs, new items and raters beside the known ones, and known ratings kept apart as they are."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pluralign.errors import DataError
from pluralign.raters import individual_asked
from pluralign.raters.individual_asked import KINDS, joined, kept_apart, missing_pairs
from raters.made_people import new_pairs, people

PEOPLE = people()


def _known(ratings: object) -> set[tuple[str, str]]:
    assert isinstance(ratings, type(PEOPLE))
    return set(ratings.to_long().select("item_id", "rater_id").iter_rows())


def test_missing_pairs_are_those_that_nobody_gave() -> None:
    pairs = set(missing_pairs(PEOPLE).iter_rows())
    assert pairs.isdisjoint(_known(PEOPLE))
    assert len(pairs) + len(PEOPLE) == PEOPLE.n_items * PEOPLE.n_raters
    some = set(missing_pairs(PEOPLE, limit=7, seed=1).iter_rows())
    assert len(some) == 7
    assert some < pairs
    assert some != set(missing_pairs(PEOPLE, limit=7, seed=2).iter_rows())
    assert set(missing_pairs(PEOPLE, limit=10**6).iter_rows()) == pairs


def test_too_many_missing_pairs_are_refused_without_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(individual_asked, "MOST_MISSING", 3)
    with pytest.raises(DataError, match="at most 3 are asked without --limit"):
        missing_pairs(PEOPLE)
    assert missing_pairs(PEOPLE, limit=5).height == 5
    full = people().to_long().filter(pl.col("rater_id") == "r000")
    with pytest.raises(DataError, match="nothing is missing"):
        missing_pairs(type(PEOPLE).from_long(full, PEOPLE.scale))


def test_new_items_and_raters_join_the_tables_and_known_ratings_stay_what_they_are() -> None:
    pairs = pl.concat([new_pairs(2), new_pairs(2, known=False)]).with_columns(rating=pl.lit(None, dtype=pl.String))
    pairs = pl.concat([pairs, pl.DataFrame({"item_id": ["i03"], "rater_id": ["cold0"]})], how="diagonal")
    world = joined(PEOPLE, pairs)
    assert _known(world.known) == _known(PEOPLE)
    assert world.known.to_long().sort("item_id", "rater_id").equals(PEOPLE.to_long().sort("item_id", "rater_id"))
    assert world.known.items is world.asked.items
    kinds = dict(zip(world.asked.to_long().select("item_id", "rater_id").iter_rows(), world.kind.tolist(), strict=True))
    assert KINDS[kinds["new0", "r000"]] == "known raters, new items"
    assert KINDS[kinds["new0", "cold1"]] == "new raters, new items"
    assert KINDS[kinds["i03", "cold0"]] == "new raters, known items"
    assert not world.is_given.any()
    assert dict(world.asked.raters.iter_rows())["cold1"] == "old"
    assert world.asked.items.filter(item_id="new1")["item_text"].item() == "new text 1"


def test_true_ratings_are_kept_to_judge_by_and_pairs_asked_twice_are_counted() -> None:
    pairs = new_pairs(3)
    world = joined(PEOPLE, pl.concat([pairs, pairs[:2]]))
    assert len(world.asked) == 6
    assert world.is_given.all()
    assert {str(note) for note in world.notes} == {"the pairs asked: pairs that are asked again: once is enough (2)"}
    got = dict(zip(world.asked.to_long().select("item_id", "rater_id").iter_rows(), world.asked.rating_index, strict=True))
    assert got["new0", "r000"] == 0
    assert got["new1", "r001"] == 2


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"item_id": "i00"}, "'item_text' of 1 items is another than in the ratings"),
        ({"rater_age": "ancient"}, "'rater_age' of 3 raters is another than in the ratings"),
        ({"item_text": None}, "2 items are not in the ratings and have no text"),
        ({"rating": "7"}, "'7' are outside the scale"),
        ({"rater_id": None}, "6 rows have no rater_id"),
    ],
)
def test_what_cannot_be_asked_is_refused(changes: dict[str, str | None], fault: str) -> None:
    pairs = new_pairs(3).with_columns(pl.lit(value, dtype=pl.String).alias(name) for name, value in changes.items())
    with pytest.raises(DataError, match=fault):
        joined(PEOPLE, pairs)


def test_what_is_known_must_not_be_asked() -> None:
    with pytest.raises(DataError, match=r"pairs are among the ratings, e\.g\. item 'i00' by rater 'r000'"):
        joined(PEOPLE, PEOPLE.to_long().filter(item_id="i00", rater_id="r000"))
    with pytest.raises(DataError, match="no column 'rater_id'"):
        joined(PEOPLE, pl.DataFrame({"item_id": ["x"]}))
    with pytest.raises(DataError, match="there is no pair"):
        joined(PEOPLE, pl.DataFrame({"item_id": [], "rater_id": []}))


def test_columns_that_the_ratings_do_not_have_are_noted() -> None:
    world = joined(PEOPLE, new_pairs(1).with_columns(rater_party=pl.lit("x")))
    assert "'rater_party' is not among those of the ratings" in str(world.notes[0])


@pytest.mark.parametrize("kind", range(4))
def test_ratings_are_kept_apart_as_what_is_asked_is(kind: int) -> None:
    apart = kept_apart(PEOPLE, kind, most=50, seed=0)
    assert apart is not None
    asked, train, given = PEOPLE.take(apart.asked), PEOPLE.take(apart.train), PEOPLE.take(apart.given)
    assert 0 < len(asked) <= 50
    assert _known(asked).isdisjoint(_known(train) | _known(given))
    has_rater = np.isin(asked.rater_index, train.rater_index)
    has_item = np.isin(asked.item_index, train.item_index)
    assert has_rater.all() if kind < 2 else not has_rater.any()
    assert has_item.all() if kind in (0, 2) else not has_item.any()
    assert np.isin(asked.rater_index, given.rater_index).all() == (kind < 2)


def test_with_one_rating_each_nothing_can_be_kept_apart_of_known_raters() -> None:
    single = PEOPLE.to_long().unique("rater_id", keep="first", maintain_order=True)
    ratings = type(PEOPLE).from_long(single, PEOPLE.scale)
    assert kept_apart(ratings, 0, most=50, seed=0) is None
    assert kept_apart(ratings, 1, most=50, seed=0) is None
    assert kept_apart(ratings, 2, most=50, seed=0) is not None
