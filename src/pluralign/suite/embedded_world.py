"""The one world that the embedded model is trained on: its people, its situations, and who is held out.

People are numbered. Those from 0 on are for training, those from `FIRST_HELD_OUT` on are held out: the embedded model has seen
none of their ratings, and whoever measures it takes people from there. The situations are all that there are, and are shared.

Measured in this world, in nats per rating: knowing nothing 1.472, attributes 1.377, 16 examples 1.183, the values 0.991, all
that a person was drawn with 0.944 (`ratings.simulated_bayes`).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pluralign.errors import UsageError
from pluralign.streams import stream

if TYPE_CHECKING:
    from pluralign.ratings.simulate import Population, Simulation, World

__all__ = [
    "BLOCK",
    "FIRST_HELD_OUT",
    "MOST_RATINGS",
    "WORLD_SEED",
    "PersonRatings",
    "embedded_population",
    "embedded_world",
    "person_blocks",
    "ratings_in_order",
    "sentence_parts",
    "simulate_people",
    "situation_texts",
]

IntArray = npt.NDArray[np.int64]

WORLD_SEED = 0
FIRST_HELD_OUT = 5_000_000
"""Number of the first person who is held out."""
MOST_RATINGS = 40
"""Of each person."""
BLOCK = 2000
"""People who are simulated at once."""


@dataclass(frozen=True, slots=True, eq=False)
class PersonRatings:
    """All ratings of one person in the order in which episodes show them."""

    rows: IntArray
    """Rows of the simulation's ratings."""
    item: IntArray
    option: IntArray
    """Positions on the scale, from 0."""


def embedded_population(n_raters: int) -> Population:
    """So many people of this world; how many there are changes none of them."""
    from pluralign.ratings.simulate import Population
    from pluralign.ratings.situations import MAX_VARIANTS, N_SCENES

    return Population(
        n_raters=n_raters,
        n_items=N_SCENES * MAX_VARIANTS,
        variants_per_scene=MAX_VARIANTS,
        ratings_per_rater=MOST_RATINGS,
        signal=2.5,
        consensus=0.5,
        sigma=0.3,
        attribute_strength=0.7,
    )


@functools.cache
def embedded_world() -> World:
    """What all people of this world share."""
    from pluralign.ratings.simulate import draw_world

    return draw_world(embedded_population(1), seed=WORLD_SEED)


@functools.cache
def situation_texts() -> tuple[str, ...]:
    """The text of every situation, in the order of the items."""
    return tuple(situation.text for situation in embedded_world().situations)


def simulate_people(first: int, n: int) -> Simulation:
    """The people number first .. first + n - 1, and their ratings."""
    from pluralign.ratings.simulate import simulate

    return simulate(embedded_population(n), seed=WORLD_SEED, first_rater=first)


def person_blocks(numbers: range) -> Iterator[tuple[range, Simulation]]:
    """These people, at most `BLOCK` at a time; the numbers must follow one another. Raises UsageError otherwise.

    >>> [block for block, _ in person_blocks(range(7, 9))]
    [range(7, 9)]
    """
    if numbers.step != 1:
        raise UsageError(f"people {numbers} asked; their numbers must follow one another, as range(first, last + 1).")
    for first in range(numbers.start, numbers.stop, BLOCK):
        block = range(first, min(first + BLOCK, numbers.stop))
        yield block, simulate_people(block.start, len(block))


def ratings_in_order(simulation: Simulation, numbers: range) -> list[PersonRatings]:
    """Of each person of a block, all ratings in random order, the same however people are cut into blocks."""
    ratings = simulation.ratings
    rows = np.argsort(ratings.rater_index, kind="stable").reshape(len(numbers), -1)
    shown = []
    for number, own in zip(numbers, rows, strict=True):
        own = own[stream(WORLD_SEED, "embedded order", number).permutation(len(own))]
        shown.append(PersonRatings(own, ratings.item_index[own], ratings.rating_index[own]))
    return shown


@functools.cache
def sentence_parts() -> tuple[str, ...]:
    """What situations are put together from, as they stand in a text: actions, contexts, modifiers, and the final stop.

    >>> parts = sentence_parts()
    >>> parts[0], parts[24], parts[36], parts[-1], len(parts)
    ('Telling a friend an unwelcome truth', ' in a small village', ', although nobody would ever know.', '.', 49)
    """
    from pluralign.ratings.situations import Situation

    situations = embedded_world().situations
    n_actions, n_contexts, n_modifiers = (
        1 + max(column)
        for column in zip(*((s.action, s.context, -1 if s.modifier is None else s.modifier) for s in situations), strict=True)
    )
    bare = [[Situation(a, c).text.removesuffix(".") for c in range(n_contexts)] for a in range(n_actions)]
    actions = [_common_start(row).rstrip() for row in bare]
    contexts = [text.removeprefix(actions[0]) for text in bare[0]]
    modifiers = [Situation(0, 0, m).text.removeprefix(bare[0][0]) for m in range(n_modifiers)]
    return (*actions, *contexts, *modifiers, ".")


def _common_start(texts: list[str]) -> str:
    same = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*texts, strict=False))
    return "".join(letters[0] for letters in same)
