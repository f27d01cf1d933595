"""What all considerations of a situation say together, and how divided they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import entr

__all__ = ["Decision", "decide"]


@dataclass(frozen=True, slots=True)
class Decision:
    """Shares of support, opposition and either; they sum to 1."""

    supports: float
    opposes: float
    either: float
    entropy_nats: float
    """0: all the same way; ln 3 = 1.099: evenly spread. The source reads it as how much people will differ."""

    @property
    def label(self) -> str:
        """The largest share, the first of equal ones."""
        return ("supports", "opposes", "either")[int(np.argmax([self.supports, self.opposes, self.either]))]


def decide(relevance: npt.NDArray[Any], valence: npt.NDArray[Any]) -> Decision | None:
    """sum_i relevance_i valence_i over the considerations, renormalised; relevance [n], valence [n, 3], rows sum to 1.

    None, which is no decision, where there are no considerations, or none has any relevance; those with NaN are left out.

    Source: Sorensen et al. 2024, Value Kaleidoscope (arXiv 2309.00779), section 5.

    >>> decide(np.array([0.9, 0.3]), np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])).supports
    0.75
    >>> decide(np.empty(0), np.empty((0, 3))) is None
    True
    """
    known = ~(np.isnan(relevance) | np.isnan(valence).any(axis=1))
    weights = (relevance[known, None] * valence[known]).sum(axis=0)
    if not weights.sum() > 0:
        return None
    supports, opposes, either = (weights / weights.sum()).tolist()
    return Decision(supports, opposes, either, float(entr(weights / weights.sum()).sum()))
