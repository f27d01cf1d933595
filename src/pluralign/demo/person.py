"""One held-out person from near by: the truth, what a model writes of it, and three ratings as they were predicted."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pluralign.demo.asking import Questions
from pluralign.demo.people import EVERYTHING, N_GIVEN, People, joined, limit_of, limits, questions_about
from pluralign.suite.embedded_world import MOST_RATINGS

__all__ = ["SHOWN_KNOWN", "person_questions", "shown_person"]

FloatArray = npt.NDArray[np.float64]

SHOWN_KNOWN = ("examples:0", "attributes", "profile", "written", f"examples:{N_GIVEN}")
"""What is known in the predictions that are shown; "written" is the profile that the model wrote from the ratings."""
_N_SITUATIONS = 3
_NAMED = 2
"""Values that matter, and values turned away from, that the profile of the person who is shown names at least."""


def shown_person(people: People) -> int:
    """The first person whose true profile names two values on each side; the first of all where there is none."""
    fits = (n for n, facts in enumerate(people.facts) if min(len(facts.cares), len(facts.turns)) >= _NAMED)
    return next(fits, 0)


def person_questions(people: People, person: int, written: Sequence[str]) -> Questions:
    """Three ratings of this person for each known, in the order of `SHOWN_KNOWN`; `written` [people] are a model's profiles.

    Of the ratings behind those that the profile was written from, those are asked for where knowing everything moves the best
    prediction most away from that which knows nothing.
    """
    places = range(N_GIVEN, MOST_RATINGS)
    items = people.shown[person].item[places.start : places.stop]
    who = np.full(len(items), person)
    nothing, everything = (limit_of(people, known, items, who) for known in ("examples:0", EVERYTHING))
    moved = np.abs(everything - nothing).sum(axis=1)
    rows = [(person, places[n]) for n in sorted(np.argsort(-moved, kind="stable")[:_N_SITUATIONS].tolist())]
    parts = [
        questions_about(people, "person", known, rows, written=written if known == "written" else None) for known in SHOWN_KNOWN
    ]
    asked = joined(parts)
    return dataclasses.replace(asked, limit=limits(people, asked))
