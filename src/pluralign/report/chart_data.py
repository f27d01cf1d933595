"""From findings to the few numbers and labels that a chart draws; nothing here knows about altair."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pluralign.estimates import Estimate
from pluralign.raters.findings import (
    Agreement,
    Calibration,
    Clustering,
    DataSummary,
    HardRater,
    Information,
    InformationRow,
    LanguageFindings,
)
from pluralign.report.formatting import NO_VALUE, count, estimate_text, number, percent, shorten
from pluralign.report.palette import ink_on, option_colours
from pluralign.report.sentences import n_examples

__all__ = [
    "BarRow",
    "CurvePoint",
    "DotRow",
    "ReliabilityPoint",
    "Segment",
    "alpha_rows",
    "cluster_size_rows",
    "curve_points",
    "dot_row",
    "hard_rater_rows",
    "has_values",
    "information_rows",
    "language_rows",
    "option_share_rows",
    "pair_rows",
    "reliability_points",
    "segments",
    "span",
]

LABEL_LENGTH = 60
"""Labels longer than this are shortened before the chart cuts them at its own width."""
ROOM_FOR_PERCENT = 0.13
"""A segment narrower than this has no room for its percentage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DotRow:
    """A label and a dot with its interval; without a value, the reason; as a heading, the label alone."""

    label: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    joint_low: float | None = None
    """Ends of the interval that holds the truth of all rows at once."""
    joint_high: float | None = None
    text: str = ""
    """Value and interval in words, where there is room."""
    short_text: str = ""
    why: str = ""
    filled: bool = True
    """A hollow dot: the interval includes 0."""
    mark: float | None = None
    """A second value to compare with: the truth, or the loss of knowing nothing."""
    heading: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BarRow:
    """A label and a bar from 0."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    text: str = ""
    short_text: str = ""
    colour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    n: int
    value: float
    low: float
    high: float
    truth: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityPoint:
    predicted: float
    observed: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One option's part of a stacked bar."""

    row: str
    start: float
    end: float
    colour: str
    ink: str
    text: str


def dot_row(
    label: str, estimate: Estimate, *, show: Callable[[float], str] = number, mark: float | None = None, against: float = 0.0
) -> DotRow:
    """Filled where the interval lies wholly on one side of `against`."""
    label = shorten(label, LABEL_LENGTH)
    if not _drawable(estimate):
        return DotRow(label=label, why=_why(estimate), mark=mark)
    return DotRow(
        label=label,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        text=estimate_text(estimate, show),
        short_text=show(estimate.value),
        filled=estimate.excludes(against),
        mark=mark,
    )


def information_rows(information: Information) -> list[DotRow]:
    """Attributes, past ratings and clusters, each under a heading; "nothing" is the zero line."""
    groups = {
        "What attributes tell": ("attribute", "attributes"),
        "What past ratings tell": ("examples",),
        "What groups tell": ("clusters",),
    }
    rows: list[DotRow] = []
    for heading, kinds in groups.items():
        members = [row for row in information.rows if row.kind in kinds]
        if members:
            rows.append(DotRow(label=heading, heading=True))
            rows.extend(_information_row(row) for row in members)
    return rows


def _information_row(row: InformationRow) -> DotRow:
    drawn = dot_row(row.label, row.information_nats, mark=row.truth_nats)
    return drawn if drawn.value is None else replace(drawn, joint_low=row.joint_low, joint_high=row.joint_high)


def language_rows(found: LanguageFindings) -> list[DotRow]:
    """What each thing tells the language model, and the statistical models on the same ratings."""
    rows: list[DotRow] = []
    for heading, members in ((found.model, found.rows), ("statistical models", found.statistical)):
        told = [row for row in members if row.representation != "nothing"]
        if told:
            rows.append(DotRow(label=shorten(heading, LABEL_LENGTH), heading=True))
            rows.extend(dot_row(row.label, row.information_nats) for row in told)
    return rows


def pair_rows(agreement: Agreement) -> list[DotRow]:
    """Agreement of two raters on the same item, and by coincidence."""
    return [
        dot_row("on the same item", agreement.pair_agreement, show=percent, against=agreement.chance_agreement.value),
        dot_row("on different items", agreement.chance_agreement, show=percent),
    ]


