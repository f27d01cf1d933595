"""From records of one task and elicitation to items and findings: see `alignment`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.estimates import Estimate
from pluralign.evals.alignment_groups import Steering, steering
from pluralign.evals.alignment_measures import MEASURES, SIMBENCH, Measure
from pluralign.evals.alignment_records import Rows
from pluralign.evals.alignment_values import NOTHING, Part, part_of, values_of_model, values_of_uniform
from pluralign.evals.findings import GROUPED_ITEM_SCHEMA, Better, Finding, Reference
from pluralign.evals.noise_floor import split_half_total_variation

__all__ = ["part_findings", "part_items"]

FloatArray = npt.NDArray[np.float64]

_OF_GROUPS = tuple(measure for measure in MEASURES if measure.metric in ("total_variation", "js_divergence_nats"))
_OUTCOMES = {
    "refusal": "Refused",
    "malformed": "Malformed",
    "failed": "Failed",
    "no_mass": "No probability on any option",
}
_UNKNOWN = "how many people stand behind the shares is not known"


def part_items(rows: Rows, *, suffix: str) -> pl.DataFrame:
    """Values by question and measure, `GROUPED_ITEM_SCHEMA`; `suffix` ends every item's name."""
    frame, values = rows.frame, values_of_model(rows)
    values[SIMBENCH.metric] = _simbench_items(values["total_variation"], values_of_uniform(rows)["total_variation"])
    values["covered_mass"] = _covered(rows)
    groups = {"group": frame["group"], "group_unit": frame["question"]}
    parts = [_items(frame, metric, frame["item"] + suffix, frame["unit"], of, groups) for metric, of in values.items()]
    steered = steering(rows, seed=None)
    if steered.questions:
        names = pl.Series(steered.questions, dtype=pl.String)
        parts.append(_items(frame, "steering_gain", names + suffix, names, steered.gain, {}))
    return pl.concat(parts)


def part_findings(rows: Rows, *, seed: int, within: str | None) -> list[Finding]:
    """All findings; `within` is said as the group, or before its name."""
    part = part_of(rows, seed=seed, group=within)
    found = [*_measure_findings(part, MEASURES), _simbench_finding(part), *_outcome_findings(part, rows)]
    found.append(_halves_finding(part, rows))
    groups = rows.frame["group"]
    questions = np.unique(rows.frame["question"].to_numpy(), return_inverse=True)[1]
    for group in sorted(groups.drop_nulls().unique().to_list()):
        name = group if within is None else f"{within}, {group}"
        mask = (groups == group).fill_null(False).to_numpy()
        found += _measure_findings(part.only(mask, questions, unit="question", group=name), _OF_GROUPS)
    return [*found, *_steering_findings(part, steering(rows, seed=seed))]


def _items(
    frame: pl.DataFrame,
    metric: str,
    items: pl.Series,
    units: pl.Series,
    values: FloatArray,
    groups: Mapping[str, pl.Series],
) -> pl.DataFrame:
    task = pl.Series([frame["task"][0]] * len(items), dtype=pl.String)
    columns = {"task": task, "metric": pl.Series([metric] * len(items), dtype=pl.String), "item": items, "unit": units}
    nothing = pl.Series([None] * len(items), dtype=pl.String)
    groups = {"group": nothing, "group_unit": nothing, **groups}
    return pl.DataFrame({**columns, "value": values, **groups}, schema=GROUPED_ITEM_SCHEMA)


def _covered(rows: Rows) -> FloatArray:
    return rows.frame["covered_mass"].to_numpy().astype(np.float64)


def _simbench_items(distance: FloatArray, baseline: FloatArray) -> FloatArray:
    """Of each question; their mean is the task's score. NaN where people are uniform on every question."""
    has = ~np.isnan(distance)
    mean = baseline[has].mean() if has.any() else 0.0
    return 100 * (1 - distance / mean) if mean > 1e-12 else np.full(len(distance), np.nan)


# beside floor and ceiling


def _measure_findings(part: Part, measures: Sequence[Measure]) -> Iterator[Finding]:
    """Measures beside the uniform distribution and resampled people, on the questions for which the model has a value."""
    columns = []
    for measure in measures:
        has = ~np.isnan(part.model[measure.metric])
        why = NOTHING if np.isnan(part.model["total_variation"]).all() else measure.why_undefined
        columns += [(np.where(has, of[measure.metric], np.nan), why) for of in (part.model, part.uniform, part.resampled)]
    estimates = part.means(columns)
    for i, measure in enumerate(measures):
        estimate, floor, ceiling = estimates[3 * i : 3 * i + 3]
        ceiling = _no_ceiling(part, part.model[measure.metric], part.resampled["total_variation"]) or ceiling
        yield _finding(part, measure, estimate, floor, ceiling)


