from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from pluralign.errors import DataError, NotFittedError
from pluralign.raters.baselines import Marginal, PerItem, PerRater, RatingModel
from pluralign.raters.features import GivenFeatures, NoFeatures
from pluralign.raters.mixed import MixedModel, MixedSettings
from pluralign.raters.variational import Beliefs
from pluralign.ratings import Ratings, Scale, ScaleKind
from pluralign.ratings.simulate import Population, Simulation, simulate
from pluralign.ratings.simulated_bayes import Known, bayes_predict
from reference import mixed_effects as slow

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

VALUES = ("power", "tradition", "hedonism", "benevolence")
N_TRAIN, N_EXAMPLES = 400, 32


def given_features(simulation: Simulation) -> GivenFeatures:
    names = [f"phi_{k}" for k in range(simulation.features.shape[1])]
    return GivenFeatures(simulation.ratings.items.select("item_id").hstack(pl.DataFrame(simulation.features, schema=names)))


def place_of(ratings: Ratings) -> IntArray:
    """Each row's place among its rater's rows; items are rated in random order, so any order will do."""
    order = np.argsort(ratings.rater_index, kind="stable")
    counts = np.bincount(ratings.rater_index, minlength=ratings.n_raters)
    place = np.empty(len(ratings), dtype=np.int64)
    place[order] = np.concatenate([np.arange(n) for n in counts])
    return place


def losses(p: FloatArray, queries: Ratings) -> FloatArray:
    return np.asarray(-np.log(p[np.arange(len(queries)), queries.rating_index]))


def table(rows: list[tuple[int, int, int]], k: int, kind: ScaleKind = "ordinal") -> Ratings:
    """Rows (item, rater, option)."""
    long = pl.DataFrame(
        {
            "item_id": [f"i{i:03}" for i, _, _ in rows],
            "rater_id": [f"r{r:03}" for _, r, _ in rows],
            "rating": [str(o) for *_, o in rows],
        }
    )
    return Ratings.from_long(long, Scale(kind, tuple(str(option) for option in range(k))))


class Held:
    """A simulation, a model of its first raters, and the last ratings of the other raters, which are asked for."""

    def __init__(self, population: Population, *, seed: int, n_train: int) -> None:
        self.simulation = simulate(population, seed=seed)
        self.ratings = self.simulation.ratings
        self.place = place_of(self.ratings)
        self.tested = self.ratings.rater_index >= n_train
        self.train = self.ratings.take(~self.tested)
        self.asked = self.ratings.take(self.tested & (self.place >= N_EXAMPLES))
        self.model = MixedModel(features=given_features(self.simulation)).fit(self.train)

    def examples(self, n: int) -> Ratings:
        return self.ratings.take(self.tested & (self.place < n))

    def loss(self, n: int, model: RatingModel | MixedModel | None = None) -> float:
        p = (model or self.model).predict_proba(self.asked, given=self.examples(n))
        return float(losses(p, self.asked).mean())

    def least_loss(self, n: int) -> float:
        """Of the true posterior predictive."""
        known = Known(examples=self.examples(n))
        found = bayes_predict(self.simulation, self.asked.item_index, self.asked.rater_index, known=known, n_draws=64)
        return float(losses(found.probabilities, self.asked).mean())


# recovery: simulated people


@pytest.fixture(scope="module")
def people() -> Held:
    population = Population(n_raters=600, n_items=60, ratings_per_rater=40, n_options=3, values=VALUES)
    return Held(population, seed=0, n_train=N_TRAIN)


def test_predictions_are_near_the_best_possible(people: Held) -> None:
    # Measured: 0.001 nats above the true distribution for a stranger, 0.015 with 32 examples.
    assert people.loss(0) < people.least_loss(0) + 0.02
    assert people.least_loss(32) - 0.01 < people.loss(32) < people.least_loss(32) + 0.05


def test_each_example_helps_on_average(people: Held) -> None:
    loss = [people.loss(n) for n in (0, 2, 4, 8, 16, 32)]
    assert all(more < fewer - 0.005 for fewer, more in pairwise(loss))


def test_simpler_models_lose_more(people: Held) -> None:
    for simple in (Marginal(), PerItem(), PerRater()):
        assert people.loss(32) < people.loss(32, simple.fit(people.train)) - 0.1


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_thousand_people_are_near_the_best_possible(seed: int) -> None:
    held = Held(Population(n_raters=2000, n_items=400, ratings_per_rater=40), seed=seed, n_train=1400)
    # Measured: 0.000 to 0.002 and 0.018 to 0.019 nats above the true distribution.
    assert held.loss(0) < held.least_loss(0) + 0.01
    assert held.loss(32) < held.least_loss(32) + 0.03


