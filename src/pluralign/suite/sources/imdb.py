"""Film reviews, each of which is for or against the film.

Departure: a flag of the published suite could swap the two labels; here they always mean what they say.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pluralign.episodes import Example
from pluralign.suite.card import Card, Hub, Source
from pluralign.suite.questions import checked_rows, index_faults, text_faults
from pluralign.suite.rows import pool_task
from pluralign.suite.task import Around

__all__ = ["FILE", "SOURCE", "load"]

FILE = "plain_text/train-00000-of-00001.parquet"
LABELS = ("negative", "positive")
N_EPISODES = 200
CARD = Card(
    name="imdb",
    what="Reviews from the Internet Movie Database, half of them favourable.",
    citation="Maas et al. 2011, Learning Word Vectors for Sentiment Analysis",
    licence="unstated",
    access=Hub("stanfordnlp/imdb", (FILE,), revision="e6281661ce1c48d982bc483cf8a173c1bbeb5d31"),
    ran_on_real_file=False,
    rows=25_000,
    unit="table",
    chance={"imdb": 0.5},
    problems=("reviews keep their line breaks as <br />",),
)


def load(folder: Path | None) -> list[dict[str, Any]]:
    """Rows with `text` and `label`; raises DataError for blank reviews and for labels other than 0 and 1."""
    return checked_rows(CARD, folder, FILE, ("text", "label"), _faults)


def _faults(row: dict[str, Any]) -> list[str]:
    return text_faults(row, ["text"]) + index_faults(row, "label", len(LABELS))


def _examples(rows: list[dict[str, Any]]) -> Iterator[Example]:
    for row in rows:
        yield Example(LABELS[row["label"]], row["text"])


SOURCE = Source(
    CARD,
    load,
    (
        pool_task(
            CARD.name,
            _examples,
            kind="knowledge",
            split="train",
            about="whether a film review is negative or positive",
            descriptions=("Is a film review favourable or not? The answer is positive or negative.",),
            options=LABELS,
            n_outputs=Around(128),
            n_episodes=N_EPISODES,
        ),
    ),
)
