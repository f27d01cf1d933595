"""Steerability the slow way: lists and loops over records as dictionaries, one output at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def k_star(lengths: Sequence[int]) -> int:
    """The k with the most outputs at stake; of equal ones the smallest."""
    best, most = 0, 0
    for k in range(1, max(lengths, default=0)):
        at_stake = k * len([n for n in lengths if n >= k + 1])
        if at_stake > most:
            best, most = k, at_stake
    return best


def mean_loss(rows: Sequence[Row], *, at: int | None = None) -> float:
    """Over outputs with at least one example before them, or those with `at` examples before them."""
    return _mean([-row["logprob"] for row in _counted(rows, at)])


def accuracy(rows: Sequence[Row], *, at: int | None = None) -> float:
    return _mean([float(row["is_argmax"]) for row in _counted(rows, at)])


def answered(rows: Sequence[Row]) -> float:
    return _mean([float(row["outcome"] == "ok") for row in rows if 1 <= row["k"] <= row["k_star"]])


def excess(rows: Sequence[Row]) -> float:
    counted = [row for row in _counted(rows, None) if row["limit_logprob"] is not None]
    return _mean([row["limit_logprob"] - row["logprob"] for row in counted if not math.isnan(row["limit_logprob"])])


def gain(rows: Sequence[Row]) -> float:
    """Of sequences that answered at both ends."""
    first = {row["sequence"]: -row["logprob"] for row in _counted(rows, 1)}
    last = {row["sequence"]: -row["logprob"] for row in _counted(rows, rows[0]["k_star"])}
    return _mean([first[name] - last[name] for name in first if name in last])


def floor_logprob(outputs: Mapping[str, Sequence[str]], unit: str, output: str) -> float:
    """Log share of an output among those of the other units; NaN where they do not have it."""
    others = [one for name, own in outputs.items() if name != unit for one in own]
    n = len([one for one in others if one == output])
    return math.log(n / len(others)) if n else math.nan


def floor_mode(outputs: Mapping[str, Sequence[str]], unit: str) -> str:
    """The other units' most frequent output, of equal ones the first by the alphabet."""
    others = [one for name, own in outputs.items() if name != unit for one in own]
    return min(set(others), key=lambda output: (-others.count(output), output))


def _counted(rows: Sequence[Row], at: int | None) -> list[Row]:
    return [row for row in rows if row["outcome"] == "ok" and 1 <= row["k"] <= row["k_star"] and (at is None or row["k"] == at)]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
