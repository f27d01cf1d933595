"""Charts as pure functions from rows to `altair.Chart`.

Each is drawn in two widths, because a static picture that is scaled down to a telephone cannot be read. Margins are fixed and
labels are marks of their own, so that nothing is laid out by measuring the fonts of the machine that draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pluralign.report.chart_data import BarRow, CurvePoint, DotRow, ReliabilityPoint, Segment, span
from pluralign.report.formatting import number
from pluralign.report.palette import ACCENT, GREY, GRID, INK, MAIN, MUTED

if TYPE_CHECKING:
    import altair as alt

__all__ = [
    "NARROW",
    "WIDE",
    "Axis",
    "Frame",
    "bar_chart",
    "column_chart",
    "curve_chart",
    "dot_chart",
    "finished_chart",
    "reliability_chart",
    "stacked_chart",
    "stacked_parts",
    "value_axis",
]

FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
"""Families of the same widths; one of them, or a replacement with the same metrics, is on nearly every machine."""
ROW = 26


@dataclass(frozen=True, slots=True)
class Frame:
    """Pixels: the whole width, and what labels left and right of the plot take from it."""

    total: int
    left: int
    right: int
    roomy: bool
    """Whether intervals are written out beside the dots."""

    @property
    def plot(self) -> int:
        return self.total - self.left - self.right


WIDE = Frame(740, 210, 170, True)
NARROW = Frame(350, 122, 52, False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    title: str
    short_title: str = ""
    """For narrow screens, where the title is long."""
    include: tuple[float, ...] = (0.0,)
    """Values that the axis must reach."""
    lines: tuple[float, ...] = (0.0,)
    """Values with a reference line."""
    format: str = ".2~f"
    """How d3 writes the values on the axis."""


def dot_chart(rows: Sequence[DotRow], axis: Axis, frame: Frame) -> alt.LayerChart:
    """One row each: label, dot with interval (thin: of all rows at once), second mark, the numbers; headings stand alone."""
    import altair as alt

    values = [{**asdict(row), "i": i} for i, row in enumerate(rows)]
    ends = [v for row in rows for v in (row.low, row.high, row.joint_low, row.joint_high, row.mark)]
    domain = span(ends, include=axis.include)
    y = alt.Y("i:O", axis=None, scale=alt.Scale(domain=list(range(len(rows)))))
    x_axis = value_axis(axis, frame)

    def layer(keep: str) -> alt.Chart:
        return alt.Chart(alt.InlineData(values=values)).transform_filter(keep)

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", scale=alt.Scale(domain=domain, nice=False), axis=x_axis)

    why = layer("datum.why != ''")
    reason: dict[str, Any] = {"align": "left", "fontStyle": "italic", "limit": frame.total - frame.left - 6}
    dotted = layer("isValid(datum.value)")
    shown = "text" if frame.roomy else "short_text"
    fill = alt.condition("datum.filled", alt.value(MAIN), alt.value("white"))
    layers = [
        *_lines(axis, domain),
        layer("isValid(datum.joint_low)").mark_rule(color=MAIN, strokeWidth=1).encode(y=y, x=x("joint_low"), x2="joint_high:Q"),
        dotted.mark_rule(color=MAIN, strokeWidth=3).encode(y=y, x=x("low"), x2="high:Q"),
        layer("isValid(datum.mark)").mark_tick(color=ACCENT, thickness=3, size=18, opacity=1).encode(y=y, x=x("mark")),
        dotted.mark_point(size=70, filled=True, stroke=MAIN, strokeWidth=2, opacity=1).encode(y=y, x=x("value"), fill=fill),
        why.mark_text(**reason, color="white", stroke="white", strokeWidth=5).encode(y=y, x=alt.value(6), text="why:N"),
        why.mark_text(**reason, color=MUTED).encode(y=y, x=alt.value(6), text="why:N"),
        dotted.mark_text(align="left", color=INK).encode(y=y, x=alt.value(frame.plot + 10), text=f"{shown}:N"),
        layer("!datum.heading")
        .mark_text(align="left", color=INK, limit=frame.left - 14)
        .encode(y=y, x=alt.value(-frame.left), text="label:N"),
        layer("datum.heading")
        .mark_text(align="left", color=INK, fontWeight="bold", limit=frame.total)
        .encode(y=y, x=alt.value(-frame.left), text="label:N"),
    ]
    return finished_chart(layers, frame, height=ROW * len(rows))


def bar_chart(rows: Sequence[BarRow], axis: Axis, frame: Frame) -> alt.LayerChart:
    """One row each: label, bar from 0, interval where there is one, the numbers at the end."""
    import altair as alt

    values = [{**asdict(row), "i": i} for i, row in enumerate(rows)]
    domain = span([v for row in rows for v in (row.value, row.low, row.high)], include=axis.include)
    y = alt.Y("i:O", axis=None, scale=alt.Scale(domain=list(range(len(rows))), paddingInner=0.25))
    base = alt.Chart(alt.InlineData(values=values))
    x = alt.X("value:Q", scale=alt.Scale(domain=domain, nice=False), axis=value_axis(axis, frame))
    valued = base.transform_filter("isValid(datum.value)")
    shown = "text:N" if frame.roomy else "short_text:N"
    ranged = base.transform_filter("isValid(datum.low)")
    layers = [
        valued.mark_bar(stroke=GREY, strokeWidth=0.5).encode(y=y, x=x, color=alt.Color("colour:N", scale=None)),
        ranged.mark_rule(color="white", strokeWidth=5).encode(y=y, x="low:Q", x2="high:Q"),
        ranged.mark_rule(color=INK, strokeWidth=1.5).encode(y=y, x="low:Q", x2="high:Q"),
        valued.mark_text(align="left", color=INK).encode(y=y, x=alt.value(frame.plot + 10), text=shown),
        base.transform_filter("!isValid(datum.value)")
        .mark_text(align="left", fontStyle="italic", color=MUTED, limit=frame.total - frame.left - 6)
        .encode(y=y, x=alt.value(6), text=shown),
        base.mark_text(align="left", color=INK, limit=frame.left - 14).encode(y=y, x=alt.value(-frame.left), text="label:N"),
    ]
    return finished_chart(layers, frame, height=ROW * len(rows))


def column_chart(rows: Sequence[BarRow], axis: Axis, frame: Frame) -> alt.LayerChart:
    """Upright bars, for scales with more options than rows would fit on a page; labels thin themselves out."""
    import altair as alt

    frame = Frame(frame.total, 58, 8, frame.roomy)
    values = [{**asdict(row), "i": i} for i, row in enumerate(rows) if row.value is not None]
    top = span([v for row in rows for v in (row.value, row.high)], include=(0.0,))
    every = max(1, len(rows) * 34 // frame.plot)
    names = alt.Chart(alt.InlineData(values=[{"i": i, "label": r.label} for i, r in enumerate(rows) if i % every == 0]))
    x = alt.X("i:O", axis=None, scale=alt.Scale(domain=list(range(len(rows))), paddingInner=0.1))
    y = alt.Y(
        "value:Q", scale=alt.Scale(domain=top, nice=False), axis=alt.Axis(title=axis.title, format=axis.format, tickCount=5)
    )
    base = alt.Chart(alt.InlineData(values=values))
    layers = [
        base.mark_bar(stroke=GREY, strokeWidth=0.5).encode(x=x, y=y, color=alt.Color("colour:N", scale=None)),
        base.mark_rule(color=INK, strokeWidth=1).encode(x=x, y="low:Q", y2="high:Q"),
        names.mark_text(align="center", baseline="top", color=INK, limit=34 * 2).encode(x=x, y=alt.value(226), text="label:N"),
    ]
    return finished_chart(layers, frame, height=220)


def curve_chart(points: Sequence[CurvePoint], level: float | None, frame: Frame) -> alt.LayerChart:
    """Information against the number of past ratings, on a logarithmic axis; `level` is what all attributes tell."""
    import altair as alt

    frame = Frame(frame.total, 58, 16, frame.roomy)
    numbers = [p.n for p in points]
    known = [v for p in points for v in (p.low, p.high, p.truth)]
    domain = span([*known, level], include=(0.0,))
    x = alt.X(
        "n:Q",
        scale=alt.Scale(type="log", base=2, domain=[min(numbers) / 1.15, max(numbers) * 1.15], nice=False),
        axis=alt.Axis(title="past ratings known (each step doubles)", values=numbers, format="d", grid=False),
    )

    def y(field: str) -> alt.Y:
        axis = alt.Axis(title="usable information (nats per rating)", format=".2~f", tickCount=6)
        return alt.Y(f"{field}:Q", scale=alt.Scale(domain=domain, nice=False), axis=axis)

    base = alt.Chart(alt.InlineData(values=[{**asdict(p), "text": number(p.value)} for p in points]))
    layers: list[Any] = [
        alt.Chart(alt.InlineData(values=[{"v": 0.0}])).mark_rule(color=INK, strokeWidth=1).encode(y=y("v")),
        base.mark_area(color=MAIN, opacity=0.13).encode(x=x, y=y("low"), y2="high:Q"),
        base.mark_line(color=MAIN, strokeWidth=2).encode(x=x, y=y("value")),
        base.mark_rule(color=MAIN, strokeWidth=2).encode(x=x, y=y("low"), y2="high:Q"),
        base.transform_filter("isValid(datum.truth)")
        .mark_tick(color=ACCENT, thickness=3, size=20, opacity=1, orient="horizontal")
        .encode(x=x, y=y("truth")),
        base.mark_point(size=70, filled=True, color=MAIN, opacity=1).encode(x=x, y=y("value")),
    ]
    if level is not None:
        line = alt.Chart(alt.InlineData(values=[{"v": level, "text": "all attributes together"}]))
        layers.append(line.mark_rule(color=MUTED, strokeDash=[5, 4], strokeWidth=1.5).encode(y=y("v")))
        layers.append(
            line.mark_text(align="right", dy=-9 if level > 0 else 10, color=MUTED).encode(
                y=y("v"), x=alt.value("width"), text="text:N"
            )
        )
    return finished_chart(layers, frame, height=300 if frame.roomy else 240)


def reliability_chart(points: Sequence[ReliabilityPoint], frame: Frame) -> alt.LayerChart:
    """Observed share against predicted probability; on the diagonal predictions mean what they say."""
    import altair as alt

    def axis(title: str) -> alt.Axis:
        return alt.Axis(title=title, format=".0%", values=[0, 0.25, 0.5, 0.75, 1])

    scale = alt.Scale(domain=[0, 1], nice=False)
    x = alt.X("predicted:Q", scale=scale, axis=axis("predicted probability"))
    base = alt.Chart(alt.InlineData(values=[asdict(p) for p in points]))
    diagonal = alt.Chart(alt.InlineData(values=[{"predicted": 0, "observed": 0}, {"predicted": 1, "observed": 1}]))
    y = alt.Y("observed:Q", scale=scale, axis=axis("observed share"))
    layers = [
        diagonal.mark_line(color=MUTED, strokeDash=[5, 4], strokeWidth=1.5).encode(x=x, y=y),
        base.mark_rule(color=MAIN, strokeWidth=2).encode(x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q"),
        base.mark_point(size=45, filled=True, color=MAIN, opacity=1).encode(x=x, y=y),
    ]
    return finished_chart(layers, frame, height=frame.plot)


def stacked_chart(row_names: tuple[str, ...], frame: Frame, gap: float = 1.0) -> alt.LayerChart:
    """Bars of equal length, one part an option; each row is named at its left when the frame leaves room.

    `gap` is the white line between parts, in pixels. The parts are left open as the data set "parts" (`stacked_parts`),
    because a page has dozens of these bars and building a chart takes longer than drawing it.
    """
    import altair as alt

    y = alt.Y("i:O", axis=None, scale=alt.Scale(domain=list(range(len(row_names))), paddingInner=0.18, paddingOuter=0))
    scale = alt.Scale(domain=[0, 1], nice=False)
    base = alt.Chart(alt.NamedData("parts"))
    layers: list[Any] = [
        base.mark_bar(stroke="white", strokeWidth=gap).encode(
            y=y, x=alt.X("start:Q", scale=scale, axis=None), x2="end:Q", color=alt.Color("colour:N", scale=None)
        ),
        base.mark_text(fontSize=11).encode(
            y=y, x=alt.X("middle:Q", scale=scale, axis=None), text="text:N", color=alt.Color("ink:N", scale=None)
        ),
    ]
    if frame.left:
        names = alt.Chart(alt.InlineData(values=[{"i": i, "name": name} for i, name in enumerate(row_names)]))
        label = names.mark_text(align="left", color=MUTED, fontSize=11, limit=frame.left - 6)
        layers.append(label.encode(y=y, x=alt.value(-frame.left), text="name:N"))
    return finished_chart(layers, frame, height=21 * len(row_names), bottom=2)


def stacked_parts(parts: Sequence[Segment], row_names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """The data that a `stacked_chart` leaves open."""
    rows = {name: i for i, name in enumerate(row_names)}
    return {"parts": [{**asdict(part), "i": rows[part.row], "middle": (part.start + part.end) / 2} for part in parts]}


def _lines(axis: Axis, domain: tuple[float, float]) -> list[Any]:
    import altair as alt

    inside = [value for value in axis.lines if domain[0] <= value <= domain[1]]
    data = alt.InlineData(values=[{"at": value} for value in inside])
    return [alt.Chart(data).mark_rule(color=INK, strokeWidth=1).encode(x="at:Q")] if inside else []


def value_axis(axis: Axis, frame: Frame) -> alt.Axis:
    """The horizontal axis of values, with its short title where there is little room."""
    import altair as alt

    title = axis.title if frame.roomy else axis.short_title or axis.title
    return alt.Axis(title=title, format=axis.format, tickCount=6 if frame.roomy else 3)


def finished_chart(layers: list[Any], frame: Frame, *, height: int, bottom: int = 46) -> alt.LayerChart:
    """Fixed size and margins, plain style, no machine-made descriptions (the page gives each chart one sentence)."""
    import altair as alt

    sized = alt.LayerChart(layer=layers).properties(
        width=frame.plot,
        height=height,
        padding={"left": frame.left, "right": frame.right, "top": 0 if bottom < 10 else 8, "bottom": bottom},
        autosize=alt.AutoSizeParams(type="none"),
        background="transparent",
    )
    axis = alt.AxisConfig(
        domain=False,
        gridColor=GRID,
        labelColor=MUTED,
        labelFlush=False,
        labelFontSize=12,
        tickColor=GRID,
        titleColor=MUTED,
        titleFontSize=12.5,
        titleFontWeight="normal",
        titlePadding=8,
    )
    text = alt.MarkConfig(fontSize=12.5, baseline="middle")
    styled: alt.LayerChart = sized.configure(aria=False, font=FONT, view=alt.ViewConfig(stroke=None), text=text, axis=axis)
    return styled
