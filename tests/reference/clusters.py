"""Choosing K candidates, slow and obvious."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def set_loss(losses: FloatArray, chosen: Sequence[int]) -> float:
    return float(losses[:, list(chosen)].min(axis=1).sum())


def plain_sweeps(losses: FloatArray, k: int) -> tuple[list[int], float, int]:
    """Algorithm 2 as one reads it: chosen candidates, loss, sweeps. The minimum over the set is taken anew every time."""
    chosen = list(range(k))
    loss = set_loss(losses, chosen)
    for n_sweeps in itertools.count(1):
        before = list(chosen)
        for c in range(k):
            for candidate in range(losses.shape[1]):
                trial = [*chosen[:c], candidate, *chosen[c + 1 :]]
                trial_loss = set_loss(losses, trial)
                if trial_loss < loss:
                    chosen, loss = trial, trial_loss
        if chosen == before:
            return chosen, loss, n_sweeps
    raise RuntimeError("itertools.count ended")


def plain_python_sweeps(rows: list[list[float]], k: int) -> tuple[list[int], float]:
    """The same without numpy: `rows` are the raters' losses as lists."""
    chosen = list(range(k))
    loss = sum(min(row[v] for v in chosen) for row in rows)
    while True:
        before = list(chosen)
        for c in range(k):
            for candidate in range(len(rows[0])):
                trial = [*chosen[:c], candidate, *chosen[c + 1 :]]
                trial_loss = sum(min(row[v] for v in trial) for row in rows)
                if trial_loss < loss:
                    chosen, loss = trial, trial_loss
        if chosen == before:
            return chosen, loss


def best_set(losses: FloatArray, k: int) -> tuple[tuple[int, ...], float]:
    """The best of all sets of K candidates."""
    sets = itertools.combinations(range(losses.shape[1]), k)
    return min(((chosen, set_loss(losses, chosen)) for chosen in sets), key=lambda pair: pair[1])