# what predictions depend on


@pytest.fixture(scope="module")
def few() -> Held:
    population = Population(n_raters=60, n_items=40, ratings_per_rater=36, n_options=3, values=VALUES)
    return Held(population, seed=1, n_train=40)


def test_rows_sum_to_one_and_own_ratings_are_not_looked_at(few: Held) -> None:
    p = few.model.predict_proba(few.asked, given=few.examples(8))
    assert p.shape == (len(few.asked), 3)
    np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-12)
    assert (p > 0).all()
    other = replace(few.asked, rating_index=few.asked.rating_index[::-1])
    np.testing.assert_array_equal(few.model.predict_proba(other, given=few.examples(8)), p)


def test_changing_held_out_ratings_changes_nothing(few: Held) -> None:
    kept = ~(few.tested & (few.place >= 8))
    changed = replace(few.ratings, rating_index=np.where(kept, few.ratings.rating_index, 2 - few.ratings.rating_index))
    model = MixedModel(features=given_features(few.simulation)).fit(changed.take(~few.tested))
    p = model.predict_proba(
        changed.take(few.tested & (few.place >= N_EXAMPLES)), given=changed.take(few.tested & (few.place < 8))
    )
    np.testing.assert_array_equal(p, few.model.predict_proba(few.asked, given=few.examples(8)))


def test_the_order_of_queries_and_examples_does_not_matter(few: Held) -> None:
    rng = np.random.default_rng(0)
    p = few.model.predict_proba(few.asked, given=few.examples(8))
    order, given = rng.permutation(len(few.asked)), few.examples(8)
    shuffled = few.model.predict_proba(few.asked.take(order), given=given.take(rng.permutation(len(given))))
    np.testing.assert_allclose(shuffled, p[order], atol=1e-10)


def test_the_order_of_the_training_table_does_not_matter(few: Held) -> None:
    long = few.train.to_long().drop("item_text")
    texts = [Ratings.from_long(long[np.random.default_rng(seed).permutation(len(long))], few.train.scale) for seed in (0, 1)]
    one, two = (MixedModel(MixedSettings(max_iterations=5), features=NoFeatures()).fit(t).predict_proba(t) for t in texts)
    np.testing.assert_array_equal(one, two)


def test_a_rater_without_examples_is_a_stranger(few: Held) -> None:
    stranger = few.model.predict_proba(few.asked)
    np.testing.assert_array_equal(few.model.predict_proba(few.asked, given=few.examples(0)), stranger)
    population = few.model.population(few.ratings.n_raters)
    np.testing.assert_array_equal(few.model.predict_from_beliefs(few.asked, population), stranger)
    one = int(few.asked.rater_index[0])
    others = few.examples(8)
    given = others.take(others.rater_index != one)
    p = few.model.predict_proba(few.asked, given=given)
    mine = few.asked.rater_index == one
    np.testing.assert_allclose(p[mine], stranger[mine], atol=1e-12)
    assert np.abs(p[~mine] - stranger[~mine]).max() > 0.05


def test_a_prior_other_than_the_population_is_where_beliefs_start(few: Held) -> None:
    prior = few.model.population(few.ratings.n_raters)
    prior.mean[:, 0] = 1.5
    given = few.examples(4)
    beliefs = few.model.beliefs_about_raters(given, prior=prior)
    silent = np.bincount(given.rater_index, minlength=given.n_raters) == 0
    np.testing.assert_array_equal(beliefs.mean[silent], prior.mean[silent])
    plain = few.model.beliefs_about_raters(given)
    assert (beliefs.mean[~silent, 0] > plain.mean[~silent, 0]).all()
    assert (beliefs.mean[~silent, 0] - plain.mean[~silent, 0] < 1.5).all()


def test_a_grid_is_the_same_predictions(few: Held) -> None:
    beliefs = few.model.beliefs_about_raters(few.examples(8))
    grid = few.model.predict_grid(few.ratings.items, beliefs)
    rows = few.model.predict_from_beliefs(few.asked, beliefs)
    np.testing.assert_allclose(grid[few.asked.rater_index, few.asked.item_index], rows, atol=1e-10)


def test_beliefs_of_training_raters_are_what_their_ratings_say(few: Held) -> None:
    # The fit stops before the last digit, so its beliefs are near the fixed point of the learned model, not on it.
    again = few.model.beliefs_about_raters(few.train)
    rated = np.unique(few.train.rater_index)
    sd = np.sqrt(np.diag(few.model.spread_))
    off = np.abs(again.mean[rated] - few.model.rater_beliefs_.mean[rated]) / sd
    assert off.mean() < 0.05


