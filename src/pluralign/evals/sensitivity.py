"""Sensitivity: how much a model's distribution changes with what should not matter.

    wording       the same question in another frame (`sensitivity_variants.in_other_wordings`)
    order         its options listed in another order (`sensitivity_variants.in_other_orders`)
    elicitation   log-probabilities, samples or stated numbers (`compare_elicitations`)

A question is asked as it is and in some variants, through `ALIGNMENT.ask` like all others. Its sensitivity is the mean total
variation between pairs of its distributions, 0..1: 0 = nothing changes, 1 = other answers each time. Distributions are compared
over the options as the source has them, renormalised.

    questions = [variant for one in material.questions for variant in in_other_wordings(one)]
    records   = ALIGNMENT.ask(questions, model, setting)
    sensitivity_findings(records, seed=0)                       how much the wording matters
    ALIGNMENT.findings(averaged(records), seed=0)               alignment of the mean over wordings, as in the Roadmap paper

Counted samples change by chance alone: of sampled distributions the finding's ceiling is what drawing anew would change.

Source: Sorensen et al. 2024 (arXiv 2402.05070), mean over wordings; Meister et al. 2024 (arXiv 2411.05403), elicitation as a
factor. The measure is the project's own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import DataError
from pluralign.estimates import Estimate
from pluralign.evals.alignment_records import RECORD_SCHEMA, checked_records, rows_of
from pluralign.evals.findings import ITEM_SCHEMA, Better, Finding, Reference, mean_of
from pluralign.evals.noise_floor import resampled_shares

__all__ = ["averaged", "compare_elicitations", "sensitivity_findings", "sensitivity_items"]

FloatArray = npt.NDArray[np.float64]

_KEYS = ("task", "item", "elicitation")


def sensitivity_items(records: pl.DataFrame, *, metric: str = "wording_sensitivity") -> pl.DataFrame:
    """Of each question the mean total variation between pairs of its variants, `ITEM_SCHEMA`.

    NaN where fewer than two variants have a distribution; questions that were asked in one way only are left out. With several
    elicitations of a task an item's name ends in " (ELICITATION)".
    """
    found = [_of_part(part, metric, suffix=f" ({way})" if is_one else "") for part, way, is_one in _parts(records)]
    return pl.concat(found) if found else pl.DataFrame(schema=ITEM_SCHEMA)


def sensitivity_findings(records: pl.DataFrame, *, seed: int, metric: str = "wording_sensitivity") -> list[Finding]:
    """The mean over questions, task by task, and the share of questions that have one; several elicitations apart, as groups.

    `metric` names it: "wording_sensitivity", "order_sensitivity". Raises DataError where no question was asked in two ways.
    """
    found = []
    for part, way, is_one_of_several in _parts(records):
        items, task, unit = _of_part(part, metric), part.tasks[0], part.frame["unit_name"][0]
        if not len(items):
            continue
        group = way if is_one_of_several else None
        known = items.with_columns(value=pl.col("value").is_not_nan().cast(pl.Float64))
        ceiling = None
        if part.frame["n_samples"].null_count() < len(part.frame):
            chance = _of_part(part, metric, drawn_anew=seed)
            ceiling = Reference("drawing anew", mean_of(chance, task, metric, unit=unit, seed=seed))
        label = f"{metric.replace('_', ' ').capitalize()}, total variation"
        estimate = mean_of(items, task, metric, unit=unit, seed=seed)
        found.append(_finding(task, metric, label, "0..1", "lower", estimate, group=group, ceiling=ceiling))
        share = mean_of(known, task, metric, unit=unit, seed=seed)
        label = "Questions with two variants answered"
        found.append(_finding(task, f"{metric}_measured_share", label, "share", "higher", share, group=group))
    if not found:
        raise DataError("records of alignment", "no question was asked in two ways; ask variants of it")
    return found


def averaged(records: pl.DataFrame) -> pl.DataFrame:
    """A record a question: the mean of its variants' probabilities, covered mass included; as the records of one way of asking.

    A variant thus weighs as much as the mass that it has on the options. A question one of whose variants was not answered has
    no mean: its outcome is that variant's, and the detail says how many there are.
    """
    found = [_mean_record(group) for _, group in checked_records(records).group_by(_KEYS, maintain_order=True)]
    return pl.DataFrame(found, schema=RECORD_SCHEMA)


def compare_elicitations(records: pl.DataFrame, *, seed: int) -> list[Finding]:
    """What the way of asking changes, from the records of several runs of one model put together, task by task.

    For each pair of elicitations, named as the group: the mean total variation between the two distributions of a question, and
    the second's total variation to people minus the first's, both over the questions that have both. Raises DataError for
    fewer than two elicitations or a question that one of them has twice.
    """
    if checked_records(records)["elicitation"].n_unique() < 2:
        raise DataError("records of alignment", "there is one elicitation only; put the records of several runs together")
    if records.select(_KEYS).is_duplicated().any():
        raise DataError("records of alignment", "a question comes twice with one elicitation; average its variants first")
    found = []
    for of_task in records.partition_by("task", maintain_order=True):
        part = _Asked.of(of_task)
        for pair in itertools.combinations(sorted(set(part.ways)), 2):
            found += _of_pair(part, pair, seed)
    return found


# one task


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """Records with the distributions that they have."""

    frame: pl.DataFrame
    tasks: Sequence[str]
    items: Sequence[str]
    ways: Sequence[str]
    units: Sequence[str]
    model: Mapping[int, FloatArray]
    """Row to distribution, for rows that have one."""
    people: Mapping[int, FloatArray]

    @classmethod
    def of(cls, records: pl.DataFrame) -> _Asked:
        rows = rows_of(records)
        places = [(block.answers, j, i) for block in rows.blocks for j, i in enumerate(block.index.tolist())]
        model = {i: answers.model[j] for answers, j, i in places if rows.has_distribution[i]}
        people = {i: answers.people[j] for answers, j, i in places}
        tasks, items, ways, units = (records[name].to_list() for name in (*_KEYS, "unit"))
        return cls(records, tasks, items, ways, units, model, people)

    def rows_by_item(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for i, item in enumerate(self.items):
            found.setdefault(item, []).append(i)
        return found


def _parts(records: pl.DataFrame) -> Iterator[tuple[_Asked, str, bool]]:
    """The records of each task and elicitation, and whether the task has several."""
    for of_task in checked_records(records).partition_by("task", maintain_order=True):
        several = of_task.partition_by("elicitation", maintain_order=True)
        for part in several:
            yield _Asked.of(part), part["elicitation"][0], len(several) > 1


def _of_part(part: _Asked, metric: str, *, suffix: str = "", drawn_anew: int | None = None) -> pl.DataFrame:
    """Distances between variants; with a seed those between samples of their mean, of as many as there were."""
    several = {item: rows for item, rows in part.rows_by_item().items() if len(rows) > 1}
    values = []
    for item, rows in several.items():
        known = [i for i in rows if i in part.model]
        if len(known) < 2:
            values.append(math.nan)
        elif drawn_anew is None:
            pairs = itertools.combinations(known, 2)
            values.append(float(np.mean([_distance(part.model[a], part.model[b]) for a, b in pairs])))
        else:
            values.append(_chance(part, known, f"{part.tasks[0]}\0{item}", drawn_anew))
    units = [part.units[rows[0]] for rows in several.values()]
    task = part.tasks[0] if part.tasks else ""
    return _item_table(task, metric, [item + suffix for item in several], units, values)


def _chance(part: _Asked, rows: Sequence[int], key: str, seed: int) -> float:
    """Mean distance between samples of the mean distribution, each of as many as gave an option."""
    covered, n_samples = part.frame["covered_mass"], part.frame["n_samples"]
    counts = np.array([round(covered[i] * n_samples[i]) for i in rows], dtype=np.float64)
    mean = np.mean([part.model[i] for i in rows], axis=0)
    drawn = resampled_shares(np.tile(mean, (len(rows), 1)), counts, [f"{key}\0{j}" for j in range(len(rows))], seed=seed)
    pairs = itertools.combinations(range(len(rows)), 2)
    return float(np.mean([np.abs(drawn[:, a] - drawn[:, b]).sum(axis=1) / 2 for a, b in pairs]))


def _mean_record(variants: pl.DataFrame) -> dict[str, object]:
    first = variants.row(0, named=True) | {"variant": ""}
    failed = variants.filter(pl.col("outcome") != "ok")
    if len(failed):
        one = failed.row(0, named=True)
        detail = f"{len(failed)} of {len(variants)} variants: {one['variant']}: {one['detail']}"
        nothing = [math.nan] * len(first["options"])
        return first | {"outcome": one["outcome"], "detail": detail, "logprobs": nothing, "covered_mass": math.nan}
    mean = np.exp(np.array(variants["logprobs"].to_list(), dtype=np.float64)).mean(axis=0)
    with np.errstate(divide="ignore"):
        logprobs = np.log(mean).tolist()
    n_samples = None if variants["n_samples"].has_nulls() else int(variants["n_samples"].sum())
    return first | {"logprobs": logprobs, "covered_mass": float(mean.sum()), "n_samples": n_samples}


def _of_pair(part: _Asked, pair: tuple[str, str], seed: int) -> list[Finding]:
    between, change, units = [], [], []
    for rows in part.rows_by_item().values():
        of_way = {part.ways[i]: i for i in rows}
        if not all(way in of_way for way in pair):
            continue
        a, b = (of_way[way] for way in pair)
        has = a in part.model and b in part.model
        between.append(_distance(part.model[a], part.model[b]) if has else math.nan)
        nearer = _distance(part.model[a], part.people[a]) if has else math.nan
        change.append(_distance(part.model[b], part.people[b]) - nearer if has else math.nan)
        units.append(part.units[a])
    task, unit, group = part.tasks[0], part.frame["unit_name"][0], ", ".join(pair)
    items = [str(i) for i in range(len(units))]
    apart, moved = (
        mean_of(_item_table(task, "", items, units, values), task, "", unit=unit, seed=seed) for values in (between, change)
    )
    label = "Second minus first, total variation to people"
    return [
        _finding(task, "elicitation_sensitivity", "Two elicitations, total variation", "0..1", "lower", apart, group=group),
        _finding(task, "elicitation_change", label, "-1..1", "neither", moved, group=group),
    ]


def _finding(
    task: str,
    metric: str,
    label: str,
    scale: str,
    better: Better,
    estimate: Estimate,
    *,
    group: str | None,
    ceiling: Reference | None = None,
) -> Finding:
    return Finding(
        task=task, metric=metric, label=label, scale=scale, better=better, estimate=estimate, group=group, ceiling=ceiling
    )


def _distance(p: FloatArray, q: FloatArray) -> float:
    return float(np.abs(p - q).sum() / 2)


def _item_table(task: str, metric: str, items: Sequence[str], units: Sequence[str], values: Sequence[float]) -> pl.DataFrame:
    same = {"task": [task] * len(items), "metric": [metric] * len(items)}
    return pl.DataFrame(same | {"item": items, "unit": units, "value": values}, schema=ITEM_SCHEMA)
