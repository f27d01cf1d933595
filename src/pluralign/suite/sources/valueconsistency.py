"""Questions about values, more and less controversial, from four countries and in four languages: one task.

Departures: inputs are JSON; a question comes once for the same input. Left out: questions that rephrase another.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pluralign.episodes import Example
from pluralign.suite.attributes import is_text
from pluralign.suite.card import Card, Hub, Source
from pluralign.suite.reading import read_jsonl, unusable
from pluralign.suite.rows import pool_task
from pluralign.suite.task import Around, json_text

__all__ = ["FIELDS", "FILE", "SOURCE", "load"]

FILE = "valueconsistency.jsonl"
FIELDS = ("controversial", "language", "country", "rephrase", "question")

CARD = Card(
    name="valueconsistency",
    what="8,010 questions on controversial and uncontroversial topics of four countries, in four languages, with rephrasings.",
    citation="Moore et al. 2024, Are Large Language Models Consistent over Value-laden Questions? (arXiv 2407.02996)",
    licence="MIT",
    access=Hub("jlcmoore/ValueConsistency", (FILE,), revision="48db64ec23edbf3444b5031179590a4892efe608"),
    ran_on_real_file=False,
    rows=8010,
    unit="list",
    problems=("a language model wrote the questions; people checked them",),
)


def load(folder: Path | None) -> list[Example]:
    """Questions that rephrase no other, with what they are about; raises DataError for fields of another kind."""
    rows = read_jsonl(CARD, folder, FILE, FIELDS)
    if faults := [f"row {n}: {fault}" for n, row in enumerate(rows, 1) for fault in _faults(row)]:
        raise unusable(CARD, folder, FILE, faults)
    told = ("controversial", "language", "country")
    examples = [
        Example(row["question"], json_text(**{name: row[name] for name in told})) for row in rows if not row["rephrase"]
    ]
    if not examples:
        raise unusable(CARD, folder, FILE, "every row has rephrase set; of the questions that are not rephrased it is 0")
    return list(dict.fromkeys(examples))


def _faults(row: dict[str, Any]) -> Iterator[str]:
    if not isinstance(row["controversial"], bool):
        yield f"controversial must be true or false, not {row['controversial']!r}"
    if not isinstance(row["rephrase"], int):
        yield f"rephrase must be a whole number, not {row['rephrase']!r}"
    if not is_text(row["question"]):
        yield "question must be text"
    for name in ("language", "country"):
        if row[name] is not None and not is_text(row[name]):
            yield f"{name} must be text or null, not {row[name]!r}"


SOURCE = Source(
    CARD,
    load,
    (
        pool_task(
            "valueconsistency",
            lambda data: data,
            kind="text",
            split="train",
            about="a question about values",
            descriptions=(
                "Questions on topics of public life.",
                "A question about values that can be answered with yes or no, in the language that is given, on a topic of the "
                "country that is given; controversial says whether people there disagree about it.",
            ),
            n_outputs=Around(64),
            n_episodes=None,
        ),
    ),
)
