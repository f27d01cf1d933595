from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pluralign.errors import UsageError
from pluralign.ratings import Ratings
from pluralign.ratings.simulate import ATTRIBUTES, Population, Simulation, simulate
from pluralign.ratings.simulated_bayes import BayesPrediction, Known, archetype_probabilities, bayes_predict
from pluralign.ratings.splits import split_fit_eval
from reference.simulated_bayes import grid_predictive

ALL = tuple(ATTRIBUTES)
TRUTH = Known(values=True, thresholds=True)


@pytest.fixture(scope="module")
def people() -> Simulation:
    return simulate(Population(n_raters=700, n_items=120, ratings_per_rater=40), seed=2)


@pytest.fixture(scope="module")
def asked(people: Simulation) -> Ratings:
    """Each rater's ratings that are never among the examples."""
    return people.ratings.take(np.flatnonzero(positions(people.ratings) >= 32))


def positions(ratings: Ratings) -> np.ndarray:
    """Each row's place among its rater's rows, in item order: items are in random order, so any order will do."""
    order = np.argsort(ratings.rater_index, kind="stable")
    place = np.empty(len(ratings), dtype=np.int64)
    place[order] = np.arange(len(ratings)) % 40
    return place


def examples(ratings: Ratings, n: int) -> Ratings:
    return ratings.take(positions(ratings) < n)


def predict(simulation: Simulation, rows: Ratings, known: Known, **options: int) -> BayesPrediction:
    return bayes_predict(simulation, rows.item_index, rows.rater_index, known=known, **options)


def losses(simulation: Simulation, rows: Ratings, known: Known, **options: int) -> np.ndarray:
    p = predict(simulation, rows, known, **options).probabilities
    return -np.log(p[np.arange(len(rows)), rows.rating_index])


def two_types() -> Simulation:
    """Two archetypes, equally many, without any spread inside; one value; two options; they lean by +ln 3 and -ln 3."""
    sure = {"signal": 1.0, "sigma": 0.0, "shift_sd": 0.0, "spread_sd": 0.0}
    sizes = {"n_raters": 4, "n_items": 3, "ratings_per_rater": 3, "n_archetypes": 2, "n_options": 2}
    population = Population(values=("power",), **sure, **sizes)
    simulation = simulate(population, seed=0)
    tables = {name: np.full_like(table, 1 / table.shape[1]) for name, table in simulation.world.attribute_shares.items()}
    tables["rater_age"] = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1]])
    world = replace(
        simulation.world,
        features=np.full((3, 1), np.log(3)),
        means=np.array([[1.0], [-1.0]]),
        shares=np.array([0.5, 0.5]),
        attribute_shares=tables,
    )
    raters = simulation.ratings.raters.with_columns(rater_age=np.array(["18-29", "30-44", "45-59", "18-29"]))
    archetype = np.array([0, 1, 0, 1])
    ratings = replace(
        simulation.ratings,
        raters=raters,
        item_index=np.array([0, 0, 1, 1]),
        rater_index=np.array([0, 3, 0, 3]),
        rating_index=np.array([1, 0, 1, 1]),
    )
    return replace(simulation, world=world, ratings=ratings, archetype=archetype, theta=world.means[archetype])


def test_by_hand_without_examples() -> None:
    simulation = two_types()
    raters = np.arange(4)
    items = np.zeros(4, dtype=np.int64)

    def high(known: Known) -> list[float]:
        return bayes_predict(simulation, items, raters, known=known).probabilities[:, 1].tolist()

    # F(ln 3) = 3/4 and F(-ln 3) = 1/4; of nobody in particular, 1/2.
    assert high(Known()) == pytest.approx([1 / 2] * 4, abs=1e-12)
    # Age 18-29: 7 to 1 for the first archetype, 7/8 * 3/4 + 1/8 * 1/4 = 11/16; 30-44 the reverse; 45-59 tells nothing.
    assert high(Known(attributes=("rater_age",))) == pytest.approx([11 / 16, 5 / 16, 1 / 2, 11 / 16], abs=1e-12)
    # The region is as good as a coin, so all four attributes tell what age tells.
    assert high(Known(attributes=ALL)) == pytest.approx([11 / 16, 5 / 16, 1 / 2, 11 / 16], abs=1e-12)
    for known in (Known(archetype=True), Known(values=True), TRUTH):
        assert high(known) == pytest.approx([3 / 4, 1 / 4, 3 / 4, 1 / 4], abs=1e-12)


