"""What of a model and its optimiser goes into a checkpoint, under which names, and how it gets back.

    weights     NAME           each parameter that requires gradients, once if it is tied; buffers, see `trained_tensors`
    optimizer   KEY/NAME       of those parameters: exp_avg/NAME, exp_avg_sq/NAME, step/NAME

Settings of the optimiser's groups (learning rate, betas, weight decay) are not saved: they are what the run's configuration and
its schedule make them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from pluralign.errors import RunError, UsageError
from pluralign.tuning.checkpoint_files import DTYPES

__all__ = ["is_sharded_model", "load_tensors", "local", "optimizer_tensors", "plain_name", "trained_tensors"]

_IN_FRONT = ("module.", "_orig_mod.")
"""Added to names by DDP and by `torch.compile`."""
_ANYWHERE = ("_orig_mod", "_checkpoint_wrapped_module")
_N_NAMED = 3
"""Faulty names that an error lists."""


def plain_name(name: str) -> str:
    """A parameter's name without what wrappers add to it.

    >>> plain_name("module._orig_mod.model.layers.0._orig_mod.weight")
    'model.layers.0.weight'
    """
    while name.startswith(_IN_FRONT):
        name = name.partition(".")[2]
    return ".".join(part for part in name.split(".") if part not in _ANYWHERE)


def trained_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The parameters that require gradients, and what else training changes, by plain name: the model's own tensors.

    Persistent buffers count where their own module has such a parameter (running means of a batch norm); those of frozen
    modules, such as the packed weights of a quantised base, do not. Raises UsageError where nothing is trained, or where two
    names are the same without their prefixes.
    """
    _reshard(model)
    found: dict[str, Tensor] = {}
    for name, tensor in _trained(model):
        if (plain := plain_name(name)) in found:
            raise UsageError(
                f"two trained tensors of the model are called {plain!r} without the prefixes of wrappers; rename one."
            )
        found[plain] = tensor
    if not found:
        raise UsageError("no parameter of the model requires gradients, so that there is nothing to save.")
    return found


def _trained(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)
    for prefix, module in model.named_modules():
        if any(parameter.requires_grad for parameter in module.parameters(recurse=False)):
            for name, buffer in module.named_buffers(recurse=False):
                if name in module.state_dict(keep_vars=True):
                    yield f"{prefix}.{name}" if prefix else name, buffer


