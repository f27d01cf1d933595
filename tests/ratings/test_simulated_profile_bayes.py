from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit, ndtr

from pluralign.errors import DataError, UsageError
from pluralign.ratings.ordered_logit import option_probabilities
from pluralign.ratings.simulate import ATTRIBUTES, Population, Simulation, World, draw_world, simulate
from pluralign.ratings.simulated_bayes import Known, archetype_probabilities, bayes_predict
from pluralign.ratings.simulated_profile_bayes import CLEAR, STRONG, ProfileFacts, facts_of, profile_predict
from pluralign.suite.simulated_worlds import profile_text

TRUTH = Known(values=True, thresholds=True)
SIX = ("power", "tradition", "hedonism", "security", "benevolence", "universalism")


@pytest.fixture(scope="module")
def people() -> Simulation:
    population = Population(
        n_raters=300, n_items=60, ratings_per_rater=12, n_archetypes=3, values=SIX, sigma=0.35, shift_sd=0.7, spread_sd=0.35
    )
    return simulate(population, seed=4)


@pytest.fixture(scope="module")
def facts(people: Simulation) -> list[ProfileFacts]:
    return facts_of_all(people)


@pytest.fixture(scope="module")
def predicted(people: Simulation, facts: list[ProfileFacts]) -> np.ndarray:
    return predict(people, facts)


def facts_of_all(simulation: Simulation) -> list[ProfileFacts]:
    rows = zip(simulation.theta, simulation.shift.tolist(), simulation.log_spread.tolist(), strict=True)
    return [facts_of(theta, shift, log_spread) for theta, shift, log_spread in rows]


def predict(simulation: Simulation, facts: list[ProfileFacts], n_draws: int = 256) -> np.ndarray:
    ratings = simulation.ratings
    return profile_predict(simulation.world, facts, ratings.item_index, ratings.rater_index, n_draws=n_draws)


def losses(simulation: Simulation, p: np.ndarray) -> np.ndarray:
    """Mean over each rater's ratings, the rater being the unit that is drawn."""
    ratings = simulation.ratings
    each = -np.log(p[np.arange(len(p)), ratings.rating_index])
    return np.bincount(ratings.rater_index, each) / np.bincount(ratings.rater_index)


def one_value(mean: float, *, sigma: float) -> World:
    """One archetype, one value, two options with the cut point 0, one impact of 2; nobody's thresholds differ."""
    sizes = {"n_raters": 1, "n_items": 1, "ratings_per_rater": 1, "n_archetypes": 1, "n_options": 2}
    population = Population(values=("power",), signal=1.0, sigma=sigma, shift_sd=0.0, spread_sd=0.0, **sizes)
    world = draw_world(population, seed=0)
    return replace(world, means=np.array([[mean]]), features=np.array([[2.0]]))


def high(world: World, facts: ProfileFacts) -> float:
    at = np.array([0])
    return profile_predict(world, [facts], at, at, n_draws=4096)[0, 1].item()


# facts


def test_facts_at_the_thresholds() -> None:
    theta = np.array([0.3, -0.3, 0.2999, 0.31, -2.0, -0.2999])
    assert facts_of(theta, 0.5, -0.5) == ProfileFacts(cares=(3, 0), turns=(4, 1), shift=1, log_spread=-1)
    assert facts_of(theta, -0.5, 0.5) == ProfileFacts(cares=(3, 0), turns=(4, 1), shift=-1, log_spread=1)
    assert facts_of(theta, 0.4999, -0.4999) == ProfileFacts(cares=(3, 0), turns=(4, 1))


def test_facts_are_what_the_profile_says() -> None:
    """Against the text itself, for people on both sides of every threshold, and on it."""
    rng = np.random.default_rng(0)
    edge = [np.array([STRONG, -STRONG, 0.0, 0.31, -2.0, 0.1])]
    thetas = edge + [rng.normal(scale=0.6, size=6) for _ in range(300)]
    for theta in thetas:
        shift, log_spread = rng.choice([-0.9, -CLEAR, -0.1, 0.0, 0.49, CLEAR], size=2).tolist()
        facts = facts_of(theta, shift, log_spread)
        said = [
            f"Matters to this person: {', '.join(SIX[i] for i in facts.cares)}."
            if facts.cares
            else "No value matters much to this person."
        ]
        said += [f"What this person turns away from: {', '.join(SIX[i] for i in facts.turns)}."] * bool(facts.turns)
        said += ["", "Tends to low ratings.", "Tends to high ratings."][facts.shift : facts.shift + 1 or None]
        said += ["", "Tends to the middle of the scale.", "Tends to the ends of the scale."][facts.log_spread :][:1]
        text = profile_text(SIX, theta, shift=shift, log_spread=log_spread)
        assert " ".join(part for part in said if part) == text
        assert {type(facts.shift), type(facts.log_spread)} == {int}


