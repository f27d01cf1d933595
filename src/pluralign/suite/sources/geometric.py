"""Geometric distributions, counting trials up to the first success; p is uniform, in steps of 1e-8."""

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
            f"How many trials it takes to the first success, which counts, if each succeeds with probability {plain(p)}.",
            "Whole numbers from a geometric distribution that starts at 1.",
            f"Geometric(p={plain(p)}), on 1, 2, 3, ...",
        ),
        n_outputs=Around(1024),
        attributes={"p": p},
    )


SOURCE = parametric_source(
    "geometric", _strand, n_strands=500, what="Geometric distributions.", about="a number of trials, at least 1"
)
