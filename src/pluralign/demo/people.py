"""Held-out people: what they say next, for who knows nothing, attributes, a written profile, or past ratings.

Of each person the same few ratings are asked for, whatever is known, and they come behind all that is shown as examples. The
limits are Bayes' rule with the world's own parameters (`ratings.simulated_bayes`, `ratings.simulated_profile_bayes`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pluralign.demo.asking import Questions
from pluralign.demo.laws import KS
from pluralign.episodes import Episode, Example
from pluralign.models import Query
from pluralign.ratings.simulate import ATTRIBUTES
from pluralign.ratings.simulated_bayes import Known, archetype_probabilities, bayes_predict
from pluralign.ratings.simulated_profile_bayes import ProfileFacts, facts_of, profile_predict
from pluralign.streams import stream
from pluralign.suite.embedded_episodes import RATING_OPTIONS, Told, ratings_description
from pluralign.suite.embedded_world import (
    FIRST_HELD_OUT,
    PersonRatings,
    ratings_in_order,
    simulate_people,
    situation_texts,
)
from pluralign.suite.simulated_worlds import known_of, profile
from pluralign.suite.task import json_text

if TYPE_CHECKING:
    from pluralign.ratings.simulate import Simulation

__all__ = [
    "EVERYTHING",
    "KNOWN",
    "N_GIVEN",
    "TARGETS",
    "People",
    "draw_people",
    "joined",
    "limit_of",
    "limits",
    "people_questions",
    "questions_about",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

N_GIVEN = 16
"""Past ratings that a profile is written from."""
KNOWN = (*(f"examples:{k}" for k in KS), "attributes", "profile", "both")
"""What may be known of a person; "examples:0" is nothing but that it is one person."""
EVERYTHING = "everything"
"""The person's values and thresholds: what no model is told."""
TARGETS = range(max(KS), max(KS) + 2)
"""Places of the ratings that are asked for, in a person's order."""
_TOLD: dict[str, Told] = {
    "examples:0": "person",
    **{"attributes": "attributes", "profile": "profile", "both": "both", "written": "profile"},
}
"""Past ratings stand alone; before the first it has to be said that there will be ratings."""
_PEOPLE = 4_000_000
"""Numbers from which the first person is drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Held-out people, with the truth behind them."""

    numbers: range
    simulation: Simulation
    shown: Sequence[PersonRatings]

    @property
    def facts(self) -> list[ProfileFacts]:
        """What each person's true profile says."""
        world = self.simulation
        truths = zip(world.theta, world.shift.tolist(), world.log_spread.tolist(), strict=True)
        return [facts_of(*truth) for truth in truths]

    def profile(self, person: int) -> str:
        """The true written profile."""
        return profile(self.simulation, person)

    def attributes(self, person: int) -> str:
        """As descriptions have them: JSON."""
        return json_text(**known_of(self.simulation, person))


def draw_people(n: int, *, seed: int) -> People:
    """n held-out people, one after another from a number that the seed draws."""
    first = FIRST_HELD_OUT + int(stream(seed, "demo", "people").integers(_PEOPLE))
    numbers, simulation = range(first, first + n), simulate_people(first, n)
    return People(numbers, simulation, ratings_in_order(simulation, numbers))


def people_questions(people: People) -> Questions:
    """Some ratings of every person, for all that may be known; without limits yet (`limits`)."""
    rows = [(person, place) for person in range(len(people.numbers)) for place in TARGETS]
    return joined([questions_about(people, "ratings", known, rows) for known in KNOWN])


def questions_about(
    people: People, part: str, known: str, rows: Sequence[tuple[int, int]], *, written: Sequence[str] | None = None
) -> Questions:
    """One question for each person and place in the person's order, without limits.

    `written` [people] are profiles that stand in place of the true ones.
    """
    shown = [(person, int(people.shown[person].item[at]), int(people.shown[person].option[at])) for person, at in rows]
    opening = {person: _episode(people, known, person, written) for person in dict.fromkeys(person for person, *_ in shown)}
    return Questions(
        part=part,
        unit="rater",
        queries=[Query(opening[person], situation_texts()[item]) for person, item, _ in shown],
        known=np.array([known] * len(rows)),
        units=np.array([person for person, *_ in shown]),
        limit=np.full((len(rows), len(RATING_OPTIONS)), np.nan),
        outcomes=np.array([option for *_, option in shown]),
    )


def limits(people: People, asked: Questions) -> FloatArray:
    """The best possible prediction for each question [questions, options]; NaN where none is known."""
    rows_of = {text: row for row, text in enumerate(situation_texts())}
    items = np.array([rows_of[query.input or ""] for query in asked.queries])
    found = asked.limit.copy()
    for known in (*KNOWN, EVERYTHING):
        if (at := asked.known == known).any():
            found[at] = limit_of(people, known, items[at], asked.units[at])
    return found


def limit_of(people: People, known: str, items: IntArray, person: IntArray) -> FloatArray:
    """What Bayes' rule says of these people's ratings of these situations [questions, options]."""
    simulation = people.simulation
    told = tuple(ATTRIBUTES) if known in ("attributes", "both") else ()
    if known in ("profile", "both"):
        prior = archetype_probabilities(simulation, Known(attributes=told))
        return profile_predict(simulation.world, people.facts, items, person, known_attributes=prior)
    if known == EVERYTHING:
        what = Known(values=True, thresholds=True)
    else:
        k = _n_examples(known)
        rows = np.sort(np.concatenate([people.shown[p].rows[:k] for p in np.unique(person).tolist()]))
        what = Known(attributes=told, examples=simulation.ratings.take(rows) if k else None)
    return bayes_predict(simulation, items, person, known=what).probabilities


def joined(parts: Sequence[Questions]) -> Questions:
    """All questions as one set."""
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(one, name) for one in parts]) for name in ("known", "units", "limit", "outcomes")
    }
    return replace(parts[0], queries=[query for one in parts for query in one.queries], **arrays)


def _episode(people: People, known: str, person: int, written: Sequence[str] | None) -> Episode:
    """What stands before the question."""
    told = _TOLD.get(known, "nothing")
    text = people.profile(person) if written is None else written[person]
    description = ratings_description(told, attributes=people.attributes(person), profile=text)
    shown, k = people.shown[person], _n_examples(known)
    pairs = zip(shown.option[:k].tolist(), shown.item[:k].tolist(), strict=True)
    examples = [Example(RATING_OPTIONS[option], situation_texts()[item]) for option, item in pairs]
    return Episode("embedded_ratings", tuple(examples), description, RATING_OPTIONS, unit=str(people.numbers[person]))


def _n_examples(known: str) -> int:
    kind, _, k = known.partition(":")
    return int(k) if kind == "examples" else 0
