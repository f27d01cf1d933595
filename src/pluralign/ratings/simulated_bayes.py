"""The best possible predictions about simulated people: Bayes' rule with the world's own parameters.

No model can on average lose less than p(rating | item, what is known of the rater) under the true world, so the held-out
loss of these predictions is the physical limit for every representation of a rater, and their differences are the true
usable information. What may be known: nothing, attributes, the archetype (the true clusters), past ratings, the values
themselves, and the values with the rater's own thresholds, which is the floor.

Without past ratings the answer is an integral over two normal variables, done by Gauss-Hermite quadrature (error below 1e-8
at the default population). With them it is importance sampling from a Laplace approximation: see `simulated_posterior`.

Source: the project's own design. Golub & Welsch 1969 (Gauss-Hermite rules, as numpy computes them).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import UsageError, nearest_name
from pluralign.ratings.keyed import id_codes
from pluralign.ratings.ordered_logit import option_probabilities
from pluralign.ratings.simulate import ATTRIBUTES, Simulation, World
from pluralign.ratings.simulated_posterior import Evidence, Queries, posterior_predictive
from pluralign.ratings.table import Ratings

__all__ = ["BayesPrediction", "Known", "archetype_probabilities", "bayes_predict"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_N_LEANING = 48
"""Nodes for the leaning: its standard deviation may be several log-odds."""
_N_SPREAD = 16
_CELLS = 1_000_000
"""How many (query, node) pairs are worked on at once."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the predictor knows of each rater, beside the world and the item. `Known()` is nothing."""

    attributes: tuple[str, ...] = ()
    """Names from `ATTRIBUTES`."""
    archetype: bool = False
    """z: the true cluster."""
    examples: Ratings | None = None
    """Past ratings: part (`take`) of the simulation's ratings. A rater may have none."""
    values: bool = False
    """theta. What attributes, archetype and the like add to it is nothing."""
    thresholds: bool = False
    """Shift and log-spread; only together with `values`: the rater's full truth."""

    def __post_init__(self) -> None:
        for name in self.attributes:
            if name not in ATTRIBUTES:
                raise UsageError(f"attribute {nearest_name(name, ATTRIBUTES)}")
        if self.thresholds and not self.values:
            raise UsageError("thresholds can be known only together with values: Known(values=True, thresholds=True).")
        if self.values and self.examples is not None:
            raise UsageError("values and examples together are not supported; take either, or values with thresholds.")


@dataclass(frozen=True, kw_only=True)
class BayesPrediction:
    probabilities: FloatArray
    """[queries, options], rows sum to 1."""
    effective_draws: FloatArray
    """[queries] the effective sample size (Kish) of the rater's importance weights; a probability p has a Monte-Carlo error
    of at most about sqrt(p (1 - p) / effective_draws). NaN where no draws were needed: the rater has no examples."""


def bayes_predict(
    simulation: Simulation, items: IntArray, raters: IntArray, *, known: Known, seed: int = 0, n_draws: int = 256
) -> BayesPrediction:
    """p(rating | item, known) for queries given as rows of the simulation's item and rater tables, two arrays [queries].

    `seed` and `n_draws` (for each archetype) matter to raters with examples only; their draws are keyed by rater id. At the
    default population and 256 draws the mean absolute Monte-Carlo error of a probability is 0.002; it falls as 1 / sqrt(draws).
    """
    _check_queries(simulation, items, raters, n_draws)
    probabilities = _without_examples(simulation, items, raters, known)
    effective = np.full(len(items), np.nan)
    if known.examples is not None:
        n_examples = np.bincount(known.examples.rater_index, minlength=simulation.ratings.n_raters)
        rows = np.flatnonzero(n_examples[raters] > 0)
        given = _evidence(simulation, known, known.examples)
        queries = Queries(item=items[rows], rater=raters[rows])
        probabilities[rows], effective[rows] = posterior_predictive(given, queries, seed=seed, n_draws=n_draws)
    return BayesPrediction(probabilities=probabilities, effective_draws=effective)


