"""Ten questions; texts of several lines and with blanks at their ends, some without a subject, unused columns."""

from __future__ import annotations

from pathlib import Path

from pluralign.suite.sources.gpqa import FILE
from suite.samples import write_csv

ROWS = [
    {
        "Pre-Revision Question": "an earlier wording, with a comma",
        "Question": f"How many goats are {n} goats,\nand why? ",
        "Correct Answer": f"{n} goats\n",
        "Incorrect Answer 1": f"{n + 1} goats",
        "Incorrect Answer 2": 'no "goats" at all',
        "Incorrect Answer 3": "Γ goats",
        "Explanation": None,
        "Subdomain": "Goats (general)",
        "High-level domain": ("Biology", "Physics", None)[n % 3],
        "Record ID": f"recMade{n}",
    }
    for n in range(10)
]


def write(folder: Path) -> None:
    write_csv(folder / FILE, ROWS)
