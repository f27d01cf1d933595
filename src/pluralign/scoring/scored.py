"""`score`: how probable a model finds the outputs of a file of episodes, or each of their options."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from pluralign.episodes import Episode
from pluralign.errors import UsageError, nearest_name
from pluralign.models import LanguageModel, ModelSettings, Query
from pluralign.models.cache import ResponseCache
from pluralign.models.queries import AskedAt
from pluralign.progress import Tell
from pluralign.runs import Run
from pluralign.scoring.job import (
    Asked,
    Questions,
    as_questions,
    held_model,
    opened_model,
    run_config,
    run_parts,
    whole_episodes,
)
from pluralign.scoring.losses import LossRow, LossTable, loss_rows
from pluralign.scoring.totals import Prices, Totals
from pluralign.scoring.units import ModelEngine

__all__ = ["Ask", "Scores", "questions_to_score", "score"]

Ask = Literal["outputs", "options"]
"""Every output of an episode, teacher-forced, in one pass; or each option of the closed set, at one or more outputs."""

_FIRST = {"episode": pl.UInt32, "task": pl.String, "unit": pl.String, "example_index": pl.UInt32}
OUTPUTS_SCHEMA = {
    **_FIRST,
    "n_tokens": pl.UInt32,
    "logprob": pl.Float64,
    "is_argmax": pl.Boolean,
    "outcome": pl.String,
    "detail": pl.String,
}
OPTIONS_SCHEMA = {
    **_FIRST,
    "option": pl.String,
    "logprob": pl.Float64,
    "is_true": pl.Boolean,
    "covered_mass": pl.Float64,
    "count": pl.UInt32,
    "elicitation": pl.String,
    "outcome": pl.String,
    "detail": pl.String,
}


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What `score` found."""

    name: str
    model: str
    ask: Ask
    at: AskedAt
    n_episodes: int
    n_units: int
    unit: str
    """What intervals resample: "unit" or "episode"."""
    n_nothing_scored: int
    n_without_options: int
    n_all_outside: int
    """Questions whose options had no probability at all, so that accuracy and the loss among options are over the others."""
    outcomes: dict[str, int]
    """Of requests: "ok" and what else occurred."""
    elicitations: dict[str, int]
    overall: LossRow
    tasks: list[LossRow]
    by_k: list[LossRow]
    """After each number of examples."""
    totals: Totals
    prices: Prices | None

    def to_dict(self) -> dict[str, Any]:
        """As in results.json."""
        written = ("overall", "tasks", "by_k", "totals", "prices")
        return {
            **{field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name not in written},
            "overall": self.overall.to_dict(None),
            "tasks": [row.to_dict("task") for row in self.tasks],
            "by_k": [row.to_dict("k") for row in self.by_k],
            "usage": self.totals.to_dict(self.prices),
        }


def score(
    file: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    model: str | LanguageModel,
    ask: Ask = "outputs",
    at: AskedAt | None = None,
    settings: ModelSettings | None = None,
    cache: ResponseCache | None = None,
    limit: int | None = None,
    prices: Prices | None = None,
    seed: int = 0,
    engine: ModelEngine | None = None,
    on_progress: Tell | None = None,
) -> Scores:
    """Score a file of episodes into the run folder `out`: records.parquet and results.json.

    `ask` "outputs" gives a row for every scored output: all of them, or with `at` "last" only each episode's last. "options"
    gives a row for every option of the last output, or with `at` "all" of every scored output in turn. `limit` keeps the
    first so many episodes; `seed` is the bootstrap's. An `engine` asks the model elsewhere, with the same
    records. Started again with the same arguments it goes on where it stopped.
    """
    questions, at = questions_to_score(file, ask=ask, at=at, limit=limit)
    opened = opened_model(model, settings, cache)
    config = run_config("score", questions, opened, settings, {"ask": ask, "at": at, "limit": limit}, seed=seed)
    compute = functools.partial(_output_records, at=at) if ask == "outputs" else _option_records
    with Run.open(out, config) as run, held_model(engine, model, opened, settings) as at_work:
        records, totals = run_parts(run, questions, opened, compute, engine=at_work, tell=on_progress)
        run.write_records(records)
        found = _scores(records, questions, opened.name, ask, at, totals, prices, seed)
        run.write_results(found.to_dict())
    return found


def questions_to_score(
    file: str | os.PathLike[str], *, ask: Ask, at: AskedAt | None, limit: int | None
) -> tuple[Questions, AskedAt]:
    """What `score` asks, and where: all outputs, or the last one where options are asked for, if not said otherwise."""
    if ask not in get_args(Ask):
        raise UsageError(f"ask {nearest_name(ask, get_args(Ask))}")
    at = at or ("all" if ask == "outputs" else "last")
    if at not in ("last", "all"):
        raise UsageError(f"at {nearest_name(at, ('last', 'all'))}")
    if ask == "outputs":
        return whole_episodes(file, limit=limit), at
    return as_questions(file, at=at, limit=limit, need_options=True), at


