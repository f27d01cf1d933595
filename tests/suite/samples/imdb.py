"""Reviews as invented as their films: half of them for, half against; one in several lines with accents and a tag."""

from __future__ import annotations

from pathlib import Path

from pluralign.suite.sources.imdb import FILE
from suite.samples import write_parquet

REVIEWS = [
    ("The Lighthouse Cat is slow, grey and too long.", 0),
    ("I left before the goat came back.<br /><br />You should too.", 0),
    ('A café, two chairs,\nno story: "Été" wastes its cast.', 0),
    ("Not one joke in The Tin Mayor lands.", 0),
    ("Even the popcorn was bored.", 0),
    ("The Lighthouse Cat is slow, grey and wonderful.", 1),
    ("I stayed until the goat came back, and cheered.", 1),
    ("Été is a small film with a large heart.", 1),
    ("The Tin Mayor made my aunt laugh.", 1),
    ("See it twice.", 1),
]


def write(folder: Path) -> None:
    write_parquet(folder / FILE, [{"text": text, "label": label} for text, label in REVIEWS])
