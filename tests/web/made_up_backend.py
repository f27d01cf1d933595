"""A backend without a model: what it says follows from the text alone, and it may be slow, fail or refuse."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from pluralign.errors import ModelError
from pluralign.web.backend import Rater
from pluralign.web.shapes import (
    Bearing,
    Change,
    Comparison,
    Predicted,
    PredictionAnswer,
    PredictionRequest,
    SituationPair,
    Surfaced,
)

NOTICE = "These are suggestions of a made-up model, not a verdict."


@dataclass
class MadeUpBackend:
    seconds: float = 0.0
    """A call takes so long, however many questions it has."""
    model_name: str = "made-up"
    notice: str = NOTICE
    examples: Sequence[str] = ("Biking to work instead of driving.", "Lying to a friend.")
    raters: Sequence[Rater] = (Rater("r1", "Honesty."), Rater("<b>r2</b>", ""))
    calls: list[int] = field(default_factory=list)

    def surface(self, situations: Sequence[str]) -> list[Surfaced]:
        time.sleep(self.seconds)
        self.calls.append(len(situations))
        return [self._one(situation) for situation in situations]

    def compare(self, pairs: Sequence[SituationPair]) -> list[Comparison]:
        self.calls.append(len(pairs))
        return [self._pair(pair) for pair in pairs]

    def _pair(self, pair: SituationPair) -> Comparison:
        first, second = self._one(pair.situation), self._one(pair.other)
        a, b = first.considerations[0], second.considerations[0]
        flips = Change(vrd="Value", text="Care", change="flips" if a.label != b.label else "stays", before=a, after=b)
        rest = [Change(vrd=one.vrd, text=one.text, change="leaves", before=one, after=None) for one in first.considerations[1:]]
        return Comparison(situation=first, other=second, changes=[flips, *rest])

    def predict(self, asked: Sequence[PredictionRequest]) -> list[PredictionAnswer]:
        time.sleep(self.seconds)
        self.calls.append(len(asked))
        own = {one.rater_id: one.profile for one in self.raters}
        return [
            PredictionAnswer(
                rater=one.rater,
                own_profile=own.get(one.rater or "", ""),
                profile=one.profile,
                items=[
                    Predicted(
                        item="A <i>thing</i>",
                        options=["no", "maybe", "yes"],
                        before=[0.2, 0.3, 0.5],
                        after=[0.7, 0.2, 0.1] if "kind" in one.profile else None,
                    )
                ],
                model=self.model_name,
                notice=self.notice,
            )
            for one in asked
        ]

    def _one(self, situation: str) -> Surfaced:
        if "fail" in situation:
            raise ModelError("the model fell over <oops>")
        flipped = "not" in situation.split()
        found = [
            Bearing(
                vrd="Value",
                text=f"Care {situation[:20]}" if "<" in situation else "Care",
                relevant=0.9,
                supports=0.1 if flipped else 0.8,
                opposes=0.8 if flipped else 0.1,
                either=0.1,
                label="opposes" if flipped else "supports",
                explanation="Because of <script>alert(1)</script>",
            ),
            *([Bearing(vrd="Right", text="Right to rest", relevant=0.6, supports=0.3, opposes=0.2, either=0.5, label="either")]
              if "rest" in situation else []),
        ]  # fmt: skip
        if "nothing" in situation:
            return Surfaced(
                situation=situation, outcome="nothing was relevant", considerations=[], supports=None, opposes=None,
                either=None, entropy_nats=None, model=self.model_name, notice=self.notice,
            )  # fmt: skip
        return Surfaced(
            situation=situation, outcome="ok", considerations=found, supports=0.6, opposes=0.2, either=0.2, entropy_nats=0.95,
            model=self.model_name, notice=self.notice,
        )  # fmt: skip
