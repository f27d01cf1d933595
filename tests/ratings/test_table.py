from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralign.errors import DataError
from pluralign.ratings import Note, Ratings, Scale
from pluralign.ratings import table as module

SCALE = Scale("ordinal", ("1", "2", "3"))


def long(**columns: list[object]) -> pl.DataFrame:
    """Three ratings of two items by two raters; columns given replace or join those."""
    rows: dict[str, list[object]] = {"item_id": ["b", "a", "a"], "rater_id": ["y", "y", "x"], "rating": ["3", "1", "2"]}
    return pl.DataFrame({**rows, **columns})


def test_rows_are_kept_in_the_order_of_item_and_rater() -> None:
    texts = {"item_text": ["B", "A", "A"], "item_lang": ["en", "de", "de"]}
    ratings = Ratings.from_long(
        long(**texts, rater_age=[30, 30, 40], other=[1, 2, 3]), SCALE, name="toy", notes=[Note("f", "w", 2)]
    )
    # a-x 2, a-y 1, b-y 3
    assert (ratings.item_ids, ratings.rater_ids) == (["a", "b"], ["x", "y"])
    assert ratings.item_index.tolist() == [0, 0, 1]
    assert ratings.rater_index.tolist() == [0, 1, 1]
    assert ratings.rating_index.tolist() == [1, 0, 2]
    assert ratings.values.tolist() == [2.0, 1.0, 3.0]
    assert (len(ratings), ratings.n_items, ratings.n_raters, ratings.n_options) == (3, 2, 2, 3)
    assert (ratings.text_columns, ratings.attributes) == (["item_text", "item_lang"], ["rater_age"])
    assert ratings.raters["rater_age"].to_list() == [40, 30]
    assert [str(note) for note in ratings.notes] == ["f: w (2)"]


def test_ids_and_ratings_are_compared_as_text() -> None:
    ratings = Ratings.from_long(long(item_id=[10, 9, 9], rating=[3, 1, 2]), SCALE)
    assert ratings.item_ids == ["10", "9"]
    assert ratings.rating_index.tolist() == [2, 1, 0]  # 10-y, 9-x, 9-y


@pytest.mark.parametrize(
    ("table", "faults"),
    [
        (pl.DataFrame({"item": ["a"], "rating": ["1"]}), ["no column 'item_id'; columns are", "no column 'rater_id'"]),
        (long().clear(), ["no ratings: the table has its columns but no row"]),
        (long(rating=["3", None, None]), ["2 rows have no rating (the first is row 2)"]),
        (long(rating=["3", "4", "4"]), ["2 ratings are outside the scale ['1', '2', '3']: '4' (2 times)"]),
        (long(item_text=["B", "A", "C"]), ["'item_text' differs between rows of the same item_id for 1 of them, e.g. 'a'"]),
        (long(rater_age=[30, None, 40]), ["'rater_age' differs between rows of the same rater_id for 1 of them, e.g. 'y'"]),
        (long(item_id=["a", "a", "a"]), ["1 ratings repeat an (item, rater) pair, e.g. item 'a' by rater 'y'"]),
        (
            long(item_id=[None, "a", "a"], rating=["1", "4", "2"], rater_age=[30, 31, 40]),
            ["1 rows have no item_id (the first is row 1)", "1 ratings are outside", "'rater_age' differs"],
        ),
    ],
)
def test_each_fault_is_said_and_all_at_once(table: pl.DataFrame, faults: list[str]) -> None:
    with pytest.raises(DataError) as error:
        Ratings.from_long(table, SCALE, name="votes.csv")
    assert error.value.where == "votes.csv"
    assert len(error.value.faults) == len(faults)
    for told, expected in zip(error.value.faults, faults, strict=True):
        assert told.startswith(expected)


def test_items_and_raters_are_found_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    item, rater = np.divmod(rng.permutation(40 * 30)[:500], 30)
    table = pl.DataFrame({"item_id": item, "rater_id": rater, "rating": rng.integers(1, 4, 500)}).with_columns(
        item_text=pl.format("text {}", pl.col("item_id")), rater_age=pl.col("rater_id") % 7
    )
    whole = Ratings.from_long(table, SCALE)
    late = table.with_columns(rater_age=pl.when(pl.int_range(pl.len()) == 499).then(99).otherwise("rater_age"))
    for block in (1, 3, 499, 500):
        monkeypatch.setattr(module, "_BLOCK", block)
        assert Ratings.from_long(table, SCALE).content_hash() == whole.content_hash()
        with pytest.raises(DataError, match="'rater_age' differs between rows of the same rater_id for 1 of them"):
            Ratings.from_long(late, SCALE)


def test_a_subset_shares_the_tables() -> None:
    ratings = Ratings.from_long(long(), SCALE)
    for rows in (np.array([True, False, True]), np.array([0, 2])):
        part = ratings.take(rows)
        assert part.items is ratings.items
        assert part.raters is ratings.raters
        assert part.rating_index.tolist() == [1, 2]
        assert part.values.tolist() == [2.0, 3.0]
    assert ratings.take(np.array([2, 0])).item_index.tolist() == [1, 0]  # positions keep the order they are given in
    assert len(ratings.take(np.zeros(3, dtype=bool))) == 0


pairs = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25, unique=True)


@settings(max_examples=40, deadline=None)
@given(pairs=pairs, seed=st.integers(0, 2**16))
def test_long_and_back_whatever_the_order(pairs: list[tuple[int, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = pl.DataFrame(
        {
            "item_id": [f"i{i}" for i, _ in pairs],
            "rater_id": [f"r{r}" for _, r in pairs],
            "rating": rng.choice(["1", "2", "3"], size=len(pairs)),
            "item_text": [f"text {i % 2}" for i, _ in pairs],
            "rater_age": [[20, None, 40][r % 3] for _, r in pairs],
        }
    )
    there = Ratings.from_long(table, SCALE)
    shuffled = Ratings.from_long(table[rng.permutation(len(pairs))], SCALE)
    back = there.to_long()
    assert back.equals(table.sort("item_id", "rater_id"))
    assert shuffled.to_long().equals(back)
    assert Ratings.from_long(back, SCALE).items.equals(there.items)
