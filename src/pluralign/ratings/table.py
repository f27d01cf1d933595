"""Ratings: who gave which answer to what.

Outside, one long table: `item_id, rater_id, rating`, with `item_*` texts and `rater_*` attributes beside each row. Inside,
the same thing without repetition: a table of items, a table of raters, and three integer arrays, one entry a rating. Rows
are kept in the order of (item_id, rater_id), so that nothing computed from them depends on the order in which they came.
A subset (`take`) shares the two tables with the whole, so an index means the same item and rater in both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import DataError
from pluralign.ratings.scale import Scale

__all__ = ["Note", "Ratings"]

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Note:
    """Something a reader saw and did, with how often: nothing is dropped or changed without one."""

    where: str
    """The file, column or field."""
    what: str
    """A sentence: what was seen and what was done with it."""
    count: int
    """How many rows (or raters, items) it concerns."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what} ({self.count:,})"


@dataclass(frozen=True)
class Ratings:
    """A table of ratings on one scale. Build it with `Ratings.from_long` or a reader; both check it."""

    items: pl.DataFrame
    """One row an item, sorted by `item_id` (text); further columns `item_*` (text)."""
    raters: pl.DataFrame
    """One row a rater, sorted by `rater_id` (text); further columns `rater_*` (text or numbers, null = not known)."""
    item_index: IntArray
    """[ratings] row of `items`."""
    rater_index: IntArray
    """[ratings] row of `raters`."""
    rating_index: IntArray
    """[ratings] position in `scale.options`."""
    scale: Scale
    name: str = "ratings"
    notes: tuple[Note, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.rating_index)

    @property
    def n_items(self) -> int:
        """Rows of the item table; a subset may have ratings of fewer."""
        return self.items.height

    @property
    def n_raters(self) -> int:
        return self.raters.height

    @property
    def n_options(self) -> int:
        return len(self.scale)

    @cached_property
    def item_ids(self) -> list[str]:
        return self.items["item_id"].to_list()

    @cached_property
    def rater_ids(self) -> list[str]:
        return self.raters["rater_id"].to_list()

    @property
    def text_columns(self) -> list[str]:
        """The `item_*` columns that carry text (all but the id)."""
        return [c for c in self.items.columns if c != "item_id"]

    @property
    def attributes(self) -> list[str]:
        """The `rater_*` columns that describe raters (all but the id)."""
        return [c for c in self.raters.columns if c != "rater_id"]

    @cached_property
    def values(self) -> npt.NDArray[np.float64]:
        """[ratings] each rating as a number (see `Scale.values`)."""
        return self.scale.values[self.rating_index]

    def take(self, rows: npt.NDArray[np.bool_] | IntArray) -> Ratings:
        """The ratings at these positions (or where the mask holds); the item and rater tables stay whole."""
        picked = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        return replace(
            self,
            item_index=self.item_index[picked],
            rater_index=self.rater_index[picked],
            rating_index=self.rating_index[picked],
        )

    def compact(self) -> Ratings:
        """The same ratings; items and raters without any are left out of the tables, so an index means another one."""
        items, item_index = np.unique(self.item_index, return_inverse=True)
        raters, rater_index = np.unique(self.rater_index, return_inverse=True)
        return replace(
            self,
            items=self.items[items],
            raters=self.raters[raters],
            item_index=item_index.astype(np.int64),
            rater_index=rater_index.astype(np.int64),
        )

    def to_long(self) -> pl.DataFrame:
        """One row a rating: item_id, rater_id, rating (the option's text), then item_* and rater_* columns."""
        ids = pl.DataFrame(
            {
                "item_id": self.items["item_id"].gather(self.item_index),
                "rater_id": self.raters["rater_id"].gather(self.rater_index),
                "rating": pl.Series(self.scale.options, dtype=pl.String).gather(self.rating_index),
            }
        )
        texts = self.items[self.item_index].drop("item_id")
        attributes = self.raters[self.rater_index].drop("rater_id")
        return pl.concat([ids, texts, attributes], how="horizontal")

    def content_hash(self) -> str:
        """SHA-256 of who rated what how: two tables that differ anywhere that matters have different ones.

        Neither the name nor the notes count.
        """
        digest = hashlib.sha256(repr(self.scale).encode())
        for table in (self.items, self.raters):
            digest.update(table.write_csv().encode())
        for index in (self.item_index, self.rater_index, self.rating_index):
            digest.update(np.ascontiguousarray(index).tobytes())
        return digest.hexdigest()

    @classmethod
    def from_long(
        cls,
        table: pl.DataFrame,
        scale: Scale,
        *,
        name: str = "ratings",
        notes: Sequence[Note] = (),
    ) -> Ratings:
        """From one row a rating. Columns: item_id, rater_id, rating, any item_* and rater_*.

        Raises DataError, with all faults at once: missing columns or values, no row, a rating outside the scale, a repeated
        (item, rater), an item's text or a rater's attribute that differs between rows. Ids and ratings are compared as text.
        """
        faults = [f"no column '{c}'; columns are {table.columns}" for c in _IDS if c not in table.columns]
        if not faults and table.height == 0:
            faults = ["no ratings: the table has its columns but no row"]
        if faults:
            raise DataError(name, faults)
        table = table.with_columns(pl.col(c).cast(pl.String) for c in _IDS)
        faults = [*_missing_values(table), *_outside_scale(table, scale)]
        items = _one_row_each(table, "item_id", "item_", faults)
        raters = _one_row_each(table, "rater_id", "rater_", faults)
        if faults:
            raise DataError(name, faults)
        coded = _coded(table, items["item_id"], raters["rater_id"], scale)
        _refuse_repeats(coded, items, raters, name)
        item_index, rater_index, rating_index = (coded[c].to_numpy().astype(np.int64) for c in _IDS)
        return cls(items, raters, item_index, rater_index, rating_index, scale, name, tuple(notes))


