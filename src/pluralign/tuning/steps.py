"""Which sequences a step sees, and how they go through the model: decided by the seed and the step, whoever computes it.

    epoch      a permutation of the sequences that carry loss
    step       the next so many of it
    batch      some of the step's sequences, as rows; a step has several, dealt out to the ranks in turn

So a run that was killed goes on with the very batches that it would have had, and one on two processes sees what one on one
sees. Where a rank has a batch less than others it gets one without targets: all ranks have to meet as often.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pluralign.errors import DataError
from pluralign.models import FlatEncoded
from pluralign.tuning.batches import Batch, lay_out
from pluralign.tuning.packing import IntArray, Rows, bucket, pack
from pluralign.tuning.settings import LossOn, TuneSettings
from pluralign.tuning.store import EncodedStore

__all__ = ["BatchMaker", "Schedule", "open_schedule", "share_of_lr", "supervised_on", "target_weights"]


WIDTH_STEP = 64
"""Widths of packed rows are multiples of it: libraries make, and keep, a kernel for each shape that they meet."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Schedule:
    """The order of a run. Made by `open_schedule`."""

    usable: IntArray
    """Numbers of the sequences that carry loss."""
    a_step: int
    n_positions: int
    """Sequences of the whole run, over all epochs."""
    seed: int

    @property
    def n_steps(self) -> int:
        return -(-self.n_positions // self.a_step)

    def numbers(self, step: int) -> IntArray:
        """Numbers of the step's sequences; the last step may have fewer."""
        places = np.arange(step * self.a_step, min(self.n_positions, (step + 1) * self.a_step))
        epoch, within = np.divmod(places, len(self.usable))
        parts = [_permutation(len(self.usable), self.seed, int(e))[within[epoch == e]] for e in np.unique(epoch)]
        chosen: IntArray = self.usable[np.concatenate(parts)]
        return chosen


@functools.lru_cache(maxsize=2)
def _permutation(n: int, seed: int, epoch: int) -> IntArray:
    return np.random.default_rng([seed, epoch]).permutation(n)


def open_schedule(store: EncodedStore, settings: TuneSettings) -> Schedule:
    """The run's order. Raises DataError where nothing carries loss."""
    usable = np.flatnonzero(store.lengths > 1 if settings.supervised == "all" else store.n_loss > 0)
    if not len(usable):
        why = "no sequence carries loss: every episode has one output within the window, and no description; give descriptions"
        raise DataError(str(store.folder), why)
    n = round(settings.epochs * len(usable))
    if settings.budget_tokens is not None:
        n = _positions_of(settings.budget_tokens, store.lengths[usable], settings.seed)
    if settings.max_steps is not None:
        n = min(n, settings.max_steps * settings.sequences_a_step)
    return Schedule(usable=usable, a_step=settings.sequences_a_step, n_positions=max(1, n), seed=settings.seed)


def _positions_of(budget: int, lengths: IntArray, seed: int) -> int:
    """How many sequences, in the run's order, have so many tokens together."""
    epochs, rest = divmod(budget, int(lengths.sum()))
    ends = lengths[_permutation(len(lengths), seed, epochs)].cumsum()
    return epochs * len(lengths) + (int(np.searchsorted(ends, rest)) + 1 if rest else 0)


def share_of_lr(step: int, n_steps: int, warmup: int) -> float:
    """Up from 0 over the first steps, then down, to 0 behind the last.

    >>> [share_of_lr(step, 4, 0) for step in range(4)]
    [1.0, 0.75, 0.5, 0.25]
    >>> [share_of_lr(step, 6, 2) for step in range(6)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    return (step + 1) / warmup if step < warmup else (n_steps - step) / max(1, n_steps - warmup)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class BatchMaker:
    """Makes a rank's batches of a step."""

    store: EncodedStore
    loss_on: LossOn
    micro_tokens: int
    """Of a batch, at most, unless one sequence is longer."""
    row_tokens: int | None
    """Of a packed row; None: a row for each sequence, padded to the longest of its batch."""
    rank: int = 0
    n_ranks: int = 1

    def batches(self, numbers: IntArray) -> list[Batch]:
        """Those of this rank, as many as any other rank has."""
        groups = self._groups(self.store.lengths[numbers])
        mine = [groups[at] for at in range(self.rank, len(groups), self.n_ranks)]
        made = [self._batch(numbers, rows) for rows in mine]
        return made + [_idle()] * (-(-len(groups) // self.n_ranks) - len(made))

    def _groups(self, lengths: IntArray) -> list[Rows]:
        longest = int(lengths.max())
        if self.row_tokens is None:
            buckets = bucket(lengths, max(self.micro_tokens, longest))
            return [Rows(group, np.arange(len(group) + 1)) for group in buckets]
        row = max(self.row_tokens, longest)
        rows, at_once = pack(lengths, row), max(1, self.micro_tokens // row)
        return [rows.take(np.arange(first, min(first + at_once, len(rows)))) for first in range(0, len(rows), at_once)]

    def _batch(self, numbers: IntArray, rows: Rows) -> Batch:
        members = numbers[rows.members]
        encoded = supervised_on(self.store.gather(members), self.loss_on)
        step = 1 if self.row_tokens is None else WIDTH_STEP
        return lay_out(encoded, Rows(np.arange(len(members)), rows.starts), numbers=members, width_step=step)


def _idle() -> Batch:
    """A row in which nothing is to be predicted."""
    nothing = np.zeros(2, dtype=np.int32)
    encoded = FlatEncoded(nothing, nothing.astype(np.bool_), nothing, np.array([0, 2]))
    return lay_out(encoded, Rows(np.array([0]), np.array([0, 1])))


def supervised_on(encoded: FlatEncoded, loss_on: LossOn) -> FlatEncoded:
    """The same sequences with loss on these of their tokens; `first` and `last` are among the outputs that carry loss."""
    if loss_on == "outputs":
        return encoded
    if loss_on == "all":
        flags = np.ones(len(encoded.ids), dtype=np.bool_)
    else:
        sizes = np.diff(encoded.starts)
        owner = np.repeat(np.arange(len(sizes)), sizes)[encoded.is_loss]
        example = encoded.example_index[encoded.is_loss].astype(np.int64)
        chosen = np.full(len(sizes), -1 if loss_on == "last" else np.iinfo(np.int64).max)
        (np.maximum if loss_on == "last" else np.minimum).at(chosen, owner, example)
        flags = encoded.is_loss & (encoded.example_index == np.repeat(chosen, sizes))
    return FlatEncoded(encoded.ids, flags, encoded.example_index, encoded.starts)


def target_weights(
    batch: Batch, task_of: IntArray, settings: TuneSettings, weight_of_task: Mapping[int, float]
) -> npt.NDArray[np.float32]:
    """What each target weighs [targets]; `task_of` [all sequences] is the number of each sequence's task."""
    weights = np.ones(len(batch.target_ids))
    if settings.weigh == "outputs":
        key = batch.target_segment.astype(np.int64) * (int(batch.target_example.max(initial=0)) + 2) + batch.target_example + 1
        _, owner, counts = np.unique(key, return_inverse=True, return_counts=True)
        weights /= counts[owner]
    if weight_of_task:
        table = np.ones(int(task_of.max(initial=0)) + 1)
        table[list(weight_of_task)] = list(weight_of_task.values())
        weights *= table[task_of[batch.sequences[batch.target_segment]]]
    return weights.astype(np.float32)
