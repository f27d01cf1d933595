"""A small evaluation for tests of what runs evaluations: questions are coins, of which a model is asked for heads or tails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pluralign.episodes import Episode
from pluralign.errors import DataError
from pluralign.evals.findings import ITEM_SCHEMA, Finding, Reference, mean_of
from pluralign.evals.kinds import Material, Setting
from pluralign.models import LanguageModel, Query

OPTIONS = ("heads", "tails")
TASKS = ("fair", "bent", "lost")
SHARES = {"fair": 0.5, "bent": 0.8}


@dataclass(frozen=True)
class Coin:
    number: int
    task: str


class Coins:
    """Half the distance of p(heads) from its share, over coins; the task "lost" has no data."""

    name = "coins"
    about = "coins"

    def tasks(self) -> Sequence[str]:
        return TASKS

    def material(self, task: str, setting: Setting) -> Material:
        if task == "lost":
            raise DataError("lost.csv", "there is no such file; pass --data-dir")
        numbers = range(setting.limit or 20)
        return Material(task=task, questions=[Coin(n, task) for n in numbers], unit="coin", requests_each=1)

    def ask(self, questions: Sequence[Any], model: LanguageModel, setting: Setting) -> pl.DataFrame:
        queries = [Query(Episode(q.task, (), f"Coin {q.number}", OPTIONS)) for q in questions]
        found = model.option_logprobs(queries)
        return pl.DataFrame(
            [
                {
                    "task": q.task,
                    "item": str(q.number),
                    "unit": f"coin {q.number // 2}",
                    "heads": float(one.probabilities[0]) if one.outcome == "ok" else None,
                    "outcome": one.outcome,
                    "detail": one.detail,
                }
                for q, one in zip(questions, found, strict=True)
            ],
            schema_overrides={"heads": pl.Float64},
        )

    def items(self, records: pl.DataFrame) -> pl.DataFrame:
        share = np.array([SHARES[task] for task in records["task"]])
        heads = records["heads"].fill_null(np.nan).to_numpy()
        known = {"task": records["task"], "item": records["item"], "unit": records["unit"]}
        tables = [
            pl.DataFrame({**known, "metric": metric, "value": values}).select(list(ITEM_SCHEMA))
            for metric, values in (("distance", np.abs(heads - share)), ("heads", heads))
        ]
        return pl.concat(tables)

    def findings(self, records: pl.DataFrame, *, seed: int) -> list[Finding]:
        items = self.items(records)
        found = []
        for task in records["task"].unique(maintain_order=True).to_list():
            floor = Reference("always heads", mean_of(items, task, "distance", unit="coin", seed=seed))
            for metric, better in (("distance", "lower"), ("heads", "neither")):
                estimate = mean_of(items, task, metric, unit="coin", seed=seed)
                found.append(
                    Finding(
                        task=task,
                        metric=metric,
                        label=metric.title(),
                        scale="0..1",
                        better=better,  # type: ignore[arg-type]
                        estimate=estimate,
                        floor=floor if metric == "distance" else None,
                        is_headline=metric == "distance",
                    )
                )
        return found


COINS = Coins()
