"""The seam to what tells whether a response presents a viewpoint, and the sentences that a response is made of.

    entailment     some sentence of the response entails the viewpoint          `entailment.EntailmentScorer`
    judges         language models say that the response presents it            `judges.JudgeScorer`

Both say it twice: for each viewpoint (of which recall is made) and for each sentence (of which precision is).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Presence", "PresenceScorer", "Written", "sentences_of"]

FloatArray = npt.NDArray[np.float64]

_MARKER = re.compile(r"^\s*(?:[-*•–]|#+|\(?[0-9]{1,3}[.)])\s+")
_BREAK = re.compile(r"(?<=[.!?…。！？])[\"'”’)\]]*\s+|(?<=[。！？])")


@dataclass(frozen=True, slots=True)
class Written:
    """A response, and the viewpoints that it is searched for."""

    question: str
    response: str
    viewpoints: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Presence:
    """What a scorer says of a response; NaN where it could not say."""

    viewpoints: FloatArray
    """[viewpoints] probability that the response presents it, 0..1; 0 for an empty response."""
    sentences: FloatArray
    """[sentences] probability that the sentence presents some viewpoint, 0..1; none for an empty response."""
    by_judge: FloatArray | None = None
    """[judges, viewpoints] where several have a say."""
    detail: str = ""
    """Why something is NaN, for people."""


class PresenceScorer(Protocol):
    """Anything that can tell."""

    @property
    def name(self) -> str:
        """For files and tables: what the probabilities come from."""
        ...

    @property
    def threshold(self) -> float:
        """A viewpoint counts as covered where its probability is above this."""
        ...

    def presence(self, cases: Sequence[Written]) -> list[Presence]:
        """One for each response, in their order."""
        ...


def sentences_of(text: str) -> list[str]:
    """The sentences of a text, in order, without list markers; a line break ends one, as does . ! ? before white space.

    An abbreviation with a full stop ends a sentence too early: "e.g. here" is two. Pieces without a letter or digit are none.

    >>> sentences_of('- Some say yes. "Others do not!" They mind.\\n2) A third view')
    ['Some say yes.', '"Others do not!', 'They mind.', 'A third view']
    """
    lines = [_MARKER.sub("", line) for line in text.splitlines()]
    pieces = [piece.strip() for line in lines for piece in _BREAK.split(line)]
    return [piece for piece in pieces if any(character.isalnum() for character in piece)]
