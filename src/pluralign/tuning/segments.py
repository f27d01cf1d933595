"""Attention in packed rows: each token looks back to the beginning of its own sequence and no further.

    rows        a a a c c ·               a a a c c ·   b b b b · ·         as one list of runs of equal lengths
                b b b b · ·           a   1                                 a  c  ·  b  · ·
                                      a   1 1                               3  2  1  4  2      tokens
    what each may look at (only       a   1 1 1                             1  1  0  1  0      segments
    the ones are ever computed,       c         1
    by "loop" and by "varlen")        c         1 1
                                      ·             1
                                      b               1                     with a sliding window of 3 the last
                                      b               1 1                   token of b looks at the three before
                                      b               1 1 1                 and at itself no more: · 1 1 1
                                      b               1 1 1 1

There are four ways, of which `segment_attention` takes the first that leaves a model's hidden states as they are:

    loop     our attention function in transformers' registry: one call for each run of segments of equal lengths; on a CPU
    varlen   transformers' path to kernels for lists of segments (flash attention), all rows laid end to end; on a GPU
    mask     the square above, handed to the model; one for each kind of layer where some have a sliding window
    padded   a row for each sequence: causal attention never looks at what is padded behind; for models of other kinds

`mask` is right where transformers' own reading of positions is not: gpt-oss makes its masks without them (5.24).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from pluralign.errors import ModelError
from pluralign.models.attention import View
from pluralign.models.loading import KNOWN_LAYERS
from pluralign.tuning.batches import Batch
from pluralign.tuning.isolation import decoder_of, isolation_fault, model_name, sliding_window_of, states_of

__all__ = ["NAME", "How", "Run", "SegmentAttention", "Segments", "attend_in_segments", "hidden_states", "segment_attention"]

How = Literal["loop", "varlen", "mask", "padded"]
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
    if segments is None or others.get("position_bias") is not None or not looks_back or query.shape[2] != key.shape[2]:
        raise NotImplementedError("attention without segments, with a position bias or a cache, or to what comes later")
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
    scores = torch.matmul(query, key[:, :, None].transpose(-1, -2)).float()
    if layer.softcap is not None:
        scores = torch.tanh(scores / layer.softcap) * layer.softcap
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    if layer.sinks is not None:
        sinks = layer.sinks.float().view(1, *query.shape[1:3], 1, 1).expand(*scores.shape[:-1], 1)
        scores = torch.cat([scores, sinks], dim=-1)
    weights = F.dropout(scores.softmax(-1)[..., : shape[2]], layer.dropout)
    return torch.matmul(weights.to(value.dtype), value[:, :, None]).reshape(*shape[:3], -1)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SegmentAttention:
    """How a model's attention is kept within segments, and what it is handed for a batch."""

    how: How
    implementation: str
    """Of attention, as transformers names it; the model is set to it."""
    device: torch.device
    dtype: torch.dtype
    """Of the model's weights."""
    windows: Mapping[str, int | None]
    """Of each kind of layer that has a mask of its own; a single mask has the name ""."""
    notes: tuple[str, ...] = ()
    """Why the ways before this one were not taken."""

    def inputs(self, batch: Batch) -> dict[str, Any]:
        """The arguments of the model's forward for this batch.

        Hidden states come as rows [rows, tokens], by "varlen" as one row of all tokens: flatten them. Raises ModelError for a
        packed batch where rows have to be padded.
        """
        given: dict[str, Any] = {"input_ids": self._tensor(batch.input_ids), "attention_mask": None, "use_cache": False}
        if self.how == "loop":
            given["segments"] = Segments.of(batch)
        if not batch.is_packed:
            return given
        if self.how == "padded":
            raise ModelError(f"this model takes one sequence a row (padded_batches), since {'; '.join(self.notes)}.")
        given["position_ids"] = self._tensor(batch.position_ids)
        if self.how == "mask":
            given["attention_mask"] = self._masks(batch)
        return given | self._laid_end_to_end(batch, given) if self.how == "varlen" else given

    def _laid_end_to_end(self, batch: Batch, given: dict[str, Any]) -> dict[str, Any]:
        lengths = Segments.of(batch).lengths()
        edges = self._tensor(np.cumsum([0, *lengths], dtype=np.int32))
        laid = {name: given[name].reshape(1, -1) for name in ("input_ids", "position_ids")}
        sizes = {"max_length_q": max(lengths), "max_length_k": max(lengths)}
        return {**laid, "cu_seq_lens_q": edges, "cu_seq_lens_k": edges, **sizes}

    def _masks(self, batch: Batch) -> Tensor | dict[str, Tensor]:
        """[rows, 1, tokens, tokens], of each kind of layer where there are several."""
        place = np.arange(batch.input_ids.shape[1])
        lengths = np.bincount(batch.segment_ids[batch.segment_ids >= 0])
        stop = np.where(batch.segment_ids < 0, place + 1, place - batch.position_ids + lengths[batch.segment_ids])
        view = View(self._tensor(batch.position_ids), stop=self._tensor(stop))
        masks = {kind: self._as_mask(view.own_mask(window)) for kind, window in self.windows.items()}
        return masks.get("", masks)

    def _as_mask(self, may_look: Tensor | None) -> Tensor:
        assert may_look is not None, "packed rows have tokens that do not see each other"
        mask = may_look[:, None]
        if self.implementation != "eager":
            return mask
        return torch.zeros(mask.shape, dtype=self.dtype, device=self.device).masked_fill(~mask, torch.finfo(self.dtype).min)

    def _tensor(self, array: npt.NDArray[np.integer[Any]]) -> Tensor:
        return torch.from_numpy(array).to(self.device, non_blocking=True)