# by hand


def test_by_hand_without_spread() -> None:
    """Two archetypes at +1 and -1, nobody between them: F(2) and F(-2), and the profile tells which."""
    world = one_value(1.0, sigma=0.0)
    two = replace(world, means=np.array([[1.0], [-1.0]]), shares=np.array([0.5, 0.5]))
    assert high(two, ProfileFacts(cares=(0,))) == pytest.approx(expit(2), abs=1e-12)
    assert high(two, ProfileFacts(turns=(0,))) == pytest.approx(expit(-2), abs=1e-12)
    with pytest.raises(DataError, match=r"facts\[0\].*every archetype that has a share rules it out"):
        high(two, ProfileFacts())
    with pytest.raises(DataError, match="nobody's thresholds differ"):
        high(two, ProfileFacts(cares=(0,), shift=1))


@pytest.mark.parametrize("mean", [-2.0, -0.4, 0.0, 0.25, 1.0, 2.5])
@pytest.mark.parametrize("sigma", [0.1, 0.4])
def test_one_value_equals_an_integral(mean: float, sigma: float) -> None:
    """Also where the archetype is 23 standard deviations from what the profile says."""
    world = one_value(mean, sigma=sigma)
    for facts, low, top in (
        (ProfileFacts(cares=(0,)), STRONG, STRONG + max(mean - STRONG, 0) + 8 * sigma),
        (ProfileFacts(), -STRONG, STRONG),
        (ProfileFacts(turns=(0,)), -STRONG - max(-mean - STRONG, 0) - 8 * sigma, -STRONG),
    ):
        nearest = float(np.clip(mean, low, top))

        def density(y: float, nearest: float = nearest) -> float:
            return float(np.exp(((nearest - mean) ** 2 - (y - mean) ** 2) / (2 * sigma**2)))

        # in pieces, so that no narrow peak is missed
        ends = np.unique(np.clip(nearest + sigma * np.array([-20, -4, -1, -0.2, 0, 0.2, 1, 4, 20]), low, top))
        pieces = list(itertools.pairwise(ends))
        whole = sum(quad(density, *piece)[0] for piece in pieces)
        theirs = sum(quad(lambda y, f=density: f(y) * expit(2 * y), *piece)[0] for piece in pieces) / whole
        assert high(world, facts) == pytest.approx(theirs, abs=2e-4)


def test_all_profiles_together_say_nothing() -> None:
    """Law of total probability: the profiles' predictions, by P(profile), are those for a person of whom nothing is known."""
    population = Population(n_raters=1, n_items=6, ratings_per_rater=1, n_archetypes=3, values=("power",), sigma=0.4)
    simulation = simulate(replace(population, shift_sd=0.6, spread_sd=0.5), seed=3)
    world, items = simulation.world, np.arange(6)

    def parts(mean: float, sd: float, edge: float) -> dict[int, float]:
        low, below = ndtr((-edge - mean) / sd), ndtr((edge - mean) / sd)
        return {-1: low, 0: below - low, 1: 1 - below}

    shares = zip(world.shares.tolist(), world.means[:, 0].tolist(), strict=True)
    by_archetype = [(share, parts(mean, 0.4, STRONG)) for share, mean in shares]
    total = np.zeros((6, 5))
    for shift, p_shift in parts(0, 0.6, CLEAR).items():
        for log_spread, p_spread in parts(0, 0.5, CLEAR).items():
            for side in (-1, 0, 1):
                facts = ProfileFacts((0,) * (side == 1), (0,) * (side == -1), shift, log_spread)
                p = p_shift * p_spread * sum(share * part[side] for share, part in by_archetype)
                total += p * profile_predict(world, [facts], items, np.zeros(6, dtype=np.int64))
    nothing = bayes_predict(simulation, items, np.zeros(6, dtype=np.int64), known=Known()).probabilities
    np.testing.assert_allclose(total, nothing, atol=5e-4)


# brute force


