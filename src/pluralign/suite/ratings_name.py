"""The name of a file of ratings, `ratings:FILE?...`, and what it says.

`ratings_task` makes a task of it; flags that only `alignment` knows are `QUESTION_FLAGS`.
"""

from __future__ import annotations

import hashlib
import os
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluralign.errors import UsageError, nearest_name

if TYPE_CHECKING:
    from pluralign.ratings.readers import ReadOptions

__all__ = ["QUESTION_FLAGS", "RatingsFile", "is_ratings_name", "portable_name", "ratings_file", "table_name"]

QUESTION_FLAGS = ("by", "fewest")
"""What groups of raters are asked about, and how many ratings a question needs: not of the table, but of what is made of it."""
_PREFIX = "ratings:"


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingsFile:
    """A file, how it is read, and which of its raters are meant."""

    task: str
    """The task's name, which is safe as that of a folder and holds no path."""
    file: str
    options: ReadOptions
    held_out: float
    """Share of the raters."""
    part: str | None
    """"train", "test"; None for all raters."""
    paths: Mapping[str, Path]
    """What each file is called, without its folder, to where it is."""
    by: str | None = None
    """Attribute of the raters whose levels are groups."""
    fewest: int | None = None
    """Ratings that a question needs, at least 1."""


def is_ratings_name(name: str) -> bool:
    """Whether it is a file of ratings that is named.

    >>> is_ratings_name("ratings:votes.csv?rater=user"), is_ratings_name("poisson")
    (True, False)
    """
    return name.startswith(_PREFIX)


def portable_name(name: str) -> str:
    """The same without the folder of the file, for what is written down; any other name as it is.

    >>> portable_name("ratings:private/votes.csv?rater=user"), portable_name("poisson")
    ('ratings:votes.csv?rater=user', 'poisson')
    """
    if not is_ratings_name(name):
        return name
    file, mark, query = name.removeprefix(_PREFIX).partition("?")
    asked = urllib.parse.parse_qsl(query, keep_blank_values=True)
    shown = [(flag, Path(value).name if flag.endswith("meta") else value) for flag, value in asked]
    return f"{_PREFIX}{_file_name(file)}{mark}{urllib.parse.urlencode(shown)}"


def table_name(name: str) -> str:
    """The same without the flags that only questions of a table have.

    >>> table_name("ratings:votes.csv?rater=user&by=age"), table_name("ratings:votes.csv?by=age")
    ('ratings:votes.csv?rater=user', 'ratings:votes.csv')
    """
    file, _, query = name.partition("?")
    kept = [
        part for part in query.split("&") if part and urllib.parse.unquote_plus(part.partition("=")[0]) not in QUESTION_FLAGS
    ]
    return "?".join([file, "&".join(kept)] if kept else [file])


def ratings_file(name: str) -> RatingsFile:
    """What the name says; nothing is read.

    Raises UsageError for an unknown or repeated flag, or a value that it cannot take.
    """
    file, _, query = name.removeprefix(_PREFIX).partition("?")
    if not file:
        raise UsageError(f"{name}: no file is named; the form is {_PREFIX}FILE?rating=COLUMN&rater=COLUMN")
    flags = _flags(name, query)
    held_out, part = _part(name, flags.pop("held_out", None), flags.pop("part", None))
    by, fewest = _once(name, "by", flags), _once(name, "fewest", flags)
    options = _read_options(name, flags)
    beside = {meta: Path(path) for meta in ("rater_meta", "item_meta") if (path := getattr(options, meta)) is not None}
    return RatingsFile(
        task="_".join(["ratings", _slug(_file_name(file)), *([part] if part else [])]),
        file=file,
        options=options,
        held_out=held_out,
        part=part,
        paths={_file_name(file): Path(file)} | {f"{meta}/{path.name}": path for meta, path in beside.items()},
        by=by,
        fewest=None if fewest is None else _at_least_one(name, "fewest", fewest),
    )


def _file_name(file: str) -> str:
    return Path(os.path.abspath(file)).name or "ratings"


def _slug(file_name: str) -> str:
    """Small letters, digits and underscores of the file's name; a code of it where it has none of these."""
    stem = file_name.split(".")[0] or file_name
    slug = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")
    return slug[:80] or hashlib.sha256(stem.encode()).hexdigest()[:8]


def _flags(name: str, query: str) -> dict[str, list[str]]:
    """Field name to the values that were given for it."""
    from pluralign.ratings.readers import ReadOptions

    known = {field.name.replace("_", "-"): field.name for field in fields(ReadOptions)}
    known |= {"text": "item_columns", "held-out": "held_out", "part": "part"} | {flag: flag for flag in QUESTION_FLAGS}
    try:
        pairs = urllib.parse.parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError as error:
        raise UsageError(f"{name}: after ? come NAME=VALUE, joined by &: {error}") from error
    given: dict[str, list[str]] = {}
    for flag, value in pairs:
        if flag.replace("_", "-") not in known:
            raise UsageError(f"{name}: {nearest_name(flag, known)}")
        given.setdefault(known[flag.replace("_", "-")], []).append(value)
    return given


def _part(name: str, held_out: Sequence[str] | None, part: Sequence[str] | None) -> tuple[float, str | None]:
    if held_out is None and part is None:
        return 0.0, None
    if held_out is None or part is None or len(held_out) != 1 or len(part) != 1:
        raise UsageError(f"{name}: held_out=SHARE and part=train or part=test go together, each once")
    share = _number(name, "held_out", held_out[0])
    if not 0 < share < 1:
        raise UsageError(f"{name}: held_out is {held_out[0]}; it must lie between 0 and 1, both excluded")
    if part[0] not in ("train", "test"):
        raise UsageError(f"{name}: part: {nearest_name(part[0], ('train', 'test'))}")
    return share, part[0]


def _once(name: str, flag: str, flags: dict[str, list[str]]) -> str | None:
    """Taken out of the flags; None where it is not given."""
    values = flags.pop(flag, [])
    if len(values) > 1 or values == [""]:
        raise UsageError(f"{name}: {flag} is given {len(values)} times or without a value; give it once, as {flag}=...")
    return values[0] if values else None


def _at_least_one(name: str, flag: str, text: str) -> int:
    number = int(_number(name, flag, text, whole=True))
    if number < 1:
        raise UsageError(f"{name}: {flag} is {number}; it must be at least 1")
    return number


_LISTS = ("where", "item", "item_columns", "attributes", "rating_columns", "options", "missing", "bin_range")


def _read_options(name: str, flags: Mapping[str, Sequence[str]]) -> ReadOptions:
    from pluralign.ratings.readers import ReadOptions

    given: dict[str, Any] = {}
    for field, values in flags.items():
        if field not in _LISTS and len(values) > 1:
            raise UsageError(f"{name}: {field} is given {len(values)} times; it takes one value")
        given[field] = tuple(values) if field in _LISTS else values[0]
    if len(flags.get("item", ())) == 1:
        given["item"] = flags["item"][0]
    if "bins" in given:
        given["bins"] = int(_number(name, "bins", given["bins"], whole=True))
    if "bin_range" in given:
        given["bin_range"] = tuple(_number(name, "bin_range", value) for value in given["bin_range"])
    return ReadOptions(**given)


def _number(name: str, flag: str, text: str, *, whole: bool = False) -> float:
    try:
        return int(text) if whole else float(text)
    except ValueError as error:
        raise UsageError(f"{name}: {flag} must be a {'whole ' if whole else ''}number, not {text!r}") from error
