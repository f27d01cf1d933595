"""Urns with balls of two to five colours: which colour does one draw give? The shares are the law's own.

Departure: of 1,000 published urns 11 came twice; here all 1,000 differ. An urn whose colours and counts have come before is
passed over, whatever their order, so that urns with few balls come a little less often than by the law alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from pluralign.streams import stream
from pluralign.suite.card import Card, Simulated, Source
from pluralign.suite.evaluation import Target, TargetTask

__all__ = ["COLOURS", "N_URNS", "SOURCE"]

COLOURS = ("red", "blue", "green", "yellow", "purple", "orange", "brown", "black", "white")
N_URNS = 1000
MOST_BALLS = 10
"""Of one colour."""
CARD = Card(
    name="urn",
    what="Simulated urns whose contents are told.",
    citation="Sorensen et al. 2025, Spectrum Tuning (arXiv 2510.06084)",
    licence="none needed: simulated here",
    access=Simulated(),
    ran_on_real_file=True,
    units=N_URNS,
    unit="urn",
)


def _balls(rng: np.random.Generator) -> dict[str, int]:
    """Colour to count: for each colour a most, uniform from 1 to 10, then a count, uniform from 1 to that."""
    drawn = rng.permutation(len(COLOURS))[: int(rng.integers(2, 6))]
    return {COLOURS[i]: int(rng.integers(1, rng.integers(1, MOST_BALLS + 1) + 1)) for i in drawn.tolist()}


def _targets(data: Any, seed: int) -> Iterator[Target]:
    seen: set[frozenset[tuple[str, int]]] = set()
    for number in itertools.count():
        balls = _balls(stream(seed, CARD.name, str(number), "parameters"))
        contents = frozenset(balls.items())
        if contents in seen:
            continue
        seen.add(contents)
        yield _target(balls)
        if len(seen) == N_URNS:
            return


def _target(balls: dict[str, int]) -> Target:
    *others, last = (f"{n} {colour} ball{'s' if n > 1 else ''}" for colour, n in balls.items())
    total = sum(balls.values())
    return Target(
        input="One ball is drawn at random. What colour is it? Answer with the colour alone, in lower case.",
        options=tuple(balls),
        shares=tuple(n / total for n in balls.values()),
        description=f"An urn holds {', '.join(others)} and {last}.",
        attributes=dict(balls),
    )


SOURCE = Source(
    CARD,
    lambda folder: None,
    evaluations=(TargetTask(name="urn", about="the colour of a ball drawn from an urn", rows=_targets, label="Colour"),),
)
