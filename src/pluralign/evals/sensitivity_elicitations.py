"""How much the way of asking changes: log-probabilities, counted samples or stated numbers, from records that have several.

    elicitation_sensitivity   total variation between two distributions of a question, 0..1: 0 = the way does not matter
    elicitation_change        the second's total variation to people minus the first's: below 0, the second is nearer

Both are means over what both of a pair of elicitations have answered. Where one of them is sampled, the ceiling is how far as
many draws from the other one's distribution are from it: two ways that agree wholly differ by that.

Source: Meister et al. 2024 (arXiv 2411.05403), elicitation as a factor. The measures are the project's own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pluralign.errors import DataError
from pluralign.estimates import Estimate, undefined
from pluralign.evals.alignment_records import checked_records
from pluralign.evals.findings import GROUPED_ITEM_SCHEMA, Finding, Reference, mean_of
from pluralign.evals.noise_floor import expected_total_variation
from pluralign.evals.sensitivity_rows import DRAWN_ANEW, KEYS, Asked, item_table, total_variation

__all__ = ["compare_elicitations", "elicitation_items"]

_APART, _CHANGE = "elicitation_sensitivity", "elicitation_change"
_SAMPLED = "sampling"


def compare_elicitations(records: pl.DataFrame, *, seed: int) -> list[Finding]:
    """What the way of asking changes, from the records of one model with several elicitations, task by task.

    First `elicitation_sensitivity` over questions and pairs of elicitations, then both measures for each pair, named as the
    group. Raises DataError for fewer than two elicitations or a question that one of them has twice.
    """
    found = []
    for part, pairs in _parts(records, seed):
        found.append(_apart(part, pairs, None, seed))
        for pair in pairs:
            found += [_apart(part, [pair], pair.group, seed), _change(part, pair, seed)]
    return found


def elicitation_items(records: pl.DataFrame) -> pl.DataFrame:
    """What `compare_elicitations` takes means of, by question and pair, `GROUPED_ITEM_SCHEMA`. Raises as it does."""
    found = [pl.DataFrame(schema=GROUPED_ITEM_SCHEMA)]
    for part, pairs in _parts(records, seed=0):
        for pair in pairs:
            items = [f"{item} ({pair.group})" for item in pair.items]
            for metric, values in ((_APART, pair.apart), (_CHANGE, pair.change)):
                table = item_table(part.task, metric, items, pair.units, values)
                found.append(table.with_columns(group=pl.lit(pair.group), group_unit=pl.col("unit")))
    return pl.concat(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """Two elicitations, on the questions that were asked by both; a value is NaN where one of them has no distribution."""

    ways: tuple[str, str]
    items: Sequence[str]
    units: Sequence[str]
    apart: Sequence[float]
    change: Sequence[float]
    chance: Sequence[float]
    """What `apart` would be by chance alone; 0 where neither is sampled."""

    @property
    def group(self) -> str:
        return ", ".join(self.ways)


def _parts(records: pl.DataFrame, seed: int) -> Iterator[tuple[Asked, list[_Pair]]]:
    if checked_records(records)["elicitation"].n_unique() < 2:
        raise DataError("records of alignment", "there is one elicitation only; put the records of several runs together")
    if records.select(KEYS).is_duplicated().any():
        raise DataError("records of alignment", "a question comes twice with one elicitation; average its variants first")
    for of_task in records.partition_by("task", maintain_order=True):
        part = Asked.of(of_task)
        pairs = [_pair(part, ways, seed) for ways in itertools.combinations(sorted(set(part.ways)), 2)]
        if pairs:
            yield part, pairs


def _pair(part: Asked, ways: tuple[str, str], seed: int) -> _Pair:
    rows = [{part.ways[i]: i for i in some} for some in part.rows_by_item().values()]
    both = [(of_way[ways[0]], of_way[ways[1]]) for of_way in rows if all(way in of_way for way in ways)]
    apart, change, chance = np.full((3, len(both)), math.nan)
    for n, (a, b) in enumerate(both):
        if a in part.model and b in part.model:
            apart[n] = total_variation(part.model[a], part.model[b])
            change[n] = _to_people(part, b) - _to_people(part, a)
            chance[n] = _chance(part, (a, b), seed)
    return _Pair(
        ways=ways,
        items=[part.items[a] for a, _ in both],
        units=[part.units[a] for a, _ in both],
        apart=apart.tolist(),
        change=change.tolist(),
        chance=chance.tolist(),
    )


def _to_people(part: Asked, row: int) -> float:
    return total_variation(part.model[row], part.people[row])


def _chance(part: Asked, pair: tuple[int, int], seed: int) -> float:
    """Mean distance of one distribution to as many draws from it as the other, which is sampled, has."""
    a, b = pair
    if _SAMPLED not in (part.ways[a], part.ways[b]):
        return 0.0
    sampled, other = (a, b) if part.ways[a] == _SAMPLED else (b, a)
    key = "\0".join((part.task, part.items[other], part.ways[other]))
    n = np.array([part.n_counted(sampled)], dtype=np.float64)
    return float(expected_total_variation(part.model[other][None], n, [key], seed=seed)[0])


def _apart(part: Asked, pairs: Sequence[_Pair], group: str | None, seed: int) -> Finding:
    estimate = _mean(part, _APART, [(pair, pair.apart) for pair in pairs], seed)
    ceiling = None
    if estimate.is_defined and any(_SAMPLED in pair.ways for pair in pairs):
        ceiling = Reference(DRAWN_ANEW, _mean(part, _APART, [(pair, pair.chance) for pair in pairs], seed))
    return Finding(
        task=part.task,
        metric=_APART,
        label="Two elicitations, total variation",
        scale="0..1",
        better="lower",
        estimate=estimate,
        ceiling=ceiling,
        group=group,
        is_headline=group is None,
    )


def _change(part: Asked, pair: _Pair, seed: int) -> Finding:
    return Finding(
        task=part.task,
        metric=_CHANGE,
        label="Second minus first, total variation to people",
        scale="-1..1",
        better="neither",
        estimate=_mean(part, _CHANGE, [(pair, pair.change)], seed),
        group=pair.group,
    )


def _mean(part: Asked, metric: str, values: Sequence[tuple[_Pair, Sequence[float]]], seed: int) -> Estimate:
    items = pl.concat([item_table(part.task, metric, pair.items, pair.units, some) for pair, some in values])
    if items["value"].is_nan().all():
        return undefined("no question has a distribution by both of two elicitations", unit=part.unit_name, seed=seed)
    return mean_of(items, part.task, metric, unit=part.unit_name, seed=seed)
