"""Tosses of coins. p is uniform, in steps of 1e-8, which is how it is printed; each coin has its own."""

from __future__ import annotations

import numpy as np

from pluralign.episodes import Example
from pluralign.suite.numbers import mapping_text, probability
from pluralign.suite.parametric import parametric_source
from pluralign.suite.task import Around, Strand

__all__ = ["SOURCE"]

SIDES = ("Heads", "Tails")


def _strand(unit: str, rng: np.random.Generator) -> Strand:
    heads = probability(rng)

    def law(rng: np.random.Generator, n: int) -> list[Example]:
        return [Example(SIDES[side]) for side in (rng.random(n) >= heads).astype(int).tolist()]

    return Strand(
        unit=unit,
        examples=law,
        descriptions=_descriptions(heads),
        options=SIDES,
        n_outputs=Around(128),
        attributes={"p_heads": heads},
    )


def _descriptions(heads: float) -> tuple[str, ...]:
    chances = mapping_text(list(SIDES), [heads, _rest(heads, 8)])
    percents = mapping_text(list(SIDES), [round(heads * 100, 6), _rest(heads, 6, whole=100)], percent=True)
    likelier = "both are equally likely" if heads == 0.5 else f"{SIDES[heads < 0.5]} is the likelier of the two"
    return (
        "Every output is one of two: Heads or Tails.",
        f"A coin is tossed again and again. Its chances: {chances}",
        f"Bernoulli trials with these probabilities: {chances}",
        f"A coin is tossed again and again. Its chances in percent: {percents}",
        f"Bernoulli trials with these probabilities in percent: {percents}",
        f"Heads or Tails: {likelier}.",
        "Tosses of one coin with two sides, fair or not.",
    )


def _rest(heads: float, decimals: int, *, whole: float = 1) -> float:
    return round(whole - heads * whole, decimals)


SOURCE = parametric_source(
    "coinflip",
    _strand,
    n_strands=1000,
    what="Tosses of coins, most of them biased.",
    about="Heads or Tails",
    unit="coin",
    chance=0.5,
)
