"""Shares over situations, pairs or people: a ratio of sums, with an interval from resampling what was sampled."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.estimates import Estimate, bootstrap_ratios, estimate_from_draws, undefined

__all__ = ["ratio_estimate"]


def ratio_estimate(above: npt.NDArray[Any], below: npt.NDArray[Any], *, unit: str, why: str, seed: int) -> Estimate:
    """sum(above) / sum(below) of two arrays [units]; undefined, for the reason `why`, where the lower sum is 0.

    >>> one = ratio_estimate(np.array([1, 1]), np.array([2, 2]), unit="pair", why="no pairs", seed=0)
    >>> (one.value, one.low, one.high, one.n)
    (0.5, 0.5, 0.5, 2)
    """
    a, b = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    if b.sum() == 0:
        return undefined(why, n=len(b), unit=unit, seed=seed)
    draws = bootstrap_ratios(a[:, None], b[:, None], seed=seed)[:, 0]
    return estimate_from_draws(float(a.sum() / b.sum()), draws, n=len(b), unit=unit, seed=seed)
