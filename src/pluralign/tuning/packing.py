"""Which sequences share a row: best-fit-decreasing under a budget of tokens; or, beside it, buckets of like lengths.

    budget   |<----------- 12 ----------->|      bucket of the same budget: no row holds two sequences,
    row 0    | a a a a a a a | c c c | e e |      all are padded to the longest
    row 1    | b b b b b b | d d d | · · · |      | b b b b b b |
                                                  | d d d · · · |

Sequences are placed from the longest to the shortest, each into the row where it leaves the least room. All sequences of one
length are placed in one go, since the first that fits best in a row is followed by as many as the row still holds: what is
done in Python is in the order of the lengths that occur, not of the sequences.

Source: Johnson 1973, Near-Optimal Bin Packing Algorithms (best fit decreasing takes at most 11/9 of the fewest rows, + 4).
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pluralign.errors import DataError, UsageError

__all__ = ["Rows", "bucket", "pack", "stretches"]

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Sequences in groups: rows that they share, or buckets of rows."""

    members: IntArray
    """Numbers of the sequences, group after group, in each from the longest to the shortest [sequences]."""
    starts: IntArray
    """Where each group begins in `members`, and behind the last one where it ends [groups + 1]."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __iter__(self) -> Iterator[IntArray]:
        for start, stop in itertools.pairwise(self.starts.tolist()):
            yield self.members[start:stop]

    def take(self, groups: IntArray) -> Rows:
        """These groups, in this order."""
        places, starts = stretches(self.starts, groups)
        return Rows(self.members[places], starts)

    def totals(self, of_sequence: IntArray) -> IntArray:
        """The sum in each group of what each sequence has, its tokens for instance [groups]."""
        before = np.concatenate([[0], of_sequence[self.members].cumsum()])
        return np.diff(before[self.starts])


def pack(lengths: IntArray, budget: int) -> Rows:
    """Rows of at most `budget` tokens that hold each sequence of these lengths once; those of no tokens are in none.

    Rows come in the order in which they were opened, the longest sequences first: shuffle them. Equal lengths go by number,
    so that equal input gives equal rows. Raises UsageError for a budget of less than a token, DataError for a longer sequence.

    >>> [row.tolist() for row in pack(np.array([7, 6, 3, 3, 2]), 12)]
    [[0, 2, 4], [1, 3]]
    """
    order = _longest_first(lengths, budget)
    sizes = lengths[order]
    row_of = np.empty(len(order), dtype=np.int64)
    is_new = np.concatenate([[True], np.diff(sizes) != 0])[: len(order)]
    rows = _OpenRows(budget)
    for start, stop in itertools.pairwise([*np.flatnonzero(is_new).tolist(), len(order)]):
        rows.place(int(sizes[start]), row_of[start:stop])
    return Rows(order[np.argsort(row_of, kind="stable")], np.concatenate([[0], np.bincount(row_of).cumsum()]))


def bucket(lengths: IntArray, budget: int) -> Rows:
    """Groups of like lengths: as many sequences, padded to the longest of them, as have at most `budget` tokens together.

    Raises as `pack` does.

    >>> [group.tolist() for group in bucket(np.array([7, 6, 3, 3, 2]), 12)]
    [[0], [1, 2], [3, 4]]
    """
    order = _longest_first(lengths, budget)
    sizes, starts = lengths[order], [0]
    while starts[-1] < len(order):
        starts.append(min(len(order), starts[-1] + budget // int(sizes[starts[-1]])))
    return Rows(order, np.array(starts, dtype=np.int64))


def stretches(starts: IntArray, chosen: IntArray) -> tuple[IntArray, IntArray]:
    """Of stretches that lie one after another, the places of the chosen ones, and where each begins among these [chosen + 1].

    >>> places, starts = stretches(np.array([0, 3, 4, 6]), np.array([2, 0]))
    >>> places.tolist(), starts.tolist()
    ([4, 5, 0, 1, 2], [0, 2, 5])
    """
    sizes = np.diff(starts)[chosen]
    begins = np.concatenate([[0], sizes.cumsum()])
    return np.repeat(starts[chosen] - begins[:-1], sizes) + np.arange(begins[-1]), begins


def _longest_first(lengths: IntArray, budget: int) -> IntArray:
    """Numbers of the sequences that have tokens; equal lengths by number."""
    if budget < 1:
        raise UsageError(f"a row of {budget} tokens holds nothing; the lowest budget is 1.")
    order = np.argsort(-lengths, kind="stable")
    order = order[: np.count_nonzero(lengths > 0)]
    if len(order) and (most := int(lengths[order[0]])) > budget:
        n = np.count_nonzero(lengths > budget)
        raise DataError(
            f"sequence {order[0]}",
            f"{most} tokens, but a row has room for {budget}, and so with {n} of {len(lengths)} sequences; "
            f"cut them (cut_to, or encode_files with max_tokens={budget}) or give rows of {most} tokens.",
        )
    return order


class _OpenRows:
    """Rows by the room that they have left."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._n_rows = 0
        self._rooms: list[int] = []  # that some row has, ascending
        self._rows: dict[int, list[IntArray]] = {}  # with that room, in the order in which they came to have it

    def place(self, size: int, row_of: IntArray) -> None:
        """Fills in the row of each sequence of this size [sequences]."""
        n_done = 0
        while n_done < len(row_of):
            room, rows = self._tightest(size, len(row_of) - n_done)
            each = room // size
            n = min(each * len(rows), len(row_of) - n_done)
            row_of[n_done : n_done + n] = np.repeat(rows, each)[:n]
            n_full, n_more = divmod(n, each)
            self._put(room - each * size, rows[:n_full])
            self._put(room - n_more * size, rows[n_full:])
            n_done += n

    def _tightest(self, size: int, n: int) -> tuple[int, IntArray]:
        """The least room that is enough, and rows that have it, no more of them than n sequences need; they are taken out."""
        at = bisect.bisect_left(self._rooms, size)
        if at == len(self._rooms):
            room = self._budget
            rows = np.arange(self._n_rows, self._n_rows + -(-n // (room // size)))
            self._n_rows += len(rows)
            return room, rows
        room = self._rooms.pop(at)
        rows = np.concatenate(self._rows.pop(room))
        n_used = -(-n // (room // size))
        self._put(room, rows[n_used:])
        return room, rows[:n_used]

    def _put(self, room: int, rows: IntArray) -> None:
        if not room or not len(rows):
            return
        if room not in self._rows:
            bisect.insort(self._rooms, room)
            self._rows[room] = []
        self._rows[room].append(rows)
