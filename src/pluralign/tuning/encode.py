"""Episodes of files as sequences of tokens, ready to be packed: ids, what carries loss, which example; cut at whole examples.

    episode   | description | example 0 | example 1 | example 2 | example 3 |
    window    |<------------------ max_tokens ------------->|
    sequence  | description | example 0 | example 1 | example 2 |

Everything is streamed: a file is read some thousand episodes at a time, and of an episode no more is tokenised than might fit.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pluralign.episodes import EpisodeColumns, read_columns
from pluralign.errors import UsageError
from pluralign.models import FlatEncoded, Template

__all__ = ["Cut", "cut_to", "encode_files"]

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cut:
    """Sequences that fit, and what did not."""

    sequences: FlatEncoded
    """Of every episode one, empty where not even its first example fits."""
    n_examples: int
    """Examples of the episodes, fitting or not."""
    n_kept: int
    """Those that fit."""
    n_empty: int
    """Episodes of which nothing fits, or that have no example."""


def encode_files(
    files: Iterable[str | os.PathLike[str]], template: Template, *, max_tokens: int | None = None
) -> Iterator[Cut]:
    """The episodes of these parquet files in order, some thousand at a time, each cut to `max_tokens`.

    Raises UsageError for a window of less than one token, DataError for a file that cannot be read.
    """
    for file in files:
        for columns in read_columns(file):
            shown = columns if max_tokens is None else _first_examples(columns, max_tokens // max(1, template.least_tokens))
            cut = cut_to(template.encode_flat(shown), max_tokens)
            yield Cut(cut.sequences, len(columns.outputs), cut.n_kept, cut.n_empty)


def cut_to(encoded: FlatEncoded, max_tokens: int | None) -> Cut:
    """Each episode without the examples that end behind its first `max_tokens` tokens (None: all of them)."""
    if max_tokens is not None and max_tokens < 1:
        raise UsageError(f"max_tokens is {max_tokens}, lowest is 1.")
    sizes = np.diff(encoded.starts)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    ends = _example_ends(encoded, owner)
    offsets = ends + 1 - encoded.starts[owner[ends]]
    fits = offsets <= (np.inf if max_tokens is None else max_tokens)
    kept = np.zeros(len(sizes), dtype=np.int64)
    np.maximum.at(kept, owner[ends[fits]], offsets[fits])
    stays = np.arange(len(owner)) - encoded.starts[owner] < kept[owner]
    sequences = FlatEncoded(
        ids=encoded.ids[stays],
        is_loss=encoded.is_loss[stays],
        example_index=encoded.example_index[stays],
        starts=np.concatenate([[0], kept.cumsum()]),
    )
    return Cut(sequences, len(ends), int(fits.sum()), int((kept == 0).sum()))


def _example_ends(encoded: FlatEncoded, owner: IntArray) -> IntArray:
    """The last token of each example [examples]."""
    changes = np.flatnonzero((np.diff(encoded.example_index) != 0) | (np.diff(owner) != 0))
    last = np.append(changes, len(owner) - 1) if len(owner) else changes
    return last[encoded.example_index[last] >= 0]


def _first_examples(columns: EpisodeColumns, most: int) -> EpisodeColumns:
    """At most so many of each episode."""
    owner = np.repeat(np.arange(len(columns)), columns.n_examples)
    number = np.arange(len(owner)) - (columns.n_examples.cumsum() - columns.n_examples)[owner]
    stays = np.flatnonzero(number < most).tolist()
    return EpisodeColumns(
        descriptions=columns.descriptions,
        n_examples=np.minimum(columns.n_examples, most),
        outputs=[columns.outputs[i] for i in stays],
        inputs=[columns.inputs[i] for i in stays],
    )
