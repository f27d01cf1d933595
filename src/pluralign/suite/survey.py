"""What the sequences of a task hold, before any is written: how many outputs and tokens, in which order they are taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pluralign.episodes import Episode, EpisodeColumns, columns_of
from pluralign.streams import stream
from pluralign.suite.mixture import By, Stock
from pluralign.suite.shards import Shard, episodes_of

__all__ = ["Measure", "SurveyShard", "episodes_below", "numbered", "stock_of"]

IntArray = npt.NDArray[np.int64]
_BATCH = 256
"""Episodes that are measured at once."""


class Measure(Protocol):
    """What a tokenizer makes of episodes; other processes must be able to import it (`tuning.TokenMeasure`)."""

    def __call__(self, columns: EpisodeColumns) -> tuple[IntArray, IntArray]:
        """Tokens of each episode, and those that carry loss [episodes]."""
        ...

    def key(self) -> dict[str, Any]:
        """What a count depends on, as JSON values."""
        ...


@dataclass(frozen=True, slots=True)
class SurveyShard:
    """The work of surveying a shard: `order`, `outputs`, and `loss_tokens` if there is a measure; each a list [sequences]."""

    measure: Measure | None

    def __call__(self, shard: Shard) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {"order": [], "outputs": []}
        losses: list[float] = []
        for batch in _batches(numbered(episodes_of(shard), shard)):
            found["order"] += [order for order, _ in batch]
            columns = columns_of([episode for _, episode in batch])
            found["outputs"] += columns.n_examples.tolist()
            if self.measure is not None:
                losses += self.measure(columns)[1].tolist()
        return found | ({"loss_tokens": losses} if self.measure is not None else {})


def stock_of(surveys: Iterable[dict[str, list[float]]], by: By) -> Stock:
    """The task's sequences, from the surveys of its shards."""
    several = list(surveys)
    order = np.array([number for one in several for number in one["order"]], dtype=np.float64)
    if by == "sequences":
        return Stock(order, np.ones(len(order), dtype=np.int64))
    return Stock(order, np.array([size for one in several for size in one[by]], dtype=np.int64))


def episodes_below(shard: Shard, below: float | None) -> Iterator[Episode]:
    """The shard's episodes whose place in the order is at most this; None for all."""
    if below is None:
        return episodes_of(shard)
    return (episode for order, episode in numbered(episodes_of(shard), shard) if order <= below)


def numbered(episodes: Iterable[Episode], shard: Shard) -> Iterator[tuple[float, Episode]]:
    """Each episode with its place in the order: a random number keyed by task, unit and its number within the unit."""
    seen: Counter[str | None] = Counter()
    for episode in episodes:
        number = seen[episode.unit]
        seen[episode.unit] += 1
        yield stream(shard.seed, shard.task, episode.unit or "", number, "mixture").random(), episode


def _batches(rows: Iterable[tuple[float, Episode]]) -> Iterator[Sequence[tuple[float, Episode]]]:
    batch: list[tuple[float, Episode]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
