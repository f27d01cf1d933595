"""Questions that people often answer wrongly, with four choices: the letter of the true one; choices in the stored order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pluralign.episodes import Example
from pluralign.suite.card import Card, Hub, Source
from pluralign.suite.questions import checked_rows, choice_faults, index_faults, text_faults
from pluralign.suite.rows import lettered, letters, pool_task

__all__ = ["FILE", "SOURCE", "load"]

FILE = "multiple_choice/validation/0000.parquet"
LETTERS = letters(4)
N_OUTPUTS = 10
CARD = Card(
    name="truthful_qa",
    what="Questions with a false answer that many people believe; four choices, of which one is true.",
    citation="Lin et al. 2021, TruthfulQA: Measuring How Models Mimic Human Falsehoods (arXiv 2109.07958)",
    licence="Apache 2.0",
    access=Hub("EleutherAI/truthful_qa_mc", (FILE,), revision="refs/convert/parquet"),
    ran_on_real_file=False,
    unit="table",
    chance={"truthful_qa": 0.25},
    problems=(
        "its main branch holds a script and no data; the file is of the branch refs/convert/parquet, which the hub makes of it "
        "and whose commit was seen only in short, as b6468d0",
    ),
)


def load(folder: Path | None) -> list[dict[str, Any]]:
    """Rows with `question`, `choices`, `label`; raises DataError for other than four choices and labels 0 to 3."""
    return checked_rows(CARD, folder, FILE, ("question", "choices", "label"), _faults)


def _faults(row: dict[str, Any]) -> list[str]:
    return text_faults(row, ["question"]) + choice_faults(row["choices"], 4) + index_faults(row, "label", 4)


def _examples(rows: list[dict[str, Any]]) -> Iterator[Example]:
    for row in rows:
        yield Example(LETTERS[row["label"]], lettered(row["question"], row["choices"]))


SOURCE = Source(
    CARD,
    load,
    (
        pool_task(
            CARD.name,
            _examples,
            kind="knowledge",
            split="test",
            about="the letter of the true choice",
            descriptions=(
                "Questions that are often answered wrongly, out of habit or hearsay, with four choices. "
                "The output is the letter of the choice that is true.",
            ),
            options=LETTERS,
            n_outputs=N_OUTPUTS,
            n_episodes=None,
        ),
    ),
)
