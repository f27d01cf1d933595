"""Situations, and the values, rights and duties that may bear on them: four tasks.

Departures: lists are JSON; what comes without a situation is each text once, however often it is in the file; the values whose
situations are asked for are chosen by chance.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pluralign.episodes import Example
from pluralign.suite.card import Card, Hub, Source
from pluralign.suite.reading import read_csv, unusable
from pluralign.suite.rows import grouped, pool_task
from pluralign.suite.sampler import chosen_units
from pluralign.suite.task import Around, Strand, Task

__all__ = ["COLUMNS", "FILE", "SOURCE", "load"]

FILE = "full/full.csv"
COLUMNS = ("situation", "vrd", "text", "explanation", "valence")
TYPES = {"Value": "value", "Right": "right", "Duty": "duty"}
VALENCES = ("Supports", "Opposes", "Either")
MOST_VALUES = 400
FEWEST_SITUATIONS = 10
"""Rows of a value, for its situations to be asked for."""
Row = dict[str, str | None]

CARD = Card(
    name="valueprism",
    what="218,000 values, rights and duties that a language model found to bear on 31,000 situations which people wrote.",
    citation="Sorensen et al. 2023, Value Kaleidoscope (arXiv 2309.00779)",
    licence="AI2 ImpACT License, Medium Risk Artifacts",
    access=Hub("allenai/ValuePrism", (FILE,), revision=None, gated=True),
    ran_on_real_file=False,
    unit="list: situations, a type, a value",
    problems=(
        "its commit could not be looked up; the branch main is fetched, and a build records what it got",
        "values, rights, duties and explanations were written by a language model",
        "not for all audiences",
    ),
)


def load(folder: Path | None) -> list[Row]:
    """All rows; raises DataError for an unknown type or valence, and for a row without a situation or a text."""
    rows = list(read_csv(CARD, folder, FILE, COLUMNS).iter_rows(named=True))
    if faults := [f"row {n}: {fault}" for n, row in enumerate(rows, 1) for fault in _faults(row)] or (
        not rows and ["it holds no row"]
    ):
        raise unusable(CARD, folder, FILE, faults)
    return rows


def _faults(row: Row) -> Iterator[str]:
    for name in ("situation", "text"):
        if not (row[name] or "").strip():
            yield f"{name} is missing"
    if row["vrd"] not in TYPES:
        yield f"vrd must be one of {', '.join(TYPES)}, not {row['vrd']!r}"
    if row["valence"] not in VALENCES:
        yield f"valence must be one of {', '.join(VALENCES)}, not {row['valence']!r}"


def _situations(rows: list[Row]) -> Iterator[Example]:
    return (Example(text) for text in dict.fromkeys(str(row["situation"]) for row in rows))


def _considerations(rows: list[Row]) -> Iterator[Example]:
    for situation, of_situation in grouped(rows, key=lambda row: str(row["situation"])).items():
        listed = [
            {name: row[name] for name in ("text", "vrd", "explanation", "valence") if row[name] is not None}
            for row in of_situation
        ]
        yield Example(json.dumps(listed, ensure_ascii=False), situation)


def _type_strands(data: list[Row], seed: int) -> Iterator[Strand]:
    for kind, texts in grouped(data, key=lambda row: str(row["vrd"])).items():
        yield Strand(
            unit=kind,
            examples=[Example(text) for text in dict.fromkeys(str(row["text"]) for row in texts)],
            descriptions=(f"A {TYPES[kind]} that somebody may have to weigh in a moral question, named in a few words.",),
            n_outputs=Around(256),
            n_episodes=None,
        )


def _value_strands(data: list[Row], seed: int) -> Iterator[Strand]:
    rows = [row for row in data if row["vrd"] == "Value"]
    values = {
        value: of_value for value, of_value in grouped(rows, key=lambda row: str(row["text"])).items() if _is_common(of_value)
    }
    for value, of_value in chosen_units(seed, "valueprism_misc", values, MOST_VALUES).items():
        yield Strand(
            unit=value,
            examples=list(_situations(of_value)),
            descriptions=(f"A situation in which this value matters: {value.strip()}",),
            n_outputs=Around(32),
        )


def _is_common(rows: list[Row]) -> bool:
    return len(rows) >= FEWEST_SITUATIONS


SOURCE = Source(
    CARD,
    load,
    (
        pool_task(
            "valueprism_situation",
            _situations,
            kind="text",
            split="train",
            about="a situation to reason about morally",
            descriptions=(
                "Situations for moral reasoning.",
                "Things that somebody might do or face, put in a phrase, of which one can ask whether they are right or wrong.",
            ),
            n_outputs=Around(256),
            n_episodes=None,
        ),
        pool_task(
            "valueprism_vrd",
            _considerations,
            kind="text",
            split="train",
            about="the values, rights and duties that bear on a situation",
            descriptions=(
                "For a situation, the values, rights and duties that bear on it: a JSON list of objects. Each has a text that "
                "names it, vrd (Value, Right or Duty), usually an explanation of how it bears on the situation, and a valence: "
                "Supports or Opposes what is done, or Either.",
            ),
            n_outputs=Around(32),
            n_episodes=None,
            max_total=500,
        ),
        Task(
            name="valueprism_vrds_noncontextual",
            kind="text",
            split="train",
            strands=_type_strands,
            about="a value, a right or a duty",
        ),
        Task(
            name="valueprism_misc",
            kind="text",
            split="train",
            strands=_value_strands,
            about="a situation in which a value matters",
        ),
    ),
)
