"""Whether sequences that share a row, or a batch, are to the model as if each were alone: found out, not looked up.

Four short sequences go through the model as they would in training. Their hidden states have to be those of each sequence by
itself, and those of two must not move when every token of the other two, and of the padding, is another one:

    laid out    a a a a | b b b b b b        alone        a a a a,  b b b b b b,  c c,  d d d d d     the same states
                c c | d d d d d ·            changed      x x x x | b b b b b b
                                                          y y | d d d d d z                  the same states of b and d

Contamination is silent otherwise: the loss falls as ever. It comes from whatever passes an attention mask of ones or keeps a
cache, from models that do not hand positions to their masks, and from layers that are no attention at all (convolutions,
recurrences), which run from one sequence of a row into the next.

Missing: a model whose attention says nothing yet, because what comes behind it begins as zero, passes whatever it does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pluralign.errors import ModelError
from pluralign.models import FlatEncoded
from pluralign.tuning.batches import Batch, lay_out
from pluralign.tuning.packing import IntArray, Rows

__all__ = ["States", "assert_isolated", "decoder_of", "isolation_fault", "model_name", "sliding_window_of", "states_of"]

States = Callable[[Batch], Tensor]
"""Hidden states of a batch's tokens [rows x tokens, width], the rows laid end to end."""

TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.1}
"""Difference of a token's state, of its size, that is rounding: in float32 it is about 1e-6, contamination about 1."""
IN_A_ROW = 3
"""Tokens that have to be off one after another in 16 bits, where rounding may send a single one to another expert."""
LENGTHS = (9, 12, 5, 11)
"""Tokens of the sequences; the second is longer where a sliding window has to be passed."""


def assert_isolated(
    model: Any, states: States, *, longest: int, is_packed: bool = True, dtype: torch.dtype | None = None
) -> None:
    """Raises ModelError where sequences of one batch do not stay apart. Run it once before training: it takes a few passes.

    `states` is how training has its hidden states, wrappers and all. `longest` is the longest sequence of training, in tokens:
    the probe is longer than a sliding window that is shorter than that. `is_packed`: rows are shared. `dtype` is what products
    are computed in where autocast makes it another than that of the weights.
    """
    fault = isolation_fault(model, states, longest=longest, is_packed=is_packed, dtype=dtype)
    if fault is not None:
        way_out = (
            "pass no attention mask and use_cache=False, as SegmentAttention.inputs does; if that is so, train on padded rows"
        )
        raise ModelError(
            f"{model_name(model)}: {fault}; {way_out if is_packed else 'it cannot be trained on several at once'}."
        )


def isolation_fault(
    model: Any, states: States, *, longest: int, is_packed: bool = True, dtype: torch.dtype | None = None
) -> str | None:
    """What is wrong with how sequences are kept apart; None if nothing is. Arguments as of `assert_isolated`."""
    lengths, window = np.array(LENGTHS), sliding_window_of(model)
    if window is not None and window < longest:
        lengths[1] = max(lengths[1], min(longest, window + 8))
    owner, n_ids = np.repeat(np.arange(4), lengths), model.get_input_embeddings().weight.shape[0] - 3
    ids = np.arange(len(owner)) * 7919 % n_ids + 2
    other_ids = np.where(owner % 2 == 0, (ids - 1) % n_ids + 2, ids)
    rows = Rows(np.arange(4), np.array([0, 2, 4]) if is_packed else np.arange(5))
    batch, changed = _batch(ids, lengths, rows, pad_id=2), _batch(other_ids, lengths, rows, pad_id=3)
    with _in_evaluation(model), torch.no_grad():
        alone = _alone(model, ids, lengths)
        found, moved = (states(one)[torch.from_numpy(batch.segment_ids.ravel() >= 0)].float().cpu() for one in (batch, changed))
    products = dtype or model.dtype
    most, in_a_row = TOLERANCE[products], 1 if products == torch.float32 else IN_A_ROW
    apart = _differences(found, alone, lengths, in_a_row)
    leaks = _differences(moved, found, lengths, in_a_row)
    if not (leak := max(leaks[1::2])) <= most:
        return f"sequences of one batch change each other's hidden states, by {leak:.2g} of their size (rounding: {most:g})"
    if not (change := max(apart)) <= most:
        return f"hidden states are off by {change:.2g} of their size beside each sequence alone (rounding: {most:g})"
    return None


def decoder_of(model: Any) -> Any:
    """The part of a causal model that gives hidden states, adapters and all."""
    return model.get_decoder()


def states_of(output: Any) -> Tensor:
    """Hidden states in what a decoder gives [rows x tokens, width]; logits where it gives no hidden states."""
    states: Tensor = output.get("last_hidden_state", output.get("logits"))
    return states.flatten(0, 1)


def model_name(model: Any) -> str:
    """What the model was loaded from, or its kind."""
    config = decoder_of(model).config
    return str(getattr(config, "_name_or_path", None) or config.model_type)


def sliding_window_of(model: Any) -> int | None:
    """How many tokens back the model's windowed layers look, the token itself included; None where all look at all."""
    config = decoder_of(model).config
    kinds = getattr(config, "layer_types", None)
    if getattr(config, "use_sliding_window", None) is False or (kinds and "sliding_attention" not in kinds):
        return None
    window: int | None = getattr(config, "sliding_window", None)
    return window


def _batch(ids: IntArray, lengths: IntArray, rows: Rows, *, pad_id: int) -> Batch:
    starts = np.concatenate([[0], lengths.cumsum()])
    nothing = np.zeros(len(ids), dtype=np.int32)
    return lay_out(FlatEncoded(ids.astype(np.int32), nothing.astype(np.bool_), nothing, starts), rows, pad_id=pad_id)


def _alone(model: Any, ids: IntArray, lengths: IntArray) -> Tensor:
    """States of each sequence by itself, by the plainest attention that the model has [tokens, width]."""
    own = decoder_of(model).config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        parts = torch.split(torch.from_numpy(ids).to(model.device), lengths.tolist())
        found = [states_of(decoder_of(model)(input_ids=part[None], use_cache=False)) for part in parts]
    finally:
        model.set_attn_implementation(own)
    return torch.cat(found).float().cpu()


def _differences(found: Tensor, wanted: Tensor, lengths: IntArray, in_a_row: int) -> list[float]:
    """Of each sequence, the largest by which so many tokens in a row are off, of the size of what is wanted; NaN counts."""
    off = ((found - wanted).norm(dim=1) / wanted.norm(dim=1)).nan_to_num(torch.inf)
    return [float(part.unfold(0, in_a_row, 1).amin(1).amax()) for part in torch.split(off, lengths.tolist())]


@contextlib.contextmanager
def _in_evaluation(model: Any) -> Iterator[None]:
    """Without dropout; every part is put back as it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
