"""The one sampler: strands in, episodes out, each from random numbers of its own.

Every draw is keyed by seed, task, unit and episode (`streams`): no two parameter draws or episodes share numbers, and nothing
depends on order, on the other tasks or on how the work is divided.

Departures from the published suite: its sequences of one task shared a reseeded generator, so that 499 of 500 were the same;
its people were the first n of the file, ours are n at random; a description is shown with the share that the task states.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pluralign.episodes import Episode, Example
from pluralign.streams import stream
from pluralign.suite.task import Around, Strand, Task

__all__ = ["MOST_OUTPUTS", "chosen_units", "draw_episodes"]

MOST_OUTPUTS = 5000
"""Of one episode."""

T = TypeVar("T")


def draw_episodes(
    task: Task, strands: Iterable[Strand], *, seed: int, description_share: float | None = None
) -> Iterator[Episode]:
    """The episodes of these strands of the task, strand by strand; `description_share` in place of the task's own."""
    share = task.shown_share if description_share is None else description_share
    for strand in strands:
        for number, examples in enumerate(_sequences(task.name, strand, seed)):
            yield _episode(task.name, strand, examples, share, stream(seed, task.name, strand.unit, number, "description"))


def chosen_units(seed: int, task: str, units: Mapping[str, T], most: int) -> dict[str, T]:
    """At most this many of the units, by chance: those with the smallest number keyed by seed, task and id."""
    if len(units) <= most:
        return dict(units)
    drawn = sorted(units, key=lambda unit: (stream(seed, task, unit, "chosen").random(), unit))[:most]
    kept = set(drawn)
    return {unit: value for unit, value in units.items() if unit in kept}


def _episode(name: str, strand: Strand, examples: Sequence[Example], share: float, rng: np.random.Generator) -> Episode:
    shows = bool(strand.descriptions) and rng.random() < share
    return Episode.checked(
        name,
        examples,
        description=strand.descriptions[int(rng.integers(len(strand.descriptions)))] if shows else None,
        options=strand.options,
        unit=strand.unit,
        attributes=strand.attributes,
    )


def _sequences(name: str, strand: Strand, seed: int) -> Iterator[Sequence[Example]]:
    """The examples of each episode of the strand."""
    if callable(strand.examples):
        for number in range(strand.n_episodes or 1):
            rng = stream(seed, name, strand.unit, number)
            yield strand.examples(rng, _size(strand, MOST_OUTPUTS, rng))
    elif strand.n_episodes is None:
        yield from _exhausted(name, strand, strand.examples, seed)
    else:
        for number in range(strand.n_episodes):
            rng = stream(seed, name, strand.unit, number)
            order = _order(strand.weights, len(strand.examples), rng)
            yield [strand.examples[i] for i in order[: _size(strand, len(order), rng)]]


def _exhausted(name: str, strand: Strand, pool: Sequence[Example], seed: int) -> Iterator[Sequence[Example]]:
    left = len(pool) * strand.n_permutations if strand.max_total is None else strand.max_total
    for permutation in range(strand.n_permutations):
        rng = stream(seed, name, strand.unit, "permutation", permutation)
        order = _order(strand.weights, len(pool), rng)
        done = 0
        while done < len(order) and left > 0:
            size = min(_size(strand, len(order) - done, rng), left)
            yield [pool[i] for i in order[done : done + size]]
            done += size
            left -= size


def _size(strand: Strand, most: int, rng: np.random.Generator) -> int:
    asked = strand.n_outputs.draw(rng) if isinstance(strand.n_outputs, Around) else strand.n_outputs
    return min(most, MOST_OUTPUTS if asked is None else asked, MOST_OUTPUTS)


def _order(weights: npt.NDArray[np.float64] | None, n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """A permutation; with weights, that of draws without replacement, one after the other, each in proportion to them.

    Source: Efraimidis & Spirakis 2006: the order of log(u) / w has that law.
    """
    if weights is None:
        return rng.permutation(n)
    with np.errstate(divide="ignore"):
        return np.argsort(-np.log(rng.random(n)) / weights, kind="stable")
