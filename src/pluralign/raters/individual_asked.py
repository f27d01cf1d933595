"""Which ratings are to be filled in: pairs of rater and item that nobody gave, new items, new raters, or both.

Pairs may name items and raters that the ratings do not have. Then both tables are made larger (`joined`), so that what is known
and what is asked share them, as rating models need it. What may be learned about a pair depends on its kind:

    known raters, known items     other ratings of the rater and of the item
    known raters, new items       other ratings of the rater, the item's text
    new raters, known items       what is known of the rater beside ratings, other ratings of the item
    new raters, new items         what is known of the rater beside ratings, the item's text

`kept_apart` takes ratings of each kind out of the known ones, to learn from how well they are predicted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import DataError
from pluralign.ratings import Note, Ratings
from pluralign.ratings.keyed import id_codes, keyed_uniforms, keyed_words
from pluralign.ratings.splits import some_rows

__all__ = [
    "KINDS",
    "MOST_MISSING",
    "AskedRatings",
    "KeptApart",
    "joined",
    "kept_apart",
    "missing_pairs",
    "seen_rows",
]

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

KINDS = ("known raters, known items", "known raters, new items", "new raters, known items", "new raters, new items")
MOST_MISSING = 100_000
"""Pairs that nobody gave are not asked without a limit if they are more."""
APART_SHARE = 0.2
"""Of the rows, items or raters, that are kept apart."""
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class AskedRatings:
    """What is known, and what is asked. Both tables share items and raters."""

    known: Ratings
    asked: Ratings
    """A rating that nobody gave stands as the first option; no model looks at it."""
    is_given: BoolArray
    """[asked] whether the pair's true rating is there, to judge predictions by."""
    notes: tuple[Note, ...] = ()

    @property
    def kind(self) -> IntArray:
        """[asked] position in `KINDS`."""
        rated = np.bincount(self.known.item_index, minlength=self.known.n_items) > 0
        rates = np.bincount(self.known.rater_index, minlength=self.known.n_raters) > 0
        return np.asarray(2 * ~rates[self.asked.rater_index] + ~rated[self.asked.item_index], dtype=np.int64)


def missing_pairs(ratings: Ratings, *, limit: int | None = None, seed: int = 0) -> pl.DataFrame:
    """item_id and rater_id of every pair of a rated item and a rater of the table that nobody gave.

    With `limit` so many of them, by chance. Raises DataError for more than `MOST_MISSING` without one, and where there is none.
    """
    items, raters = np.unique(ratings.item_index), np.unique(ratings.rater_index)
    n_missing = len(items) * len(raters) - len(ratings)
    if n_missing > MOST_MISSING and limit is None:
        raise DataError(
            ratings.name,
            f"{n_missing:,} ratings of {len(raters):,} raters and {len(items):,} items are missing; at most {MOST_MISSING:,} "
            "are asked without --limit N, which takes N of them by chance. Or name the pairs in a file: --ask FILE.",
        )
    if n_missing == 0:
        raise DataError(ratings.name, "every rater rated every item: nothing is missing; name what is asked with --ask FILE.")
    found = _some_missing(ratings, items, raters, n_missing if limit is None else min(limit, n_missing), seed)
    item, rater = np.divmod(found, len(raters))
    return pl.DataFrame(
        {
            "item_id": ratings.items["item_id"].gather(items[item]),
            "rater_id": ratings.raters["rater_id"].gather(raters[rater]),
        }
    )


def _some_missing(ratings: Ratings, items: IntArray, raters: IntArray, n: int, seed: int) -> IntArray:
    """Rising positions in the grid of items and raters, rater by rater within an item."""
    given = np.searchsorted(items, ratings.item_index) * len(raters) + np.searchsorted(raters, ratings.rater_index)
    if n == len(items) * len(raters) - len(given):
        missing = np.ones(len(items) * len(raters), dtype=bool)
        missing[given] = False
        return np.flatnonzero(missing)
    codes = id_codes(ratings.item_ids)[items], id_codes(ratings.rater_ids)[raters]
    best, words = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint64)
    taken = np.sort(given)
    edges = np.searchsorted(taken, np.arange(len(items) + 1) * len(raters))
    for row in range(len(items)):  # a row at a time: the grid may be larger than memory
        is_free = np.ones(len(raters), dtype=bool)
        is_free[taken[edges[row] : edges[row + 1]] % len(raters)] = False
        cells = row * len(raters) + np.flatnonzero(is_free)
        drawn = keyed_words(seed, "missing", int(codes[0][row]), codes[1][is_free])
        best, words = np.concatenate([best, cells]), np.concatenate([words, drawn])
        if len(best) > 4 * n:
            kept = np.argsort(words, kind="stable")[:n]
            best, words = best[kept], words[kept]
    return np.sort(best[np.argsort(words, kind="stable")[:n]])


