"""The World Values Survey, wave 7: one person's answers to its questions, one task of the test split.

Questions are the variables Q1, Q2, ... with at most 17 labelled codes, the negative ones counted, of which two at least are
answers. Codes below 0 (don't know, no answer, not asked, missing) are no answers: their labels are no options, and where one
was given the question is left out. Options stand in the order of falling codes.

Departures: what is known of a respondent is JSON. Q_MODE, which begins like a question, is none. In the published suite the
labels of negative codes may have been options.

Reading needs `pyreadstat` (extra `spss`), which here takes neither pandas nor much memory: it reads the file in pieces.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pluralign.episodes import Example
from pluralign.errors import MissingExtraError
from pluralign.suite.card import Card, Manual, Source
from pluralign.suite.reading import file_error, require_file, unusable
from pluralign.suite.rows import lettered, letters
from pluralign.suite.sampler import chosen_units
from pluralign.suite.task import Strand, Task, json_text

__all__ = ["FILE", "SOURCE", "Question", "Survey", "load"]

NAME = "wvs_individual"
FILE = "WVS_Cross-National_Wave_7_inverted_spss_v6_0.sav"
ID = "D_INTERVIEW"
KNOWN = {"B_COUNTRY": "country", "N_TOWN": "town", "S_INTLANGUAGE": "language"}
NOT_ASKED = ("Q261", "Q262", "Q270", "Q274")
"""Years, ages and numbers of people."""
MOST_LABELS = 17
N_PEOPLE = 2000
ROWS_AT_ONCE = 10_000
CARD = Card(
    name="wvs",
    what="About 97,000 people in 66 countries or territories answer some 290 questions on values, 2017 to 2023.",
    citation="Haerpfer et al. 2022, World Values Survey: Round Seven, Country-Pooled Datafile 6.0 (doi 10.14281/18241.24)",
    licence="free for non-profit use, not to be passed on",
    access=Manual(
        (FILE,),
        "https://www.worldvaluessurvey.org/WVSDocumentationWV7.jsp, there the inverted wave 7 file for SPSS (behind a form)",
    ),
    ran_on_real_file=False,
    units=N_PEOPLE,
    unit="respondent",
    problems=(
        "scales are those of the inverted file, where a higher code is more of what is asked",
        "the file's name was inferred from that of the CSV, its variables from the codebook",
        "variable labels stand for the questions, which were longer when they were asked",
    ),
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its lettered options, and the letter of each code."""

    text: str
    letter: dict[float, str]


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known without the answers: questions, labels of what describes people, the people's ids in the order of rows."""

    folder: Path | None
    questions: dict[str, Question]
    labels: dict[str, Mapping[float, str]]
    ids: tuple[str, ...]


def load(folder: Path | None) -> Survey:
    """Raises DataError for variables that are missing and ids that come twice, MissingExtraError without pyreadstat."""
    columns, meta = _read(folder, metadataonly=True)
    needed = (ID, *KNOWN)
    if missing := [name for name in needed if name not in columns]:
        raise unusable(CARD, folder, FILE, [f"there is no variable {name}" for name in missing])
    labels: dict[str, Mapping[float, str]] = meta.variable_value_labels
    questions = {
        name: _question(meta.column_names_to_labels[name] or name, labels[name])
        for name in columns
        if re.match(r"Q\d", name) and name not in NOT_ASKED and _has_options(labels.get(name, {}))
    }
    if not questions:
        raise unusable(CARD, folder, FILE, "there is no variable Q1, Q2, ... with labelled codes")
    numbers = _read(folder, usecols=[ID])[0][ID]
    if len({*numbers}) < len(numbers) or any(_code(number) is None for number in numbers):
        raise unusable(CARD, folder, FILE, f"{ID} must be another number in each row")
    return Survey(folder, questions, {name: labels.get(name, {}) for name in KNOWN}, tuple(f"{n:.0f}" for n in numbers))


