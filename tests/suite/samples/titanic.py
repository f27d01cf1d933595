"""Six invented passengers; an age, a fare and a port are missing, each in its own way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from suite.samples import write_csv


def row(survived: str, passenger_class: int, name: str, sex: str, age: str, fare: str | None, embarked: str) -> dict[str, Any]:
    record = {"has_survived": survived, "passenger_class": passenger_class, "name": name, "sex": sex, "age": age}
    return record | {"sibsp": 1, "parch": 0, "ticket": "'A/5 1'", "fare": fare, "cabin": "''", "embarked": embarked}


ROWS = [
    row("0", 3, "Moor, Mr. Adam", "male", "22", "7.25", "S"),
    row("1", 1, 'Lind, Mrs. Jo "Jojo"', "female", "38", "71.2833", "C"),
    row("1", 3, "Ähre, Miss. Ida", "female", "?", "7.925", "Q"),
    row("0", 2, "Hill, Mr. Bo", "male", "0.75", None, "S"),
    row("0", 3, "Hut, Mr. Cy", "male", "35.0", "8", "''"),
    row("1", 1, "Lake, Miss. Di", "female", "4", "16.7", "S"),
]


def write(folder: Path) -> None:
    write_csv(folder / "titanic.csv", ROWS)
