"""Simulated people whose truth is known: a world drawn from a seed, and raters of it who rate situations.

Each person has one of a few archetypes z ~ Categorical(pi), values theta ~ Normal(mu_z, sigma^2 I), and attributes that
depend on z with strength lambda. A situation with impact phi leans them by signal * <theta, phi>, and an ordered logit with
thresholds of their own, c_rk = shift_r + exp(log_spread_r) c_k, turns that into a rating. What any model could at best
predict from any knowledge of a rater is then a matter of computation: see `simulated_bayes`.

The world (archetypes, attribute tables, situations) depends on the seed alone. Each rater's draws are keyed by the seed and
the rater's number, each rating's by rater and item, so that more raters, or later ones (`first_rater`), change nobody else.

Source: the project's own design; Schwartz 1992 for the values; McCullagh 1980 for the ordered logit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import UsageError
from pluralign.ratings.keyed import keyed_normals, keyed_uniforms, keyed_words
from pluralign.ratings.ordered_logit import option_probabilities
from pluralign.ratings.scale import Scale
from pluralign.ratings.situations import BASIC_VALUES, Situation, draw_situations, impacts
from pluralign.ratings.table import Ratings

__all__ = ["ATTRIBUTES", "MAX_RATERS", "Population", "Simulation", "World", "draw_world", "simulate"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "rater_age": ("18-29", "30-44", "45-59", "60+"),
    "rater_region": ("north", "south", "east", "west"),
    "rater_education": ("school", "vocational", "university"),
    "rater_religiosity": ("not religious", "somewhat religious", "very religious"),
}
MAX_RATERS = 10_000_000
"""Raters of one world: ids have seven digits, so that they sort as their numbers do."""

_NOT_NEGATIVE = ("separation", "consensus", "sigma", "attribute_strength", "signal", "threshold_width", "shift_sd", "spread_sd")
_PEAK = 0.85
"""At strength 1, the share of an archetype that is at its own level of an attribute."""
_CELLS = 4_000_000
"""How many (rater, item) pairs are worked on at once."""


@dataclass(frozen=True, kw_only=True)
class Population:
    """What the simulated people are like. The defaults give archetypes that overlap but can be told apart."""

    n_raters: int = 2000
    n_items: int = 400
    ratings_per_rater: int = 40
    n_archetypes: int = 4
    values: tuple[str, ...] = BASIC_VALUES
    """The values that count: all ten, or some of them."""
    separation: float = 1.0
    """Distance of each archetype's mean vector mu_z from what all archetypes have in common."""
    consensus: float = 1.0
    """Length of the vector that all archetypes have in common; 0 = most items divide people."""
    sigma: float = 0.25
    """Standard deviation of a person's value around the archetype's, for each value."""
    attribute_strength: float = 0.5
    """lambda: 0 = attributes tell nothing of the archetype, 1 = nearly all."""
    signal: float = 1.5
    """How strongly an impact leans a rating: log-odds for one unit of <theta, phi>."""
    n_options: int = 5
    threshold_width: float = 1.5
    """The cut points are width * logit(k / n_options)."""
    shift_sd: float = 0.5
    """Standard deviation, over raters, of the shift of all their thresholds (log-odds)."""
    spread_sd: float = 0.25
    """The same of the logarithm of their thresholds' spread."""
    variants_per_scene: int = 4
    """Items that share a scene: the bare sentence and its modified ones, so minimal pairs."""

    def __post_init__(self) -> None:
        lowest = {"n_raters": 1, "n_items": 1, "ratings_per_rater": 1, "n_archetypes": 1, "n_options": 2}
        faults = [f"{k} is {getattr(self, k)}, lowest is {v}" for k, v in lowest.items() if getattr(self, k) < v]
        if self.ratings_per_rater > self.n_items:
            faults.append(f"ratings_per_rater is {self.ratings_per_rater}, more than the {self.n_items} items")
        faults += [f"{k} is {getattr(self, k)}, must not be negative" for k in _NOT_NEGATIVE if not getattr(self, k) >= 0]
        if self.attribute_strength > 1:
            faults.append(f"attribute_strength is {self.attribute_strength}, must lie in 0..1")
        if self.threshold_width == 0 and self.n_options > 2:
            faults.append("threshold_width is 0, which leaves no room for the middle options")
        if faults:
            raise UsageError(f"Population: {'; '.join(faults)}.")


