"""Argilla's records as JSON: a list, each with `fields` and the `responses` of its users.

Version 2 (`dataset.records.to_json`) keeps `{question: [{value, user_id, status}]}`, version 1 a list of
`{user_id, status, values: {question: {value}}}`. Only submitted responses are ratings; drafts and discarded ones are counted in
a Note. Version 2 leaves the status out of its export: such responses count as submitted. `rating` names the question.

Source: `Record.to_dict` of Argilla 2 and `FeedbackRecord` of Argilla 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, TypeAdapter

from pluralign.ratings.readers.checks import checked
from pluralign.ratings.readers.columns import prefixed
from pluralign.ratings.readers.files import Source, as_text, text_frame
from pluralign.ratings.readers.long import Long
from pluralign.ratings.readers.tools import chosen_question
from pluralign.ratings.table import Note

__all__ = ["read_argilla"]


class _Response(BaseModel):
    value: Any
    user_id: str | int | None = None
    status: str | None = None


class _UserResponses(BaseModel):
    user_id: str | int | None = None
    status: str | None = None
    values: dict[str, dict[str, Any]] | None = None


class _Record(BaseModel):
    id: str | int | None = None
    external_id: str | int | None = None
    fields: dict[str, Any]
    responses: dict[str, list[_Response]] | list[_UserResponses]


_SHAPE = TypeAdapter(list[_Record])


@dataclass(frozen=True)
class _Given:
    """One user's answer to one question about one record."""

    item: str | None
    record: _Record
    question: str
    rater: str | None
    answer: str | None
    status: str


def read_argilla(source: Source) -> Long:
    """The submitted answers to one question."""
    data, notes = source.json
    records = checked(_SHAPE, data, source.where)
    given = [g for number, record in enumerate(records, start=1) for g in _answers(number, record)]
    statuses = Counter(g.status for g in given if g.status != "submitted")
    notes = [
        *notes,
        *(Note(source.where, f"responses that are {status!r}: no ratings", n) for status, n in sorted(statuses.items())),
    ]
    given = [g for g in given if g.status == "submitted"]
    question = chosen_question([{g.question} for g in given], source.options.rating, source.where)
    given = [g for g in given if g.question == question]
    fields = prefixed(dict.fromkeys(f for r in records for f, v in r.fields.items() if isinstance(v, str)), "item_")
    table = text_frame(
        {
            "item_id": [g.item for g in given],
            "rater_id": [g.rater for g in given],
            "rating": [g.answer for g in given],
            **{ours: [as_text(g.record.fields.get(field)) for g in given] for ours, field in fields.items()},
        },
        source.where,
    )
    if any(r.id is None and r.external_id is None for r in records):
        notes.append(Note(source.where, "records without an id are named by their number in the file", len(records)))
    named = {"item_id": "id", "rater_id": "user_id", "rating": f"responses: {question}", **fields}
    return Long(table, source.where, source.name, tuple(notes), named)


def _answers(number: int, record: _Record) -> Iterator[_Given]:
    item = as_text(record.id if record.id is not None else record.external_id) or f"record {number}"
    if isinstance(record.responses, dict):
        for question, responses in record.responses.items():
            for r in responses:
                yield _Given(item, record, question, as_text(r.user_id), as_text(r.value), _status(r.status))
        return
    for user in record.responses:
        for question, value in (user.values or {}).items():
            yield _Given(item, record, question, as_text(user.user_id), as_text(value.get("value")), _status(user.status))


def _status(status: str | None) -> str:
    return status.rpartition(".")[2] if status else "submitted"
