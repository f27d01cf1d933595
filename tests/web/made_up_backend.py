"""A backend without a model: what it says follows from the text alone, and it may be slow, fail or refuse."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from pluralign.errors import ModelError
from pluralign.web.shapes import Bearing, Predicted, PredictionAnswer, PredictionRequest, Surfaced

NOTICE = "These are suggestions of a made-up model, not a verdict."


@dataclass(frozen=True)
class Person:
    rater_id: str
    profile: str


@dataclass
class MadeUpBackend:
    seconds: float = 0.0
    """A call takes so long, however many questions it has."""
    model_name: str = "made-up"
    notice: str = NOTICE
    examples: Sequence[str] = ("Biking to work instead of driving.", "Lying to a friend.")
    raters: Sequence[Person] = (Person("r1", "Honesty."), Person("<b>r2</b>", ""))
    calls: list[int] = field(default_factory=list)

    def surface(self, situations: Sequence[str]) -> list[Surfaced]:
        time.sleep(self.seconds)
        self.calls.append(len(situations))
        return [self._one(situation) for situation in situations]

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
