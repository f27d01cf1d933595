"""Categorical distributions over "0", "1", ...: about twelve categories, probabilities Dirichlet(1, ..., 1) to 4 decimals."""

from __future__ import annotations

import numpy as np

from pluralign.suite.numbers import SHARES, counts_of_shares, mapping_text
from pluralign.suite.parametric import law_of, parametric_source
from pluralign.suite.task import Around, Strand

__all__ = ["SOURCE"]


def _strand(unit: str, rng: np.random.Generator) -> Strand:
    counts = counts_of_shares(rng, max(2, Around(12).draw(rng)))
    ends = np.cumsum(counts)
    labels = [str(k) for k in range(len(counts))]
    chances = mapping_text(labels, (counts / SHARES).tolist())
    return Strand(
        unit=unit,
        examples=law_of(lambda rng, n: np.searchsorted(ends, rng.integers(SHARES, size=n), side="right")),
        descriptions=(
            f"Categories that come with these probabilities: {chances}",
            "Categories from a categorical distribution.",
            f"Categorical({chances})",
        ),
        options=tuple(labels),
        n_outputs=Around(1024),
        attributes={"probabilities": chances},
    )


SOURCE = parametric_source(
    "categorical",
    _strand,
    n_strands=500,
    what="Categorical distributions over numbered categories.",
    about="a category's number",
)
