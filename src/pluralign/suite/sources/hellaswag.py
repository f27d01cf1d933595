"""Beginnings of descriptions of everyday activities with four endings each: the letter of the true one.

Texts are as stored; those from WikiHow hold marks such as [header], [title] and [step].
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pluralign.episodes import Example
from pluralign.suite.card import Card, Hub, Source
from pluralign.suite.questions import checked_rows, choice_faults, text_faults
from pluralign.suite.rows import lettered, letters, pool_task

__all__ = ["FILE", "SOURCE", "load"]

FILE = "data/validation-00000-of-00001.parquet"
LETTERS = letters(4)
LABELS = ("0", "1", "2", "3")
N_OUTPUTS = 20
CARD = Card(
    name="hellaswag",
    what="Beginnings of captions and how-to texts with one true and three machine-made endings; the validation part.",
    citation="Zellers et al. 2019, HellaSwag: Can a Machine Really Finish Your Sentence? (arXiv 1905.07830)",
    licence="MIT",
    access=Hub("Rowan/hellaswag", (FILE,), revision="218ec52e09a7e7462a5400043bb9a69a41d06b76"),
    ran_on_real_file=False,
    rows=10_042,
    unit="table",
    chance={"hellaswag": 0.25},
)


def load(folder: Path | None) -> list[dict[str, Any]]:
    """Rows with `activity_label`, `ctx`, `endings`, `label`; raises DataError for labels other than the texts 0 to 3."""
    return checked_rows(CARD, folder, FILE, ("activity_label", "ctx", "endings", "label"), _faults)


def _faults(row: dict[str, Any]) -> list[str]:
    faults = text_faults(row, ["activity_label", "ctx"]) + choice_faults(row["endings"], 4)
    return (
        faults if row["label"] in LABELS else [*faults, f"label must be one of {', '.join(LABELS)}, not {row['label']!r:.40}"]
    )


def _examples(rows: list[dict[str, Any]]) -> Iterator[Example]:
    for row in rows:
        beginning = f"Activity: {row['activity_label']}\nBeginning: {row['ctx']}"
        yield Example(LETTERS[LABELS.index(row["label"])], lettered(beginning, row["endings"]))


SOURCE = Source(
    CARD,
    load,
    (
        pool_task(
            CARD.name,
            _examples,
            kind="knowledge",
            split="test",
            about="the letter of the ending that goes on sensibly",
            descriptions=(
                "How does it go on? The output is the letter of the ending that fits best.",
                "Each input names an activity, gives the beginning of a text about it and four ways to go on, "
                "of which one makes sense. The output is its letter.",
            ),
            options=LETTERS,
            n_outputs=N_OUTPUTS,
            n_episodes=None,
        ),
    ),
)
