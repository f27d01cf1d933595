"""What an evaluation finds: an estimate, what to read it against, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from pluralign.estimates import Estimate, estimate_mean, undefined

__all__ = ["GROUPED_ITEM_SCHEMA", "ITEM_SCHEMA", "Better", "Finding", "Reference", "mean_of"]

Better = Literal["lower", "higher", "neither"]

ITEM_SCHEMA = {"task": pl.String, "metric": pl.String, "item": pl.String, "unit": pl.String, "value": pl.Float64}
"""Columns of items. `item` names a question of the task, the same for every model; `unit` is what intervals resample, such as a
person or a country; a value is NaN where the measure is undefined, as for a request that was refused."""

GROUPED_ITEM_SCHEMA = {**ITEM_SCHEMA, "group": pl.String, "group_unit": pl.String}
"""Columns of items that can tell which part of a task they are of: `group` as findings name it, null for none; `group_unit` is
what intervals of the group's mean resample."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A number to read another against."""

    name: str
    """What it is: "uniform", "resampled people", "Bayes limit"."""
    estimate: Estimate

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"name": self.name, "estimate": self.estimate.to_dict()}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Reference:
        return cls(fields["name"], Estimate.from_dict(fields["estimate"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A number of the report card."""

    task: str
    metric: str
    """Its name in code and files: "js_divergence_nats"."""
    label: str
    """For people: "Jensen-Shannon divergence"."""
    scale: str
    """Unit of the value: "nats", "share", "0..1"."""
    better: Better
    estimate: Estimate
    floor: Reference | None = None
    """What is reached without knowing anything; None where there is nothing to compare with."""
    ceiling: Reference | None = None
    """The best that can be reached at all."""
    group: str | None = None
    """Of what part of the task: "k = 8", "women"; None for all of it."""
    is_headline: bool = False
    """Whether the first screen shows it."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        plain = {name: getattr(self, name) for name in ("task", "metric", "label", "scale", "better", "group", "is_headline")}
        references = {
            name: None if one is None else one.to_dict() for name, one in (("floor", self.floor), ("ceiling", self.ceiling))
        }
        return {**plain, "estimate": self.estimate.to_dict(), **references}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Finding:
        references = {
            name: None if fields[name] is None else Reference.from_dict(fields[name]) for name in ("floor", "ceiling")
        }
        return cls(**{**fields, "estimate": Estimate.from_dict(fields["estimate"]), **references})


def mean_of(items: pl.DataFrame, task: str, metric: str, *, unit: str, seed: int) -> Estimate:
    """The mean of a measure over the items of a task, resampling their units.

    Undefined where a value is infinite, or no item has one; items whose value is NaN are left out, and have to be counted by
    whoever calls.
    """
    rows = items.filter((pl.col("task") == task) & (pl.col("metric") == metric))
    values = rows["value"].to_numpy()
    n_infinite = int(np.isinf(values).sum())
    if n_infinite:
        return undefined(
            f"infinite for {n_infinite:,} of {len(values):,} items", n=rows["unit"].n_unique(), unit=unit, seed=seed
        )
    kept = ~np.isnan(values)
    if not kept.any():
        return undefined(f"no value for any of {len(values):,} items", unit=unit, seed=seed)
    _, units = np.unique(rows["unit"].to_numpy()[kept], return_inverse=True)
    return estimate_mean(values[kept], units, unit=unit, seed=seed)
