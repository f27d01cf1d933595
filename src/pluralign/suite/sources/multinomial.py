"""Multinomial distributions: how often each category comes in some 32 draws, as a JSON object or as a JSON list of texts.

Which of the two is drawn for each distribution. Departure: the published objects were Python's, with counts as np.int64(3).
"""

from __future__ import annotations

import numpy as np

from pluralign.episodes import Example
from pluralign.suite.numbers import SHARES, counts_of_shares, mapping_text
from pluralign.suite.parametric import parametric_source
from pluralign.suite.task import Around, Strand

__all__ = ["SOURCE"]


def _strand(unit: str, rng: np.random.Generator) -> Strand:
    shares = counts_of_shares(rng, max(2, Around(12).draw(rng))) / SHARES
    total = Around(32).draw(rng)
    as_object = rng.random() < 0.5
    labels = [str(k) for k in range(len(shares))]
    pattern = (
        "{" + ", ".join(f'"{k}": %d' for k in labels) + "}" if as_object else "[" + ", ".join(['"%d"'] * len(labels)) + "]"
    )
    chances = mapping_text(labels, shares.tolist())

    def law(rng: np.random.Generator, n: int) -> list[Example]:
        return [Example(pattern % tuple(row)) for row in rng.multinomial(total, shares, size=n).tolist()]

    return Strand(
        unit=unit,
        examples=law,
        descriptions=(
            f"How often each category came in {total} draws with these probabilities: {chances}",
            "Counts from a multinomial distribution.",
            f"Multinomial(n={total}, p={chances})",
        ),
        n_outputs=Around(1024),
        attributes={"n": total, "probabilities": chances},
    )


SOURCE = parametric_source(
    "multinomial",
    _strand,
    n_strands=500,
    what="Multinomial distributions over numbered categories.",
    about="counts by category, as JSON",
    problems=("an episode has some 80,000 characters; a short training window holds the first few outputs",),
)
