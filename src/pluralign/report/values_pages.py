"""Pages about values, rights and duties: what changes in minimal pairs, and what people said in a study. One HTML file each,
which needs nothing else: pure functions of what was found.

Pictures have no text of their own; all that they show stands beside them.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from pluralign import __version__
from pluralign.estimates import Estimate
from pluralign.report.card_charts import Scale, difference_picture, range_picture
from pluralign.report.chart_data import span
from pluralign.report.formatting import clean, estimate_text, number, percent
from pluralign.report.marks import line_mark, picture_root, tick_mark, width_share
from pluralign.report.page import page_environment
from pluralign.values.contrast import CHANGES, Contrasts
from pluralign.values.contrast_run import ContrastRun
from pluralign.values.study import QUESTIONS
from pluralign.values.study_results import GroupRow, SmallGroup, StudyFindings

__all__ = ["MOST_PAIRS", "contrasts_html", "study_html"]

MOST_PAIRS = 60
"""Shown on a page."""
MOST_ROWS = 30
"""Considerations of a pair that are shown, largest change first."""
_MEASURES = {
    "missing_share": "Something is missing",
    "relevant_share": "Would be weighed",
}
_QUESTIONS = {"missing": "Is something missing?", "relevance": "Would you weigh it?", "valence": "Which way does it point?"}


@dataclass(frozen=True, slots=True)
class _Pair:
    """A pair on the page: what changes as (row of the table, picture), and how much of it stays or is not shown."""

    before: str
    after: str
    changed: list[tuple[dict[str, Any], str]]
    n_more: int
    n_stays: int
    n_unknown: int


@dataclass(frozen=True, slots=True)
class _Groups:
    """An attribute's groups for one measure, each with a picture of its difference from all others."""

    attribute: str
    rows: list[tuple[GroupRow, str]]
    too_small: list[SmallGroup]


def contrasts_html(run: ContrastRun) -> str:
    """What enters, leaves or flips in each pair, as a table and a picture."""
    return (
        page_environment()
        .get_template("values_contrast.html.j2")
        .render(
            version=__version__,
            run=run,
            found=run.found,
            notice=clean(run.found.notice),
            model=clean(run.found.model),
            shares=[(kind, run.shares[kind]) for kind in CHANGES],
            pairs=[_pair(run.found, pair) for pair in range(min(run.found.n_pairs, MOST_PAIRS))],
            n_more=max(0, run.found.n_pairs - MOST_PAIRS),
        )
    )


def study_html(findings: StudyFindings, *, seed: int = 0) -> str:
    """What people said, by groups with intervals, and what the sample can and cannot show."""
    findings = _cleaned_findings(findings)
    shares = {"missing_share": findings.missing_share, "relevant_share": findings.relevant_share}
    agreement = [(_QUESTIONS[name], findings.n_answers.get(name, 0), one) for name, one in findings.agreement.items()]
    return (
        page_environment()
        .get_template("values_study.html.j2")
        .render(
            version=__version__,
            seed=seed,
            f=findings,
            model=findings.model,
            notice=findings.notice,
            limits=findings.limits,
            lead=_lead(findings),
            headlines=[(name, _MEASURES[name], one, _whole(_MEASURES[name], one)) for name, one in shares.items()],
            measures=[(name, title, _attributes(findings, name)) for name, title in _MEASURES.items()],
            agreement=agreement,
            questions=[question for some in QUESTIONS.values() for question in some],
        )
    )


# minimal pairs


def _pair(found: Contrasts, pair: int) -> _Pair:
    rows = found.table.filter(pl.col("pair") == pair)
    changed = [_cleaned(row) for row in found.changed(pair).iter_rows(named=True)]
    counts = {kind: rows.filter(pl.col("change") == kind).height for kind in ("stays", "unknown")}
    before, after = (clean(rows[name][0]) if rows.height else "" for name in ("before", "after"))
    shown = [(row, _change_picture(row, found.threshold)) for row in changed[:MOST_ROWS]]
    return _Pair(before, after, shown, len(changed) - len(shown), counts["stays"], counts["unknown"])


