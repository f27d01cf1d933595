"""How sequences of one batch are kept apart: the quickest way on a device that leaves a model's hidden states as they are.

    loop     our attention function (`segments`): one call for each run of segments of equal lengths; on a CPU
    varlen   transformers' path to kernels for lists of segments (flash attention), all rows laid end to end; on a GPU
    mask     a square of tokens x tokens, handed to the model; one for each kind of layer where some have a sliding window
    padded   a row for each sequence: causal attention never looks at what is padded behind; for models of other kinds

A mask is not right by itself: handed to a model whose layers differ in their windows, one for all takes the windows away. Nor
is transformers' own reading of positions: gpt-oss makes its masks without them (5.24).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pluralign.errors import ModelError
from pluralign.models.attention import View
from pluralign.models.loading import KNOWN_LAYERS
from pluralign.tuning.batches import Batch
from pluralign.tuning.isolation import decoder_of, isolation_fault, model_name, sliding_window_of, states_of
from pluralign.tuning.segments import NAME, Segments, attend_in_segments

__all__ = ["How", "SegmentAttention", "hidden_states", "segment_attention"]

How = Literal["loop", "varlen", "mask", "padded"]


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
            why = f"; other ways were not right: {'; '.join(self.notes)}" if self.notes else ""
            raise ModelError(f"rows are to be padded, one sequence each (padded_batches), but this batch is packed{why}.")
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

    From then on the model takes what `inputs` makes and nothing else, where the way is "loop": open the loss before, and call
    the model's `set_attn_implementation` before it is used otherwise.
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
    usual: Sequence[How] = ("loop", "mask", "padded") if device.type == "cpu" else ("varlen", "mask", "padded")
    for how in usual if ways is None else ways:
        if how == "loop":
            yield how, NAME
        elif how == "varlen":
            yield how, "flash_attention_2"
        else:
            yield from ((how, "sdpa"), (how, "eager"))


def _fault(model: Any, attention: SegmentAttention, longest: int, dtype: torch.dtype | None) -> str | None:
    """Why this way is none for this model."""
    from transformers import AttentionInterface
    from transformers.utils import is_flash_attn_2_available

    AttentionInterface.register(NAME, attend_in_segments)
    if attention.how == "varlen" and not is_flash_attn_2_available():
        return "it takes a GPU and the package flash_attn"
    kinds = set(getattr(decoder_of(model).config, "layer_types", None) or ())
    if attention.how != "padded" and (unknown := kinds - KNOWN_LAYERS):
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
