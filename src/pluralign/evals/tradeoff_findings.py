"""What the records of a trade-off say, for `tradeoff`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.estimates import Estimate, estimate_mean
from pluralign.evals.findings import Finding, Reference
from pluralign.evals.tradeoff_scores import (
    Scores,
    front_membership,
    hypervolume_estimate,
    objective_means,
    pareto_improvement,
    steered_scores,
)

__all__ = ["tradeoff_findings", "tradeoff_items"]

FloatArray = npt.NDArray[np.float64]
Variant = tuple[str, str | None]
"""A system and what it was told."""


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """The scores of one task."""

    task: str
    variants: tuple[Variant, ...]
    objectives: tuple[str, ...]
    items: tuple[str, ...]
    units: tuple[str, ...]
    """Of the items."""
    values: FloatArray
    """[variants, items, objectives]; NaN where there is none."""
    reference: FloatArray | None

    @property
    def systems(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(system for system, _ in self.variants))

    @property
    def is_complete(self) -> npt.NDArray[np.bool_]:
        """[items] whether all scores are there."""
        return np.asarray(np.isfinite(self.values).all(axis=(0, 2)))

    def name(self, variant: Variant) -> str:
        """For people: what it was told, the system where there are several."""
        system, told = variant
        if told is None:
            return system if len(self.systems) > 1 else "told nothing"
        words = ", ".join(f"{name} {100 * weight:.3g} %" for name, weight in json.loads(told).items())
        return f"{system}: {words}" if len(self.systems) > 1 else words

    def told(self, system: str) -> list[int]:
        """Positions of the system's variants that were told something."""
        return [n for n, (one, told) in enumerate(self.variants) if one == system and told is not None]

    def plain(self, system: str) -> int | None:
        """Position of the system told nothing; None where there is none."""
        return next((n for n, variant in enumerate(self.variants) if variant == (system, None)), None)

    def weights(self, told: Sequence[int]) -> FloatArray:
        """[functions, objectives]"""
        known = [json.loads(self.variants[n][1] or "{}") for n in told]
        return np.array([[one.get(name, 0.0) for name in self.objectives] for one in known], dtype=np.float64)


def tradeoff_items(records: pl.DataFrame) -> list[tuple[str, str, str, str, float]]:
    """Rows of `findings.ITEM_SCHEMA`, of tasks with one system."""
    rows: list[tuple[str, str, str, str, float]] = []
    for (task,), some in records.group_by("task", maintain_order=True):
        table = _table(str(task), some)
        if len(table.systems) > 1:
            continue
        told, plain = table.told(table.systems[0]), table.plain(table.systems[0])
        columns: dict[str, FloatArray] = {}
        if told:
            columns["steered_score"] = np.einsum("fo,fio->i", table.weights(told), table.values[told]) / len(told)
        if plain is not None:
            columns |= {f"objective: {name}": table.values[plain, :, k] for k, name in enumerate(table.objectives)}
        for metric, values in columns.items():
            each = zip(table.items, table.units, values, strict=True)
            rows += [(str(task), metric, item, unit, float(value)) for item, unit, value in each]
    return rows


def tradeoff_findings(task: str, records: pl.DataFrame, *, seed: int) -> list[Finding]:
    """All of one task; see `tradeoff`."""
    table = _table(task, records)
    complete = table.is_complete
    _, units = np.unique(np.array(table.units), return_inverse=True)
    share = estimate_mean(complete.astype(np.float64), units, unit="item", seed=seed)
    found = [_finding(table, "complete", "items with all scores", share, scale="share")]
    if not complete.any():
        return found
    scores = Scores(
        variants=tuple(map(table.name, table.variants)),
        objectives=table.objectives,
        values=table.values[:, complete],
        units=units[complete],
    )
    steered = [finding for system in table.systems for finding in _steered_findings(table, scores, system, seed)]
    return [
        *steered,
        *_volumes(table, scores, seed),
        *_variant_findings(table, scores, seed),
        *_pairs(table, scores, seed),
        *found,
    ]


def _finding(
    table: _Table, metric: str, label: str, estimate: Estimate, *, group: str | None = None, scale: str = "score"
) -> Finding:
    return Finding(task=table.task, metric=metric, label=label, scale=scale, better="higher", estimate=estimate, group=group)