def optimizer_tensors(optimizer: torch.optim.Optimizer, trained: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the optimiser keeps for each trained parameter, as KEY/NAME; parameters without a gradient so far have nothing.

    Raises UsageError for parameters that are not the model's, RunError for what cannot be saved.
    """
    found: dict[str, Tensor] = {}
    for name, parameter, _ in _owners(optimizer, trained):
        for key, value in optimizer.state.get(parameter, {}).items():
            if not isinstance(value, Tensor):
                raise RunError(
                    f"{type(optimizer).__name__} keeps {key!r} of {name} as {type(value).__name__}; checkpoints hold tensors "
                    "only. Use torch.optim.AdamW."
                )
            if _is_sharded([parameter]) and value.ndim and not _in_same_shards(value, parameter):
                raise RunError(
                    f"{type(optimizer).__name__} keeps {key!r} of {name}, which is in shards, in another shape or in other "
                    "shards; that cannot be saved. Use torch.optim.AdamW."
                )
            found[f"{key}/{name}"] = value
    return found


def _is_sharded(tensors: Iterable[Tensor]) -> bool:
    """Whether any of them is a DTensor, as `fully_shard` makes them."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return False
    from torch.distributed.tensor import DTensor  # takes a second, and a process by itself has none

    return any(isinstance(tensor, DTensor) for tensor in tensors)


def is_sharded_model(model: nn.Module) -> bool:
    """Whether `fully_shard` was called on it or on parts of it."""
    _reshard(model)
    return _is_sharded(model.parameters())


def local(tensor: Tensor) -> Tensor:
    """What of a tensor this process has, in the same memory; without gradients."""
    return _to_local(tensor.detach()) if _is_sharded([tensor]) else tensor.detach()


def load_tensors(weights: Path, states: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Puts saved numbers in the place of the model's and the optimiser's. Nothing is changed before all is known to fit.

    Raises RunError where names, shapes or kinds of numbers are not the model's.
    """
    trained = trained_tensors(model)
    owners = {name: (parameter, group) for name, parameter, group in _owners(optimizer, trained)}
    try:
        with safe_open(weights, framework="pt") as of_model, safe_open(states, framework="pt") as of_optimizer:
            _check_model(weights, of_model, trained)
            saved_keys = sorted(of_optimizer.keys())
            keys = {key: owners.get(key.partition("/")[2]) for key in saved_keys}
            _check_optimizer(states, of_optimizer, keys)
            with torch.no_grad():
                for name, tensor in trained.items():
                    local(tensor).copy_(of_model.get_tensor(name))
                optimizer.state.clear()
                for key, owner in keys.items():
                    if owner is not None:
                        kept = _state(key.partition("/")[0], of_optimizer.get_tensor(key), *owner)
                        optimizer.state[owner[0]][key.partition("/")[0]] = kept
    except (OSError, SafetensorError) as error:
        raise RunError(f"{weights.parent}: cannot be read: {error}; take an earlier checkpoint.") from error


def _owners(optimizer: torch.optim.Optimizer, trained: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor, dict[str, Any]]]:
    """Name, parameter and group of each trained parameter that the optimiser has."""
    names = {id(tensor): name for name, tensor in trained.items()}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if id(parameter) in names:
                yield names[id(parameter)], parameter, group
            elif parameter.requires_grad:
                raise UsageError(
                    f"the optimiser has a parameter {[*parameter.shape]} that is not one of the model's; make the optimiser "
                    "after adapters are added and after `fully_shard`, of that model's parameters."
                )


def _state(key: str, saved: Tensor, parameter: Tensor, group: Mapping[str, Any]) -> Tensor:
    """In memory of its own, where this optimiser expects it: counts of steps on the CPU unless they are used on the device."""
    here = local(parameter)
    on_cpu = key == "step" and not (group.get("fused") or group.get("capturable"))
    device = torch.device("cpu") if on_cpu else here.device
    if saved.shape != here.shape:
        return torch.empty_like(saved, device=device).copy_(saved)
    kept = torch.empty_like(here, dtype=saved.dtype, device=device).copy_(saved)
    return _from_local(kept, parameter) if _is_sharded([parameter]) else kept


def _check_model(path: Path, saved: Any, trained: Mapping[str, Tensor]) -> None:
    there, faults = set(saved.keys()), []
    if missing := sorted(trained.keys() - there):
        faults.append(f"it lacks {_some(missing)}, which the model trains")
    if extra := sorted(there - trained.keys()):
        faults.append(f"it has {_some(extra)}, which the model does not train")
    others = []
    for name in sorted(trained.keys() & there):
        found, here = saved.get_slice(name), local(trained[name])
        if (found.get_shape(), found.get_dtype()) != ([*here.shape], DTYPES.get(here.dtype)):
            others.append(f"{name} ({found.get_dtype()} {found.get_shape()}, here {DTYPES.get(here.dtype)} {[*here.shape]})")
    if others:
        faults.append(f"of another kind or shape is {_some(others)}")
    if faults:
        raise RunError(f"{path}: is not of this model: {'; '.join(faults)}. Start with the same model, adapters and shards.")


def _check_optimizer(path: Path, saved: Any, keys: Mapping[str, tuple[Tensor, Any] | None]) -> None:
    if strange := sorted(key for key, owner in keys.items() if owner is None):
        raise RunError(f"{path}: has {_some(strange)}, which the optimiser does not have; make it of the same parameters.")
    for key, owner in keys.items():
        shape = saved.get_slice(key).get_shape()
        if owner is not None and shape and _is_sharded([owner[0]]) and shape != [*local(owner[0]).shape]:
            raise RunError(
                f"{path}: {key} is {shape}, this rank's shard {[*local(owner[0]).shape]}; run it in the same shards."
            )


def _some(names: list[str]) -> str:
    rest = len(names) - _N_NAMED
    return ", ".join(names[:_N_NAMED]) + (f" and {rest:,} more" if rest > 0 else "")


def _reshard(model: nn.Module) -> None:
    """After an evaluation `fully_shard` leaves the root's parameters whole, as other objects than the optimiser has."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        from torch.distributed.fsdp import FSDPModule

        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.reshard()


def _to_local(tensor: Any) -> Tensor:
    found: Tensor = tensor.to_local()
    return found


def _in_same_shards(value: Any, parameter: Any) -> bool:
    if not _is_sharded([value]):
        return False
    return bool(value.shape == parameter.shape and value.placements == parameter.placements)


def _from_local(kept: Tensor, parameter: Any) -> Tensor:
    from torch.distributed.tensor import DTensor

    mesh, placements = parameter.device_mesh, parameter.placements
    return DTensor.from_local(kept, mesh, placements, run_check=False, shape=parameter.shape, stride=parameter.stride())