def test_refitting_forgets(few: Held) -> None:
    part = few.ratings.take(~few.tested & (few.ratings.item_index < 12))
    settings = MixedSettings(max_iterations=3)
    model = MixedModel(settings).fit(few.train)
    model.predict_proba(few.asked)
    fresh = MixedModel(settings).fit(part).predict_proba(few.asked)
    np.testing.assert_array_equal(model.fit(part).predict_proba(few.asked), fresh)


def test_progress_is_told_each_iteration(few: Held) -> None:
    told: list[tuple[int, int]] = []
    model = MixedModel(MixedSettings(max_iterations=3)).fit(few.train, on_progress=lambda i, n: told.append((i, n)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert model.n_iterations_ == 3


# one rater, exactly


def test_a_raters_predictions_equal_a_dense_grid() -> None:
    # Two options, no features: one effect a rater. Items' beliefs enter each rating, so their doubt is averaged over, too.
    rng = np.random.default_rng(3)
    habit = rng.normal(size=80)
    rows = [(i, r, int(rng.random() < 1 / (1 + np.exp(-1.4 * habit[r] - 0.2 * i + 1)))) for i in range(12) for r in range(80)]
    ratings = table(rows, 2)
    model = MixedModel(MixedSettings(max_factors=0), features=NoFeatures()).fit(ratings.take(ratings.rater_index < 70))
    assert model.spread_.shape == (1, 1)
    asked = ratings.take((ratings.rater_index >= 70) & (ratings.item_index >= 6))
    given = ratings.take((ratings.rater_index >= 70) & (ratings.item_index < 6))
    ours = model.predict_proba(asked, given=given)
    items = model.beliefs_about_items(ratings.items)
    grid = np.linspace(-7, 7, 401) * np.sqrt(model.spread_[0, 0])

    def shares(item: int) -> FloatArray:
        """p(option) for every point of the grid, [points, options]."""
        args = model.offset_, model.contrasts_.basis, 15
        return np.stack([slow.expected_softmax(items.mean[item] + u, items.cov[item], *args) for u in grid])

    share = [shares(item) for item in range(12)]
    for row in range(len(asked)):
        density = np.exp(-(grid**2) / (2 * model.spread_[0, 0]))
        mine = given.rater_index == asked.rater_index[row]
        for item, option in zip(given.item_index[mine], given.rating_index[mine], strict=True):
            density = density * share[item][:, option]
        exact = density @ share[asked.item_index[row]] / density.sum()
        np.testing.assert_allclose(ours[row], exact, atol=0.01)


# items


def test_new_items_are_expected_from_their_features(few: Held) -> None:
    seen = few.ratings.item_index < 30
    model = MixedModel(features=given_features(few.simulation)).fit(few.ratings.take(~few.tested & seen))
    about = model.beliefs_about_items(few.ratings.items)
    expected = model.item_prior_.beliefs(model.prior_features(few.ratings.items))
    np.testing.assert_array_equal(about.mean[30:], expected.mean[30:])
    np.testing.assert_array_equal(about.cov[30:], expected.cov[30:])
    assert np.trace(about.cov[:30].mean(axis=0)) < 0.85 * np.trace(about.cov[30:].mean(axis=0))  # ratings tell, too
    asked = few.ratings.take(few.tested & ~seen)
    marginal = Marginal().fit(few.ratings.take(~few.tested & seen)).predict_proba(asked)
    given = few.ratings.take(few.tested & seen)
    assert losses(model.predict_proba(asked, given=given), asked).mean() < losses(marginal, asked).mean() - 0.1


def test_items_of_another_table_are_found_by_their_id(few: Held) -> None:
    items = few.ratings.items
    swapped = items[::-1].with_columns(
        pl.when(pl.col("item_id") == items["item_id"][0]).then(pl.lit("new")).otherwise("item_id").alias("item_id")
    )
    model = MixedModel(MixedSettings(max_iterations=3), features=NoFeatures()).fit(few.train)
    there, here = model.beliefs_about_items(swapped), model.beliefs_about_items(items)
    np.testing.assert_array_equal(there.mean[::-1][1:], here.mean[1:])
    nobody_rated = model.item_prior_.beliefs(np.ones((1, 1)))
    np.testing.assert_array_equal(there.mean[-1], nobody_rated.mean[0])
    np.testing.assert_array_equal(there.cov[-1], nobody_rated.cov[0])


def test_what_all_raters_say_of_an_item_is_expected_but_not_certain() -> None:
    rng = np.random.default_rng(4)
    rows = [(i, r, 1 if i == 0 else int(rng.integers(3))) for r in range(40) for i in range(8)]
    ratings = table(rows, 3)
    p = MixedModel().fit(ratings).predict_proba(ratings.take(ratings.item_index == 0))
    assert (p[:, 1] > 0.9).all()
    assert (p[:, 1] < 0.999).all()


# scales


def test_two_options_are_the_same_with_and_without_order(few: Held) -> None:
    binary = replace(few.ratings, rating_index=few.ratings.rating_index // 2)
    p = {}
    for kind in ("ordinal", "nominal"):
        ratings = replace(binary, scale=Scale(kind, ("no", "yes")))  # type: ignore[arg-type]
        model = MixedModel(MixedSettings(max_iterations=8), features=given_features(few.simulation)).fit(
            ratings.take(~few.tested)
        )
        p[kind] = model.predict_proba(ratings.take(few.tested), given=ratings.take(few.tested & (few.place < 8)))
    np.testing.assert_allclose(p["ordinal"], p["nominal"], atol=1e-8)


def test_turning_an_ordered_scale_round_turns_its_predictions_round(few: Held) -> None:
    turned = replace(few.ratings, rating_index=2 - few.ratings.rating_index)
    settings = MixedSettings(max_iterations=8)
    one, two = (
        MixedModel(settings, features=given_features(few.simulation))
        .fit(ratings.take(~few.tested))
        .predict_proba(ratings.take(few.tested), given=ratings.take(few.tested & (few.place < 8)))
        for ratings in (few.ratings, turned)
    )
    np.testing.assert_allclose(two[:, ::-1], one, atol=0.01)  # the points of the last average are not symmetric


def test_a_nominal_scale_is_learned_whatever_its_order(few: Held) -> None:
    p, queries = [], few.asked
    for order in ([0, 1, 2], [2, 0, 1]):
        recoded = replace(
            few.ratings, rating_index=np.argsort(order)[few.ratings.rating_index], scale=Scale("nominal", ("a", "b", "c"))
        )
        model = MixedModel(features=given_features(few.simulation)).fit(recoded.take(~few.tested))
        rows = model.predict_proba(
            recoded.take(few.tested & (few.place >= N_EXAMPLES)), given=recoded.take(few.tested & (few.place < N_EXAMPLES))
        )
        p.append(rows[:, np.argsort(order)])
    for rows in p:
        assert losses(rows, queries).mean() < few.loss(32, Marginal().fit(few.train)) - 0.1
    assert np.abs(p[0] - p[1]).mean() < 0.03


def test_a_long_scale_keeps_the_shares_of_its_options() -> None:
    # Every other answer is liked, of any item: no smooth contrast says so, the offset has to, though the items differ much.
    rng = np.random.default_rng(5)
    lean = 1.2 * rng.normal(size=(40, 1)) * np.arange(-3.5, 4)
    shares = np.exp(lean + 1.5 * (np.arange(8) % 2))
    shares /= shares.sum(axis=1, keepdims=True)
    ratings = table([(i, r, int(rng.choice(8, p=shares[i]))) for i in range(40) for r in range(40)], 8)
    model = MixedModel(features=NoFeatures()).fit(ratings)
    observed = np.bincount(ratings.rating_index, minlength=8) / len(ratings)
    np.testing.assert_allclose(model.predict_proba(ratings).mean(axis=0), observed, atol=2e-3)
    covered = np.column_stack([np.ones(8) / np.sqrt(8), model.contrasts_.basis])
    left = np.eye(8) - covered @ covered.T
    np.testing.assert_allclose(left @ model.offset_, left @ (1.5 * (np.arange(8) % 2)), atol=0.15)


# what cannot be done


def test_fit_needs_ratings_and_comes_first(few: Held) -> None:
    with pytest.raises(DataError, match="no ratings to fit"):
        MixedModel().fit(few.ratings.take(np.zeros(0, dtype=np.int64)))
    fresh, nobody = MixedModel(), Beliefs(np.zeros((1, 2)), np.zeros((1, 2, 2)))
    for call in (
        lambda: fresh.predict_proba(few.asked),
        lambda: fresh.predict_proba(few.asked, given=few.asked),
        lambda: fresh.predict_grid(few.ratings.items, nobody),
        lambda: fresh.predict_from_beliefs(few.asked, nobody),
        lambda: fresh.beliefs_about_raters(few.asked),
        lambda: fresh.population(),
    ):
        with pytest.raises(NotFittedError, match=r"MixedModel: call fit\(ratings\) first"):
            call()


def test_given_ratings_are_of_the_same_raters(few: Held) -> None:
    elsewhere = table([(0, 0, 1)], 3)
    with pytest.raises(DataError, match="must share one table of raters"):
        few.model.predict_proba(few.asked, given=elsewhere)


# data of which hardly anything can be learned


def _drawn(n_items: int, n_raters: int, k: int, *, share: float = 1.0, kind: ScaleKind = "ordinal", seed: int = 0) -> Ratings:
    rng = np.random.default_rng(seed)
    pairs = [(i, r) for i in range(n_items) for r in range(n_raters) if rng.random() < share]
    return table([(i, r, int(rng.integers(k))) for i, r in pairs], k, kind)


def _by_rater(n_items: int, n_raters: int, k: int, kind: ScaleKind = "ordinal") -> Ratings:
    return table([(i, r, r * (k - 1) // max(n_raters - 1, 1)) for i in range(n_items) for r in range(n_raters)], k, kind)


DEGENERATE = {
    "one rating": table([(0, 0, 1)], 3),
    "one item": _drawn(1, 20, 3),
    "one rater": _drawn(20, 1, 5),
    "one answer only": table([(i, r, 1) for i in range(5) for r in range(20)], 3),
    "one answer only, of two": table([(i, r, 1) for i in range(5) for r in range(20)], 2),
    "a rater with one rating": table([(i, r, (i + r) % 3) for i in range(6) for r in range(12) if r or not i], 3),
    "11 options, 4 raters": _drawn(6, 4, 11),
    "11 options without order, 4 raters": _drawn(6, 4, 11, kind="nominal"),
    "25 options without order, 4 raters": _drawn(6, 4, 25, kind="nominal"),
    "options nobody chose": table([(i, r, 5 * ((i * r) % 2)) for i in range(8) for r in range(8)], 6, "nominal"),
    "both ends of a long scale": table([(i, r, 10 * ((i * r + r) % 2)) for i in range(8) for r in range(8)], 11),
    "one rating an item": table([(i, i % 5, i % 3) for i in range(40)], 3),
    "one rating a rater": table([(r % 5, r, r % 3) for r in range(40)], 3),
    "raters who never vary": _by_rater(8, 10, 5),
    "raters who never vary, without order": _by_rater(8, 10, 7, "nominal"),
    "items that never vary": table([(i, r, i % 5) for i in range(10) for r in range(8)], 5),
    "two camps": table([(i, r, int((i < 10) == (r < 10))) for i in range(20) for r in range(20)], 2),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_data_give_probabilities(name: str) -> None:
    ratings = DEGENERATE[name]
    half = ratings.take(np.arange(len(ratings)) % 2 == 0)
    model = MixedModel().fit(half)
    for p in (model.predict_proba(ratings), model.predict_proba(ratings, given=half)):
        assert np.isfinite(p).all()
        np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-9)
    assert np.isfinite(model.spread_).all()
    assert np.isfinite(model.item_beliefs_.mean).all()
    # A prediction from nothing much is not certain of anything that was not seen every time.
    seen = np.bincount(half.rating_index, minlength=ratings.n_options) > 0
    assert model.predict_proba(ratings)[:, seen].min() > 1e-6


@pytest.mark.parametrize("seed", range(12))
def test_small_random_tables_give_probabilities(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k, kind = int(rng.choice([2, 3, 5, 7, 11])), ("ordinal", "nominal")[seed % 2]
    ratings = _drawn(
        int(rng.integers(1, 10)), int(rng.integers(2, 10)), k, share=float(rng.choice([0.3, 0.6, 1.0])), kind=kind, seed=seed
    )  # type: ignore[arg-type]
    p = MixedModel().fit(ratings).predict_proba(ratings, given=ratings)
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-9)


def test_another_scale_is_refused() -> None:
    ratings = simulate(Population(n_raters=30, n_items=20, ratings_per_rater=10), seed=0).ratings
    model = MixedModel(MixedSettings(max_iterations=3)).fit(ratings)
    longer = Scale("ordinal", (*ratings.scale.options, "6"))
    other = Ratings.from_long(ratings.to_long(), longer)
    with pytest.raises(DataError, match="fitted on"):
        model.predict_proba(other)
    with pytest.raises(DataError, match="fitted on"):
        model.beliefs_about_raters(other)
