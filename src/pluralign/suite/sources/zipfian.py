"""Zipf distributions on the ranks 1 to 10,000; the exponent is uniform between 1 and 2.5, to a millionth.

Departure: the published ranks have no end, so that one sequence in ten held a number above 6e17, at the edge of what 64 bits
hold. Ours end at 10,000, which the description says.
"""

from __future__ import annotations

import numpy as np

from pluralign.suite.numbers import plain
from pluralign.suite.parametric import law_of, parametric_source
from pluralign.suite.task import Around, Strand

__all__ = ["SOURCE"]

LAST = 10_000


def _strand(unit: str, rng: np.random.Generator) -> Strand:
    exponent = 1 + int(rng.integers(1, 1_500_000, endpoint=True)) / 1_000_000
    ends = np.cumsum(np.arange(1, LAST + 1) ** -exponent)
    return Strand(
        unit=unit,
        examples=law_of(lambda rng, n: np.searchsorted(ends, rng.random(n) * ends[-1], side="right") + 1),
        descriptions=(
            f"Ranks from 1 to {LAST}, by Zipf's law: rank k has a chance proportional to 1 / k^{plain(exponent)}.",
            f"Ranks from 1 to {LAST}, by Zipf's law.",
        ),
        n_outputs=Around(1024),
        attributes={"exponent": exponent, "last": LAST},
    )


SOURCE = parametric_source(
    "zipfian",
    _strand,
    n_strands=500,
    what=f"Zipf distributions on the ranks 1 to {LAST:,}.",
    about="a rank",
    problems=(f"bounded at {LAST:,}, where the published ranks have no end",),
)
