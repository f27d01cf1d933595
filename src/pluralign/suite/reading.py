"""Files of a source, read strictly: a fault is a DataError that says which file, where it comes from and where it goes.

A source's `load` uses these and nothing else. Nothing is read in part: a file that ends too early, a page of HTML that was
saved in place of the file, a pointer of Git LFS, another encoding or a renamed column all stop it.
"""

from __future__ import annotations

import gzip
import json
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluralign.errors import DataError, nearest_name
from pluralign.suite.card import Card, Hub, Local, Source
from pluralign.suite.evaluation import Evaluation
from pluralign.suite.hub import HubFault, cached, fetch
from pluralign.suite.task import Task

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "file_error",
    "files_there",
    "find_file",
    "is_available",
    "iter_jsonl",
    "missing_files",
    "present_files",
    "read_csv",
    "read_json",
    "read_jsonl",
    "read_parquet",
    "read_text",
    "read_zip",
    "require_file",
    "unusable",
]

_SHOWN = 10
_HELD = 64 * 2**20
"""Bytes up to which a table is read whole, which is several times as quick and names all faults at once."""
_HEAD, _ROWS = 2**16, 2**16


def require_file(card: Card, folder: Path | None, file: str) -> Path:
    """The path of a file of the source, or of a folder; raises DataError where there is none, or an empty file.

    A file of the hub that is not in the folder is taken from the hub, or from what was fetched from it before.
    """
    path = _place(card, folder, file)
    if path is None or not path.exists():
        if not isinstance(card.access, Hub):
            why = "no such file" if path else "no data folder was given; pass --data-dir (in Python: data_dir=)"
            raise unusable(card, folder, file, why)
        try:
            path = fetch(card.access, file)
        except HubFault as error:
            raise unusable(card, folder, file, str(error)) from error
    if path.is_file() and path.stat().st_size == 0:
        raise unusable(card, folder, file, "it is empty")
    return path


def files_there(card: Card, folder: Path | None, files: Sequence[str] | None = None) -> list[str]:
    """For loaders of files that can each be used alone: those of the card that are in the folder. Raises DataError for none."""
    wanted = card.access.files if files is None else files
    there = [] if folder is None else [file for file in wanted if (folder / file).exists()]
    return there or [require_file(card, folder, wanted[0]).name]  # which raises


def find_file(source: Source, data_dir: Path | None, file: str) -> Path | None:
    """Where a file of the source is on this machine, if it is; nothing is fetched."""
    path = _place(source.card, source.folder(data_dir), file)
    if path is not None and path.exists():
        return path
    return cached(source.card.access, file) if isinstance(source.card.access, Hub) else None


def missing_files(source: Source, data_dir: Path | None, task: Task | Evaluation | None = None) -> list[str]:
    """Files that the task (or the source) has and this machine has not, as paths below the data folder."""
    return [f"{source.card.place}/{file}" for file in source.files(task) if find_file(source, data_dir, file) is None]


def is_available(source: Source, data_dir: Path | None, task: Task | Evaluation | None = None) -> bool:
    """The task can be drawn here: nothing is missing, or something is there of files that can each be used alone."""
    n_missing = len(missing_files(source, data_dir, task))
    return n_missing == 0 or (source.card.each_alone and n_missing < len(source.files(task)))


def present_files(source: Source, data_dir: Path | None, task: Task | Evaluation | None = None) -> dict[str, Path]:
    """The task's files with their paths; what the hub has is fetched. Raises DataError where the task cannot be drawn."""
    folder = source.folder(data_dir)
    files = source.files(task)
    if source.card.each_alone and is_available(source, data_dir, task):
        found = {file: find_file(source, data_dir, file) for file in files}
        return {file: path for file, path in found.items() if path is not None}
    return {file: require_file(source.card, folder, file) for file in files}


