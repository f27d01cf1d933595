"""Examination questions of 57 subjects with four choices each: the letter of the right one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pluralign.episodes import Example
from pluralign.suite.card import Card, Hub, Source
from pluralign.suite.questions import checked_rows, choice_faults, index_faults, text_faults
from pluralign.suite.rows import lettered, letters, pool_task

__all__ = ["FILE", "SOURCE", "load"]

FILE = "all/test-00000-of-00001.parquet"
LETTERS = letters(4)
N_EPISODES = 1000
N_OUTPUTS = 20
CARD = Card(
    name="mmlu",
    what="Multiple-choice questions of 57 subjects, from school to professional examinations; the test part.",
    citation="Hendrycks et al. 2021, Measuring Massive Multitask Language Understanding (arXiv 2009.03300)",
    licence="MIT",
    access=Hub("cais/mmlu", (FILE,), revision="c30699e8356da336a370243923dbaf21066bb9fe"),
    ran_on_real_file=False,
    rows=14_042,
    unit="table",
    chance={"mmlu": 0.25},
)


def load(folder: Path | None) -> list[dict[str, Any]]:
    """Rows with `question`, `choices`, `answer`; raises DataError for other than four choices and answers 0 to 3."""
    return checked_rows(CARD, folder, FILE, ("question", "choices", "answer"), _faults)


def _faults(row: dict[str, Any]) -> list[str]:
    return text_faults(row, ["question"]) + choice_faults(row["choices"], 4) + index_faults(row, "answer", 4)


def _examples(rows: list[dict[str, Any]]) -> Iterator[Example]:
    for row in rows:
        yield Example(LETTERS[row["answer"]], lettered(row["question"], row["choices"]))


SOURCE = Source(
    CARD,
    load,
    (
        pool_task(
            CARD.name,
            _examples,
            kind="knowledge",
            split="test",
            about="the letter of the right choice",
            descriptions=("Examination questions with four choices. The output is the letter of the right choice.",),
            options=LETTERS,
            n_outputs=N_OUTPUTS,
            n_episodes=N_EPISODES,
        ),
    ),
)
