"""Sequences for tiny models, packed and each by itself."""

from __future__ import annotations

import copy
import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from models import tiny_models
from pluralign.models import FlatEncoded
from pluralign.tuning.batches import Batch, lay_out
from pluralign.tuning.packing import IntArray, Rows

CPU = torch.device("cpu")
LENGTHS = (14, 9, 9, 1, 20, 5, 5, 3)
ROWS = ((0, 1, 2), (3, 4), (5, 6, 7))
"""Which sequences share a row: equal lengths side by side, one of a single token, padding in two rows."""
SPARE = {"vocab_size": tiny_models.VOCAB, "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2}
OTHERS: dict[str, dict[str, Any]] = {
    "gemma3_both": {  # windows in two layers of three
        **tiny_models.CONFIGS["gemma3_text"],
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    },
    "lfm2": {**SPARE, "intermediate_size": 48, "num_hidden_layers": 3, "full_attn_idxs": [1]},  # convolutions
    "mamba": {"vocab_size": tiny_models.VOCAB, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
}
TYPES = {"gemma3_both": "gemma3_text"}
ATTENTION = [*tiny_models.TREE, "gemma3_both"]
"""Kinds whose sequences can be packed."""


def model(kind: str) -> Any:
    """A copy, float32, with weights large enough that attention matters."""
    return copy.deepcopy(tiny_models.model(kind) if kind in tiny_models.CONFIGS else _other(kind))


@functools.cache
def _other(kind: str) -> Any:
    torch.manual_seed(7)
    config = CONFIG_MAPPING[TYPES.get(kind, kind)](**OTHERS[kind])
    made = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.mul_(2.0 if kind == "mamba" else 8.0)  # a recurrence makes more of what is rounded
    return made


def encoded(seed: int = 0, lengths: tuple[int, ...] = LENGTHS) -> FlatEncoded:
    """Random sequences that carry loss at about half of their tokens."""
    rng = np.random.default_rng(seed)
    n = sum(lengths)
    return FlatEncoded(
        ids=rng.integers(3, tiny_models.VOCAB, size=n).astype(np.int32),
        is_loss=rng.random(n) < 0.5,
        example_index=np.zeros(n, dtype=np.int32),
        starts=np.cumsum([0, *lengths]),
    )


def packed(several: FlatEncoded, rows: tuple[tuple[int, ...], ...] = ROWS) -> Batch:
    return lay_out(several, Rows(np.concatenate(rows), np.cumsum([0, *map(len, rows)])))


def padded(several: FlatEncoded) -> Batch:
    return lay_out(several, Rows(np.arange(len(several)), np.arange(len(several) + 1)))


def place_of(batch: Batch) -> IntArray:
    """Where each token of the sequences, in their own order, is in the batch's rows laid end to end."""
    flat = batch.segment_ids.ravel()
    return np.concatenate([np.flatnonzero(flat == segment) for segment in np.argsort(batch.sequences)])


def alone(made: Any, several: FlatEncoded) -> tuple[Tensor, Tensor]:
    """The plain way, sequence by sequence with the model's own attention: states [tokens, width], and the sum of the nats."""
    made.set_attn_implementation("eager")
    states, nats = [], torch.zeros(())
    for start, stop in zip(several.starts[:-1], several.starts[1:], strict=True):
        ids = torch.from_numpy(several.ids[start:stop].astype(np.int64))
        is_target = torch.from_numpy(several.is_loss[start:stop])
        is_target[0] = False
        states.append(made.get_decoder()(input_ids=ids[None], use_cache=False).last_hidden_state[0])
        logprobs = made.get_output_embeddings()(states[-1][:-1]).log_softmax(-1)
        nats = nats - logprobs.gather(1, ids[1:, None])[is_target[1:], 0].sum()
    return torch.cat(states), nats


def nats_of(made: Any, states: Tensor, batch: Batch) -> Tensor:
    """The same sum from a batch's states [rows x tokens, width]."""
    logits = made.get_output_embeddings()(states[torch.from_numpy(batch.before)])
    return torch.nn.functional.cross_entropy(logits, torch.from_numpy(batch.target_ids), reduction="sum")


def gradient(made: Any, nats: Tensor) -> Tensor:
    """Of all parameters, one after another."""
    made.zero_grad()
    nats.backward()
    return torch.cat([p.grad.flatten() for p in made.parameters() if p.grad is not None])


def off(found: Tensor, wanted: Tensor) -> float:
    """The largest difference of a token's state, of its size."""
    return float(((found - wanted).norm(dim=-1) / wanted.norm(dim=-1)).max().detach())