@pytest.mark.parametrize(("values", "sigma"), [(SIX[:2], 0.5), (SIX[:3], 0.35)])
def test_equals_rejection_sampling(values: tuple[str, ...], sigma: float) -> None:
    """People drawn from the prior by numpy alone, sorted by the text of their profiles."""
    population = Population(n_items=5, ratings_per_rater=1, n_archetypes=3, values=values, sigma=sigma, n_options=4)
    world = draw_world(replace(population, shift_sd=0.6, spread_sd=0.4, signal=2.0), seed=1)
    # so near each other that all orders are common
    world = replace(world, means=0.3 + 0.3 * world.means)
    n = 40_000
    rng = np.random.default_rng(0)
    theta = world.means[rng.choice(3, size=n, p=world.shares)] + sigma * rng.normal(size=(n, len(values)))
    shift, log_spread = 0.6 * rng.normal(size=n), 0.4 * rng.normal(size=n)
    leaning = 2.0 * theta @ world.features.T - shift[:, None]
    shares = option_probabilities(leaning, np.exp(log_spread)[:, None], world.cut_points)
    of_text = defaultdict(list)
    for i in range(n):
        of_text[profile_text(values, theta[i], shift=shift[i], log_spread=log_spread[i])].append(i)
    common = [rows for rows in of_text.values() if len(rows) >= 300]
    assert len(common) > 20
    facts = [facts_of(theta[rows[0]], shift[rows[0]], log_spread[rows[0]]) for rows in common]
    assert max(len(one.cares) for one in facts) == len(values)
    of, items = np.divmod(np.arange(5 * len(facts)), 5)
    ours = profile_predict(world, facts, items, of).reshape(len(facts), 5, 4)
    worst = 0.0
    for rows, p in zip(common, ours, strict=True):
        error = shares[rows].std(axis=0) / np.sqrt(len(rows))
        # 0.002 is our own largest error
        worst = max(worst, (np.maximum(np.abs(shares[rows].mean(axis=0) - p) - 0.002, 0) / error).max().item())
    assert worst < 4


# many people


def test_predictions_are_calibrated(people: Simulation, predicted: np.ndarray) -> None:
    p = predicted
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    assert p.min() > 0
    ratings = people.ratings
    n = ratings.n_raters
    # Mean loss = mean entropy for whoever predicts with the true distribution.
    per_rater = losses(people, p) + np.bincount(ratings.rater_index, (p * np.log(p)).sum(axis=1)) / 12
    assert abs(per_rater.mean()) < 3.5 * per_rater.std() / np.sqrt(n)
    given = np.eye(5)[ratings.rating_index]
    for rows in np.array_split(np.argsort(p, axis=None), 10):
        query, option = np.unravel_index(rows, p.shape)
        gap = np.bincount(ratings.rater_index[query], (given - p)[query, option], minlength=n)
        assert abs(gap.mean()) < 3.5 * gap.std() / np.sqrt(n)


def test_it_is_the_limit_for_readers_of_the_profile(
    people: Simulation, facts: list[ProfileFacts], predicted: np.ndarray
) -> None:
    """Nothing known loses more, the truth less; so does every reader who makes less, or something else, of the profile."""
    ours = losses(people, predicted)
    ratings, world = people.ratings, people.world
    nothing, truth = (
        losses(people, bayes_predict(people, ratings.item_index, ratings.rater_index, known=known).probabilities)
        for known in (Known(), TRUTH)
    )
    tail = ndtr(-CLEAR / world.population.shift_sd)
    by_shift = [predict(people, [replace(one, shift=sign) for one in facts]) for sign in (-1, 0, 1)]
    no_shift = losses(people, tail * by_shift[0] + (1 - 2 * tail) * by_shift[1] + tail * by_shift[2])
    reversed_lists = losses(people, predict(people, [replace(one, cares=one.cares[::-1]) for one in facts]))
    theta = np.zeros((len(facts), len(SIX)))
    for row, one in zip(theta, facts, strict=True):
        row[list(one.cares)], row[list(one.turns)] = 0.6, -0.6
    leaning = world.population.signal * np.einsum("qv,qv->q", theta[ratings.rater_index], world.features[ratings.item_index])
    plugged_in = losses(people, option_probabilities(leaning, np.ones_like(leaning), world.cut_points))
    for less, more in ((truth, ours), (ours, nothing), (ours, no_shift), (ours, reversed_lists), (ours, plugged_in)):
        gain = more - less
        assert gain.mean() > 2 * gain.std() / np.sqrt(len(gain)) > 0


