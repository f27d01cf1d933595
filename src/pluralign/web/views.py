"""What the page's templates draw: numbers made ready."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Segment", "segments"]

_COLOURS = {"supports": "#00517f", "either": "#e6e6e6", "opposes": "#a84300"}


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar, in percent of its width."""

    name: str
    start: float
    width: float
    colour: str


def segments(supports: float, either: float, opposes: float) -> list[Segment]:
    """The bar of a valence, from supporting to opposing.

    >>> [(part.name, part.width) for part in segments(0.5, 0.25, 0.25)]
    [('supports', 50.0), ('either', 25.0), ('opposes', 25.0)]
    """
    found, start = [], 0.0
    for name, share in (("supports", supports), ("either", either), ("opposes", opposes)):
        found.append(Segment(name, round(100 * start, 2), round(100 * share, 2), _COLOURS[name]))
        start += share
    return found
