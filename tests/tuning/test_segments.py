"""Attention within segments: the plain way token by token, for every kind of attention, with gradients."""

from __future__ import annotations

import functools
import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pluralign.models import FlatEncoded
from pluralign.tuning.segments import Run, Segments, attend_in_segments
from tuning.packed_models import encoded, packed, padded

ATTENDING = SimpleNamespace(is_causal=True)
BATCH = packed(encoded())
"""Rows of 32 tokens; see `packed_models`."""


def plainly(
    segment_ids: list[list[int]],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scale: float,
    window: int | None,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """The slow and obvious way: [rows, tokens, heads, width], nothing where there is padding."""
    n_rows, n_heads, n_tokens, _ = query.shape
    a_group = n_heads // key.shape[1]
    out = []
    for row in range(n_rows):
        for token in range(n_tokens):
            segment = segment_ids[row][token]
            near = [k for k in range(token + 1) if segment_ids[row][k] == segment and (window is None or token - k < window)]
            for head in range(n_heads):
                if segment < 0:
                    out.append(torch.zeros_like(value[0, 0, 0]))
                    continue
                scores = key[row, head // a_group, near] @ query[row, head, token] * scale
                if softcap is not None:
                    scores = softcap * torch.tanh(scores / softcap)
                weights = scores.exp()
                total = weights.sum() + (0.0 if sinks is None else sinks[head].exp())
                out.append(weights / total @ value[row, head // a_group, near])
    return torch.stack(out).view(n_rows, n_tokens, n_heads, -1)


def _inputs(n_groups: int, seed: int = 0, width: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Query of four heads, keys and values of so many [rows, heads, tokens, width]."""
    generator = torch.Generator().manual_seed(seed)
    rows, tokens = BATCH.input_ids.shape
    made = [torch.randn(rows, n, tokens, width, generator=generator, dtype=torch.float64) for n in (4, n_groups, n_groups)]
    return made[0].requires_grad_(), made[1].requires_grad_(), made[2].requires_grad_()


@pytest.mark.parametrize("softcap", [None, 1.5])
@pytest.mark.parametrize("with_sinks", [False, True])
@pytest.mark.parametrize("window", [None, 4, 9, 100])
@pytest.mark.parametrize("n_groups", [1, 2, 4])
def test_attention_and_its_gradients_are_those_of_the_plain_way(
    n_groups: int, window: int | None, with_sinks: bool, softcap: float | None
) -> None:
    inputs = _inputs(n_groups)
    sinks = torch.linspace(-1, 1, 4, dtype=torch.float64, requires_grad=True) if with_sinks else None
    leaves = [*inputs, *([] if sinks is None else [sinks])]
    ours, _ = attend_in_segments(
        *(ATTENDING, *inputs, None),
        segments=Segments.of(BATCH),
        scaling=0.7,
        sliding_window=window,
        softcap=softcap,
        s_aux=sinks,
    )
    plain = plainly(BATCH.segment_ids.tolist(), *inputs, scale=0.7, window=window, softcap=softcap, sinks=sinks)
    slope = torch.randn(plain.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(ours, plain, rtol=1e-12, atol=1e-12)
    for found, wanted in zip(torch.autograd.grad(ours, leaves, slope), torch.autograd.grad(plain, leaves, slope), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-11, atol=1e-11)


@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=9), n_rows=st.integers(1, 3))
def test_runs_cover_every_segment_once_in_order(lengths: list[int], n_rows: int) -> None:
    several: FlatEncoded = encoded(0, tuple(lengths))
    rows = tuple(r for i in range(n_rows) if (r := tuple(range(i, len(lengths), n_rows))))
    batch = packed(several, rows)
    segments = Segments.of(batch)
    assert sum(segments.sizes) == batch.input_ids.size == sum(segments.lengths())
    if batch.is_packed:
        assert [run.n_tokens for run in segments.runs for _ in range(run.n_segments)] == [
            lengths[n] for row in rows for n in row
        ]
        assert all(
            a.n_tokens != b.n_tokens or 0 in (a.n_segments, b.n_segments)
            for a, b in zip(segments.runs, segments.runs[1:], strict=False)
        )
    else:
        assert segments.runs == (Run(*batch.input_ids.shape),)


def test_runs_by_hand() -> None:
    """The drawing at the top of `segments`, and rows of one sequence each: padding behind is a part of the row."""
    several = encoded(0, (3, 4, 2))
    assert Segments.of(packed(several, ((0, 2), (1,)))).runs == ((1, 3), (1, 2), (1, 4), (0, 1))
    wider = packed(encoded(0, (3, 4, 2, 1)), ((0, 2, 3), (1,)))
    assert Segments.of(wider).runs == ((1, 3), (1, 2), (1, 1), (1, 4), (0, 2))
    assert Segments.of(packed(encoded(0, (2, 2, 2, 5)), ((3,), (0, 1), (2,)))).runs == ((1, 5), (2, 2), (0, 1), (1, 2), (0, 3))
    assert Segments.of(padded(several)).runs == ((3, 4),)


def test_segments_do_not_move_one_another_at_all() -> None:
    query, key, value = (x.detach() for x in _inputs(2))
    attend = functools.partial(attend_in_segments, ATTENDING, attention_mask=None, segments=Segments.of(BATCH))
    before, _ = attend(query=query, key=key, value=value)
    changes = torch.from_numpy(BATCH.segment_ids) == 1
    for x in (query, key, value):
        x.transpose(1, 2)[changes] += 1.0
    after, _ = attend(query=query, key=key, value=value)
    assert torch.equal(before[~changes], after[~changes])
    assert not torch.isclose(before[changes], after[changes]).any()


@pytest.mark.parametrize("softcap", [None, 5.0])
def test_dropout_takes_weights_away_and_makes_up_for_it(softcap: float | None) -> None:
    """Values are unit vectors, so what comes out is the weights: 1/k each without dropout, else 0 or twice that."""
    n = 64
    segments = Segments([Run(1, n)])
    zeros, values = torch.zeros(1, 1, n, 8), torch.eye(n)[None, None]
    torch.manual_seed(0)
    found, _ = attend_in_segments(ATTENDING, zeros, zeros, values, None, segments=segments, dropout=0.5, softcap=softcap)
    last = found[0, -1, 0]
    assert {round(w * n, 4) for w in last.tolist()} == {0.0, 2.0}
    assert abs(int((last > 0).sum()) - n / 2) < 4 * math.sqrt(n / 4)


def test_bfloat16_is_rounded_once_under_autocast() -> None:
    """Scores and weights are float32 on a CPU: what comes out is the exact result, rounded."""
    exact = [x.detach().to(torch.bfloat16) for x in _inputs(2)]
    segments = Segments.of(BATCH)
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = attend_in_segments(ATTENDING, *exact, None, segments=segments)
    wanted, _ = attend_in_segments(ATTENDING, *(x.float() for x in exact), None, segments=segments)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, wanted.to(torch.bfloat16))


def test_other_kinds_of_attention_are_refused() -> None:
    query, key, value = _inputs(4)
    attend = functools.partial(attend_in_segments, attention_mask=None, segments=Segments.of(BATCH))
    given = {"query": query, "key": key, "value": value}
    with pytest.raises(NotImplementedError, match="or to what comes later"):
        attend(ATTENDING, **given, position_bias=torch.zeros(1))
    with pytest.raises(NotImplementedError, match="or to what comes later"):
        attend(ATTENDING, query=query[:, :, :1], key=key, value=value)
    with pytest.raises(NotImplementedError, match="or to what comes later"):
        attend(SimpleNamespace(is_causal=False), **given)
    with pytest.raises(NotImplementedError, match="or to what comes later"):
        attend(ATTENDING, **given, is_causal=False)
    with pytest.raises(NotImplementedError, match="no segments were given"):
        attend_in_segments(ATTENDING, query, key, value, None)
