"""One row a rating, in CSV, TSV, parquet, JSON or JSON lines: the shape of crowd-kit, of most published data, and our own."""

from __future__ import annotations

from pluralign.errors import DataError
from pluralign.ratings.readers.columns import find_roles
from pluralign.ratings.readers.files import Source
from pluralign.ratings.readers.long import Long
from pluralign.ratings.readers.mapping import assign_columns, filtered, long_table

__all__ = ["read_table"]


def read_table(source: Source) -> Long:
    """A long table. Raises DataError when item, rater or rating cannot be told, listing the candidates and the flags."""
    table, notes = source.frame
    table, more = filtered(table, source.options, source.where)
    roles, faults = find_roles(table.columns, source.options)
    if roles is None:
        raise DataError(source.where, faults)
    assigned = assign_columns(table, roles, source.options, source.where)
    long, columns = long_table(table, roles, assigned)
    return Long(long, source.where, source.name, (*notes, *more, *assigned.notes(source.where)), columns)
