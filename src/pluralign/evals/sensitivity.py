"""Sensitivity: how much a model's distribution changes with what should not matter.

    wording       the same question in another frame (`sensitivity_variants.in_other_wordings`)
    order         its options listed in another order (`sensitivity_variants.in_other_orders`)
    elicitation   log-probabilities, samples or stated numbers: see `sensitivity_elicitations`

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
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from pluralign.errors import DataError
from pluralign.estimates import Estimate, undefined
from pluralign.evals.alignment_records import RECORD_SCHEMA, checked_records
from pluralign.evals.findings import ITEM_SCHEMA, Finding, Reference, mean_of
from pluralign.evals.noise_floor import resampled_shares
from pluralign.evals.sensitivity_rows import DRAWN_ANEW, KEYS, Asked, item_table, total_variation

__all__ = ["averaged", "sensitivity_findings", "sensitivity_items"]


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
        items = _of_part(part, metric)
        if not len(items):
            continue
        group = way if is_one_of_several else None
        ceiling = None
        if part.frame["n_samples"].null_count() < len(part.frame):
            ceiling = Reference(DRAWN_ANEW, _mean(part, _of_part(part, metric, drawn_anew=seed), metric, seed))
        found.append(
            Finding(
                task=part.task,
                metric=metric,
                label=f"{metric.replace('_', ' ').capitalize()}, total variation",
                scale="0..1",
                better="lower",
                estimate=_mean(part, items, metric, seed),
                ceiling=ceiling,
                group=group,
                is_headline=group is None,
            )
        )
        known = items.with_columns(value=pl.col("value").is_not_nan().cast(pl.Float64))
        found.append(
            Finding(
                task=part.task,
                metric=f"{metric}_measured_share",
                label=f"{metric.replace('_', ' ').capitalize()}: questions with two answers",
                scale="share",
                better="higher",
                estimate=_mean(part, known, metric, seed),
                group=group,
            )
        )
    if not found:
        raise DataError("records of alignment", "no question was asked in two ways; ask variants of it")
    return found


def averaged(records: pl.DataFrame) -> pl.DataFrame:
    """A record a question: the mean of its variants' probabilities, covered mass included; as the records of one way of asking.

    A variant thus weighs as much as the mass that it has on the options. A question one of whose variants was not answered has
    no mean: its outcome is that variant's, and the detail says how many there are.
    """
    found = [_mean_record(group) for _, group in checked_records(records).group_by(KEYS, maintain_order=True)]
    return pl.DataFrame(found, schema=RECORD_SCHEMA)


# one task


def _mean(part: Asked, items: pl.DataFrame, metric: str, seed: int) -> Estimate:
    if items["value"].is_nan().all():
        return undefined("no question has a distribution in two ways of asking", unit=part.unit_name, seed=seed)
    return mean_of(items, part.task, metric, unit=part.unit_name, seed=seed)


def _parts(records: pl.DataFrame) -> Iterator[tuple[Asked, str, bool]]:
    """The records of each task and elicitation, and whether the task has several."""
    for of_task in checked_records(records).partition_by("task", maintain_order=True):
        several = of_task.partition_by("elicitation", maintain_order=True)
        for part in several:
            yield Asked.of(part), part["elicitation"][0], len(several) > 1


def _of_part(part: Asked, metric: str, *, suffix: str = "", drawn_anew: int | None = None) -> pl.DataFrame:
    """Distances between variants; with a seed those between samples of their mean, of as many as there were."""
    several = {item: rows for item, rows in part.rows_by_item().items() if len(rows) > 1}
    values = []
    for item, rows in several.items():
        known = [i for i in rows if i in part.model]
        if len(known) < 2:
            values.append(math.nan)
        elif drawn_anew is None:
            pairs = itertools.combinations(known, 2)
            values.append(float(np.mean([total_variation(part.model[a], part.model[b]) for a, b in pairs])))
        else:
            values.append(_chance(part, known, f"{part.task}\0{item}", drawn_anew))
    units = [part.units[rows[0]] for rows in several.values()]
    return item_table(part.task, metric, [item + suffix for item in several], units, values)


def _chance(part: Asked, rows: Sequence[int], key: str, seed: int) -> float:
    """Mean distance between samples of the mean distribution, each of as many as gave an option."""
    counts = np.array([part.n_counted(i) for i in rows], dtype=np.float64)
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
