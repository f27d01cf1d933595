"""Made-up clues in the common copy's columns, most of which have a space before their names."""

from __future__ import annotations

from pathlib import Path

from pluralign.suite.sources.jeopardy import FILE
from suite.samples import write_csv

COLUMNS = ("Show Number", " Air Date", " Round", " Category", " Value", " Question", " Answer")
ROWS: list[tuple[str, str, str | None, str | None]] = [
    ("Jeopardy!", "RIVERS", "It flows through Vienna, Budapest,\nand Belgrade", "the Danube"),
    ("Jeopardy!", "RIVERS", 'São Paulo\'s "Tietê" is one of these', "a river"),
    ("Jeopardy!", "RIVERS", 'São Paulo\'s "Tietê" is one of these', "a river"),
    ("Double Jeopardy!", "SUMS", "Two plus two", "four"),
    ("Double Jeopardy!", "SUMS", "Two plus two", "4"),
    ("Double Jeopardy!", "SEEN", '<a href="http://example.org/a.jpg">This</a> is a hat', "a hat"),
    ("Final Jeopardy!", "ENDS", "The last one of all", "an end"),
    ("Tiebreaker", "ENDS", "The very last one", "a tie"),
    ("Jeopardy!", "GAPS", None, "nothing"),
    ("Jeopardy!", "GAPS", "A clue whose answer is lost", None),
    ("Jeopardy!", "GAPS", "An answer of this spelling is no gap", "null"),
]


def write(folder: Path) -> None:
    rows = [
        dict(zip(COLUMNS, (str(4000 + n), "2001-02-03", kind, category, "$200", clue, answer), strict=True))
        for n, (kind, category, clue, answer) in enumerate(ROWS)
    ]
    write_csv(folder / FILE, rows)
