"""Everyday events, and what may be inferred from them: two tasks, both for testing.

Departures: the file is the hub's own conversion to parquet, whose path does not depend on how the data set was uploaded; an
inference that a premise has twice comes once; descriptions speak of the JSON lists that the outputs are.
Left out: rows in which the premise or the hypothesis is without text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pluralign.episodes import Example
from pluralign.suite.attributes import is_text
from pluralign.suite.card import Card, Hub, Source
from pluralign.suite.reading import read_parquet, unusable
from pluralign.suite.rows import pool_task
from pluralign.suite.task import Around

__all__ = ["COLUMNS", "FILE", "SOURCE", "load"]

FILE = "default/train/0000.parquet"
COLUMNS = ("premise", "hypothesis")

CARD = Card(
    name="novacomet",
    what="Events with inferences that a language model drew from them.",
    citation="West et al. 2023, NovaCOMET: Open Commonsense Foundation Models with Symbolic Knowledge Distillation",
    licence="unstated",
    access=Hub("tsor13/novacomet", (FILE,), revision="refs/convert/parquet"),
    ran_on_real_file=False,
    unit="list",
    problems=(
        "its commit could not be looked up; the branch of the hub's own conversion is fetched, and a build records what it got",
        "only the first file of the conversion is read; there are more if the data are very large",
    ),
)


def load(folder: Path | None) -> dict[str, list[str]]:
    """Premise to its different hypotheses; raises DataError for columns that are no text."""
    import polars as pl

    table = read_parquet(CARD, folder, FILE, COLUMNS)
    if faults := [f"{name} must be text, not {table.schema[name]}" for name in COLUMNS if table.schema[name] != pl.String]:
        raise unusable(CARD, folder, FILE, faults)
    found: dict[str, dict[str, None]] = {}
    for premise, hypothesis in table.iter_rows():
        if is_text(premise) and is_text(hypothesis):
            found.setdefault(premise, {})[hypothesis] = None
    if not found:
        raise unusable(CARD, folder, FILE, "it holds no row with a premise and a hypothesis")
    return {premise: list(hypotheses) for premise, hypotheses in found.items()}


def _inferences(data: dict[str, list[str]]) -> Iterator[Example]:
    return (Example(json.dumps(listed, ensure_ascii=False), premise) for premise, listed in data.items())


SOURCE = Source(
    CARD,
    load,
    (
        pool_task(
            "novacomet_hypothesis",
            _inferences,
            kind="text",
            split="test",
            about="a list of what may be inferred from an event",
            descriptions=(
                "What may be inferred from an everyday event: a JSON list of short statements.",
                "Common sense about the event that is given, as a JSON list: what may have led to it, what may follow, "
                "or what else is likely to be so.",
            ),
            n_outputs=Around(32),
            n_episodes=None,
        ),
        pool_task(
            "novacomet_premise",
            lambda data: map(Example, data),
            kind="text",
            split="test",
            about="an everyday event",
            descriptions=(
                "Events.",
                "Everyday events, in a phrase or a sentence each.",
                "An event or a state of affairs from which common sense can infer more.",
                "Things that happen, or are the case, in daily life.",
                "Premises for inferences of common sense.",
            ),
            n_outputs=Around(64),
            n_episodes=None,
        ),
    ),
)
