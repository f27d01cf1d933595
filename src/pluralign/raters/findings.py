"""What a study found: the content of `results.json`, and the only thing that the report page reads.

Every number is an `Estimate` unless it is a plain count. The tree of dataclasses turns into JSON and back without loss
(`Findings.to_dict`, `Findings.from_dict`), so a page can be drawn again from a run folder without the data.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass
from typing import Any, Literal

from pluralign.errors import RunError
from pluralign.estimates import Estimate

__all__ = [
    "Agreement",
    "AttributeSummary",
    "Calibration",
    "CalibrationBin",
    "Cluster",
    "Clustering",
    "DataSummary",
    "DistinctItem",
    "Findings",
    "HardRater",
    "Information",
    "InformationRow",
    "ItemView",
    "LanguageFindings",
    "LanguageRow",
    "LevelShare",
    "MatchingTest",
    "PolarisingItem",
    "RaterView",
    "SimulatedAgreement",
]

RowKind = Literal["nothing", "attribute", "attributes", "examples", "clusters"]


@dataclass(frozen=True, kw_only=True)
class AttributeSummary:
    name: str
    levels: list[str]
    n_raters: list[int]
    """Raters at each level, in the order of `levels`."""
    n_missing: int
    used: bool
    why_not_used: str | None = None
    """E.g. "every rater has another value", "looks computed from the ratings"."""


@dataclass(frozen=True, kw_only=True)
class DataSummary:
    name: str
    n_ratings: int
    n_items: int
    n_raters: int
    scale_kind: str
    options: list[str]
    option_shares: list[Estimate]
    """Share of all ratings on each option, in the order of `options`."""
    ratings_per_rater: list[int]
    """Minimum, median, maximum."""
    ratings_per_item: list[int]
    n_ratings_modelled: int
    """Of a large table only some are: those of `n_raters_modelled` raters, drawn by chance."""
    n_raters_modelled: int
    attributes: list[AttributeSummary]
    notes: list[str]
    """What the reader and the study saw and did with the data; shown in full."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    alpha_other_items: Estimate
    """Krippendorff's alpha, interval from resampling items: what other items might have given."""
    alpha_other_raters: Estimate
    """The same alpha, interval from resampling raters: what other people might have given."""
    pair_agreement: Estimate
    """Probability that two raters of the same item give the same answer."""
    chance_agreement: Estimate
    """The same for two ratings of different items: the floor."""
    item_entropy_nats: Estimate
    """Mean entropy of an item's answers; 0 = all agree, ln(options) = evenly split (bias-corrected; see metrics)."""


@dataclass(frozen=True, kw_only=True)
class InformationRow:
    representation: str
    """Machine name: "nothing", "attribute:age", "attributes", "examples:8", "clusters:4"."""
    label: str
    """For people: "age", "all attributes", "8 past ratings", "4 clusters"."""
    kind: RowKind
    loss_nats: Estimate
    """Held-out mean negative log-likelihood per rating: H(Y | representation, item)."""
    information_nats: Estimate
    """H(Y | item) - H(Y | representation, item); for "nothing" 0 by definition and undefined as an estimate.

    The interval is widened by what another sample to learn from would have changed (`fit_widening`); those of `loss_nats` and
    `kept` are of the scored raters alone.
    """
    kept: Estimate
    """`information_nats` as a share of what the largest number of examples gives; undefined where that is not above 0."""
    joint_low: float | None = None
    """Ends of the wider interval of `information_nats`: with 95 % the truths of *all* rows of the study lie in theirs."""
    joint_high: float | None = None
    p_value: float | None = None
    """Permutation test over raters (attributes and clusters only)."""
    p_holm: float | None = None
    """The same, corrected for the number of attributes (or of cluster counts) tested."""
    truth_nats: float | None = None
    """Simulated people only: the true usable information of this model family."""

    @property
    def holds_truth(self) -> bool | None:
        """Whether the 95 % interval has the truth in it; None where either is not known."""
        if self.truth_nats is None or not self.information_nats.is_defined:
            return None
        return not self.information_nats.excludes(self.truth_nats)

    @property
    def holds_truth_jointly(self) -> bool | None:
        """The same of the joint interval."""
        if self.truth_nats is None or self.joint_low is None or self.joint_high is None:
            return None
        return self.joint_low <= self.truth_nats <= self.joint_high


@dataclass(frozen=True, kw_only=True)
class Information:
    entropy_nats: Estimate
    """H(Y): held-out loss of the scale's marginal, which knows neither item nor rater."""
    rows: list[InformationRow]
    n_seeds: int
    n_evaluated: int
    """Held-out ratings scored, over all seeds."""
    permutations: int


@dataclass(frozen=True, kw_only=True)
class LevelShare:
    attribute: str
    level: str
    share: float
    """Of this cluster's raters (those with a known value)."""
    share_all: float
    """Of all raters."""
    p_holm: float
    """Chi-square of the attribute against the clusters, corrected for the number of attributes."""


