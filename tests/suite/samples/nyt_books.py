"""Four invented books: one of which no Republican was asked, one with a level that nobody chose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from suite.samples import write_json

LEVELS = ["1: Very unlikely", "2: Somewhat unlikely", "3: Somewhat likely", "4: Very likely"]


def book(**changes: Any) -> dict[str, Any]:
    counts = dict(zip(LEVELS, (1, 2, 3, 4), strict=True))
    groups = dict.fromkeys(("Democrat", "Republican", "Male", "Female"), counts)
    return {"MC_options": LEVELS, "genre": "Fiction", "summary": "A lighthouse is sold.", **groups, **changes}


BOOKS = {
    "The Lamp By Ada Moor": book(),
    "Tides, Two By Jo Lind": book(Republican={}, genre="Poetry"),
    "Grüne Wege By I. Nemo": book(Male={LEVELS[0]: 3, LEVELS[2]: 1}, summary="Paths,\n\nand more paths."),
    "Atlas By No One": book(Female={LEVELS[3]: 5}, remark="not used"),
}


def write(folder: Path) -> None:
    write_json(folder / "data.json", BOOKS)
