"""Sequences as batches of rows for a causal model, packed or padded; what carries loss is named by the token before it.

    packed, two rows           input_ids            position_ids        segment_ids
    a, c share row 0           a a a c c            0 1 2 0 1           0 0 0  1  1
    b is row 1                 b b b b ·            0 1 2 3 0           2 2 2  2 -1

The third token of a carries loss: it is predicted from the second, which is place 1 of the rows laid end to end. That is all a
loss needs to know: `hidden.reshape(-1, width)[before]` predicts `target_ids`, in packed and in padded rows alike. The first
token of a sequence has nothing before it, so it is no target, whatever precedes it in its row.

Files are read as a stream: some thousand sequences are arranged at a time, rows go out shuffled, and sequences in a row that
is not full wait for the next thousands, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.errors import UsageError
from pluralign.models import FlatEncoded
from pluralign.tuning.packing import IntArray, Rows, bucket, pack, stretches

__all__ = ["Batch", "lay_out", "packed_batches", "padded_batches"]

BoolArray = npt.NDArray[np.bool_]
_Arrange = Callable[[IntArray], tuple[Rows, BoolArray]]

WINDOW = 4096
"""Sequences that are arranged together."""
FULL = 0.98
"""A row with this share of its tokens filled need not wait."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Rows [rows, tokens] and what is to be predicted in them [targets]; a segment is a sequence in its row."""

    input_ids: IntArray
    position_ids: IntArray
    """From 0 in each segment; 0 for padding."""
    segment_ids: npt.NDArray[np.int32]
    """Ascending through the batch; -1 for padding."""
    sequences: IntArray
    """The number of each segment's sequence [segments]."""
    before: IntArray
    """Place of the token before each target, in the rows laid end to end."""
    target_ids: IntArray
    target_segment: npt.NDArray[np.int32]
    target_example: npt.NDArray[np.int32]
    """The example that the target belongs to; -1 before the first."""

    @property
    def n_tokens(self) -> int:
        """Without padding."""
        return int(np.count_nonzero(self.segment_ids >= 0))

    @property
    def is_packed(self) -> bool:
        """Whether some row holds more than one sequence."""
        return len(self.sequences) > len(self.input_ids)


