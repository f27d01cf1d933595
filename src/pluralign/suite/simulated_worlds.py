"""Simulated worlds, each with parameters of its own, and what is said of their people: see `sources.simulated_people`.

Source: `pluralign.ratings.simulate`, whose default population is one of many here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pluralign.episodes import Attribute
from pluralign.streams import stream

if TYPE_CHECKING:
    from pluralign.ratings.simulate import Simulation

__all__ = [
    "N_ITEMS",
    "N_PEOPLE",
    "N_RATINGS",
    "N_WORLDS",
    "known_of",
    "parameters",
    "profile",
    "profile_text",
    "rated",
    "scale_of",
    "truth",
    "value_list",
    "whole_percents",
    "worlds",
]

N_WORLDS = 50
N_PEOPLE = 10
"""Of each world: 500 people in all."""
N_ITEMS = 160
N_RATINGS = 40
"""Of each person."""


def worlds(seed: int) -> Iterator[tuple[str, Simulation]]:
    """Each world with its people, made one after the other; the parameters are drawn for each."""
    from pluralign.ratings.simulate import Population, simulate

    for i in range(N_WORLDS):
        rng = stream(seed, "simulated_people", str(i), "parameters")
        population = Population(
            n_raters=N_PEOPLE,
            n_items=N_ITEMS,
            ratings_per_rater=N_RATINGS,
            n_archetypes=int(rng.integers(1, 7)),
            separation=round(float(rng.uniform(0.5, 1.5)), 3),
            consensus=round(float(rng.uniform(0.0, 1.5)), 3),
            sigma=round(float(rng.uniform(0.1, 0.5)), 3),
            attribute_strength=round(float(rng.uniform(0.0, 1.0)), 3),
            signal=round(float(rng.uniform(0.75, 3.0)), 3),
            n_options=int(rng.integers(2, 8)),
            threshold_width=1.5,
            shift_sd=round(float(rng.uniform(0.0, 0.8)), 3),
            spread_sd=round(float(rng.uniform(0.0, 0.4)), 3),
        )
        yield str(i), simulate(population, seed=int(rng.integers(2**31)))


def parameters(simulation: Simulation) -> dict[str, Attribute]:
    population = simulation.world.population
    names = ("n_archetypes", "separation", "consensus", "sigma", "attribute_strength", "signal", "shift_sd", "spread_sd")
    return {name: getattr(population, name) for name in names} | {"world_seed": simulation.world.seed}


def truth(simulation: Simulation, person: int) -> dict[str, Attribute]:
    """All that the person was drawn with."""
    values = zip(simulation.world.population.values, simulation.theta[person].round(4).tolist(), strict=True)
    own = {
        "archetype": int(simulation.archetype[person]),
        "shift": round(float(simulation.shift[person]), 4),
        "log_spread": round(float(simulation.log_spread[person]), 4),
    }
    return parameters(simulation) | own | {f"value_{name}": value for name, value in values}


def known_of(simulation: Simulation, person: int) -> dict[str, str]:
    """The person's demographics."""
    ratings = simulation.ratings
    row = ratings.raters.row(person, named=True)
    return {column.removeprefix("rater_"): row[column] for column in ratings.attributes}


def rated(simulation: Simulation, person: int) -> list[tuple[str, str]]:
    """Situation and rating, for all that the person rated."""
    ratings = simulation.ratings
    texts = ratings.items["item_text"]
    own = np.flatnonzero(ratings.rater_index == person)
    pairs = zip(ratings.item_index[own].tolist(), ratings.rating_index[own].tolist(), strict=True)
    return [(texts[item], ratings.scale.options[option]) for item, option in pairs]


def profile_text(values: Sequence[str], theta: npt.NDArray[np.float64], *, shift: float = 0.0, log_spread: float = 0.0) -> str:
    """What a person cares for and turns away from, strongest first, and how the person uses the scale.

    >>> profile_text(("power", "tradition", "hedonism"), np.array([0.4, -0.9, 0.1]), shift=0.7)
    'Matters to this person: power. What this person turns away from: tradition. Tends to low ratings.'
    """
    from pluralign.ratings.simulated_profile_bayes import facts_of

    facts = facts_of(theta, shift, log_spread)
    cares, turns = (", ".join(values[i] for i in named) for named in (facts.cares, facts.turns))
    said = [f"Matters to this person: {cares}." if cares else "No value matters much to this person."]
    said += [f"What this person turns away from: {turns}."] if turns else []
    if facts.shift:
        said.append(f"Tends to {'low' if facts.shift > 0 else 'high'} ratings.")
    if facts.log_spread:
        said.append(f"Tends to {'the middle' if facts.log_spread > 0 else 'the ends'} of the scale.")
    return " ".join(said)


def profile(simulation: Simulation, person: int) -> str:
    values, theta = simulation.world.population.values, simulation.theta[person]
    use = {"shift": float(simulation.shift[person]), "log_spread": float(simulation.log_spread[person])}
    return profile_text(values, theta, **use)


def scale_of(simulation: Simulation) -> str:
    return f"from 1 (against it) to {simulation.world.population.n_options} (for it)"


def whole_percents(shares: npt.NDArray[np.float64]) -> list[int]:
    """Whole percents that sum to 100: cut down, then one more for those that lost most.

    >>> whole_percents(np.array([0.704, 0.148, 0.148]))
    [70, 15, 15]
    """
    parts = np.floor(100 * shares + 1e-9)
    lost = np.argsort(-(100 * shares - parts).round(9), kind="stable")
    parts[lost[: 100 - int(parts.sum())]] += 1
    return [int(part) for part in parts]


def value_list(values: Sequence[str], impact: npt.NDArray[np.float64], most: int | None = None) -> str:
    """The values that a situation serves or goes against, most touched first, as JSON; `most` of them, or all.

    >>> value_list(("power", "tradition", "hedonism"), np.array([0.5, -1.0, 0.0]))
    '[{"value": "tradition", "valence": "goes against"}, {"value": "power", "valence": "serves"}]'
    """
    size = np.abs(impact).round(9)  # equal ones in the order of the values, on every machine
    order = [i for i in np.argsort(-size, kind="stable").tolist() if size[i] > 0]
    return json.dumps([{"value": values[i], "valence": "serves" if impact[i] > 0 else "goes against"} for i in order[:most]])
