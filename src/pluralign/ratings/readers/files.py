"""A file or folder on disk or in a store: what kind it is, judged by its content, and its content, read once.

Bytes are decoded strictly. JSON may end its lists in a trailing comma (annotation tools write that by hand) but may not name
a key twice, since one of the two would be lost. Nothing here unpickles or evaluates, and no text from data becomes a path.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import polars as pl

from pluralign.errors import DataError
from pluralign.partitions import Part, parts_of
from pluralign.ratings.readers.columns import column_list
from pluralign.ratings.readers.delimited import read_delimited
from pluralign.ratings.readers.options import ReadOptions
from pluralign.ratings.readers.parts import joined_parts
from pluralign.ratings.table import Note
from pluralign.stored_files import read_parquet
from pluralign.stores import Place, Url

__all__ = ["Source", "as_text", "frame_of_rows", "raise_faults", "text_frame"]

Kind = Literal["folder", "parquet", "json", "jsonl", "text"]

_LARGEST_BYTES = 8 * 2**30
"""A compressed file that grows beyond this is refused."""
_MAGIC = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a zip archive or an Excel workbook (save the sheet as CSV)",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (save the sheet as CSV)",
    b"SQLite format 3": "an SQLite database",
    b"\x80\x04\x95": "a Python pickle, which is never opened",
    b"\x80\x05\x95": "a Python pickle, which is never opened",
    b"\xff\xfe": "UTF-16 text; pass --encoding utf-16",
    b"\xfe\xff": "UTF-16 text; pass --encoding utf-16",
}
_SHOWN = 20
_ENDINGS = (".parquet", ".jsonl", ".ndjson", ".csv", ".tsv")
"""Of the parts of a table in a folder."""


@dataclass(frozen=True)
class Source:
    """One path and how to read it; each property reads the disk once."""

    path: Place
    options: ReadOptions

    @property
    def where(self) -> str:
        """How errors and Notes call it: its own name, since Notes end up in reports, where nobody's folders belong."""
        return self.path.name or str(self.path)

    @property
    def name(self) -> str:
        """What the table is called: the file's or folder's name without its ending."""
        return self.path.name if self.path.is_dir() else self.path.name.split(".")[0] or self.path.name

    @cached_property
    def kind(self) -> Kind:
        try:
            if self.path.is_dir():
                return "folder"
            if isinstance(self.path, Url):
                self.path.version()
        except OSError as error:
            raise DataError(str(self.path), f"it cannot be read: {error.strerror or error}") from error
        if not self.path.exists():
            raise DataError(self.where, "no such file or folder")
        if self._starts_with(b"PAR1"):
            return "parquet"
        return self._text_kind()

    @cached_property
    def frame(self) -> tuple[pl.DataFrame, list[Note]]:
        """The rows of a CSV, parquet, JSON or JSON-lines file, or of a folder of them, and what was noticed.

        Parquet keeps its types.
        """
        if self.kind == "parquet":
            return _parquet(self.path, self.where)
        if self.kind in ("json", "jsonl"):
            data, notes = self.json
            if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
                raise DataError(self.where, "a table in JSON has to be a list of objects, one a row")
            table, more = frame_of_rows(data, self.where)
            return table, [*notes, *more]
        if self.kind == "folder":
            if not self._parts:
                raise DataError(self.where, f"the folder holds no part of a table: no file that ends in {', '.join(_ENDINGS)}")
            return self._joined_parts
        return read_delimited(self._text, self.where)

    @cached_property
    def json(self) -> tuple[Any, list[Note]]:
        """The parsed JSON document (for JSON lines, the list of their objects), and what was noticed."""
        if self.kind == "jsonl":
            return _json_lines(self._text, self.where), []
        if self.kind != "json":
            raise DataError(self.where, "it is not JSON")
        return self._document

    @property
    def has_parts(self) -> bool:
        """Whether this folder is a table in parts."""
        return bool(self._parts)

    @cached_property
    def _parts(self) -> list[Part]:
        try:
            return parts_of(self.path, _ENDINGS)
        except OSError as error:
            raise DataError(self.where, f"it cannot be read: {error.strerror or error}") from error

    @cached_property
    def _joined_parts(self) -> tuple[pl.DataFrame, list[Note]]:
        return joined_parts([(part, self.beside(part.path).frame) for part in self._parts], self.where)

    def beside(self, path: Place) -> Source:
        """Another file, read with the same encoding."""
        return Source(path, self.options)

    def _starts_with(self, magic: bytes) -> bool:
        try:
            with self.path.open("rb") as stream:
                return stream.read(len(magic)) == magic
        except OSError as error:
            raise DataError(self.where, f"it cannot be read: {error.strerror or error}") from error

    @property  # needed once, for the text; kept, a large file would be held twice
    def _bytes(self) -> bytes:
        try:
            content = self.path.read_bytes()
            if content[:2] == b"\x1f\x8b":
                content = _unzipped(content, self.where)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(self.where, f"it cannot be read: {error}") from error
        return content

    @cached_property
    def _text(self) -> str:
        content = self._bytes
        encoding = self.options.encoding
        wide = encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32"))
        if not wide:
            _refuse_binary(content, self.where)
        try:
            text = content.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
        except UnicodeDecodeError as error:
            raise DataError(self.where, _decoding_fault(content, error, encoding)) from error
        except (LookupError, UnicodeError) as error:
            raise DataError(self.where, f"--encoding {encoding}: {error}") from error
        if not text.strip():
            raise DataError(self.where, "it is empty")
        return text

    def _text_kind(self) -> Kind:
        text = self._text.lstrip()
        if text[0] not in "{[":
            return "text"
        try:
            parsed = self._document[0]
        except DataError:
            first = text.split("\n", 1)[0]
            if text[0] == "{" and _parses(first):
                return "jsonl"
            if self.path.suffix.lower() in (".csv", ".tsv", ".txt"):
                return "text"
            raise
        return "jsonl" if isinstance(parsed, dict) and self.path.suffix.lower() in (".jsonl", ".ndjson") else "json"

    @cached_property
    def _document(self) -> tuple[Any, list[Note]]:
        return _parsed(self._text, self.where)


