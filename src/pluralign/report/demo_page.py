"""The page of the demo: one HTML file that needs nothing else, a pure function of what was found."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pluralign.demo.findings import DemoFindings, LossesRow, PersonFindings, ShownBearing
from pluralign.demo.parts import shown_of
from pluralign.report import chart_data, charts, demo_charts, demo_words
from pluralign.report.chart_data import BarRow
from pluralign.report.charts import NARROW, WIDE, Axis, Frame
from pluralign.report.figures import SQUARE
from pluralign.report.formatting import number, percent
from pluralign.report.page import page_environment
from pluralign.report.palette import ACCENT, GREY, MAIN, option_colours
from pluralign.report.svg import inline_svg, specification
from pluralign.suite.embedded_episodes import RATING_OPTIONS
from pluralign.suite.embedded_values import VALENCE

__all__ = ["DemoPictures", "demo_page"]

_HALF = Frame(366, 58, 12, False)
_BAR = Frame(186, 0, 0, False)
_ROOM = 0.17
"""A part of such a bar that is narrower has no room for its percentage."""
_VALENCE_COLOURS = (MAIN, ACCENT, "#e6e6e6")
_N_BEARINGS = 6
_N_GENERATED = 8
_SHORT_LABELS = {"both": "attributes + profile", "written": "model's own profile", "everything": "everything"}
_SHOWN_ROWS = ("examples:0", "attributes", "profile", "both", "examples:16", "examples:32", "written", "everything")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPictures:
    """Markup by what it shows."""

    laws: list[str]
    people: str
    known: str
    values: str
    ratings: list[list[list[str]]]
    """[situations][what is known] the bars of tuned model, best possible (empty where unknown) and base model."""
    valence: list[list[list[str]]]
    """[values, rights, duties][without, with the modifier] the bars of tuned model and truth."""
    reliability: dict[str, str]


def demo_page(findings: DemoFindings) -> str:
    """The page as HTML."""
    bearings = shown_of(findings.pair, _N_BEARINGS)
    return (
        page_environment()
        .get_template("demo.html.j2")
        .render(
            f=_clean(findings),
            pictures=_pictures(findings, bearings),
            say=demo_words,
            rows=[findings.row(known) for known in _SHOWN_ROWS],
            label_known=lambda row: demo_words.known_label(row.known),
            label_k=lambda row: str(row.k),
            bearings=bearings,
            generated=[_most_generated(findings, side) for side in (0, 1)],
            rating_legend=list(zip(option_colours(len(RATING_OPTIONS), ordered=True), RATING_OPTIONS, strict=True)),
            valence_legend=list(zip(_VALENCE_COLOURS, VALENCE, strict=True)),
        )
    )


def _pictures(findings: DemoFindings, bearings: Sequence[ShownBearing]) -> DemoPictures:
    curve = [row for row in findings.people if row.k is not None]
    return DemoPictures(
        laws=[_law(law.name, law.rows) for law in findings.laws],
        people=_both("people", curve, [str(row.k) for row in curve]),
        known=_known([findings.row(known) for known in _SHOWN_ROWS]),
        values=_values(findings.person),
        ratings=[
            [
                [_bar(f"rating-{s}-{k}-{which}", getattr(shown, which)) for which in ("tuned", "limit", "base")]
                for k, shown in enumerate(one.predictions)
            ]
            for s, one in enumerate(findings.person.situations)
        ],
        valence=[
            [
                [_valence(f"valence-{b}-{side}-{which}", getattr(one, which)[side]) for which in ("valence", "valence_true")]
                for side in (0, 1)
            ]
            for b, one in enumerate(bearings)
        ],
        reliability={which: _reliability(which, findings) for which in findings.checks},
    )


def _law(name: str, rows: Sequence[LossesRow]) -> str:
    drawn = demo_charts.trios(rows, [str(row.k) for row in rows])
    if not demo_charts.has_curves(drawn):
        return ""
    chart = demo_charts.curves_chart(drawn, _HALF, x_title="outputs seen", y_title="loss of the next (nats)")
    return inline_svg(specification(chart), name=name, label=_spoken("Loss by outputs seen", drawn), css_class="half")


def _both(name: str, rows: Sequence[LossesRow], labels: Sequence[str]) -> str:
    drawn = demo_charts.trios(rows, labels)
    if not demo_charts.has_curves(drawn):
        return ""

    def one(frame: Frame, kind: str) -> str:
        chart = demo_charts.curves_chart(
            drawn, frame, x_title="past ratings shown", y_title="loss of a rating (nats)", height=300 if frame.roomy else 250
        )
        label = _spoken("Loss by past ratings shown", drawn)
        return inline_svg(specification(chart), name=f"{name}-{kind[0]}", label=label, css_class=kind)

    return one(WIDE, "wide") + one(NARROW, "narrow")


def _known(rows: Sequence[LossesRow]) -> str:
    drawn = demo_charts.trios(rows, [_SHORT_LABELS.get(row.known, demo_words.known_label(row.known)) for row in rows])
    if not demo_charts.has_curves(drawn):
        return ""
    axis = Axis(title="loss of a rating (nats; further left = better)", short_title="loss (nats)")
    label = _spoken("Loss by what is known", drawn)
    pictures = []
    for kind, frame in (("wide", Frame(740, 250, 150, True)), ("narrow", Frame(350, 150, 8, False))):
        shown = drawn if frame.roomy else [dataclasses.replace(one, text="") for one in drawn]
        chart = specification(demo_charts.rows_chart(shown, axis, frame))
        pictures.append(inline_svg(chart, name=f"known-{kind[0]}", label=label, css_class=kind))
    return "".join(pictures)


def _values(person: PersonFindings) -> str:
    ordered = sorted(person.values.items(), key=lambda pair: -pair[1])
    rows = [
        BarRow(
            label=name,
            value=value,
            text=number(value, 2),
            short_text=number(value, 2),
            colour=GREY if abs(value) < 0.3 else MAIN if value > 0 else ACCENT,
        )
        for name, value in ordered
    ]
    axis = Axis(title="how much each value matters to this person (below 0: turned away from)", short_title="true strength")
    label = "True values: " + ", ".join(f"{row.label} {row.text}" for row in rows)
    return "".join(
        inline_svg(specification(charts.bar_chart(rows, axis, frame)), name=f"values-{kind[0]}", label=label, css_class=kind)
        for kind, frame in (("wide", Frame(740, 130, 60, True)), ("narrow", NARROW))
    )


def _bar(name: str, shares: Sequence[float] | None) -> str:
    """A rating's distribution as one bar; nothing where it is not known."""
    if shares is None:
        return ""
    said = ", ".join(f"{option} {percent(share)}" for option, share in zip(RATING_OPTIONS, shares, strict=True))
    return _stacked(name, shares, option_colours(len(shares), ordered=True), said)


