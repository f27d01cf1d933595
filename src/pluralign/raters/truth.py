"""The true usable information of a model family about simulated people, by Monte Carlo.

The estimand of a study: what the family, fitted on as many raters as each of the study's folds has, gains on average over all
people of the world. It is had by running the very fold that a study runs, several times, with fresh raters to fit on and many
fresh raters to score. What the family would gain from unlimited raters is more (`n_train` shows how much), and what anybody
could gain, with the world's own parameters, more again (`ratings.simulated_bayes`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pluralign.raters.attributes import code_attributes
from pluralign.raters.evidence import StudySettings
from pluralign.raters.fold import FoldTask, Progress, evaluate_fold, example_counts
from pluralign.ratings.simulate import Population, simulate
from pluralign.ratings.splits import split_fit_eval

__all__ = ["family_information"]

N_SCORED = 4000
N_REPEATS = 3
FIRST_FRESH = 1_000_000
"""The first rater that no study of the world has seen."""


def family_information(
    population: Population,
    settings: StudySettings,
    *,
    n_train: int | None = None,
    n_scored: int = N_SCORED,
    n_repeats: int = N_REPEATS,
    on_progress: Progress | None = None,
) -> dict[str, float]:
    """Representation -> true usable information (nats a rating) of the mixed-effects family about this population.

    Mean over `n_repeats` independent fits on `n_train` raters each (as many as a fold of the study has, if not given).
    """
    size = n_train or population.n_raters * (settings.n_folds - 1) // settings.n_folds
    tell = on_progress or (lambda what, done, total: None)
    found = []
    for repeat in range(n_repeats):
        tell(f"truth, fit {repeat + 1} of {n_repeats}", repeat, n_repeats)
        found.append(dict(_gains(population, settings, size, n_scored, repeat)))
    tell(f"truth, fit {n_repeats} of {n_repeats}", n_repeats, n_repeats)
    return {name: float(np.mean([gains[name] for gains in found])) for name in found[0]}


def _gains(
    population: Population, settings: StudySettings, n_train: int, n_scored: int, repeat: int
) -> Iterator[tuple[str, float]]:
    fresh = replace(population, n_raters=n_train + n_scored)
    first = FIRST_FRESH + repeat * fresh.n_raters
    ratings = simulate(fresh, seed=settings.seed, first_rater=first).ratings
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
        seed=settings.seed + repeat,
    )
    result = evaluate_fold(task)
    rating = ratings.rating_index[result.rows]
    chosen = np.arange(len(rating))
    losses = {name: float(-np.log(p[chosen, rating].astype(np.float64)).mean()) for name, p in result.probabilities.items()}
    for name, loss in losses.items():
        if name not in ("nothing", "marginal"):
            yield name, losses["nothing"] - loss
