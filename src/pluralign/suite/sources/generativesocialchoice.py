"""Two surveys of Generative Social Choice, on abortion and on chatbots that adapt to their user: ratings with reasons, answers.

A question's list of choices, Python's in one file, is JSON in both. Free answers without text are left out; there is one.
Departure: the published descriptions list the columns and no more; one of ours says too that one person answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pluralign.episodes import Example
from pluralign.suite.card import Card, Repository, Source
from pluralign.suite.reading import read_csv, unusable
from pluralign.suite.rows import grouped, python_literal
from pluralign.suite.task import Strand, Task, json_text

__all__ = ["SOURCE", "load"]

SURVEYS = ("abortion", "chatbot_personalization")
FILES = tuple(f"{survey}_survey.csv" for survey in SURVEYS)
COLUMNS = ("user_id", "question_type", "question_text", "json_choices", "choice", "text")
TYPES = (CHOICE, TEXT, READING) = ("multiple choice + text", "text", "reading")
CARD = Card(
    name="generativesocialchoice",
    what="Two surveys of 200 people in the United States each, who answer freely and rate statements, giving reasons.",
    citation="Fish et al. 2023, Generative Social Choice (arXiv 2309.01291)",
    licence="unstated",
    access=Repository(
        "https://github.com/generative-social-choice/survey_data",
        "3129df3d0f83a598bd5c59c25419b463078d763f",
        FILES,
        {file: f"data/{file}" for file in FILES},
    ),
    ran_on_real_file=True,
    rows=5800,
    units=400,
    problems=("questions of the survey on abortion hold the HTML of their page",),
    folder="gsc_survey",
)

Row = dict[str, Any]


def load(folder: Path | None) -> dict[str, list[Row]]:
    """Survey to its rows; `json_choices` is a list."""
    return {survey: _rows(folder, file) for survey, file in zip(SURVEYS, FILES, strict=True)}


def _rows(folder: Path | None, file: str) -> list[Row]:
    rows = read_csv(CARD, folder, file, COLUMNS).to_dicts()
    for row in rows:
        row["json_choices"] = _choices(row["json_choices"])
    faults = [f"row {n}: {fault}" for n, row in enumerate(rows, 1) for fault in _faults(row)]
    if faults:
        raise unusable(CARD, folder, file, faults)
    return rows


def _choices(text: str | None) -> list[str] | None:
    """The list that the text is, in JSON or as Python prints it."""
    value = python_literal(text)
    return value if isinstance(value, list) and value and all(isinstance(choice, str) for choice in value) else None


def _faults(row: Row) -> Iterator[str]:
    if row["question_type"] not in TYPES:
        yield f"question_type must be one of {', '.join(TYPES)}, not {row['question_type']!r}"
    if row["question_type"] in (CHOICE, TEXT):
        yield from (f"{name} is missing" for name in ("user_id", "question_text") if not row[name])
    if row["question_type"] == CHOICE:
        if row["json_choices"] is None:
            yield "json_choices must be a list of texts"
        elif row["choice"] not in row["json_choices"]:
            yield f"choice must be one of json_choices, not {row['choice']!r}"


def _rating(row: Row) -> Example:
    asked = json_text(question_text=row["question_text"], json_choices=row["json_choices"])
    return Example(json_text(choice=row["choice"], response_text=row["text"]), asked)


def _answer(row: Row) -> Example:
    return Example(row["text"], row["question_text"])


def _is_rating(row: Row) -> bool:
    return bool(row["question_type"] == CHOICE)


def _is_answer(row: Row) -> bool:
    return row["question_type"] == TEXT and bool(row["text"] and row["text"].strip())


def _task(name: str, is_wanted: Callable[[Row], bool], made: Callable[[Row], Example], given: str, asked: str) -> Task:
    def strands(data: dict[str, list[Row]], seed: int) -> Iterator[Strand]:
        for survey, rows in data.items():
            for user, answers in grouped(filter(is_wanted, rows), key=lambda row: row["user_id"]).items():
                yield Strand(
                    unit=f"{survey}/{user}",
                    examples=[made(row) for row in answers],
                    descriptions=(
                        f"Given {given}: {asked}.",
                        f"Rows of a table. Columns of the input: {given}. Columns of the output: {asked}.",
                        f"One person answers a survey. Input: {given}. Output: {asked}.",
                    ),
                )

    return Task(name=name, kind="individual", split="train", strands=strands, about=f"{asked} of one person")


SOURCE = Source(
    CARD,
    load,
    (
        _task(
            "generativesocialchoice_validation",
            _is_rating,
            _rating,
            "question_text and json_choices",
            "choice and response_text",
        ),
        _task("generativesocialchoice_freetext", _is_answer, _answer, "question_text", "response_text"),
    ),
)
