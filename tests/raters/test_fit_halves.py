"""Widening for the raters learned from, by fits on two halves of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from pluralign.raters.fit_halves import HALVES_SCHEMA, differences_of_halves, halves_widening
from pluralign.raters.fold import FoldTask
from pluralign.raters.mixed import MixedSettings
from pluralign.ratings.simulate import Population, simulate
from pluralign.ratings.splits import rater_folds, split_fit_eval


@pytest.fixture(scope="module")
def task() -> FoldTask:
    ratings = simulate(Population(n_raters=40, n_items=20, ratings_per_rater=12), seed=1).ratings
    return FoldTask(
        ratings=ratings,
        is_train=rater_folds(ratings, seed=0) == 0,
        split=split_fit_eval(ratings, seed=0),
        attributes=(),
        n_examples=(1, 4),
        cluster_counts=(2,),
        n_candidates=10,
        settings=MixedSettings(max_iterations=3, text_components=4),
        seed=0,
    )


def halves(rows: list[tuple[str, float, float]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=HALVES_SCHEMA, orient="row")


def test_widening_by_hand() -> None:
    # Two folds. (D^2 - noise) / 4 * 1/2 / variance: (9 - 1) / 8 / 0.5 = 2, (1 - 1) / 8 / 0.5 = 0, (0 - 4) / 8 / 0.25 = -2,
    # (16 - 0) / 8 / 0.25 = 8; mean 2.
    rows = [("examples:1", 3.0, 1.0), ("examples:2", 0.0, 4.0), ("examples:1", 1.0, 1.0), ("examples:2", -4.0, 0.0)]
    assert halves_widening(halves(rows), {"examples:1": 0.5, "examples:2": 0.25}, 2) == pytest.approx(3**0.5, abs=1e-12)
    # more folds share training raters, so their mean varies more: 3/4 instead of 1/2 with four
    assert halves_widening(halves(rows), {"examples:1": 0.5, "examples:2": 0.25}, 4) == pytest.approx(4**0.5, abs=1e-12)


def test_noise_alone_widens_nothing_and_neither_does_what_is_not_known() -> None:
    assert halves_widening(halves([("examples:1", 0.5, 1.0)]), {"examples:1": 1.0}, 2) == 1.0
    assert halves_widening(halves([]), {"examples:1": 1.0}, 2) == 1.0
    assert halves_widening(halves([("examples:1", 3.0, 1.0)]), {"examples:1": 0.0}, 2) == 1.0
    assert halves_widening(halves([("examples:1", 3.0, 1.0)]), {}, 2) == 1.0


def test_the_widening_is_that_of_the_true_variance() -> None:
    """Fits on half of the raters vary with variance 2, on all of them with 1; scored raters give 1, noise .5 a difference."""
    rng = np.random.default_rng(0)
    off = rng.normal(size=(4000, 2)) @ [2**0.5, -(2**0.5)] + rng.normal(size=4000) * 0.5**0.5
    found = halves_widening(halves([("examples:1", float(d), 0.5) for d in off]), {"examples:1": 1.0}, 2)
    assert found**2 == pytest.approx(1.5, rel=0.05)  # of two folds' fits, half of one


def test_a_fold_is_fitted_on_halves_and_only_past_ratings_are_asked(task: FoldTask) -> None:
    found = differences_of_halves(task, n_factors=0)
    assert found["representation"].to_list() == ["examples:1", "examples:4"]
    assert (found["difference_nats"].abs() > 0).all()
    assert (found["difference_nats"].abs() < 0.2).all()
    assert (found["noise"] > 0).all()


def test_too_few_raters_have_no_halves(task: FoldTask) -> None:
    few = np.flatnonzero(task.is_train)[:7].tolist()
    lone = replace(task, is_train=np.isin(np.arange(task.ratings.n_raters), few))
    rows = np.flatnonzero(np.isin(task.ratings.rater_index, [*few, *np.flatnonzero(~task.is_train)]))
    split = replace(task.split, fit_position=task.split.fit_position[rows], used=task.split.used[rows])
    assert differences_of_halves(replace(lone, ratings=task.ratings.take(rows), split=split), 0).height == 0
    assert differences_of_halves(replace(task, n_examples=()), 0).height == 0
