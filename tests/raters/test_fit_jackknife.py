"""Widening for the raters learned from, by leaving groups of them out."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pluralign.raters.fit_jackknife import SCHEMA, deletion_groups, jackknife_widening
from pluralign.ratings.simulate import Population, simulate
from pluralign.ratings.splits import rater_folds


def frame(losses: dict[tuple[int, int], float]) -> pl.DataFrame:
    """(fold, group left out) -> loss"""
    rows = [(fold, group, loss) for (fold, group), loss in losses.items()]
    return pl.DataFrame(rows, schema={"fold": pl.Int64, "group": pl.Int64, "loss_nats": pl.Float64}, orient="row")


def test_influences_by_hand() -> None:
    # Four raters with 2 ratings each, a group each; gains 3, 1, 2, 2 sum to 8, so a rater's share is 2: h = (1, -1, 0, 0) / 8.
    # Left out of fold 0: groups 2, 3 with losses 11, 9; G = 1/2 * (11 - 10, 9 - 10) / 8. Fold 1: group 0 with 14, group 1
    # with 10: G = 1/2 * (2, -2) / 8. h + G = (2, -2, 1/2, -1/2) / 8; its squares sum to 8.5 / 64, those of h to 2 / 64.
    without = frame({(0, 2): 11.0, (0, 3): 9.0, (1, 0): 14.0, (1, 1): 10.0})
    found = jackknife_widening(np.array([3.0, 1.0, 2.0, 2.0]), np.full(4, 2.0), np.arange(4), without)
    assert found**2 == pytest.approx(8.5 / 2, abs=1e-12)


def test_influences_that_cancel_do_not_narrow() -> None:
    # Leaving out group 0, which gained most, helps: h + G is smaller than h.
    without = frame({(0, 2): 10.0, (0, 3): 10.0, (1, 0): 11.0, (1, 1): 13.0})
    assert jackknife_widening(np.array([3.0, 1.0, 2.0, 2.0]), np.full(4, 2.0), np.arange(4), without) == 1.0


def test_where_it_cannot_be_told_nothing_is_widened() -> None:
    two = frame({(0, 1): 11.0, (1, 0): 9.0})
    assert jackknife_widening(np.array([3.0, 1.0]), np.ones(2), np.arange(2), two) == 1.0  # two groups: one deviation
    none = pl.DataFrame(schema={"fold": pl.Int64, **SCHEMA})
    assert jackknife_widening(np.array([3.0, 1.0, 2.0, 2.0]), np.ones(4), np.arange(4), none) == 1.0
    some = frame({(0, 2): 11.0, (0, 3): 9.0, (1, 0): 14.0, (1, 1): 10.0})
    assert jackknife_widening(np.array([np.inf, 1.0, 2.0, 2.0]), np.ones(4), np.arange(4), some) == 1.0
    assert jackknife_widening(np.ones(4), np.ones(4), np.arange(4), some) == 1.0  # nobody differs as a scored rater


@pytest.mark.parametrize("learned", [0.0, 0.5, 1.0])
def test_the_widening_is_that_of_the_true_variance(learned: float) -> None:
    """A study whose estimate is mean(h) + mean(G) exactly, G = `learned` * h: variance (1 + learned)^2 times that of h."""
    found = []
    for seed in range(200):
        h = np.random.default_rng(seed).normal(size=400)
        groups = np.arange(400) % 8  # 0..3 are scored in fold 0, so fold 1 learns from them, and the other way round
        losses = {}
        for fold, trained in ((0, range(4, 8)), (1, range(4))):
            for out in trained:
                stay = np.isin(groups, [g for g in trained if g != out])
                losses[fold, out] = -200 * learned * h[stay].mean()  # 200 ratings scored, each gains what was learned
        gains = h + 0.3
        found.append(jackknife_widening(gains, np.ones(400), groups, frame(losses)) ** 2)
    assert np.mean(found) == pytest.approx((1 + learned) ** 2, rel=0.05)


@pytest.mark.parametrize(("n_raters", "n_folds", "n_groups"), [(60, 2, 8), (60, 3, 6), (60, 5, 5), (9, 2, 8), (8, 4, 4)])
def test_every_group_lies_in_one_fold(n_raters: int, n_folds: int, n_groups: int) -> None:
    ratings = simulate(Population(n_raters=n_raters, n_items=20, ratings_per_rater=5), seed=2).ratings
    groups = deletion_groups(ratings, seed=4, n_folds=n_folds)
    folds = rater_folds(ratings, seed=4, n_folds=n_folds)
    assert np.unique(groups).tolist() == list(range(n_groups))
    assert all(len(np.unique(folds[groups == group])) == 1 for group in range(n_groups))
