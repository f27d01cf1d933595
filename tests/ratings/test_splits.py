from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import stats

from pluralign.errors import DataError, UsageError
from pluralign.ratings import Ratings, Scale
from pluralign.ratings.simulate import Population, simulate
from pluralign.ratings.splits import (
    FitEvalSplit,
    item_folds,
    rater_folds,
    some_raters,
    split_fit_eval,
    split_items,
    split_items_and_raters,
    split_raters,
)

SCALE = Scale("ordinal", ("1", "2", "3"))


def made_up(n_ratings: list[int]) -> Ratings:
    """Rater j has rated the first n_ratings[j] items."""
    rows = [(f"item {i}", f"rater {j}", str(1 + (i + j) % 3)) for j, n in enumerate(n_ratings) for i in range(n)]
    return Ratings.from_long(pl.DataFrame(rows, schema=["item_id", "rater_id", "rating"], orient="row"), SCALE)


def test_some_raters_are_whole_raters_by_chance_and_as_many_as_there_is_room_for(uneven: Ratings) -> None:
    n = np.bincount(uneven.rater_index)
    kept = [some_raters(uneven, 30, seed=seed, purpose="p") for seed in range(200)]
    assert all(n[one].sum() <= 30 or len(one) == 1 for one in kept)
    assert all((np.diff(one) > 0).all() for one in kept)
    often = np.bincount(np.concatenate(kept), minlength=len(n))
    assert often.min() > 0  # also the one with 40, now and then
    assert some_raters(uneven, len(uneven), seed=0, purpose="p").tolist() == list(range(len(n)))
    assert some_raters(uneven, 1, seed=0, purpose="p").size == 1
    part = uneven.take(np.isin(uneven.rater_index, kept[0])).compact()
    assert part.n_raters == len(kept[0])
    shown = ["item_id", "rater_id"]
    same = uneven.take(np.isin(uneven.rater_index, kept[0])).to_long()
    assert part.to_long().sort(shown).equals(same.sort(shown))
    again = uneven.take(np.flatnonzero(uneven.rater_index != 3))  # who else is there changes nobody's place in the order
    assert set(some_raters(again, 30, seed=5, purpose="p")) <= set(kept[5]) | set(some_raters(uneven, 80, seed=5, purpose="p"))
    with pytest.raises(UsageError, match="lowest is 1"):
        some_raters(uneven, 0, seed=0, purpose="p")


def sides(ratings: Ratings, split: FitEvalSplit) -> dict[tuple[str, str], tuple[int, bool]]:
    """Per (item, rater) its fit position and whether it is used."""
    keys = zip(ratings.to_long()["item_id"].to_list(), ratings.to_long()["rater_id"].to_list(), strict=True)
    return dict(zip(keys, zip(split.fit_position.tolist(), split.used.tolist(), strict=True), strict=True))


@pytest.fixture(scope="module")
def ratings() -> Ratings:
    return simulate(Population(n_raters=300, n_items=120, ratings_per_rater=12), seed=5).ratings


@pytest.fixture(scope="module")
def uneven() -> Ratings:
    return made_up([1, 2, 3, 4, 5, 6, 9, 20, 40, 3, 4])


def test_fit_sizes_are_exactly_in_range_and_uniform() -> None:
    # n = 12: |fit| is one of 2..10, nine equally probable sizes.
    many = simulate(Population(n_raters=5000, n_items=30, ratings_per_rater=12), seed=1).ratings
    split = split_fit_eval(many, seed=3)
    n_fit = np.bincount(many.rater_index[split.is_fit], minlength=many.n_raters)
    counts = np.bincount(n_fit, minlength=11)
    assert counts[:2].sum() == 0
    assert len(counts) == 11
    assert stats.chisquare(counts[2:]).pvalue > 0.01


