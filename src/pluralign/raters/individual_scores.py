"""How well single ratings are predicted: nats, and the point answer's accuracy and distance; intervals by rater or item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.estimates import Estimate, estimate_mean, estimate_mean_difference, undefined
from pluralign.raters.recalibration import LEAST
from pluralign.ratings import Ratings

__all__ = ["Judged", "judged", "rating_nats"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Of one model on some true ratings."""

    nats: Estimate
    """Mean of -log p(true rating); lower is better."""
    accuracy: Estimate
    """Share of point answers that are the true one."""
    distance: Estimate
    """Mean distance of the point answer from the true one, in the scale's values; undefined on a nominal scale."""
    gain_nats: Estimate
    """Nats that the marginal loses more, paired; undefined where it is not compared."""
    n: int
    """Ratings."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        estimates = {name: getattr(self, name).to_dict() for name in ("nats", "accuracy", "distance", "gain_nats")}
        return {**estimates, "n": self.n}


def judged(
    p: FloatArray,
    chosen: IntArray,
    true: Ratings,
    units: IntArray,
    *,
    unit: str,
    seed: int,
    base: FloatArray | None = None,
) -> Judged:
    """Probabilities [ratings, options] and point answers [ratings] against the true ratings; `units` [ratings] are resampled.

    `base` [ratings, options] is what the gain is measured from.
    """
    rows, scale = np.arange(len(true)), true.scale
    nats = rating_nats(p, true.rating_index)
    distance = undefined("the scale has no order", n=len(np.unique(units)), unit=unit, seed=seed)
    if scale.is_ordered:
        off = np.abs(scale.values[chosen] - scale.values[true.rating_index])
        distance = estimate_mean(off, units, unit=unit, seed=seed)
    gain = undefined("it is not compared with the marginal", n=len(np.unique(units)), unit=unit, seed=seed)
    if base is not None:
        gain = estimate_mean_difference(rating_nats(base, true.rating_index), nats, units, unit=unit, seed=seed)
    right = (chosen == true.rating_index).astype(np.float64)
    return Judged(
        nats=estimate_mean(nats, units, unit=unit, seed=seed),
        accuracy=estimate_mean(right, units, unit=unit, seed=seed),
        distance=distance,
        gain_nats=gain,
        n=len(rows),
    )


def rating_nats(p: FloatArray, chosen: IntArray) -> FloatArray:
    """-log of the probability of the chosen options [ratings], which counts as `LEAST` if it is lower."""
    return np.asarray(-np.log(np.maximum(p[np.arange(len(chosen)), chosen], LEAST)))
