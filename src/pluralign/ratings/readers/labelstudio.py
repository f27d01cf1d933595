"""Label Studio's JSON export: a list of tasks, each with `data`, and `annotations` by one person each.

An annotation's `result` holds one entry a control: choices, rating or number; `rating` names the control (`from_name`) when
there are several. Skipped annotations (`was_cancelled`) and predictions are no ratings. The rater is the user's number, not
the e-mail address. JSON-MIN, a flat list, is read as a table with `annotator` as rater and `id` as item.

Source: "Label Studio JSON format of annotated tasks" in its documentation.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import BaseModel, TypeAdapter

from pluralign.ratings.readers.checks import checked
from pluralign.ratings.readers.columns import prefixed
from pluralign.ratings.readers.files import Source, as_text, raise_faults, text_frame
from pluralign.ratings.readers.long import Long
from pluralign.ratings.readers.table import read_table
from pluralign.ratings.readers.tools import chosen_question
from pluralign.ratings.table import Note

__all__ = ["is_json_min", "read_labelstudio"]

_KINDS = ("choices", "rating", "number")
"""Controls whose answers are ratings; the key of the answer is the same word."""


class _User(BaseModel):
    id: int | str


class _Result(BaseModel):
    from_name: str
    type: str
    value: dict[str, Any]


class _Annotation(BaseModel):
    completed_by: int | str | _User | None = None
    was_cancelled: bool = False
    result: list[dict[str, Any]]


class _Task(BaseModel):
    id: int | str
    data: dict[str, Any]
    annotations: list[_Annotation]


_SHAPE = TypeAdapter(list[_Task])
_RESULTS = TypeAdapter(list[_Result])


def is_json_min(row: dict[str, Any]) -> bool:
    """Whether this is a row of Label Studio's flat export."""
    return {"annotation_id", "annotator", "lead_time"} <= row.keys()


def read_labelstudio(source: Source) -> Long:
    """The answers to one control by everybody who was shown it."""
    data, notes = source.json
    if isinstance(data, list) and data and isinstance(data[0], dict) and is_json_min(data[0]):
        options = replace(source.options, item=source.options.item or "id", rater=source.options.rater or "annotator")
        return read_table(Source(source.path, options))
    tasks = checked(_SHAPE, data, source.where)
    done = [(task, a, _answers(task, a, source.where)) for task in tasks for a in task.annotations if not a.was_cancelled]
    control = chosen_question([set(answers) for *_, answers in done], source.options.rating, source.where)
    given = [(task, annotation, answers.get(control)) for task, annotation, answers in done]
    fields = prefixed(dict.fromkeys(f for task in tasks for f, v in task.data.items() if isinstance(v, str)), "item_")
    table = text_frame(
        {
            "item_id": [as_text(task.id) for task, *_ in given],
            "rater_id": [_rater(annotation) for _, annotation, _ in given],
            "rating": [answer for *_, answer in given],
            **{ours: [as_text(task.data.get(field)) for task, *_ in given] for ours, field in fields.items()},
        },
        source.where,
    )
    named = {"item_id": "id", "rater_id": "annotations: completed_by", "rating": f"result: {control}", **fields}
    return Long(table, source.where, source.name, (*notes, *_skipped_notes(tasks, given, source.where)), named)


def _answers(task: _Task, annotation: _Annotation, where: str) -> dict[str, str]:
    """Control -> answer, for the controls that are ratings."""
    place = f"{where}: task {task.id}"
    results = checked(_RESULTS, [r for r in annotation.result if r.get("type") in _KINDS], place)
    raise_faults(place, (f"{r.from_name!r} has no {r.type!r} in its value" for r in results if r.value.get(r.type) is None))
    return {r.from_name: str(as_text(r.value[r.type])) for r in results}


def _rater(annotation: _Annotation) -> str | None:
    by = annotation.completed_by
    return as_text(by.id if isinstance(by, _User) else by)


def _skipped_notes(tasks: list[_Task], given: list[tuple[_Task, _Annotation, str | None]], where: str) -> list[Note]:
    cancelled = sum(a.was_cancelled for task in tasks for a in task.annotations)
    several = sum("," in (answer or "") for *_, answer in given)
    notes = [Note(where, "skipped annotations (was_cancelled) are no ratings", cancelled)] if cancelled else []
    if several:
        notes.append(Note(where, "ratings with a comma: several choices are one value, sorted", several))
    return notes
