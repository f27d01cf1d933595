"""What every measure says of every question of a task, and means of that: between the records and the findings of alignment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pluralign.estimates import Estimate, bootstrap_ratios, estimate_from_draws, undefined, unit_sums
from pluralign.evals.alignment_measures import MEASURES, Answers, measured
from pluralign.evals.alignment_records import Rows
from pluralign.evals.noise_floor import expected_measures

__all__ = ["NOTHING", "Part", "Values", "part_of", "values_of_model", "values_of_uniform"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

Values = dict[str, FloatArray]
"""Measure to values [questions]; NaN where it has none."""

NOTHING = "no question has a distribution"


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Questions of a task, all of them or a group's; all arrays [questions]."""

    task: str
    group: str | None
    units: IntArray
    """Which unit a question belongs to."""
    unit: str
    """What units are."""
    seed: int
    model: Values
    uniform: Values
    """Of the uniform distribution, for every question."""
    resampled: Values
    """Of a model that knows the population (`noise_floor`)."""
    is_law: BoolArray

    def only(self, mask: BoolArray, units: IntArray, *, unit: str, group: str) -> Part:
        """Some of the questions, with other units."""
        model, uniform, resampled = (
            {name: values[mask] for name, values in of.items()} for of in (self.model, self.uniform, self.resampled)
        )
        return replace(
            self,
            group=group,
            units=units[mask],
            unit=unit,
            model=model,
            uniform=uniform,
            resampled=resampled,
            is_law=self.is_law[mask],
        )

    def undefined(self, why: str, n: int = 0) -> Estimate:
        return undefined(why, n=n, unit=self.unit, seed=self.seed)

    def mean(self, values: FloatArray, why: str) -> Estimate:
        """Over the questions that have a value; see `means`."""
        return self.means([(values, why)])[0]

    def means(self, columns: Sequence[tuple[FloatArray, str]]) -> list[Estimate]:
        """Of each column the mean over the questions that have a value, and else why none has: as `findings.mean_of`.

        Columns with the same gaps are resampled at once.
        """
        found: dict[int, Estimate] = {}
        with_same_gaps: dict[bytes, list[int]] = {}
        for i, (values, why) in enumerate(columns):
            has, n_infinite = ~np.isnan(values), int(np.isinf(values).sum())
            if n_infinite:
                n_units = len(np.unique(self.units))
                found[i] = self.undefined(f"infinite for {n_infinite:,} of {len(values):,} items", n_units)
            elif not has.any():
                found[i] = self.undefined(why)
            else:
                with_same_gaps.setdefault(has.tobytes(), []).append(i)
        for together in with_same_gaps.values():
            has = ~np.isnan(columns[together[0]][0])
            values = np.stack([columns[i][0][has] for i in together], axis=1)
            found |= dict(zip(together, self._ratios(values, np.ones_like(values), self.units[has]), strict=True))
        return [found[i] for i in range(len(columns))]

    def ratio(self, above: FloatArray, below: FloatArray, why: str) -> Estimate:
        """Sum of `above` over sum of `below`, over the questions that have both, resampling units; `why` where that is 0."""
        has = ~np.isnan(above) & ~np.isnan(below)
        if not has.any() or below[has].sum() < 1e-12:
            return self.undefined(why)
        return self._ratios(above[has, None], below[has, None], self.units[has])[0]

    def _ratios(self, above: FloatArray, below: FloatArray, units: IntArray) -> list[Estimate]:
        _, codes = np.unique(units, return_inverse=True)
        n_units = int(codes.max()) + 1
        numerators, denominators = (unit_sums(of, codes, n_units)[0] for of in (above, below))
        draws = bootstrap_ratios(numerators, denominators, seed=self.seed)
        values = above.sum(axis=0) / below.sum(axis=0)
        return [
            estimate_from_draws(float(value), draws[:, j], n=n_units, unit=self.unit, seed=self.seed)
            for j, value in enumerate(values)
        ]


def part_of(rows: Rows, *, seed: int, group: str | None) -> Part:
    """All the questions of a task."""
    frame, keys = rows.frame, rows.keys
    resampled = _empty(rows)
    for block in rows.blocks:
        for metric, values in expected_measures(block.answers, [keys[i] for i in block.index], seed=seed).items():
            resampled[metric][block.index] = values
    return Part(
        task=frame["task"][0],
        group=group,
        units=np.unique(frame["unit"].to_numpy(), return_inverse=True)[1],
        unit=frame["unit_name"][0],
        seed=seed,
        model=values_of_model(rows),
        uniform=values_of_uniform(rows),
        resampled=resampled,
        is_law=frame["is_law"].to_numpy(),
    )


def values_of_model(rows: Rows) -> Values:
    """Of every measure the values; NaN where there is no distribution."""
    found = _empty(rows)
    for block in rows.blocks:
        has = rows.has_distribution[block.index]
        some = block.answers
        answers = Answers(some.people[has], some.model[has], some.is_ordinal[has], some.n_people[has])
        for metric, values in measured(answers).items() if has.any() else ():
            found[metric][block.index[has]] = values
    return found


def values_of_uniform(rows: Rows) -> Values:
    """The same of the uniform distribution, for every question."""
    found = _empty(rows)
    for block in rows.blocks:
        shape = block.answers.people.shape
        for metric, values in measured(replace(block.answers, model=np.full(shape, 1 / shape[1]))).items():
            found[metric][block.index] = values
    return found


def _empty(rows: Rows) -> Values:
    return {measure.metric: np.full(len(rows.frame), np.nan) for measure in MEASURES}
