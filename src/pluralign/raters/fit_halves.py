"""How much an information varies because the models were fitted on a sample of raters, from fits on the two halves of it.

What past ratings tell depends on the items' effects, the factors and the spread between raters, which only a fit from scratch
learns again. So each fold is fitted on one half of its training raters and on the other, and both predict the same test raters:

    variance of a fold's fit = (D^2 - noise) / 4,     D = difference of the two information values

since a half varies twice as much as the whole (variance ~ 1 / raters) and D has two halves in it; `noise` is the variance of D
that resampling the test raters would give. An interval is then widened by

    sqrt(1 + mean over folds and rows of (variance of fit * (n_folds - 1) / n_folds / variance from the scored raters)),

never below 1. One ratio serves all rows of past ratings: they share their fits, and each fold adds one degree of freedom only.

Source: McCarthy 1969, Pseudo-replication: half samples.
Departures: whether there are factors at all is the whole fold's decision (how many there are is chosen anew: that is most of
the variance), iterations stop at 10, and of many test raters 200 are scored; the errors of folds are added as if the raters'
two roles had nothing to do with each other (for attributes and clusters, where they do, see `fit_jackknife`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.estimates import unit_sums
from pluralign.raters.fold import FoldTask, evaluate_fold
from pluralign.ratings.splits import FitEvalSplit

__all__ = ["HALVES_SCHEMA", "differences_of_halves", "halves_widening"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_SCORED = 200
ITERATIONS = 10
FEWEST_TRAINED = 8
"""With fewer training raters there are no halves to speak of."""
HALVES_SCHEMA = {"representation": pl.String, "difference_nats": pl.Float64, "noise": pl.Float64}


def differences_of_halves(task: FoldTask, n_factors: int) -> pl.DataFrame:
    """D (nats) and its noise (nats squared) for every number of past ratings; empty with fewer than 8 training raters."""
    ratings, split = task.ratings, task.split
    rng = np.random.default_rng(task.seed)
    has_eval = np.bincount(ratings.rater_index[split.is_eval], minlength=ratings.n_raters) > 0
    has_any = np.bincount(ratings.rater_index, minlength=ratings.n_raters) > 0
    trained = rng.permutation(np.flatnonzero(task.is_train & has_any))
    scored = rng.permutation(np.flatnonzero(~task.is_train & has_eval))[:MOST_SCORED]
    if len(trained) < FEWEST_TRAINED or len(scored) < 2 or not task.n_examples:
        return pl.DataFrame(schema=HALVES_SCHEMA)
    first, second = (_gains(task, np.concatenate([half, scored]), n_factors) for half in (trained[::2], trained[1::2]))
    rows = []
    for name, gain in first[0].items():
        off = gain - second[0][name]
        value = off.sum() / first[1].sum()
        noise = (((off - first[1] * value) / first[1].sum()) ** 2).sum()
        rows.append((name, float(value), float(noise)))
    return pl.DataFrame(rows, schema=HALVES_SCHEMA, orient="row")


def _gains(task: FoldTask, raters: IntArray, n_factors: int) -> tuple[dict[str, FloatArray], FloatArray]:
    """Summed gain of each test rater [scored] under each number of past ratings, and her number of held-out ratings."""
    kept = np.flatnonzero(np.isin(task.ratings.rater_index, raters))
    model = replace(
        task.settings,
        n_factors=task.settings.n_factors if n_factors else 0,
        judge_factors=False,
        max_iterations=min(task.settings.max_iterations, ITERATIONS),
    )
    part = replace(
        task,
        ratings=task.ratings.take(kept),
        split=FitEvalSplit(fit_position=task.split.fit_position[kept], used=task.split.used[kept]),
        attributes=(),
        cluster_counts=(),
        left_out=None,
        settings=model,
    )
    found = evaluate_fold(part)
    rating = part.ratings.rating_index[found.rows]
    scored, units = np.unique(part.ratings.rater_index[found.rows], return_inverse=True)
    nats = {name: -np.log(p[np.arange(len(rating)), rating].astype(np.float64)) for name, p in found.probabilities.items()}
    sums = {
        name: unit_sums(nats["nothing"] - loss, units, len(scored))[0]
        for name, loss in nats.items()
        if name.startswith("examples:")
    }
    return sums, np.bincount(units).astype(np.float64)


def halves_widening(halves: pl.DataFrame, scored_variance: dict[str, float], n_folds: int) -> float:
    """By what the intervals of past ratings have to be widened, at least 1; 1 where it cannot be told.

    `halves` are the folds' `differences_of_halves`, `scored_variance` is the variance (nats squared) of each representation's
    information from the scored raters alone.

    >>> halves = pl.DataFrame({"representation": ["examples:1"] * 2, "difference_nats": [3.0, 1.0], "noise": [1.0, 1.0]})
    >>> round(halves_widening(halves, {"examples:1": 0.5}, 2) ** 2, 9)
    2.0
    """
    ratios: Sequence[float] = [
        (difference**2 - noise) / 4 * (n_folds - 1) / n_folds / scored_variance[name]
        for name, difference, noise in halves.select("representation", "difference_nats", "noise").iter_rows()
        if scored_variance.get(name, 0.0) > 0
    ]
    return float(np.sqrt(1.0 + max(0.0, float(np.mean(ratios))))) if ratios and np.isfinite(ratios).all() else 1.0
