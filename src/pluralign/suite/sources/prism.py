"""What people asked language models, and how they scored the replies: three tasks.

Departures: what the three kinds of conversation ask for is in words of ours, not the study's; an answer "Prefer not to say" has
no key; outputs of several fields are JSON.
Left out: opening prompts without text; from the preferences conversations whose first turn has not exactly four replies with a
text and a score each, one of them chosen, and people with fewer than two others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pluralign.episodes import Attribute, Example
from pluralign.suite.attributes import is_text, known_attributes
from pluralign.suite.card import Card, Hub, Source
from pluralign.suite.reading import iter_jsonl, read_jsonl, unusable
from pluralign.suite.rows import grouped, pool_task
from pluralign.suite.task import Around, Strand, Task, json_text

__all__ = ["CONVERSATIONS", "KINDS", "SOURCE", "SURVEY", "Conversation", "Prism", "load"]

CONVERSATIONS, SURVEY = "conversations.jsonl", "survey.jsonl"
KINDS = {
    "unguided": "Talk to a language model about anything you like.",
    "values guided": "Talk to a language model about something that matters to you or that shows what you value: work, faith, "
    "family, politics, culture.",
    "controversy guided": "Talk to a language model about something disputed, on which people around you would disagree.",
}
"""Kinds of conversation to what was asked for, in our words."""
MOST_PROMPTS = 800
"""Of one person."""
FEWEST_RATED = 2
REPLIES = ("a", "b", "c", "d")

CARD = Card(
    name="prism",
    what="8,011 conversations of 1,396 people with 21 language models, the replies scored from 0 to 100, and a survey of them.",
    citation="Kirk et al. 2024, The PRISM Alignment Project (arXiv 2404.16019)",
    licence="CC BY 4.0 (texts of people), CC BY-NC 4.0 (replies of models)",
    access=Hub("HannahRoseKirk/prism-alignment", (CONVERSATIONS, SURVEY), revision="18ab5cfb37456f4ec8cbc00212ce54cf7b1239f6"),
    ran_on_real_file=False,
    rows=8011,
    units=1396,
    problems=("the three kinds of conversation are put into words of ours, not the study's",),
)


@dataclass(frozen=True, slots=True)
class Conversation:
    """The start of one."""

    person: str
    kind: str
    prompt: str
    rated: Example | None
    """The prompt with its four replies, and their scores with which was chosen; None where something is missing."""


class Prism:
    """The files, each read when it is asked for."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    @cached_property
    def conversations(self) -> list[Conversation]:
        """Those with an opening prompt."""
        found, faults, n_rows = [], [], 0
        fields = ("user_id", "conversation_type", "opening_prompt", "conversation_history")
        for n_rows, row in enumerate(iter_jsonl(CARD, self.folder, CONVERSATIONS, fields), 1):
            of_row = [f"row {n_rows}: {fault}" for fault in _faults(row)]
            faults += of_row
            if not of_row and is_text(row["opening_prompt"]):
                found.append(Conversation(row["user_id"], row["conversation_type"], row["opening_prompt"], _rated(row)))
        if faults or not n_rows:
            raise unusable(CARD, self.folder, CONVERSATIONS, faults or "it holds no row")
        return found

    @cached_property
    def people(self) -> dict[str, tuple[dict[str, Attribute], list[Conversation]]]:
        """Of everyone with a conversation, what is known of them and their conversations."""
        fields = ("user_id", "age", "gender", "education", "employment_status", "location", "religion")
        rows = read_jsonl(CARD, self.folder, SURVEY, fields)
        faults = [f"row {n}: {fault}" for n, row in enumerate(rows, 1) for fault in _survey_faults(row)]
        if not faults:
            times = Counter(row["user_id"] for row in rows)
            faults = [f"{person!r} has {n} rows, of which one is needed" for person, n in times.items() if n > 1]
        if faults:
            raise unusable(CARD, self.folder, SURVEY, faults)
        survey = {row["user_id"]: _attributes(row) for row in rows}
        talks = grouped(self.conversations, key=lambda one: one.person)
        if unknown := [f"there is no row of {person!r}, who has conversations" for person in talks if person not in survey]:
            raise unusable(CARD, self.folder, SURVEY, unknown)
        return {person: (survey[person], of_person) for person, of_person in talks.items()}


def load(folder: Path | None) -> Prism:
    """Nothing is read yet: one task needs one of the files."""
    return Prism(folder)


