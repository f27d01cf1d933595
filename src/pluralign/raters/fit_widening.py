"""What the intervals of a study's information rows are widened by, since the raters that were learned from are a sample too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.raters.evidence import StudyEvidence
from pluralign.raters.fit_halves import halves_widening
from pluralign.raters.fit_jackknife import jackknife_widening

__all__ = ["fit_widenings"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def fit_widenings(
    names: Sequence[str], gains: FloatArray, n_scored: FloatArray, raters: IntArray, evidence: StudyEvidence
) -> FloatArray:
    """A factor for each representation [names], at least 1: standard deviation with the fits' share over that without it.

    `gains` [raters, names] are summed over the `n_scored` [raters] held-out ratings of the scored `raters` [raters].
    Attributes and clusters: `fit_jackknife`. Past ratings: `fit_halves`. 1 where a loss is infinite.
    """
    finite = [j for j in range(len(names)) if np.isfinite(gains[:, j]).all()]
    mean = gains[:, finite].sum(axis=0) / n_scored.sum()
    variance = (((gains[:, finite] - n_scored[:, None] * mean) / n_scored.sum()) ** 2).sum(axis=0)
    of_scored = {names[j]: float(v) for j, v in zip(finite, variance, strict=True)}
    past = halves_widening(evidence.halves, of_scored, evidence.settings.n_folds)
    out = np.ones(len(names))
    for j in finite:
        without = evidence.without.filter(pl.col("representation") == names[j])
        is_past = names[j].startswith("examples:")
        out[j] = past if is_past else jackknife_widening(gains[:, j], n_scored, evidence.left_out[raters], without)
    return out
