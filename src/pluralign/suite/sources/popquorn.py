"""POPQUORN: people who told of themselves rewrote emails, rated offensiveness and politeness, answered questions on passages.

Left out: rows without the text that is asked about or without an answer, and rows of nobody: without a user's id or, for
question answering, whose file has no ids, without a word about the user. There a unit is all who say the same of themselves,
which the descriptions leave open. "Prefer not to disclose" counts as missing, and so does an attribute about which a user's
rows do not agree.

Departures: JSON for several fields; whole ratings as 3, not 3.0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pluralign.episodes import Example
from pluralign.suite.card import Card, Repository, Source
from pluralign.suite.reading import files_there, read_csv, unusable
from pluralign.suite.rows import grouped
from pluralign.suite.sampler import chosen_units
from pluralign.suite.task import Around, Strand, Task, json_text

__all__ = ["SOURCE", "SUBSETS", "Subset", "load"]

TRAITS = ("gender", "race", "age", "occupation", "education")
UNTOLD = "Prefer not to disclose"
RATINGS = ("1", "2", "3", "4", "5")
N_USERS = 100
"""Of a subset, at most."""
LEAST_ROWS = 6

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """One of the four studies."""

    shown: tuple[str, ...]
    """Columns of what a person is shown, all of them needed; the first is the item's text."""
    answers: tuple[str, ...]
    """Columns of what a person gives, one of them needed."""
    more: tuple[str, ...] = ()
    options: tuple[str, ...] | None = None
    has_ids: bool = True
    made: Callable[[Row], Example]
    plain: tuple[str, ...]
    """Descriptions that say nothing of the person."""
    telling: str
    """One that goes on with what is known of the person."""
    task: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.shown, *self.answers, *self.more, *(("user_id",) if self.has_ids else ()), *TRAITS)


def _answered(row: Row) -> Example:
    answer = json_text(groundtruth=row["groundtruth"], answer=row["answer"], difficulty=row["difficulty"])
    return Example(answer, json_text(passage=row["text"], question=row["question"]))


SUBSETS = {
    "email_rewriting": Subset(
        shown=("original email",),
        answers=("revised email",),
        made=lambda row: Example(row["revised email"], row["original email"]),
        plain=(
            "Emails that one person rewrote to make them more polite.",
            "The same person was given one email after the other, to write it again in a more polite way.",
        ),
        telling="Emails that one person rewrote to make them more polite. About this person: ",
        task="to rewrite an email more politely",
    ),
    "offensiveness": Subset(
        shown=("text",),
        answers=("offensiveness",),
        options=RATINGS,
        made=lambda row: Example(row["offensiveness"], row["text"]),
        plain=("How offensive one person finds comments from Reddit, from 1 (not at all) to 5 (very).",),
        telling="Ratings of how offensive a comment is: 1 means not at all, 5 means very. The person who rates them all: ",
        task="to rate how offensive a comment is",
    ),
    "politeness_rating": Subset(
        shown=("text",),
        answers=("politeness",),
        options=RATINGS,
        made=lambda row: Example(row["politeness"], row["text"]),
        plain=("How polite one person finds emails, from 1 (not at all) to 5 (very).",),
        telling="Ratings of how polite an email is: 1 means not at all, 5 means very. The person who rates them all: ",
        task="to rate how polite an email is",
    ),
    "question_answering": Subset(
        shown=("text", "question"),
        answers=("answer", "difficulty"),
        more=("groundtruth",),
        has_ids=False,
        made=_answered,
        plain=(
            "Questions about passages: the right answer, the answer that was given, and how difficult the question seemed.",
        ),
        telling="Questions about passages: the right answer, the answer that was given, its difficulty. "
        "Who answered is one person, or several who say the same of themselves: ",
        task="to answer a question about a passage",
    ),
}
"""By folder of the repository."""
CARD = Card(
    name="popquorn",
    what="Emails rewritten, offensiveness and politeness rated, questions answered by a sample of people in the United States.",
    citation="Pei & Jurgens 2023, When Do Annotator Demographics Matter? (arXiv 2306.06826)",
    licence="unstated",
    access=Repository(
        "https://github.com/Jiaxin-Pei/Potato-Prolific-Dataset",
        "dbb118c29b3d9bcce5aa172d8249ded9ece4df84",
        tuple(f"{name}_raw_data.csv" for name in SUBSETS),
        {f"{name}_raw_data.csv": f"dataset/{name}/raw_data.csv" for name in SUBSETS},
    ),
    ran_on_real_file=True,
    units=1484,
    problems=(
        "of the four files only the one on offensiveness was read for real",
        "question answering has no ids: a unit is all who say the same of themselves",
        "the ages from 55 to 59 are called 54-59",
    ),
    each_alone=True,
)