def joined(ratings: Ratings, pairs: pl.DataFrame, *, name: str = "the pairs asked") -> AskedRatings:
    """The ratings, and the pairs as rows of the same tables.

    `pairs`: item_id, rater_id; item_* texts and rater_* attributes, which new items and raters need; where it is known, the
    true rating. Raises DataError, with all faults, for pairs without an id or among the ratings, ids that mean another item or
    rater than in the ratings, new items without a text, and true ratings outside the scale.
    """
    if absent := [column for column in ("item_id", "rater_id") if column not in pairs.columns]:
        raise DataError(name, [f"no column {column!r}; columns are {pairs.columns}" for column in absent])
    if pairs.height == 0:
        raise DataError(name, "there is no pair of rater and item in it.")
    pairs = pairs.with_columns(pl.col("item_id", "rater_id").cast(pl.String))
    faults = [f"{n:,} rows have no {column}" for column in ("item_id", "rater_id") if (n := int(pairs[column].null_count()))]
    if faults:
        raise DataError(name, faults)
    first = pairs.unique(["item_id", "rater_id"], keep="first", maintain_order=True)
    notes = [Note(name, "pairs that are asked again: once is enough", n)] if (n := pairs.height - first.height) else []
    notes += _unused(pairs, ratings, name)
    items = _larger(ratings.items, first, "item", faults)
    raters = _larger(ratings.raters, first, "rater", faults)
    options, is_given = _true_ratings(first, ratings, faults)
    if faults:
        raise DataError(name, faults)
    known = _moved(ratings, items, raters)
    asked = replace(
        known,
        item_index=_positions(items["item_id"], first["item_id"]),
        rater_index=_positions(raters["rater_id"], first["rater_id"]),
        rating_index=options,
    )
    order = np.lexsort((asked.item_index, asked.rater_index))  # whole raters together: they share the front of their questions
    asked, is_given = asked.take(order), is_given[order]
    _refuse_known(known, asked, name)
    return AskedRatings(known=known, asked=asked, is_given=is_given, notes=tuple(notes))


def _unused(pairs: pl.DataFrame, ratings: Ratings, name: str) -> list[Note]:
    known = {*ratings.items.columns, *ratings.raters.columns, "rating"}
    return [
        Note(name, f"column {column!r} is not among those of the ratings: not used", pairs.height)
        for column in pairs.columns
        if column not in known
    ]


def _larger(known: pl.DataFrame, pairs: pl.DataFrame, key: str, faults: list[str]) -> pl.DataFrame:
    """The table of items or raters with the new ones among them, sorted by id."""
    id_column = f"{key}_id"
    columns = [column for column in known.columns if column in pairs.columns and column != id_column]
    try:
        own = pairs.select(id_column, *(pl.col(column).cast(known.schema[column]) for column in columns)).unique()
    except pl.exceptions.PolarsError as error:
        faults.append(f"a column of {key}s has values of another kind than in the ratings: {str(error).splitlines()[0][:200]}")
        return known
    for column in columns:
        several = own.drop_nulls(column).group_by(id_column).agg(pl.col(column).n_unique().alias("n")).filter(pl.col("n") > 1)
        if several.height:
            faults.append(f"{column!r} differs between rows of the same {id_column}, e.g. {several[id_column].min()!r}")
    own = own.group_by(id_column).agg(pl.col(column).drop_nulls().first() for column in columns)
    both = known.join(own, on=id_column, how="left", suffix=" asked")
    for column in columns:
        other = both.filter(pl.col(column).is_not_null() & (pl.col(column) != pl.col(f"{column} asked")))
        if other.height:
            faults.append(
                f"{column!r} of {other.height:,} {key}s is another than in the ratings, e.g. of {other[id_column].min()!r}; "
                f"a {key} that is another one needs another id"
            )
    new = own.join(known, on=id_column, how="anti")
    if key == "item" and (texts := known.columns[1:]):
        bare = new.filter(pl.all_horizontal(pl.col(c).is_null() for c in columns)) if columns else new
        if bare.height:
            faults.append(
                f"{bare.height:,} items are not in the ratings and have no text, e.g. {bare[id_column].min()!r}; give it in "
                f"column {texts[0]!r}, or correct the id"
            )
    filled = both.select(id_column, *(_filled(column, columns) for column in known.columns[1:]))
    return pl.concat([filled, new], how="diagonal").select(known.columns).sort(id_column)


def _filled(column: str, asked: Sequence[str]) -> pl.Expr:
    return pl.coalesce(column, f"{column} asked") if column in asked else pl.col(column)


