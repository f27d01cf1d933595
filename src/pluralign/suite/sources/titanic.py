"""Passengers of the Titanic: two tasks, whole records and who survived.

Departures: whether a passenger survived is "yes" or "no", the labels of the data set, where the published suite had 0 or 1;
numbers and truth values are those of JSON; what is missing ("?" or two quotes in the file) has no key, where the published
suite had an age of -1. Names, tickets and cabins are not used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from pluralign.episodes import Example
from pluralign.suite.card import Card, Hub, Source
from pluralign.suite.reading import read_csv, unusable
from pluralign.suite.rows import pool_task
from pluralign.suite.task import Around, json_text

__all__ = ["COLUMNS", "FILE", "SOURCE", "load"]

FILE = "titanic.csv"
COLUMNS = ("has_survived", "passenger_class", "sex", "age", "sibsp", "parch", "fare", "embarked")
SURVIVED = {"0": "no", "1": "yes", "no": "no", "yes": "yes"}
MISSING = ("", "?", "''")
Record = dict[str, str | int | float | bool | None]

CARD = Card(
    name="titanic",
    what="891 passengers of the Titanic: class, sex, age, family aboard, fare, port, and whether they survived.",
    citation="mstz/titanic on the Hugging Face hub, after Kaggle's titanic3",
    licence="CC, version not said",
    access=Hub("mstz/titanic", (FILE,), revision="8d2e7341082841e69c0d18a43267d8fc2406d2bc"),
    ran_on_real_file=False,
    rows=891,
    units=891,
    unit="passenger",
    chance={"titanic_survival_prediction": 0.5},
    problems=("well known, and likely to be in what language models were trained on",),
)


def load(folder: Path | None) -> list[Record]:
    """The passengers; raises DataError for values that are none of their column's."""
    rows = list(read_csv(CARD, folder, FILE, COLUMNS).iter_rows(named=True))
    records, faults = [], []
    for number, row in enumerate(rows, 1):
        cells = {name: None if (cell or "").strip() in MISSING else str(cell).strip() for name, cell in row.items()}
        of_row = [f"row {number}: {fault}" for fault in _faults(cells)]
        faults += of_row
        if not of_row:
            records.append(_record(cells))
    if faults or not records:
        raise unusable(CARD, folder, FILE, faults or "it holds no row")
    return records


def _faults(cells: dict[str, str | None]) -> Iterator[str]:
    if cells["has_survived"] not in SURVIVED:
        yield f"has_survived must be 0 or 1, not {cells['has_survived']!r}"
    for name, allowed in (("passenger_class", "123"), ("sex", ("male", "female")), ("embarked", "CQS")):
        if cells[name] not in (None, *allowed):
            yield f"{name} must be one of {', '.join(allowed)}, not {cells[name]!r}"
    for name in ("age", "sibsp", "parch", "fare"):
        if (cell := cells[name]) is not None and not _is_number(cell):
            yield f"{name} must be a number of at least 0, not {cell!r}"


def _is_number(cell: str) -> bool:
    try:
        return 0 <= float(cell) < math.inf
    except ValueError:
        return False


def _number(cell: str | None) -> float | None:
    if cell is None:
        return None
    value = float(cell)
    return int(value) if value == int(value) else value


def _record(cells: dict[str, str | None]) -> Record:
    return {
        "has_survived": SURVIVED[str(cells["has_survived"])],
        "passenger_class": _number(cells["passenger_class"]),
        "is_male": None if cells["sex"] is None else cells["sex"] == "male",
        "age": _number(cells["age"]),
        "sibsp": _number(cells["sibsp"]),
        "parch": _number(cells["parch"]),
        "fare": _number(cells["fare"]),
        "embarked": cells["embarked"],
    }


def _whole(data: list[Record]) -> Iterator[Example]:
    return (Example(json_text(**record)) for record in data)


def _survival(data: list[Record]) -> Iterator[Example]:
    for record in data:
        others = {name: value for name, value in record.items() if name != "has_survived"}
        yield Example(str(record["has_survived"]), json_text(**others))


SOURCE = Source(
    CARD,
    load,
    (
        pool_task(
            "titanic_all_variables",
            _whole,
            kind="text",
            split="train",
            about="a passenger's record",
            descriptions=(
                "Passengers of the Titanic, one JSON object each.",
                "Records of people who travelled on the Titanic: whether they survived, class, whether male, age, siblings and "
                "spouses aboard, parents and children aboard, fare, port of embarkation (C, Q or S). "
                "What is not known is left out.",
                "A passenger of the ship that sank in 1912, as JSON.",
            ),
            n_outputs=Around(64),
            n_episodes=None,
        ),
        pool_task(
            "titanic_survival_prediction",
            _survival,
            kind="knowledge",
            split="train",
            about="whether a passenger survived",
            descriptions=(
                "Did this passenger of the Titanic survive: yes or no?",
                "The input is what is known of somebody who was aboard when the Titanic sank, the output whether they lived, "
                "yes or no.",
                "Survival on the Titanic, from class, sex, age, family aboard, fare and port.",
            ),
            options=("no", "yes"),
            n_outputs=Around(64),
            n_episodes=None,
        ),
    ),
)
