"""Six rows: four questions, one of which is in the file twice, and one rephrasing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from suite.samples import write_jsonl


def row(
    question: str, *, country: str | None = "U.S.", language: str = "English", rephrase: int = 0, hard: bool = True
) -> dict[str, Any]:
    told = {"controversial": hard, "language": language, "country": country, "original": "Should towns have trams?"}
    return {
        **told,
        "topic": "Trams",
        "options": {"yes": "supports", "no": "opposes"},
        "question": question,
        "rephrase": rephrase,
    }


ROWS = [
    row("Should towns have trams?"),
    row("Ought there to be trams in towns?", rephrase=1),
    row("Sollten Städte, auch kleine, Straßenbahnen haben?", country="Germany", language="German"),
    row("Is it good to read?", hard=False),
    row("Should towns have trams?"),
    row("Is rain\ngood?", country=None, hard=False),
]


def write(folder: Path) -> None:
    write_jsonl(folder / "valueconsistency.jsonl", ROWS)