def _true_ratings(pairs: pl.DataFrame, ratings: Ratings, faults: list[str]) -> tuple[IntArray, BoolArray]:
    if "rating" not in pairs.columns:
        return np.zeros(pairs.height, dtype=np.int64), np.zeros(pairs.height, dtype=bool)
    given = pairs["rating"].cast(pl.String)
    place = {option: n for n, option in enumerate(ratings.scale.options)}
    outside = sorted({text for text in given.drop_nulls().to_list() if text not in place})
    if outside:
        faults.append(
            f"true ratings such as {', '.join(map(repr, outside[:_SHOWN]))} are outside the scale of the ratings, "
            f"{list(ratings.scale.options)}; name every option with --options"
        )
    is_given = given.is_not_null().to_numpy()
    return np.array([place.get(text, 0) for text in given.to_list()], dtype=np.int64), is_given


def _positions(ids: pl.Series, asked: pl.Series) -> IntArray:
    place = {unit: n for n, unit in enumerate(ids.to_list())}
    return np.array([place[unit] for unit in asked.to_list()], dtype=np.int64)


def _moved(ratings: Ratings, items: pl.DataFrame, raters: pl.DataFrame) -> Ratings:
    item, rater = (
        _positions(larger[column], own[column])
        for larger, own, column in ((items, ratings.items, "item_id"), (raters, ratings.raters, "rater_id"))
    )
    return replace(
        ratings, items=items, raters=raters, item_index=item[ratings.item_index], rater_index=rater[ratings.rater_index]
    )


def _refuse_known(known: Ratings, asked: Ratings, name: str) -> None:
    n_items = known.n_items
    both = np.intersect1d(known.rater_index * n_items + known.item_index, asked.rater_index * n_items + asked.item_index)
    if len(both):
        rater, item = divmod(int(both[0]), n_items)
        raise DataError(
            name,
            f"{len(both):,} pairs are among the ratings, e.g. item {known.item_ids[item]!r} by rater "
            f"{known.rater_ids[rater]!r}; what is asked must not be known: leave them out here or there.",
        )


@dataclass(frozen=True, slots=True, eq=False)
class KeptApart:
    """Rows of the known ratings [rows], rising."""

    train: IntArray
    """What models may be fitted on."""
    given: IntArray
    """What they are told of the raters asked about."""
    asked: IntArray


def seen_rows(ratings: Ratings, written_from: Mapping[str, Collection[str]]) -> BoolArray:
    """[ratings] whether the text about the rater was written from this very rating; by rater the items it was written from."""
    items, raters = ratings.item_ids, ratings.rater_ids
    pairs = zip(ratings.rater_index.tolist(), ratings.item_index.tolist(), strict=True)
    return np.array([items[item] in written_from.get(raters[rater], ()) for rater, item in pairs], dtype=bool)


def kept_apart(known: Ratings, kind: int, *, most: int, seed: int, seen: BoolArray | None = None) -> KeptApart | None:
    """Known ratings that are kept apart as what is asked of this kind is; None where there are too few to do so.

    Of known raters every one keeps a rating at least; of new raters nothing is given, and new items have no rating in `train`.
    What was `seen` [ratings] by whoever wrote what is told of raters is not asked.
    """
    rater, item = known.rater_index, known.item_index
    chosen_rater = _some_units(keyed_uniforms(seed, "apart_raters", id_codes(known.rater_ids)), rater)
    chosen_item = _some_units(keyed_uniforms(seed, "apart_items", id_codes(known.item_ids)), item)
    codes = id_codes(known.rater_ids)[rater], id_codes(known.item_ids)[item]
    rows = keyed_uniforms(seed, "apart_rows", *codes) < APART_SHARE
    out, left = {
        0: (rows, ~rows),
        1: (chosen_item[item], ~chosen_item[item]),
        2: (chosen_rater[rater], ~chosen_rater[rater]),
        3: (chosen_rater[rater] & chosen_item[item], ~chosen_rater[rater] & ~chosen_item[item]),
    }[kind]
    if kind < 2:
        out = out & (np.bincount(rater[left], minlength=known.n_raters) > 0)[rater]
    if kind in (0, 2):
        out = out & (np.bincount(item[left], minlength=known.n_items) > 0)[item]
    if seen is not None:
        out = out & ~seen
    asked, train = some_rows(known, np.flatnonzero(out), most, seed=seed, purpose="apart"), np.flatnonzero(left)
    if not len(asked) or not len(train):
        return None
    return KeptApart(train, train if kind < 2 else np.zeros(0, dtype=np.int64), asked)


def _some_units(drawn: npt.NDArray[np.float64], index: IntArray) -> BoolArray:
    """[units] a share of those that occur in `index`, those with the lowest numbers; one at least."""
    present = np.unique(index)
    n = max(1, round(APART_SHARE * len(present)))
    chosen = np.zeros(len(drawn), dtype=bool)
    chosen[present[np.argsort(drawn[present], kind="stable")[:n]]] = True
    return chosen
