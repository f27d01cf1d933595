"""Learning with Disagreements 2023: one JSON object an item, its answers and its raters two parallel strings with commas.

Ids restart in every split, so that of a folder they become "train-1", "dev-1". ConvAbuse's text is itself JSON, one entry a
turn: each turn becomes a column. Two data sets tell a group for each rater, HS-Brexit in a third parallel string, ArMIS by
name: both become the attribute `rater_group`.

Source: Leonardelli et al. 2023, SemEval-2023 Task 11: Learning With Disagreements (LeWiDi).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, TypeAdapter

from pluralign.ratings.readers.checks import checked
from pluralign.ratings.readers.columns import prefixed
from pluralign.ratings.readers.files import Source, raise_faults, text_frame
from pluralign.ratings.readers.lewidi import split_files
from pluralign.ratings.readers.long import Long
from pluralign.ratings.table import Note

__all__ = ["read_lewidi2023"]


class _Entry(BaseModel):
    text: str
    annotations: str
    annotators: str
    other_info: dict[str, Any] = {}


_SHAPE = TypeAdapter(dict[str, _Entry])
_Row = dict[str, str | None]


def read_lewidi2023(source: Source) -> Long:
    """One file, or the train and dev files of one data set in a folder."""
    name, files = split_files(source)
    rows: list[_Row] = []
    notes: list[Note] = []
    for split, path in files:
        part = source.beside(path)
        data, more = part.json
        prefix = f"{split}-" if source.kind == "folder" else ""
        entries = checked(_SHAPE, data, part.where)
        notes += more
        raise_faults(part.where, (fault for key, entry in entries.items() for fault in _parallel_faults(key, entry)))
        rows += [row for key, entry in entries.items() for row in _rows(prefix + key, entry)]
    texts = _text_columns([str(row.pop("text")) for row in rows])
    groups = {"rater_group": [row["group"] for row in rows]} if any(row["group"] for row in rows) else {}
    columns = {ours: [row[theirs] for row in rows] for ours, theirs in _COLUMNS.items()}
    named = {**_COLUMNS, **{c: "text" for c in texts}, **dict.fromkeys(groups, "other_info")}
    notes.append(Note(source.where, f"items come from {', '.join(path.name for _, path in files)}", len(files)))
    return Long(text_frame({**columns, **texts, **groups}, source.where), source.where, name, tuple(notes), named)


_COLUMNS = {"item_id": "id", "rater_id": "annotators", "rating": "annotations"}


def _cut(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")] if text.strip() else []


def _parallel_faults(key: str, entry: _Entry) -> Iterator[str]:
    answers, raters = len(_cut(entry.annotations)), len(_cut(entry.annotators))
    if answers != raters:
        yield f"item {key!r}: {answers} annotations, but {raters} annotators"


def _rows(item: str, entry: _Entry) -> Iterator[_Row]:
    raters = _cut(entry.annotators)
    groups = _groups(raters, entry.other_info)
    for rater, answer in zip(raters, _cut(entry.annotations), strict=True):
        yield {"id": item, "annotators": rater, "annotations": answer, "text": entry.text, "group": groups.get(rater)}


def _groups(raters: list[str], info: dict[str, Any]) -> dict[str, str]:
    """The group of each rater where `other_info` tells it, under its long name where there is one."""
    parallel = info.get("annotators group")
    if isinstance(parallel, str):
        return {rater: str(info.get(group, group)) for rater, group in zip(raters, _cut(parallel), strict=False)}
    return {rater: group for rater in raters if isinstance(group := info.get(rater), str)}


def _text_columns(texts: list[str]) -> dict[str, list[str | None]]:
    """`item_text`; where every text is a JSON object of turns, one column a turn."""
    turns = [_turns(text) for text in texts]
    if not turns or None in turns:
        return {"item_text": list(texts)}
    keys = dict.fromkeys(key for turn in turns for key in turn or {})
    return {ours: [(turn or {}).get(key) for turn in turns] for ours, key in prefixed(keys, "item_").items()}


def _turns(text: str) -> dict[str, str] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        turns = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return {key: str(value) for key, value in turns.items()} if isinstance(turns, dict) and turns else None
