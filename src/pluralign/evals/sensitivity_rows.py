"""Records of alignment with the distributions that they have, as the measures of sensitivity take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.evals.alignment_records import rows_of
from pluralign.evals.findings import ITEM_SCHEMA
from pluralign.metrics import total_variation_distance

__all__ = ["DRAWN_ANEW", "KEYS", "Asked", "item_table", "total_variation"]

FloatArray = npt.NDArray[np.float64]

DRAWN_ANEW = "drawing anew"
"""Name of the ceiling of sampled distributions: what changes by chance alone."""
KEYS = ("task", "item", "elicitation")
"""What the variants of a question have in common."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Records of one task; rows are numbered in their order."""

    frame: pl.DataFrame
    tasks: Sequence[str]
    items: Sequence[str]
    ways: Sequence[str]
    """Elicitations."""
    units: Sequence[str]
    model: Mapping[int, FloatArray]
    """Row to distribution, for rows that have one."""
    people: Mapping[int, FloatArray]

    @classmethod
    def of(cls, records: pl.DataFrame) -> Asked:
        rows = rows_of(records)
        places = [(block.answers, j, i) for block in rows.blocks for j, i in enumerate(block.index.tolist())]
        model = {i: answers.model[j] for answers, j, i in places if rows.has_distribution[i]}
        people = {i: answers.people[j] for answers, j, i in places}
        tasks, items, ways, units = (records[name].to_list() for name in (*KEYS, "unit"))
        return cls(records, tasks, items, ways, units, model, people)

    @property
    def task(self) -> str:
        """Empty where there is no record."""
        return self.tasks[0] if self.tasks else ""

    @property
    def unit_name(self) -> str:
        return str(self.frame["unit_name"][0])

    def rows_by_item(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for i, item in enumerate(self.items):
            found.setdefault(item, []).append(i)
        return found

    def n_counted(self, row: int) -> int:
        """Samples of a row that gave an option."""
        return round(float(self.frame["covered_mass"][row]) * int(self.frame["n_samples"][row]))


def total_variation(p: FloatArray, q: FloatArray) -> float:
    """Between two distributions over the same options, 0..1."""
    return float(total_variation_distance(p, q)[0])


def item_table(task: str, metric: str, items: Sequence[str], units: Sequence[str], values: Sequence[float]) -> pl.DataFrame:
    """`ITEM_SCHEMA`"""
    same = {"task": [task] * len(items), "metric": [metric] * len(items)}
    return pl.DataFrame(same | {"item": items, "unit": units, "value": values}, schema=ITEM_SCHEMA)
