"""A shuffled pack of 52 cards, dealt to the end."""

from __future__ import annotations

import numpy as np

from pluralign.episodes import Example
from pluralign.suite.parametric import parametric_source
from pluralign.suite.task import Strand

__all__ = ["SOURCE"]

RANKS = ("2", "3", "4", "5", "6", "7", "8", "9", "10", "J", "Q", "K", "A")
SUITS = ("♠", "♥", "♦", "♣")
PACK = tuple(rank + suit for suit in SUITS for rank in RANKS)


def _strand(unit: str, rng: np.random.Generator) -> Strand:
    return Strand(
        unit=unit,
        examples=[Example(card) for card in PACK],
        descriptions=("Cards dealt from a shuffled pack of 52. A card that has been dealt does not come again.",),
        options=PACK,
        n_episodes=100,
    )


SOURCE = parametric_source(
    "cards", _strand, n_strands=1, what="Shuffled packs of 52 playing cards.", about="a card: rank and suit", unit="pack"
)
