"""The process of `geometric` with its own parameters and wordings.

Departure: p is stated whole, where the published suite cut it to 3 decimals.
"""

from __future__ import annotations

import numpy as np

from pluralign.suite.numbers import plain, probability
from pluralign.suite.parametric import law_of, parametric_source
from pluralign.suite.task import Around, Strand

__all__ = ["SOURCE"]


def _strand(unit: str, rng: np.random.Generator) -> Strand:
    p = probability(rng)
    return Strand(
        unit=unit,
        examples=law_of(lambda rng, n: rng.geometric(p, n)),
        descriptions=(
            f"A geometric distribution with p = {plain(p)}; each output is the number of the trial that first succeeds.",
            "A geometric distribution; each output is the number of the trial that first succeeds.",
        ),
        n_outputs=Around(1024),
        attributes={"p": p},
    )


SOURCE = parametric_source(
    "geometric_beta",
    _strand,
    n_strands=500,
    what="Geometric distributions, in other words than `geometric`.",
    about="a number of trials, at least 1",
    problems=("the same process as the task geometric",),
)