def _valence(name: str, shares: Sequence[float]) -> str:
    said = ", ".join(f"{option} {percent(share)}" for option, share in zip(VALENCE, shares, strict=True))
    return _stacked(name, shares, _VALENCE_COLOURS, said)


def _stacked(name: str, shares: Sequence[float], colours: Sequence[str], label: str) -> str:
    rows = ("answers",)
    parts = [
        dataclasses.replace(part, text=part.text if part.end - part.start >= _ROOM else "")
        for part in chart_data.segments(rows[0], shares, colours)
    ]
    return inline_svg(_one_bar(), name=name, label=label, css_class="bar", datasets=charts.stacked_parts(parts, rows))


@functools.cache
def _one_bar() -> dict[str, Any]:
    """All bars but for their parts: building a chart takes longer than drawing it."""
    return specification(charts.stacked_chart(("answers",), _BAR))


def _reliability(which: str, findings: DemoFindings) -> str:
    points = chart_data.reliability_points(findings.checks[which].calibration)
    if not points:
        return ""
    spoken = "; ".join(f"predicted {percent(p.predicted)}, observed {percent(p.observed)}" for p in points)
    chart = specification(charts.reliability_chart(points, SQUARE))
    return inline_svg(chart, name=f"reliability-{which}", label=f"Calibration: {spoken}", css_class="square")


def _most_generated(findings: DemoFindings, side: int) -> list[ShownBearing]:
    return sorted(findings.pair.bearings, key=lambda one: -one.generated[side])[:_N_GENERATED]


def _spoken(title: str, drawn: Sequence[demo_charts.Trio]) -> str:
    return f"{title} (tuned model, base model, best possible): " + "; ".join(f"{one.label}: {one.text}" for one in drawn)


def _clean(findings: DemoFindings) -> DemoFindings:
    """With the texts that a model wrote made fit to print."""
    from pluralign.report.formatting import clean

    person = findings.person
    shown = dataclasses.replace(person, tuned_profile=clean(person.tuned_profile), base_profile=clean(person.base_profile))
    return dataclasses.replace(findings, person=shown)
