"""Hypergeometric distributions: a population of about 128, of which K count and n are drawn, both uniform on 1..N."""

from __future__ import annotations

import numpy as np

from pluralign.suite.parametric import law_of, parametric_source
from pluralign.suite.task import Around, Strand

__all__ = ["SOURCE"]


def _strand(unit: str, rng: np.random.Generator) -> Strand:
    population = Around(128).draw(rng)
    successes, drawn = (int(value) for value in rng.integers(1, population, size=2, endpoint=True))
    return Strand(
        unit=unit,
        examples=law_of(lambda rng, n: rng.hypergeometric(successes, population - successes, drawn, n)),
        descriptions=(
            f"Of {population} things {successes} are marked; {drawn} are drawn without replacement. "
            "Each output is the number of marked ones among them.",
            "Whole numbers from a hypergeometric distribution.",
        ),
        n_outputs=Around(1024),
        attributes={"population": population, "successes": successes, "drawn": drawn},
    )


SOURCE = parametric_source(
    "hypergeometric", _strand, n_strands=500, what="Hypergeometric distributions.", about="a number of successes"
)
