"""Normal distributions of very different places and widths, printed to some number of decimals.

A distribution has one number format, one of six, in which its mean and standard deviation are stated and which they are
rounded to; a format of fixed decimals gets more of them where two significant digits need them. With the seven wordings and
three endings that makes the published 126 descriptions, each as likely as there.
"""

from __future__ import annotations

import math

import numpy as np

from pluralign.episodes import Example
from pluralign.suite.numbers import significant
from pluralign.suite.parametric import parametric_source
from pluralign.suite.task import Around, Strand

__all__ = ["SOURCE"]

FORMATS = ("5f", "4f", "3f", "2f", "4e", "2e")


def _strand(unit: str, rng: np.random.Generator) -> Strand:
    form = FORMATS[int(rng.integers(len(FORMATS)))]
    mean_text, sd_text = (_stated(value, form) for value in _drawn(rng))
    mean, sd = float(mean_text), float(sd_text)
    decimals = int(rng.poisson(3)) + 1

    def law(rng: np.random.Generator, n: int) -> list[Example]:
        # product and sum apart: in one step some processors round once, not twice
        values = mean + sd * rng.standard_normal(n)
        return [Example(f"{value:z.{decimals}f}") for value in values.tolist()]

    return Strand(
        unit=unit,
        examples=law,
        descriptions=_descriptions(mean_text, sd_text, decimals),
        n_outputs=Around(128),
        attributes={"mean": mean, "sd": sd, "decimals": decimals},
    )


def _drawn(rng: np.random.Generator) -> tuple[float, float]:
    """Mean and standard deviation, which may be 0."""
    v = rng.random()
    if 0.4 <= v < 0.6:
        mean = float(rng.poisson(10)) * (1 if rng.random() < 0.5 else -1)
        sd = float(rng.poisson(20))
        if sd and rng.random() < 0.5:
            sd = 1 / sd
    else:
        mean, sd = rng.uniform(0, 100), rng.uniform(1, 5)
        if 0.2 <= v < 0.4:
            mean *= math.exp(4 * rng.standard_normal())
            sd *= math.exp(3 * rng.standard_normal())
    scale = math.exp(rng.uniform(-10, 10))
    return mean * scale, sd * scale


def _stated(value: float, form: str) -> str:
    value = significant(value, 10)
    decimals = int(form[0])
    if form.endswith("f") and value:
        decimals = max(decimals, 1 - math.floor(math.log10(abs(value))))
    return f"{value:z.{decimals}{form[1]}}"


def _descriptions(mean: str, sd: str, decimals: int) -> tuple[str, ...]:
    starts = (
        f"Draws from a normal distribution with mean {mean} and standard deviation {sd}.",
        f"Each number is Normal(mean={mean}, sd={sd}).",
        f"Numbers that scatter around {mean} in a bell curve whose standard deviation is {sd}.",
        "Draws from a normal distribution.",
        "Floating-point numbers.",
        "Decimal numbers.",
        "Numbers.",
    )
    places = "1 digit" if decimals == 1 else f"{decimals} digits"
    ends = ("", f" Rounded to {places} after the point.", f" Precision: {decimals}.")
    return tuple(start + end for start in starts for end in ends)


SOURCE = parametric_source(
    "normal",
    _strand,
    n_strands=1000,
    what="Normal distributions whose means and widths span many orders of magnitude.",
    about="a decimal number",
    description_share=0.4,
    problems=(
        "four of seven descriptions say nothing about mean and width",
        "where the standard deviation is far below the last printed decimal, all outputs of an episode are equal",
    ),
)