@dataclass(frozen=True, kw_only=True)
class World:
    """What all raters of one seed share."""

    population: Population
    seed: int
    situations: tuple[Situation, ...]
    features: FloatArray
    """phi, [items, values]."""
    means: FloatArray
    """mu, [archetypes, values]."""
    shares: FloatArray
    """pi, [archetypes]."""
    attribute_shares: dict[str, FloatArray]
    """P(level | archetype), [archetypes, levels] for each attribute; levels as in `ATTRIBUTES`."""
    cut_points: FloatArray
    """c, [options - 1], rising: the thresholds of a rater with shift 0 and log-spread 0."""


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """Ratings, and the truth behind them; arrays of raters are aligned with `ratings.raters`."""

    world: World
    ratings: Ratings
    archetype: IntArray
    """z, [raters]."""
    theta: FloatArray
    """[raters, values]."""
    shift: FloatArray
    """[raters], log-odds; positive = lower ratings."""
    log_spread: FloatArray
    """[raters]; positive = more ratings in the middle."""

    @property
    def features(self) -> FloatArray:
        """phi, [items, values], aligned with `ratings.items`."""
        return self.world.features


def simulate(population: Population, *, seed: int, first_rater: int = 0) -> Simulation:
    """The raters number first_rater .. first_rater + n_raters - 1 of the seed's world, and their ratings.

    Each rates `ratings_per_rater` random items, none twice. Items that nobody rated stay in the item table.
    Fresh people of the same world, for Monte-Carlo truth: the same seed and population with a later `first_rater`.

    >>> few = simulate(Population(n_raters=2, n_items=8, ratings_per_rater=3), seed=0)
    >>> len(few.ratings), few.ratings.items["item_text"][0][-1], few.theta.shape
    (6, '.', (2, 10))
    """
    return _draw_raters(draw_world(population, seed=seed), first_rater)


def draw_world(population: Population, *, seed: int) -> World:
    """The part of a simulation that is shared by all raters; it does not depend on how many there are."""
    k = population.n_archetypes
    situations = draw_situations(population.n_items, seed=seed, variants=population.variants_per_scene)
    weights = 0.5 + keyed_uniforms(seed, "shares", np.arange(k))
    inner = np.arange(1, population.n_options) / population.n_options
    return World(
        population=population,
        seed=seed,
        situations=situations,
        features=impacts(situations, population.values),
        means=_means(population, seed),
        shares=weights / weights.sum(),
        attribute_shares={name: _attribute_table(name, population, seed) for name in ATTRIBUTES},
        cut_points=population.threshold_width * np.log(inner / (1 - inner)),
    )


def _means(population: Population, seed: int) -> FloatArray:
    """mu, [archetypes, values]."""
    n_values = len(population.values)
    common = keyed_normals(seed, "common", np.arange(n_values))
    common *= population.consensus / np.linalg.norm(common)
    return np.asarray(common + population.separation * _spread_directions(population.n_archetypes, n_values, seed))


def _spread_directions(n: int, n_values: int, seed: int, n_candidates: int = 64) -> FloatArray:
    """Unit vectors, [n, values], far from each other: each is the random candidate whose nearest neighbour is furthest."""
    axes = (np.arange(n)[:, None, None], np.arange(n_candidates)[:, None], np.arange(n_values))
    candidates = keyed_normals(seed, "directions", *axes)
    candidates /= np.linalg.norm(candidates, axis=-1, keepdims=True)
    chosen = candidates[:1, 0]
    for some in candidates[1:]:
        nearest = (some @ chosen.T).max(axis=1)
        chosen = np.vstack([chosen, some[nearest.argmin()]])
    return chosen


def _attribute_table(name: str, population: Population, seed: int) -> FloatArray:
    """P(level | archetype) = lambda * peaked + (1 - lambda) * base, [archetypes, levels]."""
    n_archetypes, n_levels, strength = population.n_archetypes, len(ATTRIBUTES[name]), population.attribute_strength
    weights = 0.5 + keyed_uniforms(seed, f"{name}:base", np.arange(n_levels))
    # Archetypes in random order take the levels in turn, so that no level gathers more of them than it must.
    order = np.argsort(keyed_words(seed, f"{name}:peaks", np.arange(n_archetypes)))
    own_level = np.empty(n_archetypes, dtype=np.int64)
    own_level[order] = np.arange(n_archetypes) % n_levels
    peaked = np.full((n_archetypes, n_levels), (1 - _PEAK) / (n_levels - 1))
    peaked[np.arange(n_archetypes), own_level] = _PEAK
    return np.asarray(strength * peaked + (1 - strength) * weights / weights.sum())


