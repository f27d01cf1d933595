"""Checkpoints of a training run that can be killed at any moment, on a disk that may be full, and goes on exactly.

    RUN/checkpoints/
        step-0000100/               whole: it was renamed to this when all of it lay on the disk
        step-0000200/
        step-0000200.old/           only where a kill came while that step was saved anew
        .pluralign-*.tmp/           being written or removed; left over, it belongs to a kill, and the next save removes it

One process, or DDP: rank 0 saves. `fully_shard`: every rank saves its own shards, in a folder that all of them see. Any number
of ranks goes on, in shards or not. Numbers come back as they were, bit by bit. Only what is trained is saved
(`checkpoint_tensors`): not the frozen base, not random states (draw by seed and step), not learning rates (set them by step).
Files are safetensors and JSON (`checkpoint_files`); nothing is pickled.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pluralign.errors import RunError
from pluralign.tuning.checkpoint_files import checkpoint_folders, file_names, find_fault, read_manifest
from pluralign.tuning.checkpoint_saving import Saving, world_size
from pluralign.tuning.checkpoint_tensors import is_sharded_model, load_tensors

__all__ = ["Checkpoint", "latest_checkpoint", "save_checkpoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One that is whole."""

    folder: Path
    step: int
    """Optimiser steps done."""
    state: dict[str, Any]
    """What the caller put there, JSON values."""

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer, *, rank: int = 0) -> None:
        """Puts the saved numbers into a model and an optimiser that were made as those of the run were; every rank does it.

        Shards of as many ranks go back as they are; any others are put together and cut anew. Raises RunError, before anything
        is changed, where names, shapes or kinds of numbers differ.
        """
        saved = read_manifest(self.folder)
        as_shards = saved.sharded and saved.n_ranks == world_size() and is_sharded_model(model)
        saved_by = [rank] if as_shards else range(saved.n_ranks if saved.sharded else 1)
        names = [file_names(one, saved.n_ranks, sharded=saved.sharded) for one in saved_by]
        weights, states = ([self.folder / pair[which] for pair in names] for which in range(2))
        load_tensors(weights, states, model, optimizer, as_shards=as_shards)


def save_checkpoint(
    root: Path,
    step: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: Mapping[str, Any],
    *,
    rank: int = 0,
    n_ranks: int = 1,
    sharded: bool = False,
    keep: int = 2,
) -> None:
    """Saves `root`/step-STEP, then removes all but the newest `keep`; a step that is there already is replaced.

    With `n_ranks` above 1 every rank calls it, also where rank 0 alone writes, and all raise if one does: RunError where the
    disk refuses (it names the last good checkpoint, which is untouched), where a later one is there, or for a state that is not
    JSON; UsageError where nothing is trained, or the optimiser is of other parameters.
    """
    saving = Saving(root=Path(root), step=step, rank=rank, n_ranks=n_ranks, sharded=sharded, keep=keep)
    saving.check(model)
    try:
        saving.together(lambda: saving.begin(state), first_rank_only=True)
        saving.together(lambda: saving.write(model, optimizer), first_rank_only=not sharded)
        saving.together(lambda: saving.finish(state), first_rank_only=True)
    finally:
        saving.clean()
    saving.together(saving.prune, first_rank_only=True)


def latest_checkpoint(root: Path, *, tell: Callable[[str], None] | None = None) -> Checkpoint | None:
    """The newest that is whole, by the sizes and hashes of its files; None where there is none at all.

    One that is passed over is told in a line, by a warning without `tell`; of many ranks, let all but one pass a `tell` that
    does nothing. Raises RunError where there are some and none is whole.
    """
    passed: list[str] = []
    for step, folder in checkpoint_folders(Path(root)):
        if (fault := find_fault(folder, step)) is None:
            for line in passed:
                (tell or _warn)(f"{line}; passed over, the checkpoint of step {step} is taken instead.")
            return Checkpoint(folder=folder, step=step, state=read_manifest(folder).state)
        passed.append(f"{folder}: {fault}")
    if passed:
        listed = "\n".join(f"  - {line}" for line in passed)
        raise RunError(
            f"{root}: no checkpoint is whole:\n{listed}\nPut a copy in its place, or remove the folder to start anew."
        )
    return None


def _warn(line: str) -> None:
    warnings.warn(line, stacklevel=3)