def test_fit_order_is_uniform() -> None:
    # Rater by rater, the place of one particular item among four is uniform: here the first of the rater's rows.
    four = made_up([4] * 4000)
    split = split_fit_eval(four, seed=0)
    first_item = four.item_index == 0
    n_fit = np.bincount(four.rater_index[split.is_fit], minlength=4000)
    assert set(n_fit.tolist()) == {2}
    counts = np.bincount(split.fit_position[first_item] + 1, minlength=3)
    assert stats.chisquare(counts, [2000, 1000, 1000]).pvalue > 0.01


def test_positions_count_from_zero_without_gaps(uneven: Ratings) -> None:
    split = split_fit_eval(uneven, seed=0)
    for rater in range(uneven.n_raters):
        rows = uneven.rater_index == rater
        positions = split.fit_position[rows & split.is_fit]
        assert sorted(positions.tolist()) == list(range(len(positions)))
        if rows.sum() < 4:
            assert not split.used[rows].any()
            assert len(positions) == 0
        else:
            assert 2 <= len(positions) <= rows.sum() - 2
            assert split.used[rows].all()
    assert not (split.is_fit & split.is_eval).any()
    np.testing.assert_array_equal(split.is_fit | split.is_eval, split.used)


def test_examples_are_the_first_fit_rows(uneven: Ratings) -> None:
    split = split_fit_eval(uneven, seed=0)
    n_fit = np.bincount(uneven.rater_index[split.is_fit], minlength=uneven.n_raters)
    for n in (0, 1, 3, 100):
        taken = np.bincount(uneven.rater_index[split.examples(n)], minlength=uneven.n_raters)
        np.testing.assert_array_equal(taken, np.minimum(n, n_fit))


def test_fit_eval_ignores_row_order_and_other_raters(uneven: Ratings) -> None:
    whole = sides(uneven, split_fit_eval(uneven, seed=7))
    shuffled = uneven.take(np.random.default_rng(0).permutation(len(uneven)))
    assert sides(shuffled, split_fit_eval(shuffled, seed=7)) == whole
    kept = uneven.to_long().filter(~pl.col("rater_id").is_in(["rater 0", "rater 8"]))
    fewer = Ratings.from_long(kept, SCALE)
    assert sides(fewer, split_fit_eval(fewer, seed=7)).items() <= whole.items()
    assert sides(uneven, split_fit_eval(uneven, seed=8)) != whole


def test_split_items(ratings: Ratings) -> None:
    split = split_items(ratings, test_share=0.3, seed=0)
    train_items, test_items = (set(ratings.item_index[rows].tolist()) for rows in split)
    assert not train_items & test_items
    # 120 items at .3: 36 +- 5, so 16..56 is four standard deviations.
    assert 16 <= len(test_items) <= 56
    assert set(ratings.rater_index[split.test].tolist()) <= set(ratings.rater_index[split.train].tolist())


def test_split_items_leaves_out_raters_who_would_be_unknown() -> None:
    table = made_up([30] * 5 + [1] * 1)
    for seed in range(20):
        split = split_items(table, test_share=0.5, seed=seed)
        unknown = np.setdiff1d(table.rater_index[split.test], table.rater_index[split.train])
        assert len(unknown) == 0
    # Over 20 seeds the rater with the one item has had it on the test side: then the row is in neither part.
    parts = [len(np.concatenate(split_items(table, test_share=0.5, seed=seed))) for seed in range(20)]
    assert set(parts) == {150, 151}


def test_split_raters(ratings: Ratings) -> None:
    split = split_raters(ratings, seed=0)
    train, test = (set(ratings.rater_index[rows].tolist()) for rows in split)
    assert not train & test
    assert train | test == set(range(300))
    # 300 raters at .5: 150 +- 8.7, four standard deviations.
    assert 115 <= len(test) <= 185


def test_raters_with_few_ratings_only_train(uneven: Ratings) -> None:
    few = {0, 1, 2, 9}
    names = uneven.rater_ids
    few_rows = {names.index(f"rater {j}") for j in few}
    for seed in range(10):
        split = split_raters(uneven, seed=seed)
        assert not few_rows & set(uneven.rater_index[split.test].tolist())
        assert few_rows <= set(uneven.rater_index[split.train].tolist())


