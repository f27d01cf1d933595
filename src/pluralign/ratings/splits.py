"""Which ratings a model may learn from, and which it is judged on.

Every split is decided by the seed and the ids alone (see `keyed`): the order of the rows changes nothing, and a unit that is
added or removed moves no other one (`rater_folds`, which must balance, moves at most one a border). The price is that sizes
follow the asked share only on average: 1000 raters at .5 give 500 +- 16.

Source: Sorensen et al. 2025, Value Profiles (arXiv 2503.15484): raters 50/50, at least 4 ratings, |fit| ~ Uniform{2..n-2}.
Departures: raters with too few ratings stay in training instead of being dropped; they are never judged on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pluralign.errors import DataError, UsageError
from pluralign.ratings.keyed import id_codes, keyed_uniforms, keyed_words
from pluralign.ratings.table import Ratings

__all__ = [
    "MIN_RATINGS",
    "FitEvalSplit",
    "Split",
    "item_folds",
    "random_positions",
    "rater_folds",
    "some_raters",
    "some_rows",
    "split_fit_eval",
    "split_items",
    "split_items_and_raters",
    "split_raters",
]

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

MIN_RATINGS = 4
"""The fewest ratings with which a rater can be split: two to know them by, two to be judged on."""


class Split(NamedTuple):
    """Positions of rows, rising; pass either to `Ratings.take`."""

    train: IntArray
    test: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class FitEvalSplit:
    """What is given of each rater (fit), and what is asked (eval). All arrays are [ratings], aligned with the table split."""

    fit_position: IntArray
    """The fit row's place in its rater's random order, from 0; -1 for rows that are not fit."""
    used: BoolArray
    """False for the rows of raters with too few ratings, which are neither fit nor eval."""

    @property
    def is_fit(self) -> BoolArray:
        return self.fit_position >= 0

    @property
    def is_eval(self) -> BoolArray:
        return self.used & (self.fit_position < 0)

    def examples(self, n: int) -> BoolArray:
        """The rows of E_n: of each rater the first min(n, |fit|)."""
        return self.is_fit & (self.fit_position < n)


def split_items(ratings: Ratings, *, test_share: float, seed: int) -> Split:
    """Known raters, new items: about `test_share` of the items are test items.

    A rater all of whose items are test items is not known, so their rows are in neither part.
    Raises DataError where a part stays empty.
    """
    is_test = _test_items(ratings, test_share, seed)[ratings.item_index]
    n_known = np.bincount(ratings.rater_index[~is_test], minlength=ratings.n_raters)
    is_known = n_known[ratings.rater_index] > 0
    return _split(ratings, ~is_test, is_test & is_known, seed)


def split_raters(ratings: Ratings, *, seed: int, test_share: float = 0.5, min_ratings: int = MIN_RATINGS) -> Split:
    """New raters: about `test_share` of the raters with at least `min_ratings` ratings are test raters.

    Raters with fewer ratings are in training, all of them. Raises DataError where a part stays empty.
    """
    is_test = _test_raters(ratings, test_share, min_ratings, seed)[ratings.rater_index]
    return _split(ratings, ~is_test, is_test, seed)


def split_items_and_raters(ratings: Ratings, *, seed: int, test_share: float = 0.5, min_ratings: int = MIN_RATINGS) -> Split:
    """New raters on new items: train has training raters on training items, test has test raters on test items.

    The rows in between (training raters on test items and the reverse) are in neither part. The two halves of the choice
    are those of `split_items` and `split_raters` at the same seed. Raises DataError where a part stays empty.
    """
    new_item = _test_items(ratings, test_share, seed)[ratings.item_index]
    new_rater = _test_raters(ratings, test_share, min_ratings, seed)[ratings.rater_index]
    return _split(ratings, ~new_item & ~new_rater, new_item & new_rater, seed)


def item_folds(ratings: Ratings, *, seed: int, n_folds: int = 2) -> IntArray:
    """The fold of each item, 0..n_folds-1, [items]; -1 for an item of the table that has no rating in it. See `rater_folds`."""
    return _folds(ratings.item_index, ratings.item_ids, "item", seed, n_folds)


def rater_folds(ratings: Ratings, *, seed: int, n_folds: int = 2) -> IntArray:
    """The fold of each rater, 0..n_folds-1, [raters]; -1 for a rater of the table who has no rating in it.

    Sizes differ by at most one. Raters stand in an order keyed by their ids and are cut into equal runs, so that one
    more rater moves at most n_folds - 1 others.
    """
    return _folds(ratings.rater_index, ratings.rater_ids, "rater", seed, n_folds)


def _folds(unit_index: IntArray, ids: list[str], unit: str, seed: int, n_folds: int) -> IntArray:
    n_ratings = np.bincount(unit_index, minlength=len(ids))
    present = np.flatnonzero(n_ratings > 0)
    if not 2 <= n_folds <= len(present):
        raise UsageError(f"n_folds is {n_folds}; it must lie in 2..{len(present)}, the number of {unit}s with ratings.")
    order = np.argsort(keyed_words(seed, f"{unit}_folds", id_codes(ids))[present], kind="stable")
    folds = np.full(len(ids), -1, dtype=np.int64)
    folds[present[order]] = np.arange(len(present)) * n_folds // len(present)
    return folds


def split_fit_eval(ratings: Ratings, *, seed: int, min_ratings: int = MIN_RATINGS) -> FitEvalSplit:
    """Of each rater with n >= `min_ratings` ratings, |fit| ~ Uniform{2..n-2} in random order; the rest is eval.

    |fit| is keyed by the rater, the order by rater and item.
    """
    if min_ratings < MIN_RATINGS:
        raise UsageError(f"min_ratings is {min_ratings}; below {MIN_RATINGS} no |fit| in 2..n-2 exists.")
    n_ratings = np.bincount(ratings.rater_index, minlength=ratings.n_raters)
    choices = np.maximum(n_ratings - 3, 0)
    n_fit = 2 + np.floor(keyed_uniforms(seed, "n_fit", id_codes(ratings.rater_ids)) * choices).astype(np.int64)
    used = (n_ratings >= min_ratings)[ratings.rater_index]
    position = random_positions(ratings, seed=seed)
    is_fit = used & (position < n_fit[ratings.rater_index])
    return FitEvalSplit(fit_position=np.where(is_fit, position, -1), used=used)


def random_positions(ratings: Ratings, *, seed: int) -> IntArray:
    """Each row's place, from 0, in its rater's random order, [ratings]; of some of the rows the order is the same."""
    raters, items = id_codes(ratings.rater_ids), id_codes(ratings.item_ids)
    n_ratings = np.bincount(ratings.rater_index, minlength=ratings.n_raters)
    words = keyed_words(seed, "fit_order", raters[ratings.rater_index], items[ratings.item_index])
    order = np.lexsort((words, ratings.rater_index))
    starts = np.repeat(np.cumsum(n_ratings) - n_ratings, n_ratings)
    position = np.empty(len(ratings), dtype=np.int64)
    position[order] = np.arange(len(ratings)) - starts
    return position


def some_raters(ratings: Ratings, most_ratings: int, *, seed: int, purpose: str) -> IntArray:
    """Raters by chance keyed by their ids, rising, as many as together have at most so many ratings; one at least.

    `purpose` names the stream of random numbers. Of a table with no more ratings all raters who have any. Raises UsageError for
    a number below 1.
    """
    if most_ratings < 1:
        raise UsageError(f"{purpose}: the most ratings is {most_ratings}, lowest is 1.")
    n_ratings = np.bincount(ratings.rater_index, minlength=ratings.n_raters)
    present = np.flatnonzero(n_ratings)
    if len(ratings) <= most_ratings:
        return present
    order = present[np.argsort(keyed_words(seed, purpose, id_codes(ratings.rater_ids))[present], kind="stable")]
    n_kept = int(np.searchsorted(np.cumsum(n_ratings[order]), most_ratings, side="right"))
    return np.sort(order[: max(1, n_kept)])


def some_rows(ratings: Ratings, rows: IntArray, most: int, *, seed: int, purpose: str) -> IntArray:
    """At most so many of these rows, by chance keyed by rater and item; rising. `purpose` names the stream of random numbers.

    Raises UsageError for a number below 0.
    """
    if most < 0:
        raise UsageError(f"{purpose}: the most rows is {most}, lowest is 0.")
    if len(rows) <= most:
        return rows
    raters, items = id_codes(ratings.rater_ids), id_codes(ratings.item_ids)
    words = keyed_words(seed, purpose, raters[ratings.rater_index[rows]], items[ratings.item_index[rows]])
    return np.sort(rows[np.argsort(words, kind="stable")[:most]])


def _test_items(ratings: Ratings, test_share: float, seed: int) -> BoolArray:
    _check_share(test_share)
    return keyed_uniforms(seed, "split_items", id_codes(ratings.item_ids)) < test_share


def _test_raters(ratings: Ratings, test_share: float, min_ratings: int, seed: int) -> BoolArray:
    _check_share(test_share)
    n_ratings = np.bincount(ratings.rater_index, minlength=ratings.n_raters)
    drawn = keyed_uniforms(seed, "split_raters", id_codes(ratings.rater_ids)) < test_share
    enough: BoolArray = n_ratings >= min_ratings
    return drawn & enough


def _check_share(test_share: float) -> None:
    if not 0 < test_share < 1:
        raise UsageError(f"test_share is {test_share}; it must lie between 0 and 1, both excluded.")


def _split(ratings: Ratings, is_train: BoolArray, is_test: BoolArray, seed: int) -> Split:
    split = Split(np.flatnonzero(is_train), np.flatnonzero(is_test))
    for part, rows in zip(Split._fields, split, strict=True):
        if len(rows) == 0:
            raise DataError(
                ratings.name,
                f"the {part} part of the split is empty ({ratings.n_raters:,} raters, {ratings.n_items:,} items, "
                f"{len(ratings):,} ratings, seed {seed}); it takes more raters or items, another share, or another seed.",
            )
    return split
