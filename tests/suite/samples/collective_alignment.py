"""Three conversations with four responses and one of which a response is blank; two people, one of whom tells nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from suite.samples import write_jsonl


def form(person: str, *, world: str = "A>B>C=D", personal: str | None = None, bad: list[str] | None = None) -> dict[str, Any]:
    blocks = {
        "world": [{"ranking": world, "rationale": f"It helps, {person} says"}],
        "personal": [{"ranking": personal, "rationale": " "}] if personal else [],
        "unacceptable": [{"rating": bad, "rationale": "It is rude"}] if bad else None,
    }
    scales = {"importance": "Very important", "representativeness": "Not at all likely", "subjectivity": None}
    return {"conversation_id": "x", "annotator_id": person, "ranking_blocks": blocks, **scales}


def comparison(prompt: list[tuple[str, str]], forms: list[dict[str, Any]], *, last: str = "Nein, ü") -> dict[str, Any]:
    responses = [
        {"response_index": letter, "messages": [{"role": "assistant", "content": text}]}
        for letter, text in zip("ABCD", ("Yes", "No", "Perhaps,\nor not", last), strict=True)
    ]
    messages = [{"role": role, "content": content} for role, content in prompt]
    return {
        "prompt_id": f"p-{prompt[-1][1]}",
        "prompt": {"id": "m", "messages": messages},
        "responses": responses,
        "metadata": {"assessments": forms},
    }


COMPARISONS = [
    comparison(
        [("developer", "Be brief."), ("user", "May I lie?"), ("assistant", "Why?"), ("user", "To be kind")],
        [form("a1", personal="B>A=C=D", bad=["C is unacceptable"]), form("a2")],
    ),
    comparison([("user", "Is rain good?")], [form("a1", world="D>C>B>A"), form("a2")]),
    comparison([("user", "Who is right?")], [form("a1"), form("a2"), form("a3")]),
    comparison([("user", "Blank?")], [form("a3"), form("a3")], last=" "),
]
TOLD = {
    "age": "35-44",
    "gender": "Male",
    "education_level": "Primary school",
    "country_of_residence": "Kenya",
    "generative_ai_usage": "Every day",
    "ai_concern_level": "Prefer not to say",
}
PEOPLE = [
    {"annotator_id": "a1", "demographics": {**TOLD, "ideal-model-behavior": "It should listen"}, "assessments": []},
    {"annotator_id": "a2", "demographics": dict.fromkeys(TOLD), "assessments": []},
    {"annotator_id": "a3", "demographics": TOLD, "assessments": []},
]


def write(folder: Path) -> None:
    write_jsonl(folder / "comparisons.jsonl", COMPARISONS)
    write_jsonl(folder / "annotators.jsonl", PEOPLE)
