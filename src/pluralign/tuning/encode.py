"""Episodes of files as sequences of tokens, ready to be packed: ids, what carries loss, which example; cut at whole examples.

    episode   | description | example 0 | example 1 | example 2 | example 3 |
    window    |<------------------ max_tokens ------------->|
    sequence  | description | example 0 | example 1 | example 2 |

Everything is streamed: a file is read some thousand episodes at a time, and of an episode no more is tokenised than might fit.
"""

from __future__ import annotations

import collections
import concurrent.futures
import functools
import itertools
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.episodes import EpisodeColumns, read_columns
from pluralign.errors import UsageError
from pluralign.models import FlatEncoded, Template, open_template, open_tokenizer

__all__ = ["Cut", "TokenMeasure", "cut_to", "encode_files"]

IntArray = npt.NDArray[np.int64]
_FIRST_CHARACTERS = 1.9
"""For each token of the window, to begin with: as dense as numbers are. What then is missing is reckoned from these."""
_FRAME_CHARACTERS = 1.5
"""For each token that an example has beside its texts, which so counts as if it were text."""


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
    files: Iterable[str | os.PathLike[str]],
    template: Template,
    *,
    max_tokens: int | None = None,
    n_threads: int = 2,
    skip: int = 0,
) -> Iterator[Cut]:
    """The episodes of these parquet files in order, some thousand at a time, each cut to `max_tokens`.

    Tokenising, reading and what numpy does in one thread go on beside what Python does in another; how many there are changes
    nothing that comes. `skip`: of each file what would come first is left out. Raises UsageError for a window of less than one
    token, DataError for a file that cannot be read.
    """
    if max_tokens is not None and max_tokens < 1:
        raise UsageError(f"max_tokens is {max_tokens}, lowest is 1.")
    most = None if max_tokens is None else max_tokens // max(1, template.least_tokens) + 1
    own = threading.local()

    def cut(columns: EpisodeColumns) -> Cut:
        if not hasattr(own, "template"):
            own.template = template.twin()
        return _cut_columns(columns, own.template, max_tokens)

    batches = (columns for file in files for columns in read_columns(file, most=most, skip=skip))
    with concurrent.futures.ThreadPoolExecutor(n_threads) as pool:
        waiting = collections.deque(pool.submit(cut, columns) for columns in itertools.islice(batches, n_threads + 1))
        while waiting:
            done = waiting.popleft().result()
            waiting.extend(pool.submit(cut, columns) for columns in itertools.islice(batches, 1))
            yield done


@dataclass(frozen=True, slots=True)
class TokenMeasure:
    """Counts tokens as a template would write them; opened in each process that counts."""

    tokenizer: str
    """A folder or hub id."""
    template: str = "spectrum"
    max_tokens: int | None = None
    """Of a sequence; what does not fit is not counted."""

    def __call__(self, columns: EpisodeColumns) -> tuple[IntArray, IntArray]:
        """Tokens of each episode, and those that carry loss [episodes]."""
        sequences = _cut_columns(columns, _opened(self.tokenizer, self.template), self.max_tokens).sequences
        losses = np.concatenate([[0], sequences.is_loss.cumsum()])[sequences.starts]
        return np.diff(sequences.starts), np.diff(losses)

    def key(self) -> dict[str, Any]:
        """What the counts depend on; the tokenizer by its content, wherever it lies."""
        return _opened(self.tokenizer, self.template).key() | {"max_tokens": self.max_tokens}


@functools.lru_cache(maxsize=2)
def _opened(tokenizer: str, template: str) -> Template:
    return open_template(template, open_tokenizer(tokenizer))


def _cut_columns(columns: EpisodeColumns, template: Template, max_tokens: int | None) -> Cut:
    """Tokenises of each episode as many characters as will probably fill the window, and more where they do not."""
    n_all = len(columns.outputs) + columns.n_left_out
    if max_tokens is None:
        return cut_to(template.encode_flat(columns), None)
    n_characters = np.full(len(columns), _FIRST_CHARACTERS * max_tokens, dtype=np.float64)
    frame = int(_FRAME_CHARACTERS * template.least_tokens)
    while True:
        shown, n_shown = _first_characters(columns, n_characters, frame)
        encoded = template.encode_flat(shown)
        cut = cut_to(encoded, max_tokens)
        wants_more = _is_full(cut.sequences, shown.n_examples) & (shown.n_examples < columns.n_examples)
        if not wants_more.any():
            return Cut(cut.sequences, n_all, cut.n_kept, cut.n_empty)
        # by the characters a token has had so far, and at least as many again as it may take to see one more example
        wanted = 1.2 * max_tokens * (n_shown + 1) / np.maximum(np.diff(encoded.starts), 1)
        n_characters[wants_more] = np.maximum(wanted, 1.5 * n_shown + 64)[wants_more]


def _is_full(sequences: FlatEncoded, n_examples: IntArray) -> npt.NDArray[np.bool_]:
    """Of each episode, whether all its examples are in the sequence [episodes]."""
    n_kept = np.zeros(len(n_examples), dtype=np.int64)
    filled = np.diff(sequences.starts) > 0
    n_kept[filled] = sequences.example_index[sequences.starts[1:][filled] - 1] + 1
    return np.equal(n_kept, n_examples)


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


def _first_characters(
    columns: EpisodeColumns, n_characters: npt.NDArray[np.float64], frame: int
) -> tuple[EpisodeColumns, IntArray]:
    """Of each episode the examples that begin within its first so many characters [episodes], and how many those have.

    What frames an example counts for `frame` characters.
    """
    owner = np.repeat(np.arange(len(columns)), columns.n_examples)
    sizes = np.fromiter(map(len, columns.outputs), dtype=np.int64, count=len(owner)) + frame
    if columns.inputs.count(None) < len(columns.inputs):
        sizes += np.fromiter((0 if text is None else len(text) for text in columns.inputs), dtype=np.int64, count=len(owner))
    before = sizes.cumsum() - sizes
    first = (columns.n_examples.cumsum() - columns.n_examples)[owner]
    stays = before - before[first] < n_characters[owner]
    if stays.all():
        return columns, np.bincount(owner, weights=sizes, minlength=len(columns)).astype(np.int64)
    chosen = np.flatnonzero(stays).tolist()
    shown = EpisodeColumns(
        descriptions=columns.descriptions,
        n_examples=np.bincount(owner[stays], minlength=len(columns)),
        outputs=[columns.outputs[i] for i in chosen],
        inputs=[columns.inputs[i] for i in chosen],
    )
    return shown, np.bincount(owner[stays], weights=sizes[stays], minlength=len(columns)).astype(np.int64)