def _simbench_finding(part: Part) -> Finding:
    """A ratio of means; whatever stands in the place of the model, it is divided by how far people are from uniform."""
    distance, uniform, resampled = (of["total_variation"] for of in (part.model, part.uniform, part.resampled))
    scores = []
    for of in (distance, uniform, resampled):
        ratio = part.ratio(np.where(np.isnan(distance), np.nan, of), uniform, SIMBENCH.why_undefined)
        value, low, high = (100 * (1 - end) for end in (ratio.value, ratio.high, ratio.low))
        scores.append(replace(ratio, value=value, low=low, high=high))
    estimate, floor, ceiling = scores
    return _finding(part, SIMBENCH, estimate, floor, _no_ceiling(part, distance, resampled) or ceiling)


def _no_ceiling(part: Part, values: FloatArray, resampled: FloatArray, why: str = _UNKNOWN) -> Estimate | None:
    """An estimate that says why there is no ceiling; None where there is one."""
    has = ~np.isnan(values)
    n_unknown = int((has & np.isnan(resampled)).sum())
    return part.undefined(f"{why} for {n_unknown:,} of {int(has.sum()):,} questions") if n_unknown else None


def _finding(part: Part, measure: Measure, estimate: Estimate, floor: Estimate, ceiling: Estimate) -> Finding:
    return Finding(
        task=part.task,
        metric=measure.metric,
        label=measure.label,
        scale=measure.scale,
        better=measure.better,
        estimate=estimate,
        floor=Reference("uniform", floor),
        ceiling=Reference("the law itself" if part.is_law.all() else "resampled people", ceiling),
        group=part.group,
        is_headline=measure.is_headline and part.group is None,
    )


# without them


def _outcome_findings(part: Part, rows: Rows) -> Iterator[Finding]:
    """The mass on the options, the share of questions that have a distribution, and of what else came, where it came."""
    covered = part.mean(_covered(rows), "no request was answered")
    yield _plain(part, "covered_mass", "Probability on the options", "0..1", "higher", covered)
    outcomes = rows.frame["outcome"].to_numpy().astype(object)
    came = {name: outcomes == name for name in _OUTCOMES} | {"no_mass": (outcomes == "ok") & ~rows.has_distribution}
    shares = part.means([(of.astype(np.float64), "") for of in (rows.has_distribution, *came.values())])
    yield _plain(part, "answered_share", "Questions with a distribution", "share", "higher", shares[0])
    for (name, of), share in zip(came.items(), shares[1:], strict=True):
        if of.any():
            yield _plain(part, f"{name}_share", _OUTCOMES[name], "share", "lower", share)


def _halves_finding(part: Part, rows: Rows) -> Finding:
    """What people are to people; it says nothing of the model."""
    values, keys = np.full(len(rows.frame), np.nan), rows.keys
    for block in rows.blocks:
        names, answers = [keys[i] for i in block.index], block.answers
        values[block.index] = split_half_total_variation(answers.people, answers.n_people, names, seed=part.seed)
    estimate = part.mean(values, f"{_UNKNOWN}, or the shares are not of whole people")
    label = "One half of the people against the other, total variation"
    return _plain(part, "split_half_total_variation", label, "0..1", "neither", estimate)


def _plain(part: Part, metric: str, label: str, scale: str, better: Better, estimate: Estimate) -> Finding:
    return Finding(task=part.task, metric=metric, label=label, scale=scale, better=better, estimate=estimate, group=part.group)


def _steering_findings(part: Part, found: Steering) -> Iterator[Finding]:
    """The gain in total variation, and as a share of what the groups differ by."""
    if not found.questions:
        return
    own = replace(part, units=np.arange(len(found.questions)), unit="question")
    has, why = ~np.isnan(found.gain), "no question has distributions for two groups"
    columns = (found.gain, np.where(has, 0.0, np.nan), np.where(has, found.halved_gain, np.nan))
    unknown = _no_ceiling(own, found.gain, found.halved_gain, f"{_UNKNOWN}, or the shares are not of whole people,")
    gains = own.means([(values, why) for values in columns])
    shares = [own.ratio(values, found.difference, why) for values in columns]
    for metric, label, scale, (estimate, floor, ceiling) in (
        ("steering_gain", "Nearer to a group by its own description", "total variation", gains),
        ("steering_share", "Share of the groups' differences that descriptions bring out", "-1..1", shares),
    ):
        plain = _plain(part, metric, label, scale, "higher", estimate)
        yield replace(
            plain,
            floor=Reference("descriptions not looked at", floor),
            ceiling=Reference("half of each group's people", unknown or ceiling),
        )
