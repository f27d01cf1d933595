"""The pictures of the report card.

Ranges and bars are written here, as SVG whose places are shares of its width and whose colours are the style sheet's: their
marks keep their size on every screen, and follow it into the dark. They hold no text; the page says it beside them. Curves
and reliability are the charts of `demo` and `study`.

    worse  ----|--------(==o==)----------|----  better
             floor     estimate       ceiling
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pluralign.estimates import Estimate
from pluralign.evals.findings import Finding, Reference
from pluralign.raters.findings import Calibration
from pluralign.report import chart_data, charts, demo_charts
from pluralign.report.card_data import Curve, CurveStep
from pluralign.report.chart_data import span
from pluralign.report.charts import Frame
from pluralign.report.figures import SQUARE
from pluralign.report.formatting import number, percent
from pluralign.report.marks import line_mark, picture_root, tick_mark, width_share
from pluralign.report.palette import ink_on, option_colours
from pluralign.report.svg import inline_svg, specification

__all__ = [
    "Scale",
    "bars_picture",
    "curve_picture",
    "difference_picture",
    "heat_colours",
    "measure_picture",
    "range_picture",
    "reliability_picture",
    "scale_of",
]

_HALF = Frame(366, 58, 12, False)
_TICKS = 12
"""More numbers of examples than this are thinned out in the chart: the first few, then 12, 16, 24, 32, ... and the last."""
_HEAT = option_colours(41, ordered=True)[20:]
"""From grey, no distance, to vermilion, the largest of the table."""
_BAR = 7
"""Pixels of one bar's height."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Values to places, in percent of the width."""

    low: float
    high: float
    flipped: bool = False
    """Lower is better: small values lie to the right."""

    def place(self, value: float) -> float:
        """0 (left) to 100 (right) for values on the scale."""
        share = (value - self.low) / (self.high - self.low)
        return 100 * (1 - share if self.flipped else share)


def scale_of(findings: Iterable[Finding], *, better: str) -> Scale:
    """On which all of these and their references have a place, with room for the marks at both ends."""
    estimates = [one for f in findings for one in (f.estimate, *(r.estimate for r in (f.floor, f.ceiling) if r is not None))]
    low, high = span(_ends(estimates))
    return Scale(low, high, flipped=better == "lower")


def range_picture(
    estimate: Estimate, *, floor: Reference | None, ceiling: Reference | None, scale: Scale, label: str, run: int = 0
) -> str:
    """An estimate with its interval between the marks of floor and ceiling; what has no value or is infinite is left out.

    `label` is read aloud; `run` is the number of the colour.
    """
    root = picture_root(34, label, "range")
    line_mark(root, 0, 100, 17, "track")
    for reference, name in ((floor, "floor"), (ceiling, "ceiling")):
        if reference is not None and _ends([reference.estimate]):
            _band(root, scale, reference.estimate, name)
            tick_mark(root, scale.place(reference.estimate.value), (3, 31), name)
    _dot(root, scale, estimate, run)
    return ET.tostring(root, encoding="unicode")


def difference_picture(estimate: Estimate, *, scale: Scale, label: str, clear: bool) -> str:
    """A difference with its interval about the line of no difference; hollow where it is not told from it."""
    root = picture_root(24, label, "range")
    line_mark(root, 0, 100, 12, "track")
    tick_mark(root, scale.place(0.0), (1, 23), "zero")
    _dot(root, scale, estimate, 0 if clear else None, y=12)
    return ET.tostring(root, encoding="unicode")


def bars_picture(shares: Sequence[float | None], classes: Sequence[str]) -> str:
    """One option's bars, one below the other, of the whole width for a share of 1. The numbers stand beside it in words."""
    root = ET.Element(
        "svg", {"class": "shares", "aria-hidden": "true", "width": "100%", "height": str((_BAR + 2) * len(shares))}
    )
    for i, (share, name) in enumerate(zip(shares, classes, strict=True)):
        if share is not None and share > 0:
            y = str((_BAR + 2) * i)
            ET.SubElement(
                root, "rect", {"class": name, "x": "0", "y": y, "width": width_share(100 * share), "height": str(_BAR)}
            )
    return ET.tostring(root, encoding="unicode")


def measure_picture(estimate: Estimate | None, top: float) -> str:
    """A bar from 0 to the estimate, `top` filling the width, with its interval; empty without a value."""
    if estimate is None or not _ends([estimate]) or top <= 0:
        return ""
    root = ET.Element("svg", {"class": "measure", "aria-hidden": "true", "width": "100%", "height": "12"})
    scale = Scale(0.0, top)
    ET.SubElement(root, "rect", {"class": "track", "x": "0", "y": "2", "width": "100%", "height": "8"})
    ET.SubElement(
        root, "rect", {"class": "run-0", "x": "0", "y": "2", "width": width_share(scale.place(estimate.value)), "height": "8"}
    )
    line_mark(root, scale.place(estimate.low), scale.place(estimate.high), 6, "whisker")
    return ET.tostring(root, encoding="unicode")


