"""Causal models of a few thousand random weights: one of each kind of attention and position that scoring has to get right."""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from pluralign.models.attention import NAME
from pluralign.models.forward import Forward, PlainForward, TreeForward, register_attention

VOCAB = 97
_SMALL = {"vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
_IDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
_GROUPED = {"num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 512}

CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {**_SMALL, **_GROUPED},
    "qwen3": {**_SMALL, **_GROUPED},
    "gemma2": {  # scores and logits soft-capped, every second layer looks back 5 tokens only
        **_SMALL,
        **_GROUPED,
        "sliding_window": 5,
        "attn_logit_softcapping": 2.0,
        "final_logit_softcapping": 3.0,
        "query_pre_attn_scalar": 8,
    },
    "gemma3_text": {**_SMALL, **_GROUPED, "sliding_window": 6, "query_pre_attn_scalar": 8},
    "mistral": {**_SMALL, **_GROUPED, "sliding_window": 7},
    "gpt2": {"vocab_size": VOCAB, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 512},
    "gpt_oss": {  # attention sinks; every token goes to all experts, since rounding may flip a choice of experts
        **_SMALL,
        **_GROUPED,
        "sliding_window": 6,
        "num_local_experts": 4,
        "num_experts_per_tok": 4,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
    },
    "bloom": {"vocab_size": VOCAB, "hidden_size": 32, "n_layer": 2, "n_head": 4},  # a position bias: run the plain way
}
TREE = [name for name in CONFIGS if name != "bloom"]
"""Those that shared prefixes work with."""


BETWEEN_KERNELS = 1e-4
"""Nats by which float32 may differ between two ways of computing the same."""


@functools.cache
def model(kind: str, attention: str = "eager", dtype: torch.dtype = torch.float32) -> Any:
    """The model, with weights large enough that attention matters (in bfloat16 less so: rounding matters more then).

    Equal arguments give the same object: copy it before changing it.
    """
    torch.manual_seed(7)
    config = CONFIG_MAPPING[kind](**CONFIGS[kind], **_IDS)
    made = AutoModelForCausalLM.from_config(config, attn_implementation=attention, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8.0 if dtype == torch.float32 else 4.0)
    return made.to(dtype)


def talkative(kind: str, likely: Collection[int], *, vocab_size: int = VOCAB) -> Any:
    """A copy of the model, for tokenizers of this size, that seldom says anything but the `likely` ids."""
    torch.manual_seed(7)
    config = CONFIG_MAPPING[kind](**CONFIGS[kind] | {"vocab_size": vocab_size, "tie_word_embeddings": False}, **_IDS)
    made = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    output = torch.nn.Linear(32, vocab_size)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.mul_(6.0)
        output.weight.copy_(made.get_output_embeddings().weight)
        output.bias.fill_(-8.0)
        output.bias[list(likely)] = 0.0
    made.set_output_embeddings(output)
    return made


@functools.cache
def forward(kind: str, dtype: torch.dtype = torch.float32) -> Forward:
    """With shared prefixes wherever they work; the weights are those of `model`."""
    if kind not in TREE:
        return PlainForward(model(kind, dtype=dtype))
    register_attention()
    return TreeForward(model(kind, NAME, dtype))
