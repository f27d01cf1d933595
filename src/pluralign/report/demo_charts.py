"""The demo's own charts: two models and the best possible beside one another, as curves and as rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pluralign.demo.findings import LossesRow
from pluralign.estimates import Estimate
from pluralign.report.chart_data import span
from pluralign.report.charts import ROW, Axis, Frame, finished_chart, value_axis
from pluralign.report.formatting import number
from pluralign.report.palette import ACCENT, GREY, INK, MAIN, MUTED

if TYPE_CHECKING:
    import altair as alt

__all__ = ["Trio", "curves_chart", "has_curves", "rows_chart", "trios"]

_APART = 5
"""Pixels by which the two models' dots of one row are drawn apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trio:
    """A label with what both models and the best possible prediction lost; None where there is no value."""

    label: str
    tuned: float | None
    tuned_low: float | None
    tuned_high: float | None
    base: float | None
    base_low: float | None
    base_high: float | None
    limit: float | None
    text: str

    @property
    def values(self) -> list[float | None]:
        """All that an axis has to reach."""
        return [self.tuned, self.tuned_low, self.tuned_high, self.base, self.base_low, self.base_high, self.limit]


def trios(rows: Sequence[LossesRow], labels: Sequence[str]) -> list[Trio]:
    """What the charts draw of each row."""
    return [_trio(row, label) for row, label in zip(rows, labels, strict=True)]


def has_curves(drawn: Sequence[Trio]) -> bool:
    """Whether there is anything to draw."""
    return any(value is not None for one in drawn for value in one.values)


def curves_chart(drawn: Sequence[Trio], frame: Frame, *, x_title: str, y_title: str, height: int = 260) -> alt.LayerChart:
    """Losses from left to right, one place for each trio: lines with intervals, and the best possible as ticks."""
    import altair as alt

    frame = Frame(frame.total, 58, 12, frame.roomy)
    base = alt.Chart(alt.InlineData(values=[{**asdict(one), "i": i} for i, one in enumerate(drawn)]))
    domain = span([value for one in drawn for value in one.values])
    labels = "{" + ",".join(f"'{i}':'{one.label}'" for i, one in enumerate(drawn)) + "}[datum.value]"
    x = alt.X(
        "i:Q",
        scale=alt.Scale(domain=[-0.3, len(drawn) - 0.7], nice=False),
        axis=alt.Axis(title=x_title, values=list(range(len(drawn))), labelExpr=labels, grid=False),
    )

    def y(field: str) -> alt.Y:
        axis = alt.Axis(title=y_title, format=".2~f", tickCount=6)
        return alt.Y(f"{field}:Q", scale=alt.Scale(domain=domain, nice=False), axis=axis)

    layers: list[Any] = []
    for which, colour, shape in (("base", GREY, "square"), ("tuned", MAIN, "circle")):
        known = base.transform_filter(f"isValid(datum.{which})")
        layers += [
            known.mark_line(color=colour, strokeWidth=2).encode(x=x, y=y(which)),
            known.mark_rule(color=colour, strokeWidth=2).encode(x=x, y=y(f"{which}_low"), y2=f"{which}_high:Q"),
            known.mark_point(size=55, filled=True, color=colour, opacity=1, shape=shape).encode(x=x, y=y(which)),
        ]
    limit = base.transform_filter("isValid(datum.limit)")
    tick = limit.mark_tick(color=ACCENT, thickness=3, size=18, opacity=1, orient="horizontal")
    return finished_chart([*layers, tick.encode(x=x, y=y("limit"))], frame, height=height)


def rows_chart(drawn: Sequence[Trio], axis: Axis, frame: Frame) -> alt.LayerChart:
    """One row each: label, both models' dots with intervals one above the other, the best possible as a tick, the numbers."""
    import altair as alt

    domain = span([value for one in drawn for value in one.values])
    y = alt.Y("i:O", axis=None, scale=alt.Scale(domain=list(range(len(drawn)))))
    data = alt.Chart(alt.InlineData(values=[{**asdict(one), "i": i} for i, one in enumerate(drawn)]))

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", scale=alt.Scale(domain=domain, nice=False), axis=value_axis(axis, frame))

    layers: list[Any] = []
    for which, colour, shape, offset in (("base", GREY, "square", _APART), ("tuned", MAIN, "circle", -_APART)):
        known = data.transform_filter(f"isValid(datum.{which})")
        rule = known.mark_rule(color=colour, strokeWidth=3, yOffset=offset, y2Offset=offset)
        point = known.mark_point(size=55, filled=True, color=colour, opacity=1, shape=shape, yOffset=offset)
        layers += [rule.encode(y=y, x=x(f"{which}_low"), x2=f"{which}_high:Q"), point.encode(y=y, x=x(which))]
    tick = data.transform_filter("isValid(datum.limit)").mark_tick(color=ACCENT, thickness=3, size=24, opacity=1)
    layers += [
        tick.encode(y=y, x=x("limit")),
        data.mark_text(align="left", color=MUTED).encode(y=y, x=alt.value(frame.plot + 10), text="text:N"),
        data.mark_text(align="left", color=INK, limit=frame.left - 14).encode(y=y, x=alt.value(-frame.left), text="label:N"),
    ]
    return finished_chart(layers, frame, height=(ROW + 8) * len(drawn))


def _trio(row: LossesRow, label: str) -> Trio:
    ends = {f"{which}{end}": value for which in ("tuned", "base") for end, value in _ends(getattr(row, which)).items()}
    limit = row.limit.value if row.limit is not None and row.limit.is_defined else None
    shown = ("–" if value is None else number(value, 2) for value in (ends["tuned"], ends["base"], limit))
    return Trio(label=label, **ends, limit=limit, text=" / ".join(shown))


def _ends(estimate: Estimate | None) -> dict[str, float | None]:
    if estimate is None or not estimate.is_defined:
        return {"": None, "_low": None, "_high": None}
    return {"": estimate.value, "_low": estimate.low, "_high": estimate.high}