def hidden_states(model: Any, attention: SegmentAttention, batch: Batch) -> Tensor:
    """States of a batch's tokens, ready for the output layer [rows x tokens, width], the rows laid end to end."""
    return states_of(decoder_of(model)(**attention.inputs(batch)))


def segment_attention(
    model: Any, device: torch.device, *, longest: int, dtype: torch.dtype | None = None, ways: Sequence[How] | None = None
) -> SegmentAttention:
    """The first way that keeps this model's sequences apart; the model, which is on the device, is set to it.

    Every way is put to the test of `isolation_fault`, whose arguments `longest` and `dtype` are. `ways` are those to try, in
    this order; not given, they are what is quick on the device and then what always works. Raises ModelError where none does.
    """
    notes: list[str] = []
    for how, implementation in _candidates(device, ways):
        found = SegmentAttention(
            how=how,
            implementation=implementation,
            device=device,
            dtype=model.dtype,
            windows=_windows(model),
            notes=tuple(notes),
        )
        fault = _fault(model, found, longest, dtype)
        if fault is None:
            return found
        notes.append(f"{how} ({implementation}): {fault}")
    raise ModelError(f"{model_name(model)}: sequences of one batch cannot be kept apart: {'; '.join(notes)}.")


def _candidates(device: torch.device, ways: Sequence[How] | None) -> Iterator[tuple[How, str]]:
    """Ways with the implementations of attention that they may have."""
    from transformers.utils import is_flash_attn_2_available

    usual: Sequence[How] = ("loop", "mask", "padded") if device.type == "cpu" else ("varlen", "mask", "padded")
    for how in usual if ways is None else ways:
        if how == "loop":
            yield how, NAME
        elif how != "varlen":
            yield from ((how, "sdpa"), (how, "eager"))
        elif is_flash_attn_2_available():
            yield how, "flash_attention_2"


def _fault(model: Any, attention: SegmentAttention, longest: int, dtype: torch.dtype | None) -> str | None:
    """Why this way is none for this model."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attend_in_segments)
    kinds = set(getattr(decoder_of(model).config, "layer_types", None) or ())
    if attention.how in ("loop", "mask") and (unknown := kinds - KNOWN_LAYERS):
        return f"it has layers of another kind: {', '.join(sorted(unknown))}"
    precision = torch.autocast(attention.device.type, dtype, enabled=dtype not in (None, model.dtype))
    states = partial(hidden_states, model, attention)
    try:
        model.set_attn_implementation(attention.implementation)
        if decoder_of(model).config._attn_implementation != attention.implementation:
            return f"{type(model).__name__} has an attention of its own"
        with precision:
            return isolation_fault(model, states, longest=longest, is_packed=attention.how != "padded", dtype=dtype)
    except (NotImplementedError, RuntimeError, TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
        return f"{type(error).__name__}: {error}"


def _windows(model: Any) -> dict[str, int | None]:
    """The sliding window of each kind of layer, where there are several; else that of all, under the name ""."""
    kinds = getattr(decoder_of(model).config, "layer_types", None) or ()
    window = sliding_window_of(model)
    return {"full_attention": None, "sliding_attention": window} if len(set(kinds)) > 1 else {"": window}
