"""Situations from a file: one a line, or a column of a table."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import polars as pl

from pluralign.errors import DataError, UsageError
from pluralign.stored_files import on_disk
from pluralign.stores import Place, place
from pluralign.values.considerations import one_line

__all__ = ["COLUMNS", "checked_situations", "read_situation_file", "read_table"]

COLUMNS = ("situation", "action", "text")
"""Names that the column of situations may have, the first that is there counts."""


def read_situation_file(file: str | os.PathLike[str], *, column: str | None = None, limit: int | None = None) -> list[str]:
    """All situations of a .txt (one a line, empty lines left out), .csv, .jsonl or .parquet file, in its order.

    Raises DataError for a file that cannot be read, without the column, or with rows that have no text.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"--limit {limit}: it is a number of situations, at least 1.")
    path = place(file)
    if path.suffix == ".txt":
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise DataError(str(path), f"cannot be read as text: {getattr(error, 'strerror', None) or error}") from error
        return checked_situations([line for line in lines if line.strip()][:limit], where=str(path))
    texts = _column(path, read_table(path, or_else=".txt, "), column)[:limit]
    return checked_situations(["" if text is None else str(text) for text in texts], where=str(path))


def checked_situations(situations: list[str], *, where: str = "situations") -> list[str]:
    """Each as one line. Raises DataError where there is none, or one without text, or one that no tokenizer takes."""
    lines = [one_line(text) for text in situations]
    faults = [f"situation {n} has no text." for n, text in enumerate(lines, 1) if not text]
    faults += [
        f"situation {n}, {text[:60]!r}, holds a NUL or half of a surrogate pair; take it out."
        for n, text in enumerate(lines, 1)
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text)
    ]
    if not lines:
        faults = ["there are no situations; give one a line, or a row each."]
    if faults:
        raise DataError(where, [*faults[:20], *([f"and {len(faults) - 20:,} more"] if len(faults) > 20 else [])])
    return lines


def read_table(file: str | os.PathLike[str], *, or_else: str = "") -> pl.DataFrame:
    """A .csv (all columns as text), .jsonl or .parquet file. Raises DataError where it cannot be read.

    `or_else` names other endings that the caller takes, for the message: ".txt, ".
    """
    path = place(file)
    readers: dict[str, Callable[[Path], pl.DataFrame]] = {
        ".csv": lambda file: pl.read_csv(file, infer_schema=False),
        ".jsonl": pl.read_ndjson,
        ".parquet": pl.read_parquet,
    }
    if path.suffix not in readers:
        raise DataError(str(path), f"the name must end in {or_else}.csv, .jsonl or .parquet.")
    try:
        return readers[path.suffix](on_disk(path))
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(str(path), f"cannot be read as {path.suffix.removeprefix('.')}: {why}") from error


def _column(path: Place, table: pl.DataFrame, column: str | None) -> list[object]:
    names = COLUMNS if column is None else (column,)
    found = next((name for name in names if name in table.columns), None)
    if found is None:
        raise DataError(
            str(path), f"no column {' or '.join(names)}; columns are {', '.join(table.columns)[:300]}. Name one with --column."
        )
    return list(table[found].to_list())
