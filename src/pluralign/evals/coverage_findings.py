"""What the records of `coverage` say: measures of each prompt, their means over the prompts of a task, and over tasks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.estimates import Estimate, estimate_mean, undefined
from pluralign.evals.coverage_measures import (
    Drawn,
    collision_estimate,
    distinct_estimate,
    distinct_k_estimate,
    distinct_values,
    drawn_of,
    mean_of_independent,
    share_estimate,
    uniform_distinct,
    utility_k_estimate,
)
from pluralign.evals.equivalence import EXACT, FOLDED, Equivalence, classes_of
from pluralign.evals.findings import ITEM_SCHEMA, Better, Finding, Reference

__all__ = ["Counting", "coverage_findings", "coverage_items"]

FLOOR, CEILING = "one output, always", "even draws from the closed set"
SHARE, UNIT = "share", "generation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """How distinct_k and utility_k count."""

    equivalence: Equivalence = FOLDED
    k: int = 10
    patience: float = 0.8


@dataclass(frozen=True, slots=True)
class _Measure:
    metric: str
    label: str
    scale: str
    better: Better
    estimate: Estimate
    floor: float | None = None
    ceiling: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Prompt:
    """The generations of one prompt."""

    n_asked: int
    n: int
    """Those that came."""
    outcomes: Mapping[str, int]
    texts: Sequence[str]
    """Of whole outputs."""
    is_valid: npt.NDArray[np.bool_]
    """[whole outputs]"""
    closed: int | None
    classes: npt.NDArray[np.int64]
    """[valid outputs]"""

    @property
    def drawn(self) -> Drawn:
        return drawn_of(self.classes, self.n, n_possible=self.closed)


def coverage_findings(records: pl.DataFrame, counting: Counting, *, seed: int) -> list[Finding]:
    """By task: the mean over its prompts, then each prompt as a group; last the means over tasks, where there are several."""
    by_task: dict[str, dict[str, list[_Measure]]] = {}
    for task, prompt, rows in _groups(records):
        by_task.setdefault(task, {})[prompt] = _measures(_prompt(rows), counting, seed)
    means = {task: _mean_of_prompts(list(prompts.values())) for task, prompts in by_task.items()}
    found = []
    for task, prompts in by_task.items():
        found += [_finding(task, None, one, seed) for one in means[task]]
        found += [_finding(task, prompt, one, seed) for prompt, measures in prompts.items() for one in measures]
    if len(by_task) < 2:
        return found
    every = _tasks_name(by_task)
    found += [_finding(every, None, one, seed) for one in _mean_of_tasks(list(means.values()), seed)]
    for prompt in dict.fromkeys(prompt for prompts in by_task.values() for prompt in prompts):
        some = [prompts[prompt] for prompts in by_task.values() if prompt in prompts]
        found += [_finding(every, prompt, one, seed) for one in _mean_of_tasks(some, seed)]
    return found


def coverage_items(records: pl.DataFrame, counting: Counting) -> pl.DataFrame:
    """Validity, yield, usable_unique and covered_share by generation; all measures by prompt for the mean over tasks.

    Values of counts by generation are those of `distinct_values`: they mean something together, not one by one.
    """
    rows: list[tuple[str, str, str, str, float]] = []
    groups = list(_groups(records))
    every = _tasks_name({task for task, _, _ in groups})
    for task, prompt, part in groups:
        one = _prompt(part)
        rows += _generation_items(task, part, one)
        rows += [(every, m.metric, f"{task}/{prompt}", task, m.estimate.value) for m in _measures(one, counting, seed=0)]
    return pl.DataFrame(rows, schema=ITEM_SCHEMA, orient="row")


def _tasks_name(tasks: Mapping[str, object] | set[str]) -> str:
    """What stands for the task where tasks are averaged."""
    return f"mean of {len(tasks)} tasks"


def _groups(records: pl.DataFrame) -> Iterator[tuple[str, str, pl.DataFrame]]:
    for (task, prompt), rows in records.partition_by("task", "prompt", maintain_order=True, as_dict=True).items():
        yield str(task), str(prompt), rows


def _prompt(rows: pl.DataFrame) -> _Prompt:
    whole = rows.filter(pl.col("outcome") == "ok")
    outcomes = {str(name): int(n) for name, n in rows["outcome"].value_counts().iter_rows()}
    is_valid = whole["is_valid"].to_numpy().astype(np.bool_)
    valid = whole.filter(pl.Series(is_valid, dtype=pl.Boolean))["text"].to_list()
    return _Prompt(
        n_asked=rows.height,
        n=rows.height - outcomes.get("failed", 0),
        outcomes=outcomes,
        texts=whole["text"].to_list(),
        is_valid=is_valid,
        closed=rows["closed_size"][0],
        classes=classes_of(valid, EXACT),
    )


def _measures(one: _Prompt, counting: Counting, seed: int) -> list[_Measure]:
    return [*_of_valid(one, seed), *_of_all(one, counting, seed), *_outcome_measures(one, seed)]


def _of_valid(one: _Prompt, seed: int) -> list[_Measure]:
    drawn, n_valid, closed = one.drawn, len(one.classes), one.closed
    n, some = max(one.n, 1), max(n_valid, 1)
    most = None if closed is None else uniform_distinct(closed, n)
    most_valid = None if closed is None else uniform_distinct(closed, some) / some
    found, validity = distinct_estimate(drawn, seed=seed), share_estimate(n_valid, one.n, seed=seed)
    alone = Drawn(drawn.counts, n_valid, drawn.quality, closed)  # given how many are valid
    diversity = distinct_estimate(alone, per=some, seed=seed) if n_valid else undefined("none is valid", unit=UNIT, seed=seed)
    measures = [
        _Measure("yield", "different valid outputs", f"of {one.n_asked}", "higher", found, 1.0, most),
        _Measure("validity", "valid outputs", SHARE, "higher", validity),
        _Measure("diversity", "different, among the valid", SHARE, "higher", diversity, 1 / some, most_valid),
        _Measure("usable_unique", "valid and different", SHARE, "higher", _over(found, n), 1 / n, _over_or_none(most, n)),
        _Measure(
            "pair_collision",
            "two valid outputs are the same",
            SHARE,
            "lower",
            collision_estimate(drawn, seed=seed),
            1.0,
            _over_or_none(1.0, closed),
        ),
    ]
    if closed is not None:
        share = _over(found, closed)
        measures.append(
            _Measure("covered_share", "of the closed set", SHARE, "higher", share, 1 / closed, _over_or_none(most, closed))
        )
    return measures


def _of_all(one: _Prompt, counting: Counting, seed: int) -> list[_Measure]:
    """Valid or not; those that are not have quality 0."""
    k, patience = counting.k, counting.patience
    raw = drawn_of(classes_of(one.texts, EXACT), one.n)
    by_sense = drawn_of(classes_of(one.texts, counting.equivalence), one.n, one.is_valid)
    ways = f"{counting.equivalence.name} classes"
    worst = (1 - patience) / (1 - patience**k)
    n_of_k = distinct_k_estimate(by_sense, k, seed=seed)
    worth = utility_k_estimate(by_sense, k, patience, seed=seed)
    share = distinct_estimate(raw, per=max(one.n, 1), seed=seed)
    return [
        _Measure("raw_distinct", "different, valid or not", SHARE, "neither", share),
        _Measure(f"distinct_{k}", f"different, {ways}", f"of {k}", "higher", n_of_k, 1.0),
        _Measure(f"utility_{k}", f"utility of {k}, {ways}", "0..1", "higher", worth, worst),
    ]


def _outcome_measures(one: _Prompt, seed: int) -> list[_Measure]:
    """Shares of those that came; of the lost ones, of those that were asked for."""
    labels = {"unfinished": "cut off", "refusal": "refused", "malformed": "malformed replies"}
    found = []
    for outcome, label in labels.items():
        share = share_estimate(one.outcomes.get(outcome, 0), one.n, seed=seed)
        found.append(_Measure(outcome, label, SHARE, "lower", share))
    lost = share_estimate(one.outcomes.get("failed", 0), one.n_asked, seed=seed)
    return [*found, _Measure("failed", "no reply, left out", SHARE, "lower", lost)]


def _generation_items(task: str, rows: pl.DataFrame, one: _Prompt) -> Iterator[tuple[str, str, str, str, float]]:
    is_valid = rows["is_valid"].fill_null(value=False).to_numpy().astype(np.bool_)
    came = (rows["outcome"] != "failed").to_numpy()
    values = np.full(rows.height, math.nan)
    if one.n:
        order = np.concatenate([np.flatnonzero(is_valid), np.flatnonzero(came & ~is_valid)])
        values[order] = distinct_values(one.drawn, one.classes)
    by_metric = {
        "validity": np.where(came, is_valid.astype(np.float64), math.nan),
        "yield": values,
        "usable_unique": values / max(one.n, 1),
    }
    if one.closed is not None:
        by_metric["covered_share"] = values / one.closed
    items = rows["item"].to_list()
    for metric, numbers in by_metric.items():
        yield from ((task, metric, item, item, float(value)) for item, value in zip(items, numbers, strict=True))


# means and references


def _mean_of_prompts(prompts: Sequence[Sequence[_Measure]]) -> list[_Measure]:
    """They share no generation."""
    by_metric = list(zip(*prompts, strict=True))
    return [_averaged(some, mean_of_independent([one.estimate for one in some])) for some in by_metric]


def _mean_of_tasks(tasks: Sequence[Sequence[_Measure]], seed: int) -> list[_Measure]:
    """A task where a measure is undefined is not in its mean: `n` says how many are."""
    by_metric: dict[str, list[_Measure]] = {}
    for one in (one for measures in tasks for one in measures):
        by_metric.setdefault(one.metric, []).append(one)
    found = []
    for some in by_metric.values():
        known = [one for one in some if one.estimate.is_defined] or some[:1]
        values = np.array([one.estimate.value for one in known if one.estimate.is_defined])
        found.append(_averaged(known, estimate_mean(values, np.arange(len(values)), unit="task", seed=seed)))
    return found


def _averaged(some: Sequence[_Measure], estimate: Estimate) -> _Measure:
    """With the mean of the floors, and of the ceilings where all have one."""
    return replace(
        some[0],
        estimate=estimate,
        floor=_mean([one.floor for one in some]),
        ceiling=_mean([one.ceiling for one in some]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _over(estimate: Estimate, divisor: float) -> Estimate:
    if not estimate.is_defined:
        return estimate
    return replace(estimate, value=estimate.value / divisor, low=estimate.low / divisor, high=estimate.high / divisor)


def _over_or_none(value: float | None, divisor: float | None) -> float | None:
    return None if value is None or divisor is None else value / divisor


def _finding(task: str, prompt: str | None, one: _Measure, seed: int) -> Finding:
    return Finding(
        task=task,
        metric=one.metric,
        label=one.label,
        scale=one.scale,
        better=one.better,
        estimate=one.estimate,
        floor=_reference(FLOOR, one.floor, seed),
        ceiling=_reference(CEILING, one.ceiling, seed),
        group=prompt,
        is_headline=prompt is None and one.metric in ("yield", "validity"),
    )


def _reference(name: str, value: float | None, seed: int) -> Reference | None:
    """A number that is known, so its interval is the number itself."""
    return None if value is None else Reference(name, Estimate(value=value, low=value, high=value, n=1, unit="law", seed=seed))
