"""Fifteen surveys of the American Trends Panel, two tasks: one person's answers, and the questions themselves.

A survey is a folder with info.csv (questions with their options), metadata.csv (what people were sorted by) and responses.csv
(a row a person). Left out: questions that a person was not asked; answers under a key that info.csv has for several questions,
since they do not tell which of them was asked (IDIMPORT_W43 is such a key in lists that were made of these files). What a
person told about themselves is known where it is one of the values that metadata.csv lists; refusals are not. A person's id
follows from the answers, so that the order of the file has no say in who is chosen and what is drawn.

Departures: lists that are written as Python's are taken apart as such, never evaluated. Properties are one JSON object, with
plain names; each is left out with probability .3, once for a person.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pluralign.episodes import Example
from pluralign.streams import stream
from pluralign.suite.card import Card, Manual, Source
from pluralign.suite.reading import files_there, read_csv, unusable
from pluralign.suite.rows import lettered, letters, python_literal
from pluralign.suite.sampler import chosen_units
from pluralign.suite.task import Strand, Task, json_text

if TYPE_CHECKING:
    import polars as pl

__all__ = ["SOURCE", "WAVES", "Question", "load", "questions"]

INDIVIDUAL = "opinionqa_individual"
QUESTIONS = "opinionqa_questions"
WAVES = (26, 27, 29, 32, 34, 36, 41, 42, 43, 45, 49, 50, 54, 82, 92)
N_PEOPLE = 200
"""Of each survey."""
P_LEFT_OUT = 0.3
PROPERTIES = {
    "CREGION": "region",
    "AGE": "age",
    "SEX": "sex",
    "EDUCATION": "education",
    "CITIZEN": "US citizen",
    "MARITAL": "marital status",
    "RELIG": "religion",
    "RELIGATTEND": "religious attendance",
    "POLPARTY": "party",
    "INCOME": "income",
    "POLIDEOLOGY": "political views",
    "RACE": "race",
}
"""Column of the responses to what it is called in descriptions."""
Row = dict[str, str | None]


def _file(wave: int, name: str) -> str:
    return f"human_resp/American_Trends_Panel_W{wave}/{name}.csv"


CARD = Card(
    name="opinionqa",
    what="1,498 multiple-choice questions of 15 surveys in the United States, with each respondent's answers and demographics.",
    citation="Santurkar et al. 2023, Whose Opinions Do Language Models Reflect? (arXiv 2303.17548)",
    licence="Pew Research Center's terms of use",
    access=Manual(
        tuple(_file(wave, name) for wave in WAVES for name in ("info", "metadata", "responses")),
        "the bundle human_resp of https://worksheets.codalab.org/worksheets/0x6fb693719477478aac73fc07db333f69",
    ),
    ran_on_real_file=False,
    units=N_PEOPLE * len(WAVES),
    unit="respondent",
    problems=(
        "Refused is an option, as in the surveys; some answers are refusals",
        "long options are cut off in the data",
        "the columns of responses.csv were taken from the authors' code, not from the file",
    ),
    each_alone=True,
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its lettered options, and the letter of each option."""

    text: str
    letter: dict[str, str]


def load(folder: Path | None) -> Path | None:
    """The folder itself: each task reads the surveys that are there."""
    return folder


def questions(folder: Path | None, wave: int) -> dict[str, Question]:
    """Key, which is a column of the responses, to its question; without keys of several questions."""
    listed = _listed(folder, wave)
    times = Counter(key for key, _ in {(key, question.text) for key, question in listed})
    return {key: question for key, question in listed if times[key] == 1}


def _listed(folder: Path | None, wave: int) -> list[tuple[str, Question]]:
    """Key and question of every row; raises DataError with the rows at fault."""
    file = _file(wave, "info")
    rows = read_csv(CARD, folder, file, ("key", "question", "references")).rows()
    faults = [f"row {n}: key and question are needed" for n, (key, text, _) in enumerate(rows, 1) if not (key and text)]
    options = [_texts(listed) for *_, listed in rows]
    faults += [
        f"row {n}: references must be a list of 2 to 26 different texts, not {rows[n - 1][2]!r:.60}"
        for n, texts in enumerate(options, 1)
        if not 2 <= len(set(texts)) == len(texts) <= 26
    ]
    if faults or not rows:
        raise unusable(CARD, folder, file, faults or "it holds no question")
    return [
        (key, Question(lettered(text, texts), dict(zip(texts, letters(len(texts)), strict=True))))
        for (key, text, _), texts in zip(rows, options, strict=True)
    ]


