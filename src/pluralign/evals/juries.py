"""Juries: who sits on them, and what each would choose.

    "6 women, 6 men"                                  seats by the level of an attribute
    "3 gender=women and age=18-24, 3 gender=men"      where a level alone would not say which attribute, or several are meant

A composition is used in two ways: as weights of all people who are there, so that each group counts as much as its seats; and
to draw many juries of just so many people, which shows how much hangs on who happens to be drawn.

Source: Gordon et al. 2022, Jury Learning (arXiv 2202.02950): the user composes the jury, juries are drawn and outvote one
another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pluralign.episodes import Episode
from pluralign.errors import DataError, UsageError, nearest_name
from pluralign.metrics import p_mean
from pluralign.streams import stream

__all__ = ["Composition", "Seats", "composed", "jury_weights", "preferred_shares", "sample_juries", "top_shares"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

TIED = 1e-12
"""Welfares that are no further apart are equal: rounding of sums in another order."""


@dataclass(frozen=True, slots=True)
class Seats:
    """So many people with these attributes."""

    n: int
    where: tuple[tuple[str, str], ...]
    """Attribute and level, all of which hold."""


@dataclass(frozen=True, slots=True)
class Composition:
    """Who sits on a jury, and which of the people may."""

    seats: tuple[Seats, ...]
    members: tuple[tuple[int, ...], ...]
    """For each of the seats, positions of the people who fit; nobody fits two."""

    @property
    def n_seats(self) -> int:
        return sum(one.n for one in self.seats)


def composed(text: str, people: Sequence[Episode]) -> Composition:
    """The composition that a text such as "6 women, 6 men" names among these people.

    Raises UsageError for another form, an unknown attribute or level, a level of several attributes, and seats that one
    person could take twice; DataError where there are fewer people than seats.
    """
    seats = tuple(_seats(part.strip(), people) for part in text.split(","))
    members = tuple(tuple(n for n, person in enumerate(people) if _fits(person, one)) for one in seats)
    taken: dict[int, int] = {}
    for number, some in enumerate(members):
        for n in some:
            if n in taken:
                raise UsageError(
                    f"jury {text!r}: {people[n].unit!r} fits seats {taken[n] + 1} and {number + 1}; tell them apart with 'and'."
                )
            taken[n] = number
    faults = [
        f"jury {text!r}: {one.n} seats for {_told(one)}, but {len(some)} such people"
        for one, some in zip(seats, members, strict=True)
        if len(some) < one.n
    ]
    if faults:
        raise DataError("people", faults)
    return Composition(seats, members)


def jury_weights(composition: Composition, n_people: int) -> FloatArray:
    """Of each person [people] the share of the jury: seats of their group / (people in it x all seats); sums to 1.

    >>> jury_weights(Composition((Seats(1, ()), Seats(3, ())), ((0, 1), (2,))), 4).tolist()
    [0.125, 0.125, 0.75, 0.0]
    """
    weights = np.zeros(n_people)
    for one, some in zip(composition.seats, composition.members, strict=True):
        weights[list(some)] = one.n / len(some) / composition.n_seats
    return weights


def sample_juries(people: Sequence[Episode], seats: int | Composition, *, n_juries: int, seed: int, key: str = "") -> IntArray:
    """Positions of the people on each jury [juries, seats], drawn without replacement, within the groups of a composition.

    They belong to seed and key: the order of the people does not count, and more juries begin with the same ones. Raises
    UsageError for a whole number of seats that is not 1..people.
    """
    groups = [list(range(len(people)))] if isinstance(seats, int) else [list(some) for some in seats.members]
    sizes = [seats] if isinstance(seats, int) else [one.n for one in seats.seats]
    if any(not 1 <= size <= len(some) for size, some in zip(sizes, groups, strict=True)):
        raise UsageError(f"a jury of {sizes} people cannot be drawn from {[len(some) for some in groups]}.")
    drawn = []
    for number, (size, some) in enumerate(zip(sizes, groups, strict=True)):
        ordered = np.array(sorted(some, key=lambda n: str(people[n].unit)), dtype=np.int64)
        lots = stream(seed, "jury", key, number).random((n_juries, len(some)))
        drawn.append(ordered[np.argsort(lots, axis=1)[:, :size]])
    return np.concatenate(drawn, axis=1)


def preferred_shares(utilities: npt.NDArray[np.float64], juries: IntArray, p: float) -> FloatArray:
    """Share of the juries [juries, seats] that prefer each response [responses] by W_p of `utilities` [responses, people].

    Sums to 1; a jury that is undecided counts for each of its best in equal parts. Utilities must be there for all who sit.
    """
    welfare = p_mean(np.asarray(utilities)[:, juries], p)  # [responses, juries]
    return np.asarray(top_shares(welfare.T).mean(axis=0))


def top_shares(welfare: FloatArray) -> FloatArray:
    """Who is on top in the last axis [..., responses]: 1, or 1 / n for each of n that are equal; NaN counts for nothing.

    All NaN where no response has a value.

    >>> top_shares(np.array([[0.2, 0.5, 0.5], [0.3, np.nan, 0.1]])).tolist()
    [[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]
    """
    known = np.where(np.isnan(welfare), -np.inf, welfare)
    best = known.max(axis=-1, keepdims=True)
    on_top = (known >= best - TIED * np.maximum(1.0, np.abs(best))) & np.isfinite(known)
    count = on_top.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(on_top, count, out=np.full(welfare.shape, np.nan), where=count > 0), dtype=np.float64)


def _seats(part: str, people: Sequence[Episode]) -> Seats:
    found = re.fullmatch(r"(\d+)\s+(\S.*)", part)
    if found is None or int(found[1]) < 1:
        raise UsageError(f"jury: {part!r} is not of the form '6 women' or '6 gender=women and age=18-24'.")
    levels = _levels(people)
    said = found[2].strip()
    whole = [said] if _named(said, levels) else re.split(r"\s+and\s+", said)
    return Seats(int(found[1]), tuple(_one(word, levels) for word in whole))


def _levels(people: Sequence[Episode]) -> dict[str, list[str]]:
    """Attribute to its levels."""
    found: dict[str, dict[str, None]] = {}
    for person in people:
        for name, value in person.attributes.items():
            if value is not None:
                found.setdefault(name, {})[str(value)] = None
    return {name: list(values) for name, values in found.items()}


def _named(word: str, levels: dict[str, list[str]]) -> list[tuple[str, str]]:
    """All attributes and levels that the word can mean."""
    name, equals, level = word.partition("=")
    if equals and level in levels.get(name, ()):
        return [(name, level)]
    return [(attribute, word) for attribute, known in levels.items() if word in known]


def _one(word: str, levels: dict[str, list[str]]) -> tuple[str, str]:
    found = _named(word, levels)
    if len(found) > 1:
        raise UsageError(f"jury: {word!r} is a level of {', '.join(a for a, _ in found)}; write ATTRIBUTE={word}.")
    if not found:
        every = [*(f"{name}={level}" for name, known in levels.items() for level in known[:20])]
        raise UsageError(f"jury: {nearest_name(word, [*every, *(level for known in levels.values() for level in known[:20])])}")
    return found[0]


def _fits(person: Episode, seats: Seats) -> bool:
    return all(str(person.attributes.get(name)) == level for name, level in seats.where)


def _told(seats: Seats) -> str:
    return " and ".join(f"{name}={level}" for name, level in seats.where)
