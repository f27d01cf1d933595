"""Questions about a passage that take counting, sorting or arithmetic: the answer.

The answer is the first span that the file gives, as in the published suite; numbers and dates are stored as spans too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pluralign.episodes import Example
from pluralign.suite.card import Card, Hub, Source
from pluralign.suite.questions import checked_rows, text_faults
from pluralign.suite.rows import pool_task

__all__ = ["FILE", "SOURCE", "load"]

FILE = "data/validation-00000-of-00001.parquet"
TEXTS = ("passage", "question")
N_OUTPUTS = 10
CARD = Card(
    name="drop",
    what="Questions about paragraphs of Wikipedia whose answers have to be counted, sorted or computed; the validation part.",
    citation="Dua et al. 2019, DROP: A Reading Comprehension Benchmark Requiring Discrete Reasoning Over Paragraphs "
    "(arXiv 1903.00161)",
    licence="a Creative Commons licence with attribution",
    access=Hub("ucinlp/drop", (FILE,), revision="95cda593fae71b60b5b19f82de3fcf3298c1239c"),
    ran_on_real_file=False,
    rows=9535,
    unit="table",
    problems=(
        "where several spans together are the answer, or several people answered, only the first span is taken",
        "many questions share a passage, so that one episode may hold it more than once",
    ),
)


def load(folder: Path | None) -> list[dict[str, Any]]:
    """Rows with `passage`, `question`, `answers_spans` (`spans`); raises DataError for a question without an answer."""
    return checked_rows(CARD, folder, FILE, (*TEXTS, "answers_spans"), _faults)


def _faults(row: dict[str, Any]) -> list[str]:
    faults, answers = text_faults(row, TEXTS), row["answers_spans"]
    if not isinstance(answers, dict) or not isinstance(answers.get("spans"), list):
        return [*faults, "answers_spans must have the list spans"]
    return faults if _answer(row) else [*faults, "there is no answer in answers_spans"]


def _answer(row: dict[str, Any]) -> str | None:
    return next((span for span in row["answers_spans"]["spans"] if isinstance(span, str) and span.strip()), None)


def _examples(rows: list[dict[str, Any]]) -> Iterator[Example]:
    for row in rows:
        yield Example(_answer(row) or "", f"Passage: {row['passage']}\nQuestion: {row['question']}")


SOURCE = Source(
    CARD,
    load,
    (
        pool_task(
            CARD.name,
            _examples,
            kind="knowledge",
            split="test",
            about="the answer to a question about a passage",
            descriptions=(
                "Questions about a passage. The output is the answer alone, in as few words as it takes: "
                "a number, a date, or words of the passage or the question.",
            ),
            n_outputs=N_OUTPUTS,
            n_episodes=None,
        ),
    ),
)
