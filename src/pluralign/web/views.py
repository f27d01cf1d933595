"""What the page's templates draw: numbers made ready, and two versions of a situation side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pluralign.web.shapes import Bearing, Change, Surfaced

__all__ = ["Segment", "changes_between", "segments"]

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


def changes_between(before: Surfaced, after: Surfaced) -> list[Change]:
    """What enters, leaves, flips its label or stays, those that change first, then by relevance."""
    first, second = (_by_name(one.considerations) for one in (before, after))
    found = []
    for name in dict.fromkeys([*first, *second]):
        a, b = first.get(name), second.get(name)
        one = a or b
        assert one is not None
        change = "enters" if a is None else "leaves" if b is None else "flips" if a.label != b.label else "stays"
        found.append(Change(vrd=one.vrd, text=one.text, change=change, before=a, after=b))  # type: ignore[arg-type]
    order = ("flips", "enters", "leaves", "stays")
    return sorted(found, key=lambda one: (order.index(one.change), -_relevance(one)))


def _by_name(considerations: Sequence[Bearing]) -> dict[tuple[str, str], Bearing]:
    return {(one.vrd, one.text.casefold()): one for one in considerations}


def _relevance(change: Change) -> float:
    return max(one.relevant for one in (change.before, change.after) if one is not None)
