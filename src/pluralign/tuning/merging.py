"""The weights of a model in memory as its architecture names them, with what adapters add to them; the model is left as it is.

    base weights + alpha / rank x B A, added up in float32 and rounded once

Missing: adapters of other kinds than plain LoRA (DoRA, trained biases, modules trained whole), weights in shards (DTensor) and
quantised ones; each is refused.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from pluralign.errors import ModelError

__all__ = ["base_of", "merged_weights"]


def base_of(model: Any) -> Any:
    """The transformers model inside of its adapters, or the model itself. Raises ModelError for one that cannot be merged."""
    base = model.get_base_model() if getattr(model, "peft_config", None) else model
    if getattr(base.config, "quantization_config", None) is not None:
        raise ModelError(f"{type(base).__name__}: its weights are quantised; export from weights that are not.")
    return base


def merged_weights(base: Any, dtype: torch.dtype) -> dict[str, Tensor]:
    """Every weight by its architecture's name, in this precision, in main memory.

    `base` is what `base_of` gave. What needs no change is the model's own memory; names of one and the same weight have one and
    the same tensor. Raises ModelError for weights that are not here whole or not finite.
    """
    layers = _adapted(base)
    found: dict[str, Tensor] = {}
    once: dict[tuple[int, torch.Size], Tensor] = {}
    for name, tensor in base.state_dict().items():
        owner = name.partition(".lora_")[0]
        if owner in layers:
            continue
        owner, inside, last = name.partition(".base_layer.")
        is_merged = inside != "" and owner in layers and last == "weight"
        plain = f"{owner}.{last}" if inside and owner in layers else name
        _check_whole(plain, tensor)
        if is_merged:
            found[plain] = _converted(_merged(layers[owner], tensor), dtype)
        else:
            key = (tensor.data_ptr(), tensor.shape)
            once.setdefault(key, _converted(tensor, dtype))
            found[plain] = once[key]
        _check_finite(plain, found[plain], dtype)
    return found


def _adapted(base: Any) -> dict[str, Any]:
    """The layers with adapters, by name."""
    try:
        from peft.tuners.lora import Embedding, Linear
        from peft.tuners.tuners_utils import BaseTunerLayer
        from peft.utils.other import AuxiliaryTrainingWrapper
    except ImportError:  # then there are none
        return {}
    layers = {}
    for name, module in base.named_modules():
        if not isinstance(module, BaseTunerLayer | AuxiliaryTrainingWrapper):
            continue
        layer: Any = module
        if type(layer) not in (Linear, Embedding) or layer.lora_variant or any(layer.lora_bias.values()):
            raise ModelError(
                f"{name}: has adapters of another kind than B A on a linear or embedding layer ({type(layer).__name__}; DoRA "
                "or a trained bias, where it is Linear); merge them with peft and export the model that it makes."
            )
        if layer.merged:
            raise ModelError(f"{name}: its adapters are merged already; call unmerge_adapter() first.")
        layers[name] = layer
    return layers


def _merged(layer: Any, weight: Tensor) -> Tensor:
    """float32, as the layer computes: with all adapters that are active. No second matrix of that size is made."""
    total = weight.detach().to(torch.float32, copy=True)
    for adapter in [] if layer.disable_adapters else layer.active_adapters:
        if adapter in layer.lora_embedding_A:  # whose weights lie [ids, width]
            a, b, place = layer.lora_embedding_A[adapter], layer.lora_embedding_B[adapter], total.T
        elif adapter in layer.lora_A:
            a, b = layer.lora_A[adapter].weight, layer.lora_B[adapter].weight
            place = total.T if layer.fan_in_fan_out else total
        else:
            continue
        place.addmm_(b.detach().to(total), a.detach().to(total), alpha=layer.scaling[adapter])
    return total


def _converted(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.detach().to("cpu", dtype if tensor.is_floating_point() else tensor.dtype)


def _check_whole(name: str, tensor: Tensor) -> None:
    is_shard = False
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        from torch.distributed.tensor import DTensor

        is_shard = isinstance(tensor, DTensor)
    if is_shard or tensor.is_meta:
        raise ModelError(
            f"{name}: is not in this process's memory as a whole; gather the weights first, or load the last checkpoint in one "
            "process and export that."
        )


def _check_finite(name: str, tensor: Tensor, dtype: torch.dtype) -> None:
    if not tensor.is_floating_point() or not tensor.numel():
        return
    low, high = (float(one) for one in tensor.aminmax())  # takes no memory, and NaN is both
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ModelError(
            f"{name}: holds numbers that are not finite in {str(dtype).removeprefix('torch.')}; if training diverged, export "
            "an earlier checkpoint; if they are too large for float16, export in bfloat16 or float32."
        )
