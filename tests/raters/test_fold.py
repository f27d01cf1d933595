"""One fold: what is scored, what may not be seen, and that what is known of raters pays as it should."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from pluralign.metrics import assignment_permutation_test, log_loss_nats
from pluralign.raters.attributes import code_attributes, membership_of
from pluralign.raters.fit_jackknife import deletion_groups
from pluralign.raters.fold import FoldResult, FoldTask, evaluate_fold, example_counts, records_of
from pluralign.raters.mixed import MixedModel, MixedSettings
from pluralign.ratings import Ratings
from pluralign.ratings.simulate import Population, Simulation, simulate
from pluralign.ratings.splits import rater_folds, split_fit_eval

POPULATION = Population(n_raters=300, n_items=80, ratings_per_rater=30, sigma=0.1, attribute_strength=0.9)


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return simulate(POPULATION, seed=1)


def task_of(ratings: Ratings, *, seed: int = 0) -> FoldTask:
    split = split_fit_eval(ratings, seed=seed)
    attributes, _ = code_attributes(ratings)
    return FoldTask(
        ratings=ratings,
        is_train=rater_folds(ratings, seed=seed) == 0,
        split=split,
        attributes=attributes,
        n_examples=example_counts(split, ratings.rater_index, most=8),
        cluster_counts=(2, 4),
        n_candidates=40,
        settings=MixedSettings(max_iterations=15),
        seed=seed,
    )


@pytest.fixture(scope="module")
def task(simulation: Simulation) -> FoldTask:
    return task_of(simulation.ratings)


@pytest.fixture(scope="module")
def result(task: FoldTask) -> FoldResult:
    return evaluate_fold(task)


def losses(result: FoldResult, ratings: Ratings) -> dict[str, npt.NDArray[np.float64]]:
    rating = ratings.rating_index[result.rows]
    return {name: log_loss_nats(p.astype(np.float64), rating) for name, p in result.probabilities.items()}


def test_only_held_out_ratings_of_test_raters_are_scored(task: FoldTask, result: FoldResult) -> None:
    rater = task.ratings.rater_index[result.rows]
    assert not task.is_train[rater].any()
    assert task.split.is_eval[result.rows].all()
    everything = task.split.is_eval & ~task.is_train[task.ratings.rater_index]
    assert len(result.rows) == everything.sum()


def test_every_representation_is_there_once(result: FoldResult) -> None:
    assert list(result.probabilities) == [
        "marginal",
        "nothing",
        "attribute:age",
        "attribute:region",
        "attribute:education",
        "attribute:religiosity",
        "attributes",
        *(f"examples:{n}" for n in (1, 2, 4, 8)),
        "clusters:2",
        "clusters:4",
    ]


def test_probabilities_are_distributions(result: FoldResult) -> None:
    for name, p in result.probabilities.items():
        assert (p > 0).all(), name
        np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-5, err_msg=name)


def test_knowing_more_predicts_better(task: FoldTask, result: FoldResult) -> None:
    mean = {name: loss.mean() for name, loss in losses(result, task.ratings).items()}
    assert mean["marginal"] > mean["nothing"] > mean["attributes"]
    assert mean["nothing"] > mean["examples:1"] > mean["examples:2"] > mean["examples:4"] > mean["examples:8"]
    assert mean["nothing"] > mean["clusters:4"]


def test_held_out_ratings_of_test_raters_change_no_prediction(task: FoldTask, result: FoldResult) -> None:
    """The strictest leak test there is: turn the scale round for every rating that is scored; nothing may move."""
    ratings = task.ratings
    turned = ratings.rating_index.copy()
    turned[result.rows] = ratings.n_options - 1 - turned[result.rows]
    again = evaluate_fold(replace(task, ratings=replace(ratings, rating_index=turned)))
    for name, p in result.probabilities.items():
        np.testing.assert_array_equal(again.probabilities[name], p, err_msg=name)


def test_examples_use_the_first_given_ratings_only(task: FoldTask, result: FoldResult) -> None:
    """Changing given ratings from place 4 on moves the predictions from 8 examples, not those from 4."""
    ratings = task.ratings
    late = (task.split.fit_position >= 4) & ~task.is_train[ratings.rater_index]
    turned = np.where(late, ratings.n_options - 1 - ratings.rating_index, ratings.rating_index)
    again = evaluate_fold(replace(task, ratings=replace(ratings, rating_index=turned), cluster_counts=()))
    np.testing.assert_array_equal(again.probabilities["examples:4"], result.probabilities["examples:4"])
    assert np.abs(again.probabilities["examples:8"] - result.probabilities["examples:8"]).max() > 0.05


def test_group_tables_hold_the_losses_of_the_records(task: FoldTask, result: FoldResult) -> None:
    """Each rater's own column of a table is the sum of her losses under that representation."""
    rater = task.ratings.rater_index[result.rows]
    by_name = losses(result, task.ratings)
    for table in result.tables:
        sums = np.bincount(rater, by_name[table.representation], task.ratings.n_raters)
        own = table.losses[np.arange(len(table.rater)), table.group]
        np.testing.assert_allclose(own, sums[table.rater], rtol=1e-5, err_msg=table.representation)


