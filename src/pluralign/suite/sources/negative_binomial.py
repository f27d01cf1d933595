"""Negative binomial distributions, counting failures; r, no whole number, and p are uniform, in steps of 1e-8.

Departure: the published suite printed r and p to two decimals, so that r could read 0.00.
"""

from __future__ import annotations

import numpy as np

from pluralign.suite.numbers import plain, probability
from pluralign.suite.parametric import law_of, parametric_source
from pluralign.suite.task import Around, Strand

__all__ = ["SOURCE"]


def _strand(unit: str, rng: np.random.Generator) -> Strand:
    r, p = probability(rng), probability(rng)
    return Strand(
        unit=unit,
        examples=law_of(lambda rng, n: rng.negative_binomial(r, p, n)),
        descriptions=(
            f"Numbers of failures from a negative binomial distribution with r = {plain(r)} and p = {plain(p)} of success.",
            "Numbers of failures from a negative binomial distribution.",
            f"NegativeBinomial(r={plain(r)}, p={plain(p)})",
        ),
        n_outputs=Around(1024),
        attributes={"r": r, "p": p},
    )


SOURCE = parametric_source(
    "negative_binomial",
    _strand,
    n_strands=500,
    what="Negative binomial distributions with r between 0 and 1.",
    about="a number of failures",
)
