"""`compare`: paired differences of runs on the same items.

The first run is what the others are compared with. A difference is the mean over items of (other - first), with an interval
from resampling the items' units, and a p-value from turning the signs of whole units at random, which is exact where the two
models differ by chance alone. Measures of independent draws, which make no pairs, are compared otherwise: `compare_draws`.

A part of a task that findings name as a group ("k = 8", "women") has differences of its own, where items tell which are of it.
P-values are adjusted by Holm's method, those of whole tasks for all measures and runs together, and apart from them those of
groups, so that groups that nobody looks at cost the whole tasks nothing.

Source: Fisher 1935 (sign-flipping test of paired differences); Holm 1979.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import DataError, UsageError
from pluralign.estimates import Estimate, estimate_mean, holm, undefined, unit_sums
from pluralign.evals import compare_draws
from pluralign.evals.coverage_measures import Z, independent_difference
from pluralign.evals.findings import Better, Finding
from pluralign.evals.registry import kind
from pluralign.evals.results import Evaluated, read_evaluated, read_records
from pluralign.metrics.information import permutation_p_value
from pluralign.stores import Place, place
from pluralign.streams import stream

__all__ = ["Comparison", "Difference", "compared"]

FloatArray = npt.NDArray[np.float64]

N_BLOCKS, N_TOGETHER = 20, 500
"""Sign flips: so many times so many."""
_KEYS = ["task", "metric", "item"]
_GROUPS = ("group", "group_unit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Of one measure on one task, a run minus the first."""

    run: str
    evaluation: str
    task: str
    metric: str
    label: str
    scale: str
    better: Better
    estimate: Estimate
    p_value: float | None
    """None where the difference is undefined."""
    adjusted_p_value: float | None = None
    group: str | None = None
    """Of what part of the task; None for all of it."""
    n_items: int = 0
    n_undefined: int = 0
    """Items that both runs have and of which one has no value; they are left out."""
    is_headline: bool = False

    @property
    def is_clear(self) -> bool:
        """Whether it is told from chance, at 5 % over all differences of whole tasks, or over all of groups."""
        return self.adjusted_p_value is not None and self.adjusted_p_value <= 0.05

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        plain = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "estimate"}
        return {**plain, "estimate": self.estimate.to_dict()}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Several runs, by the names of their folders, and how they differ from the first."""

    runs: Mapping[str, Evaluated]
    differences: Sequence[Difference]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "runs": {name: {"model": run.model} for name, run in self.runs.items()},
            "differences": [one.to_dict() for one in self.differences],
        }


def compared(runs: Sequence[str | os.PathLike[str]], *, metrics: Sequence[str] = (), seed: int = 0) -> Comparison:
    """How the other runs differ from the first, on every task that all have.

    Raises UsageError for fewer than two runs or two folders of one name, DataError for folders that are not of `evaluate`, that
    have no task in common, or asked other items of a task: a difference of those would not be one of the models.
    """
    folders = [place(one) for one in runs]
    names = [folder.name for folder in folders]
    if len(folders) < 2:
        raise UsageError("compare needs at least two run folders.")
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    found = dict(zip(names, map(read_evaluated, folders), strict=True))
    differences: list[Difference] = []
    for evaluation in found[names[0]].findings:
        tables = {name: folder for name, folder in zip(names, folders, strict=True) if evaluation in found[name].findings}
        if len(tables) > 1:
            some = [_Run.of(name, folder, evaluation, found[name].findings[evaluation]) for name, folder in tables.items()]
            differences += _of_evaluation(evaluation, some, tuple(metrics), seed)
    if not differences:
        raise DataError(", ".join(map(str, folders)), "have no task in common that can be compared")
    return Comparison(runs=found, differences=_adjusted(differences))


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """What a run says of one evaluation."""

    name: str
    findings: Mapping[tuple[str, str, str | None], Finding]
    """By task, measure and group."""
    records: pl.DataFrame
    items: pl.DataFrame

    @classmethod
    def of(cls, name: str, folder: Place, evaluation: str, findings: Sequence[Finding]) -> _Run:
        records = read_records(folder, evaluation)
        items = kind(evaluation).items(records)
        nothing = [pl.lit(None, dtype=pl.String).alias(column) for column in _GROUPS if column not in items.columns]
        return cls(name, {(f.task, f.metric, f.group): f for f in reversed(findings)}, records, items.with_columns(nothing))


def _of_evaluation(evaluation: str, runs: Sequence[_Run], metrics: tuple[str, ...], seed: int) -> list[Difference]:
    first, *others = runs
    found: list[Difference] = []
    for other in others:
        for task in sorted(set(first.items["task"]) & set(other.items["task"])):
            _check_same_items(task, {run.name: run.items for run in (first, other)})
        both = first.items.join(other.items, on=_KEYS, suffix="_other").sort(_KEYS)
        for task, of_task in _parts_by(both, "task"):
            drawn = {metric for metric in of_task["metric"].unique() if _is_drawn(first, task, metric)}
            p_values = _dealt(first, other, task, seed) if drawn else {}
            for metric, rows in _parts_by(of_task, "metric"):
                if metrics and metric not in metrics:
                    continue
                if metric in drawn:
                    of_metric = {group: p for (name, group), p in p_values.items() if name == metric}
                    found += _unpaired(evaluation, (first, other), (task, metric), rows, of_metric)
                else:
                    found += _paired(evaluation, first, other.name, (task, metric), rows, seed)
    return found


def _parts_by(table: pl.DataFrame, column: str) -> Iterator[tuple[str, pl.DataFrame]]:
    """Without the rows where there is none."""
    for (value,), rows in table.drop_nulls(column).group_by(column, maintain_order=True):
        yield str(value), rows


def _check_same_items(task: str, tables: Mapping[str, pl.DataFrame]) -> None:
    asked = {name: set(table.filter(pl.col("task") == task)["item"].unique()) for name, table in tables.items()}
    (first, ours), (other, theirs) = asked.items()
    if ours != theirs:
        told = (
            f"{len(ours - theirs):,} items only {first} has, {len(theirs - ours):,} only {other}, {len(ours & theirs):,} both"
        )
        raise DataError(f"task {task}", f"{told}; evaluate both with the same --seed, --limit and data")


def _paired(
    evaluation: str, first: _Run, other: str, of: tuple[str, str], rows: pl.DataFrame, seed: int
) -> Iterator[Difference]:
    """By item, of the whole task and of each group that items name."""
    parts = [(None, rows, rows["unit"]), *((group, some, some["group_unit"]) for group, some in _parts_by(rows, "group"))]
    for group, some, units in parts:
        label = first.findings.get((*of, group))
        if label is None:
            continue
        change = (some["value_other"] - some["value"]).to_numpy()
        is_known = ~np.isnan(change)
        _, index = np.unique(units.to_numpy()[is_known], return_inverse=True)
        values = change[is_known]
        if not np.isfinite(values).all():
            estimate = undefined("infinite for some items", unit=label.estimate.unit, seed=seed)
        else:
            estimate = estimate_mean(values, index, unit=label.estimate.unit, seed=seed)
        yield _difference(
            other,
            evaluation,
            label,
            estimate,
            _sign_flip_p(values, index, seed) if estimate.is_defined else None,
            n_items=len(some),
            n_undefined=int((~is_known).sum()),
        )


def _is_drawn(run: _Run, task: str, metric: str) -> bool:
    """Whether it is a measure of independent draws, of which those of two runs are no pairs."""
    label = run.findings.get((task, metric, None))
    return label is not None and label.estimate.unit == compare_draws.UNIT


def _dealt(first: _Run, other: _Run, task: str, seed: int) -> dict[tuple[str, str | None], float]:
    prompts = compare_draws.prompts_of(first.records, other.records, task)
    return compare_draws.dealt_p_values(prompts, task=task, seed=seed)


def _unpaired(
    evaluation: str,
    runs: tuple[_Run, _Run],
    of: tuple[str, str],
    rows: pl.DataFrame,
    p_values: Mapping[str | None, float],
) -> Iterator[Difference]:
    """Of the whole task and of each group that both runs have, from what the runs found by themselves."""
    first, other = runs
    n_undefined = int((rows["value"].is_nan() | rows["value_other"].is_nan()).sum())
    for (task, metric, group), label in sorted(first.findings.items(), key=lambda pair: pair[0][2] or ""):
        theirs = other.findings.get((task, metric, group))
        if (task, metric) != of or theirs is None:
            continue
        estimate = independent_difference(theirs.estimate, label.estimate)
        yield _difference(
            other.name,
            evaluation,
            label,
            estimate,
            p_values.get(group, _p_of_interval(estimate)) if estimate.is_defined else None,
            n_items=len(rows) if group is None else label.estimate.n,
            n_undefined=n_undefined if group is None else 0,
        )


def _difference(
    run: str,
    evaluation: str,
    label: Finding,
    estimate: Estimate,
    p_value: float | None,
    *,
    n_items: int,
    n_undefined: int,
) -> Difference:
    return Difference(
        run=run,
        evaluation=evaluation,
        task=label.task,
        metric=label.metric,
        label=label.label,
        scale=label.scale,
        better=label.better,
        group=label.group,
        estimate=estimate,
        p_value=p_value,
        n_items=n_items,
        n_undefined=n_undefined,
        is_headline=label.is_headline,
    )


def _p_of_interval(estimate: Estimate) -> float:
    """Two-sided, as if the side of the interval towards 0 were that of a normal distribution."""
    towards = estimate.value - estimate.low if estimate.value > 0 else estimate.high - estimate.value
    if not estimate.value:
        return 1.0
    return math.erfc(abs(estimate.value) / towards * Z / math.sqrt(2)) if towards > 0 else 0.0


def _sign_flip_p(values: FloatArray, units: npt.NDArray[np.int64], seed: int) -> float:
    """Two-sided: how often random signs of whole units give a sum as far from 0."""
    sums, _ = unit_sums(values, units, int(units.max()) + 1)
    rng = stream(seed, "sign flips")
    signs = (2.0 * rng.integers(0, 2, size=(N_TOGETHER, len(sums))) - 1 for _ in range(N_BLOCKS))
    flipped = np.concatenate([np.abs(some @ sums) for some in signs])
    return permutation_p_value(abs(float(sums.sum())), flipped)


def _adjusted(differences: Sequence[Difference]) -> list[Difference]:
    """Those of whole tasks, and those of groups, each family by itself; the order stays."""
    adjusted: dict[int, float] = {}
    for is_group in (False, True):
        family = [(n, one.p_value) for n, one in enumerate(differences) if (one.group is not None) == is_group]
        tested = [(n, p) for n, p in family if p is not None]
        adjusted |= zip([n for n, _ in tested], holm([p for _, p in tested]), strict=True)
    return [replace(one, adjusted_p_value=adjusted.get(n)) for n, one in enumerate(differences)]
