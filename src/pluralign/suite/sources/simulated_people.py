"""Simulated people whose values are known: ratings, profiles, populations, and what a situation has to do with values.

Many worlds, each with parameters of its own: how many kinds of people, how far apart, how much ratings say (see
`pluralign.ratings.simulate`). What a person or a world is like has therefore to be told from a description or from the
examples. Beyond the published suite.

    simulated_ratings      a person's ratings of situations, told of the person: nothing, demographics, or a written profile
    simulated_profile      the profile of a person of a world, from a few ratings or without any
    simulated_population   a situation -> the percentage of each rating among all people of a world, by numerical integration
    simulated_values       a situation -> the basic values that it serves or goes against

A profile is a fixed template filled from the person's true values. Attributes of an episode are what it was drawn with.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from pluralign.episodes import Example
from pluralign.streams import stream
from pluralign.suite.card import Card, Simulated, Source
from pluralign.suite.simulated_worlds import (
    N_ITEMS,
    N_PEOPLE,
    N_WORLDS,
    known_of,
    parameters,
    profile,
    rated,
    scale_of,
    truth,
    value_list,
    whole_percents,
    worlds,
)
from pluralign.suite.task import Strand, Task, json_text

if TYPE_CHECKING:
    from pluralign.ratings.simulate import Simulation

__all__ = ["SOURCE"]

NAME = "simulated_people"
N_GIVEN = 8
"""Ratings that a profile is to be told from."""
N_QUESTIONS = 32
N_SITUATIONS = 40
CARD = Card(
    name=NAME,
    what="500 simulated people in 50 worlds rate short situations; their values, and all that follows from them, are known.",
    citation="this project; the ten basic values are those of Schwartz 1992",
    licence="none needed: simulated here",
    access=Simulated(),
    ran_on_real_file=True,
    units=N_WORLDS,
    unit="world",
    problems=(
        "beyond the published suite",
        "the same seed gives the same people: train and evaluate with different seeds",
        "situations are put together from 24 actions, 12 contexts and 12 modifiers, so that other seeds share sentences and, "
        "in simulated_values, their answers",
    ),
)


def _ratings(data: None, seed: int) -> Iterator[Strand]:
    for world, simulation in worlds(seed):
        scale = scale_of(simulation)
        for person in range(N_PEOPLE):
            known = json_text(**known_of(simulation, person))
            yield Strand(
                unit=f"{world}/{person}",
                examples=[Example(rating, text) for text, rating in rated(simulation, person)],
                descriptions=(
                    f"One person's ratings of what happens in short situations, {scale}.",
                    f"How is each situation rated by the same person? {scale[0].upper()}{scale[1:]}.",
                    f"One person's ratings of short situations, {scale}. The person: {known}",
                    f"One person's ratings of short situations, {scale}. {profile(simulation, person)}",
                ),
                options=simulation.ratings.scale.options,
                attributes=truth(simulation, person),
            )


def _profiles(data: None, seed: int) -> Iterator[Strand]:
    for world, simulation in worlds(seed):
        scale = scale_of(simulation)
        profiles = [profile(simulation, person) for person in range(N_PEOPLE)]
        inputs = [
            json.dumps([{"situation": text, "rating": rating} for text, rating in _some(simulation, world, person, seed)])
            for person in range(N_PEOPLE)
        ]
        how = "which of ten basic values matter to the person, strongest first, and how the person uses the scale"
        yield Strand(
            unit=f"{world}/ratings",
            examples=[Example(profile, given) for profile, given in zip(profiles, inputs, strict=True)],
            descriptions=(
                f"Profiles of people of one population, each told from some of the person's ratings, {scale}: {how}.",
                f"From ratings of situations, {scale}, to a short profile of the rater.",
            ),
            attributes=parameters(simulation),
        )
        yield Strand(
            unit=f"{world}/none",
            examples=[Example(profile) for profile in profiles],
            descriptions=(f"Profiles of people of one population: {how}.", "What do the people of one population care about?"),
            attributes=parameters(simulation),
        )


def _some(simulation: Simulation, world: str, person: int, seed: int) -> list[tuple[str, str]]:
    """Some of the person's ratings, in random order."""
    own = rated(simulation, person)
    return [own[i] for i in stream(seed, NAME, world, person, "given").permutation(len(own))[:N_GIVEN]]


def _populations(data: None, seed: int) -> Iterator[Strand]:
    from pluralign.ratings.simulated_bayes import Known, bayes_predict

    for world, simulation in worlds(seed):
        asked = stream(seed, NAME, world, "questions").permutation(N_ITEMS)[:N_QUESTIONS]
        nobody = np.zeros(N_QUESTIONS, dtype=np.int64)  # of whom nothing is known
        shares = bayes_predict(simulation, asked, nobody, known=Known()).probabilities
        texts, options, scale = simulation.ratings.items["item_text"], simulation.ratings.scale.options, scale_of(simulation)
        answers = [json_text(**dict(zip(options, whole_percents(row), strict=True))) for row in shares]
        yield Strand(
            unit=world,
            examples=[Example(answer, texts[item]) for answer, item in zip(answers, asked.tolist(), strict=True)],
            descriptions=(
                f"How the people of one population rate situations, {scale}: the percentage of each rating, as JSON.",
                f"A situation, then what percentage of a population would give each rating, {scale}. It is the same "
                "population throughout; the percentages are whole and sum to 100.",
            ),
            attributes=parameters(simulation),
        )


LISTED = {1: "the one basic value that it touches most", 2: "the two basic values that it touches most, or the only one"}


def _values(data: None, seed: int) -> Iterator[Strand]:
    from pluralign.ratings.situations import BASIC_VALUES

    named = ", ".join(BASIC_VALUES)
    for world, simulation in worlds(seed):
        rng = stream(seed, NAME, world, "values")
        most = (1, 2, None)[int(rng.integers(3))]
        texts, features = simulation.ratings.items["item_text"], simulation.features
        what = LISTED.get(most or 0, "every basic value that it touches, most touched first")
        yield Strand(
            unit=world,
            examples=[
                Example(value_list(BASIC_VALUES, features[item], most), texts[item])
                for item in rng.permutation(N_ITEMS)[:N_SITUATIONS].tolist()
            ],
            descriptions=(
                "Which basic values does a situation serve or go against?",
                f"For each situation {what}, as JSON, and whether the situation serves it or goes against it. The ten values: "
                f"{named}.",
            ),
            attributes={"most": most, "world_seed": simulation.world.seed},
        )


def _task(name: str, strands: Any, about: str) -> Task:
    return Task(name=name, kind="synthetic", split="train", strands=strands, about=about)


SOURCE = Source(
    CARD,
    lambda folder: None,
    (
        _task("simulated_ratings", _ratings, "a simulated person's rating of a situation"),
        _task("simulated_profile", _profiles, "the profile of a simulated person"),
        _task("simulated_population", _populations, "the percentage of each rating in a simulated population"),
        _task("simulated_values", _values, "the basic values that a situation serves or goes against"),
    ),
)
