"""Bayes' rule for one simulated rater, by brute force: a dense grid over everything that is not known."""

from __future__ import annotations

import itertools

import numpy as np

from pluralign.ratings.simulate import World


def grid_predictive(
    world: World, archetype_probabilities: list[float], examples: list[tuple[int, int]], item: int, n_points: int = 41
) -> list[float]:
    """p(option | item, examples), examples being pairs (item, option): sums over archetypes and a grid out to 6 sd."""
    population = world.population
    n_values = world.features.shape[1]
    axis = np.linspace(-6, 6, n_points)
    w = np.stack(list(itertools.product(axis, repeat=n_values + 2)))
    density = np.exp(-(w**2).sum(axis=1) / 2)
    shift = population.shift_sd * w[:, n_values]
    spread = np.exp(population.spread_sd * w[:, n_values + 1])
    total = np.zeros(population.n_options)
    for z, probability in enumerate(archetype_probabilities):
        theta = world.means[z] + population.sigma * w[:, :n_values]
        weight = probability * density
        for example_item, option in examples:
            weight = weight * _option(world, theta, shift, spread, example_item, option)
        for option in range(population.n_options):
            total[option] += (weight * _option(world, theta, shift, spread, item, option)).sum()
    return (total / total.sum()).tolist()


def _option(
    world: World, theta: np.ndarray, shift: np.ndarray, spread: np.ndarray, item: int, option: int
) -> np.ndarray | float:
    leaning = world.population.signal * theta @ world.features[item]

    def at_most(k: int) -> np.ndarray | float:
        if k < 0:
            return 0.0
        if k == world.population.n_options - 1:
            return 1.0
        return 1 / (1 + np.exp(-(shift + spread * world.cut_points[k] - leaning)))

    return at_most(option) - at_most(option - 1)
