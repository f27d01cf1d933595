"""Ten rows of three annotators: p1 with five, p2 with four, p3 with one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pluralign.suite.sources import community_alignment
from suite.samples import write_csv


def row(person: str, language: str, prompt: str | None, **more: Any) -> dict[str, Any]:
    replies = {f"first_turn_response_{letter}": f"{prompt} - reply {letter}" for letter in "abcd"}
    cells = {"conversation_id": "", "annotator_id": person, "assigned_lang": language, "first_turn_prompt": prompt} | replies
    cells |= {"first_turn_preferred_response": "response_b", "second_turn_prompt": "And then?"}
    told = {"annotator_age": "18-34", "annotator_gender": "female", "annotator_country": "Italy"} if person == "p1" else {}
    empty = dict.fromkeys(community_alignment.COLUMNS)
    return {**empty, **cells, **told, **more, "in_balanced_subset": "True"}


ROWS = [
    row("p1", "it", "Come sta l'orto?", first_turn_feedback='È breve, e "chiaro"\nper me'),
    row("p1", "it", "Due più due", annotator_political="Prefer not to say"),
    row("p1", "en", "Plan a day, please", first_turn_preferred_response="response_d", second_turn_prompt="Shorter"),
    row("p1", "it", "Un lago", annotator_gender=None),
    row("p1", "it", "Un monte", second_turn_prompt="EMPTY STRING", annotator_education_level="Other"),
    row("p2", "en", "Name a bird", annotator_age="18-34", first_turn_feedback=" "),
    row("p2", "en", "Name a tree", annotator_age="55+"),
    row("p2", "en", "Name a lake", first_turn_preferred_response=None),
    row("p2", "en", "Plan a day, please", first_turn_response_c=None),
    row("p3", "hi", "नदी क्या है?"),
]


def write(folder: Path) -> None:
    write_csv(folder / "community_alignment.csv", [{**one, "conversation_id": f"c{n}"} for n, one in enumerate(ROWS)])