def test_by_hand_with_examples() -> None:
    simulation = two_types()
    given = simulation.ratings
    known = Known(examples=given)
    p = bayes_predict(simulation, np.array([2, 2, 2]), np.array([0, 3, 1]), known=known).probabilities[:, 1]
    # Rater 0 answered high twice: 9/16 to 1/16, so 9/10 * 3/4 + 1/10 * 1/4 = 7/10. Rater 3 once each: 1/2. Rater 1: nothing.
    np.testing.assert_allclose(p, [7 / 10, 1 / 2, 1 / 2], atol=1e-12)
    known = Known(examples=given, attributes=("rater_age",))
    p = bayes_predict(simulation, np.array([2, 2, 2]), np.array([0, 3, 1]), known=known).probabilities[:, 1]
    # With the age: 63 to 1, so 63/64 * 3/4 + 1/64 * 1/4 = 190/256; 7 to 1 gives 11/16; the reverse 5/16.
    np.testing.assert_allclose(p, [190 / 256, 11 / 16, 5 / 16], atol=1e-12)


@pytest.mark.parametrize(
    ("values", "n_points", "separation", "sigma"),
    [(("power",), 41, 1.0, 0.5), (("power",), 49, 2.5, 1.5), (("power", "tradition"), 25, 1.0, 0.5)],
)
def test_equals_a_dense_grid(values: tuple[str, ...], n_points: int, separation: float, sigma: float) -> None:
    population = Population(
        n_raters=3, n_items=40, ratings_per_rater=8, n_archetypes=2,
        values=values, separation=separation, sigma=sigma, spread_sd=0.4,
    )  # fmt: skip
    simulation = simulate(population, seed=1)
    ratings = simulation.ratings
    item = np.array([5, 11, 3])
    for attributes, numbers in (((), (0, 1, 7)), (("rater_age",), (4,))):
        before = archetype_probabilities(simulation, Known(attributes=attributes))
        for n in numbers:
            rows = np.concatenate([np.flatnonzero(ratings.rater_index == rater)[:n] for rater in range(3)])
            known = Known(examples=ratings.take(rows), attributes=attributes)
            ours = bayes_predict(simulation, item, np.arange(3), known=known, n_draws=8192).probabilities
            for rater in range(3 if len(values) == 1 else 1):
                own = rows[ratings.rater_index[rows] == rater]
                pairs = list(zip(ratings.item_index[own].tolist(), ratings.rating_index[own].tolist(), strict=True))
                theirs = grid_predictive(simulation.world, before[rater].tolist(), pairs, int(item[rater]), n_points)
                np.testing.assert_allclose(ours[rater], theirs, atol=1e-3 if n else 1e-6)


def test_values_known_equals_the_grid_without_spread_of_values() -> None:
    # A person of known theta is an archetype without any spread inside.
    population = Population(n_raters=3, n_items=10, ratings_per_rater=2, values=("power",))
    simulation = simulate(population, seed=0)
    ours = bayes_predict(simulation, np.array([1, 4]), np.array([0, 2]), known=Known(values=True)).probabilities
    for row, (item, rater) in enumerate(((1, 0), (4, 2))):
        alone = replace(simulation.world, means=simulation.theta[[rater]], population=replace(population, sigma=0.0))
        np.testing.assert_allclose(ours[row], grid_predictive(alone, [1.0], [], item, 41), atol=1e-7)


def test_no_examples_is_nothing(people: Simulation, asked: Ratings) -> None:
    nothing = predict(people, asked, Known())
    none = predict(people, asked, Known(examples=examples(people.ratings, 0)))
    np.testing.assert_array_equal(none.probabilities, nothing.probabilities)
    assert np.isnan(none.effective_draws).all()


def test_attributes_of_strength_zero_tell_nothing() -> None:
    simulation = simulate(Population(n_raters=30, n_items=20, ratings_per_rater=5, attribute_strength=0), seed=0)
    ours, nothing = (predict(simulation, simulation.ratings, known) for known in (Known(attributes=ALL), Known()))
    np.testing.assert_allclose(ours.probabilities, nothing.probabilities, atol=1e-12)


def test_rows_are_distributions(people: Simulation, asked: Ratings) -> None:
    few = asked.take(np.arange(0, len(asked), 50))
    given = examples(people.ratings, 8)
    for known in (Known(), Known(attributes=ALL), Known(values=True), TRUTH, Known(examples=given, archetype=True)):
        p = predict(people, few, known).probabilities
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
        assert p.min() > 0


def test_losses_fall_with_what_is_known(people: Simulation, asked: Ratings) -> None:
    knowing = [
        Known(),
        Known(attributes=("rater_age",)),
        Known(attributes=ALL),
        Known(archetype=True),
        Known(values=True),
        TRUTH,
    ]
    rising = [losses(people, asked, known).mean() for known in knowing]
    assert (np.diff(rising) < -0.01).all()
    by_n = [
        losses(people, asked, Known(examples=examples(people.ratings, n)), n_draws=128).mean() for n in (0, 1, 2, 4, 8, 16, 32)
    ]
    assert (np.diff(by_n) < -0.005).all()
    assert by_n[0] == rising[0]
    assert by_n[-1] > rising[-1] + 0.01
    both = losses(people, asked, Known(examples=examples(people.ratings, 2), attributes=ALL), n_draws=128).mean()
    assert both < min(by_n[2], rising[2]) - 0.01


