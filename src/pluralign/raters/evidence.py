"""What a study is asked to do, and what its folds measured."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import UsageError
from pluralign.raters.attributes import CodedAttribute
from pluralign.raters.findings import AttributeSummary
from pluralign.raters.group_tables import GroupTable
from pluralign.raters.mixed import MixedSettings
from pluralign.ratings import Ratings

__all__ = ["StudyEvidence", "StudySettings"]

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """What a study does; every field may change a number, so all of them are part of a run's identity."""

    seed: int = 0
    n_seeds: int = 1
    """Repetitions of the split into folds and into given and held-out ratings."""
    n_folds: int = 2
    cluster_counts: tuple[int, ...] = (2, 4, 8)
    n_candidates: int = 100
    max_examples: int = 256
    n_permutations: int = 1000
    n_resamples: int = 1000
    most_ratings: int = 500_000
    """Of a larger table the models are fitted to, and judged on, raters drawn by chance who have at most so many."""
    model: MixedSettings = field(default_factory=MixedSettings)

    def __post_init__(self) -> None:
        lowest = {"seed": 0, "n_seeds": 1, "n_folds": 2, "max_examples": 1, "n_permutations": 1, "n_resamples": 100}
        lowest |= {"most_ratings": 1}
        faults = [f"{name} is {value}, lowest is {low}" for name, low in lowest.items() if (value := getattr(self, name)) < low]
        faults += [f"{k} clusters were asked for, lowest is 2" for k in self.cluster_counts if k < 2]
        if faults:
            raise UsageError(f"settings of a study: {'; '.join(faults)}.")


@dataclass(frozen=True, kw_only=True)
class StudyEvidence:
    """What all folds measured, and what is needed to say what it means."""

    ratings: Ratings
    """Those that were modelled; of a large table only some (`StudySettings.most_ratings`)."""
    attributes: list[CodedAttribute]
    attribute_summaries: list[AttributeSummary]
    records: pl.DataFrame
    """See `fold.records_of`; sorted by seed, fold, representation, row."""
    tables: list[GroupTable]
    cluster_of_rater: dict[int, IntArray]
    """Of the first fold."""
    cluster_predictions: dict[int, npt.NDArray[np.float64]]
    left_out: IntArray
    """[raters] the group that each was left out with in the folds of the first seed (`fit_jackknife`)."""
    without: pl.DataFrame
    """`fit_jackknife.SCHEMA` and `fold`, of the first seed."""
    halves: pl.DataFrame
    """`fit_halves.HALVES_SCHEMA`, of the first seed's folds."""
    settings: StudySettings
