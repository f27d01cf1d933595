"""Which format a path holds, judged by its content: the keys of its JSON, the names of its columns, the files of its folder."""

from __future__ import annotations

import os
from typing import Any

from pluralign.errors import DataError
from pluralign.ratings.readers.columns import column_list, find_roles
from pluralign.ratings.readers.files import Source
from pluralign.ratings.readers.labelstudio import is_json_min
from pluralign.ratings.readers.lewidi import SPLITS
from pluralign.ratings.readers.options import ReadOptions
from pluralign.ratings.readers.polis import VOTE_FILES, is_polis_header
from pluralign.ratings.readers.potato import INSTANCES, STATE, instance_files
from pluralign.ratings.readers.wide import recognised_columns
from pluralign.ratings.table import Note
from pluralign.stores import place

__all__ = ["detect_format", "detected"]


def detect_format(path: str | os.PathLike[str], options: ReadOptions | None = None) -> tuple[str, Note]:
    """The name of the format, and a Note that says what it was recognised by. Raises DataError when nothing fits."""
    return detected(Source(place(path), options or ReadOptions()))


def detected(source: Source) -> tuple[str, Note]:
    """`detect_format` of an opened source, whose content is then read only once."""
    if source.kind == "folder":
        name, why = _of_folder(source)
    else:
        name, why = _of_json(source) if source.kind in ("json", "jsonl") else _of_table(source)
    return name, Note(source.where, f"taken as format '{name}', since {why}; --format says otherwise", 1)


def _of_folder(source: Source) -> tuple[str, str]:
    for name in VOTE_FILES:
        if (source.path / name).is_file():
            return "polis", f"the folder holds {name}"
    if instance_files(source.path):
        return "potato", f"it holds {INSTANCES} or {STATE}"
    splits = sorted(p for split in SPLITS for p in source.path.glob(f"*_{split}.json"))
    if splits:
        chosen = [p for p in splits if p.name.startswith(f"{source.options.dataset}_")] or splits
        name, why = _of_json(source.beside(chosen[0]))
        if name.startswith("lewidi"):
            return name, f"{chosen[0].name}: {why}"
    if source.has_parts:
        return _of_table(source)
    raise DataError(
        source.where,
        f"no format of folders fits: Polis has {' or '.join(VOTE_FILES)}, Potato {INSTANCES} or {STATE}, LeWiDi files such as "
        "NAME_train.json, a table in parts .parquet, .jsonl or .csv; for a single table give the file itself",
    )


def _of_json(source: Source) -> tuple[str, str]:
    first = _first_entry(source.json[0])
    keys = set(first)
    if isinstance(source.json[0], dict):
        if isinstance(first.get("annotations"), str) and "annotators" in keys:
            return "lewidi2023", "each entry has the strings 'annotations' and 'annotators'"
        if isinstance(first.get("annotations"), dict) and "text" in keys:
            return "lewidi2025", "each entry has an object 'annotations'"
    if "label_annotations" in keys:
        return "potato", "each entry has 'label_annotations'"
    if isinstance(source.json[0], list):
        if {"data", "annotations"} <= keys or is_json_min(first):
            return "labelstudio", "each task has 'data' and 'annotations'" if "data" in keys else "it is JSON-MIN"
        if {"fields", "responses"} <= keys:
            return "argilla", "each record has 'fields' and 'responses'"
        if first:
            return _of_table(source)
    raise DataError(source.where, "its JSON is none of the known formats; a table in JSON is a list of objects, one a row")


def _first_entry(data: Any) -> dict[str, Any]:
    """The first entry of a list or object when it is an object, else an empty one."""
    values = list(data.values())[:1] if isinstance(data, dict) else data[:1] if isinstance(data, list) else []
    if isinstance(data, dict) and "label_annotations" in data:
        return data
    return values[0] if values and isinstance(values[0], dict) else {}


def _of_table(source: Source) -> tuple[str, str]:
    table, options = source.frame[0], source.options
    if is_polis_header(table.columns):
        return "polis", "it has the columns of a Polis export"
    if options.rating_columns is not None:
        return "wide", "--rating-columns is given"
    if find_roles(table.columns, options)[0] is not None:
        return "table", "it has one column each for item, rater and rating"
    if options.rating is None and not options.item_parts and (columns := recognised_columns(table, [])[0]):
        return "wide", f"these columns hold the same few answers: {column_list(columns)}"
    return "table", "nothing else fits"
