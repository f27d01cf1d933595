"""Word problems of school arithmetic with worked answers: four tasks of one table.

Departure: a problem with its answer is a JSON object. Answers are as stored, with the calculator's notes in double angle
brackets and the result behind ####.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pluralign.episodes import Example
from pluralign.suite.card import Card, Hub, Source
from pluralign.suite.questions import checked_rows, text_faults
from pluralign.suite.rows import pool_task
from pluralign.suite.task import Around, Kind, Task, json_text

__all__ = ["FILE", "SOURCE", "load"]

FILE = "main/train-00000-of-00001.parquet"
FIELDS = ("question", "answer")
N_EPISODES = 50
CARD = Card(
    name="gsm8k",
    what="Word problems of school arithmetic, each with an answer worked out in steps.",
    citation="Cobbe et al. 2021, Training Verifiers to Solve Math Word Problems (arXiv 2110.14168)",
    licence="MIT",
    access=Hub("openai/gsm8k", (FILE,), revision="740312add88f781978c0658806c59bc2815b9866"),
    ran_on_real_file=False,
    rows=7473,
    unit="table",
    problems=("the BARE tasks on arithmetic imitate this data set",),
)


def load(folder: Path | None) -> list[dict[str, Any]]:
    """Rows with `question` and `answer`; raises DataError where one of them is blank."""
    return checked_rows(CARD, folder, FILE, FIELDS, lambda row: text_faults(row, FIELDS))


def _task(
    name: str,
    example: Callable[[dict[str, Any]], Example],
    *,
    about: str,
    descriptions: Sequence[str],
    kind: Kind = "text",
) -> Task:
    def examples(rows: list[dict[str, Any]]) -> Iterable[Example]:
        return map(example, rows)

    return pool_task(
        name,
        examples,
        kind=kind,
        split="train",
        about=about,
        descriptions=descriptions,
        n_outputs=Around(64),
        n_episodes=N_EPISODES,
    )


TASKS = (
    _task(
        "gsm8k_question",
        lambda row: Example(row["question"]),
        about="a word problem of school arithmetic",
        descriptions=(
            "Word problems of school arithmetic.",
            "Problems in arithmetic as a school book might set them, each told as a short story that ends in a question.",
            "Write a word problem that takes a few steps of plain arithmetic to solve.",
        ),
    ),
    _task(
        "gsm8k_question_answer",
        lambda row: Example(json_text(question=row["question"], answer=row["answer"])),
        about="a word problem of school arithmetic and its worked answer",
        descriptions=(
            "Word problems of school arithmetic with their worked answers, as JSON.",
            "Write a word problem that takes a few steps of plain arithmetic, and solve it. "
            "Give a JSON object with a question and an answer; the answer shows its steps and ends in the result.",
            "JSON objects with two fields: question, a problem in arithmetic told as a short story, and answer, "
            "the way to its result step by step.",
        ),
    ),
    _task(
        "gsm8k_question_from_answer",
        lambda row: Example(row["question"], row["answer"]),
        about="the word problem that a worked answer solves",
        descriptions=(
            "Given a worked answer, the word problem that it solves.",
            "The input is the solution of a problem in school arithmetic, step by step. The output is the problem itself.",
            "Which question was asked? Write the word problem to which the given steps are the answer.",
        ),
    ),
    _task(
        "gsm8k_answer_from_question",
        lambda row: Example(row["answer"], row["question"]),
        kind="knowledge",
        about="the worked answer to a word problem of school arithmetic",
        descriptions=(
            "Word problems of school arithmetic, and their answers step by step.",
            "Solve the problem. Show each step and put the result on the last line.",
            "The input is a problem in arithmetic told as a story. The output works it out in steps and ends in the result.",
        ),
    ),
)
SOURCE = Source(CARD, load, TASKS)