def unusable(card: Card, folder: Path | None, file: str, faults: Sequence[str] | str) -> DataError:
    """The error about a file: what is wrong with it, then where to get it and where to put it."""
    place = _place(card, folder, file) or Path("DATA_DIR") / card.place / file
    listed = [faults] if isinstance(faults, str) else [*faults[:_SHOWN]]
    if len(faults) > _SHOWN and not isinstance(faults, str):
        listed.append(f"and {len(faults) - _SHOWN:,} more")
    advice = f"get it from {card.access.how(file)}; put it at {place}"
    if isinstance(card.access, Local):
        advice = f"its place is {place}"
    if len(listed) == 1:
        return DataError(f"{card.name}: {file}", f"{listed[0]}; {advice}")
    return DataError(f"{card.name}: {file}", [*listed, advice])


def _place(card: Card, folder: Path | None, file: str) -> Path | None:
    """Where the file should be; None where no data folder was given."""
    if isinstance(card.access, Local):
        return card.access.paths[file]
    return None if folder is None else folder / file


def file_error(card: Card, folder: Path | None, file: str, error: Exception) -> DataError:
    """The same for what a library or the system said."""
    return unusable(card, folder, file, f"it cannot be read: {str(error).strip().splitlines()[0] if str(error) else error!r}")


def read_text(card: Card, folder: Path | None, file: str, *, encoding: str = "utf-8") -> str:
    """The text of a file, unpacked where the name ends in .gz; without a byte order mark."""
    path = require_file(card, folder, file)
    try:
        content = path.read_bytes()
        _refuse_stand_in(card, folder, file, content)
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise file_error(card, folder, file, error) from error
    try:
        text = content.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise unusable(
            card, folder, file, f"line {line}: byte 0x{content[error.start]:02x} is not {encoding}, in which it should be"
        ) from error
    return text


def read_csv(card: Card, folder: Path | None, file: str, columns: Sequence[str], *, encoding: str = "utf-8") -> pl.DataFrame:
    """The columns of these names, as text (null = an empty cell), of a table that may have more; CSV or TSV, as it comes.

    Raises DataError for columns that are missing, rows of another width, quotes that do not close.
    """
    from pluralign.ratings.readers.delimited import read_delimited

    path = require_file(card, folder, file)
    if path.is_file() and path.stat().st_size > _HELD:
        return _stream_csv(card, folder, file, columns, encoding)
    text = read_text(card, folder, file, encoding=encoding)
    try:
        table, _ = read_delimited(text, file)
    except DataError as error:
        raise unusable(card, folder, file, error.faults) from error
    _check_columns(card, folder, file, columns, table.columns)
    return table.select(columns)


def _stream_csv(card: Card, folder: Path | None, file: str, columns: Sequence[str], encoding: str) -> pl.DataFrame:
    """The same of a file that is too large to be held; only the columns that are wanted are."""
    import polars as pl

    from pluralign.ratings.readers.delimited import iter_delimited

    path = require_file(card, folder, file)
    encoding = "utf-8-sig" if encoding == "utf-8" else encoding
    parts, batch = [pl.DataFrame(schema=dict.fromkeys(columns, pl.String))], []
    schema = dict.fromkeys(columns, pl.String)
    try:
        with path.open("rb") as raw:
            _refuse_stand_in(card, folder, file, raw.read(4096))
        with (
            gzip.open(path, "rt", encoding=encoding, newline="")
            if path.suffix == ".gz"
            else path.open(encoding=encoding, newline="") as lines
        ):
            head = lines.read(_HEAD)
            lines.seek(0)
            for row in iter_delimited(lines, head, file, columns):
                batch.append([field or None for field in row])
                if len(batch) == _ROWS:
                    parts.append(pl.DataFrame(batch, schema=schema, orient="row"))
                    batch = []
    except KeyError as error:
        missing, there = error.args
        raise unusable(card, folder, file, f"there is no such column: {nearest_name(missing, there)}") from error
    except DataError as error:
        raise unusable(card, folder, file, error.faults) from error
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise unusable(card, folder, file, f"byte 0x{byte:02x} is not {encoding}, in which it should be") from error
    except (OSError, EOFError, zlib.error) as error:
        raise file_error(card, folder, file, error) from error
    return pl.concat([*parts, pl.DataFrame(batch, schema=schema, orient="row")])