def archetype_probabilities(simulation: Simulation, known: Known) -> FloatArray:
    """p(z | attributes, archetype), [raters, archetypes]; examples and values are not looked at."""
    world = simulation.world
    n_archetypes = len(world.shares)
    if known.archetype:
        return np.eye(n_archetypes)[simulation.archetype]
    weights = np.tile(world.shares, (simulation.ratings.n_raters, 1))
    for name in dict.fromkeys(known.attributes):
        levels = simulation.ratings.raters[name].cast(pl.Enum(ATTRIBUTES[name])).to_physical().to_numpy()
        weights *= world.attribute_shares[name][:, levels].T
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _without_examples(simulation: Simulation, items: IntArray, raters: IntArray, known: Known) -> FloatArray:
    world = simulation.world
    population = world.population
    if known.values:
        leaning = population.signal * np.einsum("qv,qv->q", simulation.theta[raters], world.features[items])
        if known.thresholds:
            spread = np.exp(simulation.log_spread[raters])
            return option_probabilities(leaning - simulation.shift[raters], spread, world.cut_points)
        return _integrated(leaning, np.full(len(leaning), population.shift_sd), world)
    asked, place = np.unique(items, return_inverse=True)
    by_archetype = _archetype_predictions(world, asked)
    weights = archetype_probabilities(simulation, known)
    predictions = np.zeros((len(items), population.n_options))
    for z in range(by_archetype.shape[1]):
        predictions += weights[raters, z, None] * by_archetype[place, z]
    return predictions


def _archetype_predictions(world: World, items: IntArray) -> FloatArray:
    """p(rating | item, z), [items, archetypes, options]."""
    population, features = world.population, world.features[items]
    mean = population.signal * features @ world.means.T
    sd = np.hypot(population.signal * population.sigma * np.linalg.norm(features, axis=1), population.shift_sd)
    flat = _integrated(mean.ravel(), np.repeat(sd, mean.shape[1]), world)
    return flat.reshape(*mean.shape, population.n_options)


def _integrated(mean: FloatArray, sd: FloatArray, world: World) -> FloatArray:
    """E P(option) over leanings N(mean, sd^2), two arrays [n], and the raters' spreads: [n, options]."""
    nodes, weights = _normal_rule(_N_LEANING)
    log_spreads, spread_weights = _normal_rule(_N_SPREAD)
    log_spreads = world.population.spread_sd * log_spreads
    predictions = np.zeros((len(mean), world.population.n_options))
    block = max(1, _CELLS // _N_LEANING)
    for start in range(0, len(mean), block):
        part = slice(start, start + block)
        leaning = mean[part, None] + sd[part, None] * nodes
        for spread, weight in zip(np.exp(log_spreads), spread_weights, strict=True):
            shares = option_probabilities(leaning, np.full_like(leaning, spread), world.cut_points)
            predictions[part] += weight * np.einsum("nmk,m->nk", shares, weights)
    return predictions


def _normal_rule(n_nodes: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of the expectation under a standard normal variable."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(n_nodes)
    return nodes, weights / weights.sum()


def _evidence(simulation: Simulation, known: Known, examples: Ratings) -> Evidence:
    whole = simulation.ratings
    if examples.item_ids != whole.item_ids or examples.rater_ids != whole.rater_ids or examples.scale != whole.scale:
        raise UsageError(
            f"the examples ({examples.name!r}, {examples.n_items:,} items, {examples.n_raters:,} raters) have other tables "
            "than the simulation's ratings; pick them with simulation.ratings.take(rows)."
        )
    return Evidence(
        world=simulation.world,
        item=examples.item_index,
        rater=examples.rater_index,
        option=examples.rating_index,
        archetype_probabilities=archetype_probabilities(simulation, known),
        rater_codes=id_codes(whole.rater_ids),
    )


def _check_queries(simulation: Simulation, items: IntArray, raters: IntArray, n_draws: int) -> None:
    if items.shape != raters.shape or items.ndim != 1:
        raise UsageError(f"items and raters must be two arrays of one length; got shapes {items.shape} and {raters.shape}.")
    for name, rows, n in (("items", items, simulation.ratings.n_items), ("raters", raters, simulation.ratings.n_raters)):
        if rows.size and not 0 <= rows.min() <= rows.max() < n:
            raise UsageError(f"{name} has rows {rows.min()}..{rows.max()}; the simulation has 0..{n - 1}.")
    if n_draws < 2:
        raise UsageError(f"n_draws is {n_draws}; importance sampling needs at least 2.")
