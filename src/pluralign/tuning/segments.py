"""Attention in packed rows: each token looks back to the beginning of its own sequence and no further.

    row 0   a a a c c        a | 1                  a run is of segments of equal lengths, one after another:
    row 1   b b b b ·        a | 1 1
                             a | 1 1 1                            a  c  b  ·
    what each token of       c |       1              segments    1  1  1  0
    the two rows may         c |       1 1            tokens      3  2  4  1
    look at; nothing of
    the empty part is        b | 1                  with a sliding window of 3, the token itself included,
    ever computed            b | 1 1                the last b has
                             b | 1 1 1
                             b | 1 1 1 1            b |   1 1 1

`attend_in_segments` takes the place of a model's attention function through transformers' registry, as `models.attention` does
for scoring, with gradients here. Which segments there are comes as an argument of the model's forward, which hands it on to its
layers: so it is there too when gradient checkpointing computes a layer again.

Missing: torch.compile, which would compile anew for every batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pluralign.models.attention import View
from pluralign.tuning.batches import Batch

__all__ = ["NAME", "Run", "Segments", "attend_in_segments"]

NAME = "pluralign_segments"
"""Of `attend_in_segments` in transformers' registry."""


class Run(NamedTuple):
    """Segments of one length that lie one after another; no segments where all of it is padding."""

    n_segments: int
    n_tokens: int
    """Of each segment, or of the padding."""


class Segments:
    """Where segments begin and end, in the rows of a batch laid end to end.

    No dataclass: `fully_shard` makes those that are handed to a model anew, which a frozen one does not let it.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = tuple(runs)
        self._masks: dict[tuple[int, int | None], Tensor | None] = {}

    @classmethod
    def of(cls, batch: Batch) -> Segments:
        """Those of a packed batch; of one that is not, each row with its padding is a segment."""
        if not batch.is_packed:
            return cls([Run(*batch.input_ids.shape)])
        flat = batch.segment_ids.ravel()
        edges = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), len(flat)]
        stretches = [(stop - start, bool(flat[start] >= 0)) for start, stop in itertools.pairwise(edges)]
        grouped = ((n, is_real, len(list(same))) for (n, is_real), same in itertools.groupby(stretches))
        return cls([Run(count, n) if is_real else Run(0, n * count) for n, is_real, count in grouped])

    @property
    def sizes(self) -> list[int]:
        """Tokens of each run."""
        return [max(1, run.n_segments) * run.n_tokens for run in self.runs]

    def lengths(self) -> list[int]:
        """Tokens of each segment and of each stretch of padding."""
        return [run.n_tokens for run in self.runs for _ in range(max(1, run.n_segments))]

    def mask(self, n_tokens: int, window: int | None, device: torch.device) -> Tensor | None:
        """What each token of a segment may look at [1, tokens, tokens]; None for a single token."""
        if (n_tokens, window) not in self._masks:
            position = torch.arange(n_tokens, device=device)[None]
            self._masks[n_tokens, window] = View(position).own_mask(window)
        return self._masks[n_tokens, window]


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """What a layer says about its attention."""

    scale: float
    dropout: float
    window: int | None
    softcap: float | None
    sinks: Tensor | None
    """One score for each head [heads]."""


def attend_in_segments(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    segments: Segments | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    is_causal: bool | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """The attention function that models call: query [rows, heads, tokens, width] -> [rows, tokens, heads, width].

    On a CPU it computes in float32 under autocast too: kernels for bfloat16 take up to five times as long on short segments.
    The mask that the model made is not looked at. Raises NotImplementedError for a kind of attention that is not known here.
    """
    looks_back = getattr(module, "is_causal", True) if is_causal is None else is_causal
    if segments is None:
        raise NotImplementedError("no segments were given; to use the model otherwise, call set_attn_implementation('sdpa')")
    if others.get("position_bias") is not None or not looks_back or query.shape[2] != key.shape[2]:
        raise NotImplementedError("attention with a position bias or a cache, or to what comes later")
    layer = _Layer(query.shape[-1] ** -0.5 if scaling is None else scaling, dropout, sliding_window, softcap, s_aux)
    dtype = torch.promote_types(value.dtype, torch.float32) if query.device.type == "cpu" else value.dtype
    with torch.autocast(query.device.type, enabled=False):
        parts = [torch.split(x.to(dtype).transpose(1, 2).flatten(0, 1), segments.sizes) for x in (query, key, value)]
        found = [_of_run(run, q, k, v, segments, layer) for run, q, k, v in zip(segments.runs, *parts, strict=True)]
    return torch.cat(found).to(value.dtype).view(query.shape[0], query.shape[2], query.shape[1], -1), None


def _of_run(run: Run, query: Tensor, key: Tensor, value: Tensor, segments: Segments, layer: _Layer) -> Tensor:
    """Of one run's tokens, query [tokens, heads, width] -> [tokens, heads, width]; nothing for padding."""
    if not run.n_segments:
        return query.new_zeros(*query.shape[:2], value.shape[2])
    query, key, value = (x.view(*run, *x.shape[1:]).transpose(1, 2) for x in (query, key, value))
    window = None if layer.window is None or layer.window >= run.n_tokens else layer.window
    if layer.softcap is not None or layer.sinks is not None:
        mixed = _by_hand(query * layer.scale, key, value, segments.mask(run.n_tokens, window, query.device), layer)
    else:
        mask = None if window is None else segments.mask(run.n_tokens, window, query.device)
        mixed = F.scaled_dot_product_attention(
            *(query, key, value),
            attn_mask=mask,
            is_causal=mask is None,
            dropout_p=layer.dropout,
            scale=layer.scale,
            enable_gqa=query.shape[1] != key.shape[1],
        )
    return mixed.transpose(1, 2).flatten(0, 1)


def _by_hand(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, layer: _Layer) -> Tensor:
    """Soft-capped scores and sinks, for which there is no kernel; query, scaled, is [segments, heads, tokens, width]."""
    shape = query.shape
    query = query.reshape(shape[0], key.shape[1], -1, *shape[2:])  # heads are [groups, heads in a group]
    scores = torch.matmul(query, key[:, :, None].transpose(-1, -2))
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if layer.softcap is not None:
        scores = torch.tanh(scores / layer.softcap) * layer.softcap
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    if layer.sinks is not None:
        sinks = layer.sinks.to(scores.dtype).view(1, *query.shape[1:3], 1, 1).expand(*scores.shape[:-1], 1)
        scores = torch.cat([scores, sinks], dim=-1)
    weights = F.dropout(scores.softmax(-1)[..., : shape[2]], layer.dropout)
    return torch.matmul(weights.to(value.dtype), value[:, :, None]).reshape(*shape[:3], -1)
