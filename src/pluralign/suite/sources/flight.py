"""People who choose among three flights by weights of their own, without noise.

Everything is whole numbers, so that ties are ties: features in units of 1/198, weights of 1/2.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pluralign.episodes import Example
from pluralign.suite.parametric import parametric_source
from pluralign.suite.task import Strand

__all__ = ["SOURCE"]

FEATURES = ("departure", "duration", "price", "stops")
ONE = 198
"""The largest value of a feature: a grid of 100 points for three of them, 0, 1/2, 1 for the stops."""


def _strand(unit: str, rng: np.random.Generator) -> Strand:
    weights = np.zeros(4, dtype=np.int64)
    while not weights.any():
        weights = rng.integers(-2, 2, size=4)  # -1, -1/2, 0, 1/2: never 1

    def law(rng: np.random.Generator, n: int) -> list[Example]:
        grid = rng.integers(100, size=(n, 3, 3)) * (ONE // 99)
        flights = np.concatenate([grid, rng.integers(3, size=(n, 3, 1)) * (ONE // 2)], axis=2)
        chosen = np.argmax(flights @ weights, axis=1)  # the first of equals
        return [Example(str(best + 1), _shown(offer)) for best, offer in zip(chosen.tolist(), flights, strict=True)]

    return Strand(
        unit=unit,
        examples=law,
        descriptions=("One traveller's choices. Of three flights on offer, the output is the number of the one taken.",),
        options=("1", "2", "3"),
        n_outputs=20,
        attributes={f"weight_{name}": weight / 2 for name, weight in zip(FEATURES, weights.tolist(), strict=True)},
    )


def _shown(offer: npt.NDArray[np.int64]) -> str:
    return "\n".join(f"Flight {number}: {_flight(*row)}" for number, row in enumerate(offer.tolist(), 1))


def _flight(departure: int, duration: int, price: int, stops: int) -> str:
    leaves = 5 * 60 + (19 * 60 * departure + ONE // 2) // ONE  # 5:00 to 24:00, to the nearest minute
    takes = 45 + (915 * duration + ONE // 2) // ONE  # 0:45 to 16:00
    dollars = 10 * (50 + 145 * price // ONE)
    n_stops = stops * 2 // ONE
    calls = "nonstop" if not n_stops else "1 stop" if n_stops == 1 else f"{n_stops} stops"
    return f"departs {_clock(leaves)}, takes {takes // 60} h {takes % 60:02} min, {calls}, ${dollars}"


def _clock(minutes: int) -> str:
    hours = minutes // 60 % 24
    return f"{hours % 12 or 12}:{minutes % 60:02} {'AM' if hours < 12 else 'PM'}"


SOURCE = parametric_source(
    "flight",
    _strand,
    n_strands=200,
    what="Simulated travellers who choose among three flights by departure, duration, price and stops.",
    about="the number of the chosen flight",
    unit="traveller",
    split="test",
    chance=1 / 3,
    problems=("one of 255 weight vectors each, so that some travellers have the same",),
)
