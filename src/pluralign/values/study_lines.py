"""What a study with people found, as lines of text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from pluralign.estimates import Estimate
from pluralign.terminal import printable
from pluralign.values.study_results import StudyFindings

__all__ = ["findings_lines"]

WIDTH = 100
_LEVEL = 24
_TITLES = {"missing_share": "something is missing", "relevant_share": "would be weighed"}


def findings_lines(found: StudyFindings) -> list[str]:
    """Shares, groups, agreement, and what the sample can and cannot show; the notice comes first."""
    answers = ", ".join(f"{name} {n:,}" for name, n in found.n_answers.items())
    return [
        *textwrap.wrap(found.notice, WIDTH),
        "",
        f"answers: {answers}",
        f"answers that something is missing: {_percent(found.missing_share)}",
        f"considerations that would be weighed: {_percent(found.relevant_share)}",
        *_groups(found),
        "",
        "agreement (Krippendorff's alpha): " + "; ".join(f"{name} {one}" for name, one in found.agreement.items()),
        "",
        "what this sample can and cannot show:",
        *(line for one in found.limits for line in _item(printable(one))),
    ]


def _groups(found: StudyFindings) -> Iterator[str]:
    for measure, title in _TITLES.items():
        rows = [row for row in found.groups if row.measure == measure]
        if not rows:
            continue
        yield ""
        yield f"{title}: each group minus all others, points of percent"
        for row in rows:
            name = printable(f"{row.attribute} {row.level}")
            told = "no value" if not row.difference.is_defined else _points(row.difference)
            yield (
                f"  {name[:_LEVEL]:{_LEVEL}} {row.n_raters:>5,} people  {_percent(row.share):20}  {told:24}  "
                f"p {_p(row.p_value)}, adjusted {_p(row.p_holm)}"
            )


def _percent(one: Estimate) -> str:
    """
    >>> _percent(Estimate(value=0.5, low=0.25, high=0.75, n=9, unit="rater", seed=0))
    '50 % [25, 75]'
    """
    if not one.is_defined:
        return f"no value: {one.why_undefined}"
    return f"{100 * one.value:.0f} % [{100 * one.low:.0f}, {100 * one.high:.0f}]"


def _points(one: Estimate) -> str:
    value, low, high = (f"{round(100 * share):+d}" for share in (one.value, one.low, one.high))
    return f"{value} [{low}, {high}]"


def _p(value: float) -> str:
    """
    >>> _p(0.0004), _p(0.25)
    ('below .001', '0.250')
    """
    return "below .001" if value < 0.001 else f"{value:.3f}"


def _item(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  - ", subsequent_indent="    ")
