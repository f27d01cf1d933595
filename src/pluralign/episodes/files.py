"""Episodes in files.

As JSON lines: one object a line with the fields `task`, `examples` (a list of `{"output", "input"}`), `description`,
`options`, `unit`, `attributes`; all but the first two may be left out. As parquet: one column a field, with `attributes` as
JSON text, since its names differ from row to row. A folder of such files is read as one, part by part in the order of their
names (`partitions`); either may be the URL of a store (`stores`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

from pluralign.episodes.checks import FIELDS, MOST_LISTED, capped, record_faults
from pluralign.episodes.episode import Episode
from pluralign.errors import DataError, UsageError, nearest_name
from pluralign.files import atomic_write
from pluralign.partitions import Part, parts_of
from pluralign.stores import Place, Url, place

__all__ = ["iter_episodes", "read_episodes", "write_episodes"]

_ENDINGS = (".jsonl", ".parquet")


def iter_episodes(path: str | os.PathLike[str]) -> Iterator[Episode]:
    """The episodes of a file of JSON lines or parquet, or of a folder of them, one after the other.

    JSON lines are never held all at once, and of parquet one file at a time.

    From the first fault on nothing more comes, but the rest is still checked, and the end is a DataError that lists the
    faults of the whole file. Use `read_episodes` to get either all episodes or none. Blank lines are skipped.
    """
    faults: list[str] = []
    n_faults = 0
    for where, record, found in _records(place(path)):
        found = found or record_faults(record)
        n_faults += len(found)
        faults += [f"{where}: {fault}" for fault in found[: MOST_LISTED - len(faults)]]
        if not n_faults:
            yield Episode.of_checked(record)
    if n_faults:
        raise DataError(str(path), capped(faults, n_faults))


def read_episodes(path: str | os.PathLike[str]) -> list[Episode]:
    """All episodes of a file of JSON lines (`.jsonl`) or parquet, or of a folder. Raises DataError that lists its faults."""
    return list(iter_episodes(path))


def write_episodes(path: str | os.PathLike[str], episodes: Iterable[Episode]) -> None:
    """Writes JSON lines or parquet, by the ending of the name; the file appears whole or not at all.

    Raises DataError, and writes nothing, when an episode is one that `read_episodes` would refuse.
    """
    write = _write_jsonl if _ending(place(path)) == ".jsonl" else _write_parquet
    with atomic_write(path) as file:
        write(file, (_checked_record(episode, n) for n, episode in enumerate(episodes, 1)))


def _checked_record(episode: Episode, n: int) -> dict[str, Any]:
    record = episode.to_dict()
    if faults := record_faults(record):
        raise DataError(f"episode {n}", capped(faults, len(faults)))
    return record


def _ending(path: Place) -> str:
    if path.suffix not in _ENDINGS:
        raise UsageError(f"{path}: the name ends in {path.suffix!r}; episodes are in files that end in .jsonl or .parquet")
    return path.suffix


_Found = tuple[str, Mapping[str, Any], list[str]]
"""Where in the file, the record, and the faults that kept it from being read."""


def _records(path: Place) -> Iterator[_Found]:
    try:
        if path.is_dir():
            parts = parts_of(path, _ENDINGS)
            if not parts:
                raise DataError(str(path), f"the folder holds no file that ends in {' or '.join(_ENDINGS)}")
            for part in parts:
                yield from _part_records(part)
            return
        if isinstance(path, Url):
            path.version()  # what is missing is told before what it should be called
        yield from _file_records(path)
    except OSError as error:
        raise DataError(str(path), f"cannot be read: {error.strerror or error}") from error


def _part_records(part: Part) -> Iterator[_Found]:
    """What the names of its folders say of a field, such as `task=coin`, holds for all its records."""
    values = {name: value for name, value in part.values.items() if name in FIELDS and value is not None}
    for where, record, faults in _file_records(part.path):
        if not faults and isinstance(record, dict):
            other = [name for name, value in values.items() if record.get(name) not in (None, value)]
            faults = [f"{name} is {record[name]!r}, but {values[name]!r} by the folder's name" for name in other]
            record = {**record, **values}
        yield f"{part.name}, {where}", record, faults


def _file_records(path: Place) -> Iterator[_Found]:
    read = _jsonl_records if _ending(path) == ".jsonl" else _parquet_records
    with path.open("rb") as file:
        yield from read(file, path)


def _jsonl_records(file: IO[bytes], path: Place) -> Iterator[_Found]:
    for n, line in enumerate(file, 1):
        if n == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line.strip():
            continue
        try:
            yield f"line {n}", _parse(line), []
        except (ValueError, RecursionError) as error:  # a UnicodeDecodeError is a ValueError
            yield f"line {n}", {}, [f"not JSON in UTF-8: {error}"]


def _parse(text: str | bytes) -> Any:
    """JSON without the liberties of Python's reader. Raises ValueError."""
    decoded = text.decode("utf-8") if isinstance(text, bytes) else text
    return json.loads(decoded, object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated = sorted({name for name, _ in pairs if [n for n, _ in pairs].count(name) > 1})
        raise ValueError(f"{repeated[0]!r} stands twice in one object")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _write_jsonl(file: IO[bytes], records: Iterable[Mapping[str, Any]]) -> None:
    for record in records:
        file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")


def _parquet_records(file: IO[bytes], path: Place) -> Iterator[_Found]:
    import polars as pl

    try:
        table = pl.read_parquet(file)
    except pl.exceptions.PolarsError as error:
        raise DataError(str(path), f"not a parquet file that can be read: {error}") from error
    if unknown := [name for name in table.columns if name not in FIELDS]:
        raise DataError(str(path), [f"column {nearest_name(name, FIELDS)}" for name in unknown])
    for n, row in enumerate(table.iter_rows(named=True), 1):
        try:
            attributes = row.get("attributes")
            yield f"row {n}", row | {"attributes": _parse(attributes) if isinstance(attributes, str) else attributes}, []
        except (ValueError, RecursionError) as error:
            yield f"row {n}", {}, [f"attributes are not JSON: {error}"]


def _write_parquet(file: IO[bytes], records: Iterable[Mapping[str, Any]]) -> None:
    import polars as pl

    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "task": pl.String,
        "examples": pl.List(pl.Struct({"output": pl.String, "input": pl.String})),
        "description": pl.String,
        "options": pl.List(pl.String),
        "unit": pl.String,
        "attributes": pl.String,
    }
    rows = [{**record, "attributes": json.dumps(record.get("attributes", {}), ensure_ascii=False)} for record in records]
    pl.DataFrame(rows, schema=schema).write_parquet(file)
