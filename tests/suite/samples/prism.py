"""Four people in the survey, three of whom talked; one reply is missing, one says EMPTY STRING, one opening is blank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from suite.samples import write_jsonl


def reply(n: int, content: str | None, score: int | None, *, chosen: bool = False) -> dict[str, Any]:
    named = {"model_provider": "nobody", "model_name": f"model-{n}"}
    return {"turn": 0, "role": "model", "content": content, **named, "score": score, "if_chosen": chosen, "within_turn_id": n}


def talk(person: str, kind: str, prompt: str, replies: list[dict[str, Any]]) -> dict[str, Any]:
    asked = {"turn": 0, "role": "user", "content": prompt}
    later = {"turn": 1, "role": "model", "content": "Anything else?", "score": 50, "if_chosen": True, "within_turn_id": 0}
    return {
        "conversation_id": f"c-{prompt[:5]}",
        "user_id": person,
        "conversation_type": kind,
        "opening_prompt": prompt,
        "conversation_turns": 2,
        "conversation_history": [asked, *replies, {"turn": 1, "role": "user", "content": "Thanks"}, later],
    }


def four(first: str, *, chosen: int = 0) -> list[dict[str, Any]]:
    return [reply(n, f"{first} {n}", 90 - 20 * n, chosen=n == chosen) for n in (0, 1, 2, 3)]


CONVERSATIONS = [
    talk("u1", "unguided", "What do bees\ndo in winter?", four("They rest", chosen=1)),
    talk("u1", "values guided", "Is it right, in your view, to keep a promise?", list(reversed(four("Yes")))),
    talk("u1", "controversy guided", "Should cars leave the town?", [*four("No")[:3], reply(3, "EMPTY STRING", 4)]),
    talk("u2", "unguided", "Erzähl mir von Brücken", four("Brücken")[:3]),
    talk("u2", "values guided", "How do I thank a nurse?", four("Write", chosen=3)),
    talk("u2", "unguided", "  ", four("Hm")),
    talk("u3", "controversy guided", "Are taxes fair?", four("Some")),
    talk("u3", "unguided", "Name a poem", four("This one")),
    talk("u3", "unguided", "Name a song", [*four("That one")[:3], reply(3, "That one 3", None)]),
]


def person(name: str, **told: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(["age", "gender", "education", "employment_status", "location", "religion"])
    return {"user_id": name, "survey_only": False, **nothing, **told}


SURVEY = [
    person(
        "u1",
        age="25-34 years old",
        gender="Female",
        education="Vocational",
        employment_status="Working full-time",
        location={"birth_country": "Chile", "reside_country": "Spain"},
        religion={"self_described": "none, really", "simplified": "No Affiliation"},
    ),
    person("u2", age="65+ years old", gender="Prefer not to say", location={"reside_country": "Prefer not to say"}),
    person("u3"),
    person("u4", age="18-24 years old"),
]


def write(folder: Path) -> None:
    write_jsonl(folder / "conversations.jsonl", CONVERSATIONS)
    write_jsonl(folder / "survey.jsonl", SURVEY)
