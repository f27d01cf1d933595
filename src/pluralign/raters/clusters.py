"""Groups of raters: choose K candidates so that every rater is well described by one of them.

A candidate is anything that gives each rating a probability: a value profile, another rater's examples, a simulated person.
Everything here is arithmetic on one table: `losses` [raters, candidates], the sum over a rater's given ratings of
-log p(rating | item, candidate). The loss of a set of candidates is sum_raters min_{v in set} losses[rater, v]; a rater
belongs to the candidate where that minimum lies. This is facility location (K-medoids on a rectangular table).

How it is fast: a replacement of one candidate is judged from the minimum over the others, not from the whole set, and all
candidates at once, in float32, in pieces that stay in the cache. Each such sum comes with a bound on its rounding error;
whatever could be the best within the bounds is compared again in float64, so that no choice depends on float32.

Sources: Sorensen et al. 2025, Value Profiles for Encoding Human Variation, Algorithm 2 (`cluster_by_sweeps`);
Schubert & Rousseeuw 2021, Fast and eager k-medoids clustering (`cluster_by_swaps`).
Departures: a candidate is replaced only by a strictly better one, so ties keep the set as it is, no candidate is chosen
twice, and the loss falls with every change, which is why the sweeps end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar, overload

import numpy as np
import numpy.typing as npt

from pluralign.errors import DataError, UsageError

__all__ = ["Clusters", "cluster_by_swaps", "cluster_by_sweeps"]

FloatArray = npt.NDArray[np.float64]
SingleArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
Float = TypeVar("Float", np.float32, np.float64)

BLOCK_CELLS = 160_000
"""Cells handled at a time: 640 KB of float32 stay in the second-level cache; larger and smaller were slower."""
SEGMENT = 512
"""Raters that float32 sums at a time, at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """K groups of raters, each described by one candidate."""

    chosen: IntArray
    """[clusters] the columns of the loss table that were chosen; no column twice."""
    assignment: IntArray
    """[raters] position in `chosen`: the candidate under which the rater's ratings are most probable; ties to the first."""
    loss: float
    """Sum over raters of the loss under their cluster, in the unit of the table; lower is better. Computed in float64."""
    n_sweeps: int
    """Rounds over the clusters until nothing changed, the last one included."""
    n_candidates: int
    """Columns of the table that the clusters were found in."""

    @property
    def k(self) -> int:
        return len(self.chosen)

    def assign(self, losses: npt.ArrayLike) -> IntArray:
        """[new raters] the cluster of each, from their losses [new raters, candidates] under the same candidates.

        >>> found = cluster_by_sweeps([[0.0, 2.0, 9.0], [3.0, 1.0, 9.0]], 2)
        >>> found.assign([[5.0, 4.0, 0.0]]).tolist()
        [1]
        """
        table = _table_of(losses)
        _check_finite(table, table.min(axis=1), float(table.max()))
        if table.shape[1] != self.n_candidates:
            raise DataError(
                "losses",
                f"{table.shape[1]} candidates, but the clusters were found among {self.n_candidates}; "
                "give the losses under the same candidates, in the same order.",
            )
        nearest: IntArray = table[:, self.chosen].argmin(axis=1).astype(np.int64)
        return nearest


def cluster_by_sweeps(losses: npt.ArrayLike, k: int, *, max_sweeps: int = 100) -> Clusters:
    """K clusters by Algorithm 2: start from the first K candidates, then improve them one after the other.

    A sweep goes over the clusters c = 1..K and replaces the c-th by the candidate that gives the lowest loss with the
    others kept; ties to the first candidate. It stops when a sweep changes nothing (or after `max_sweeps`), which is when no
    single swap helps. The order of the candidates matters, since the first K are the start; that of the raters does not.

    `losses` [raters, candidates], finite. An infinite loss (probability 0) is refused: with it one rating could rule out
    every candidate for a rater; give the candidates' probabilities a floor instead.

    Source: Sorensen et al. 2025, Algorithm 2.
    >>> cluster_by_sweeps([[5.0, 5.0, 0.0], [5.0, 0.0, 5.0], [5.0, 0.0, 5.0]], 2).chosen.tolist()
    [2, 1]
    """
    table = _Table(losses)
    _check_counts(table.n_candidates, k=k, max_sweeps=max_sweeps)
    return _clusters(*_sweep(table, k, max_sweeps))


