"""Low-rank adapters on a causal model, on its embedding and output layers too, and the two untied where they were one matrix.

    weights  =  W + alpha / rank x B A       W [out, in] frozen, in its own precision; A [rank, in] and B [out, rank] in float32

Where embedding and output layer share W, adapters of their own would make two layers of what the configuration says is one, and
whoever merges or loads them would lose one of the two without a word. So they are untied before: the output layer gets a copy.

Source: Hu et al. 2022, LoRA (arXiv 2106.09685), by the package peft; the published settings are those of Sorensen et al. 2025,
Spectrum Tuning (arXiv 2510.06084).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pluralign.errors import MissingExtraError, ModelError, UsageError
from pluralign.tuning.settings import LoraSettings

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["add_lora", "untie"]


def add_lora(model: Any, settings: LoraSettings, *, seed: int = 0) -> PeftModel:
    """The model with adapters that change nothing yet (B is 0); it is changed in place, and all else of it is frozen.

    With `embeddings` it is untied first. Equal seeds give equal adapters. Raises UsageError for a target that no layer has the
    name of, and names those that there are.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise MissingExtraError("peft", extra="local") from error
    _check_plain(model)
    layers = [name for target in settings.targets for name in _layers_named(model, target)]
    ends = [_name_of(model, layer) for layer in _ends(model)] if settings.embeddings else []
    if settings.embeddings:
        untie(model)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=_short(model, [*layers, *ends]),
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():  # adapters are made on the CPU
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to")  # which peft then sets right itself
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        torch.manual_seed(seed)
        return get_peft_model(model, config)


def untie(model: Any) -> bool:
    """Gives the output layer its own copy of the embedding's weights, and says so in the configuration; whether it had none.

    The model is changed in place, before adapters and before optimisers hold its parameters. Raises ModelError for one with
    adapters, and for one whose two layers its architecture ties whatever the configuration says.
    """
    _check_plain(model)
    embedding, output = _ends(model)
    was_tied = output.weight is embedding.weight
    if was_tied:
        output.weight = nn.Parameter(embedding.weight.detach().clone(), requires_grad=embedding.weight.requires_grad)
    for config in (model.config, model.config.get_text_config()):
        config.tie_word_embeddings = False
    model.all_tied_weights_keys.pop(f"{_name_of(model, output)}.weight", None)  # by which others tie
    model.tie_weights()  # as loading the model again does
    if output.weight is embedding.weight:
        raise ModelError(
            f"{type(model).__name__} ties its embedding and its output layer whatever its configuration says, so they cannot "
            "be trained apart; leave them out of the adapters (embeddings=False)."
        )
    return was_tied


def _check_plain(model: Any) -> None:
    if getattr(model, "peft_config", None):
        raise ModelError("this model has adapters already; give the model inside, or load it again.")


def _ends(model: Any) -> tuple[nn.Embedding, nn.Linear]:
    embedding, output = model.get_input_embeddings(), model.get_output_embeddings()
    if not isinstance(embedding, nn.Embedding) or not isinstance(output, nn.Linear):
        raise ModelError(
            f"{type(model).__name__} has {type(embedding).__name__} for an embedding and {type(output).__name__} for an output "
            "layer, where adapters need an Embedding and a Linear; leave them out (embeddings=False)."
        )
    return embedding, output


def _name_of(model: nn.Module, layer: nn.Module) -> str:
    name: str = next(name for name, module in model.named_modules() if module is layer)
    return name


def _layers_named(model: Any, target: str) -> list[str]:
    """Full names of the decoder's layers that this is the end of the name of."""
    candidates = _candidates(model)
    found = [name for name in candidates if name == target or name.endswith(f".{target}")]
    if not found:
        there = sorted({name.rpartition(".")[2] for name in candidates})
        raise UsageError(
            f"no layer of {type(model).__name__} that can have adapters has a name that ends in '{target}'; "
            f"those there are: {', '.join(there)}."
        )
    return found


def _candidates(model: Any) -> list[str]:
    """Full names of the linear layers of the text decoder: an encoder of images has no part in this."""
    from transformers.pytorch_utils import Conv1D

    decoder = model.get_decoder()
    inside = {id(module) for module in decoder.modules() if isinstance(module, nn.Linear | Conv1D)}
    return [name for name, module in model.named_modules() if id(module) in inside]


def _short(model: nn.Module, names: list[str]) -> list[str]:
    """Last parts in place of full names, where no other module ends so; this is what others' loaders know best."""
    chosen = set(names)
    short: set[str] = set()
    for last in {name.rpartition(".")[2] for name in names}:
        alike = {name for name, _ in model.named_modules() if name.rpartition(".")[2] == last}
        short |= {last} if alike <= chosen else alike & chosen
    return sorted(short)
