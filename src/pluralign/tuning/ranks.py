"""The processes of a run: one by itself, or several that torchrun started, over nccl on GPUs and gloo on CPUs.

Source: torch's elastic launch, whose environment says which process is which.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from pluralign.errors import UsageError
from pluralign.models.loading import opened_device
from pluralign.runs import Run, RunConfig

__all__ = ["Ranks", "open_ranks"]


@dataclass(frozen=True, slots=True)
class Ranks:
    """Which of how many this process is, and where it computes."""

    rank: int
    n_ranks: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def wait(self) -> None:
        """Until all are here."""
        if self.n_ranks > 1:
            dist.barrier()

    @contextlib.contextmanager
    def open_run(self, out: Path, config: RunConfig) -> Iterator[Run | None]:
        """The run folder, opened by the first process; the others wait until it is there."""
        if not self.is_first:
            self.wait()
            yield None
            return
        with Run.open(out, config) as run:
            self.wait()
            yield run

    def total(self, values: Tensor) -> Tensor:
        """Summed over all ranks."""
        if self.n_ranks > 1:
            dist.all_reduce(values)
        return values


@contextlib.contextmanager
def open_ranks(device: str = "auto") -> Iterator[Ranks]:
    """This process among those of its run, connected until the block ends.

    Raises UsageError for a device that is not there, and where torchrun's environment is incomplete or does not fit.
    """
    n_ranks, rank, local = (
        _of_environment(name, lowest) for name, lowest in (("WORLD_SIZE", 1), ("RANK", 0), ("LOCAL_RANK", 0))
    )
    if rank >= n_ranks:
        raise UsageError(f"RANK is {rank} and WORLD_SIZE {n_ranks}: start several processes by torchrun, which sets both.")
    place = opened_device(device)
    if place == torch.device("cuda"):  # without a number: each process on this machine has its own
        place = opened_device(f"cuda:{local}")
    if n_ranks == 1:
        yield Ranks(0, 1, place)
        return
    if missing := [name for name in ("MASTER_ADDR", "MASTER_PORT") if name not in os.environ]:
        raise UsageError(
            f"WORLD_SIZE is {n_ranks}, but {' and '.join(missing)} are not in the environment: start several processes by "
            "torchrun, which sets them."
        )
    if place.type == "cuda":
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        if dist.get_world_size() != n_ranks:
            raise UsageError(f"{dist.get_world_size()} processes are connected where WORLD_SIZE says {n_ranks}.")
        yield Ranks(rank, n_ranks, place)
    finally:
        dist.destroy_process_group()


def _of_environment(name: str, lowest: int) -> int:
    text = os.environ.get(name, str(lowest))
    if not text.isdecimal() or int(text) < lowest:
        raise UsageError(f"{name} is {text!r} in the environment, where torchrun puts a number of at least {lowest}.")
    return int(text)
