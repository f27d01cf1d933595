"""Mean losses of records, with intervals from resampling the units that episodes are of: over all, by task, by examples.

One row of `LossTable` is one output that was scored. All groups are resampled together, so that the losses after different
numbers of examples move together as they should.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.estimates import Estimate, bootstrap_ratios, estimate_from_draws, undefined, unit_sums

__all__ = ["LossRow", "LossTable", "loss_rows"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
MAX_CELLS = 20_000_000
"""Sums that are held at once: units times groups."""


@dataclass(frozen=True, slots=True, eq=False)
class LossTable:
    """Scored outputs; every array is [outputs]."""

    measures: Mapping[str, FloatArray]
    """Name ("loss_nats") to values, NaN where one is undefined."""
    units: IntArray
    """Codes from 0."""
    unit: str
    """What is resampled."""
    seed: int

    def __len__(self) -> int:
        return len(self.units)


@dataclass(frozen=True, slots=True, kw_only=True)
class LossRow:
    """The means of one group."""

    group: str | int | None
    """Name of the task or number k of examples; None for all together."""
    n: int
    """Outputs."""
    means: dict[str, Estimate]

    def to_dict(self, name: str | None) -> dict[str, Any]:
        """JSON-ready; `name` is what the group is called."""
        head: dict[str, Any] = {} if name is None else {name: self.group}
        return {**head, "n": self.n, **{measure: estimate.to_dict() for measure, estimate in self.means.items()}}


def loss_rows(table: LossTable, groups: npt.NDArray[Any] | None = None) -> list[LossRow]:
    """A row for each group in the order of their values; one row for all outputs without `groups` [outputs]."""
    if groups is None:
        names, codes = [None], np.zeros(len(table), dtype=np.int64)
    else:
        found, codes = np.unique(groups, return_inverse=True)
        names = found.tolist()
    means = {name: _means(values, codes, len(names), table) for name, values in table.measures.items()}
    counts = np.bincount(codes, minlength=len(names)).tolist()
    return [
        LossRow(group=name, n=counts[g], means={measure: estimates[g] for measure, estimates in means.items()})
        for g, name in enumerate(names)
    ]


def _means(values: FloatArray, groups: IntArray, n_groups: int, table: LossTable) -> list[Estimate]:
    """One measure's mean in each group."""
    n_units = int(table.units.max()) + 1 if len(table) else 0
    found: list[Estimate] = []
    at_once = max(1, MAX_CELLS // max(1, n_units))
    for first in range(0, n_groups, at_once):
        here = range(first, min(first + at_once, n_groups))
        reasons, sums, counts = [], np.zeros((n_units, len(here))), np.zeros((n_units, len(here)))
        for column, group in enumerate(here):
            inside = groups == group
            reasons.append(_why_undefined(values[inside]))
            kept = inside & np.isfinite(values)
            sums[:, column], counts[:, column] = unit_sums(values[kept], table.units[kept], n_units)
        draws = bootstrap_ratios(sums, counts, seed=table.seed) if n_units else np.empty((0, len(here)))
        for column, why in enumerate(reasons):
            found.append(_estimate(sums[:, column], counts[:, column], draws[:, column], why, table))
    return found


def _estimate(sums: FloatArray, counts: FloatArray, draws: FloatArray, why: str | None, table: LossTable) -> Estimate:
    n = int((counts > 0).sum())
    if why is not None:
        return undefined(why, n=n, unit=table.unit, seed=table.seed)
    return estimate_from_draws(float(sums.sum() / counts.sum()), draws, n=n, unit=table.unit, seed=table.seed)


def _why_undefined(values: FloatArray) -> str | None:
    if not len(values) or np.isnan(values).all():
        return "no rows"
    if infinite := int(np.isinf(values).sum()):
        return f"infinite: {infinite:,} of {len(values):,} outputs had no probability at all"
    return None
