"""Ten people and three targets, one set with blanks as in the real file; a rating that is missing, unused columns."""

from __future__ import annotations

from pathlib import Path

from pluralign.suite.sources.numbergame import FILE
from suite.samples import Row, write_csv


def row(person: int, numbers: str, target: int, rating: int | None) -> Row:
    return {
        "id": person,
        "age": 30 + person,
        "firstlang": "english, and français" if person == 3 else None,
        "set": numbers,
        "target": target,
        "rating": rating,
        "rt": 812.5,
    }


ROWS = [row(person, "10_ 50_ 100", 20, int(person < 7)) for person in range(8)]
ROWS += [row(person, "10_ 50_ 100", 21, int(person == 0)) for person in range(10)]
ROWS += [row(0, "16", 32, 1), row(1, "16", 32, None)]


def write(folder: Path) -> None:
    write_csv(folder / FILE, ROWS)
