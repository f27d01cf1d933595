"""Sentences with a blank that one of two names or things fills: its letter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pluralign.episodes import Example
from pluralign.suite.card import Card, Hub, Source
from pluralign.suite.questions import checked_rows, text_faults
from pluralign.suite.rows import lettered, letters, pool_task

__all__ = ["FILE", "SOURCE", "load"]

FILE = "winogrande_xl/validation-00000-of-00001.parquet"
TEXTS = ("sentence", "option1", "option2")
LETTERS = letters(2)
ANSWERS = ("1", "2")
BLANK = "_____"
"""Stands where the file has a single underscore, which is easily overlooked."""
N_OUTPUTS = 10
CARD = Card(
    name="winogrande",
    what="Sentences with a blank and two candidates for it, which takes common sense to fill; the validation part of size xl.",
    citation="Sakaguchi et al. 2019, WinoGrande: An Adversarial Winograd Schema Challenge at Scale (arXiv 1907.10641)",
    licence="CC BY",
    access=Hub("allenai/winogrande", (FILE,), revision="01e74176c63542e6b0bcb004dcdea22d94fb67b5"),
    ran_on_real_file=False,
    rows=1267,
    unit="table",
    chance={"winogrande": 0.5},
)


def load(folder: Path | None) -> list[dict[str, Any]]:
    """Rows with `sentence`, `option1`, `option2`, `answer`; raises DataError for sentences without a blank or an answer."""
    return checked_rows(CARD, folder, FILE, (*TEXTS, "answer"), _faults)


def _faults(row: dict[str, Any]) -> list[str]:
    faults = text_faults(row, TEXTS)
    if not faults and "_" not in row["sentence"]:
        faults.append("the sentence has no blank, which is an underscore")
    return faults if row["answer"] in ANSWERS else [*faults, f"answer must be 1 or 2, as text, not {row['answer']!r:.40}"]


def _examples(rows: list[dict[str, Any]]) -> Iterator[Example]:
    for row in rows:
        asked = lettered(re.sub("_+", BLANK, row["sentence"]), [row["option1"], row["option2"]])
        yield Example(LETTERS[ANSWERS.index(row["answer"])], asked)


SOURCE = Source(
    CARD,
    load,
    (
        pool_task(
            CARD.name,
            _examples,
            kind="knowledge",
            split="test",
            about="the letter of what fills the blank",
            descriptions=(
                "What belongs in the blank? The output is A or B.",
                "Each input is a sentence in which a name or a thing is left out, with two candidates below it. "
                "Only one of them makes sense there; the output is its letter.",
            ),
            options=LETTERS,
            n_outputs=N_OUTPUTS,
            n_episodes=None,
        ),
    ),
)