def test_attributes_move_the_archetypes(people: Simulation, facts: list[ProfileFacts]) -> None:
    world = people.world
    few, items, of = facts[:40], np.arange(40), np.arange(40)
    for z in range(3):
        sure = np.tile(np.eye(3)[z], (40, 1))
        alone = replace(world, means=world.means[[z]], shares=np.ones(1))
        ours = profile_predict(world, few, items, of, known_attributes=sure)
        # but for the grid, which depends on all archetypes
        np.testing.assert_allclose(ours, profile_predict(alone, few, items, of), atol=1e-4)
    known = archetype_probabilities(people, Known(attributes=tuple(ATTRIBUTES)))[:40]
    with_them = profile_predict(world, few, items, of, known_attributes=known)
    assert np.abs(with_them - profile_predict(world, few, items, of)).max() > 0.01
    one = replace(world, shares=known[7])
    np.testing.assert_allclose(with_them[7:8], profile_predict(one, few[7:8], items[7:8], np.array([0])), atol=1e-12)


# draws


def test_draws_belong_to_the_profile(people: Simulation, facts: list[ProfileFacts]) -> None:
    world = people.world
    of, items = np.divmod(np.arange(300), 5)
    whole = profile_predict(world, facts, items, of, seed=5)
    rows = np.random.default_rng(0).permutation(300)[:50]
    backwards = profile_predict(world, facts[::-1], items[rows], len(facts) - 1 - of[rows], seed=5)
    np.testing.assert_allclose(backwards, whole[rows], atol=1e-12)
    difference = np.abs(profile_predict(world, facts, items, of, seed=6) - whole)
    # two errors, each with the documented mean of 0.00015 and largest of 0.002
    assert 0 < difference.mean() < 0.0005
    assert difference.max() < 0.004
    assert profile_predict(world, facts, items[:0], of[:0]).shape == (0, 5)


def test_more_draws_come_closer(people: Simulation, facts: list[ProfileFacts]) -> None:
    of, items = np.divmod(np.arange(60), 5)
    best = profile_predict(people.world, facts, items, of, seed=1, n_draws=8192)
    errors = [np.abs(profile_predict(people.world, facts, items, of, n_draws=n) - best).mean() for n in (64, 512, 2048)]
    assert errors[0] > 2 * errors[1] > 3 * errors[2]


# refusals


def test_facts_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="each once at most"):
        ProfileFacts(cares=(1, 2), turns=(2,))
    with pytest.raises(UsageError, match="positions from 0"):
        ProfileFacts(turns=(-1,))
    with pytest.raises(UsageError, match=r"log_spread is 2; a sign is -1, 0 or 1"):
        ProfileFacts(log_spread=2)
    with pytest.raises(UsageError, match="must be finite"):
        facts_of(np.array([0.1, np.nan]), 0.0, 0.0)
    with pytest.raises(UsageError, match="must be finite"):
        facts_of(np.array([0.1]), np.inf, 0.0)


def test_queries_that_cannot_be(people: Simulation, facts: list[ProfileFacts]) -> None:
    world, one, at = people.world, facts[:1], np.array([0])
    with pytest.raises(UsageError, match="two arrays of one length"):
        profile_predict(world, one, np.array([0, 1]), at)
    with pytest.raises(UsageError, match=r"items has rows 60\.\.60; there are 0\.\.59"):
        profile_predict(world, one, np.array([60]), at)
    with pytest.raises(UsageError, match=r"of has rows -1\.\.-1; there are 0\.\.0"):
        profile_predict(world, one, at, np.array([-1]))
    with pytest.raises(UsageError, match="items has type float64"):
        profile_predict(world, one, np.array([0.0]), at)
    with pytest.raises(UsageError, match=r"facts\[1\] names a value beyond the world's 0\.\.5"):
        profile_predict(world, [*one, ProfileFacts(cares=(6,))], at, at)
    for wrong in (np.ones((2, 3)) / 3, np.ones((1, 3)), np.array([[1.5, -0.5, 0.0]]), np.array([[np.nan, 0.5, 0.5]])):
        with pytest.raises(UsageError, match=r"known_attributes, of shape .* must be probabilities \(1, 3\)"):
            profile_predict(world, one, at, at, known_attributes=wrong)
    for n_draws in (0, 1, 1000):
        with pytest.raises(UsageError, match=f"n_draws is {n_draws}"):
            profile_predict(world, one, at, at, n_draws=n_draws)
