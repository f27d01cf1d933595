"""What was found as plain text, for the end of a command. Nothing from data reaches a terminal as control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pluralign.estimates import Estimate
from pluralign.evals.compare import Comparison, Difference
from pluralign.evals.evaluate import Planned
from pluralign.evals.findings import Finding, Reference
from pluralign.evals.kinds import LeftOut
from pluralign.evals.results import Evaluated
from pluralign.scoring.totals import totals_lines
from pluralign.terminal import printable

__all__ = ["comparison_lines", "evaluated_lines", "plan_lines"]

LABEL_WIDTH = 44
N_NOT_RUN = 5
"""Tasks that were left out and are named; results.json has all."""


def evaluated_lines(found: Evaluated, *, is_whole: bool = False) -> list[str]:
    """A table for each evaluation: its headline numbers, or all that are not of a part of a task, with floor and ceiling."""
    lines = [f"{printable(found.model)}"]
    for name, findings in found.findings.items():
        n = sum(found.n_questions[name].values())
        n_tasks = len(found.n_questions[name])
        outcomes = _counts(found.outcomes[name])
        lines += ["", f"{name}: {n:,} questions of {n_tasks} tasks; {outcomes}"]
        shown = [one for one in findings if one.group is None and (is_whole or one.is_headline)]
        lines += _table(["", "", "value", "floor", "ceiling"], [_cells(one) for one in shown])
        lines += _left_out_lines(found.left_out.get(name, {}))
    if found.not_run:
        lines += ["", f"{len(found.not_run)} tasks were left out, since their data are not here:"]
        lines += [f"  {one.evaluation}/{one.task}: {_first_line(one.why)}" for one in found.not_run[:N_NOT_RUN]]
        if len(found.not_run) > N_NOT_RUN:
            lines.append(f"  and {len(found.not_run) - N_NOT_RUN} more, in results.json")
    lines += ["", *totals_lines(found.totals, found.prices)]
    for name, judge in found.judges.items():
        lines += [f"{printable(name)}, as a judge: {line}" for line in totals_lines(judge.totals, None)]
    return lines


def comparison_lines(found: Comparison) -> list[str]:
    """The differences of headline measures, run by run, and those of groups that are told from chance, which have a star."""
    (first, _), *others = found.runs.items()
    lines = []
    for name, run in others:
        mine = [one for one in found.differences if one.run == name]
        whole = [one for one in mine if one.group is None]
        shown = [one for one in whole if one.is_headline] or whole
        measures = {(one.evaluation, one.task, one.metric) for one in shown}
        groups = [one for one in mine if one.group is not None and (one.evaluation, one.task, one.metric) in measures]
        clear = [one for one in groups if one.is_clear]
        lines += ["", f"{printable(name)} ({printable(run.model)}) minus {printable(first)}"]
        lines += _table(["", "", "difference", "adjusted p", ""], [_difference_cells(one) for one in (*shown, *clear)])
        if len(groups) > len(clear):
            lines.append(f"  and {len(groups) - len(clear):,} of groups that are not told from chance")
    return [*lines, "", "*: told from chance at 5 % over all differences of whole tasks, or over all of groups (Holm)"]


def plan_lines(plan: Planned, model: str, out: str) -> list[str]:
    """What would be asked."""
    rows = [[one.name, material.task, f"{len(material.questions):,}"] for one, material in plan.materials]
    lines = [f"would ask {printable(model)} for {plan.n_requests:,} answers and write to {printable(out)}", ""]
    lines += _table(["evaluation", "task", "questions"], rows)
    for _, material in plan.materials:
        lines += _left_out_lines({material.task: material.left_out})
    if plan.judges:
        lines += ["", f"asked too, as judges: {', '.join(printable(str(judge)) for judge in plan.judges)}"]
    if plan.not_run:
        lines += [
            "",
            f"{len(plan.not_run)} tasks are left out: their data are not here (--data-dir, or name them to have them fetched)",
        ]
    return [*lines, "", "Nothing was asked and nothing was written (--dry-run)."]


def _left_out_lines(left_out: Mapping[str, Sequence[LeftOut]]) -> list[str]:
    return [f"  left out of {printable(task)}: {printable(str(one))}" for task, some in left_out.items() for one in some]


def _cells(one: Finding) -> list[str]:
    return [one.task, f"{one.label} ({one.scale})", _interval(one.estimate), _reference(one.floor), _reference(one.ceiling)]


def _difference_cells(one: Difference) -> list[str]:
    p = "-" if one.adjusted_p_value is None else f"{one.adjusted_p_value:.4f}"
    group = "" if one.group is None else f", {one.group}"
    return [f"{one.evaluation}/{one.task}{group}", f"{one.label} ({one.scale})", _interval(one.estimate), p, _verdict(one)]


def _verdict(one: Difference) -> str:
    if not one.is_clear or one.better == "neither" or not one.estimate.value:
        return "*" if one.is_clear else ""
    return "* better" if (one.estimate.value < 0) == (one.better == "lower") else "* worse"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return ["  nothing"]
    cells = [[_short(printable(cell)) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return [f"  {'  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()}" for row in cells]


def _short(text: str) -> str:
    return text if len(text) <= LABEL_WIDTH else f"{text[: LABEL_WIDTH - 1]}…"


def _interval(estimate: Estimate) -> str:
    if not estimate.is_defined:
        return f"- ({estimate.why_undefined})"
    value, low, high = (f"{round(x, 3) + 0.0:.3f}" for x in (estimate.value, estimate.low, estimate.high))  # + 0.0: no -0
    return f"{value} [{low}, {high}]"


def _reference(reference: Reference | None) -> str:
    if reference is None:
        return ""
    value = f"{reference.estimate.value:.3f}" if reference.estimate.is_defined else "-"
    return f"{value} {reference.name}"


def _first_line(text: str) -> str:
    return _short(printable(text.splitlines()[0] if text else ""))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