def _faults(row: dict[str, Any]) -> Iterator[str]:
    if not isinstance(row["user_id"], str):
        yield f"user_id must be text, not {row['user_id']!r}"
    if row["conversation_type"] not in KINDS:
        yield f"conversation_type must be one of {', '.join(KINDS)}, not {row['conversation_type']!r}"
    if not isinstance(row["opening_prompt"], str | None):
        yield "opening_prompt must be text"
    turns = row["conversation_history"]
    if not isinstance(turns, list) or not all(isinstance(turn, dict) and {"turn", "role"} <= set(turn) for turn in turns):
        yield "conversation_history must be a list of objects with turn and role"
        return
    for reply in _first_replies(row):
        missing = [name for name in ("content", "score", "if_chosen", "within_turn_id") if name not in reply]
        if missing:
            yield f"conversation_history: a reply has no {', '.join(missing)}"
        elif not isinstance(reply["within_turn_id"], int) or not isinstance(reply["if_chosen"], bool | None):
            yield "conversation_history: within_turn_id must be a whole number, if_chosen true or false"
        elif reply["score"] is not None and not (isinstance(reply["score"], int | float) and 0 <= reply["score"] <= 100):
            yield f"conversation_history: a score must be 0 to 100, not {reply['score']!r}"


def _first_replies(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [turn for turn in row["conversation_history"] if turn["turn"] == 0 and turn["role"] == "model"]


def _rated(row: dict[str, Any]) -> Example | None:
    replies = sorted(_first_replies(row), key=lambda reply: reply["within_turn_id"])
    chosen = [letter for letter, reply in zip(REPLIES, replies, strict=False) if reply["if_chosen"]]
    whole = all(is_text(reply["content"]) and reply["score"] is not None for reply in replies)
    if len(replies) != len(REPLIES) or len(chosen) != 1 or not whole:
        return None
    texts = {f"response_{letter}": reply["content"] for letter, reply in zip(REPLIES, replies, strict=True)}
    scores = {f"score_{letter}": _whole(reply["score"]) for letter, reply in zip(REPLIES, replies, strict=True)}
    return Example(
        json_text(chosen_response=f"response_{chosen[0]}", **scores), json_text(opening_prompt=row["opening_prompt"], **texts)
    )


def _whole(score: float) -> float:
    return int(score) if score == int(score) else score


def _survey_faults(row: dict[str, Any]) -> Iterator[str]:
    if not isinstance(row["user_id"], str):
        yield f"user_id must be text, not {row['user_id']!r}"
    for name, part in (("location", "reside_country"), ("religion", "simplified")):
        if row[name] is not None and (not isinstance(row[name], dict) or part not in row[name]):
            yield f"{name} must be an object with {part}, or null"


def _attributes(row: dict[str, Any]) -> dict[str, Attribute]:
    return known_attributes(
        age=row["age"],
        gender=row["gender"],
        education=row["education"],
        employment=row["employment_status"],
        country=(row["location"] or {}).get("reside_country"),
        religion=(row["religion"] or {}).get("simplified"),
    )


def _opening(one: Conversation) -> Example:
    return Example(one.prompt, KINDS[one.kind])


def _prompt_strands(data: Prism, seed: int) -> Iterator[Strand]:
    plain = "First messages that one person sent to language models, each with what the person had been asked to talk about."
    for person, (attributes, talks) in data.people.items():
        told = f"How one person opens conversations with language models when asked to. The person: {json_text(**attributes)}"
        yield Strand(
            unit=person,
            examples=[_opening(one) for one in talks],
            descriptions=(plain, told) if attributes else (plain,),
            n_outputs=Around(96),
            n_episodes=None,
            max_total=MOST_PROMPTS,
            attributes=attributes,
        )


def _preference_strands(data: Prism, seed: int) -> Iterator[Strand]:
    plain = (
        "One person wrote to a language model, read four replies, scored each from 0 (worst) to 100 (best) and chose one. "
        "The outputs are JSON objects with the chosen reply and the four scores."
    )
    for person, (attributes, talks) in data.people.items():
        rated = [one.rated for one in talks if one.rated is not None]
        if len(rated) >= FEWEST_RATED:
            yield Strand(
                unit=person,
                examples=rated,
                descriptions=(f"{plain} The person: {json_text(**attributes)}" if attributes else plain,),
                n_outputs=Around(20),
                n_episodes=None,
                attributes=attributes,
            )


SOURCE = Source(
    CARD,
    load,
    (
        Task(
            name="prism_prompts_individual",
            kind="individual",
            split="train",
            strands=_prompt_strands,
            about="a person's first message in a conversation with language models",
        ),
        Task(
            name="prism_individual_preferences",
            kind="individual",
            split="train",
            strands=_preference_strands,
            about="a person's scores of four replies, and which they chose",
        ),
        pool_task(
            "prism_prompts",
            lambda data: map(_opening, data.conversations),
            kind="text",
            split="train",
            about="somebody's first message in a conversation with language models",
            descriptions=(
                "What different people write first to a language model when they are asked to talk about something.",
            ),
            n_outputs=Around(128),
            n_episodes=None,
            files=(CONVERSATIONS,),
        ),
    ),
)
