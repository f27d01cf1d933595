"""What exports to other tools have in common: the tasks of a run of `evaluate`, as plain values, and names for files.

    run folder ── results.json ──> findings of each task ───┐
               └─ records-*.parquet ──> records, row by row ─┼──> `RunTask`, one an evaluation and task
                                    └─> measures of each item┘

Nothing is asked and nothing is measured that the evaluation itself would not measure from its records. Text from the data
never becomes a path: see `safe_name`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from pluralign.errors import DataError, PluralignError
from pluralign.evals import registry
from pluralign.evals.findings import Finding
from pluralign.evals.kinds import EvaluationKind, Setting
from pluralign.evals.registry import kind
from pluralign.evals.results import Evaluated, read_evaluated, read_records, records_name
from pluralign.files import read_json

__all__ = [
    "OF_OPTIONS",
    "ReadRun",
    "RunTask",
    "coverage_requests",
    "plain",
    "probabilities",
    "read_run",
    "safe_name",
    "shares_text",
]

_SAFE = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*")
_MOST = 80
"""Characters of a file's name that come from the data."""
OF_OPTIONS = ("alignment", "sensitivity", "elicitation")
"""Evaluations whose records are those of alignment: a distribution over the options of a question."""
_COVERAGE = "coverage"
_NEEDED = ("task", "item", "outcome", "detail")
"""Columns that the records of every evaluation have."""


@dataclass(frozen=True)
class RunTask:
    """One task of one evaluation."""

    evaluation: str
    task: str
    rows: pl.DataFrame
    """Of the table of records, in its order."""
    values: Mapping[str, Mapping[str, float]]
    """Item -> measure -> value; NaN where it is undefined."""
    findings: Sequence[Finding]
    of_several: Sequence[Finding]
    """Findings of the evaluation that belong to several tasks together: means over tasks."""

    @property
    def name(self) -> str:
        """Of the evaluation and the task, as text."""
        return f"{self.evaluation}_{self.task}"

    @property
    def records(self) -> Iterator[dict[str, Any]]:
        """The rows one at a time: as plain values all of them take many times the table's memory."""
        return self.rows.iter_rows(named=True)

    @cached_property
    def unmatched(self) -> dict[str, dict[str, float]]:
        """Values of items that are no record's: what several records give together."""
        known = set(self.rows["item"])
        return {item: dict(values) for item, values in self.values.items() if item not in known}


@dataclass(frozen=True)
class ReadRun:
    """A run of `evaluate`."""

    evaluated: Evaluated
    config: Mapping[str, Any]
    """config.json: the command, its arguments, versions, when it was started."""
    tasks: Sequence[RunTask]

    @property
    def about(self) -> dict[str, Any]:
        """Of the run as a whole, JSON-ready."""
        wanted = ("arguments", "pluralign_version", "python_version", "dependency_versions", "git_commit", "started")
        written = self.evaluated.to_dict()
        return {
            "tool": "pluralign evaluate",
            "seed": self.evaluated.seed,
            "limit": self.evaluated.limit,
            **{name: plain(self.config.get(name)) for name in wanted},
            "usage_of_all_tasks": written["usage"],
            "not_run": written["not_run"],
        }


def read_run(folder: Path) -> ReadRun:
    """The run in a folder. Raises DataError for a folder of another kind, and where records or their evaluation are missing."""
    evaluated = read_evaluated(folder)
    if unknown := [name for name in evaluated.findings if name not in registry.KINDS]:
        raise DataError(str(folder), f"has evaluations that this version does not know: {', '.join(map(repr, unknown))}")
    tasks = [one for name in evaluated.findings for one in _tasks(folder, name, evaluated.findings[name])]
    return ReadRun(evaluated, read_json(folder / "config.json"), tasks)


def _tasks(folder: Path, evaluation: str, findings: Sequence[Finding]) -> Iterator[RunTask]:
    measured, records = kind(evaluation), read_records(folder, evaluation)
    if missing := [name for name in _NEEDED if name not in records.columns]:
        raise DataError(str(folder / records_name(evaluation)), f"has no column {', '.join(missing)}; evaluate the model again")
    values = _values(measured, records)
    parts = records.partition_by("task", maintain_order=True, as_dict=True)
    names = [str(task) for (task,) in parts]
    for name, rows in zip(names, parts.values(), strict=True):
        yield RunTask(
            evaluation=evaluation,
            task=name,
            rows=rows,
            values=values.get(name, {}),
            findings=[one for one in findings if one.task == name],
            of_several=[one for one in findings if one.task not in names],
        )


def _values(measured: EvaluationKind, records: pl.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """Task -> item -> measure -> value."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for task, metric, item, value in measured.items(records).select("task", "metric", "item", "value").iter_rows():
        found.setdefault(task, {}).setdefault(item, {})[metric] = value
    return found


# as text


def plain(value: Any, *, infinite_as_text: bool = True) -> Any:
    """The same, JSON-ready: NaN becomes None, an infinite number "inf" or "-inf", or None as well.

    >>> plain({"shares": (0.5, float("nan"), float("-inf"))})
    {'shares': [0.5, None, '-inf']}
    """
    if isinstance(value, Mapping):
        return {str(name): plain(one, infinite_as_text=infinite_as_text) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one, infinite_as_text=infinite_as_text) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value) if infinite_as_text and not math.isnan(value) else None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def safe_name(text: str) -> str:
    """A name for a file that tells texts apart: a plain text itself, any other with a - and a part of its hash.

    Letters a-z, digits, _ and - only, at most 89 of them, whatever the text is; two texts never differ by case alone.

    >>> safe_name("coinflip"), safe_name("ratings_../x")
    ('coinflip', 'ratings_x-cc16a66b')
    """
    if len(text) <= _MOST and _SAFE.fullmatch(text):
        return text
    kept = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:_MOST] or "task"
    return f"{kept}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def shares_text(options: Sequence[str], shares: Sequence[float]) -> str:
    """A distribution as JSON, options in their order; every number as exact as it was.

    >>> shares_text(["heads", "tails"], [0.25, 0.75])
    '{"heads": 0.25, "tails": 0.75}'
    """
    return json.dumps(dict(zip(options, map(plain, shares), strict=True)), ensure_ascii=False)


def probabilities(logprobs: Sequence[float | None]) -> list[float]:
    """Log-probabilities of options, renormalised over them; NaN for all where none has a probability above 0.

    >>> probabilities([-900.0, -900.0])
    [0.5, 0.5]
    """
    numbers = [math.nan if one is None else one for one in logprobs]
    most = max(numbers, default=math.nan)
    if any(map(math.isnan, numbers)) or not math.isfinite(most):
        return [math.nan] * len(numbers)
    weights = [math.exp(one - most) for one in numbers]
    return [one / sum(weights) for one in weights]


# what was asked


def coverage_requests(task: str, config: Mapping[str, Any]) -> dict[str, tuple[str | None, tuple[str, ...]]]:
    """Description and examples of each prompt of a coverage task, which are not in its records.

    None of them where the run was made by another version, or where the task's data are not here.
    """
    import pluralign

    if config.get("pluralign_version") != pluralign.__version__:
        return {}
    try:
        questions = kind(_COVERAGE).material(task, Setting(limit=1)).questions
    except PluralignError:
        return {}
    episodes = {one.prompt: one.query.episode for one in questions}
    return {name: (one.description, tuple(e.output for e in one.examples)) for name, one in episodes.items()}
