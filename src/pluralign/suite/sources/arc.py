"""Science questions of school tests with labelled choices: the label of the right one.

Labels are as stored: letters for most questions, digits for some, three to five of them. The options of an episode are all
labels that may occur; which of them a question has stands in its input.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pluralign.episodes import Example
from pluralign.suite.card import Card, Hub, Source
from pluralign.suite.questions import checked_rows, choice_faults, text_faults
from pluralign.suite.rows import pool_task

__all__ = ["FILE", "SOURCE", "load"]

FILE = "ARC-Challenge/test-00000-of-00001.parquet"
LABELS = ("A", "B", "C", "D", "E", "1", "2", "3", "4", "5")
N_OUTPUTS = 10
CARD = Card(
    name="arc",
    what="Science questions of school tests that simple methods get wrong (ARC-Challenge); the test part.",
    citation="Clark et al. 2018, Think you have Solved Question Answering? Try ARC (arXiv 1803.05457)",
    licence="CC BY-SA 4.0",
    access=Hub("allenai/ai2_arc", (FILE,), revision="210d026faf9955653af8916fad021475a3f00453"),
    ran_on_real_file=False,
    rows=1172,
    unit="table",
    problems=("questions have three to five choices, so that guessing has no one chance of being right",),
)


def load(folder: Path | None) -> list[dict[str, Any]]:
    """Rows with `question`, `choices` (`text` and `label`), `answerKey`; raises DataError for a key that is no label."""
    return checked_rows(CARD, folder, FILE, ("question", "choices", "answerKey"), _faults)


def _faults(row: dict[str, Any]) -> list[str]:
    faults, choices = text_faults(row, ["question"]), row["choices"]
    if not isinstance(choices, dict) or not {"text", "label"} <= choices.keys() or not isinstance(choices["label"], list):
        return [*faults, "choices must have the lists text and label"]
    labels = choices["label"]
    faults += choice_faults(choices["text"], len(labels))
    if len(labels) < 2 or len(set(labels)) < len(labels) or not set(labels) <= set(LABELS):
        faults.append(f"labels must be different ones of {' '.join(LABELS)}, not {labels!r:.40}")
    return (
        faults
        if row["answerKey"] in labels
        else [*faults, f"answerKey must be one of its labels, not {row['answerKey']!r:.40}"]
    )


def _examples(rows: list[dict[str, Any]]) -> Iterator[Example]:
    for row in rows:
        labelled = zip(row["choices"]["label"], row["choices"]["text"], strict=True)
        lines = [f"{label}: {text}" for label, text in labelled]
        yield Example(row["answerKey"], "\n".join([row["question"], *lines]))


SOURCE = Source(
    CARD,
    load,
    (
        pool_task(
            CARD.name,
            _examples,
            kind="knowledge",
            split="test",
            about="the label of the right choice",
            descriptions=(
                "Science questions of a school test. The output is the label of the right choice.",
                "Each input is a question about nature or technology with labelled choices, of which one is right. "
                "Only its label is given, a letter or a digit.",
            ),
            options=LABELS,
            n_outputs=N_OUTPUTS,
            n_episodes=None,
        ),
    ),
)
