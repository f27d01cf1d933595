"""`compare`: paired differences of runs on the same items.

The first run is what the others are compared with. A difference is the mean over items of (other - first), with an interval
from resampling the items' units, and a p-value from turning the signs of whole units at random, which is exact where the two
models differ by chance alone. P-values of all measures and runs together are adjusted by Holm's method.

Source: Fisher 1935 (sign-flipping test of paired differences); Holm 1979.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import DataError, UsageError
from pluralign.estimates import Estimate, estimate_mean, holm, undefined, unit_sums
from pluralign.evals.findings import Better, Finding
from pluralign.evals.registry import kind
from pluralign.evals.results import Evaluated, read_evaluated, read_records
from pluralign.metrics.information import permutation_p_value
from pluralign.streams import stream

__all__ = ["Comparison", "Difference", "compared"]

FloatArray = npt.NDArray[np.float64]

N_BLOCKS, N_TOGETHER = 20, 500
"""Sign flips: so many times so many."""
_KEYS = ["task", "metric", "item"]


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
    n_items: int = 0
    n_undefined: int = 0
    """Items that both runs have and of which one has no value; they are left out."""
    is_headline: bool = False

    @property
    def is_clear(self) -> bool:
        """Whether it is told from chance, at 5 % over all differences."""
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
    folders = [Path(one) for one in runs]
    names = [folder.name for folder in folders]
    if len(folders) < 2:
        raise UsageError("compare needs at least two run folders.")
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    found = dict(zip(names, map(read_evaluated, folders), strict=True))
    differences: list[Difference] = []
    for evaluation in found[names[0]].findings:
        tables = {name: folder for name, folder in zip(names, folders, strict=True) if evaluation in found[name].findings}
        if names[0] in tables and len(tables) > 1:
            differences += _of_evaluation(evaluation, tables, found[names[0]].findings[evaluation], tuple(metrics), seed)
    if not differences:
        raise DataError(", ".join(map(str, folders)), "have no task in common that can be compared")
    return Comparison(runs=found, differences=_adjusted(differences))


def _of_evaluation(
    evaluation: str, folders: Mapping[str, Path], findings: Sequence[Finding], metrics: tuple[str, ...], seed: int
) -> list[Difference]:
    items = {name: kind(evaluation).items(read_records(folder, evaluation)) for name, folder in folders.items()}
    (first, ours), *others = items.items()
    labels = {(f.task, f.metric): f for f in reversed(findings) if f.group is None}
    found = []
    for name, theirs in others:
        for task in sorted(set(ours["task"]) & set(theirs["task"])):
            _check_same_items(task, {first: ours, name: theirs})
        both = ours.join(theirs, on=_KEYS, suffix="_other").sort(_KEYS)
        for (task, metric), rows in both.group_by("task", "metric", maintain_order=True):
            label = labels.get((str(task), str(metric)))
            if label is not None and (not metrics or metric in metrics):
                found.append(_difference(name, evaluation, label, rows, seed))
    return found


def _check_same_items(task: str, tables: Mapping[str, pl.DataFrame]) -> None:
    asked = {name: set(table.filter(pl.col("task") == task)["item"].unique()) for name, table in tables.items()}
    (first, ours), (other, theirs) = asked.items()
    if ours != theirs:
        told = (
            f"{len(ours - theirs):,} items only {first} has, {len(theirs - ours):,} only {other}, {len(ours & theirs):,} both"
        )
        raise DataError(f"task {task}", f"{told}; evaluate both with the same --seed, --limit and data")


def _difference(run: str, evaluation: str, label: Finding, rows: pl.DataFrame, seed: int) -> Difference:
    change = (rows["value_other"] - rows["value"]).to_numpy()
    is_known = ~np.isnan(change)
    _, units = np.unique(rows["unit"].to_numpy()[is_known], return_inverse=True)
    values = change[is_known]
    if not np.isfinite(values).all():
        estimate = undefined("infinite for some items", unit=label.estimate.unit, seed=seed)
    else:
        estimate = estimate_mean(values, units, unit=label.estimate.unit, seed=seed)
    return Difference(
        run=run,
        evaluation=evaluation,
        task=label.task,
        metric=label.metric,
        label=label.label,
        scale=label.scale,
        better=label.better,
        estimate=estimate,
        p_value=_sign_flip_p(values, units, seed) if estimate.is_defined else None,
        n_items=len(rows),
        n_undefined=int((~is_known).sum()),
        is_headline=label.is_headline,
    )


def _sign_flip_p(values: FloatArray, units: npt.NDArray[np.int64], seed: int) -> float:
    """Two-sided: how often random signs of whole units give a sum as far from 0."""
    sums, _ = unit_sums(values, units, int(units.max()) + 1)
    rng = stream(seed, "sign flips")
    signs = (2.0 * rng.integers(0, 2, size=(N_TOGETHER, len(sums))) - 1 for _ in range(N_BLOCKS))
    flipped = np.concatenate([np.abs(some @ sums) for some in signs])
    return permutation_p_value(abs(float(sums.sum())), flipped)


def _adjusted(differences: Sequence[Difference]) -> list[Difference]:
    tested = [one for one in differences if one.p_value is not None]
    adjusted = iter(holm([one.p_value for one in tested if one.p_value is not None]))
    return [one if one.p_value is None else replace(one, adjusted_p_value=next(adjusted)) for one in differences]
