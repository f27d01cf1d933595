"""All pictures of a study, each as markup for wide and narrow screens; a picture that has nothing to show is None."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pluralign.raters.findings import Calibration, Clustering, DistinctItem, Findings, PolarisingItem
from pluralign.report import chart_data as rows_of
from pluralign.report import charts
from pluralign.report.chart_data import BarRow, DotRow
from pluralign.report.charts import NARROW, WIDE, Axis, Frame
from pluralign.report.formatting import percent, shorten
from pluralign.report.palette import GREY, MAIN, option_colours
from pluralign.report.svg import inline_svg, specification

if TYPE_CHECKING:
    import altair as alt

__all__ = ["ClusteringPictures", "Pictures", "draw_pictures"]

MANY_OPTIONS = 24
"""Scales with more options are drawn upright."""
SQUARE = Frame(268, 52, 16, False)
PAIR_OF_BARS = Frame(330, 70, 0, False)
ONE_BAR = Frame(330, 0, 0, False)
DESCRIBED = 12
"""A chart with more rows is not read out row by row: its table is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusteringPictures:
    sizes: str | None
    distinct: list[list[str]]
    """[clusters][items] the cluster's predicted answers above the others'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    option_shares: str | None
    pairs: str | None
    alpha: str | None
    information: str | None
    curve: str | None
    clusterings: list[ClusteringPictures]
    reliability: list[str | None]
    raters: str | None
    polarising: list[str]
    language: str | None = None
    language_reliability: list[str | None] = field(default_factory=list)


def draw_pictures(findings: Findings) -> Pictures:
    """Everything on the page that is not text; some 20 to 50 ms a picture."""
    colours = option_colours(len(findings.data.options), ordered=findings.data.scale_kind != "nominal")
    share = Axis(
        title="probability that two ratings are the same",
        short_title="probability of the same",
        include=(0.0, 1.0),
        lines=(0.0, 1.0),
        format=".1~%",
    )
    alpha = Axis(
        title="Krippendorff's alpha (0 = coincidence, 1 = all agree)", short_title="alpha", include=(0.0, 1.0), lines=(0.0, 1.0)
    )
    nats = Axis(title="usable information (nats per rating; right of 0 = predictions improve)", short_title="nats per rating")
    loss = Axis(title="average loss on held-out ratings (nats)", short_title="average loss (nats)")
    return Pictures(
        option_shares=_option_shares(findings),
        pairs=_dots("pairs", rows_of.pair_rows(findings.agreement), share, "Agreement of pairs of ratings"),
        alpha=_dots("alpha", rows_of.alpha_rows(findings.agreement), alpha, "Krippendorff's alpha with two intervals"),
        information=_dots("information", rows_of.information_rows(findings.information), nats, "Usable information"),
        curve=_curve(findings),
        clusterings=[_clustering(clustering, colours, findings.data.options) for clustering in findings.clusterings],
        reliability=[_reliability(i, calibration) for i, calibration in enumerate(findings.calibrations)],
        raters=_dots("raters", rows_of.hard_rater_rows(findings.hardest_raters), loss, "Loss of the hardest raters"),
        polarising=[_polarising(i, item, colours, findings.data.options) for i, item in enumerate(findings.polarising_items)],
        language=_language(findings, nats),
        language_reliability=[
            _reliability(i, one, "language-")
            for i, one in enumerate(findings.language.calibrations if findings.language else [])
        ],
    )


def _both(name: str, draw: Callable[[Frame], alt.LayerChart], label: str) -> str:
    wide = inline_svg(specification(draw(WIDE)), name=f"{name}-w", label=label, css_class="wide")
    return wide + inline_svg(specification(draw(NARROW)), name=f"{name}-n", label=label, css_class="narrow")


def _dots(name: str, rows: list[DotRow], axis: Axis, label: str) -> str | None:
    if not rows_of.has_values(rows):
        return None
    spoken = [f"{row.label} {row.text or row.why}" for row in rows if not row.heading]
    return _both(name, lambda frame: charts.dot_chart(rows, axis, frame), _describe(label, spoken))


def _option_shares(findings: Findings) -> str | None:
    rows = rows_of.option_share_rows(findings.data)
    if not rows_of.has_values(rows):
        return None
    axis = Axis(title="share of all ratings", format=".1~%", lines=())
    draw = charts.bar_chart if len(rows) <= MANY_OPTIONS else charts.column_chart
    return _both("options", lambda frame: draw(rows, axis, frame), _describe("Share of each option", _spoken(rows)))


def _curve(findings: Findings) -> str | None:
    points = rows_of.curve_points(findings.information)
    if len(points) < 2:
        return None
    together = [row.information_nats for row in findings.information.rows if row.kind == "attributes"]
    level = next((estimate.value for estimate in together if estimate.is_defined), None)
    label = "Usable information against the number of past ratings known; the numbers are in the table"
    return _both("curve", lambda frame: charts.curve_chart(points, level, frame), label)


def _clustering(clustering: Clustering, colours: list[str], options: list[str]) -> ClusteringPictures:
    name = f"k{clustering.k}"
    sizes = rows_of.cluster_size_rows(clustering, colour=MAIN if clustering.gains_beyond_chance else GREY)
    axis = Axis(title="share of raters", format=".1~%", lines=())
    label = _describe("Sizes of the groups", _spoken(sizes))
    return ClusteringPictures(
        sizes=_both(name, lambda frame: charts.bar_chart(sizes, axis, frame), label) if sizes else None,
        distinct=[
            [_distinct(f"{name}-{c}-{i}", item, colours, options) for i, item in enumerate(cluster.most_distinct)]
            for c, cluster in enumerate(clustering.clusters)
        ],
    )


def _distinct(name: str, item: DistinctItem, colours: list[str], options: list[str]) -> str:
    rows = ("this group", "all others")
    parts = [
        *rows_of.segments(rows[0], item.option_shares, colours),
        *rows_of.segments(rows[1], item.option_shares_others, colours),
    ]
    label = f"This group: {_said(item.option_shares, options)}. All others: {_said(item.option_shares_others, options)}."
    return _bars(name, _template(rows, PAIR_OF_BARS, len(options)), charts.stacked_parts(parts, rows), label)


def _polarising(index: int, item: PolarisingItem, colours: list[str], options: list[str]) -> str:
    rows = ("answers",)
    parts = rows_of.segments(rows[0], item.option_shares, colours)
    label = f"Answers: {_said(item.option_shares, options)}."
    return _bars(f"polarising-{index}", _template(rows, ONE_BAR, len(options)), charts.stacked_parts(parts, rows), label)


def _bars(name: str, template: dict[str, Any], datasets: dict[str, Any], label: str) -> str:
    return inline_svg(template, name=name, label=label, css_class="bars", datasets=datasets)


@functools.cache
def _template(rows: tuple[str, ...], frame: Frame, n_options: int) -> dict[str, Any]:
    gap = 1.0 if n_options <= MANY_OPTIONS else 0.0  # white lines between very thin parts would hide them
    return specification(charts.stacked_chart(rows, frame, gap))


def _language(findings: Findings, axis: Axis) -> str | None:
    if findings.language is None:
        return None
    return _dots("language", rows_of.language_rows(findings.language), axis, "What a language model gains from what it is told")


def _reliability(index: int, calibration: Calibration, prefix: str = "") -> str | None:
    points = rows_of.reliability_points(calibration)
    if not points:
        return None
    spoken = [f"predicted {percent(p.predicted)}, observed {percent(p.observed)}" for p in points]
    label = _describe(f"Calibration with {shorten(calibration.label, 60)} known", spoken)
    chart = specification(charts.reliability_chart(points, SQUARE))
    return inline_svg(chart, name=f"{prefix}reliability-{index}", label=label, css_class="square")


def _spoken(rows: list[BarRow]) -> list[str]:
    return [f"{row.label} {row.text}" for row in rows]


def _said(option_shares: list[float], options: list[str]) -> str:
    """The options in words, the six largest where there are many."""
    pairs = sorted(zip(options, option_shares, strict=True), key=lambda pair: -pair[1])[:6] if len(options) > 6 else None
    return ", ".join(f"{shorten(o, 40)} {percent(s)}" for o, s in pairs or zip(options, option_shares, strict=True))


def _describe(title: str, spoken: list[str]) -> str:
    if len(spoken) > DESCRIBED:
        return f"{title}; the numbers are in the table"
    return f"{title}: {'; '.join(spoken)}"
