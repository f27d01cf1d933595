"""A model for which memory does not suffice above some size."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import torch

from pluralign.models.attention import View
from pluralign.models.forward import Forward


class Scarce:
    """A forward for which memory suffices up to `room` tokens, padding included; remembers the sizes that failed."""

    def __init__(self, within: Forward, room: int, error: Callable[[], Exception]) -> None:
        self.within, self.room, self.error = within, room, error
        self.model, self.head, self.device = within.model, within.head, within.device
        self.shares_prefixes = within.shares_prefixes
        self.failed: list[int] = []
        self._held: weakref.ref[torch.Tensor] | None = None

    def states(self, ids: torch.Tensor, view: View) -> torch.Tensor:
        assert self._held is None or self._held() is None, "what a failed call had is still in memory"
        if ids.numel() > self.room:
            activations = torch.empty(10)
            self._held = weakref.ref(activations)
            self.failed.append(ids.numel())
            raise self.error()
        return self.within.states(ids, view)


SHORTAGES = {
    "device": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "machine": lambda: RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
    "machine, other words": lambda: RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
}