@pytest.mark.parametrize("n", [0, 8, 32])
def test_predictions_are_calibrated(people: Simulation, asked: Ratings, n: int) -> None:
    p = predict(people, asked, Known(examples=examples(people.ratings, n))).probabilities
    given = np.eye(5)[asked.rating_index]
    # Mean loss = mean entropy for whoever predicts with the true distribution; both averaged per rater, the unit drawn.
    surprise = -np.log(p[np.arange(len(p)), asked.rating_index]) + (p * np.log(p)).sum(axis=1)
    per_rater = np.bincount(asked.rater_index, surprise) / np.bincount(asked.rater_index)
    assert abs(per_rater.mean()) < 3.5 * per_rater.std() / np.sqrt(len(per_rater))
    # Ten equal-mass bins of all option probabilities: predicted = observed share, in standard errors over raters.
    for rows in np.array_split(np.argsort(p, axis=None), 10):
        query, option = np.unravel_index(rows, p.shape)
        gap = (given - p)[query, option]
        per_rater = np.bincount(asked.rater_index[query], gap, minlength=700)
        assert abs(per_rater.mean()) < 3.5 * per_rater.std() / np.sqrt(700)


def test_nothing_equals_the_shares_of_many_raters() -> None:
    simulation = simulate(Population(n_raters=20_000, n_items=5, ratings_per_rater=5), seed=6)
    p = bayes_predict(simulation, np.arange(5), np.zeros(5, dtype=np.int64), known=Known()).probabilities
    shares = np.zeros((5, 5))
    np.add.at(shares, (simulation.ratings.item_index, simulation.ratings.rating_index), 1 / 20_000)
    assert (np.abs(shares - p) / np.sqrt(p * (1 - p) / 20_000)).max() < 4


def test_draws_belong_to_the_rater(people: Simulation, asked: Ratings) -> None:
    given = Known(examples=examples(people.ratings, 8))
    few = asked.take(np.flatnonzero(asked.rater_index < 40))
    whole = predict(people, few, given, seed=5)
    rows = np.random.default_rng(0).permutation(len(few))[:30]
    part = predict(people, few.take(rows), given, seed=5)
    np.testing.assert_allclose(part.probabilities, whole.probabilities[rows], atol=1e-12)
    other = predict(people, few, given, seed=6)
    difference = np.abs(other.probabilities - whole.probabilities)
    assert 0 < difference.mean() < 0.006
    # The documented error: within 5 times sqrt(p (1 - p) / draws), for all.
    p = whole.probabilities
    assert (difference <= 5 * np.sqrt(p * (1 - p) / whole.effective_draws[:, None])).all()
    assert whole.effective_draws.min() > 64
    assert whole.effective_draws.max() <= 4 * 256


def test_more_draws_come_closer(people: Simulation, asked: Ratings) -> None:
    given = Known(examples=examples(people.ratings, 16))
    few = asked.take(np.flatnonzero(asked.rater_index < 20))
    best = predict(people, few, given, seed=1, n_draws=8192).probabilities
    errors = [np.abs(predict(people, few, given, n_draws=n).probabilities - best).mean() for n in (32, 256, 1024)]
    assert errors[0] > 1.5 * errors[1] > 2 * errors[2]
    assert errors[1] < 0.003


def test_uneven_numbers_of_examples(people: Simulation) -> None:
    split = split_fit_eval(people.ratings, seed=0)
    fit, rest = people.ratings.take(split.is_fit), people.ratings.take(split.is_eval)
    few = rest.take(np.flatnonzero(rest.rater_index < 25))
    together = predict(people, few, Known(examples=fit))
    for rater in (0, 7, 24):
        rows = few.rater_index == rater
        alone = predict(people, few.take(rows), Known(examples=fit.take(fit.rater_index == rater)))
        np.testing.assert_allclose(together.probabilities[rows], alone.probabilities, atol=1e-12)


def test_refusals(people: Simulation) -> None:
    with pytest.raises(UsageError, match="did you mean 'rater_age'"):
        Known(attributes=("rater_ages",))
    with pytest.raises(UsageError, match="only together with values"):
        Known(thresholds=True)
    with pytest.raises(UsageError, match="values and examples"):
        Known(values=True, examples=people.ratings)
    with pytest.raises(UsageError, match=r"raters has rows 0\.\.700"):
        bayes_predict(people, np.array([0, 0]), np.array([0, 700]), known=Known())
    with pytest.raises(UsageError, match="two arrays of one length"):
        bayes_predict(people, np.array([0]), np.array([0, 1]), known=Known())
    other = simulate(replace(people.world.population, n_raters=5), seed=2).ratings
    with pytest.raises(UsageError, match="other tables"):
        bayes_predict(people, np.array([0]), np.array([0]), known=Known(examples=other))
