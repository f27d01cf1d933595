"""Eight rows of three premises; one hypothesis comes twice, one is missing."""

from __future__ import annotations

from pathlib import Path

from pluralign.suite.sources import novacomet
from suite.samples import write_parquet

ROWS = [
    ("Jo plants a tree", "Jo likes gardens"),
    ("Jo plants a tree", "The tree will grow"),
    ("Jo plants a tree", "Jo likes gardens"),
    ("the café is full, again", "People wait\noutside"),
    ("Jo plants a tree", "Jo's hands are dirty"),
    ("the café is full, again", None),
    ("It snows", "  "),
    ("It rains", "The street is wet"),
]


def write(folder: Path) -> None:
    rows = [{"premise": premise, "hypothesis": hypothesis, "split": "train"} for premise, hypothesis in ROWS]
    write_parquet(folder / novacomet.FILE, rows)
