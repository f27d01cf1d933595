"""Rows and batches: every sequence once, never over the budget, and each target behind the token that predicts it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralign.errors import DataError, UsageError
from pluralign.models import FlatEncoded
from pluralign.tuning.batches import Batch, lay_out, packed_batches, padded_batches
from pluralign.tuning.packing import Rows, bucket, pack

LENGTHS = st.lists(st.integers(0, 30), max_size=60)


def best_fit_decreasing(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """The slow and obvious way, sequence by sequence."""
    rows: list[list[int]] = []
    for number in sorted(range(len(lengths)), key=lambda n: (-lengths[n], n)):
        if not lengths[number]:
            continue
        rooms = [budget - sum(lengths[n] for n in row) for row in rows]
        fitting = [(room, at) for at, room in enumerate(rooms) if room >= lengths[number]]
        if fitting:
            rows[min(fitting)[1]].append(number)
        else:
            rows.append([number])
    return rows


def _sums(rows: Rows, lengths: Sequence[int]) -> list[int]:
    return [sum(lengths[n] for n in row.tolist()) for row in rows]


@settings(max_examples=300, deadline=None)
@given(lengths=LENGTHS, room=st.integers(0, 40))
def test_rows_are_those_of_best_fit_decreasing(lengths: list[int], room: int) -> None:
    budget = max([1, *lengths]) + room
    rows = pack(np.array(lengths, dtype=np.int64), budget)
    assert sorted(n for row in rows for n in row.tolist()) == [n for n, length in enumerate(lengths) if length]
    slow = best_fit_decreasing(lengths, budget)
    assert len(rows) == len(slow)
    assert sorted(_sums(rows, lengths)) == sorted(sum(lengths[n] for n in row) for row in slow)
    assert all(total <= budget for total in _sums(rows, lengths))
    assert rows.totals(np.array(lengths, dtype=np.int64)).tolist() == _sums(rows, lengths)


@settings(max_examples=100, deadline=None)
@given(lengths=LENGTHS, room=st.integers(0, 40))
def test_buckets_are_padded_within_the_budget(lengths: list[int], room: int) -> None:
    budget = max([1, *lengths]) + room
    groups = bucket(np.array(lengths, dtype=np.int64), budget)
    assert sorted(n for group in groups for n in group.tolist()) == [n for n, length in enumerate(lengths) if length]
    for group in groups:
        assert len(group) * max(lengths[n] for n in group.tolist()) <= budget


def test_a_million_sequences_are_packed_in_seconds_and_fill_their_rows() -> None:
    rng = np.random.default_rng(0)
    lengths = np.minimum(rng.geometric(1 / 215, size=1_000_000), 1024)
    rows = pack(lengths, 4096)
    assert lengths.sum() / (len(rows) * 4096) > 0.999
    assert rows.totals(lengths).max() <= 4096


def test_what_does_not_fit_is_an_error() -> None:
    for arrange in (pack, bucket):
        with pytest.raises(
            DataError, match=r"sequence 1: 9 tokens, but a row has room for 8, and so with 1 of 3 sequences; cut them"
        ):
            arrange(np.array([3, 9, 2]), 8)
        with pytest.raises(UsageError, match="the lowest budget is 1"):
            arrange(np.array([3]), 0)


# batches


def _encoded(lengths: Sequence[int], seed: int = 0) -> FlatEncoded:
    rng = np.random.default_rng(seed)
    n = sum(lengths)
    return FlatEncoded(
        ids=rng.integers(1, 1000, size=n).astype(np.int32),
        is_loss=rng.random(n) < 0.4,
        example_index=rng.integers(-1, 5, size=n).astype(np.int32),
        starts=np.cumsum([0, *lengths]),
    )


def check(batch: Batch, encoded: FlatEncoded, pad_id: int) -> None:
    """Against the sequences, one by one."""
    flat = batch.input_ids.ravel()
    assert (flat[batch.segment_ids.ravel() < 0] == pad_id).all()
    targets = {place: (i, s, e) for place, i, s, e in zip(*map(np.ndarray.tolist, _targets(batch)), strict=True)}
    for segment, number in enumerate(batch.sequences.tolist()):
        start, stop = encoded.starts[number : number + 2].tolist()
        places = np.flatnonzero(batch.segment_ids.ravel() == segment)
        assert flat[places].tolist() == encoded.ids[start:stop].tolist()
        assert batch.position_ids.ravel()[places].tolist() == list(range(stop - start))
        assert (np.diff(places) == 1).all(), "in one piece"
        for k in range(1, stop - start):
            found = targets.pop(int(places[k]) - 1, None)
            wanted = (int(encoded.ids[start + k]), segment, int(encoded.example_index[start + k]))
            assert found == (wanted if encoded.is_loss[start + k] else None)
    assert not targets, "no first token of a sequence is a target"


def _targets(batch: Batch) -> tuple[np.ndarray, ...]:
    return batch.before, batch.target_ids, batch.target_segment, batch.target_example


@settings(max_examples=100, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 20), min_size=1, max_size=30),
    n_rows=st.integers(1, 3),
    window=st.integers(1, 12),
    seed=st.integers(0, 5),
)
def test_a_stream_comes_out_whole_packed_or_padded(lengths: list[int], n_rows: int, window: int, seed: int) -> None:
    encoded = _encoded(lengths, seed)
    packed = list(packed_batches([encoded], 24, n_rows=n_rows, window=window, pad_id=7, seed=seed))
    padded = list(padded_batches([encoded], 40, window=window, pad_id=7, seed=seed))
    for batches in (packed, padded):
        numbers = [number for batch in batches for number in batch.sequences.tolist()]
        assert sorted(numbers) == [n for n, length in enumerate(lengths) if length]
        for batch in batches:
            check(batch, encoded, pad_id=7)
        assert sum(batch.n_tokens for batch in batches) == sum(lengths)
    assert all(batch.input_ids.shape[1] <= 24 and len(batch.input_ids) <= n_rows for batch in packed)
    assert all(len(batch.input_ids) == n_rows for batch in packed[:-1])
    assert all(batch.input_ids.size <= 40 and not batch.is_packed for batch in padded)


def test_how_the_stream_is_cut_changes_nothing_and_the_seed_the_order_alone() -> None:
    lengths = np.random.default_rng(1).integers(1, 60, size=400).tolist()
    encoded = _encoded(lengths)
    parts = [
        FlatEncoded(
            encoded.ids[encoded.starts[a] : encoded.starts[b]],
            encoded.is_loss[encoded.starts[a] : encoded.starts[b]],
            encoded.example_index[encoded.starts[a] : encoded.starts[b]],
            encoded.starts[a : b + 1] - encoded.starts[a],
        )
        for a, b in ((0, 7), (7, 7), (7, 150), (150, 400))
    ]
    whole, cut, other = (
        [batch.sequences.tolist() for batch in packed_batches(source, 128, window=100, seed=seed)]
        for source, seed in (([encoded], 0), (parts, 0), ([encoded], 1))
    )
    assert whole == cut
    assert whole != other
    filled = sum(lengths) / (128 * len(whole))
    assert filled > 0.95


def test_rows_by_hand() -> None:
    """The drawing at the top of `batches`: a and c share a row, b has one; the third token of a carries loss."""
    encoded = FlatEncoded(
        ids=np.array([11, 12, 13, 21, 22, 23, 24, 31, 32], dtype=np.int32),
        is_loss=np.array([0, 0, 1, 0, 0, 0, 0, 1, 1], dtype=bool),
        example_index=np.zeros(9, dtype=np.int32),
        starts=np.array([0, 3, 7, 9]),
    )
    batch = lay_out(encoded, Rows(np.array([0, 2, 1]), np.array([0, 2, 3])))
    assert batch.input_ids.tolist() == [[11, 12, 13, 31, 32], [21, 22, 23, 24, 0]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 0, 1], [0, 1, 2, 3, 0]]
    assert batch.segment_ids.tolist() == [[0, 0, 0, 1, 1], [2, 2, 2, 2, -1]]
    assert batch.sequences.tolist() == [0, 2, 1]
    # the first token of c carries loss too, but nothing stands before it
    assert (batch.before.tolist(), batch.target_ids.tolist()) == ([1, 3], [13, 32])
    assert batch.is_packed
    assert batch.n_tokens == 9


def test_batches_of_nothing_are_refused() -> None:
    for make in (lambda: packed_batches([], 8, n_rows=0, seed=0), lambda: padded_batches([], 8, window=0, seed=0)):
        with pytest.raises(UsageError, match="the lowest of each is 1"):
            list(make())
    assert list(packed_batches([], 8, seed=0)) == []
