"""How well each group's predictions fit each held-out rater: what permutation tests of groups need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

__all__ = ["GroupTable", "group_tables_from_frame", "group_tables_to_frame"]


@dataclass(frozen=True, kw_only=True)
class GroupTable:
    representation: str
    """"attribute:NAME" or "clusters:K"."""
    rater: npt.NDArray[np.int64]
    """[raters with held-out ratings and a known group] rows of the rater table."""
    group: npt.NDArray[np.int64]
    """[same] the rater's own group."""
    losses: npt.NDArray[np.float64]
    """[same, groups] sum over the rater's held-out ratings of -log p under each group's predictions."""
    seed: int = 0
    fold: int = 0


def group_tables_to_frame(tables: Sequence[GroupTable]) -> pl.DataFrame:
    """One row a (representation, rater), for a step file of a run."""
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "representation": pl.String,
        "rater": pl.Int64,
        "group": pl.Int64,
        "losses": pl.List(pl.Float64),
    }
    parts = [
        pl.DataFrame(
            {
                "representation": [t.representation] * len(t.rater),
                "rater": t.rater,
                "group": t.group,
                "losses": pl.Series(t.losses, dtype=pl.Array(pl.Float64, t.losses.shape[1])).cast(pl.List(pl.Float64)),
            },
            schema=schema,
        )
        for t in tables
        if len(t.rater)
    ]
    return pl.concat(parts) if parts else pl.DataFrame(schema=schema)


def group_tables_from_frame(frame: pl.DataFrame, *, seed: int, fold: int) -> list[GroupTable]:
    """The tables again, in the order in which they were written."""
    return [
        GroupTable(
            representation=str(part["representation"][0]),
            rater=part["rater"].to_numpy(),
            group=part["group"].to_numpy(),
            losses=np.stack([np.asarray(row) for row in part["losses"].to_list()]),
            seed=seed,
            fold=fold,
        )
        for part in frame.partition_by("representation", maintain_order=True)
    ]
