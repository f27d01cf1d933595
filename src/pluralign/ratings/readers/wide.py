"""A survey matrix: one row a rater, one column a question (an item), other columns describe the rater. Or turned round.

Which columns hold ratings is named with `rating_columns`, as names or patterns. Otherwise they are recognised: the largest set
of at least three columns, none of them named like a demographic, in which exactly the same answers occur. Where a further
column could be meant (its answers are among theirs), that is an error: a wrong guess would turn a question into an attribute.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import polars as pl

from pluralign.errors import DataError
from pluralign.ratings.readers.columns import (
    Role,
    candidates,
    column_list,
    find_role,
    is_attribute_name,
    is_identifier,
    is_leak,
    is_text_name,
    prefixed,
)
from pluralign.ratings.readers.files import Source
from pluralign.ratings.readers.long import Long
from pluralign.ratings.readers.mapping import filtered
from pluralign.ratings.readers.options import ReadOptions
from pluralign.ratings.readers.scales import canonical_number
from pluralign.ratings.table import Note

__all__ = ["melted", "read_wide", "recognised_columns"]

FEWEST_COLUMNS = 3
"""Columns with the same answers that make a matrix."""
MOST_ANSWERS = 15
_ROW = "row of the matrix"


def read_wide(source: Source) -> Long:
    """A matrix as one row a cell; empty cells are missing ratings."""
    options, where = source.options, source.where
    table, notes = source.frame
    table, more = filtered(table, options, where)
    role: Role = "rater" if options.rows == "raters" else "item"
    key, key_notes = _row_key(table, role, options, where)
    columns, how = _rating_columns(table, [key] if key else [], options, where)
    notes = [*notes, *more, *key_notes, Note(where, f"columns {how} as holding ratings: {column_list(columns)}", len(columns))]
    if key is None:
        key, table = _ROW, table.with_columns(pl.int_range(1, pl.len() + 1).cast(pl.String).alias(_ROW))
    beside, beside_notes = _columns_beside(table, [key, *columns], options, where)
    long, names = melted(table, key, columns, beside, role=role)
    return Long(long, where, source.name, (*notes, *beside_notes), names)


def melted(
    table: pl.DataFrame, key: str, columns: Sequence[str], beside: Sequence[str], *, role: Role
) -> tuple[pl.DataFrame, dict[str, str]]:
    """One row a cell: `key` names the row's rater (or item), a column its item (or rater); `beside` goes with the row."""
    other = "item" if role == "rater" else "rater"
    names = prefixed(beside, f"{role}_")
    kept = table.select(
        pl.col(key).cast(pl.String).alias(f"{role}_id"),
        *(pl.col(source).cast(pl.String).alias(ours) for ours, source in names.items()),
        *(pl.col(c).cast(pl.String).alias(f"{_CELL}{c}") for c in columns),
    )
    long = kept.unpivot(
        on=[f"{_CELL}{c}" for c in columns], index=[f"{role}_id", *names], variable_name=f"{other}_id", value_name="rating"
    ).with_columns(pl.col(f"{other}_id").str.strip_prefix(_CELL))
    return long, {f"{role}_id": key, f"{other}_id": "names of the rating columns", "rating": "cells", **names}


_CELL = "cell "
"""Keeps the names of rating columns apart from ours."""


def recognised_columns(table: pl.DataFrame, taken: Sequence[str]) -> tuple[list[str], list[str]]:
    """The largest set of columns with exactly the same answers, and further columns whose answers are among these.

    >>> likert = pl.DataFrame({"q1": ["1", "2"], "q2": ["2", "1"], "q3": ["1", "2"], "gender": ["1", "2"], "town": ["a", "b"]})
    >>> recognised_columns(likert, [])
    (['q1', 'q2', 'q3'], [])
    """
    usable = [c for c in table.columns if c not in taken and not _is_beside(c)]
    answers = {c: seen for c in usable if (seen := _few_answers(table[c]))}
    sets = sorted(set(answers.values()), key=lambda s: (-sum(a == s for a in answers.values()), sorted(s)))
    if not sets or sum(a == sets[0] for a in answers.values()) < FEWEST_COLUMNS:
        return [], []
    return [c for c, a in answers.items() if a == sets[0]], [c for c, a in answers.items() if a < sets[0] and len(a) > 1]