_IDS = ("item_id", "rater_id", "rating")
_SHOWN = 3
"""How many examples a fault names."""
_BLOCK = 250_000
"""Rows that are looked through for new ones at a time, or as many as were found."""


def _missing_values(table: pl.DataFrame) -> list[str]:
    faults = []
    for column in _IDS:
        if n := table[column].null_count():
            first = table[column].is_null().arg_max()
            faults.append(f"{n:,} rows have no {column} (the first is row {first + 1 if first is not None else '?'})")
    return faults


def _outside_scale(table: pl.DataFrame, scale: Scale) -> list[str]:
    allowed = pl.Series(scale.options, dtype=pl.String)
    outside = table.filter(pl.col("rating").is_not_null() & ~pl.col("rating").is_in(allowed.implode()))
    if outside.height == 0:
        return []
    counts = outside["rating"].value_counts(sort=True).head(_SHOWN)
    shown = ", ".join(f"{value!r} ({n:,} times)" for value, n in counts.iter_rows())
    return [
        f"{outside.height:,} ratings are outside the scale {list(scale.options)}: {shown}. "
        "Name every option with --options, or remove the rows."
    ]


def _one_row_each(table: pl.DataFrame, key: str, prefix: str, faults: list[str]) -> pl.DataFrame:
    columns = [c for c in table.columns if c.startswith(prefix) and c != key]
    distinct = _distinct(table.select(key, *columns)).drop_nulls(key)
    repeated = distinct.filter(pl.col(key).is_duplicated())
    for column in columns if repeated.height else []:
        differing = repeated.group_by(key).agg(pl.col(column).n_unique().alias("n")).filter(pl.col("n") > 1)
        if differing.height:
            example = differing[key].min()
            faults.append(
                f"'{column}' differs between rows of the same {key} for {differing.height:,} of them, e.g. {example!r}. "
                f"A column that belongs to the single rating must not start with '{prefix}'."
            )
    return distinct.unique(key, keep="first", maintain_order=False).sort(key)


def _distinct(rows: pl.DataFrame) -> pl.DataFrame:
    """Each row once, in any order; block by block, since at once the texts of all rows would be copied to be compared."""
    found, start = rows.clear(), 0
    while start < rows.height:
        size = max(_BLOCK, found.height)
        found = pl.concat([found, rows.slice(start, size)]).unique(maintain_order=False)
        start += size
    return found


def _coded(table: pl.DataFrame, item_ids: pl.Series, rater_ids: pl.Series, scale: Scale) -> pl.DataFrame:
    options = pl.Series("rating", scale.options, dtype=pl.String)
    coded = table.select(
        pl.col("item_id").cast(pl.Enum(item_ids)).to_physical(),
        pl.col("rater_id").cast(pl.Enum(rater_ids)).to_physical(),
        pl.col("rating").cast(pl.Enum(options)).to_physical(),
    )
    return coded.sort("item_id", "rater_id")


def _refuse_repeats(coded: pl.DataFrame, items: pl.DataFrame, raters: pl.DataFrame, name: str) -> None:
    # sorted by item and rater, so a repeat is equal to the row above it
    same = (pl.col(c) == pl.col(c).shift() for c in ("item_id", "rater_id"))
    repeated = coded.filter(pl.all_horizontal(*same))
    repeats = repeated.height
    if repeats == 0:
        return
    first = repeated.select("item_id", "rater_id").row(0)
    raise DataError(
        name,
        f"{repeats:,} ratings repeat an (item, rater) pair, e.g. item {items['item_id'][first[0]]!r} by rater "
        f"{raters['rater_id'][first[1]]!r}. Say which counts with --duplicates first or --duplicates last.",
    )
