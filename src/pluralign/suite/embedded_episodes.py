"""Episodes of the embedded model's people: their ratings, their profiles, and what different people say of one situation.

    ratings     a person's ratings; told of the person: nothing, that it is one person, attributes, the written profile, both,
                or the group (archetype), which makes the groups quick to learn
    profile     a person's written profile, from some ratings, from attributes, or from nothing
    population  ratings of one situation by different people, each rating by a person of its own

Each episode is keyed by its number, which in the first two is the person's: see `embedded_world` for who is held out. What else
the embedded model learns is in `embedded_values` and `embedded_laws`; `embedded_mixture` puts all together.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from pluralign.episodes import Episode, Example
from pluralign.errors import UsageError, nearest_name
from pluralign.streams import stream
from pluralign.suite.embedded_world import (
    FIRST_HELD_OUT,
    MOST_RATINGS,
    WORLD_SEED,
    PersonRatings,
    person_blocks,
    ratings_in_order,
    situation_texts,
)
from pluralign.suite.simulated_worlds import known_of, profile
from pluralign.suite.task import json_text

if TYPE_CHECKING:
    from pluralign.ratings.simulate import Simulation

__all__ = [
    "ATTRIBUTES_TOLD",
    "GROUP_TOLD",
    "PROFILE_TASK",
    "RATINGS_TOLD",
    "RATING_OPTIONS",
    "ProfileFrom",
    "Told",
    "population_description",
    "population_episodes",
    "population_probabilities",
    "profile_episodes",
    "ratings_description",
    "ratings_episodes",
    "ratings_text",
]

T = TypeVar("T")
Told = Literal["nothing", "person", "attributes", "profile", "both", "group"]
"""What the description of a person's ratings tells: there is none; one person gave them; attributes; the profile; both of
these; the person's group, which is the archetype."""
ProfileFrom = Literal["ratings", "attributes", "nothing"]

RATING_OPTIONS = ("1", "2", "3", "4", "5")
RATINGS_TOLD = "One person's ratings of short situations, from 1 (against it) to 5 (for it)."
ATTRIBUTES_TOLD = "The person:"
GROUP_TOLD = "The person is of group"
PROFILE_TASK = "The profile of one person: which basic values matter, strongest first, and how the person uses the scale."
_POPULATION_TOLD = "Different people's ratings of one situation, from 1 (against it) to 5 (for it):"
_FEWEST_RATINGS = 8
_SHARES: dict[Told, float] = {
    **{"nothing": 0.45, "person": 0.05, "attributes": 0.15},
    **{"profile": 0.15, "both": 0.1, "group": 0.1},
}
_PROFILE_SHARES: dict[ProfileFrom, float] = {"ratings": 0.7, "attributes": 0.2, "nothing": 0.1}
_MOST_GIVEN = 24
"""Ratings that a profile is told from, at most; at least 4."""
_N_RATERS = 24
"""Different people in an episode of one situation."""


def ratings_description(told: Told, *, attributes: str = "", profile: str = "", group: int = 0) -> str | None:
    """What stands before a person's ratings; `attributes` as JSON, `profile` as text and `group` from 0, where they are told.

    >>> ratings_description("attributes", attributes='{"age": "18-29"}')
    'One person\\'s ratings of short situations, from 1 (against it) to 5 (for it). The person: {"age": "18-29"}'
    """
    if told not in get_args(Told):
        raise UsageError(f"told {nearest_name(told, get_args(Told))}")
    if told == "nothing":
        return None
    said = [RATINGS_TOLD]
    said += [f"{ATTRIBUTES_TOLD} {attributes}"] if told in ("attributes", "both") else []
    said += [profile] if told in ("profile", "both") else []
    said += [f"{GROUP_TOLD} {group + 1}."] if told == "group" else []
    return " ".join(said)


