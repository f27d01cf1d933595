"""Three situations with a few considerations, and twelve in which Kindness matters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from suite.samples import write_csv


def row(
    situation: str, kind: str, text: str, valence: str = "Supports", explanation: str | None = "It matters"
) -> dict[str, Any]:
    return {"situation": situation, "vrd": kind, "text": text, "explanation": explanation, "valence": valence, "id": 1}


ROWS = [
    row("Feeding a stray cat, twice\na day", "Value", "Compassion", explanation='The cat is "hungry", so it helps'),
    row("Feeding a stray cat, twice\na day", "Duty", "Duty to ask the neighbours", "Either", None),
    row("Reading a friend's diary", "Right", "Right to privacy", "Opposes"),
    row("Reading a friend's diary", "Value", "Compassion", "Opposes"),
    row("Übersetzen für Fremde", "Value", "Hospitality"),
    *(row(f"Helping neighbour {n}", "Value", "Kindness") for n in range(12)),
]


def write(folder: Path) -> None:
    write_csv(folder / "full" / "full.csv", ROWS)