def load(folder: Path | None) -> dict[str, list[Row]]:
    """Subset to its rows, of the files that are there; ratings are 1 to 5 as text."""
    names = {f"{name}_raw_data.csv": name for name in SUBSETS}
    return {names[file]: _rows(folder, file, SUBSETS[names[file]]) for file in files_there(CARD, folder)}


def _rows(folder: Path | None, file: str, subset: Subset) -> list[Row]:
    rows = read_csv(CARD, folder, file, subset.columns).to_dicts()
    faults = []
    for n, row in enumerate(rows, 1):
        row |= {name: _whole(row[name]) for name in ("user_id", "offensiveness", "politeness", "difficulty") if name in row}
        if subset.options is not None and (rating := row[subset.answers[0]]) not in subset.options:
            faults.append(f"row {n}: {subset.answers[0]} must be 1 to 5, not {rating!r}")
    if faults:
        raise unusable(CARD, folder, file, faults)
    return rows


def _whole(text: str | None) -> str | None:
    """A number that a table of fractions holds, as a whole one; other texts as they are."""
    return text[:-2] if text and text.endswith(".0") and text[:-2].isdecimal() else text


def _is_said(text: str | None) -> bool:
    return bool(text and text.strip())


def _is_usable(row: Row, subset: Subset) -> bool:
    return all(_is_said(row[name]) for name in subset.shown) and any(_is_said(row[name]) for name in subset.answers)


def _user(row: Row, subset: Subset) -> str | None:
    """An id, or all that a row says of its user."""
    if subset.has_ids:
        return str(row["user_id"]) if _is_said(row["user_id"]) else None
    told = {name: row[name] for name in TRAITS if _is_said(row[name])}
    return json_text(**told) if told else None


def _attributes(rows: list[Row]) -> dict[str, str]:
    """What is known of a user."""
    told = {name: {row[name] for row in rows if _is_said(row[name]) and row[name] != UNTOLD} for name in TRAITS}
    return {name: value for name, values in told.items() if len(values) == 1 for value in values}


def _user_strands(data: dict[str, list[Row]], seed: int) -> Iterator[Strand]:
    for name, rows in data.items():
        subset = SUBSETS[name]
        usable = [(user, row) for row in rows if _is_usable(row, subset) and (user := _user(row, subset)) is not None]
        users = {
            f"{name}/{user}": [row for _, row in mine]
            for user, mine in grouped(usable, key=lambda pair: pair[0]).items()
            if len(mine) >= LEAST_ROWS
        }
        for unit, mine in chosen_units(seed, "popquorn_individual", users, N_USERS).items():
            yield _user_strand(unit, mine, subset)


def _user_strand(unit: str, rows: list[Row], subset: Subset) -> Strand:
    about = _attributes(rows)
    told = (subset.telling + json_text(**about),) if about else ()
    return Strand(
        unit=unit,
        examples=[subset.made(row) for row in rows],
        descriptions=(*subset.plain, *told),
        options=subset.options,
        attributes=about,
    )


def _item_strands(data: dict[str, list[Row]], seed: int) -> Iterator[Strand]:
    for name, rows in data.items():
        texts = dict.fromkeys(row[SUBSETS[name].shown[0]] for row in rows)
        yield Strand(
            unit=name,
            examples=[Example(text) for text in texts if _is_said(text)],
            descriptions=(f"Items for the task {name}, which is {SUBSETS[name].task}.",),
            n_outputs=Around(128),
            n_episodes=20,
        )


SOURCE = Source(
    CARD,
    load,
    (
        Task(
            name="popquorn_individual",
            kind="individual",
            split="train",
            strands=_user_strands,
            about="one person's rewriting, rating or answer",
        ),
        Task(
            name="popquorn_og_categorical", kind="text", split="train", strands=_item_strands, about="a text that people judged"
        ),
    ),
)
