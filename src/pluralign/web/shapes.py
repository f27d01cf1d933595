"""What the service takes and gives, as its OpenAPI description says it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

__all__ = [
    "MOST_PROFILE",
    "MOST_SITUATION",
    "Bearing",
    "Change",
    "Comparison",
    "Health",
    "Predicted",
    "PredictionAnswer",
    "PredictionRequest",
    "Situation",
    "SituationPair",
    "SituationRequest",
    "SituationsRequest",
    "Surfaced",
    "clean_text",
]

MOST_SITUATION = 2_000
"""Characters."""
MOST_PROFILE = 4_000
MOST_SITUATIONS = 32
"""Of one batch."""


def clean_text(value: object) -> object:
    """White space as single spaces; raises ValueError for NUL and halves of surrogate pairs, which no tokenizer takes."""
    if not isinstance(value, str):
        return value
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("the text holds a NUL or half of a surrogate pair")
    return " ".join(value.split())


def _described(most: int, pattern: str) -> WithJsonSchema:
    """A text as the description says it, in which cleaning can leave nothing that is refused."""
    return WithJsonSchema({"type": "string", "maxLength": most, "pattern": pattern})


Situation = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MOST_SITUATION),
    BeforeValidator(clean_text),
    _described(MOST_SITUATION, r"^[^\u0000]*[^\s\u0000][^\u0000]*$"),
]
Profile = Annotated[
    str, StringConstraints(max_length=MOST_PROFILE), BeforeValidator(clean_text), _described(MOST_PROFILE, r"^[^\u0000]*$")
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SituationRequest(_Strict):
    situation: Situation


class SituationsRequest(_Strict):
    situations: list[Situation] = Field(min_length=1, max_length=MOST_SITUATIONS)


class SituationPair(_Strict):
    situation: Situation
    other: Situation


class Bearing(BaseModel):
    """A value, right or duty that a model sees in a situation."""

    vrd: Literal["Value", "Right", "Duty"]
    text: str
    relevant: float = Field(description="P(it bears on the situation), 0..1")
    supports: float
    opposes: float
    either: float
    label: Literal["supports", "opposes", "either"]
    explanation: str | None = None


class Surfaced(BaseModel):
    """What a model sees in one situation."""

    situation: str
    outcome: str = Field(description='"ok", or why there is nothing')
    considerations: list[Bearing]
    supports: float | None = Field(description="The decision over all considerations; null where there are none")
    opposes: float | None
    either: float | None
    entropy_nats: float | None = Field(description="Of the decision: how divided people may be")
    model: str
    notice: str


class Change(BaseModel):
    vrd: Literal["Value", "Right", "Duty"]
    text: str
    change: Literal["enters", "leaves", "flips", "stays", "unknown"]
    before: Bearing | None = Field(description="In the first version; null where the model gave no answer")
    after: Bearing | None


class Comparison(BaseModel):
    situation: Surfaced
    other: Surfaced
    changes: list[Change]


class PredictionRequest(_Strict):
    rater: str | None = Field(default=None, max_length=200, description="One of the raters that the service was started with")
    profile: Profile = Field(description="The profile to predict with; empty for none")


class Predicted(BaseModel):
    item: str
    options: list[str]
    before: list[float] | None = Field(description="With the rater's own profile; null where the model gave no answer")
    after: list[float] | None = Field(description="With the profile of the request")


class PredictionAnswer(BaseModel):
    rater: str | None
    own_profile: str
    profile: str
    items: list[Predicted]
    model: str
    notice: str


class Health(BaseModel):
    status: Literal["ok"]
    model: str
    version: str
    n_waiting: int
