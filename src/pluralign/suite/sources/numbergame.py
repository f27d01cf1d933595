"""The number game: some numbers are shown, and people say whether another number may belong to them.

Left out: rows in which the person, the numbers, the target or the rating is missing. *Departures:* numbers are JSON lists; the
shares of a pair of numbers and target are counted from the ratings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pluralign.episodes import Example
from pluralign.suite.card import Card, Source, Url
from pluralign.suite.evaluation import Target, TargetTask
from pluralign.suite.reading import read_csv, unusable
from pluralign.suite.rows import grouped, pool_task
from pluralign.suite.task import Around, Strand, Task, json_text

__all__ = ["FILE", "SOURCE", "Judgement", "load"]

FILE = "numbergame_data.csv"
OPTIONS = ("Yes", "No")
LEAST = 9
"""People who judged a pair of the evaluation, at least."""
_RATINGS = {"0": "No", "0.0": "No", "1": "Yes", "1.0": "Yes"}
CARD = Card(
    name="numbergame",
    what="Yes-or-no answers of 606 people, shown one of 255 sets of numbers: might another number belong to it.",
    citation="Bigelow & Piantadosi 2016, A Large Dataset of Generalization Patterns in the Number Game "
    "(doi 10.5334/jopd.19; data: doi 10.7910/DVN/A8ZWLF)",
    licence="CC0 1.0",
    access=Url("https://dataverse.harvard.edu/api/access/datafile/2696204?format=original", (FILE,)),
    ran_on_real_file=False,
    units=606,
    chance={"numbergame_individual": 0.5},
    problems=("age, gender, education and language of the people are in the file and not used, as in the published suite",),
)


class Judgement(NamedTuple):
    """What one person said of one number."""

    person: str
    numbers: tuple[int, ...]
    target: int
    answer: str


def load(folder: Path | None) -> list[Judgement]:
    """All judgements; raises DataError with the rows that hold anything but whole numbers and ratings 0 and 1."""
    judgements, faults = [], []
    table = read_csv(CARD, folder, FILE, ("id", "set", "target", "rating"))
    for row, cells in enumerate(table.iter_rows(), 1):
        if None in cells:
            continue
        person, shown, target, rating = cells
        numbers = [_whole(part) for part in shown.split("_")]
        wanted = _whole(target)
        if None in numbers or wanted is None or rating not in _RATINGS:
            faults.append(
                f"row {row}: numbers joined by _, a number, and 0 or 1 are needed, not {shown!r}, {target!r}, {rating!r}"
            )
            continue
        judgements.append(Judgement(person, tuple(n for n in numbers if n is not None), wanted, _RATINGS[rating]))
    if faults or not judgements:
        raise unusable(CARD, folder, FILE, faults or "it holds no judgement")
    return judgements


def _whole(text: str) -> int | None:
    return int(float(text)) if re.fullmatch(r"[0-9]+(\.0)?", text := text.strip()) else None


def _input(numbers: Sequence[int], target: int) -> str:
    return json_text(given_numbers=numbers, target_number=target)


def _people(judgements: list[Judgement], seed: int) -> Iterator[Strand]:
    for person, of in grouped(judgements, key=lambda one: one.person).items():
        yield Strand(
            unit=person,
            examples=[Example(one.answer, _input(one.numbers, one.target)) for one in of],
            descriptions=(
                "Some numbers were made by an unknown rule. Might the same rule make the target number too? "
                "One person's answers, Yes or No.",
            ),
            options=OPTIONS,
        )


def _pairs(judgements: list[Judgement]) -> dict[tuple[tuple[int, ...], int], list[Judgement]]:
    return grouped(judgements, key=lambda one: (one.numbers, one.target))


def _percentages(judgements: list[Judgement]) -> Iterator[Example]:
    for (numbers, target), of in _pairs(judgements).items():
        n_yes = sum(one.answer == "Yes" for one in of)
        percent = (200 * n_yes + len(of)) // (2 * len(of))  # rounded half up
        yield Example(f"{percent}%", _input(numbers, target))


def _targets(judgements: list[Judgement], seed: int) -> Iterator[Target]:
    for (numbers, target), of in _pairs(judgements).items():
        if len(of) < LEAST:
            continue
        n_yes = sum(one.answer == "Yes" for one in of)
        shown = ", ".join(str(number) for number in numbers)
        yield Target(
            input=f"Numbers: {shown}\nTarget: {target}",
            options=OPTIONS,
            shares=(n_yes / len(of), (len(of) - n_yes) / len(of)),
            n=len(of),
            description="Someone in a study sees numbers that a hidden rule gave out, and is asked about one more: might "
            "the same rule give it? The answer is Yes or No.",
            unit=shown,
        )


SOURCE = Source(
    CARD,
    load,
    (
        Task(
            name="numbergame_individual",
            kind="individual",
            split="test",
            strands=_people,
            about="whether a person takes a number to belong to others",
        ),
        pool_task(
            "numbergame_perc",
            _percentages,
            kind="population",
            split="test",
            about="the percentage of people who take a number to belong to others",
            descriptions=(
                "The percentage of people who find that a target number goes with the given numbers.",
                "People saw some numbers from an unknown rule and said whether a target number might come from the same rule. "
                "The output is how many of them said yes, as a whole percentage such as 40%.",
            ),
            n_outputs=Around(128),
            n_episodes=None,
        ),
    ),
    (
        TargetTask(
            name="numbergame",
            about="whether a person takes a number to belong to others",
            rows=_targets,
            label="Yes/No",
        ),
    ),
)
