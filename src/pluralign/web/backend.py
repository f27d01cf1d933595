"""What the explorer asks models through; `backends` has the ones for real models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pluralign.web.shapes import Comparison, PredictionAnswer, PredictionRequest, SituationPair, Surfaced

__all__ = ["Backend", "Rater"]


@dataclass(frozen=True, slots=True)
class Rater:
    """Somebody whose profile can be edited."""

    rater_id: str
    profile: str


class Backend(Protocol):
    """Asked from one thread."""

    model_name: str
    notice: str
    """What the answers are, and whose data the model learned from."""
    examples: Sequence[str]
    """Situations to try."""
    raters: Sequence[Rater]

    def surface(self, situations: Sequence[str]) -> Sequence[Surfaced]:
        """Of each situation its values, rights and duties."""
        ...

    def compare(self, pairs: Sequence[SituationPair]) -> Sequence[Comparison]:
        """Of each pair of versions what changes, that first."""
        ...

    def predict(self, asked: Sequence[PredictionRequest]) -> Sequence[PredictionAnswer]:
        """Of each request what the model predicts with the rater's own profile, and with the one of the request."""
        ...