def heat_colours(values: Sequence[float]) -> list[tuple[str, str]]:
    """(colour, ink) of each value: grey at 0, vermilion at the largest; ("", "") where it is not a finite number."""
    known = [value for value in values if math.isfinite(value)]
    top = max(known, default=0.0)

    def one(value: float) -> tuple[str, str]:
        if not math.isfinite(value):
            return "", ""
        share = min(1.0, max(0.0, value / top)) if top > 0 else 0.0
        colour = _HEAT[round(share * (len(_HEAT) - 1))]
        return colour, ink_on(colour)

    return [one(value) for value in values]


def curve_picture(name: str, curve: Curve, other: Curve | None = None) -> str:
    """Loss by examples seen: the model, beside it the marginal or another model's curve, and the limit; "" without a value.

    `name` makes the ids of the picture unique.
    """
    others = None if other is None else {step.k: step.loss for step in other.steps}
    shown = _thinned(curve.steps)
    drawn = [_trio(step, step.marginal if others is None else others.get(step.k)) for step in shown]
    if not demo_charts.has_curves(drawn):
        return ""
    chart = demo_charts.curves_chart(drawn, _HALF, x_title="examples seen", y_title=f"loss ({curve.scale})")
    second = "marginal" if other is None else "other model"
    label = f"Loss by examples seen (model, {second}, best possible): " + "; ".join(f"{one.label}: {one.text}" for one in drawn)
    return inline_svg(specification(chart), name=name, label=label, css_class="half")


def reliability_picture(name: str, calibration: Calibration) -> str:
    """Observed shares by predicted probability; "" where no bin has a value."""
    points = chart_data.reliability_points(calibration)
    if not points:
        return ""
    spoken = "; ".join(f"predicted {percent(p.predicted)}, observed {percent(p.observed)}" for p in points)
    chart = specification(charts.reliability_chart(points, SQUARE))
    return inline_svg(chart, name=name, label=f"Calibration: {spoken}", css_class="square")


def _thinned(steps: Sequence[CurveStep]) -> Sequence[CurveStep]:
    if len(steps) <= _TICKS:
        return steps
    kept = {0, 1, 2, 4, steps[0].k, steps[-1].k} | {2**n for n in range(3, 20)} | {3 * 2**n for n in range(2, 19)}
    return [step for step in steps if step.k in kept]


def _trio(step: CurveStep, second: Estimate | None) -> demo_charts.Trio:
    own, other = _drawn(step.loss), _drawn(second)
    limit = _drawn(step.limit)[0]
    shown = " / ".join("–" if value is None else number(value, 2) for value in (own[0], other[0], limit))
    return demo_charts.Trio(
        label=str(step.k),
        tuned=own[0],
        tuned_low=own[1],
        tuned_high=own[2],
        base=other[0],
        base_low=other[1],
        base_high=other[2],
        limit=limit,
        text=shown,
    )


def _drawn(estimate: Estimate | None) -> tuple[float, float, float] | tuple[None, None, None]:
    if estimate is None or not _ends([estimate]):
        return None, None, None
    return estimate.value, estimate.low, estimate.high


def _ends(estimates: Iterable[Estimate]) -> list[float]:
    """Values and ends of those that can be drawn."""
    drawable = [e for e in estimates if all(math.isfinite(v) for v in (e.value, e.low, e.high))]
    return [v for e in drawable for v in (e.value, e.low, e.high)]


def _band(root: ET.Element, scale: Scale, estimate: Estimate, name: str) -> None:
    left, right = sorted((scale.place(estimate.low), scale.place(estimate.high)))
    size = {"y": "7", "height": "20", "width": width_share(right - left)}
    ET.SubElement(root, "rect", {"class": f"{name}-band", "x": width_share(left), **size})


def _dot(root: ET.Element, scale: Scale, estimate: Estimate, run: int | None, y: int = 17) -> None:
    if not _ends([estimate]):
        return
    name = "hollow" if run is None else f"run-{run % 4}"
    line_mark(root, scale.place(estimate.low), scale.place(estimate.high), y, f"interval {name}")
    ET.SubElement(
        root, "circle", {"class": f"mark {name}", "cx": width_share(scale.place(estimate.value)), "cy": str(y), "r": "6"}
    )
