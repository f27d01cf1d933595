"""A base model and its instruct sibling of a few thousand weights, in folders, each with its tokenizer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from models import tiny
from models.tiny_models import _IDS, CONFIGS
from pluralign.errors import ModelError, PluralignError
from pluralign.tuning.transplant import transplant

VOCAB = 480
"""Above all ids of the tokenizers, as padded vocabularies are."""
MORE: dict[str, dict[str, Any]] = {
    "phi": {**CONFIGS["llama"], "num_hidden_layers": 2},  # a bias in the output layer
    "gemma3": {  # the files put other words in front of a name than the class does
        "text_config": {**CONFIGS["gemma3_text"], "vocab_size": VOCAB},
        "vision_config": {
            **{"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
            **{"image_size": 28, "patch_size": 14},
        },
    },
}
BARE = {"gemma": tiny.gemma, "chatml": tiny.chatml, "llama": tiny.llama}


def model(kind: str = "llama", *, seed: int = 1, dtype: torch.dtype = torch.float32, **config: Any) -> Any:
    torch.manual_seed(seed)
    options = {"vocab_size": VOCAB, **_IDS} if kind != "gemma3" else {}
    made = AutoModelForCausalLM.from_config(CONFIG_MAPPING[kind](**({**CONFIGS, **MORE}[kind] | options | config)))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return made.to(dtype)


def sibling(of: Any, *, seed: int = 2) -> Any:
    """The same trained a little further, and further where the turn tokens may be (behind the pieces)."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in of.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
            if parameter.shape[0] == of.get_input_embeddings().weight.shape[0]:
                parameter[300:] += torch.randn_like(parameter[300:])
    return of


def save(made: Any, folder: Path, tokenizer: PreTrainedTokenizerFast, *, max_shard_size: str = "1GB") -> Path:
    made.save_pretrained(folder, max_shard_size=max_shard_size)
    tokenizer.save_pretrained(folder)
    return folder


def pair(
    place: Path,
    kind: str = "llama",
    *,
    family: str = "chatml",
    dtype: torch.dtype = torch.float32,
    max_shard_size: str = "1GB",
    **config: Any,
) -> tuple[Path, Path]:
    """Folders of a base whose tokenizer has no chat template, and of its sibling."""
    base = save(model(kind, dtype=dtype, **config), place / "base", BARE[family](), max_shard_size=max_shard_size)
    instruct = save(sibling(model(kind, dtype=dtype, **config)), place / "instruct", tiny.instruct(family))
    return base, instruct


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return {name: one for path in sorted(folder.glob("*.safetensors")) for name, one in load_file(path).items()}


def change(folder: Path, how: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Writes the tensors of a folder with one file again, changed."""
    found = tensors(folder)
    how(found)
    save_file(found, folder / "model.safetensors", metadata={"format": "pt"})


def configure(folder: Path, **fields: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def assert_refused(
    base: Path | str, instruct: Path | str, out: Path, message: str, kind: type[PluralignError] = ModelError
) -> None:
    """With this message, leaving no trace."""
    before = {path.name for path in out.parent.iterdir()}
    with pytest.raises(kind, match=message):
        transplant(base, instruct, out)
    assert {path.name for path in out.parent.iterdir()} == before