def lay_out(
    encoded: FlatEncoded, rows: Rows, *, numbers: IntArray | None = None, pad_id: int = 0, width_step: int = 1
) -> Batch:
    """Each group of sequences as one row, as wide as the fullest, rounded up to a multiple of `width_step`.

    `numbers` [sequences of `encoded`] is what `Batch.sequences` calls them; not given, they are counted from 0.
    """
    places, starts = stretches(encoded.starts, rows.members)
    sizes, row_of = np.diff(starts), np.repeat(np.arange(len(rows)), np.diff(rows.starts))
    row_starts = starts[rows.starts]
    shape = len(rows), -(-int(np.diff(row_starts).max(initial=0)) // width_step) * width_step
    within = np.arange(len(places)) - np.repeat(starts[:-1], sizes)
    segment = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    place = np.arange(len(places)) + (row_of * shape[1] - row_starts[row_of])[segment]
    ids, example = encoded.ids[places].astype(np.int64), encoded.example_index[places]
    is_target = encoded.is_loss[places] & (within > 0)
    return Batch(
        input_ids=_filled(shape, pad_id, place, ids),
        position_ids=_filled(shape, 0, place, within),
        segment_ids=_filled(shape, -1, place, segment).astype(np.int32),
        sequences=rows.members if numbers is None else numbers[rows.members],
        before=place[is_target] - 1,
        target_ids=ids[is_target],
        target_segment=segment[is_target],
        target_example=example[is_target],
    )


def packed_batches(
    encoded: Iterable[FlatEncoded], row_tokens: int, *, n_rows: int = 1, window: int = WINDOW, pad_id: int = 0, seed: int
) -> Iterator[Batch]:
    """Batches of `n_rows` packed rows of at most `row_tokens` tokens; the last one may have fewer. Empty sequences are in none.

    The seed decides the order of rows, not which sequences share one. Raises as `pack` does, and for a window of nothing.
    """

    def arrange(lengths: IntArray) -> tuple[Rows, BoolArray]:
        rows = pack(lengths, row_tokens)
        return rows, rows.totals(lengths) >= FULL * row_tokens

    for pool, rows in _streamed(encoded, arrange, n_rows, window, seed):
        yield lay_out(pool.encoded, rows, numbers=pool.numbers, pad_id=pad_id)


def padded_batches(
    encoded: Iterable[FlatEncoded], batch_tokens: int, *, window: int = WINDOW, pad_id: int = 0, seed: int
) -> Iterator[Batch]:
    """Batches of at most `batch_tokens` tokens with padding, a row for each sequence, like lengths together.

    Lengths within a batch are alike, which lengths come when is up to the seed. Raises as `packed_batches` does.
    """

    def arrange(lengths: IntArray) -> tuple[Rows, BoolArray]:
        groups = bucket(lengths, batch_tokens)
        return groups, np.arange(len(groups)) < len(groups) - 1

    for pool, groups in _streamed(encoded, arrange, 1, window, seed):
        alone = Rows(groups.members, np.arange(len(groups.members) + 1))
        yield lay_out(pool.encoded, alone, numbers=pool.numbers, pad_id=pad_id)


@dataclass(frozen=True, slots=True, eq=False)
class _Pool:
    """Sequences that are arranged together."""

    encoded: FlatEncoded
    numbers: IntArray
    """In the stream [sequences]."""
    n_waited: int
    """The first so many have waited for the others."""

    def followed_by(self, several: FlatEncoded, first: int) -> _Pool:
        """With sequences numbered from `first` behind its own, which now have waited."""
        numbers = np.concatenate([self.numbers, np.arange(first, first + len(several))])
        return _Pool(_joined([self.encoded, several]), numbers, len(self.numbers))

    def only(self, members: IntArray) -> _Pool:
        """These of its sequences."""
        return _Pool(_taken(self.encoded, members), self.numbers[members], 0)


def _streamed(
    encoded: Iterable[FlatEncoded], arrange: _Arrange, at_once: int, window: int, seed: int
) -> Iterator[tuple[_Pool, Rows]]:
    """Groups that go out together, `at_once` of them, with the pool that they are of."""
    if at_once < 1 or window < 1:
        raise UsageError(f"{at_once} rows of a batch, {window} sequences arranged together: the lowest of each is 1.")
    rng = np.random.default_rng(seed)
    waiting, n_seen = _Pool(_joined([]), np.zeros(0, dtype=np.int64), 0), 0
    for several in _windows(encoded, window):
        pool = waiting.followed_by(several, n_seen)
        n_seen += len(several)
        groups, is_full = arrange(np.diff(pool.encoded.starts))
        leaving = _leaving(groups, is_full, pool.n_waited, at_once, rng)
        yield from _by_batch(pool, groups, leaving, at_once)
        stays = np.ones(len(groups), dtype=np.bool_)
        stays[leaving] = False
        waiting = pool.only(np.sort(groups.take(np.flatnonzero(stays)).members))
    groups, _ = arrange(np.diff(waiting.encoded.starts))
    yield from _by_batch(waiting, groups, rng.permutation(len(groups)), at_once)


def _leaving(groups: Rows, is_full: BoolArray, n_waited: int, at_once: int, rng: np.random.Generator) -> IntArray:
    """Groups that go out, shuffled: full ones and such as have a sequence that has waited, these first if not all can go."""
    has_waited = groups.totals((np.arange(groups.members.max(initial=-1) + 1) < n_waited).astype(np.int64)) > 0
    ready = rng.permutation(np.flatnonzero(is_full | has_waited))
    ready = ready[np.argsort(~has_waited[ready], kind="stable")]
    return rng.permutation(ready[: len(ready) // at_once * at_once])


def _by_batch(pool: _Pool, groups: Rows, order: IntArray, at_once: int) -> Iterator[tuple[_Pool, Rows]]:
    for first in range(0, len(order), at_once):
        yield pool, groups.take(order[first : first + at_once])


def _windows(encoded: Iterable[FlatEncoded], n: int) -> Iterator[FlatEncoded]:
    """The stream n sequences at a time, however it comes; the last time fewer."""
    held: list[FlatEncoded] = []
    n_held = 0
    for part in encoded:
        at = 0
        while at < len(part):
            stop = min(len(part), at + n - n_held)
            held.append(_taken(part, np.arange(at, stop)))
            at, n_held = stop, n_held + stop - at
            if n_held == n:
                yield _joined(held)
                held, n_held = [], 0
    if held:
        yield _joined(held)


def _taken(encoded: FlatEncoded, members: IntArray) -> FlatEncoded:
    places, starts = stretches(encoded.starts, members)
    return FlatEncoded(encoded.ids[places], encoded.is_loss[places], encoded.example_index[places], starts)


def _joined(several: Sequence[FlatEncoded]) -> FlatEncoded:
    none = np.zeros(0, dtype=np.int32)
    return FlatEncoded(
        ids=np.concatenate([none, *(one.ids for one in several)]),
        is_loss=np.concatenate([none.astype(np.bool_), *(one.is_loss for one in several)]),
        example_index=np.concatenate([none, *(one.example_index for one in several)]),
        starts=np.cumsum([0, *(size for one in several for size in np.diff(one.starts).tolist())]),
    )


def _filled(shape: tuple[int, int], padding: int, place: IntArray, values: npt.NDArray[np.integer[Any]]) -> IntArray:
    """Rows [rows, tokens] of padding with these values [places] in their places."""
    rows = np.full(shape[0] * shape[1], padding, dtype=np.int64)
    rows[place] = values
    return rows.reshape(shape)