def ratings_text(shown: PersonRatings, n: int) -> str:
    """The person's first n ratings as lines of a text, for an input: "4: Saving half of every wage.\\n"."""
    pairs = zip(shown.option[:n].tolist(), shown.item[:n].tolist(), strict=True)
    return "\n".join(f"{RATING_OPTIONS[option]}: {situation_texts()[item]}" for option, item in pairs)


def population_description(item: int) -> str:
    """The description of one situation's ratings by different people."""
    return f"{_POPULATION_TOLD} {situation_texts()[item]}"


@functools.cache
def population_probabilities() -> npt.NDArray[np.float64]:
    """P(rating) of each situation over all people of the world [situations, options]."""
    from pluralign.ratings.simulated_bayes import Known, bayes_predict
    from pluralign.suite.embedded_world import simulate_people

    items = np.arange(len(situation_texts()))
    return bayes_predict(simulate_people(FIRST_HELD_OUT, 1), items, np.zeros_like(items), known=Known()).probabilities


def ratings_episodes(numbers: range, *, told: Told | None = None, n_ratings: int | None = None) -> Iterator[Episode]:
    """One episode of ratings of each of these people; what is told, and of how many ratings, is by chance if not given."""
    for block, simulation in person_blocks(numbers):
        for person, (number, shown) in enumerate(zip(block, ratings_in_order(simulation, block), strict=True)):
            rng = stream(WORLD_SEED, "embedded ratings", number)
            drawn = _one_of(_SHARES, rng)
            n = int(rng.integers(_FEWEST_RATINGS, MOST_RATINGS + 1))
            description = _description_of(simulation, person, told or drawn)
            examples = _examples(shown, n_ratings or n)
            yield Episode.checked("embedded_ratings", examples, description, RATING_OPTIONS, unit=str(number))


def profile_episodes(numbers: range, *, source: ProfileFrom | None = None, n_given: int | None = None) -> Iterator[Episode]:
    """The profile of each of these people, from what is by chance if not given."""
    for block, simulation in person_blocks(numbers):
        for person, (number, shown) in enumerate(zip(block, ratings_in_order(simulation, block), strict=True)):
            rng = stream(WORLD_SEED, "embedded profile", number)
            chosen: ProfileFrom = _one_of(_PROFILE_SHARES, rng)
            n = n_given or int(rng.integers(4, _MOST_GIVEN + 1))
            told: dict[ProfileFrom, str | None] = {
                "ratings": ratings_text(shown, n),
                "attributes": json_text(**known_of(simulation, person)),
                "nothing": None,
            }
            example = Example(profile(simulation, person), told[source or chosen])
            yield Episode.checked("embedded_profile", [example], PROFILE_TASK, unit=str(number))


def population_episodes(numbers: range) -> Iterator[Episode]:
    """Ratings of one situation, drawn by chance, each by a person of whom nothing else is known: by the law of all people."""
    for number in numbers:
        rng = stream(WORLD_SEED, "embedded population", number)
        item = int(rng.integers(len(situation_texts())))
        options = rng.choice(len(RATING_OPTIONS), size=_N_RATERS, p=population_probabilities()[item])
        examples = [Example(RATING_OPTIONS[option]) for option in options.tolist()]
        yield Episode.checked(
            "embedded_population",
            examples,
            population_description(item),
            RATING_OPTIONS,
            unit=f"{number}",
            attributes={"item": item},
        )


def _description_of(simulation: Simulation, person: int, told: Told) -> str | None:
    attributes = json_text(**known_of(simulation, person)) if told in ("attributes", "both") else ""
    group = int(simulation.archetype[person])
    return ratings_description(told, attributes=attributes, profile=profile(simulation, person), group=group)


def _examples(shown: PersonRatings, n: int) -> list[Example]:
    pairs = zip(shown.option[:n].tolist(), shown.item[:n].tolist(), strict=True)
    return [Example(RATING_OPTIONS[option], situation_texts()[item]) for option, item in pairs]


def _one_of(shares: dict[T, float], rng: np.random.Generator) -> T:
    return list(shares)[int(rng.choice(len(shares), p=list(shares.values())))]
