"""Profiles in files: JSON lines (`.jsonl`) or parquet, a profile a line or row.

Only `rater_id` and `profile` are needed, so that profiles which people wrote are read as well; a rater without one has null and
an `outcome` that says why. The other fields are those of `RaterProfile`. An edited profile is kept in a file of its own beside
the one that it was made from (`edited_path`), never over it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import polars as pl

from pluralign.errors import DataError, UsageError, nearest_name
from pluralign.files import atomic_write
from pluralign.raters.profiles import UNWRITABLE, USABLE, Draft, ProfileOutcome, RaterProfile
from pluralign.ratings.readers import ReadOptions
from pluralign.ratings.readers.files import Source

__all__ = ["PROFILES", "edited_path", "profiles_path", "read_profiles", "read_rater_texts", "write_profiles"]

PROFILES = "profiles.jsonl"
"""Name of the file in a run folder."""
_FIELDS = tuple(field.name for field in dataclasses.fields(RaterProfile))
_DRAFT_FIELDS = tuple(field.name for field in dataclasses.fields(Draft))
_TEXTS = ("model", "decoder", "prompt_version", "edited_from")
_MOST_LISTED = 20
_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    **{"rater_id": pl.String, "profile": pl.String, "outcome": pl.String},
    "drafts": pl.List(
        pl.Struct(
            {
                "text": pl.String,
                "outcome": pl.String,
                "loss_nats": pl.Float64,
                "n_scored": pl.Int64,
                "is_chosen": pl.Boolean,
            }
        )
    ),
    "given_items": pl.List(pl.String),
    "n_shown": pl.Int64,
    **dict.fromkeys(_TEXTS, pl.String),
}


def read_rater_texts(path: str | os.PathLike[str], column: str) -> dict[str, str]:
    """Rater to text, from a table with the columns rater_id and this one. Raises DataError for a rater who is there twice."""
    source = Source(Path(path), ReadOptions())
    table = source.frame[0]
    if absent := [name for name in ("rater_id", column) if name not in table.columns]:
        raise DataError(source.where, [f"no column {name!r}; columns are {table.columns}" for name in absent])
    rows = table.select(pl.col("rater_id", column).cast(pl.String)).drop_nulls()
    if rows["rater_id"].is_duplicated().any():
        again = rows.filter(rows["rater_id"].is_duplicated())["rater_id"][0]
        raise DataError(source.where, f"rater {again!r} has several rows; one text each is needed.")
    return dict(rows.iter_rows())


def write_profiles(path: str | os.PathLike[str], profiles: Iterable[RaterProfile]) -> None:
    """Writes JSON lines or parquet, by the ending of the name; the file appears whole or not at all.

    Raises DataError, and writes nothing, for a profile that `read_profiles` would refuse.
    """
    ending = _ending(Path(path))
    records = [dataclasses.asdict(one) for one in profiles]
    _checked(str(path), [(f"profile {n}", record, []) for n, record in enumerate(records, 1)])
    with atomic_write(path) as file:
        if ending == ".parquet":
            pl.DataFrame(records, schema=_SCHEMA).write_parquet(file)
        else:
            for record in records:
                file.write(json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n")


def read_profiles(path: str | os.PathLike[str], *, edited: bool = False) -> list[RaterProfile]:
    """The profiles of a file, or of a run folder, in their order; blank lines are skipped.

    With `edited`, edited profiles that lie beside them stand in their place. Raises DataError that lists the faults of the file
    with their lines: what is not JSON, unknown fields, a rater who comes twice, a text with NUL or half of a surrogate pair,
    an empty profile.
    """
    file = profiles_path(path)
    profiles = _checked(str(file), list(_records(file)))
    beside = edited_path(file)
    if not edited or not beside.exists():
        return profiles
    changed = {one.rater_id: one for one in read_profiles(beside)}
    known = {one.rater_id for one in profiles}
    return [changed.get(one.rater_id, one) for one in profiles] + [one for id_, one in changed.items() if id_ not in known]


def profiles_path(path: str | os.PathLike[str]) -> Path:
    """The file itself, or that of a run folder. Raises DataError where a folder has none."""
    given = Path(path)
    if not given.is_dir():
        return given
    if not (given / PROFILES).exists():
        raise DataError(str(given), f"there is no {PROFILES} in this folder; is it the run of another command?")
    return given / PROFILES


def edited_path(file: str | os.PathLike[str]) -> Path:
    """Where edited profiles are kept, beside those of `file`.

    >>> edited_path("runs/mine/profiles.jsonl").name
    'profiles.edited.jsonl'
    """
    path = Path(file)
    return path.with_name(f"{path.stem}.edited{path.suffix}")


_Found = tuple[str, Any, Sequence[str]]
"""Where in the file, the record, and the faults that kept it from being read."""


def _ending(path: Path) -> str:
    if path.suffix not in (".jsonl", ".parquet"):
        raise UsageError(f"{path}: the name ends in {path.suffix!r}; profiles are in files that end in .jsonl or .parquet")
    return path.suffix


def _records(path: Path) -> Iterator[_Found]:
    ending = _ending(path)
    try:
        if ending == ".parquet":
            rows = pl.read_parquet(path).iter_rows(named=True)
            yield from ((f"row {n}", row, []) for n, row in enumerate(rows, 1))
            return
        with path.open("rb") as file:
            for n, line in enumerate(file, 1):
                line = line.removeprefix(b"\xef\xbb\xbf") if n == 1 else line
                if line.strip():
                    yield _parsed(f"line {n}", line)
    except OSError as error:
        raise DataError(str(path), f"cannot be read: {error.strerror or error}") from error
    except pl.exceptions.PolarsError as error:
        raise DataError(str(path), f"not a parquet file that can be read: {error}") from error


def _parsed(where: str, line: bytes) -> _Found:
    try:
        return where, json.loads(line.decode("utf-8")), []
    except (ValueError, RecursionError) as error:  # a UnicodeDecodeError is a ValueError
        return where, {}, [f"not JSON in UTF-8: {error}"]


def _checked(name: str, found: Sequence[_Found]) -> list[RaterProfile]:
    faults: list[str] = []
    profiles: list[RaterProfile] = []
    seen: dict[str, str] = {}
    for where, record, unread in found:
        own = list(unread) or _faults(record)
        if not own and record["rater_id"] in seen:
            own = [f"rater {record['rater_id']!r} has a profile in {seen[record['rater_id']]} already"]
        faults += [f"{where}: {fault}" for fault in own]
        if not own:
            seen[record["rater_id"]] = where
            profiles.append(_profile(record))
    if faults:
        more = len(faults) - _MOST_LISTED
        raise DataError(name, [*faults[:_MOST_LISTED], *([f"and {more:,} more"] if more > 0 else [])])
    return profiles


def _faults(record: Any) -> list[str]:
    if not isinstance(record, Mapping):
        return [f"a profile is an object with rater_id and profile, not {record!r:.60}"]
    faults = [f"field {nearest_name(str(name), _FIELDS)}" for name in record if name not in _FIELDS]
    faults += _text_faults("rater_id", record.get("rater_id"))
    outcome = record.get("outcome") or "ok"
    if "profile" not in record:
        faults.append("profile is missing; write null and an outcome for a rater without one")
    elif record["profile"] is not None:
        faults += _text_faults("profile", record["profile"])
    elif outcome in USABLE:
        faults.append(f"profile is null, so an outcome has to say why, not {outcome!r}")
    faults += _outcome_faults("outcome", outcome)
    if record.get("profile") is not None and outcome in get_args(ProfileOutcome) and outcome not in USABLE:
        faults.append(f"there is a profile, so its outcome is one of {', '.join(USABLE)}, not {outcome!r}")
    for name in _TEXTS:
        faults += _text_faults(name, record[name], empty=name == "edited_from") if record.get(name) is not None else []
    faults += _count_faults("n_shown", record.get("n_shown"))
    items = record.get("given_items")
    if not isinstance(items, list | tuple | None) or not all(isinstance(item, str) for item in items or ()):
        faults.append("given_items must be a list of item ids")
    drafts = record.get("drafts")
    if not isinstance(drafts, list | tuple | None):
        return [*faults, "drafts must be a list"]
    return faults + [f"draft {n}: {fault}" for n, draft in enumerate(drafts or (), 1) for fault in _draft_faults(draft)]


def _draft_faults(draft: Any) -> list[str]:
    if not isinstance(draft, Mapping):
        return ["must be an object with text and outcome"]
    faults = [f"field {nearest_name(str(name), _DRAFT_FIELDS)}" for name in draft if name not in _DRAFT_FIELDS]
    faults += _text_faults("text", draft.get("text"), empty=True) + _outcome_faults("outcome", draft.get("outcome"))
    loss = draft.get("loss_nats")
    if loss is not None and (isinstance(loss, bool) or not isinstance(loss, int | float) or not math.isfinite(loss)):
        faults.append(f"loss_nats must be a finite number or null, not {loss!r:.60}")
    if not isinstance(draft.get("is_chosen", False), bool):
        faults.append("is_chosen must be true or false")
    return faults + _count_faults("n_scored", draft.get("n_scored"))


def _text_faults(name: str, value: Any, *, empty: bool = False) -> list[str]:
    if not isinstance(value, str):
        return [f"{name} must be text, not {value!r:.60}"]
    if not value.strip() and not empty:
        return [f"{name} is empty"]
    if found := UNWRITABLE.search(value):
        what = "a NUL" if found.group() == "\0" else f"half of a surrogate pair (U+{ord(found.group()):04X})"
        return [f"{name} has {what} at character {found.start() + 1:,}; no text may hold one"]
    return []


def _outcome_faults(name: str, value: Any) -> list[str]:
    known = get_args(ProfileOutcome)
    return [] if value in known else [f"{name}: {nearest_name(str(value)[:60], known)}"]


def _count_faults(name: str, value: Any) -> list[str]:
    is_count = value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)
    return [] if is_count else [f"{name} must be a whole number from 0, not {value!r:.60}"]


def _profile(record: Mapping[str, Any]) -> RaterProfile:
    drafts = tuple(
        Draft(**{name: value for name, value in draft.items() if value is not None}) for draft in record.get("drafts") or ()
    )
    plain = {name: value for name, value in record.items() if value is not None and name not in ("drafts", "given_items")}
    given = {"profile": None, **plain, "drafts": drafts, "given_items": tuple(record.get("given_items") or ())}
    return RaterProfile(**given)
