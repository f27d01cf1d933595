"""Five prompts with two rated responses each; both of one are rated alike."""

from __future__ import annotations

from pathlib import Path

from pluralign.suite.sources import helpsteer
from suite.samples import write_jsonl

RATED = [
    ("Name a bird.", "A crow.", (3, 4, 4, 1, 1)),
    ("Name a bird.", "The crow is a bird.", (4, 4, 4, 2, 2)),
    ("What is 2 + 2?", "4", (4, 4, 4, 0, 0)),
    ("What is 2 + 2?", "5", (0, 0, 4, 0, 0)),
    ("Say hello.", "Hello!", (4, 4, 4, 1, 0)),
    ("Say hello.", "Grüße und hallo!", (2, 3, 3, 2, 1)),
    ("Name a city.", "Lima", (3, 3, 3, 3, 3)),
    ("Name a city.", "Oslo", (3, 3, 3, 3, 3)),
    ("Name a sea.", "The North Sea", (2, 4, 4, 1, 2)),
    ("Name a sea.", "A lake", (1, 0, 3, 1, 1)),
]


def write(folder: Path) -> None:
    rows = [
        {"prompt": prompt, "response": response} | dict(zip(helpsteer.QUALITIES, ratings, strict=True))
        for prompt, response, ratings in RATED
    ]
    write_jsonl(folder / helpsteer.FILE, rows)
