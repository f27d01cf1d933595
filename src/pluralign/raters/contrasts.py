"""Contrasts: the directions in which a distribution over options can move.

A distribution over K options is written as softmax(offset + C t), where the columns of C [options, contrasts] are orthonormal
and sum to zero, so t = 0 leaves the offset alone. On an ordered scale the columns are orthogonal polynomials of the options'
values: the first moves mass up or down, the second towards or away from the ends, and so on; the first alone carries what
depends on an item (adjacent-category logits: each step up the scale multiplies the odds by the same factor). On a nominal
scale no direction is special: all K - 1 carry it (baseline-category logits).

Source: Agresti 2013, Categorical Data Analysis, sections 8.1 and 8.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pluralign.errors import DataError
from pluralign.ratings import Scale

__all__ = ["Contrasts", "contrasts_for"]

FloatArray = npt.NDArray[np.float64]

MAX_ORDERED = 4
"""Polynomials beyond the fourth describe habits (say, a liking for 4 but not 3 or 5) that few ratings cannot show."""
MAX_OPTIONS = 25


@dataclass(frozen=True, slots=True)
class Contrasts:
    basis: FloatArray
    """[options, contrasts], orthonormal columns that sum to zero."""
    n_slopes: int
    """How many of the first contrasts carry effects of item features: 1 if ordered, all if nominal."""

    @property
    def n(self) -> int:
        return int(self.basis.shape[1])


def contrasts_for(scale: Scale) -> Contrasts:
    """The contrasts of a scale. Raises DataError above 25 options: bin the ratings first.

    >>> contrasts_for(Scale("ordinal", ("1", "2", "3"))).basis.round(2)[[0, 2]].tolist()
    [[-0.71, 0.41], [0.71, 0.41]]
    """
    k = len(scale)
    if k > MAX_OPTIONS:
        raise DataError(
            "scale",
            f"{k} options are too many to model one by one (at most {MAX_OPTIONS}); "
            "group them with --bins, for example --bins 5.",
        )
    if not scale.is_ordered:
        return Contrasts(_orthonormal(np.eye(k)[:, : k - 1]), k - 1)
    # Even steps, whatever the labels' numbers: a 1-2-3-4-5 and a 1-2-3-4-10 scale show people the same row of boxes.
    position = np.linspace(-1.0, 1.0, k)
    powers = np.stack([position**p for p in range(1, min(k - 1, MAX_ORDERED) + 1)], axis=1)
    return Contrasts(_orthonormal(powers), 1)


def _orthonormal(columns: FloatArray) -> FloatArray:
    """Gram-Schmidt after the constant, by QR; signs as the columns came."""
    with_constant = np.column_stack([np.ones(len(columns)), columns])
    q, r = np.linalg.qr(with_constant)
    return np.ascontiguousarray((q * np.sign(np.diag(r)))[:, 1:])
