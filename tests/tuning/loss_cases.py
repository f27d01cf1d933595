"""Five sequences, some of their tokens supervised, as packed rows and one by one; tiny models to train on them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from models.tiny_models import CONFIGS, VOCAB
from pluralign.tuning.loss import Targets
from reference.plain_loss import plain_nats

KINDS = ("llama", "qwen3", "gemma2", "gemma3_text", "gpt2", "gpt_oss")
ROWS = ((0, 1), (2, 3), (4,))
"""The sequences in each packed row."""
MORE_CONFIGS = {  # what lies between the output layer and the logits: a factor, a divisor, and a factor with a divisor's name
    "cohere": CONFIGS["llama"] | {"logit_scale": 0.25},
    "granite": CONFIGS["llama"] | {"logits_scaling": 8.0},
    "hyperclovax": CONFIGS["llama"] | {"logits_scaling": 8.0},
}

LORA: dict[str, Any] = {
    "task_type": "CAUSAL_LM",
    "r": 16,
    "lora_alpha": 80,
    "target_modules": ["q_proj", "v_proj", "embed_tokens", "lm_head"],
}

_random = torch.Generator().manual_seed(0)
SEQUENCES = [torch.randint(3, VOCAB, (n,), generator=_random) for n in (13, 7, 17, 5, 11)]
IS_LOSS = [(torch.rand(len(ids), generator=_random) < 0.4) | (torch.arange(len(ids)) == 1) for ids in SEQUENCES]
WEIGHTS = [torch.rand(len(ids), generator=_random) + 0.1 for ids in SEQUENCES]
for _flags in IS_LOSS:
    _flags[0] = False
N_TARGETS = sum(int(flags.sum()) for flags in IS_LOSS)


def made(kind: str, *, tied: bool = False, attention: str = "eager") -> Any:
    """A model that is to be trained, without dropout, with weights large enough that attention matters."""
    torch.manual_seed(7)
    settings = (CONFIGS | MORE_CONFIGS)[kind] | {"tie_word_embeddings": tied, "pad_token_id": 0}
    config = CONFIG_MAPPING[kind](**settings)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention, dtype=torch.float32).train()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4.0)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def adapted(model: Any, config: Any) -> Any:
    """Without the warnings of peft about tied layers, and those that it causes itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return get_peft_model(model, config)


def lora_on(kind: str, *, tied: bool, **settings: Any) -> Any:
    """Adapters that have learnt something: fresh ones change nothing and half of their gradients are 0."""
    model = adapted(made(kind, tied=tied), LoraConfig(**(LORA | settings)))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.1)
    return model


def packed(rows: Sequence[Sequence[int]] = ROWS) -> tuple[Tensor, Targets, Tensor]:
    """Rows of ids, their targets and their positions; rows are as wide as the widest, and 0 is padding."""
    width = max(sum(len(SEQUENCES[n]) for n in row) for row in rows)
    ids, positions = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width, dtype=torch.long)
    before, target_ids, weights = [], [], []
    for n_row, row in enumerate(rows):
        first = 0
        for n in row:
            size = len(SEQUENCES[n])
            ids[n_row, first : first + size], positions[n_row, first : first + size] = SEQUENCES[n], torch.arange(size)
            for place in IS_LOSS[n].nonzero()[:, 0].tolist():
                before.append(n_row * width + first + place - 1)
                target_ids.append(int(SEQUENCES[n][place]))
                weights.append(float(WEIGHTS[n][place]))
            first += size
    return ids, Targets(torch.tensor(before).long(), torch.tensor(target_ids).long(), torch.tensor(weights).float()), positions


def masks(positions: Tensor, window: int) -> dict[str, Tensor]:
    """What to add to attention scores [rows, 1, tokens, tokens], for each kind of layer."""
    segment = (positions == 0).cumsum(1)
    place = torch.arange(positions.shape[1])
    far = place[:, None] - place
    full = (segment[:, :, None] == segment[:, None, :]) & (far >= 0)
    lowest = torch.finfo(torch.float32).min
    sliding = full & (far < window)
    found = {"full_attention": full, "sliding_attention": sliding}
    return {kind: torch.zeros(allowed.shape).masked_fill(~allowed, lowest)[:, None] for kind, allowed in found.items()}


def attention_of(kind: str, positions: Tensor) -> dict[str, Any]:
    """What keeps packed sequences apart besides positions: gpt_oss does not show its positions to its mask."""
    return {"attention_mask": masks(positions, CONFIGS[kind]["sliding_window"])} if kind == "gpt_oss" else {}


def plain_total(model: Any, numbers: Sequence[int] = range(5)) -> Tensor:
    """The reference's weighted sum of these sequences."""
    return plain_nats(model, *([several[n] for n in numbers] for several in (SEQUENCES, IS_LOSS, WEIGHTS)))


def worst_difference(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The largest over parameters of |found - expected| / |expected|, each a norm; gradients of 0 differ by their norm."""
    assert found.keys() == expected.keys()
    norms = {name: float(one.norm()) for name, one in expected.items()}
    return max(float((found[name] - expected[name]).norm()) / (norm or 1.0) for name, norm in norms.items())
