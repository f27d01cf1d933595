"""Ten questions in Python's notation: one without a text, a country that nobody answered for, shares that do not sum to 1."""

from __future__ import annotations

from pathlib import Path

from pluralign.suite.sources.globaloqa import FILE
from suite.samples import Row, write_csv


def row(question: str | None, selections: dict[str, list[float]], options: list[str]) -> Row:
    text = f"defaultdict(<class 'list'>, {selections!r})"
    return {"question": question, "selections": text, "options": repr(options), "source": "MADE"}


ROWS = [row(f"Is soup number {n} good?", {"Aland": [0.25, 0.75], "Beland": [0.5, 0.5]}, ["Yes", "No"]) for n in range(6)]
ROWS += [
    row(
        "How often,\nroughly, do you whistle?",
        {"Aland": [0.5, 0.2, 0.1], "Côte d'Eau (old sample)": [0.0, 0.0, 0.0]},
        ["Often", "Rarely", 'Ne\u0301ver, "really"'],
    ),
    row(None, {"Aland": [1.0]}, ["Only this"]),
    row("Who should win the cup?", {"Beland": [1 / 3, 1 / 3, 1 / 3]}, ["Us", "Them", "DK/Refused"]),
    row("Which of these is the only one?", {"Beland": [1.0]}, ["This"]),
]


def write(folder: Path) -> None:
    write_csv(folder / FILE, ROWS)
