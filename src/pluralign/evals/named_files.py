"""Tasks that are made of a file of one's own, by a name such as `jury:FILE?people=PEOPLE.jsonl`, and files of JSON lines.

What stands after `?` is decoded as in a web address.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pluralign.errors import DataError, UsageError, nearest_name

__all__ = ["NamedFile", "json_lines", "named_file", "whole_number"]


@dataclass(frozen=True, slots=True)
class NamedFile:
    """What such a name says."""

    name: str
    path: Path
    given: Mapping[str, str]
    """Flag to value."""

    @property
    def task(self) -> str:
        """A name for records and folders, without a path: "jury_questions"."""
        stem = re.sub(r"[^a-z0-9]+", "_", self.path.name.split(".")[0].lower()).strip("_") or "file"
        return f"{self.name.partition(':')[0]}_{stem[:80]}"


def named_file(name: str, prefix: str, known: Collection[str]) -> NamedFile:
    """File and flags of the name `PREFIX:FILE?flag=value&flag=value`; nothing is read.

    Raises UsageError for another prefix, no file, and a flag that is unknown, repeated or without a value.

    >>> named_file("jury:a/b.jsonl?seats=6", "jury", ["seats"]).task
    'jury_b'
    """
    given_prefix, colon, rest = name.partition(":")
    file, _, query = rest.partition("?")
    if given_prefix != prefix or not colon or not file:
        raise UsageError(f"{name}: the form is {prefix}:FILE, or {prefix}:FILE?{sorted(known)[0]}=...")
    try:
        pairs = urllib.parse.parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError as error:
        raise UsageError(f"{name}: after ? come NAME=VALUE, joined by &: {error}") from error
    given: dict[str, str] = {}
    for flag, value in pairs:
        if flag not in known:
            raise UsageError(f"{name}: {nearest_name(flag, known)}")
        if flag in given or not value:
            raise UsageError(
                f"{name}: {flag} is given {'twice' if flag in given else 'without a value'}; give it once, as {flag}=..."
            )
        given[flag] = value
    return NamedFile(name, Path(file), given)


def whole_number(named: NamedFile, flag: str, default: int, *, low: int = 1) -> int:
    """The value of a flag. Raises UsageError for what is no whole number of at least `low`."""
    text = named.given.get(flag, str(default))
    try:
        number = int(text)
    except ValueError:
        number = low - 1
    if number < low:
        raise UsageError(f"{named.name}: {flag} must be a whole number of at least {low}, not {text!r}")
    return number


def json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Number and value of each line that is not blank; a `ValueError` as the value of one that is not JSON in UTF-8.

    Raises DataError for a file that cannot be read.
    """
    try:
        with path.open("rb") as file:
            for n, line in enumerate(file, 1):
                if line.strip():
                    yield n, _parsed(line.removeprefix(b"\xef\xbb\xbf") if n == 1 else line)
    except OSError as error:
        raise DataError(str(path), f"cannot be read: {error.strerror or error}") from error


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line.decode("utf-8"), parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        return ValueError(f"not JSON in UTF-8: {error}")


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON")
