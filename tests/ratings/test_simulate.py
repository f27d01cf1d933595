from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from pluralign.errors import UsageError
from pluralign.ratings import Ratings
from pluralign.ratings.ordered_logit import option_probabilities
from pluralign.ratings.simulate import ATTRIBUTES, MAX_RATERS, Population, Simulation, draw_world, simulate

SMALL = Population(n_raters=60, n_items=50, ratings_per_rater=9)


@pytest.fixture(scope="module")
def small() -> Simulation:
    return simulate(SMALL, seed=3)


@pytest.fixture(scope="module")
def large() -> Simulation:
    return simulate(Population(n_raters=20_000, n_items=12, ratings_per_rater=6), seed=1)


def facts(simulation: Simulation, rater_id: str) -> tuple[object, ...]:
    """Everything about one rater."""
    row = simulation.ratings.rater_ids.index(rater_id)
    own = simulation.ratings.take(simulation.ratings.rater_index == row)
    truth = (simulation.archetype[row], simulation.shift[row], simulation.log_spread[row], *simulation.theta[row])
    return (
        tuple(float(x) for x in truth),
        own.item_index.tolist(),
        own.rating_index.tolist(),
        simulation.ratings.raters.row(row),
    )


def test_golden() -> None:
    simulation = simulate(Population(n_raters=20, n_items=30, ratings_per_rater=5), seed=0)
    long = simulation.ratings.to_long().write_csv()
    assert hashlib.sha256(long.encode()).hexdigest()[:16] == "8937b5fcb404c6a7"


def test_a_rater_is_the_same_whoever_else_is_there(small: Simulation) -> None:
    fewer = simulate(replace(SMALL, n_raters=18), seed=3)
    later = simulate(replace(SMALL, n_raters=5), seed=3, first_rater=15)
    assert facts(small, "r0000017") == facts(fewer, "r0000017") == facts(later, "r0000017")
    assert facts(small, "r0000016") != facts(small, "r0000017")
    np.testing.assert_array_equal(later.world.means, small.world.means)
    np.testing.assert_array_equal(later.features, small.features)


def test_another_seed_is_another_world(small: Simulation) -> None:
    other = simulate(SMALL, seed=4)
    assert not np.allclose(other.world.means, small.world.means)
    assert other.ratings.items["item_text"].to_list() != small.ratings.items["item_text"].to_list()


def test_the_table_is_a_checked_one(small: Simulation) -> None:
    ratings = small.ratings
    checked = Ratings.from_long(ratings.to_long(), ratings.scale)
    for name in ("item_index", "rater_index", "rating_index"):
        np.testing.assert_array_equal(getattr(checked, name), getattr(ratings, name))
    assert checked.items.equals(ratings.items.select(checked.items.columns))
    assert checked.raters.select(ratings.raters.columns).equals(ratings.raters)
    assert ratings.attributes == list(ATTRIBUTES)
    assert (np.bincount(ratings.rater_index) == 9).all()


