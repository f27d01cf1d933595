"""Mean losses of records, with intervals from resampling the units that episodes are of: over all, by task, by examples.

One row of `LossTable` is one output that was scored. A group's mean is resampled over the units that it has, as
`estimates.estimate_mean` does; groups that have the same units are resampled together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.estimates import Estimate, bootstrap_ratios, estimate_from_draws, undefined, unit_sums

__all__ = ["LossRow", "LossTable", "loss_rows"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


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
        names, places = [None], [np.arange(len(table))]
    else:
        found, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        names, order = found.tolist(), np.argsort(codes, kind="stable")
        places = np.split(order, np.cumsum(sizes)[:-1]) if names else []
    columns = [_Column.of(values[at], table.units[at]) for values in table.measures.values() for at in places]
    means = iter(_means(columns, table))
    of_measure = {measure: [next(means) for _ in names] for measure in table.measures}
    return [
        LossRow(group=name, n=len(at), means={measure: of_measure[measure][g] for measure in of_measure})
        for g, (name, at) in enumerate(zip(names, places, strict=True))
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Column:
    """One measure in one group: sums and counts of the units that it has [units]."""

    sums: FloatArray
    counts: FloatArray
    units: IntArray
    why_undefined: str | None

    @classmethod
    def of(cls, values: FloatArray, units: IntArray) -> _Column:
        kept = np.isfinite(values)
        found, codes = np.unique(units[kept], return_inverse=True)
        sums, counts = unit_sums(values[kept], codes.astype(np.int64), len(found))
        return cls(sums, counts, found, _why_undefined(values))


def _means(columns: Sequence[_Column], table: LossTable) -> list[Estimate]:
    """Columns of the same units are resampled in one go; each is resampled as it would be alone."""
    together: dict[bytes, list[int]] = {}
    for n, column in enumerate(columns):
        together.setdefault(column.units.tobytes(), []).append(n)
    found: dict[int, Estimate] = {}
    for numbers in together.values():
        some = [columns[n] for n in numbers]
        sums, counts = (np.stack([getattr(one, name) for one in some], axis=1) for name in ("sums", "counts"))
        draws = bootstrap_ratios(sums, counts, seed=table.seed) if len(sums) else np.empty((0, len(some)))
        found |= {n: _estimate(columns[n], draws[:, place], table) for place, n in enumerate(numbers)}
    return [found[n] for n in range(len(columns))]


def _estimate(column: _Column, draws: FloatArray, table: LossTable) -> Estimate:
    n = len(column.units)
    if column.why_undefined is not None:
        return undefined(column.why_undefined, n=n, unit=table.unit, seed=table.seed)
    mean = float(column.sums.sum() / column.counts.sum())
    return estimate_from_draws(mean, draws, n=n, unit=table.unit, seed=table.seed)


def _why_undefined(values: FloatArray) -> str | None:
    if not len(values):
        return "no rows"
    if np.isnan(values).all():
        return f"no option of any of the {len(values):,} questions had any probability"
    if infinite := int(np.isinf(values).sum()):
        return f"infinite: {infinite:,} of {len(values):,} outputs had no probability at all"
    return None
