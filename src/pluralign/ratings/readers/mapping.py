"""The columns of a table besides item, rater and rating: which belong to items, which describe raters, which are left out.

In order: the columns that were named (`item_columns`, `attributes`); columns named `item_*` or like a text ("text", "comment",
...), when each item has one value; columns with one value per rater, unless they only number rows. A column that belongs to
raters can only be told from one that belongs to ratings when some rater has two ratings, so without that none is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from pluralign.errors import DataError
from pluralign.ratings.readers.columns import Roles, column_list, is_identifier, is_leak, is_text_name, prefixed
from pluralign.ratings.readers.options import ReadOptions
from pluralign.ratings.table import Note

__all__ = ["Assigned", "assign_columns", "filtered", "long_table"]


@dataclass
class Assigned:
    """Where the remaining columns of a table go."""

    texts: list[str] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """Why -> columns."""

    def leave_out(self, column: str, why: str) -> None:
        self.left_out.setdefault(why, []).append(column)

    def notes(self, where: str) -> list[Note]:
        return [
            Note(where, f"columns left out, {why}: {column_list(names)}", len(names)) for why, names in self.left_out.items()
        ]


def assign_columns(table: pl.DataFrame, roles: Roles, options: ReadOptions, where: str) -> Assigned:
    """Decides for every column that plays no role. Raises DataError for named columns that are absent or leaks."""
    _check_named(table.columns, options, where)
    assigned = Assigned(list(options.item_columns or ()), list(options.attributes or ()))
    named = {*roles.item, roles.rater, roles.rating, *assigned.texts, *assigned.attributes}
    rest = [c for c in table.columns if c not in named]
    texts = [c for c in rest if is_text_name(c)] if options.item_columns is None else []
    varies = _groups_that_vary(table, roles.item, texts)
    for column in texts:
        if varies[column]:
            assigned.leave_out(column, "since they differ between ratings of the same item")
        else:
            assigned.texts.append(column)
    _assign_attributes(table, roles, [c for c in rest if c not in texts], options, assigned)
    return assigned


def long_table(table: pl.DataFrame, roles: Roles, assigned: Assigned) -> tuple[pl.DataFrame, dict[str, str]]:
    """The table under our column names, all text, and what each column was called."""
    columns = {"rater_id": roles.rater, "rating": roles.rating}
    columns |= prefixed(assigned.texts, "item_") | prefixed(assigned.attributes, "rater_")
    parts = [pl.col(c).cast(pl.String) for c in roles.item]
    item = parts[0] if len(parts) == 1 else pl.concat_str(parts, separator="/")
    others = [pl.col(source).cast(pl.String).alias(ours) for ours, source in columns.items()]
    return table.select(item.alias("item_id"), *others), {"item_id": " + ".join(roles.item), **columns}


def filtered(table: pl.DataFrame, options: ReadOptions, where: str) -> tuple[pl.DataFrame, list[Note]]:
    """The rows for which every "column=value" of `options.where` holds, and a Note for each condition."""
    notes = []
    for condition in options.where:
        column, value = condition.split("=", 1)
        if column not in table.columns:
            raise DataError(where, f"--where {condition}: no column {column!r}; columns are {column_list(table.columns)}")
        kept = table.filter((pl.col(column).cast(pl.String) == value).fill_null(value=False))
        notes.append(Note(where, f"rows outside --where {condition} were not read", table.height - kept.height))
        table = kept
    return table, notes


def _check_named(columns: Sequence[str], options: ReadOptions, where: str) -> None:
    faults = []
    for flag, names in (("item-columns", options.item_columns), ("attributes", options.attributes)):
        for name in names or ():
            if name not in columns:
                faults.append(f"--{flag} {name}: no such column; columns are {column_list(columns)}")
    for name in options.attributes or ():
        if is_leak(name):
            faults.append(
                f"--attributes {name}: by its name it is computed from the ratings and would leak them; if it is not, rename it"
            )
    if faults:
        raise DataError(where, faults)


def _assign_attributes(table: pl.DataFrame, roles: Roles, rest: list[str], options: ReadOptions, assigned: Assigned) -> None:
    if options.attributes is not None:
        for column in rest:
            assigned.leave_out(column, "since --attributes does not name them")
        return
    candidates = []
    for column in rest:
        if is_identifier(column):
            assigned.leave_out(column, "since by their name they number rows or people")
        elif table[column].n_unique() == 1:
            assigned.leave_out(column, "since they have one value throughout")
        else:
            candidates.append(column)
    if table[roles.rater].n_unique() == table.height:
        for column in candidates:
            (assigned.attributes.append(column) if column.startswith("rater_") else assigned.leave_out(column, _LONE))
        return
    varies = _groups_that_vary(table, (roles.rater,), candidates)
    for column in candidates:
        if varies[column]:
            assigned.leave_out(column, "since they differ between ratings of the same rater (name them with --item-columns)")
        else:
            assigned.attributes.append(column)


_LONE = "since no rater has two ratings, so that nothing shows what describes raters (name them with --attributes)"


def _groups_that_vary(table: pl.DataFrame, key: Sequence[str], columns: list[str]) -> dict[str, int]:
    """For each column, in how many groups of rows with the same key it has more than one value."""
    if not columns or table.height == 0:
        return dict.fromkeys(columns, 0)
    distinct = table.group_by([pl.col(c).alias(f"key {i}") for i, c in enumerate(key)]).agg(
        pl.col(c).n_unique().alias(f"column {i}") for i, c in enumerate(columns)
    )
    return {c: int((distinct[f"column {i}"] > 1).sum()) for i, c in enumerate(columns)}
