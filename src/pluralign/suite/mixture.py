"""How much of each task goes into a build, so that a task of long texts does not drown one of two tokens.

What a task has is measured first (`survey`): its sequences, their outputs, or the tokens of theirs that carry loss. Then

1. each task is capped;
2. if a total or a weight is given, the total is divided in proportion to the weights (1 for a task that is not named). A task
   that has less gives all it has, and what it leaves is divided among the others; without a total it is the largest one of
   which every task can give its share;
3. of each task sequences are taken in the order of random numbers of their own until its amount is reached. So another cap or
   weight keeps those that both have, and nothing depends on the order of tasks or files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from pluralign.errors import UsageError, nearest_name

__all__ = ["Amount", "By", "Mixture", "Stock", "divide", "mix"]

By = Literal["sequences", "outputs", "loss_tokens"]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """What is wanted; see the top of this file."""

    by: By = "sequences"
    """What caps, weights and the total count."""
    total: float | None = None
    cap: float | None = None
    """Of every task that `caps` does not name."""
    caps: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = {"total": self.total, "cap": self.cap} | {f"the cap of {name}": cap for name, cap in self.caps.items()}
        bad = [
            f"{name} is {value:g}, it must be above 0" for name, value in given.items() if value is not None and not value > 0
        ]
        bad += [f"the weight of {name} is {w:g}, it must not be negative" for name, w in self.weights.items() if not w >= 0]
        if bad:
            raise UsageError(f"mixture: {'; '.join(bad)}.")

    @property
    def takes_all(self) -> bool:
        """Nothing is left out."""
        return self.total is None and self.cap is None and not self.caps and not self.weights

    def check_names(self, tasks: Mapping[str, object]) -> None:
        """Raises UsageError for a cap or weight of a task that is not among these."""
        for name in (*self.caps, *self.weights):
            if name not in tasks:
                raise UsageError(f"mixture: task {nearest_name(name, tasks)}")


@dataclass(frozen=True, slots=True, eq=False)
class Stock:
    """The sequences that a task has; both arrays are [sequences]."""

    order: FloatArray
    """Random numbers of the sequences' own: those with the smallest are taken."""
    sizes: IntArray
    """What the mixture counts."""


@dataclass(frozen=True, slots=True)
class Amount:
    """What is taken of a task."""

    sequences: int
    of_sequences: int
    size: int
    of_size: int
    below: float | None
    """Sequences whose number in the order is at most this are taken; None for all."""

    def to_dict(self) -> dict[str, int]:
        """The counts, ready for JSON."""
        return {name: getattr(self, name) for name in ("sequences", "of_sequences", "size", "of_size")}


def mix(stocks: Mapping[str, Stock], wanted: Mixture) -> dict[str, Amount]:
    """What is taken of each task. Raises UsageError for a cap or weight of a task that is not there."""
    wanted.check_names(stocks)
    available = {name: float(stock.sizes.sum()) for name, stock in stocks.items()}
    amounts = divide(available, wanted)
    return {name: _taken(stocks[name], amounts[name]) for name in stocks}


def divide(available: Mapping[str, float], wanted: Mixture) -> dict[str, float]:
    """The amount that each task gives, at most what it has.

    >>> divide({"a": 100.0, "b": 10.0}, Mixture(total=60))
    {'a': 50.0, 'b': 10.0}
    >>> divide({"a": 100.0, "b": 10.0}, Mixture(weights={"a": 2}))
    {'a': 20.0, 'b': 10.0}
    """
    caps = {name: wanted.caps.get(name, wanted.cap) for name in available}
    capped = {name: has if (cap := caps[name]) is None else min(has, cap) for name, has in available.items()}
    if wanted.total is None and not wanted.weights:
        return capped
    weights = {name: float(wanted.weights.get(name, 1.0)) for name in available}
    open_tasks = [name for name in available if weights[name] > 0 and capped[name] > 0]
    given = dict.fromkeys(available, 0.0)
    if not open_tasks:
        return given
    if wanted.total is None:
        scale = min(capped[name] / weights[name] for name in open_tasks)
        return given | {name: scale * weights[name] for name in open_tasks}
    left = wanted.total
    while open_tasks:
        scale = left / sum(weights[name] for name in open_tasks)
        short = [name for name in open_tasks if capped[name] <= scale * weights[name]]
        if not short:
            return given | {name: scale * weights[name] for name in open_tasks}
        for name in short:
            given[name] = capped[name]
            left -= capped[name]
            open_tasks.remove(name)
    return given


def _taken(stock: Stock, amount: float) -> Amount:
    """The sequences that come first, until another one would lead further away from the amount."""
    n, total = len(stock.sizes), int(stock.sizes.sum())
    if amount >= total:
        return Amount(n, n, total, total, None)
    order = np.argsort(stock.order, kind="stable")
    sums = stock.sizes[order].cumsum()
    n_taken = int(np.searchsorted(sums, amount))  # with one more the amount is reached
    before = int(sums[n_taken - 1]) if n_taken else 0
    if amount - before > sums[n_taken] - amount:
        n_taken += 1
    size = int(sums[n_taken - 1]) if n_taken else 0
    return Amount(n_taken, n, size, total, float(stock.order[order[n_taken - 1]]) if n_taken else -1.0)
