"""What clusters of raters over value profiles came to: settings, findings, and lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pluralign.errors import UsageError
from pluralign.estimates import Estimate
from pluralign.raters.profile_clusters_chosen import ChosenBy
from pluralign.scoring.totals import Prices, Totals, totals_lines
from pluralign.terminal import printable

__all__ = ["ClusterPlan", "ClusterSettings", "ProfileCluster", "ProfileClustering", "ProfileClusterings", "clustering_lines"]

WELL_EXPLAINED = 0.15
"""Of what was not asked; up to here pruning was seen to choose within 1 % of the whole table's loss, nearly always."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    k: tuple[int, ...] = (2, 4, 8)
    """Numbers of clusters, rising."""
    n_candidates: int = 100
    by: ChosenBy = "swaps"
    saving: float | None = None
    """Prune the candidates, to ask so many times less than the whole table (`choose_pruned`); None asks all of it."""
    n_recalibration: int = 1000
    """Held-out ratings of training raters that are asked, at most, to recalibrate the predictions for new raters."""
    seed: int = 0
    """Of everything: it has to be that under which the profiles were written, so that what is held out was not seen."""

    def __post_init__(self) -> None:
        if not self.k or list(self.k) != sorted(set(self.k)) or self.k[0] < 1:
            raise UsageError(f"k is {list(self.k)}; numbers of clusters are at least 1, rising, and at least one is needed.")
        if self.n_candidates < self.k[-1]:
            raise UsageError(f"{self.k[-1]} clusters need as many candidates or more, not {self.n_candidates}.")
        if self.by == "sweeps" and self.saving is not None:
            raise UsageError("pruning chooses by swaps; leave out either by='sweeps' or saving.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPlan:
    """What would be asked."""

    n_candidates: int
    n_without: int
    n_alike: int
    n_training: int
    n_new: int
    n_held_out: int
    n_table: int
    """Questions of the whole table of losses."""
    n_more: int
    """Questions to assign new raters and to judge the clusters, at most."""
    saving: float | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    def lines(self, out: str) -> list[str]:
        """For people."""
        pruned = "" if self.saving is None else f", pruned to about {self.n_table / self.saving:,.0f} for each K"
        return [
            f"{self.n_candidates:,} candidates; {self.n_without:,} training raters have no profile, {self.n_alike:,} one that "
            "is another's word for word",
            f"{self.n_training:,} training raters, {self.n_new:,} new ones with {self.n_held_out:,} held-out ratings",
            f"would ask {self.n_table:,} questions to choose clusters{pruned}; {self.n_more:,} more at most to judge them",
            f"would write to {out}: clusters.parquet, records.parquet, results.json",
            "Nothing was asked and nothing was written (--dry-run).",
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileCluster:
    """One group of raters."""

    profile: str
    """Its name."""
    rater: str
    """Whose profile it is."""
    n_training: int
    """Raters in it, of those it was found among."""
    n_new: int
    """And of the others, assigned by their given ratings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileClustering:
    """K groups, the largest first."""

    k: int
    clusters: tuple[ProfileCluster, ...]
    training_nats: float
    """Loss per given rating of the training raters, who chose the clusters: not held out."""
    loss_nats: Estimate
    """Loss per held-out rating of new raters, told the profile of their cluster."""
    gain_nats: Estimate
    """By how much that is less than told nothing: what the cluster tells."""
    more_nats: Estimate | None
    """By how much it is less than with the next smaller K; None for the smallest."""
    n_asked: int
    """Different (candidate, item) questions to choose the clusters and to assign the training raters."""
    n_full: int
    """The same for the whole table."""
    unexplained: float | None
    """Pruned: see `Round`, of the last; None if not pruned, or with too few items to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileClusterings:
    model: str
    n_candidates: int
    n_without: int
    n_alike: int
    n_training: int
    """Raters with given ratings among whom clusters were found."""
    n_new: int
    """Raters on whose held-out ratings they are judged."""
    n_held_out: int
    n_calibrating: int
    """Held-out ratings of training raters that recalibrated."""
    nothing_nats: Estimate
    """Loss per held-out rating of new raters of whom nothing is told."""
    clusterings: tuple[ProfileClustering, ...]
    n_questions: int
    """Different questions in all."""
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """What came of them."""
    totals: Totals = field(default_factory=Totals)
    prices: Prices | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{name: getattr(self, name) for name in ("model", "n_candidates", "n_without", "n_alike", "n_training")},
            **{name: getattr(self, name) for name in ("n_new", "n_held_out", "n_calibrating", "n_questions")},
            "outcomes": dict(self.outcomes),
            "nothing_nats": self.nothing_nats.to_dict(),
            "clusterings": [_clustering_dict(one) for one in self.clusterings],
            "totals": self.totals.to_dict(self.prices),
        }


def _clustering_dict(found: ProfileClustering) -> dict[str, Any]:
    estimates = {name: getattr(found, name) for name in ("loss_nats", "gain_nats", "more_nats")}
    return {
        **{name: getattr(found, name) for name in ("k", "training_nats", "n_asked", "n_full", "unexplained")},
        **{name: None if one is None else one.to_dict() for name, one in estimates.items()},
        "clusters": [asdict(cluster) for cluster in found.clusters],
    }


def clustering_lines(found: ProfileClusterings) -> list[str]:
    """For people."""
    lines = [
        f"{found.n_candidates:,} candidates; clusters of {found.n_training:,} raters, judged on {found.n_held_out:,} held-out "
        f"ratings of {found.n_new:,} others",
        f"nats per rating, told nothing: {found.nothing_nats}",
    ]
    for one in found.clusterings:
        more = "" if one.more_nats is None else f"; more than fewer clusters: {one.more_nats}"
        lines += ["", f"{one.k} clusters tell {one.gain_nats} nats per rating{more}"]
        lines += [f"  {c.n_training + c.n_new:6,} raters: {printable(c.profile)}" for c in one.clusters]
        lines += [f"  {_pruned(one)}"] if one.n_asked < one.n_full else []
    unanswered = sum(found.outcomes.values()) - found.outcomes.get("ok", 0)
    lines += [
        "",
        f"{found.n_questions:,} different questions, {unanswered:,} without an answer",
        *totals_lines(found.totals, found.prices),
    ]
    return lines


def _pruned(one: ProfileClustering) -> str:
    asked = f"pruned: {one.n_asked:,} of {one.n_full:,} questions"
    if one.unexplained is not None and one.unexplained <= WELL_EXPLAINED:
        return f"{asked}; they leave {one.unexplained:.2f} of the others unexplained"
    left = (
        "they are too few to tell of the others" if one.unexplained is None else f"they leave {one.unexplained:.2f} unexplained"
    )
    return f"{asked}; {left}, so that the whole table may choose groups that fit some per cent better"