def _is_beside(column: str) -> bool:
    return is_attribute_name(column) or is_identifier(column) or is_leak(column)


def _few_answers(column: pl.Series) -> frozenset[str]:
    """The different answers of a column; empty when there are too many or fewer than two."""
    seen = column.drop_nulls().unique()
    if not 2 <= len(seen) <= MOST_ANSWERS + 2:
        return frozenset()
    texts = [text.strip() for text in seen.cast(pl.String).to_list() if text is not None]
    answers = frozenset(canonical_number(text) or text for text in texts if text not in ("", "NA", "NaN", "nan"))
    return answers if 2 <= len(answers) <= MOST_ANSWERS else frozenset()


def _rating_columns(table: pl.DataFrame, taken: list[str], options: ReadOptions, where: str) -> tuple[list[str], str]:
    if options.rating_columns is not None:
        return _matching(table.columns, options.rating_columns, taken, where), "named"
    columns, doubtful = recognised_columns(table, taken)
    if doubtful:
        raise DataError(
            where,
            f"{len(columns)} columns look like questions, but {column_list(doubtful)} may be questions too; "
            "name the questions with --rating-columns (names, or patterns such as 'q*')",
        )
    if not columns:
        raise DataError(
            where,
            f"no {FEWEST_COLUMNS} columns share one small answer set; name those that hold ratings with --rating-columns. "
            f"Columns are {column_list(table.columns)}",
        )
    return columns, "recognised"


def _matching(columns: Sequence[str], patterns: Sequence[str], taken: Sequence[str], where: str) -> list[str]:
    faults = [p for p in patterns if not any(c == p or fnmatchcase(c, p) for c in columns)]
    if faults or not patterns:
        raise DataError(where, f"--rating-columns {' '.join(faults)}: no such column; columns are {column_list(columns)}")
    return [c for c in columns if c not in taken and any(c == p or fnmatchcase(c, p) for p in patterns)]


def _row_key(table: pl.DataFrame, role: Role, options: ReadOptions, where: str) -> tuple[str | None, list[Note]]:
    if role == "item" and len(options.item_parts) > 1:
        raise DataError(where, "--rows items: one column has to name the item; join the columns first")
    chosen = options.rater if role == "rater" else next(iter(options.item_parts), None)
    found, faults = find_role(table.columns, role, chosen)
    if found is None and (chosen is not None or candidates(table.columns, role)):
        raise DataError(where, faults)
    if found is None:
        return None, [
            Note(where, f"no column is recognised as the {role} (--{role} names one): rows are numbered", table.height)
        ]
    return found, []


def _columns_beside(
    table: pl.DataFrame, taken: Sequence[str], options: ReadOptions, where: str
) -> tuple[list[str], list[Note]]:
    """The row's own columns: attributes of a rater, or texts of an item; those that only number rows are left out."""
    named = options.attributes if options.rows == "raters" else options.item_columns
    rest = [c for c in table.columns if c not in taken]
    if named is not None:
        absent = [c for c in named if c not in table.columns]
        leaks = [c for c in named if is_leak(c)]
        faults = [f"{c}: no such column; columns are {column_list(table.columns)}" for c in absent]
        faults += [
            f"{c}: by its name it is computed from the ratings and would leak them; if it is not, rename it" for c in leaks
        ]
        if faults:
            raise DataError(where, faults)
        beside = [c for c in named if c not in taken]
    elif options.rows == "items":
        beside = [c for c in rest if is_text_name(c)]
    else:
        beside = [c for c in rest if not is_identifier(c)]
    out = [c for c in rest if c not in beside]
    return beside, [Note(where, f"columns left out: {column_list(out)}", len(out))] if out else []
