"""Whole rating forms of people who judged four responses to a conversation: one task.

Departures: comparisons and people are read from their own two files, not from the one that merges them; of what is told of a
person the free text on how a model should behave is not shown; outputs are JSON, where what was left empty has no key.
Left out: conversations in which the user says nothing or a response is without text; empty forms; people with fewer than three.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pluralign.episodes import Attribute, Example
from pluralign.suite.attributes import is_text, known_attributes
from pluralign.suite.card import Card, Hub, Source
from pluralign.suite.reading import iter_jsonl, unusable
from pluralign.suite.task import Strand, Task, json_text

__all__ = ["COMPARISONS", "PEOPLE", "SOURCE", "TOLD", "Forms", "load"]

COMPARISONS, PEOPLE = "comparisons.jsonl", "annotators.jsonl"
FEWEST_FORMS = 3
TOLD = ("age", "gender", "education_level", "country_of_residence", "generative_ai_usage", "ai_concern_level")
LETTERS = ("A", "B", "C", "D")
SCALES = ("importance", "representativeness", "subjectivity")
BLOCKS = {"personal": "ranking", "world": "ranking", "unacceptable": "rating"}
"""Part of the form to what a person fills in there, beside a rationale."""
FORM = (
    "One person judges four responses of a language model, A to D, to a conversation, and fills in a form: a JSON object. "
    "personal_ranking: from the response that is best for them to the one that is worst, with = between equals; "
    "world_ranking: the same, but for the world; unacceptable: which ones they find unacceptable; each with a rationale. "
    "Then three scales about the question itself: importance, representativeness, subjectivity. "
    "What the person left empty has no key."
)

CARD = Card(
    name="collective_alignment",
    what="18,384 assessments of 1,078 conversations with four responses each, by 1,012 people of many countries.",
    citation="OpenAI 2025, Collective Alignment 1: public input on default model behavior",
    licence="CC BY 4.0",
    access=Hub("openai/coval", (COMPARISONS, PEOPLE), revision="f0f45eacea13be9c71b4b85c489ca01e174c86c1"),
    ran_on_real_file=False,
    rows=18_384,
    units=1012,
    problems=("openai/collective-alignment-1 was its name when the published suite read it",),
)


@dataclass(frozen=True, slots=True)
class Forms:
    """Person to filled-in forms, and to what is known of them."""

    examples: dict[str, list[Example]]
    attributes: dict[str, dict[str, Attribute]]


def load(folder: Path | None) -> Forms:
    """All forms that can be used; raises DataError for rows of another shape, and for a person without a row of their own."""
    examples: dict[str, list[Example]] = {}
    faults, n_rows = [], 0
    for n_rows, row in enumerate(iter_jsonl(CARD, folder, COMPARISONS, ("prompt", "responses", "metadata")), 1):
        of_row = [f"row {n_rows}: {fault}" for fault in _faults(row)]
        faults += of_row
        if of_row or (asked := _asked(row)) is None:
            continue
        for form in row["metadata"]["assessments"]:
            if (filled := _filled(form)) is not None:
                examples.setdefault(form["annotator_id"], []).append(Example(filled, asked))
    if faults or not n_rows:
        raise unusable(CARD, folder, COMPARISONS, faults or "it holds no row")
    return Forms(examples, _people(folder, examples))


def _people(folder: Path | None, examples: dict[str, list[Example]]) -> dict[str, dict[str, Attribute]]:
    people, faults = {}, []
    for number, row in enumerate(iter_jsonl(CARD, folder, PEOPLE, ("annotator_id", "demographics")), 1):
        told = row["demographics"]
        if not isinstance(row["annotator_id"], str) or not isinstance(told, dict):
            faults.append(f"row {number}: annotator_id must be text, demographics an object")
        elif missing := [name for name in TOLD if name not in told]:
            faults.append(f"row {number}: demographics has no {', '.join(missing)}")
        elif row["annotator_id"] in people:
            faults.append(f"row {number}: another row of {row['annotator_id']!r} came before")
        else:
            people[row["annotator_id"]] = known_attributes(**{name: told[name] for name in TOLD})
    faults += [
        f"there is no row of {person!r}, who has assessments" for person in examples if person not in people and not faults
    ]
    if faults:
        raise unusable(CARD, folder, PEOPLE, faults)
    return people


def _faults(row: dict[str, Any]) -> Iterator[str]:
    if not _has_messages(row["prompt"]):
        yield "prompt must have messages with role and content"
    responses = row["responses"]
    if not isinstance(responses, list) or not all(_has_messages(one) and "response_index" in one for one in responses):
        yield "responses must be a list of objects with response_index and messages"
    elif sorted(str(one["response_index"]) for one in responses) != list(LETTERS):
        yield f"responses must be {', '.join(LETTERS)}, each once"
    metadata = row["metadata"]
    forms = metadata.get("assessments") if isinstance(metadata, dict) else None
    if not isinstance(forms, list) or not all(isinstance(form, dict) for form in forms):
        yield "metadata must have assessments"
        return
    for form in forms:
        yield from _form_faults(form)


def _has_messages(value: Any) -> bool:
    messages = value.get("messages") if isinstance(value, dict) else None
    return isinstance(messages, list) and all(isinstance(one, dict) and {"role", "content"} <= set(one) for one in messages)


def _form_faults(form: dict[str, Any]) -> Iterator[str]:
    if missing := [name for name in ("annotator_id", "ranking_blocks", *SCALES) if name not in form]:
        yield f"an assessment has no {', '.join(missing)}"
        return
    if not isinstance(form["annotator_id"], str):
        yield f"annotator_id must be text, not {form['annotator_id']!r}"
    blocks = form["ranking_blocks"]
    if not isinstance(blocks, dict) or not all(isinstance(blocks.get(name), list | None) for name in BLOCKS):
        yield f"ranking_blocks must be an object of lists: {', '.join(BLOCKS)}"
        return
    for name, part in BLOCKS.items():
        for block in blocks.get(name) or []:
            if not isinstance(block, dict) or part not in block:
                yield f"ranking_blocks: {name} must hold objects with {part}"


def _asked(row: dict[str, Any]) -> str | None:
    """The user's turns and the four responses; None where one is without text."""
    said = [one["content"] for one in row["prompt"]["messages"] if one["role"] == "user" and is_text(one["content"])]
    by_letter = {one["response_index"]: "\n\n".join(filter(is_text, _contents(one))) for one in row["responses"]}
    if not said or not all(by_letter.values()):
        return None
    return json_text(conversation="\n\n".join(said), **{f"response_{letter.lower()}": by_letter[letter] for letter in LETTERS})


