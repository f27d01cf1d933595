"""Potato: a folder with one folder a user, in each `annotated_instances.jsonl`, one line an instance, or `user_state.json`.

Versions from 2 on keep `user_state.json`: the answers of a user by instance, without the instances' texts (give those with
`item_meta`). Where a user has both files, the state counts.

A line's `label_annotations` maps each annotation scheme to the labels that were ticked: `{"sentiment": {"positive": "true"}}`.
The label is the rating; `scale_3` of a Likert scheme is 3; of a text box, slider or number it is the value. Several ticked
labels are one nominal value, sorted. `rating` names the scheme when there are several.

Source: Pei et al. 2022, POTATO: The Portable Text Annotation Tool; what a server of version 2.12 writes.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, Field, TypeAdapter

from pluralign.errors import DataError
from pluralign.ratings.readers.checks import checked
from pluralign.ratings.readers.files import Source, as_text, text_frame
from pluralign.ratings.readers.long import Long
from pluralign.ratings.readers.tools import chosen_question
from pluralign.ratings.table import Note
from pluralign.stores import Place

__all__ = ["INSTANCES", "STATE", "instance_files", "read_potato"]

INSTANCES = "annotated_instances.jsonl"
STATE = "user_state.json"
_DEPTHS = ("", "*/", "*/*/")
"""A user's folder, the output folder, or the project folder may be given."""
_VALUE_LABELS = {"", "text_box", "textbox", "slider", "number", "input"}
"""Labels whose value is what was entered."""
_LIKERT = re.compile(r"scale_(\d+)")
_UNTICKED = {None, "", "false", "False"}


class _Instance(BaseModel):
    id: str | int
    displayed_text: str = ""
    label_annotations: dict[str, dict[str, Any]]


class _Label(BaseModel):
    schema_name: str = Field(alias="schema")
    name: str


class _State(BaseModel):
    instance_id_to_label_to_value: dict[str, list[tuple[_Label, Any]]]


_SHAPE = TypeAdapter(list[_Instance])
_STATE_SHAPE = TypeAdapter(_State)


def instance_files(folder: Place) -> list[Place]:
    """Every user's file below this folder."""
    found = {path.parent: path for name in (INSTANCES, STATE) for depth in _DEPTHS for path in folder.glob(depth + name)}
    return sorted(found.values())


def read_potato(source: Source) -> Long:
    """All users of one project; the rater is the name of the user's folder."""
    files = instance_files(source.path) if source.kind == "folder" else [source.path]
    if not files:
        raise DataError(source.where, f"no {INSTANCES} or {STATE} in this folder or two levels below")
    lines = [(path.parent.name, line) for path in files for line in _lines(source.beside(path))]
    scheme = chosen_question([set(line.label_annotations) for _, line in lines], source.options.rating, source.where)
    given = [(user, line, _answer(line.label_annotations[scheme])) for user, line in lines if scheme in line.label_annotations]
    notes = [Note(source.where, f"users' files were read; the ratings are those of scheme {scheme!r}", len(files))]
    if n := len(lines) - len(given):
        notes.append(Note(source.where, f"instances without scheme {scheme!r} hold no rating", n))
    if n := sum("," in (answer or "") for *_, answer in given):
        notes.append(Note(source.where, "ratings with a comma: several ticked labels are one value, sorted", n))
    has_texts = any(line.displayed_text for _, line, _ in given)
    table = text_frame(
        {
            "item_id": [as_text(line.id) for _, line, _ in given],
            "rater_id": [user for user, *_ in given],
            "rating": [answer for *_, answer in given],
            **({"item_text": [line.displayed_text for _, line, _ in given]} if has_texts else {}),
        },
        source.where,
    )
    named = {
        "item_id": "id",
        "rater_id": "user's folder",
        "rating": f"label_annotations: {scheme}",
        **({"item_text": "displayed_text"} if has_texts else {}),
    }
    return Long(table, source.where, source.name, tuple(notes), named)


def _lines(part: Source) -> list[_Instance]:
    data = part.json[0]
    if part.path.name == STATE:
        state = checked(_STATE_SHAPE, data, part.where)
        return [_of_state(item, labels) for item, labels in state.instance_id_to_label_to_value.items()]
    return checked(_SHAPE, data if isinstance(data, list) else [data], part.where)


def _of_state(item: str, labels: list[tuple[_Label, Any]]) -> _Instance:
    schemes: dict[str, dict[str, Any]] = {}
    for label, value in labels:
        schemes.setdefault(label.schema_name, {})[label.name] = value
    return _Instance(id=item, label_annotations=schemes)


def _answer(labels: dict[str, Any]) -> str | None:
    """What was ticked or entered; None when nothing was."""
    ticked = {label: value for label, value in labels.items() if as_text(value) not in _UNTICKED}
    answers = [_one_answer(label, value) for label, value in ticked.items()]
    return ",".join(sorted(answers)) if answers else None


def _one_answer(label: str, value: Any) -> str:
    if label in _VALUE_LABELS:
        return str(as_text(value))
    likert = _LIKERT.fullmatch(label)
    return likert.group(1) if likert else label