def alpha_rows(agreement: Agreement) -> list[DotRow]:
    """The same alpha with its two intervals."""

    def two(value: float) -> str:
        return number(value, 2)

    return [
        dot_row("with other items", agreement.alpha_other_items, show=two),
        dot_row("with other raters", agreement.alpha_other_raters, show=two),
    ]


def hard_rater_rows(raters: Sequence[HardRater]) -> list[DotRow]:
    """Loss per rater, marked with the loss of knowing nothing."""

    def two(value: float) -> str:
        return number(value, 2)

    return [
        dot_row(
            rater.rater_id, rater.loss_nats, show=two, mark=_finite(rater.loss_nothing_nats), against=rater.loss_nothing_nats
        )
        for rater in raters
    ]


def option_share_rows(data: DataSummary) -> list[BarRow]:
    """The share of all ratings on each option."""
    colours = option_colours(len(data.options), ordered=data.scale_kind != "nominal")
    rows = []
    for option, estimate, colour in zip(data.options, data.option_shares, colours, strict=True):
        drawn = _drawable(estimate)
        rows.append(
            BarRow(
                label=shorten(option, LABEL_LENGTH),
                value=estimate.value if drawn else None,
                low=estimate.low if drawn else None,
                high=estimate.high if drawn else None,
                text=estimate_text(estimate, lambda share: percent(share, 1)) if drawn else _why(estimate),
                short_text=percent(estimate.value) if drawn else _why(estimate),
                colour=colour,
            )
        )
    return rows


def cluster_size_rows(clustering: Clustering, *, colour: str) -> list[BarRow]:
    """How many raters each group has."""
    return [
        BarRow(
            label=f"Group {shorten(cluster.label, 20)}",
            value=cluster.share,
            text=f"{percent(cluster.share)}, {count(cluster.n_raters, 'rater')}",
            short_text=percent(cluster.share),
            colour=colour,
        )
        for cluster in clustering.clusters
        if math.isfinite(cluster.share)
    ]


def curve_points(information: Information) -> list[CurvePoint]:
    """The numbers of past ratings whose information has a value, in rising order."""

    def point(row: InformationRow) -> CurvePoint:
        told = row.information_nats
        return CurvePoint(n=n_examples(row), value=told.value, low=told.low, high=told.high, truth=row.truth_nats)

    drawn = [point(row) for row in information.rows if row.kind == "examples" and _drawable(row.information_nats)]
    return sorted((p for p in drawn if p.n >= 1), key=lambda p: p.n)


def reliability_points(calibration: Calibration) -> list[ReliabilityPoint]:
    """The bins whose observed share has a value."""
    return [
        ReliabilityPoint(predicted=b.predicted, observed=b.observed.value, low=b.observed.low, high=b.observed.high)
        for b in calibration.bins
        if _drawable(b.observed) and math.isfinite(b.predicted)
    ]


def segments(row: str, option_shares: Sequence[float], colours: Sequence[str]) -> list[Segment]:
    """One stacked bar. Shares are laid end to end as they are; options with share 0 take no room."""
    parts, start = [], 0.0
    for share, colour in zip(option_shares, colours, strict=True):
        if share > 0:
            text = percent(share) if share >= ROOM_FOR_PERCENT else ""
            parts.append(Segment(row=row, start=start, end=start + share, colour=colour, ink=ink_on(colour), text=text))
            start += share
    return parts


def has_values(rows: Sequence[DotRow] | Sequence[BarRow]) -> bool:
    """Whether there is anything to draw."""
    return any(row.value is not None for row in rows)


def span(values: Sequence[float | None], *, include: Sequence[float] = ()) -> tuple[float, float]:
    """The range of an axis: all that are known, with 4 % of air at an end that is not in `include`.

    >>> span([1.0, None, 5.0], include=[0.0])
    (0.0, 5.2)
    """
    known = [v for v in (*values, *include) if v is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    if low == high:
        high = low + 1.0
    air = 0.04 * (high - low)
    return (low if low in include else low - air, high if high in include else high + air)


def _drawable(estimate: Estimate) -> bool:
    return all(math.isfinite(v) for v in (estimate.value, estimate.low, estimate.high))


def _why(estimate: Estimate) -> str:
    return f"{NO_VALUE}: {shorten(estimate.why_undefined or 'it is infinite', 80)}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
