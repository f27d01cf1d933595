"""Charts: the data that go in, valid specifications, and pictures that can stand side by side in one page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import altair as alt
import pytest

from pluralign.estimates import undefined
from pluralign.report import chart_data as rows_of
from pluralign.report import charts, palette
from pluralign.report.svg import inline_svg, specification
from report.made_up import END_OF_SVG, SCRIPT, bare_findings, clustering, est, findings

F = findings()
AXIS = charts.Axis(title="nats", short_title="n")
POINTS = rows_of.curve_points(F.information)
RELIABILITY = rows_of.reliability_points(F.calibrations[0])
INFORMATION = rows_of.information_rows(F.information)
OPTIONS = rows_of.option_share_rows(F.data)
ROWS = ("this group", "all others")
PARTS = charts.stacked_parts(
    [
        *rows_of.segments(ROWS[0], [0.5, 0.5], ["#000000", "#ffffff"]),
        *rows_of.segments(ROWS[1], [1.0, 0.0], ["#000000", "#ffffff"]),
    ],
    ROWS,
)


def all_charts(frame: charts.Frame) -> dict[str, alt.LayerChart]:
    return {
        "dots": charts.dot_chart(INFORMATION, AXIS, frame),
        "bars": charts.bar_chart(OPTIONS, AXIS, frame),
        "columns": charts.column_chart(OPTIONS, AXIS, frame),
        "curve": charts.curve_chart(POINTS, 0.02, frame),
        "reliability": charts.reliability_chart(RELIABILITY, charts.Frame(268, 52, 16, False)),
        "stacked": charts.stacked_chart(ROWS, charts.Frame(330, 70, 0, False)),
    }


@pytest.mark.parametrize("frame", [charts.WIDE, charts.NARROW])
def test_every_chart_is_valid_and_as_wide_as_its_frame(frame: charts.Frame) -> None:
    for name, chart in all_charts(frame).items():
        chart.to_dict(validate=True)
        root = ET.fromstring(inline_svg(specification(chart), name=name, label="x", datasets=PARTS))
        expected = {"reliability": 268, "stacked": 330}.get(name, frame.total)
        assert float(root.get("width", "0")) == expected, name


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter("text")]


def test_the_wide_chart_shows_labels_intervals_and_reasons() -> None:
    shown = texts(inline_svg(specification(charts.dot_chart(INFORMATION, AXIS, charts.WIDE)), name="a", label="x"))
    for text in (
        "What attributes tell",
        "age",
        "0.021 (0.010 to 0.032)",
        "no value: only one level among the tested raters",
        "nats",
    ):
        assert text in shown


def test_the_narrow_chart_leaves_intervals_to_the_eye() -> None:
    shown = texts(inline_svg(specification(charts.dot_chart(INFORMATION, AXIS, charts.NARROW)), name="a", label="x"))
    assert "0.021" in shown
    assert "n" in shown
    assert not any("(0.010 to" in text for text in shown)


def test_stacked_bars_name_their_rows_and_large_parts() -> None:
    shown = texts(inline_svg(specification(all_charts(charts.WIDE)["stacked"]), name="a", label="x", datasets=PARTS))
    assert sorted(shown) == sorted(["50%", "50%", "100%", *ROWS])


def test_dots_stand_where_their_values_are() -> None:
    row = rows_of.DotRow(label="a", value=1.0, low=0.5, high=1.5)
    spec: dict[str, Any] = specification(charts.dot_chart([row], charts.Axis(title="t", include=(0.0, 2.0)), charts.WIDE))
    svg = ET.fromstring(inline_svg(spec, name="a", label="x"))
    dot = next(p for p in svg.iter("path") if p.get("stroke") == palette.MAIN and "A" in p.get("d", ""))
    x = float(re.search(r"translate\(([\d.]+)", dot.get("transform", ""))[1])  # type: ignore[index]  # it is there
    assert x == pytest.approx(charts.WIDE.plot / 2, abs=0.5)  # 1.0 is half-way from 0 to 2


def test_hostile_text_stays_text() -> None:
    rows = [rows_of.DotRow(label=text, value=1.0, low=0.5, high=1.5, text=text) for text in (SCRIPT, END_OF_SVG)]
    svg = inline_svg(specification(charts.dot_chart(rows, AXIS, charts.WIDE)), name="a", label=f'{SCRIPT}" onload="x')
    root = ET.fromstring(svg)
    assert {element.tag for element in root.iter()} <= {"svg", "g", "path", "line", "text", "rect"}
    assert "onload" not in root.attrib
    assert "<script" not in svg
    assert SCRIPT in texts(svg)


def test_ids_are_made_unique_to_the_chart() -> None:
    clipped = alt.layer(alt.Chart(alt.InlineData(values=[{"a": 1}])).mark_bar(clip=True).encode(x="a:Q"))
    svg = inline_svg(specification(clipped), name="first", label="x")
    ids = re.findall(r' id="([^"]+)"', svg)
    assert ids
    assert all(i.startswith("first-") for i in ids)
    assert set(re.findall(r"url\(#([^)]+)\)", svg)) <= set(ids)


def test_a_theme_of_the_caller_changes_nothing() -> None:
    chart = all_charts(charts.WIDE)["bars"]
    plain = specification(chart)
    with alt.theme.enable("dark"):
        assert specification(chart) == plain


def test_segments_by_hand() -> None:
    parts = rows_of.segments("r", [0.25, 0.0, 0.7, 0.05], ["#000000", "#111111", "#ffffff", "#222222"])
    assert [(p.start, p.end, p.ink, p.text) for p in parts] == [
        (0.0, 0.25, "#ffffff", "25%"),
        (0.25, 0.95, "#000000", "70%"),
        (0.95, 1.0, "#ffffff", ""),
    ]


def test_information_rows_are_grouped_and_leave_out_nothing() -> None:
    assert [r.label for r in INFORMATION if r.heading] == ["What attributes tell", "What past ratings tell", "What groups tell"]
    assert "nothing" not in [r.label for r in INFORMATION]
    by_label = {r.label: r for r in INFORMATION}
    assert by_label["age"].filled
    assert not by_label["religiosity"].filled
    assert by_label["all attributes"].mark == 0.04
    assert rows_of.information_rows(bare_findings().information) == []


def test_a_row_has_a_thin_line_where_it_has_a_joint_interval() -> None:
    by_label = {r.label: r for r in INFORMATION}
    age = by_label["age"]  # 0.021 +- 0.011, jointly 1.4 times as wide
    assert (age.joint_low, age.joint_high) == pytest.approx((0.021 - 0.0154, 0.021 + 0.0154), abs=1e-12)
    assert by_label["What attributes tell"].joint_low is None
    assert rows_of.hard_rater_rows(F.hardest_raters)[0].joint_low is None
    spec = specification(charts.dot_chart(INFORMATION, AXIS, charts.WIDE))
    bare = specification(
        charts.dot_chart([replace(r, joint_low=None, joint_high=None) for r in INFORMATION], AXIS, charts.WIDE)
    )
    n = sum(r.joint_low is not None for r in INFORMATION)
    assert inline_svg(spec, name="a", label="x").count("<line") - inline_svg(bare, name="a", label="x").count("<line") == n


def test_hard_raters_are_filled_where_the_interval_misses_the_loss_of_knowing_nothing() -> None:
    # 2.31 +- .22 against 1.9; 2.05 +- .25 against 2.1
    assert [r.filled for r in rows_of.hard_rater_rows(F.hardest_raters[:2])] == [True, False]


def test_curve_points_rise_and_leave_out_what_has_no_value() -> None:
    assert [p.n for p in POINTS] == [1, 2, 4, 8, 16, 32]
    assert len(RELIABILITY) == len(F.calibrations[0].bins) - 1


def test_an_undefined_row_has_a_reason_and_no_value() -> None:
    drawn = rows_of.dot_row("x", undefined("too few"))
    assert (drawn.value, drawn.why) == (None, "no value: too few")
    assert not rows_of.has_values([drawn])
    assert rows_of.has_values([rows_of.dot_row("x", est(1.0))])


def test_cluster_sizes() -> None:
    assert [(r.label, r.text) for r in rows_of.cluster_size_rows(clustering(2), colour="#000000")] == [
        ("Group 2A", "50%, 105 raters"),
        ("Group 2B", "50%, 105 raters"),
    ]


def contrast(colour: str, other: str) -> float:
    """WCAG 2.1 contrast, written out."""

    def luminance(hex_colour: str) -> float:
        total = 0.0
        for weight, start in ((0.2126, 1), (0.7152, 3), (0.0722, 5)):
            c = int(hex_colour[start : start + 2], 16) / 255
            total += weight * (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4)
        return total

    high, low = sorted([luminance(colour), luminance(other)], reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_can_be_read_on_every_colour() -> None:
    for n in range(2, 40):
        for ordered in (True, False):
            for colour in palette.option_colours(n, ordered=ordered):
                assert contrast(colour, palette.ink_on(colour)) >= 4.5
    for ink in (palette.MAIN, palette.INK, palette.MUTED, palette.ACCENT):
        assert contrast(ink, "#ffffff") >= 4.5


def test_ordered_colours_differ_and_unordered_ones_up_to_a_number() -> None:
    assert len(set(palette.option_colours(101, ordered=True))) > 90
    assert len(set(palette.option_colours(palette.N_DISTINCT, ordered=False))) == palette.N_DISTINCT
    assert len(palette.option_colours(40, ordered=False)) == 40