def test_blocks_do_not_show(small: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pluralign.ratings.simulate._CELLS", 7 * SMALL.n_items)
    again = simulate(SMALL, seed=3)
    np.testing.assert_array_equal(again.ratings.rating_index, small.ratings.rating_index)
    np.testing.assert_array_equal(again.ratings.item_index, small.ratings.item_index)


def test_truth_has_the_stated_distribution(large: Simulation) -> None:
    world, population = large.world, large.world.population
    counts = np.bincount(large.archetype, minlength=4)
    assert stats.chisquare(counts, world.shares * counts.sum()).pvalue > 1e-3
    deviations = (large.theta - world.means[large.archetype]) / population.sigma
    assert stats.kstest(deviations.ravel(), "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(deviations.T) - np.eye(10)).max() < 4.5 / np.sqrt(20_000)
    assert stats.kstest(large.shift / population.shift_sd, "norm").pvalue > 1e-3
    assert stats.kstest(large.log_spread / population.spread_sd, "norm").pvalue > 1e-3


def test_ratings_have_the_stated_distribution(large: Simulation) -> None:
    # Sum over ratings of (given - probability), per item and option, in standard errors: 60 nearly normal numbers.
    ratings, world = large.ratings, large.world
    theta, phi = large.theta[ratings.rater_index], world.features[ratings.item_index]
    shift, spread = large.shift[ratings.rater_index], np.exp(large.log_spread[ratings.rater_index])
    # The thresholds as they are defined: c_rk = shift_r + spread_r c_k.
    leaning = world.population.signal * (theta * phi).sum(axis=1)
    at_most = 1 / (1 + np.exp(leaning[:, None] - (shift[:, None] + spread[:, None] * world.cut_points)))
    p = np.diff(at_most, axis=1, prepend=0, append=1)
    residual = np.eye(5)[ratings.rating_index] - p
    sums, variances = np.zeros((12, 5)), np.zeros((12, 5))
    np.add.at(sums, ratings.item_index, residual)
    np.add.at(variances, ratings.item_index, p * (1 - p))
    z = sums / np.sqrt(variances)
    assert np.abs(z).max() < 4
    assert 0.7 < z.std() < 1.3
    np.testing.assert_allclose(p, option_probabilities(leaning - shift, spread, world.cut_points), atol=1e-12)


def test_rated_items_are_a_fair_draw(large: Simulation) -> None:
    # 20,000 raters, 6 of 12 items each: every item 10,000 times, every pair of items 20,000 * 6*5/(12*11) times.
    rated = np.zeros((20_000, 12))
    rated[large.ratings.rater_index, large.ratings.item_index] = 1
    assert np.abs(rated.sum(axis=0) - 10_000).max() < 4 * np.sqrt(20_000 * 0.25)
    together = (rated.T @ rated)[np.triu_indices(12, 1)]
    share = 5 / 22
    assert np.abs(together - 20_000 * share).max() < 4.5 * np.sqrt(20_000 * share * (1 - share))


def test_attributes_follow_their_tables(large: Simulation) -> None:
    for name, levels in ATTRIBUTES.items():
        table = large.world.attribute_shares[name]
        np.testing.assert_allclose(table.sum(axis=1), 1, atol=1e-12)
        column = large.ratings.raters[name].to_numpy()
        for z in range(4):
            counts = np.array([(column[large.archetype == z] == level).sum() for level in levels])
            assert stats.chisquare(counts, table[z] * counts.sum()).pvalue > 1e-4


def information_nats(strength: float, name: str) -> float:
    """I(attribute; archetype) under the world's tables."""
    world = draw_world(replace(SMALL, attribute_strength=strength), seed=0)
    joint = world.shares[:, None] * world.attribute_shares[name]
    expected = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    return float((joint * np.log(joint / expected)).sum())


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_strength_is_a_dial(name: str) -> None:
    bits = [information_nats(strength, name) for strength in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert abs(bits[0]) < 1e-12
    assert (np.diff(bits) > 0.005).all()
    assert bits[-1] > 0.3


def test_archetypes_point_different_ways() -> None:
    for seed in range(5):
        world = draw_world(replace(SMALL, consensus=0.0, separation=1.5), seed=seed)
        np.testing.assert_allclose(np.linalg.norm(world.means, axis=1), 1.5, atol=1e-12)
        cosines = (world.means @ world.means.T / 1.5**2)[np.triu_indices(4, 1)]
        assert cosines.max() < 0.25


def test_fewer_values() -> None:
    simulation = simulate(replace(SMALL, values=("power", "tradition")), seed=0)
    assert simulation.theta.shape == (60, 2)
    assert simulation.features.shape == (50, 2)


def test_refusals() -> None:
    with pytest.raises(UsageError, match=r"n_raters is 0.*more than the 400 items.*must lie in 0\.\.1"):
        Population(n_raters=0, ratings_per_rater=500, attribute_strength=1.5)
    with pytest.raises(UsageError, match="sigma is nan"):
        Population(sigma=float("nan"))
    with pytest.raises(UsageError, match="a world has 0"):
        simulate(SMALL, seed=0, first_rater=MAX_RATERS - 3)