def _read(folder: Path | None, **how: Any) -> tuple[Mapping[str, Sequence[Any]], Any]:
    """Columns as lists (None = missing), and pyreadstat's metadata."""
    path = require_file(CARD, folder, FILE)
    if importlib.util.find_spec("pyreadstat") is None:
        raise MissingExtraError("pyreadstat", extra="spss")
    import pyreadstat

    try:
        columns, meta = pyreadstat.read_sav(path, output_format="dict", **how)
    except (pyreadstat.ReadstatError, OSError, UnicodeDecodeError) as error:
        raise file_error(CARD, folder, FILE, error) from error
    return columns, meta


def _code(value: Any) -> float | None:
    """The code of an answer; None for what is none."""
    return value if isinstance(value, int | float) and value >= 0 else None


def _has_options(labels: Mapping[float, str]) -> bool:
    return len(labels) <= MOST_LABELS and sum(_code(code) is not None for code in labels) >= 2


def _question(text: str, labels: Mapping[float, str]) -> Question:
    codes = sorted((code for code in labels if _code(code) is not None), reverse=True)
    return Question(lettered(text, [labels[code] for code in codes]), dict(zip(codes, letters(len(codes)), strict=True)))


def _strands(data: Survey, seed: int) -> Iterator[Strand]:
    rows = {unit: row for row, unit in enumerate(data.ids)}
    chosen = {row: unit for unit, row in chosen_units(seed, NAME, rows, N_PEOPLE).items()}
    people = dict(_people(data, sorted(chosen)))
    given = {row: _answers(data, person) for row, person in people.items()}
    faults = [
        f"row {row + 1}: {name}: {code:g} has no label"
        for row, answers in given.items()
        for name, code in answers.items()
        if code not in data.questions[name].letter
    ]
    if faults:
        raise unusable(CARD, data.folder, FILE, faults)
    for row, answers in given.items():
        if answers:
            yield _person(data, chosen[row], answers, _known(data, people[row]))


def _people(data: Survey, rows: Sequence[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    """These rows, which rise, with their values by variable."""
    for start in range(0, len(data.ids), ROWS_AT_ONCE):
        here = [row for row in rows if start <= row < start + ROWS_AT_ONCE]
        if here:
            how = {"row_offset": start, "row_limit": ROWS_AT_ONCE, "usecols": [*KNOWN, *data.questions]}
            columns, _ = _read(data.folder, **how)
            yield from ((row, {name: values[row - start] for name, values in columns.items()}) for row in here)


def _answers(data: Survey, person: Mapping[str, Any]) -> dict[str, float]:
    """Variable to the code that was answered."""
    codes = {name: _code(person[name]) for name in data.questions}
    return {name: code for name, code in codes.items() if code is not None}


def _known(data: Survey, person: Mapping[str, Any]) -> dict[str, str]:
    """Country, town and language, where the code is an answer that has a label."""
    labels = {ours: data.labels[name].get(person[name]) for name, ours in KNOWN.items() if _code(person[name]) is not None}
    return {name: label for name, label in labels.items() if label}


def _person(data: Survey, unit: str, answers: Mapping[str, float], known: dict[str, str]) -> Strand:
    asked = [(data.questions[name], code) for name, code in answers.items()]
    terse = "One respondent's answer to each question: the letter of an option."
    about = "The same person answers each question of a survey on values with the letter of an option. About the person:"
    return Strand(
        unit=unit,
        examples=[Example(question.letter[code], question.text) for question, code in asked],
        descriptions=(terse, f"{about} {json_text(**known)}") if known else (terse,),
        options=letters(max(len(question.letter) for question, _ in asked)),
        attributes=known,
    )


SOURCE = Source(
    CARD,
    load,
    (
        Task(
            name=NAME, kind="individual", split="test", strands=_strands, about="the letter of the option that one person chose"
        ),
    ),
)
