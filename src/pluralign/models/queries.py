"""How an episode of a file becomes questions: what of it is known, and which output is asked for."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal, get_args

from pluralign.episodes import Episode
from pluralign.errors import UsageError, nearest_name
from pluralign.models.layouts import bears_loss
from pluralign.models.protocol import Query

__all__ = ["AskedAt", "AskedQuery", "queries_of", "scored_examples"]

AskedAt = Literal["last", "all", "next"]
"""The last output, given all before it; every scored output in turn; the output that would come next."""


@dataclass(frozen=True, slots=True)
class AskedQuery:
    """A query that came of an episode."""

    example_index: int
    """Which example is asked for; it is also the number k of examples that are known."""
    query: Query
    true_output: str | None
    """What the episode says there; None for what comes next."""


def queries_of(episode: Episode, *, at: AskedAt) -> list[AskedQuery]:
    """The questions, in the order of the examples; none where no output is scored.

    The same outputs are asked for as are scored in a sequence: without a description not the first, before which nothing is
    said. The input of the example that is asked for becomes the next input.

    >>> from pluralign.episodes import Example
    >>> coin = Episode("coin", (Example("heads"), Example("tails"), Example("heads")), options=("heads", "tails"))
    >>> [(asked.example_index, asked.true_output) for asked in queries_of(coin, at="all")]
    [(1, 'tails'), (2, 'heads')]
    >>> [len(asked.query.episode.examples) for at in ("last", "next") for asked in queries_of(coin, at=at)]
    [2, 3]
    """
    if at not in get_args(AskedAt):
        raise UsageError(f"at {nearest_name(at, get_args(AskedAt))}")
    if at == "next":
        return [AskedQuery(len(episode.examples), Query(episode), None)]
    scored = scored_examples(episode)
    return [_asked(episode, k) for k in (scored if at == "all" else scored[-1:])]


def scored_examples(episode: Episode) -> list[int]:
    """Indices of the examples whose outputs are scored."""
    return [k for k in range(len(episode.examples)) if bears_loss(episode, k)]


def _asked(episode: Episode, k: int) -> AskedQuery:
    example = episode.examples[k]
    known = dataclasses.replace(episode, examples=episode.examples[:k])
    return AskedQuery(k, Query(known, example.input), example.output)
