"""Sources that are a family of laws: each strand draws its parameters, and then its outputs with them.

Parameters come from `stream(seed, task, unit, "parameters")`, so that no two strands share them, and stand in the strand's
attributes, so that what was drawn can be told from what a description says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.episodes import Example
from pluralign.streams import stream
from pluralign.suite.card import Card, Simulated, Source
from pluralign.suite.task import Law, Split, Strand, Task

__all__ = ["MakeStrand", "examples_of", "law_of", "parametric_source"]

MakeStrand = Callable[[str, np.random.Generator], Strand]
"""From the unit's id and the generator of its parameters."""


def examples_of(outputs: Iterable[object]) -> list[Example]:
    """Outputs without inputs, as text."""
    return [Example(str(output)) for output in outputs]


def law_of(draw: Callable[[np.random.Generator, int], npt.NDArray[Any]]) -> Law:
    """The law whose n draws are an array; as Python's own numbers, whose text is the number alone [n]."""
    return lambda rng, n: examples_of(draw(rng, n).tolist())


def parametric_source(
    name: str,
    make: MakeStrand,
    *,
    n_strands: int,
    what: str,
    about: str,
    unit: str = "parameter draw",
    split: Split = "train",
    description_share: float = 0.8,
    chance: float | None = None,
    problems: tuple[str, ...] = (),
) -> Source:
    """A source with one task of its own name, whose strands are this many parameter draws; see `Card` and `Task`."""
    card = Card(
        name=name,
        what=what,
        citation="Sorensen et al. 2025, Spectrum Tuning (arXiv 2510.06084)",
        licence="none needed: simulated here",
        access=Simulated(),
        ran_on_real_file=True,
        units=n_strands,
        unit=unit,
        chance={} if chance is None else {name: chance},
        problems=problems,
    )

    def strands(data: Any, seed: int) -> Iterator[Strand]:
        for i in range(n_strands):
            yield make(str(i), stream(seed, name, str(i), "parameters"))

    task = Task(name=name, kind="synthetic", split=split, strands=strands, description_share=description_share, about=about)
    return Source(card, lambda folder: None, (task,))
