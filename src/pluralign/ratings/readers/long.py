"""From what a format's reader found to checked `Ratings`: the steps that every format shares, in this order.

1. Texts that stand for "no value" become null. 2. Attributes computed from the ratings are dropped. 3. Rows without a rating
are dropped: they are missing, not data. 4. Answers become options of a scale. 5. Of several ratings of one item by one rater
the stated one is kept. Every row that is dropped is counted in a Note with the word "dropped".
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import polars as pl

from pluralign.errors import DataError
from pluralign.ratings.readers.columns import column_list, is_leak
from pluralign.ratings.readers.options import Duplicates, ReadOptions
from pluralign.ratings.readers.scales import answers_as_options
from pluralign.ratings.table import Note, Ratings

__all__ = ["Long", "finish"]


@dataclass(frozen=True)
class Long:
    """What a reader hands over: one row a rating, everything text."""

    table: pl.DataFrame
    """item_id, rater_id, rating, then item_* and rater_* columns; null = no value."""
    where: str
    """The file or folder."""
    name: str
    notes: tuple[Note, ...] = ()
    columns: dict[str, str] = field(default_factory=dict)
    """What each of our columns is called in the source."""
    duplicates: Duplicates = "error"
    """What this format means by several ratings of one item by one rater."""
    answers: tuple[str, ...] | None = None
    """Every possible answer in order, where the format fixes them."""


def finish(long: Long, options: ReadOptions) -> Ratings:
    """Checked ratings. Raises DataError with all faults of one step at once."""
    if long.table.height == 0:
        raise DataError(long.where, "no ratings: there are column names or an outline, but no row")
    notes = [*long.notes, Note(long.where, "ratings or cells for them were read", long.table.height)]
    table = _blank_missing(long.table, options.missing)
    table = _without_leaks(table, long, notes)
    if faults := _missing_ids(table):
        raise DataError(long.where, faults)
    table = _without_missing(table, long.where, notes)
    fixed = options.options if options.options is not None else long.answers
    table, scale, more = answers_as_options(table, options, fixed, long.where)
    notes += more
    table = _without_duplicates(table, options.duplicates or long.duplicates, long.where, notes)
    try:
        ratings = Ratings.from_long(table, scale, name=long.name)
    except DataError as error:
        raise DataError(long.where, error.faults) from error
    if ratings.n_raters == 1:
        notes.append(Note(long.where, "one rater only: there is nobody to compare with", 1))
    return replace(ratings, notes=tuple(notes))


_IDS = (("item_id", "item"), ("rater_id", "rater"))


def _blank_missing(table: pl.DataFrame, tokens: tuple[str, ...]) -> pl.DataFrame:
    """Ids, ratings and attributes that stand for "no value" as null; an item's text is left as it is."""
    columns = [c for c in table.columns if c in ("item_id", "rater_id", "rating") or c.startswith("rater_")]
    known = pl.lit(pl.Series(list(tokens), dtype=pl.String).implode())
    return table.with_columns(
        pl.when(pl.col(c).is_in(known) | (pl.col(c).str.strip_chars() == "")).then(None).otherwise(pl.col(c)).alias(c)
        for c in columns
    )


def _without_leaks(table: pl.DataFrame, long: Long, notes: list[Note]) -> pl.DataFrame:
    leaks = [c for c in table.columns if c.startswith("rater_") and is_leak(c)]
    if leaks:
        sources = column_list([long.columns.get(c, c) for c in leaks])
        notes.append(Note(long.where, f"a leak: computed from the ratings, never an attribute: {sources}", len(leaks)))
    return table.drop(leaks)


def _missing_ids(table: pl.DataFrame) -> list[str]:
    faults = []
    for column, role in _IDS:
        absent = table[column].is_null()
        if n := int(absent.sum()):
            first = (absent.arg_max() or 0) + 1
            faults.append(
                f"{n:,} ratings have no {role} (the first is number {first:,}): empty, or one of the texts of --missing"
            )
    return faults


def _without_missing(table: pl.DataFrame, where: str, notes: list[Note]) -> pl.DataFrame:
    n = table["rating"].null_count()
    if n == table.height:
        raise DataError(where, f"no ratings: all {n:,} are empty or one of the texts of --missing")
    if n == 0:
        return table
    kept = table.drop_nulls("rating")
    notes.append(Note(where, "without a rating: missing, not data; dropped", n))
    for column, role in _IDS:
        if lost := table[column].n_unique() - kept[column].n_unique():
            notes.append(Note(where, f"{role}s without any rating are not in the table", lost))
    return kept


def _without_duplicates(table: pl.DataFrame, keep: Duplicates, where: str, notes: list[Note]) -> pl.DataFrame:
    if keep == "error":
        return table  # `Ratings.from_long` refuses them and names one
    kept = table.unique(["item_id", "rater_id"], keep=keep, maintain_order=True)
    if n := table.height - kept.height:
        notes.append(
            Note(where, f"further ratings of an item by the same rater: the {keep} one counts, the others were dropped", n)
        )
    return kept