def test_planted_groups_pass_and_shuffled_attributes_fail_the_permutation_test(simulation: Simulation) -> None:
    ratings = simulation.ratings
    shuffled = ratings.raters.with_columns(rater_age=ratings.raters["rater_age"].shuffle(seed=5))
    found = evaluate_fold(task_of(replace(ratings, raters=shuffled)))
    p = {t.representation: assignment_permutation_test(t.losses, t.group, n_permutations=199) for t in found.tables}
    assert p["attribute:religiosity"] <= 0.01
    assert p["clusters:4"] <= 0.01
    assert p["attribute:age"] > 0.05


def test_a_rater_without_the_attribute_is_a_stranger(simulation: Simulation) -> None:
    ratings = simulation.ratings
    age = ratings.raters["rater_age"].to_list()
    gone = ratings.raters.with_columns(
        pl.Series("rater_age", [None if r % 3 == 0 else a for r, a in enumerate(age)], dtype=pl.String)
    )
    found = evaluate_fold(replace(task_of(replace(ratings, raters=gone)), cluster_counts=(), n_examples=()))
    strangers = ratings.rater_index[found.rows] % 3 == 0
    same = np.abs(found.probabilities["attribute:age"] - found.probabilities["nothing"]).max(axis=1)
    assert same[strangers].max() == 0.0
    assert same[~strangers].max() > 0.01


def test_groups_are_left_out_of_what_is_learned_of_groups_only(task: FoldTask) -> None:
    left_out = deletion_groups(task.ratings, seed=0, n_folds=2)
    whole = replace(task, cluster_counts=(2,), n_examples=(), left_out=left_out)
    found = evaluate_fold(whole)
    trained = np.unique(left_out[task.is_train]).tolist()
    names = ["attribute:age", "attribute:region", "attribute:education", "attribute:religiosity", "attributes", "clusters:2"]
    assert found.without.select("representation", "group").rows() == [(name, group) for name in names for group in trained]
    own = {name: loss.sum() for name, loss in losses(found, task.ratings).items()}
    for name in names:
        off = found.without.filter(representation=name)["loss_nats"].to_numpy() - own[name]
        assert np.abs(off).max() < 0.05 * own[name], name
        assert np.ptp(off) > 1e-3, name
    # what is learned of age without a group, with the model's own words
    model = MixedModel(task.settings, seed=task.seed).fit(task.ratings.take(task.is_train[task.ratings.rater_index]))
    age = task.attributes[0]
    stay = model.trained_[left_out[model.trained_] != trained[0]]
    effects = model.attribute_effects(membership_of([age]), raters=stay)
    queries = task.ratings.take(found.rows)
    p = model.predict_from_beliefs(queries, effects.beliefs(membership_of([age])))
    assert found.without["loss_nats"][0] == pytest.approx(log_loss_nats(p, queries.rating_index).sum(), rel=1e-9)


def test_example_counts_stop_where_a_tenth_of_the_raters_has_fewer(simulation: Simulation) -> None:
    split = split_fit_eval(simulation.ratings, seed=0)
    # 30 ratings each: |fit| is uniform on 2..28, so 16 is reached by 13 of 27 and 32 by nobody
    assert example_counts(split, simulation.ratings.rater_index, most=256) == [1, 2, 4, 8, 16]
    assert example_counts(split, simulation.ratings.rater_index, most=5) == [1, 2, 4]


def test_records_have_a_row_for_every_rating_and_representation(task: FoldTask, result: FoldResult) -> None:
    records = records_of(result, task.ratings, seed=7, fold=1)
    assert records.height == len(result.rows) * len(result.probabilities)
    assert records["seed"].unique().to_list() == [7]
    part = records.filter(representation="examples:2")
    np.testing.assert_array_equal(part["probabilities"].to_numpy(), result.probabilities["examples:2"])
    np.testing.assert_array_equal(part["rating_index"].to_numpy(), task.ratings.rating_index[result.rows])