def as_text(value: Any) -> str | None:
    """A JSON scalar as an answer is shown: 3.0 as "3", true as "true"; a list of scalars sorted and joined by commas.

    >>> as_text(3.0), as_text(["b", "a"]), as_text(None)
    ('3', 'a,b', None)
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, list) and all(isinstance(v, str | int | float | bool) for v in value):
        return ",".join(sorted(str(as_text(v)) for v in value))
    return str(value) if isinstance(value, int | float) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def text_frame(columns: dict[str, list[str | None]], where: str) -> pl.DataFrame:
    """Text columns as a table. Raises DataError where a text is not valid Unicode (a lone surrogate)."""
    try:
        return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    except UnicodeEncodeError as error:
        raise DataError(
            where, f"a text is not valid Unicode: {error.reason} (U+{ord(error.object[error.start]):04X})"
        ) from error


def frame_of_rows(rows: list[dict[str, Any]], where: str) -> tuple[pl.DataFrame, list[Note]]:
    """Objects as rows of text; columns that hold lists or objects are left out, with a Note."""
    names = list(dict.fromkeys(key for row in rows for key in row))
    nested = {n for n in names if any(isinstance(row.get(n), list | dict) for row in rows)}
    columns = {n: [as_text(row.get(n)) for row in rows] for n in names if n not in nested}
    notes = [_nested_note(where, sorted(nested))] if nested else []
    return text_frame(columns, where), notes


def raise_faults(where: str, faults: Iterable[str]) -> None:
    """Raises DataError when there is a fault: the first ones in full, the rest as a number."""
    listed = list(faults)
    rest = len(listed) - _SHOWN
    if listed:
        raise DataError(where, listed if rest <= 0 else [*listed[:_SHOWN], f"and {rest:,} more"])


def _unzipped(packed: bytes, where: str) -> bytes:
    with gzip.open(io.BytesIO(packed)) as stream:
        content = stream.read(_LARGEST_BYTES + 1)
    if len(content) > _LARGEST_BYTES:
        raise DataError(where, f"it unpacks to more than {_LARGEST_BYTES // 2**30} GiB; unpack it yourself")
    return content


def _refuse_binary(content: bytes, where: str) -> None:
    for magic, kind in _MAGIC.items():
        if content.startswith(magic):
            raise DataError(where, f"it is {kind}, not a table of ratings")
    zero = content.find(b"\x00")
    if zero >= 0:
        raise DataError(where, f"it is a binary file (a zero byte at offset {zero:,}); CSV, JSON or parquet is needed")


def _decoding_fault(content: bytes, error: UnicodeDecodeError, encoding: str) -> str:
    at = error.start + (3 if content.startswith(b"\xef\xbb\xbf") else 0)
    line = content.count(b"\n", 0, at) + 1
    return (
        f"line {line}, byte {at:,}: 0x{content[at]:02x} is not {encoding}. If the file has another encoding, name it, "
        "e.g. --encoding latin-1 or --encoding cp1252."
    )


def _parsed(text: str, where: str) -> tuple[Any, list[Note]]:
    try:
        return json.loads(text, object_pairs_hook=_unique_keys), []
    except json.JSONDecodeError as error:
        mended, n = _TRAILING.subn(lambda m: m.group(1) or "", text)
        n -= sum(1 for m in _TRAILING.finditer(text) if m.group(1))
        if n:
            try:
                return json.loads(mended, object_pairs_hook=_unique_keys), [Note(where, "trailing commas were ignored", n)]
            except ValueError:
                pass
        raise DataError(where, f"line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}") from error
    except ValueError as error:  # a repeated key, or a number of too many digits
        raise DataError(where, str(error)) from error
    except RecursionError as error:
        raise DataError(where, "its JSON is nested too deeply") from error


_TRAILING = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])')


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        repeated = [key for key, n in Counter(key for key, _ in pairs).items() if n > 1]
        raise ValueError(f"the key {repeated[0]!r} occurs twice in one JSON object, so one of its values would be lost")
    return made


def _parses(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _json_lines(text: str, where: str) -> list[Any]:
    rows, faults = [], []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line, object_pairs_hook=_unique_keys))
        except (ValueError, RecursionError) as error:
            faults.append(f"line {number}: not valid JSON: {error}")
            continue
        if not isinstance(rows[-1], dict):
            faults.append(f"line {number}: each line has to be a JSON object")
    raise_faults(where, faults)
    return rows


def _parquet(path: Place, where: str) -> tuple[pl.DataFrame, list[Note]]:
    try:
        table = read_parquet(path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise DataError(where, f"it is not a readable parquet file: {str(error).splitlines()[0][:200]}") from error
    nested = [c for c, kind in table.schema.items() if kind.is_nested() or kind in (pl.Binary, pl.Object)]
    return table.drop(nested), [_nested_note(where, nested)] if nested else []


def _nested_note(where: str, columns: list[str]) -> Note:
    return Note(where, f"columns that hold lists, objects or bytes were left out: {column_list(columns)}", len(columns))