def _draw_raters(world: World, first_rater: int) -> Simulation:
    population, seed = world.population, world.seed
    if not 0 <= first_rater <= MAX_RATERS - population.n_raters:
        raise UsageError(
            f"raters {first_rater}..{first_rater + population.n_raters - 1} asked; a world has 0..{MAX_RATERS - 1}."
        )
    numbers = np.arange(first_rater, first_rater + population.n_raters)
    archetype = _categories(world.shares[None], keyed_uniforms(seed, "archetype", numbers))
    noise = keyed_normals(seed, "theta", numbers[:, None], np.arange(len(population.values)))
    theta = world.means[archetype] + population.sigma * noise
    shift = population.shift_sd * keyed_normals(seed, "shift", numbers)
    log_spread = population.spread_sd * keyed_normals(seed, "log_spread", numbers)
    attributes = {
        name: pl.Series(levels).gather(_categories(table[archetype], keyed_uniforms(seed, name, numbers)))
        for (name, levels), table in zip(ATTRIBUTES.items(), world.attribute_shares.values(), strict=True)
    }
    ratings = _rate(world, numbers, theta, np.stack([shift, np.exp(log_spread)]))
    raters = pl.DataFrame({"rater_id": [f"r{number:07d}" for number in numbers.tolist()], **attributes})
    return Simulation(
        world=world,
        ratings=_table(world, raters, *ratings),
        archetype=archetype,
        theta=theta,
        shift=shift,
        log_spread=log_spread,
    )


def _categories(shares: FloatArray, uniforms: FloatArray) -> IntArray:
    """The category that each uniform number [n] falls in, given shares [n or 1, categories] that sum to 1."""
    borders = np.cumsum(shares, axis=-1)[:, :-1]
    return np.asarray((uniforms[:, None] > borders).sum(axis=1), dtype=np.int64)


def _rate(world: World, numbers: IntArray, theta: FloatArray, thresholds: FloatArray) -> tuple[IntArray, IntArray, IntArray]:
    """Item, rater (position) and option of each rating; `thresholds` is [2, raters]: shift and spread."""
    population = world.population
    block = max(1, _CELLS // population.n_items)
    drawn = []
    for start in range(0, len(numbers), block):
        part = slice(start, start + block)
        item = _rated_items(world, numbers[part])
        leaning = population.signal * np.einsum("rv,rnv->rn", theta[part], world.features[item])
        shift, spread = thresholds[:, part, None]
        shares = option_probabilities(leaning - shift, spread, world.cut_points)
        uniforms = keyed_uniforms(world.seed, "rating", numbers[part, None], item)
        option = _categories(shares.reshape(-1, population.n_options), uniforms.ravel())
        rater = np.repeat(np.arange(start, start + len(item)), item.shape[1])
        drawn.append((item.ravel(), rater, option))
    items, raters, options = (np.concatenate(column) for column in zip(*drawn, strict=True))
    return items, raters, options


def _rated_items(world: World, numbers: IntArray) -> IntArray:
    """The items that each rater rates, [raters, ratings per rater]: those with the smallest random words."""
    n_items, n = world.population.n_items, world.population.ratings_per_rater
    words = keyed_words(world.seed, "rated", numbers[:, None], np.arange(n_items))
    return np.asarray(np.argpartition(words, n - 1, axis=1)[:, :n], dtype=np.int64)


def _table(world: World, raters: pl.DataFrame, item: IntArray, rater: IntArray, option: IntArray) -> Ratings:
    items = pl.DataFrame(
        {
            "item_id": [f"i{row:05d}" for row in range(len(world.situations))],
            "item_text": [situation.text for situation in world.situations],
        }
    )
    order = np.argsort(item * raters.height + rater)
    scale = Scale("ordinal", tuple(str(k) for k in range(1, world.population.n_options + 1)))
    return Ratings(items, raters, item[order], rater[order], option[order], scale, f"simulated, seed {world.seed}")