def _cleaned(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: clean(value) if isinstance(value, str) else value for name, value in row.items()}


def _change_picture(row: Mapping[str, Any], threshold: float) -> str:
    """Relevance before (ring) and after (dot), from 0 at the left to 1 at the right, coloured by valence; the threshold."""
    before, after = 100 * row["relevance_before"], 100 * row["relevance_after"]
    names = [row[f"valence_{side}"].lower() for side in ("before", "after")]
    label = (
        f"{row['vrd']}: {row['text']} {row['change']}: relevance {number(row['relevance_before'], 2)}, {names[0]}; then "
        f"{number(row['relevance_after'], 2)}, {names[1]}"
    )
    root = picture_root(24, label, "range")
    line_mark(root, 0, 100, 12, "track")
    tick_mark(root, 100 * threshold, (2, 22), "floor")
    line_mark(root, min(before, after), max(before, after), 12, f"way {names[1]}")
    ET.SubElement(root, "circle", {"class": f"ring {names[0]}", "cx": width_share(before), "cy": "12", "r": "5"})
    ET.SubElement(root, "circle", {"class": f"full {names[1]}", "cx": width_share(after), "cy": "12", "r": "6"})
    return ET.tostring(root, encoding="unicode")


# the study


def _cleaned_findings(findings: StudyFindings) -> StudyFindings:
    """With the texts from data made fit to print."""
    groups = tuple(replace(row, attribute=clean(row.attribute), level=clean(row.level)) for row in findings.groups)
    small = tuple(replace(one, attribute=clean(one.attribute), level=clean(one.level)) for one in findings.too_small)
    return replace(
        findings,
        model=clean(findings.model),
        notice=clean(findings.notice),
        limits=tuple(clean(one) for one in findings.limits),
        groups=groups,
        too_small=small,
    )


def _lead(findings: StudyFindings) -> str:
    missing, relevant = findings.missing_share, findings.relevant_share
    n = max(missing.n, relevant.n)
    said = ["1 person answered." if n == 1 else f"{n:,} people answered."]
    if missing.is_defined:
        said.append(f"Of the answers about a list, {estimate_text(missing, percent)} say that something is missing.")
    if relevant.is_defined:
        said.append(f"Of the answers about a single consideration, {estimate_text(relevant, percent)} would weigh it.")
    return " ".join(said)


def _whole(title: str, estimate: Estimate) -> str:
    if not estimate.is_defined:
        return ""
    label = f"{title}: {estimate_text(estimate, percent)}"
    return range_picture(estimate, floor=None, ceiling=None, scale=Scale(0.0, 1.0), label=label)


def _attributes(findings: StudyFindings, measure: str) -> list[_Groups]:
    rows = [row for row in findings.groups if row.measure == measure]
    small = [one for one in findings.too_small if one.measure == measure]
    names = dict.fromkeys([*(row.attribute for row in rows), *(one.attribute for one in small)])
    scale = _difference_scale(rows)
    return [
        _Groups(
            name,
            [(row, _difference(row, scale)) for row in rows if row.attribute == name],
            [one for one in small if one.attribute == name],
        )
        for name in names
    ]


def _difference_scale(rows: Sequence[GroupRow]) -> Scale:
    """The same for all groups of a measure, 0 in the middle."""
    drawn = [row.difference for row in rows if row.difference.is_defined]
    low, high = span([v for one in drawn for v in (one.low, one.high)], include=[0.0])
    end = max(-low, high, 0.01)
    return Scale(-end, end)


def _difference(row: GroupRow, scale: Scale) -> str:
    if not row.difference.is_defined:
        return ""
    label = f"{row.level} beside all others: {estimate_text(row.difference, percent)}"
    return difference_picture(row.difference, scale=scale, label=label, clear=row.p_holm < 0.05)
