"""Poems of two collections with syllables, one poem with a blank line, one without a count; a raw collection that repeats one.

The other raw collection has no header, which the tests for every source take for granted; `write_sballas` is for its own tests.
"""

from __future__ import annotations

from pathlib import Path

from pluralign.suite.sources import haikus
from suite.samples import write_csv, write_text

POEMS = [
    ("  warm stones", "a cat, asleep", "on the wall", "north", "2", "4", "3"),
    ("first “frost”", "every fence is", "a white line", "north", "2", "5,4", "3"),
    ("tea again", "steam on the glass", "no mail", "north", "3", "4", "2"),
    ("night bus", "his hat rides", "alone", "south", "2", "3", "2"),
    ("42", "7", "1999", "south", "3", "2", "4"),
    ("one line", "", "and no other", "south", "2", "0", "4"),
    ("no count here", "but three lines", "all the same", "south", "3", "3", ""),
]
RAW = ["tea again\nsteam on the glass\nno mail", "a page\nis cut\nin three.", "Two lines\nonly.\n", "\nnothing\nabove"]


def write(folder: Path) -> None:
    write_csv(folder / haikus.COUNTED, [dict(zip(haikus.COLUMNS, poem, strict=True)) for poem in POEMS])
    write_csv(folder / haikus.GUTENBERG, [{"haiku": text, "source": "gutenberg"} for text in RAW])


def write_sballas(folder: Path, *, end: str = "") -> None:
    texts = ["slow rain\nthe drain sings\nto itself\n", "far hills\n", "long road\nno one\nthen a dog\n"]
    write_text(folder / haikus.SBALLAS, "".join(f'"{text}"\r\n' for text in texts) + "\r\nwinter\r\n" + end)
