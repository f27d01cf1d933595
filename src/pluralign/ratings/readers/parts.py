"""The parts of a table in a folder, put together; what the names of folders say becomes columns."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from pluralign.errors import DataError
from pluralign.partitions import Part
from pluralign.ratings.readers.columns import column_list
from pluralign.ratings.table import Note

__all__ = ["joined_parts"]

_Frame = tuple[pl.DataFrame, Sequence[Note]]
_SHOWN = 5


def joined_parts(parts: Sequence[tuple[Part, _Frame]], where: str) -> tuple[pl.DataFrame, list[Note]]:
    """One table, in the order of the parts, and what was noticed.

    Raises DataError for parts with other columns, or other kinds of them. A column that is in a part as well as in the names
    of its folders has to say the same in both.
    """
    faults: list[str] = []
    tables = [_with_values(part, table, faults) for part, (table, _) in parts]
    names = sorted(tables[0].columns)
    for (part, _), table in zip(parts, tables, strict=True):
        if missing := [name for name in names if name not in table.columns]:
            faults.append(f"{part.name}: no column {column_list(missing)}, which {parts[0][0].name} has")
        if more := [name for name in table.columns if name not in names]:
            faults.append(f"{part.name}: columns {column_list(more)}, which {parts[0][0].name} has not")
    if faults:
        raise DataError(where, [*faults[:_SHOWN], *([f"and {len(faults) - _SHOWN:,} more"] if len(faults) > _SHOWN else [])])
    try:
        table = pl.concat([table.select(tables[0].columns) for table in tables], how="vertical_relaxed")
    except pl.exceptions.PolarsError as error:
        raise DataError(where, f"its parts have columns of different kinds: {str(error).splitlines()[0]}") from error
    notes = list(dict.fromkeys(note for _, (_, several) in parts for note in several))
    return table, [Note(where, f"parts were read, {parts[0][0].name} first", len(parts)), *notes]


def _with_values(part: Part, table: pl.DataFrame, faults: list[str]) -> pl.DataFrame:
    for name, value in part.values.items():
        if name in table.columns:
            same = pl.col(name).cast(pl.String).eq_missing(pl.lit(value, dtype=pl.String))
            if not table.select(same.all()).item():
                faults.append(f"{part.name}: column {name!r} is not everywhere {value!r}, as the folder's name says")
        else:
            table = table.with_columns(pl.lit(value, dtype=pl.String).alias(name))
    return table