def _texts(listed: str | None) -> list[str]:
    """The texts of a list that is written as Python's; none where it is no such list."""
    found = python_literal(listed)
    return found if isinstance(found, list) and all(isinstance(text, str) and text.strip() for text in found) else []


def _values(folder: Path | None, wave: int) -> dict[str, list[str]]:
    """Property to the values that count as known."""
    file = _file(wave, "metadata")
    listed = {key: _texts(options) for key, options in read_csv(CARD, folder, file, ("key", "options")).rows()}
    if faults := [f"a row for {key} with a list of texts in 'options' is needed" for key in PROPERTIES if not listed.get(key)]:
        raise unusable(CARD, folder, file, faults)
    return {key: listed[key] for key in PROPERTIES}


def _responses(folder: Path | None, wave: int, asked: dict[str, Question], values: dict[str, list[str]]) -> pl.DataFrame:
    """A row a person; raises DataError for answers that are no option, and for properties none of whose values is known."""
    file = _file(wave, "responses")
    table = read_csv(CARD, folder, file, [*asked, *values])
    faults = [
        f"row {row + 1}: {key}: {answer!r} is none of its options"
        for key, question in asked.items()
        for row, answer in enumerate(table[key])
        if answer is not None and answer not in question.letter
    ]
    for key, known in values.items():
        given = table[key].drop_nulls()
        if len(given) and not given.is_in(known).any():
            faults.append(f"column {key}: no value is one of {', '.join(known)}, as {_file(wave, 'metadata')} has them")
    if faults:
        raise unusable(CARD, folder, file, faults)
    return table


def _people(folder: Path | None, seed: int) -> Iterator[Strand]:
    responses = {_file(wave, "responses"): wave for wave in WAVES}
    for file in files_there(CARD, folder, list(responses)):
        wave = responses[file]
        asked, values = questions(folder, wave), _values(folder, wave)
        table = _responses(folder, wave, asked, values)
        people = {unit: row for unit, row in _named(wave, table.rows(named=True)) if any(row[key] is not None for key in asked)}
        for unit, person in chosen_units(seed, INDIVIDUAL, people, N_PEOPLE).items():
            known = {
                ours: told for key, ours in PROPERTIES.items() if (told := person[key]) is not None and told in values[key]
            }
            answers = [(question, given) for key, question in asked.items() if (given := person[key]) is not None]
            yield _person(unit, answers, known, seed)


def _named(wave: int, rows: Iterable[Row]) -> Iterator[tuple[str, Row]]:
    """Each row with an id that follows from what it holds; of rows that hold the same the later ones are numbered."""
    times: Counter[str] = Counter()
    for row in rows:
        code = hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:12]
        times[code] += 1
        yield f"W{wave}/{code}" + (f"/{times[code]}" if times[code] > 1 else ""), row


def _person(unit: str, answers: list[tuple[Question, str]], known: dict[str, str], seed: int) -> Strand:
    kept = stream(seed, INDIVIDUAL, unit, "properties").random(len(known)) >= P_LEFT_OUT
    told = {name: value for (name, value), keep in zip(known.items(), kept, strict=True) if keep}
    plain = "One person's answers to an opinion survey in the United States: the letter of the option that was chosen."
    about = "Somebody in the American Trends Panel answers multiple-choice questions with a letter. About them:"
    return Strand(
        unit=unit,
        examples=[Example(question.letter[answer], question.text) for question, answer in answers],
        descriptions=(plain, f"{about} {json_text(**told)}") if told else (plain,),
        options=letters(max(len(question.letter) for question, _ in answers)),
        attributes=known,
    )


def _surveys(folder: Path | None, seed: int) -> Iterator[Strand]:
    infos = {_file(wave, "info"): wave for wave in WAVES}
    for file in files_there(CARD, folder, list(infos)):
        yield Strand(
            unit=f"W{infos[file]}",
            examples=[Example(text) for text in dict.fromkeys(question.text for _, question in _listed(folder, infos[file]))],
            descriptions=(
                "Multiple-choice questions of one opinion survey in the United States, each with its lettered options.",
            ),
        )


SOURCE = Source(
    CARD,
    load,
    (
        Task(
            name=INDIVIDUAL,
            kind="individual",
            split="train",
            strands=_people,
            about="the letter of the option that one person chose",
        ),
        Task(
            name=QUESTIONS,
            kind="text",
            split="train",
            strands=_surveys,
            about="a survey question with its options",
            files=tuple(_file(wave, "info") for wave in WAVES),
        ),
    ),
)