def _steered_findings(table: _Table, scores: Scores, system: str, seed: int) -> list[Finding]:
    told, plain = table.told(system), table.plain(system)
    if not told:
        return []
    used = [*told, *([] if plain is None else [plain])]
    unsteered = None if plain is None else len(told)
    found = steered_scores(scores.take(used), table.weights(told), unsteered=unsteered, seed=seed)
    group = system if len(table.systems) > 1 else None
    score = replace(
        _finding(table, "steered_score", "weighted as it was told", found.steered, group=group),
        floor=Reference("told nothing", found.unsteered),
        ceiling=Reference("best of all variants for each weighting", found.best_of_all),
        is_headline=group is None,
    )
    over = f"weighted as it was told, minus the best fixed ({found.fixed})"
    return [
        score,
        _finding(table, "steered_gain", "weighted as it was told, minus told nothing", found.gain, group=group),
        _finding(table, "steered_over_fixed", over, found.over_fixed, group=group),
    ]


def _volumes(table: _Table, scores: Scores, seed: int) -> list[Finding]:
    """Of each system all its variants together, and of all systems."""
    if table.reference is None:
        return []
    groups: dict[str | None, list[int]] = {None: list(range(len(table.variants)))}
    if len(table.systems) > 1:
        groups |= {system: [n for n, (one, _) in enumerate(table.variants) if one == system] for system in table.systems}
    point = ", ".join(f"{value:g}" for value in table.reference)
    return [
        _finding(
            table,
            "hypervolume",
            f"hypervolume above ({point})",
            hypervolume_estimate(scores.take(some), table.reference, seed=seed),
            group=group,
            scale="product of scores",
        )
        for group, some in groups.items()
    ]


def _variant_findings(table: _Table, scores: Scores, seed: int) -> list[Finding]:
    means, front = objective_means(scores, seed=seed), front_membership(scores, seed=seed)
    only = table.plain(table.systems[0]) if len(table.systems) == 1 else None
    found = []
    for n, name in enumerate(scores.variants):
        group = None if n == only else name
        found += [
            _finding(table, f"objective: {objective}", objective, mean, group=group)
            for objective, mean in zip(table.objectives, means[n], strict=True)
        ]
        found.append(_finding(table, "on_front", "on the front (1) or not (0)", front[n], group=group, scale="0 or 1"))
    return found


def _pairs(table: _Table, scores: Scores, seed: int) -> list[Finding]:
    """Of systems told nothing: every pair of which the means of one are a Pareto improvement on the other's."""
    plain = [n for n, (_, told) in enumerate(table.variants) if told is None]
    found = []
    for ours in plain:
        for theirs in plain:
            one = pareto_improvement(scores, ours, theirs, seed=seed)
            for name, difference, joint in zip(table.objectives, one.differences, one.joint, strict=True):
                if one.is_improvement and joint is not None:
                    wide = replace(difference, low=joint[0], high=joint[1])
                    label = f"difference in {name}; all objectives together: {one.verdict}"
                    found.append(_finding(table, f"pareto: {name}", label, wide, group=f"{one.ours} over {one.theirs}"))
    return found


def _table(task: str, records: pl.DataFrame) -> _Table:
    told = [None if text is None else str(text) for text in records["weights"]]
    each = list(zip(records["system"], told, strict=True))
    variants, objectives = tuple(dict.fromkeys(each)), tuple(dict.fromkeys(records["objective"]))
    by_item = dict(zip(records["item"], records["unit"], strict=True))
    items = tuple(by_item)
    values = np.full((len(variants), len(items), len(objectives)), np.nan)
    places = [{name: n for n, name in enumerate(names)} for names in (variants, items, objectives)]
    at = (
        [places[0][variant] for variant in each],
        [places[1][item] for item in records["item"]],
        [places[2][objective] for objective in records["objective"]],
    )
    values[at] = records["value"].fill_null(np.nan).to_numpy()
    low = dict(zip(records["objective"], records["reference"], strict=True))
    reference = None if any(low[name] is None for name in objectives) else np.array([low[name] for name in objectives])
    return _Table(task, variants, objectives, items, tuple(by_item.values()), values, reference)
