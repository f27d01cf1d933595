"""How much wider an interval has to be because the raters that a model was fitted on are a sample too.

Resampling the scored raters leaves the fits as they are. But another sample would also have given other fits, and the two go
together: a study's rater is scored in one fold and learned from in the others, so what attributes happen to tell in the sample
is both learned and found again. Raters are therefore dealt into a few groups, and each fold learns what attributes and clusters
tell once more without each group. A group's two influences on an information, as scored raters (h) and as raters learned from
(G), are added before they are squared:

    widening = sqrt(max(1, sum_groups (h + G)^2 / sum_groups h^2)),     h less its mean over the J groups, too
    G of a group = sum_folds (J - 1) / J * (loss without the group - mean of that over the J groups) / ratings scored

Source: Shao & Tu 1995, The Jackknife and Bootstrap, chapter 2 (delete a group; influence functions). That folds share raters
and their errors do not simply add: Bayle et al. 2020, Cross-validation confidence intervals for test error.
Departures: a ratio of two sums over the same groups scales the bootstrap's interval, which is more exact than the sums; never
below 1. What is learned again is what groups of raters tell: items, factors and the grouping into clusters stay, since each
refit of them costs as much as the fold. Past ratings, which depend on those alone, are not widened (`dev/LOG.md` has how far
that is off).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.ratings import Ratings
from pluralign.ratings.splits import rater_folds

__all__ = ["SCHEMA", "deletion_groups", "jackknife_widening"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

GROUPS_LEFT_OUT = 4
"""Most groups that one fold learns without, each in turn; with two folds there are twice as many in all."""
SCHEMA = {"representation": pl.String, "group": pl.Int64, "loss_nats": pl.Float64}
"""Of what a fold measured: the sum of held-out losses when it had learned without a group."""


def deletion_groups(ratings: Ratings, *, seed: int, n_folds: int) -> IntArray:
    """The group [raters] that each rater is left out with, -1 without ratings. Every group lies in one fold of the seed."""
    present = int((np.bincount(ratings.rater_index, minlength=ratings.n_raters) > 0).sum())
    each = max(1, min(GROUPS_LEFT_OUT // (n_folds - 1), present // n_folds))
    return rater_folds(ratings, seed=seed, n_folds=n_folds * each)


def jackknife_widening(gains: FloatArray, n_scored: FloatArray, groups: IntArray, without: pl.DataFrame) -> float:
    """By what an interval of the mean gain has to be widened, at least 1; 1 where it cannot be told.

    `gains` [raters] are sums over a rater's `n_scored` [raters] held-out ratings, `groups` [raters] the deletion groups, and
    `without` the folds' losses for one representation (`SCHEMA`, and `fold`).

    >>> without = pl.DataFrame({"fold": [0, 0, 1, 1], "group": [2, 3, 0, 1], "loss_nats": [4.0, 2.0, 4.0, 2.0]})
    >>> jackknife_widening(np.array([1.0, -1.0, 1.0, -1.0]), np.full(4, 1.0), np.arange(4), without)
    1.5
    """
    n_groups = int(groups.max(initial=-1)) + 1
    present = groups >= 0
    total = float(n_scored.sum())
    if n_groups < 3 or without.height == 0 or total == 0 or not np.isfinite(gains).all():
        return 1.0
    as_scored = np.bincount(groups[present], (gains - n_scored * gains.sum() / total)[present], n_groups) / total
    alone, learned, n_folds = np.zeros((3, n_groups))
    for part in without.partition_by("fold"):
        group, loss, n = part["group"].to_numpy(), part["loss_nats"].to_numpy(), part.height
        learned[group] += (n - 1) / n * (loss - loss.mean()) / total
        alone[group] += as_scored[group] - as_scored[group].mean()
        n_folds[group] += 1
    alone = alone / np.maximum(n_folds, 1)
    before, after = float((alone**2).sum()), float(((alone + learned) ** 2).sum())
    return float(np.sqrt(max(1.0, after / before))) if before > 0 and np.isfinite(after) else 1.0
