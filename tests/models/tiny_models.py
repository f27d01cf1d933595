"""Causal models of a few thousand random weights: one of each kind of attention and position that scoring has to get right."""

from __future__ import annotations

import functools
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

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
    "gpt_oss": {**_SMALL, **_GROUPED, "sliding_window": 6, "num_local_experts": 4, "num_experts_per_tok": 2},  # attention sinks
    "bloom": {"vocab_size": VOCAB, "hidden_size": 32, "n_layer": 2, "n_head": 4},  # a position bias: run the plain way
}
TREE = [name for name in CONFIGS if name != "bloom"]
"""Those that shared prefixes work with."""


@functools.cache
def model(kind: str, attention: str = "eager") -> Any:
    """The model, in float32, with weights large enough that attention matters."""
    torch.manual_seed(7)
    config = CONFIG_MAPPING[kind](**CONFIGS[kind], **_IDS)
    made = AutoModelForCausalLM.from_config(config, attn_implementation=attention, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8.0)
    return made