def cluster_by_swaps(losses: npt.ArrayLike, k: int, *, seed: int, n_starts: int = 4) -> Clusters:
    """K clusters from several starts, never worse than `cluster_by_sweeps` on the same table.

    Starts: the result of the sweeps; a greedy choice, one candidate after the other (BUILD); then `n_starts` - 1 random sets.
    From each, rounds of swaps until no single swap of a chosen for another candidate lowers the loss. Each round judges all
    K x candidates swaps in one pass, from the nearest and second nearest candidate of every rater, and then makes the best
    swap of every cluster that still helps. The lowest loss is returned; ties to the earlier start.

    `n_sweeps` counts the rounds from the start that won. What is refused: see `cluster_by_sweeps`.

    Source: Schubert & Rousseeuw 2021, section 3 (the swap's change in loss, shared over the K removals).
    Departures: a round judges every candidate before it swaps, where the paper swaps eagerly after each candidate, since a
    pass over the whole table in numpy costs less than a loop over the candidates in Python.
    """
    table = _Table(losses)
    _check_counts(table.n_candidates, k=k, n_starts=n_starts)
    found = [_sweep(table, k, max_sweeps=100)]
    for start in _starts(table, k, n_starts, seed):
        found.append(_swap(_Choice(table, start)))
    return _clusters(*min(found, key=lambda pair: pair[0].loss))


@dataclass(frozen=True, slots=True, eq=False)
class _Screened:
    """Losses of sets to be judged, in float32, with bounds that the true losses cannot leave."""

    low: FloatArray
    high: FloatArray


