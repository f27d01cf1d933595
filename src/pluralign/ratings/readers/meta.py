"""A second file, one row a rater (or item), joined to the ratings.

The key is the column that is called like the one in the ratings, else the one whose values contain the ratings' ids.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl

from pluralign.errors import DataError
from pluralign.ratings.readers.columns import Role, column_list, is_identifier, is_text_name, prefixed
from pluralign.ratings.readers.files import Source, frame_of_rows
from pluralign.ratings.readers.long import Long
from pluralign.ratings.table import Note

__all__ = ["join_meta"]

_KEY = "key of the object"
"""The column made of the keys when the file is one JSON object per id."""
_PREFIX = "Ann"
"""LeWiDi 2025's MultiPICo numbers its raters "0" in one file and "Ann0" in the other."""


def join_meta(long: Long, meta: Source, role: Role) -> Long:
    """The ratings with the second file's columns beside them.

    Raises DataError: no column contains the ids, an id twice, a column that the ratings already have.
    """
    table, notes = _frame(meta)
    ids = long.table[f"{role}_id"].drop_nulls().unique()
    key, table, more = _key_column(table, ids, long.columns.get(f"{role}_id"), meta.where, role)
    names = prefixed(_joined_columns(table, key, role), f"{role}_")
    clash = [ours for ours in names if ours in long.table.columns]
    if clash:
        raise DataError(meta.where, f"the ratings already have {column_list(clash)}; rename or remove the columns in one file")
    right = table.select(pl.col(key).alias(f"{role}_id"), *(pl.col(s).cast(pl.String).alias(ours) for ours, s in names.items()))
    joined = long.table.join(right, on=f"{role}_id", how="left", maintain_order="left")
    more += _coverage_notes(ids, right[f"{role}_id"], meta.where, role)
    return replace(long, table=joined, notes=(*long.notes, *notes, *more), columns={**long.columns, **names})


def _frame(meta: Source) -> tuple[pl.DataFrame, list[Note]]:
    if meta.kind != "json":
        return meta.frame
    data, notes = meta.json
    if not isinstance(data, dict):
        return meta.frame
    if not all(isinstance(row, dict) for row in data.values()):
        raise DataError(meta.where, "an object of objects is needed: an id, then its properties")
    rows: list[dict[str, Any]] = [{_KEY: key, **row} for key, row in data.items()]
    table, more = frame_of_rows(rows, meta.where)
    return table, [*notes, *more]


def _key_column(
    table: pl.DataFrame, ids: pl.Series, named: str | None, where: str, role: Role
) -> tuple[str, pl.DataFrame, list[Note]]:
    """The column of ids, the table with it as text, and a Note when the ids had to be brought into the same form."""
    table = table.with_columns(pl.all().cast(pl.String))
    for prefix in ("", _PREFIX):
        found = {c: int((prefix + table[c].drop_nulls().unique()).is_in(ids.implode()).sum()) for c in table.columns}
        key = named if named is not None and found.get(named) else max(found, key=lambda c: found[c], default="")
        if found.get(key):
            break
    else:
        shown = ids.sort().head(3).to_list()
        raise DataError(where, f"no column contains the {role} ids, e.g. {shown}; columns are {column_list(table.columns)}")
    repeated = table[key].drop_nulls().value_counts().filter(pl.col("count") > 1)
    if repeated.height:
        raise DataError(where, f"column {key!r}: {repeated[key].min()!r} occurs more than once; one row each is needed")
    if not prefix:
        return key, table, []
    note = Note(where, f"its ids are bare numbers: '0' was taken for '{prefix}0'", table.height)
    return key, table.with_columns((prefix + pl.col(key)).alias(key)), [note]


def _joined_columns(table: pl.DataFrame, key: str, role: Role) -> list[str]:
    """A rater's columns; of an item's those that are named like a text, or all when none is."""
    rest = [c for c in table.columns if c != key and not is_identifier(c)]
    texts = [c for c in rest if is_text_name(c)]
    return texts if role == "item" and texts else rest


def _coverage_notes(ids: pl.Series, known: pl.Series, where: str, role: Role) -> list[Note]:
    absent = len(ids) - int(ids.is_in(known.implode()).sum())
    unused = len(known) - int(known.is_in(ids.implode()).sum())
    notes = (
        [Note(where, f"{role}s of the ratings that this file does not know: their columns stay empty", absent)]
        if absent
        else []
    )
    return [*notes, Note(where, f"{role}s without a rating: not used", unused)] if unused else notes
