"""The steps of saving a checkpoint on one rank, or on many in step with each other.

    begin    rank 0      removes what killed processes left, makes a hidden folder .pluralign-*.tmp
    write    each rank   its files, flushed to the disk (only rank 0 where nothing is sharded)
    finish   rank 0      state.json, flushed; the folder gets its name
    prune    rank 0      removes checkpoints that are not to be kept

After each step the ranks hear of each other whether it went well; if not, all of them raise.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from torch import nn

from pluralign.errors import RunError, UsageError
from pluralign.files import UNFINISHED, read_json, sync_folder
from pluralign.tuning.checkpoint_files import (
    FileRecord,
    Manifest,
    checkpoint_folder,
    checkpoint_folders,
    discard,
    file_names,
    find_fault,
    old_folder,
    write_json,
    write_manifest,
    write_tensors,
)
from pluralign.tuning.checkpoint_tensors import is_sharded_model, local, optimizer_tensors, trained_tensors

__all__ = ["Saving", "world_size"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """One save, on one rank."""

    root: Path
    step: int
    rank: int
    n_ranks: int
    sharded: bool
    keep: int

    @property
    def unfinished(self) -> Path:
        """The folder that is being written, the same on every rank."""
        return self.root / UNFINISHED.replace("*", f"step-{self.step:07d}")

    def check(self, model: nn.Module) -> None:
        """Raises UsageError, on every rank alike."""
        if self.keep < 1 or self.step < 0 or not 0 <= self.rank < self.n_ranks:
            raise UsageError(
                f"step is {self.step}, rank {self.rank} of {self.n_ranks}, keep {self.keep}; steps and ranks count from 0, and "
                "at least one checkpoint is kept."
            )
        if self.n_ranks != world_size() and (self.n_ranks > 1 or self.sharded):
            raise UsageError(f"n_ranks is {self.n_ranks}, but torch.distributed has a group of {world_size()}.")
        if self.sharded != is_sharded_model(model):
            raise UsageError(f"sharded is {self.sharded}, but the model is not so; it is True with fully_shard, and only then.")

    def together(self, work: Callable[[], None], *, first_rank_only: bool = False) -> None:
        """Does it, waits for the other ranks, and raises if any of them could not."""
        failure: Exception | None = None
        try:
            if self.rank == 0 or not first_rank_only:
                work()
        except OSError as error:
            failure = RunError(
                f"{self.root}: the checkpoint of step {self.step} cannot be written: {error.strerror or error}; "
                f"{self._last_good()}. Make room or see to the disk, and start the same run again: it goes on from there."
            )
            failure.__cause__ = error
        except Exception as error:  # whatever it is, the others must not wait for ever
            failure = error
        n_failed = _count(failure is not None) if self.n_ranks > 1 else 0
        if failure is not None:
            raise failure
        if n_failed:
            raise RunError(
                f"{self.root}: {n_failed} of {self.n_ranks} ranks could not save step {self.step}, see what they say; "
                f"{self._last_good()}."
            )

    def begin(self, state: Mapping[str, Any]) -> None:
        """An empty unfinished folder, and nothing left of killed processes."""
        try:
            json.dumps(state, allow_nan=False)
        except (ValueError, TypeError) as error:
            raise RunError(
                f"{self.root}: the state of a checkpoint must be JSON values: {error}; write null for NaN."
            ) from error
        self.root.mkdir(parents=True, exist_ok=True)
        for path in self.root.glob(UNFINISHED):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for later, folder in checkpoint_folders(self.root):
            if later > self.step and find_fault(folder, later) is None:
                raise RunError(
                    f"{folder}: is later than step {self.step}, which is to be saved; go on from it, or give another folder."
                )
        self.unfinished.mkdir()

    def write(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """This rank's files, and what they must be to count as whole."""
        trained = trained_tensors(model)
        parts = (trained, optimizer_tensors(optimizer, trained))
        names = file_names(self.rank, self.n_ranks, sharded=self.sharded)
        records = {
            name: asdict(write_tensors(self.unfinished / name, {key: local(tensor) for key, tensor in part.items()}))
            for name, part in zip(names, parts, strict=True)
        }
        write_json(self._records(self.rank), records)

    def finish(self, state: Mapping[str, Any]) -> None:
        """All ranks have written: state.json, and the folder gets its name."""
        files: dict[str, FileRecord] = {}
        for rank in range(self.n_ranks if self.sharded else 1):
            files |= {name: FileRecord(**record) for name, record in read_json(self._records(rank)).items()}
            self._records(rank).unlink()
        manifest = Manifest(step=self.step, state=dict(state), sharded=self.sharded, n_ranks=self.n_ranks, files=files)
        write_manifest(self.unfinished, manifest)
        sync_folder(self.unfinished)
        folder, old = checkpoint_folder(self.root, self.step), old_folder(self.root, self.step)
        if folder.exists() and old.exists():
            discard(folder)
        elif folder.exists():
            os.rename(folder, old)  # a kill before the next line leaves this one
        os.rename(self.unfinished, folder)
        sync_folder(self.root)

    def prune(self) -> None:
        """Removes those beyond the newest that are to be kept, and damaged ones of later steps."""
        n_kept = 0
        try:
            for step, folder in checkpoint_folders(self.root):
                if step > self.step or n_kept == self.keep or folder == old_folder(self.root, self.step):
                    discard(folder)
                else:
                    n_kept += find_fault(folder, step, content=False) is None
        except OSError as error:
            raise RunError(
                f"{self.root}: step {self.step} is saved, but an older checkpoint cannot be removed: "
                f"{error.strerror or error}; see to the folder, and start the same run again."
            ) from error

    def clean(self) -> None:
        """Removes what of this save has not got its name."""
        if self.rank == 0:
            shutil.rmtree(self.unfinished, ignore_errors=True)

    def _records(self, rank: int) -> Path:
        """Until rank 0 has read it."""
        return self.unfinished / f"files-{rank}.json"

    def _last_good(self) -> str:
        folders = checkpoint_folders(self.root)
        last = next((step for step, folder in folders if find_fault(folder, step, content=False) is None), None)
        return "there is no earlier checkpoint" if last is None else f"the last good checkpoint is step {last}"


def world_size() -> int:
    """Processes that are running together; 1 without torch.distributed."""
    initialised = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if initialised else 1


def _count(flag: bool) -> int:
    """Ranks whose flag is set; each waits here for the others."""
    on_cpu = "gloo" in torch.distributed.get_backend()
    device = torch.device("cpu") if on_cpu else torch.accelerator.current_accelerator()
    total = torch.tensor([int(flag)], device=device)
    torch.distributed.all_reduce(total)
    return int(total.item())
