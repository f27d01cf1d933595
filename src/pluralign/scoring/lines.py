"""What was found as a few lines of plain text, for the end of a command. Nothing from data reaches a terminal as control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pluralign.estimates import Estimate
from pluralign.scoring.drawn import Samples
from pluralign.scoring.losses import LossRow
from pluralign.scoring.scored import Scores
from pluralign.scoring.totals import totals_lines
from pluralign.terminal import printable

__all__ = ["samples_lines", "scores_lines"]

LABEL_WIDTH = 32
N_TASKS = 40
"""Tasks that are listed; results.json has all."""
_TITLES = {
    "loss_nats": "loss, nats",
    "closed_loss_nats": "among options",
    "accuracy": "accuracy",
    "outside_mass": "outside mass",
}


def scores_lines(scores: Scores) -> list[str]:
    """The loss over all, by task and by number of examples; what was left out; what it took."""
    of = "outputs" if scores.ask == "outputs" else "questions"
    head = f"{printable(scores.name)}: {scores.n_episodes:,} episodes of {scores.n_units:,} {scores.unit}s"
    lines = [f"{head}; {scores.overall.n:,} {of} scored by {printable(scores.model)}"]
    if scores.n_nothing_scored:
        lines.append(f"{scores.n_nothing_scored:,} episodes have nothing to score (no second example, no description)")
    if scores.n_without_options:
        lines.append(f"{scores.n_without_options:,} episodes have no options and were left out")
    if scores.n_all_outside:
        lines.append(
            f"{scores.n_all_outside:,} questions: no option had any probability; accuracy and loss among options leave them out"
        )
    lines += ["", *_rows([scores.overall, *(scores.tasks[:N_TASKS] if len(scores.tasks) > 1 else [])], "all", "task", of)]
    if len(scores.tasks) > N_TASKS:
        lines.append(f"  and {len(scores.tasks) - N_TASKS:,} tasks more in results.json")
    if len(scores.by_k) > 1:
        lines += ["", *_rows([row for row in scores.by_k if _is_shown(row.group)], "all", "after k examples", of)]
    return [*lines, "", *_outcome_lines(scores), *totals_lines(scores.totals, scores.prices)]


def samples_lines(samples: Samples) -> list[str]:
    """How the samples ended, and what they took."""
    lines = [
        f"{printable(samples.name)}: {samples.n_queries:,} queries from {samples.n_episodes:,} episodes, "
        f"{samples.n_samples:,} outputs drawn from {printable(samples.model)}",
        f"ended by: {_counts(samples.finish_reasons)}",
    ]
    if samples.n_nothing_scored:
        lines.append(f"{samples.n_nothing_scored:,} episodes have no output that can be held out")
    if cut := samples.finish_reasons.get("length", 0):
        lines.append(
            f"{cut:,} outputs were cut off at {samples.max_tokens:,} tokens: they are not whole outputs (--max-tokens)"
        )
    return [*lines, *totals_lines(samples.totals, samples.prices)]


def _outcome_lines(scores: Scores) -> list[str]:
    lines = [f"outcomes: {_counts(scores.outcomes)}"]
    if scores.elicitations and set(scores.elicitations) != {"logprobs"}:
        lines.append(f"distributions elicited by: {_counts(scores.elicitations)}")
    return lines


def _rows(rows: Sequence[LossRow], of_all: str, title: str, counted: str) -> list[str]:
    """A table, and of each measure the first reason why one is missing."""
    measures = list(rows[0].means)
    cells = [[title, counted, *(_TITLES[measure] for measure in measures)]]
    for row in rows:
        label = of_all if row.group is None else printable(str(row.group))
        label = label if len(label) <= LABEL_WIDTH else f"{label[: LABEL_WIDTH - 1]}…"
        cells.append([label, f"{row.n:,}", *(_interval(row.means[measure]) for measure in measures)])
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    padded = [
        [line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))] for line in cells
    ]
    firsts = [next((w for row in rows if (w := row.means[measure].why_undefined)), None) for measure in measures]
    return [f"  {'  '.join(line).rstrip()}" for line in padded] + [
        f"  -: {why}" for why in dict.fromkeys(w for w in firsts if w)
    ]


def _is_shown(k: str | int | None) -> bool:
    """0, 1, 2, 4, 8, ... examples."""
    return isinstance(k, int) and k & (k - 1) == 0


def _interval(estimate: Estimate) -> str:
    if not estimate.is_defined:
        return "-"
    value, low, high = (f"{round(x, 3) + 0.0:.3f}" for x in (estimate.value, estimate.low, estimate.high))  # + 0.0: no -0
    return f"{value} [{low}, {high}]"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
