"""Learning with Disagreements 2025: one JSON object an item, its answers an object from rater to answer.

The raters' properties lie beside in `<data set>_annotators_meta.json` and become attributes. Several labels given at once
("entailment,neutral") stay one nominal value, sorted, so that the order in which they were ticked does not matter.

Source: Leonardelli et al. 2025, LeWiDi-2025: The Third Edition of the Learning with Disagreements Shared Task.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from pydantic import BaseModel, TypeAdapter

from pluralign.ratings.readers.checks import checked
from pluralign.ratings.readers.columns import prefixed
from pluralign.ratings.readers.files import Source, as_text, text_frame
from pluralign.ratings.readers.lewidi import split_files
from pluralign.ratings.readers.long import Long
from pluralign.ratings.readers.meta import join_meta
from pluralign.ratings.table import Note

__all__ = ["read_lewidi2025"]


class _Entry(BaseModel):
    text: dict[str, str] | str
    annotations: dict[str, str | int | float | None]


_SHAPE = TypeAdapter(dict[str, _Entry])


def read_lewidi2025(source: Source) -> Long:
    """One file, or the train and dev files of one data set in a folder, with the raters' properties when they lie beside."""
    name, files = split_files(source)
    entries: list[tuple[str, str, _Entry]] = []
    notes: list[Note] = []
    for split, path in files:
        part = source.beside(path)
        data, more = part.json
        notes += more
        entries += [(split, key, entry) for key, entry in checked(_SHAPE, data, part.where).items()]
    notes.append(Note(source.where, f"items come from {', '.join(path.name for _, path in files)}", len(files)))
    repeated = {key for key, n in Counter(key for _, key, _ in entries).items() if n > 1}
    if repeated:
        notes.append(Note(source.where, "ids occur in several splits: each id is preceded by its split", len(repeated)))
    long = _long(source, name, [(f"{split}-{key}" if repeated else key, entry) for split, key, entry in entries], notes)
    meta = files[0][1].parent / f"{name}_annotators_meta.json"
    use_meta = source.options.rater_meta is None and meta.is_file() and long.table.height > 0
    return join_meta(long, source.beside(meta), "rater") if use_meta else long


def _long(source: Source, name: str, entries: list[tuple[str, _Entry]], notes: list[Note]) -> Long:
    given = [
        (key, entry, rater, _sorted_labels(as_text(answer)))
        for key, entry in entries
        for rater, answer in entry.annotations.items()
    ]
    texts = {key: {"text": e.text} if isinstance(e.text, str) else e.text for key, e in entries}
    fields = prefixed(dict.fromkeys(field for text in texts.values() for field in text), "item_")
    columns: dict[str, list[str | None]] = {
        "item_id": [key for key, *_ in given],
        "rater_id": [rater for *_, rater, _ in given],
        "rating": [answer for *_, answer in given],
        **{ours: [texts[key].get(field) for key, *_ in given] for ours, field in fields.items()},
    }
    several = sum("," in (answer or "") for *_, answer in given)
    if several:
        notes.append(Note(source.where, "ratings of several labels are one nominal value, the labels sorted", several))
    named: dict[str, Any] = {"item_id": "key", "rater_id": "annotations: key", "rating": "annotations: value", **fields}
    return Long(text_frame(columns, source.where), source.where, name, tuple(notes), named)


def _sorted_labels(answer: str | None) -> str | None:
    return ",".join(sorted(part.strip() for part in answer.split(","))) if answer is not None and "," in answer else answer
