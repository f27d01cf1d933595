"""The true usable information of a model family about simulated people, by Monte Carlo.

The family's value is what its best predictor would gain on average over all people. It is had by running the very fold that a
study runs, with fresh raters of the same world in such numbers that neither fitting nor scoring leaves much to chance.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pluralign.raters.attributes import code_attributes
from pluralign.raters.evidence import StudySettings
from pluralign.raters.fold import FoldTask, Progress, evaluate_fold, example_counts
from pluralign.ratings.simulate import Population, simulate
from pluralign.ratings.splits import split_fit_eval

__all__ = ["family_information"]

N_TRAIN = 4000
N_SCORED = 6000


def family_information(
    population: Population,
    settings: StudySettings,
    *,
    n_train: int = N_TRAIN,
    n_scored: int = N_SCORED,
    on_progress: Progress | None = None,
) -> dict[str, float]:
    """Representation -> true usable information (nats a rating) of the mixed-effects family about this population.

    The raters come after those of any study of the same world, so none is in both.
    """
    fresh = replace(population, n_raters=n_train + n_scored)
    ratings = simulate(fresh, seed=settings.seed, first_rater=1_000_000).ratings
    split = split_fit_eval(ratings, seed=settings.seed)
    attributes, _ = code_attributes(ratings)
    task = FoldTask(
        ratings=ratings,
        is_train=np.arange(ratings.n_raters) < n_train,
        split=split,
        attributes=attributes,
        n_examples=example_counts(split, ratings.rater_index, most=settings.max_examples),
        cluster_counts=settings.cluster_counts,
        n_candidates=settings.n_candidates,
        settings=settings.model,
        seed=settings.seed,
    )
    tell = on_progress or (lambda what, done, total: None)
    result = evaluate_fold(task, lambda what, done, total: tell(f"truth: {what}", done, total))
    rating = ratings.rating_index[result.rows]
    chosen = np.arange(len(rating))
    losses = {name: float(-np.log(p[chosen, rating].astype(np.float64)).mean()) for name, p in result.probabilities.items()}
    return {name: losses["nothing"] - loss for name, loss in losses.items() if name not in ("nothing", "marginal")}
