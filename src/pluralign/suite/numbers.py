"""Numbers as texts that say them whole, so that what a description states is what its outputs were drawn with.

A parameter is drawn, brought to the digits that will be printed, and only then used. That also makes it the same number on
every machine, whose logarithms differ in the last bit.

Departure from the published suite: its descriptions rounded what its draws did not (a positive r could print as 0.00).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["SHARES", "counts_of_shares", "mapping_text", "plain", "probability", "significant"]

SHARES = 10_000
"""Probabilities of categories are whole multiples of 1 / SHARES, so that they add up to 1 as printed."""
_STEPS = 100_000_000


def significant(value: float, digits: int = 6) -> float:
    """The number with this many significant digits.

    >>> significant(1234.56789), significant(0.000123456789, 3)
    (1234.57, 0.000123)
    """
    return float(f"{value:.{digits - 1}e}")


def plain(value: float) -> str:
    """The shortest decimal text that reads back as the same number; never with an exponent.

    >>> plain(0.00001), plain(25.0), plain(0.381706)
    ('0.00001', '25', '0.381706')
    """
    return np.format_float_positional(value, trim="-")


def probability(rng: np.random.Generator) -> float:
    """Uniform between 0 and 1, neither of which it is, in steps of 1e-8."""
    return int(rng.integers(1, _STEPS)) / _STEPS


def counts_of_shares(rng: np.random.Generator, n: int) -> npt.NDArray[np.int64]:
    """Of n categories a Dirichlet(1, ..., 1) draw, in units of 1 / SHARES; they sum to SHARES [categories].

    Departure: cut down to whole units, at least one each; what is left over goes to the largest.
    """
    counts = np.maximum(np.floor(rng.dirichlet(np.ones(n)) * SHARES).astype(np.int64), 1)
    counts[np.argmax(counts)] += SHARES - counts.sum()
    return counts


def mapping_text(labels: list[str], numbers: list[float], *, percent: bool = False) -> str:
    """One JSON object from labels to numbers, or to percentages as text.

    >>> mapping_text(["a", "b"], [0.25, 0.75]), mapping_text(["a"], [12.5], percent=True)
    ('{"a": 0.25, "b": 0.75}', '{"a": "12.5%"}')
    """
    shown = [f'"{plain(number)}%"' if percent else plain(number) for number in numbers]
    return "{" + ", ".join(f'"{label}": {text}' for label, text in zip(labels, shown, strict=True)) + "}"