class _Table:
    """The losses, and a float32 copy [candidates, raters] of how far each lies above the rater's lowest.

    Raters are summed in segments of equal length, and the segments in float64, which keeps the bounds narrow; the copy ends
    with a few raters of no loss that fill the last segment.
    """

    def __init__(self, losses: npt.ArrayLike) -> None:
        self.losses = _table_of(losses)
        lowest, highest = self.losses.min(axis=1), float(self.losses.max())
        _check_finite(self.losses, lowest, highest)
        self.n_raters, self.n_candidates = self.losses.shape
        self.n_segments = -(-self.n_raters // SEGMENT)
        self.segment = -(-self.n_raters // self.n_segments)
        self.width = self.n_segments * self.segment
        self.ones = np.ones((self.segment, 1), dtype=np.float32)
        # only a table that float32 could not hold is scaled; a power of two changes no digit
        span = highest - float(lowest.min())
        self.scale = 1.0 if span == 0 or 1e-20 < span < 1e20 else 2.0 ** np.floor(np.log2(span))
        same = self.scale == 1.0
        self.above = _regrets(
            self.losses if same else self.losses / self.scale, lowest if same else lowest / self.scale, self.width
        )
        height = max(1, min(self.n_candidates, BLOCK_CELLS // self.width))
        self.buffer = np.empty((height, self.width), dtype=np.float32)  # one for all passes: fresh pages cost a fifth of one
        self.offset = float(lowest.sum())
        # what float64 itself may err by, in either sum, and float32 below its normal numbers
        magnitude = float(np.maximum(np.abs(lowest), abs(highest)).sum())
        self.slack = (self.n_raters + 4) * (2.0**-51 * magnitude / self.scale + 2.0**-120)

    def screen(self, nearest: SingleArray) -> _Screened:
        """[candidates] the loss when each is added to a set whose minimum is `nearest` [raters]."""
        sums = np.empty((self.n_candidates, self.n_segments), dtype=np.float32)
        for rows, buffer in self._blocks():
            np.minimum(self.above[rows], nearest, out=buffer)
            self._sum_segments(buffer, sums[rows])
        totals = sums.sum(axis=1, dtype=np.float64)
        return self._bounded(totals, _rounding(self.segment) * totals)

    def screen_swaps(self, members: SingleArray, nearest: SingleArray, second: SingleArray) -> _Screened:
        """[clusters, candidates] the loss when the candidate takes the place of the cluster's.

        For a rater of another cluster it is min(l, nearest), for one of this cluster min(l, second), and
        min(l, second) = min(l, nearest) + clip(l, nearest, second) - nearest: one sum for all, one for each cluster.
        """
        sums = np.empty((self.n_candidates, self.n_segments), dtype=np.float32)
        moved32 = np.empty((self.n_candidates, members.shape[1]), dtype=np.float32)
        for rows, buffer in self._blocks():
            np.minimum(self.above[rows], nearest, out=buffer)
            self._sum_segments(buffer, sums[rows])
            np.maximum(self.above[rows], nearest, out=buffer)
            np.minimum(buffer, second, out=buffer)
            np.matmul(buffer, members, out=moved32[rows])
        before = (nearest @ members).astype(np.float64)[:, None]
        kept, moved = sums.sum(axis=1, dtype=np.float64)[None, :], moved32.T.astype(np.float64)
        sizes = members.sum(axis=0, dtype=np.float64)[:, None]
        return self._bounded(kept + moved - before, _rounding(self.segment) * kept + _rounding(sizes) * (moved + before))

    def _blocks(self) -> Iterator[tuple[slice, SingleArray]]:
        height = len(self.buffer)
        for start in range(0, self.n_candidates, height):
            stop = min(start + height, self.n_candidates)
            yield slice(start, stop), self.buffer[: stop - start]

    def _sum_segments(self, cells: SingleArray, out: SingleArray) -> None:
        np.matmul(cells.reshape(-1, self.segment), self.ones, out=out.reshape(-1, 1))

    def _bounded(self, totals: FloatArray, error: FloatArray) -> _Screened:
        error += self.slack
        return _Screened((totals - error) * self.scale + self.offset, (totals + error) * self.scale + self.offset)


class _Choice:
    """A set of candidates that is being improved. Its `loss` is always the float64 sum, whatever led there."""

    def __init__(self, table: _Table, chosen: Sequence[int]) -> None:
        self.table = table
        self.chosen = list(chosen)
        self.rows = np.ascontiguousarray(table.losses[:, self.chosen].T)
        self.loss = float(self.rows.min(axis=0).sum())

    def screen(self, position: int) -> _Screened:
        return self.table.screen(_minimum_of_others(self.table.above[self.chosen], position))

    def screen_swaps(self) -> _Screened:
        """[clusters, candidates] every swap at once."""
        above = self.table.above[self.chosen]
        label = above.argmin(axis=0)
        members = (label[:, None] == np.arange(len(above))).astype(np.float32)
        nearest = above.min(axis=0)
        above[label, np.arange(above.shape[1])] = np.inf
        return self.table.screen_swaps(members, nearest, above.min(axis=0))

    def loss_with(self, position: int, candidate: int, others: FloatArray | None = None) -> float:
        """The float64 loss when `candidate` takes the place at `position`."""
        if others is None:
            others = _minimum_of_others(self.rows, position)
        return float(np.minimum(others, self.table.losses[:, candidate]).sum())

    def improve(self, position: int, low: FloatArray, high: FloatArray) -> bool:
        """Put the candidate with the lowest loss at `position`, if that is lower than now; bounds are [candidates]."""
        possible = np.flatnonzero((low <= high.min()) & (low < self.loss))
        if len(possible) == 0:
            return False
        others = _minimum_of_others(self.rows, position)
        losses = [self.loss_with(position, c, others) for c in possible.tolist()]
        best = int(np.argmin(losses))
        return self.replace(position, int(possible[best]), losses[best])

    def replace(self, position: int, candidate: int, loss: float) -> bool:
        """Make the replacement if its `loss` is lower than now."""
        if loss >= self.loss:
            return False
        self.chosen[position] = candidate
        self.rows[position] = self.table.losses[:, candidate]
        self.loss = loss
        return True


def _minimum_of_others(rows: npt.NDArray[Float], position: int) -> npt.NDArray[Float]:
    """[raters] the lowest of all rows but one; infinite where there is no other."""
    lowest = np.full(rows.shape[1], np.inf, dtype=rows.dtype)
    for i in range(len(rows)):
        if i != position:
            np.minimum(lowest, rows[i], out=lowest)
    return lowest


def _sweep(table: _Table, k: int, max_sweeps: int) -> tuple[_Choice, int]:
    """Algorithm 2. From the second sweep on, one pass serves all positions up to the first change."""
    choice = _Choice(table, range(k))
    for n_sweeps in range(1, max_sweeps + 1):
        shared = choice.screen_swaps() if n_sweeps > 1 else None
        before = choice.loss
        for position in range(k):
            if shared is None:
                screened = choice.screen(position)
                choice.improve(position, screened.low, screened.high)
            elif choice.improve(position, shared.low[position], shared.high[position]):
                shared = None
        if choice.loss == before:
            break
    return choice, n_sweeps


def _swap(choice: _Choice) -> tuple[_Choice, int]:
    """Rounds of swaps until none helps; it ends, since every round but the last lowers the loss of a finite set of sets."""
    n_rounds, changed = 0, True
    while changed:
        n_rounds, changed = n_rounds + 1, False
        screened = choice.screen_swaps()
        best = screened.low.argmin(axis=1)
        for position in np.argsort(screened.low.min(axis=1)).tolist():
            if changed:  # the bounds are those of another set by now: ask for this one candidate
                candidate = int(best[position])
                choice.replace(position, candidate, choice.loss_with(position, candidate))
            else:
                changed = choice.improve(position, screened.low[position], screened.high[position])
    return choice, n_rounds


def _starts(table: _Table, k: int, n_starts: int, seed: int) -> Iterator[list[int]]:
    """BUILD, then random sets, a stream each, so that more starts change no earlier one."""
    chosen: list[int] = []
    nearest = np.full(table.width, np.inf, dtype=np.float32)
    for _ in range(k):
        low = table.screen(nearest).low
        low[chosen] = np.inf
        chosen.append(int(low.argmin()))
        nearest = np.minimum(nearest, table.above[chosen[-1]])
    yield chosen
    for stream in np.random.default_rng(seed).spawn(n_starts - 1):
        yield stream.choice(table.n_candidates, size=k, replace=False).tolist()


def _clusters(choice: _Choice, n_sweeps: int) -> Clusters:
    chosen = np.array(choice.chosen, dtype=np.int64)
    return Clusters(chosen, choice.rows.argmin(axis=0).astype(np.int64), choice.loss, n_sweeps, choice.table.n_candidates)


@overload
def _rounding(n: int) -> float: ...
@overload
def _rounding(n: FloatArray) -> FloatArray: ...
def _rounding(n: int | FloatArray) -> float | FloatArray:
    """How much n float32 additions, in whatever order, may err by, relative to the sum of what is added (none below 0).

    (n - 1) u to first order, u = 2^-24; twice that, and four more for the roundings before, covers the higher orders.
    """
    return (n + 4) * 2.0**-23


def _regrets(losses: FloatArray, lowest: FloatArray, width: int) -> SingleArray:
    """losses - lowest as float32 [candidates, width]; in strips of raters, so that neither side leaves the cache."""
    above = np.zeros((losses.shape[1], width), dtype=np.float32)
    for start in range(0, len(losses), 256):
        strip = slice(start, min(start + 256, len(losses)))
        above[:, strip] = (losses[strip] - lowest[strip, None]).T
    return above


def _table_of(losses: npt.ArrayLike) -> FloatArray:
    table = np.asarray(losses, dtype=np.float64)
    if table.ndim != 2 or table.size == 0:
        raise DataError("losses", f"need a table [raters, candidates] with at least one of each; got shape {table.shape}.")
    return table


def _check_finite(table: FloatArray, lowest: FloatArray, highest: float) -> None:
    if np.isfinite(lowest).all() and math.isfinite(highest):  # NaN shows in both
        return
    bad = np.argwhere(~np.isfinite(table))
    rater, candidate = bad[0].tolist()
    raise DataError(
        "losses",
        f"{len(bad):,} of {table.size:,} losses are not finite, the first is {table[rater, candidate]} for rater {rater} "
        f"under candidate {candidate}; give every probability a floor above 0 before taking its logarithm.",
    )


def _check_counts(n_candidates: int, *, k: int, **counts: int) -> None:
    if not 1 <= k <= n_candidates:
        raise UsageError(f"k is {k}; with {n_candidates} candidates it must be 1..{n_candidates}.")
    for name, value in counts.items():
        if value < 1:
            raise UsageError(f"{name} is {value}; it must be at least 1.")
