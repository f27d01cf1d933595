"""What a demo found: the content of `results.json`, and all that the page and the terminal show."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from pluralign.estimates import Estimate
from pluralign.raters.findings import Calibration

__all__ = [
    "CoinStep",
    "DemoFindings",
    "LawFindings",
    "LossesRow",
    "ModelCheck",
    "PairFindings",
    "PersonFindings",
    "PersonSituation",
    "ShownBearing",
    "ShownDistribution",
    "ValuesRow",
    "WrittenProfiles",
]


@dataclass(frozen=True, kw_only=True)
class LossesRow:
    """What is lost with one thing known: nats per output, averaged over what may truly happen."""

    known: str
    """"examples:8", "attributes", "profile", "both", "written" or "everything"."""
    tuned: Estimate | None
    base: Estimate | None
    limit: Estimate | None
    """What the best possible prediction loses; None where it is not known."""
    tuned_excess: Estimate | None
    """KL(best possible || model): what the model loses beyond the limit, to one who knows no more than it does."""
    base_excess: Estimate | None
    base_minus_tuned: Estimate | None
    tuned_share: Estimate | None = None
    """Of what could be gained over the best prediction that knows nothing, the share that is gained: 1 = all."""
    base_share: Estimate | None = None

    @property
    def k(self) -> int | None:
        """How many outputs were seen, where that is what is known."""
        kind, _, k = self.known.partition(":")
        return int(k) if kind == "examples" else None


@dataclass(frozen=True, kw_only=True)
class CoinStep:
    """One coin after k tosses: probabilities of heads."""

    k: int
    n_heads: int
    tuned: float
    base: float
    limit: float


@dataclass(frozen=True, kw_only=True)
class LawFindings:
    """Coins, or categorical laws."""

    name: str
    rows: list[LossesRow]
    """By the number of outputs seen."""


@dataclass(frozen=True, kw_only=True)
class WrittenProfiles:
    """The profiles that one model wrote from ratings."""

    readable: Estimate
    """Share that is written as profiles are."""
    named_true: Estimate
    """Of the values that were named, the share that the true profile names on the same side."""
    true_named: Estimate
    """Of the values that the true profile names, the share that was named on the same side."""


@dataclass(frozen=True, kw_only=True)
class ShownDistribution:
    """A prediction of one rating, knowing one thing: shares of the options that sum to 1."""

    known: str
    tuned: list[float]
    base: list[float]
    limit: list[float] | None


@dataclass(frozen=True, kw_only=True)
class PersonSituation:
    text: str
    answer: str
    predictions: list[ShownDistribution]


@dataclass(frozen=True, kw_only=True)
class PersonFindings:
    """One rater from near by."""

    number: int
    attributes: dict[str, str]
    values: dict[str, float]
    """True strength of each value."""
    shift: float
    log_spread: float
    true_profile: str
    tuned_profile: str
    """As the model wrote it from the first ratings."""
    base_profile: str
    n_given: int
    situations: list[PersonSituation]


@dataclass(frozen=True, kw_only=True)
class ShownBearing:
    """A value, right or duty of both sentences of the pair; lists are [without, with the modifier]."""

    text: str
    generated: list[float]
    generated_base: list[float]
    generated_true: list[float]
    relevance: list[float]
    relevance_base: list[float]
    relevance_true: list[float]
    valence: list[list[float]]
    """Supports, Opposes, Either."""
    valence_base: list[list[float]]
    valence_true: list[list[float]]


@dataclass(frozen=True, kw_only=True)
class PairFindings:
    texts: list[str]
    modifier: str
    bearings: list[ShownBearing]
    """All, in the world's order."""
    n_draws: int
    tuned_valid: list[int]
    """Of the draws for each sentence, those that are one of the world's values, rights and duties."""
    tuned_distinct: list[int]
    """Different ones among the valid draws."""
    base_valid: list[int]
    base_distinct: list[int]


@dataclass(frozen=True, kw_only=True)
class ValuesRow:
    """How near the answers to one kind of question about situations are to the truth."""

    kind: str
    tuned_excess: Estimate
    base_excess: Estimate
    tuned_off: Estimate
    """Total variation distance from the true probabilities, 0..1."""
    base_off: Estimate


@dataclass(frozen=True, kw_only=True)
class ModelCheck:
    """Calibration of one model's ratings, and its probability on the options by kind of question."""

    calibration: Calibration
    covered: dict[str, Estimate]


@dataclass(frozen=True, kw_only=True)
class DemoFindings:
    """Everything; numbers with intervals are `Estimate`s."""

    seed: int
    pluralign_version: str
    model: str
    base_model: str
    n_people: int
    n_coins: int
    n_laws: int
    n_situations: int
    n_targets: int
    """Ratings asked for of each person."""
    laws: list[LawFindings]
    coin_p_heads: float
    coin_tosses: list[str]
    coin_steps: list[CoinStep]
    people: list[LossesRow]
    written: dict[str, WrittenProfiles]
    person: PersonFindings
    pair: PairFindings
    values: list[ValuesRow]
    checks: dict[str, ModelCheck]

    def row(self, known: str) -> LossesRow:
        """Of the people's rows, the one with this known."""
        return next(row for row in self.people if row.known == known)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: NaN becomes null."""
        return {field.name: _to_plain(getattr(self, field.name)) for field in dataclasses.fields(self)}


def _to_plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _to_plain(one) for key, one in value.items()}
    return [_to_plain(one) for one in value] if isinstance(value, list) else value