def test_split_items_and_raters(ratings: Ratings) -> None:
    split = split_items_and_raters(ratings, seed=2, test_share=0.4)
    for index in (ratings.item_index, ratings.rater_index):
        assert not set(index[split.train].tolist()) & set(index[split.test].tolist())
    by_items, by_raters = split_items(ratings, test_share=0.4, seed=2), split_raters(ratings, seed=2, test_share=0.4)
    np.testing.assert_array_equal(split.train, np.intersect1d(by_items.train, by_raters.train))
    np.testing.assert_array_equal(split.test, np.intersect1d(by_items.test, by_raters.test))


def test_a_unit_keeps_its_side_when_others_leave(ratings: Ratings) -> None:
    def test_ids(table: Ratings, rows: np.ndarray, column: str) -> set[str]:
        return set(table.take(rows).to_long()[column].to_list())

    kept = ratings.to_long().filter(pl.col("rater_id") > "r0000100")
    fewer = Ratings.from_long(kept, ratings.scale)
    whole, part = split_raters(ratings, seed=4), split_raters(fewer, seed=4)
    assert test_ids(fewer, part.test, "rater_id") == {r for r in test_ids(ratings, whole.test, "rater_id") if r > "r0000100"}
    whole, part = split_items(ratings, test_share=0.5, seed=4), split_items(fewer, test_share=0.5, seed=4)
    assert test_ids(fewer, part.test, "item_id") <= test_ids(ratings, whole.test, "item_id")
    assert not test_ids(fewer, part.test, "item_id") & test_ids(ratings, whole.train, "item_id")


def test_folds_balance_and_hardly_move(ratings: Ratings) -> None:
    folds = rater_folds(ratings, n_folds=7, seed=0)
    sizes = np.bincount(folds)
    # 300 = 7 * 42 + 6
    assert sorted(sizes.tolist()) == [42] + [43] * 6
    fewer = Ratings.from_long(ratings.to_long().filter(pl.col("rater_id") != "r0000123"), ratings.scale)
    before = dict(zip(ratings.rater_ids, folds.tolist(), strict=True))
    after = dict(zip(fewer.rater_ids, rater_folds(fewer, n_folds=7, seed=0).tolist(), strict=True))
    assert sum(before[rater] != fold for rater, fold in after.items()) <= 6


def test_a_rater_without_ratings_has_no_fold(uneven: Ratings) -> None:
    part = uneven.take(uneven.rater_index != 3)
    folds = rater_folds(part, seed=0)
    assert folds[3] == -1
    assert sorted(np.bincount(np.delete(folds, 3)).tolist()) == [5, 5]


def test_items_fall_into_folds_likewise(ratings: Ratings) -> None:
    folds = item_folds(ratings, n_folds=3, seed=0)
    sizes = np.bincount(folds)
    assert sizes.sum() == ratings.n_items
    assert sizes.max() - sizes.min() <= 1
    part = ratings.take(ratings.item_index != 2)
    assert item_folds(part, n_folds=3, seed=0)[2] == -1
    with pytest.raises(UsageError, match="number of items with ratings"):
        item_folds(ratings, n_folds=1, seed=0)


def test_refusals(uneven: Ratings) -> None:
    with pytest.raises(UsageError, match="test_share is 1"):
        split_items(uneven, test_share=1, seed=0)
    with pytest.raises(UsageError, match="min_ratings is 3"):
        split_fit_eval(uneven, seed=0, min_ratings=3)
    with pytest.raises(UsageError, match=r"n_folds is 12; it must lie in 2\.\.11"):
        rater_folds(uneven, n_folds=12, seed=0)
    with pytest.raises(DataError, match="test part of the split is empty"):
        split_raters(replace(uneven), seed=0, min_ratings=100)