def _output_records(model: LanguageModel, asked: Sequence[Asked], at: AskedAt) -> pl.DataFrame:
    answers = model.output_logprobs([one.request for one in asked if isinstance(one.request, Episode)])
    rows: list[Mapping[str, Any]] = []
    for one, answer in zip(asked, answers, strict=True):
        if answer.outcome != "ok" or np.isnan(answer.logprobs).any():
            outcome = "failed" if answer.outcome == "ok" else answer.outcome
            rows.append({**one.columns, "outcome": outcome, "detail": answer.detail or None})
            continue
        scored = list(zip(answer.example_index, answer.n_tokens, answer.logprobs, answer.is_argmax, strict=True))
        for k, n_tokens, logprob, is_argmax in scored if at == "all" else scored[-1:]:
            values = {"example_index": int(k), "n_tokens": int(n_tokens), "logprob": float(logprob)}
            rows.append({**one.columns, **values, "is_argmax": bool(is_argmax), "outcome": "ok"})
    return pl.DataFrame(rows, schema=OUTPUTS_SCHEMA)


def _option_records(model: LanguageModel, asked: Sequence[Asked]) -> pl.DataFrame:
    answers = model.option_logprobs([one.request for one in asked if isinstance(one.request, Query)])
    rows: list[Mapping[str, Any]] = []
    for one, answer in zip(asked, answers, strict=True):
        is_ok = answer.outcome == "ok" and not np.isnan(answer.logprobs).any()
        same = {
            **one.columns,
            "example_index": one.example_index,
            "covered_mass": answer.covered_mass if is_ok else None,
            "elicitation": answer.elicitation,
            "outcome": "failed" if answer.outcome == "ok" and not is_ok else answer.outcome,
            "detail": answer.detail or None,
        }
        for n, option in enumerate(answer.options):
            count = None if answer.counts is None else int(answer.counts[n])
            logprob = float(answer.logprobs[n]) if is_ok else None
            rows.append({**same, "option": option, "logprob": logprob, "is_true": option == one.true_output, "count": count})
    return pl.DataFrame(rows, schema=OPTIONS_SCHEMA)


def _scores(
    records: pl.DataFrame,
    questions: Questions,
    model: str,
    ask: Ask,
    at: AskedAt,
    totals: Totals,
    prices: Prices | None,
    seed: int,
) -> Scores:
    requests = records.unique(["episode", "example_index"] if ask == "options" else ["episode"], maintain_order=True)
    scored = _scored_options(records) if ask == "options" else _scored_outputs(records)
    measures = [name for name in ("loss_nats", "closed_loss_nats", "accuracy", "outside_mass") if name in scored.columns]
    key = pl.when(pl.col("unit").is_null()).then(pl.format("episode {}", "episode")).otherwise(pl.format("unit {}", "unit"))
    codes = np.unique(scored.select(key).to_series().to_numpy(), return_inverse=True)[1]
    table = LossTable({m: scored[m].to_numpy() for m in measures}, codes.astype(np.int64), questions.unit, seed)
    return Scores(
        name=questions.file.stem,
        model=model,
        ask=ask,
        at=at,
        n_episodes=len(questions.episodes),
        n_units=questions.n_units,
        unit=questions.unit,
        n_nothing_scored=questions.n_nothing_scored,
        n_without_options=questions.n_without_options,
        n_all_outside=int(scored["covered_nats"].is_infinite().sum()) if ask == "options" else 0,
        outcomes=_counted(requests["outcome"]),
        elicitations=_counted(requests["elicitation"]) if ask == "options" else {},
        overall=loss_rows(table)[0],
        tasks=loss_rows(table, scored["task"].to_numpy()),
        by_k=loss_rows(table, scored["example_index"].to_numpy()),
        totals=totals,
        prices=prices,
    )


def _scored_outputs(records: pl.DataFrame) -> pl.DataFrame:
    return records.filter(pl.col("outcome") == "ok").with_columns(
        loss_nats=0.0 - pl.col("logprob"), accuracy=pl.col("is_argmax").cast(pl.Float64)
    )


def _scored_options(records: pl.DataFrame) -> pl.DataFrame:
    """A row a query. The most probable option is the first of equal ones.

    Where no option has any probability, there is no most probable one and nothing to renormalise: both are NaN.
    """
    of_truth = pl.col("logprob").filter("is_true").first()
    return (
        records.filter(pl.col("outcome") == "ok")
        .group_by("episode", "example_index", "task", "unit", maintain_order=True)
        .agg(
            loss_nats=0.0 - of_truth,
            accuracy=pl.col("is_true").get(pl.col("logprob").arg_max()).cast(pl.Float64),
            outside_mass=1.0 - pl.col("covered_mass").first(),
            covered_nats=pl.col("covered_mass").first().log(),
        )
        .with_columns(
            closed_loss_nats=_where_covered(pl.col("loss_nats") + pl.col("covered_nats")),
            accuracy=_where_covered(pl.col("accuracy")),
        )
    )


def _where_covered(value: pl.Expr) -> pl.Expr:
    return pl.when(pl.col("covered_nats").is_infinite()).then(float("nan")).otherwise(value)


def _counted(values: pl.Series) -> dict[str, int]:
    counts = Counter(values.to_list())
    return {name: counts[name] for name in sorted(counts, key=lambda name: (-counts[name], name))}
