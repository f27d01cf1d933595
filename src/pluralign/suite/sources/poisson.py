"""Poisson distributions; the mean is Gamma(0.5, scale 2000), to six significant digits."""

from __future__ import annotations

import numpy as np

from pluralign.suite.numbers import plain, significant
from pluralign.suite.parametric import law_of, parametric_source
from pluralign.suite.task import Around, Strand

__all__ = ["SOURCE"]


def _strand(unit: str, rng: np.random.Generator) -> Strand:
    mean = significant(rng.gamma(0.5, 2000))
    return Strand(
        unit=unit,
        examples=law_of(lambda rng, n: rng.poisson(mean, n)),
        descriptions=(
            f"Whole numbers from a Poisson distribution with mean {plain(mean)}.",
            "Whole numbers from a Poisson distribution.",
            f"Poisson(λ={plain(mean)})",
        ),
        n_outputs=Around(1024),
        attributes={"mean": mean},
    )


SOURCE = parametric_source(
    "poisson", _strand, n_strands=500, what="Poisson distributions of many means.", about="a whole number"
)