def _contents(response: dict[str, Any]) -> list[Any]:
    return [message["content"] for message in response["messages"]]


def _filled(form: dict[str, Any]) -> str | None:
    """What the person filled in; None for an empty form."""
    fields: dict[str, object] = {}
    for name, part in BLOCKS.items():
        block: dict[str, Any] = next(iter(form["ranking_blocks"].get(name) or []), {})
        fields[name if part == "rating" else f"{name}_{part}"] = _told(block.get(part))
        fields[f"{name}_rationale"] = _told(block.get("rationale"))
    fields |= {name: _told(form[name]) for name in SCALES}
    return None if all(value is None for value in fields.values()) else json_text(**fields)


def _told(value: object) -> object:
    """None for what tells nothing."""
    if isinstance(value, list):
        return [part for part in value if is_text(part)] or None
    return value if is_text(value) or isinstance(value, int | float) else None


def _strands(data: Forms, seed: int) -> Iterator[Strand]:
    for person, examples in data.examples.items():
        if len(examples) >= FEWEST_FORMS:
            attributes = data.attributes[person]
            yield Strand(
                unit=person,
                examples=examples,
                descriptions=(f"{FORM} The person: {json_text(**attributes)}" if attributes else FORM,),
                attributes=attributes,
            )


SOURCE = Source(
    CARD,
    load,
    (
        Task(
            name="collective_alignment_individual",
            kind="individual",
            split="train",
            strands=_strands,
            about="a person's whole rating form: rankings, reasons, what is unacceptable, three scales",
        ),
    ),
)