def iter_jsonl(card: Card, folder: Path | None, file: str, fields: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The same objects as `read_jsonl`, one by one, for files that are larger than memory; stops at the first fault."""
    path = require_file(card, folder, file)
    try:
        with path.open("rb") as raw:
            _refuse_stand_in(card, folder, file, raw.read(4096))
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if not line.strip():
                    continue
                row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
                if faults := _field_faults(row, fields):
                    raise unusable(card, folder, file, [f"line {number}: {fault}" for fault in faults])
                yield row
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise unusable(card, folder, file, f"line {number}: byte 0x{byte:02x} is not utf-8, in which it should be") from error
    except json.JSONDecodeError as error:
        raise unusable(card, folder, file, f"line {number}: not JSON: {error}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise file_error(card, folder, file, error) from error


def read_jsonl(
    card: Card, folder: Path | None, file: str, fields: Sequence[str], *, encoding: str = "utf-8"
) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines, each of which has these fields, whatever more; blank lines are skipped."""
    rows: list[dict[str, Any]] = []
    faults: list[str] = []
    for number, line in enumerate(read_text(card, folder, file, encoding=encoding).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            faults.append(f"line {number}: not JSON: {error}")
            continue
        faults += [f"line {number}: {fault}" for fault in _field_faults(row, fields)]
        rows.append(row)
    if faults or not rows:
        raise unusable(card, folder, file, faults or "it holds no row")
    return rows


def read_json(card: Card, folder: Path | None, file: str, *, encoding: str = "utf-8") -> Any:
    """The document of a JSON file."""
    try:
        return json.loads(read_text(card, folder, file, encoding=encoding))
    except ValueError as error:
        raise unusable(card, folder, file, f"not JSON: {error}") from error


def read_parquet(card: Card, folder: Path | None, file: str, columns: Sequence[str]) -> pl.DataFrame:
    """The columns of these names, with their types."""
    import polars as pl

    path = require_file(card, folder, file)
    try:
        with path.open("rb") as stream:
            _refuse_stand_in(card, folder, file, stream.read(4096))
        _check_columns(card, folder, file, columns, list(pl.read_parquet_schema(path)))
        return pl.read_parquet(path, columns=list(columns))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise file_error(card, folder, file, error) from error


def read_zip(card: Card, folder: Path | None, file: str, members: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Name and text (UTF-8) of each of these members of a zip archive, which are checked for before the first comes."""
    path = require_file(card, folder, file)
    try:
        with path.open("rb") as stream:
            _refuse_stand_in(card, folder, file, stream.read(4096))
        with zipfile.ZipFile(path) as archive:
            if missing := sorted(set(members) - set(archive.namelist())):
                raise unusable(card, folder, file, [f"the archive has no {name}" for name in missing])
            for member in members:
                yield member, archive.read(member).decode("utf-8-sig")
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, UnicodeDecodeError) as error:
        raise file_error(card, folder, file, error) from error


def _check_columns(card: Card, folder: Path | None, file: str, wanted: Sequence[str], there: Sequence[str]) -> None:
    if missing := [name for name in wanted if name not in there]:
        raise unusable(card, folder, file, [f"there is no such column: {nearest_name(name, there)}" for name in missing])


def _field_faults(row: Any, fields: Sequence[str]) -> list[str]:
    if not isinstance(row, dict):
        return [f"an object is needed, not {row!r:.40}"]
    return [f"there is no such field: {nearest_name(name, row)}" for name in fields if name not in row]


def _refuse_stand_in(card: Card, folder: Path | None, file: str, content: bytes) -> None:
    """Raises DataError for what a server may give in place of the file."""
    start = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        raise unusable(card, folder, file, "it is a page of HTML, saved in place of the file")
    if start.startswith(b"version https://git-lfs"):
        raise unusable(card, folder, file, "it is a pointer of Git LFS; the file itself was not fetched")