@dataclass(frozen=True, kw_only=True)
class DistinctItem:
    item_id: str
    text: str
    option_shares: list[float]
    """Predicted distribution of this cluster over the options."""
    option_shares_others: list[float]
    distance: float
    """Jensen-Shannon divergence (nats) between the two."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    label: str
    n_raters: int
    share: float
    most_distinct: list[DistinctItem]
    over_represented: list[LevelShare]


@dataclass(frozen=True, kw_only=True)
class Clustering:
    k: int
    information_nats: Estimate
    """Held-out gain of knowing the cluster, found from a rater's given ratings only."""
    p_value: float
    gains_beyond_chance: bool
    """False: the page warns that what these groups tell cannot be told from chance."""
    clusters: list[Cluster]
    truth_adjusted_rand: float | None = None
    """Simulated people only: agreement with the planted archetypes; 1 = same groups, 0 = chance."""


@dataclass(frozen=True, kw_only=True)
class CalibrationBin:
    predicted: float
    observed: Estimate
    n_ratings: int


@dataclass(frozen=True, kw_only=True)
class Calibration:
    representation: str
    label: str
    ece: Estimate
    """Expected calibration error over equal-mass bins of all option probabilities."""
    bins: list[CalibrationBin]


@dataclass(frozen=True, kw_only=True)
class HardRater:
    rater_id: str
    n_ratings: int
    """Held-out ratings scored."""
    loss_nats: Estimate
    """With what `representation_label` says known about the rater."""
    loss_nothing_nats: float
    representation_label: str
    """E.g. "32 past ratings", or "nothing" where no past ratings were given."""


@dataclass(frozen=True, kw_only=True)
class PolarisingItem:
    item_id: str
    text: str
    n_ratings: int
    polarisation: Estimate
    """0 = all agree, 1 = half at each end."""
    option_shares: list[float]


@dataclass(frozen=True, kw_only=True)
class LanguageRow:
    """What the language model makes of one representation, on the ratings that it was asked about."""

    representation: str
    label: str
    loss_nats: Estimate
    """Recalibrated on other raters; where the model gave no answer, that of the options' shares."""
    information_nats: Estimate
    """Beyond what the same model says knowing nothing of the rater; undefined for that itself."""
    kept: Estimate
    """As a share of what the most past ratings tell the same model."""
    n_unanswered: int
    """Questions that got no answer: refused, malformed, no probability on any option, too long."""
    n_left_out: int
    """Past ratings that found no room in the model's window, over all questions."""


@dataclass(frozen=True, kw_only=True)
class MatchingTest:
    """Two raters' predictions for an item: which belongs to whom? Of the two that differ most, where answers differ."""

    accuracy: Estimate
    """Over items; chance is .5."""
    n_items: int
    n_not_testable: int
    """Items without two raters who answered differently."""


@dataclass(frozen=True, kw_only=True)
class SimulatedAgreement:
    simulated: Estimate
    """Probability that two draws from the predictions for two raters of an item are the same; mean over items."""
    observed: Estimate
    """Share of the same raters' pairs that answered alike."""
    correlation: Estimate
    """Of the two over items (Pearson)."""


@dataclass(frozen=True, kw_only=True)
class RaterView:
    rater_id: str
    text: str
    """What the model was told."""
    n_ratings: int
    loss_nats: Estimate
    loss_nothing_nats: float


@dataclass(frozen=True, kw_only=True)
class ItemView:
    item_id: str
    text: str
    n_ratings: int
    gain_nats: Estimate


@dataclass(frozen=True, kw_only=True)
class LanguageFindings:
    """What knowing the rater tells a language model; `known` is what the views and tests below the rows are about."""

    model: str
    n_raters: int
    n_ratings: int
    n_without_text: int
    """Raters who were left out, having no profile."""
    rows: list[LanguageRow]
    statistical: list[LanguageRow]
    """The study's statistical models on the same ratings."""
    known: str
    known_label: str
    epistemic_share: Estimate
    """Of the loss of knowing nothing, what knowing this takes away: what differs between people, as far as it can be told. The
    rest is aleatoric."""
    matching: MatchingTest
    agreement: SimulatedAgreement
    calibrations: list[Calibration]
    easiest: list[RaterView]
    """Raters whom the model predicts better than knowing nothing by most."""
    hardest: list[RaterView]
    """Raters whom it predicts worse, or better by least."""
    items: list[ItemView]
    """Where knowing the rater tells most."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    data: DataSummary
    agreement: Agreement
    information: Information
    clusterings: list[Clustering]
    calibrations: list[Calibration]
    hardest_raters: list[HardRater]
    polarising_items: list[PolarisingItem]
    seed: int
    pluralign_version: str
    language: LanguageFindings | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: NaN becomes null."""
        return typing.cast("dict[str, Any]", _to_plain(self))

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Findings:
        """Raises RunError when the dict is not one that `to_dict` made."""
        try:
            return typing.cast("Findings", _from_plain(cls, fields))
        except (KeyError, TypeError, AttributeError) as error:
            raise RunError(f"these are not the results of a study by this version of pluralign: {error!r}") from error


def _to_plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return [_to_plain(v) for v in value] if isinstance(value, list) else value


def _from_plain(kind: Any, value: Any) -> Any:
    if typing.get_origin(kind) is list:
        return [_from_plain(typing.get_args(kind)[0], v) for v in value]
    if isinstance(kind, types.UnionType):  # "X | None"
        return None if value is None else _from_plain(typing.get_args(kind)[0], value)
    if kind is Estimate:
        return Estimate.from_dict(value)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return typing.cast("Any", kind)(
            **{
                f.name: _from_plain(hints[f.name], value[f.name])
                for f in dataclasses.fields(kind)
                if f.name in value or f.default is dataclasses.MISSING
            }
        )
    return value
