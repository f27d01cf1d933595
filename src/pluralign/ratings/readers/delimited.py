"""CSV and TSV text to a table in which everything is text, with the line of whatever is wrong.

polars reads the file; it is quick, but fills rows that are too short with nothing and renames repeated columns. Where that
may have happened (a null in the last column, or an error), the standard library's slower parser goes over the text again and
names the lines.
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import polars as pl

from pluralign.errors import DataError
from pluralign.ratings.table import Note

__all__ = ["iter_delimited", "read_delimited"]

_SEPARATORS = (",", "\t", ";", "|")
_MARK = b"\xef\xbb\xbf"
"""A byte order mark, which polars skips. Without it a text that begins like a compressed stream ("x^") would be unpacked."""
_SHOWN = 10
"""How many lines a fault list names."""
_SNIFFED = 20
"""Records that the separator is judged by."""
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_FILLED = re.compile(r"[^\r\n]")
_PIECE = 2**24
"""Characters that are encoded at a time."""
_LONGEST_FIELD = 2**31 - 1
"""Characters; the standard library's own limit, 131,072, would call a long text a fault."""


def read_delimited(text: str, where: str) -> tuple[pl.DataFrame, list[Note]]:
    """The rows as text columns (null = an empty cell), and Notes about the separator and blank lines.

    Raises DataError: no header, repeated columns, rows with too many or too few fields, quotes that do not close.
    """
    if "\n" not in text and "\r" in text:
        raise DataError(where, "its lines end in bare carriage returns; save it with ordinary line ends")
    separator = _separator(text)
    header, below = _header(text, separator, where)
    if _FILLED.search(text, below) is None:
        return pl.DataFrame(schema=dict.fromkeys(header, pl.String)), []
    try:
        table = pl.read_csv(
            _encoded(text, below),
            separator=separator,
            infer_schema=False,
            encoding="utf8",
            schema=dict.fromkeys(header, pl.String),
            has_header=False,  # polars would keep the quotes of a header's names
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        faults = _line_faults(text, separator, len(header))
        raise DataError(where, faults or f"it cannot be read as CSV: {_first_line(error)}") from error
    if table.width != len(header) or (table.height and table[:, -1].null_count()):
        faults = _line_faults(text, separator, len(header))
        if faults or table.width != len(header):
            raise DataError(where, faults or f"{table.width} columns were read, the header names {len(header)}")
    return _without_blank_lines(table, separator, where)


def iter_delimited(lines: Iterable[str], head: str, where: str, columns: Sequence[str]) -> Iterator[list[str]]:
    """The fields of these columns, row by row, of a file that is not to be held whole; `head` is how its text begins.

    As strict as `read_delimited`: raises DataError for the first row with another number of fields, and for quotes that do not
    close. Raises KeyError with the header for a column that is not there.
    """
    separator = _separator(head)
    with _long_fields():
        reader = csv.reader(lines, delimiter=separator, strict=True)
        line = 1
        try:
            header = next((row for row in reader if row), [])
            if missing := [name for name in columns if name not in header]:
                raise KeyError(missing[0], header)
            places = [header.index(name) for name in columns]
            for row in reader:
                if row and len(row) != len(header):
                    raise DataError(where, f"line {line}: {len(row)} fields, the header has {len(header)}")
                if row:
                    yield [row[place] for place in places]
                line = reader.line_num + 1
        except csv.Error as error:
            raise DataError(where, f"line {line}: {error}") from error


@contextlib.contextmanager
def _long_fields() -> Iterator[None]:
    before = csv.field_size_limit(_LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _separator(text: str) -> str:
    """The one that cuts the first records most evenly into at least two fields; a comma when none does."""
    best, best_key = ",", (0.0, 0)
    for separator in _SEPARATORS:
        try:
            widths = [len(row) for row in islice(csv.reader(_lines(text), delimiter=separator), _SNIFFED) if row]
        except csv.Error:
            continue
        if widths and widths[0] > 1:
            key = (Counter(widths)[widths[0]] / len(widths), widths[0])
            if key > best_key:
                best, best_key = separator, key
    return best


def _lines(text: str) -> Iterator[str]:
    """As `io.StringIO(text, newline="")` has them, without its copy, which takes four bytes a character."""
    return (found.group() for found in _LINE.finditer(text))


def _encoded(text: str, start: int) -> io.BytesIO:
    """A mark, and the text from `start`; piece by piece, since a large file is too much to hold once more."""
    stream = io.BytesIO()
    stream.write(_MARK)
    for place in range(start, len(text), _PIECE):
        stream.write(text[place : min(place + _PIECE, len(text))].encode())
    stream.seek(0)
    return stream


def _header(text: str, separator: str, where: str) -> tuple[list[str], int]:
    """The names of the columns, and where the text below them begins."""
    below = 0

    def counted() -> Iterator[str]:
        nonlocal below
        for line in _lines(text):
            below += len(line)
            yield line

    try:
        header = next((row for row in csv.reader(counted(), delimiter=separator) if row), [])
    except csv.Error as error:
        raise DataError(where, f"line 1: the header cannot be read: {error}") from error
    if not any(name.strip() for name in header):
        raise DataError(where, "it is empty: a first line with column names is needed")
    repeated = [name for name, n in Counter(header).items() if n > 1]
    if repeated:
        raise DataError(where, f"line 1: column names repeat: {', '.join(map(repr, repeated[:_SHOWN]))}; rename or remove them")
    return header, below


def _line_faults(text: str, separator: str, width: int) -> list[str]:
    """One sentence a row whose number of fields is not `width` (blank lines pass), at most `_SHOWN` and a count of the rest."""
    reader = csv.reader(_lines(text), delimiter=separator, strict=True)
    faults: list[str] = []
    line = 1
    try:
        with _long_fields():
            for row in reader:
                if row and len(row) != width:
                    faults.append(f"line {line}: {len(row)} fields, the header has {width}")
                line = reader.line_num + 1
    except csv.Error as error:
        faults.append(f"line {line}: {error}")
    rest = len(faults) - _SHOWN
    return faults if rest <= 0 else [*faults[:_SHOWN], f"and {rest:,} more lines with another number of fields"]


def _without_blank_lines(table: pl.DataFrame, separator: str, where: str) -> tuple[pl.DataFrame, list[Note]]:
    notes = [] if separator == "," else [Note(where, f"fields are separated by {separator!r}", table.height)]
    blank = table.select(pl.all_horizontal(pl.all().is_null()).sum()).item() if table.width > 1 else 0
    if blank:
        table = table.filter(~pl.all_horizontal(pl.all().is_null()))
        notes.append(Note(where, "lines without any value were skipped", blank))
    return table, notes


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:200]
