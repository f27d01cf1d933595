"""A data set in parts: the files of one table in a folder, on disk or in a store, in an order that is always the same.

ratings/part-0.parquet                      in the order of their names
ratings/country=de/part-0.parquet           `country` is "de" for every row of the part (as Hive and Spark write it)
ratings/_SUCCESS, ratings/.part-1.crc       names that begin with _ or . are not data
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from pluralign.errors import DataError
from pluralign.stores import Place, Url, place

__all__ = ["Part", "parts_of"]

_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True)
class Part:
    """A file of a data set."""

    path: Place
    name: str
    """Below the folder."""
    values: Mapping[str, str | None]
    """What the names of folders say of every row; None where they say that there is no value."""


def parts_of(folder: str | os.PathLike[str], endings: Sequence[str]) -> list[Part]:
    """The files below with these endings, sorted by name; files with others are not of the data set. There may be none.

    Raises DataError for parts that are packed, since leaving them out would lose rows; OSError where the folder cannot be read.
    """
    root = place(folder)
    names = [name for name in _names(root) if not any(part[0] in "._" for part in name.split("/"))]
    if packed := [name for name in names if PurePosixPath(name).suffix not in endings and _ending_inside(name, endings)]:
        allowed = " or ".join(endings)
        raise DataError(str(root), [f"{name}: parts end in {allowed}; unpack it or move it away" for name in packed[:5]])
    return [Part(root / name, name, _values(name)) for name in names if PurePosixPath(name).suffix in endings]


def _names(root: Place) -> list[str]:
    return root.names() if isinstance(root, Url) else sorted(_below(root))


def _below(root: Path) -> Iterator[str]:
    for folder, _, files in os.walk(root, onerror=_raise):
        for name in files:
            yield (Path(folder) / name).relative_to(root).as_posix()


def _raise(error: OSError) -> None:
    raise error


def _ending_inside(name: str, endings: Sequence[str]) -> bool:
    return any(ending in endings for ending in PurePosixPath(name).suffixes[:-1])


def _values(name: str) -> dict[str, str | None]:
    """
    >>> _values("country=de/day=__HIVE_DEFAULT_PARTITION__/part-0.parquet")
    {'country': 'de', 'day': None}
    """
    pairs = (unquote(part).split("=", 1) for part in name.split("/")[:-1] if "=" in part)
    return {column: None if value == _NULL else value for column, value in pairs}
