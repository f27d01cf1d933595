"""Binomial distributions; p is uniform, in steps of 1e-8, the number of trials random with mean 1024."""

from __future__ import annotations

import numpy as np

from pluralign.suite.numbers import plain, probability
from pluralign.suite.parametric import law_of, parametric_source
from pluralign.suite.task import Around, Strand

__all__ = ["SOURCE"]


def _strand(unit: str, rng: np.random.Generator) -> Strand:
    p = probability(rng)
    trials = Around(1024).draw(rng)
    return Strand(
        unit=unit,
        examples=law_of(lambda rng, n: rng.binomial(trials, p, n)),
        descriptions=(
            f"The number of successes in {trials} trials, each of which succeeds with probability {plain(p)}.",
            "Whole numbers from a binomial distribution.",
            f"Binomial(n={trials}, p={plain(p)})",
        ),
        n_outputs=Around(1024),
        attributes={"trials": trials, "p": p},
    )


SOURCE = parametric_source("binomial", _strand, n_strands=500, what="Binomial distributions.", about="a number of successes")
