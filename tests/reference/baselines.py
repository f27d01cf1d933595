"""The Dirichlet-multinomial likelihood by its definition, and its maximum on a grid."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def log_likelihood(counts: npt.NDArray[np.float64], shares: npt.NDArray[np.float64], strength: float) -> float:
    """Of ratings drawn one by one, each from the urn that the ones before it have left (Pólya's urn)."""
    total = 0.0
    for unit in counts:
        seen = 0
        for share, count in zip(shares, unit, strict=True):
            for k in range(int(count)):
                total += math.log((strength * share + k) / (strength + seen))
                seen += 1
    return total


def best_strength(counts: npt.NDArray[np.float64], shares: npt.NDArray[np.float64], grid: npt.NDArray[np.float64]) -> float:
    return float(grid[int(np.argmax([log_likelihood(counts, shares, s) for s in grid]))])
