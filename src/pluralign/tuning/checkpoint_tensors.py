"""What of a model and its optimiser goes into a checkpoint, under which names, and how it gets back.

    weights     NAME           each parameter that requires gradients, once if it is tied; buffers, see `trained_tensors`
    optimizer   KEY/NAME       of those parameters: exp_avg/NAME, exp_avg_sq/NAME, step/NAME

Settings of the optimiser's groups (learning rate, betas, weight decay) are not saved: they are what the run's configuration and
its schedule make them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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


def load_tensors(
    weights: Sequence[Path], states: Sequence[Path], model: nn.Module, optimizer: torch.optim.Optimizer, *, as_shards: bool
) -> None:
    """Puts saved numbers in the place of the model's and the optimiser's. Nothing is changed before all is known to fit.

    `weights` and `states` are this rank's own files with `as_shards`; else those of all ranks that saved, whose shards are put
    together, a tensor at a time, and cut as this model's are, if they are. Raises RunError where names, shapes or kinds of
    numbers are not the model's.
    """
    trained = trained_tensors(model)
    owners = {name: (parameter, group) for name, parameter, group in _owners(optimizer, trained)}
    view = local if as_shards else torch.Tensor.detach
    try:
        with contextlib.ExitStack() as stack:
            of_model, of_optimizer = (
                _SavedTensors([stack.enter_context(safe_open(path, framework="pt")) for path in paths], shapes)
                for paths, shapes in (
                    (weights, {name: view(tensor).shape for name, tensor in trained.items()}),
                    (states, {name: view(parameter).shape for name, (parameter, _) in owners.items()}),
                )
            )
            _check_model(weights[0], of_model, {name: view(tensor) for name, tensor in trained.items()})
            keys = {key: owners.get(key.partition("/")[2]) for key in of_optimizer.names}
            _check_optimizer(states[0], of_optimizer, keys, view)
            with torch.no_grad():
                for name, tensor in trained.items():
                    local(tensor).copy_(_part(of_model.tensor(name), tensor, as_shards=as_shards))
                optimizer.state.clear()
                for key, owner in keys.items():
                    if owner is not None:
                        saved = _part(of_optimizer.tensor(key), owner[0], as_shards=as_shards)
                        optimizer.state[owner[0]][key.partition("/")[0]] = _state(key.partition("/")[0], saved, *owner)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{weights[0].parent}: cannot be read: {error}; take an earlier checkpoint.") from error


class _SavedTensors:
    """The tensors of a file, or those that several ranks saved in shards as they are whole."""

    def __init__(self, files: Sequence[Any], shapes: Mapping[str, torch.Size]) -> None:
        """Of open safetensors; `shapes` are those that the tensors of a name, or of KEY/NAME, are to have."""
        self._files = [(file, set(file.keys())) for file in files]
        self._shapes = shapes
        self.names = sorted(set().union(*(names for _, names in self._files)))

    def shape(self, name: str) -> list[int]:
        """Of the whole; where shards are not of what it is to be, that of the first."""
        pieces, axis = self._pieces(name)
        found = list(pieces[0].get_shape())
        if axis is not None:
            found[axis] = sum(piece.get_shape()[axis] for piece in pieces)
        return found

    def dtype(self, name: str) -> str:
        """As safetensors calls it."""
        return str(self._pieces(name)[0][0].get_dtype())

    def tensor(self, name: str) -> Tensor:
        """Read now."""
        pieces, axis = self._pieces(name)
        found: Tensor = pieces[0][...] if axis is None else torch.cat([piece[...] for piece in pieces], dim=axis)
        return found

    def _pieces(self, name: str) -> tuple[list[Any], int | None]:
        """Those that hold something, or else the first, in the order of ranks; the axis along which they make the whole."""
        found = [file.get_slice(name) for file, names in self._files if name in names]
        pieces = [piece for piece in found if 0 not in piece.get_shape()] or found[:1]
        whole = list(self._shapes.get(name, self._shapes.get(name.partition("/")[2], ())))
        shapes = [list(piece.get_shape()) for piece in pieces]
        if shapes[0] == whole or len(shapes[0]) != len(whole):
            return pieces[:1], None
        for axis, size in enumerate(whole):
            if all([*shape[:axis], size, *shape[axis + 1 :]] == whole for shape in shapes):
                return (pieces, axis) if sum(shape[axis] for shape in shapes) == size else (pieces[:1], None)
        return pieces[:1], None


def _part(saved: Tensor, tensor: Tensor, *, as_shards: bool) -> Tensor:
    """What of a whole tensor is this rank's, where this one is in shards."""
    if as_shards or saved.shape != tensor.shape or not _is_sharded([tensor]):
        return saved
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(tensor, DTensor)
    cut = distribute_tensor(saved, tensor.device_mesh, tensor.placements, src_data_rank=None)
    return _to_local(cut)


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


def _check_model(path: Path, saved: _SavedTensors, trained: Mapping[str, Tensor]) -> None:
    there, faults = set(saved.names), []
    if missing := sorted(trained.keys() - there):
        faults.append(f"it lacks {_some(missing)}, which the model trains")
    if extra := sorted(there - trained.keys()):
        faults.append(f"it has {_some(extra)}, which the model does not train")
    others = []
    for name in sorted(trained.keys() & there):
        found, here = (saved.shape(name), saved.dtype(name)), trained[name]
        if found != ([*here.shape], DTYPES.get(here.dtype)):
            others.append(f"{name} ({found[1]} {found[0]}, here {DTYPES.get(here.dtype)} {[*here.shape]})")
    if others:
        faults.append(f"of another kind or shape is {_some(others)}")
    if faults:
        raise RunError(f"{path}: is not of this model: {'; '.join(faults)}. Start with the same model, adapters and shards.")


def _check_optimizer(
    path: Path, saved: _SavedTensors, keys: Mapping[str, tuple[Tensor, Any] | None], view: Callable[[Tensor], Tensor]
) -> None:
    if strange := sorted(key for key, owner in keys.items() if owner is None):
        raise RunError(f"{path}: has {_some(strange)}, which the optimiser does not have; make it of the same parameters.")
    for key, owner in keys.items():
        shape = saved.shape(key)
        if owner is not None and shape and _is_sharded([owner[0]]) and shape != [*view(owner[0]).shape]:
            raise RunError(f"{path}: {key} is {shape}, this rank's shard {[*view(owner[0]).shape]}; run it in the same shards.")


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
