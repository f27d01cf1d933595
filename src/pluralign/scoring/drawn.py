"""`sample`: outputs that a model draws for the episodes of a file."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from pluralign.errors import UsageError, nearest_name
from pluralign.models import LanguageModel, ModelSettings, Query, SamplingSettings
from pluralign.models.cache import ResponseCache
from pluralign.models.queries import AskedAt
from pluralign.progress import Tell
from pluralign.runs import Run
from pluralign.scoring.job import Asked, Questions, as_questions, held_model, opened_model, run_config, run_parts
from pluralign.scoring.totals import Prices, Totals
from pluralign.scoring.units import ModelEngine

__all__ = ["Samples", "questions_to_sample", "sample"]

SAMPLES_SCHEMA = {
    "episode": pl.UInt32,
    "task": pl.String,
    "unit": pl.String,
    "example_index": pl.UInt32,
    "sample": pl.UInt32,
    "text": pl.String,
    "finish_reason": pl.String,
    "n_tokens": pl.UInt32,
    "logprob": pl.Float64,
    "true_output": pl.String,
    "detail": pl.String,
}


@dataclass(frozen=True, kw_only=True)
class Samples:
    """What `sample` drew, in numbers; the texts are in records.parquet."""

    name: str
    model: str
    at: AskedAt
    n_episodes: int
    n_queries: int
    n_samples: int
    n_nothing_scored: int
    """Episodes without an output that can be held out."""
    finish_reasons: dict[str, int]
    tasks: dict[str, dict[str, int]]
    """Finish reasons of each task."""
    max_tokens: int
    totals: Totals
    prices: Prices | None

    def to_dict(self) -> dict[str, Any]:
        """As in results.json."""
        names = [field.name for field in dataclasses.fields(self) if field.name not in ("totals", "prices")]
        return {**{name: getattr(self, name) for name in names}, "usage": self.totals.to_dict(self.prices)}


def sample(
    file: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    model: str | LanguageModel,
    sampling: SamplingSettings | None = None,
    at: AskedAt = "next",
    settings: ModelSettings | None = None,
    cache: ResponseCache | None = None,
    limit: int | None = None,
    prices: Prices | None = None,
    engine: ModelEngine | None = None,
    on_progress: Tell | None = None,
) -> Samples:
    """Draw outputs into the run folder `out`: records.parquet, a row a sample, and results.json.

    `at` "next" draws what would come next, "last" what might have come in place of each episode's last output. An `engine` asks
    the model elsewhere, with the same records. Started again with the same arguments it goes on where it stopped.
    """
    drawing = sampling or SamplingSettings()
    questions = questions_to_sample(file, at=at, limit=limit)
    opened = opened_model(model, settings, cache)
    chosen = {name: value for name, value in dataclasses.asdict(drawing).items() if name != "seed"}
    config = run_config("sample", questions, opened, settings, {**chosen, "at": at, "limit": limit}, seed=drawing.seed)
    with Run.open(out, config) as run, held_model(engine, model, opened, settings) as at_work:
        records, totals = run_parts(
            run,
            questions,
            opened,
            functools.partial(_records, drawing=drawing),
            requests_each=drawing.n,
            engine=at_work,
            tell=on_progress,
        )
        run.write_records(records)
        found = _samples(records, questions, opened.name, at, drawing, totals, prices)
        run.write_results(found.to_dict())
    return found


def questions_to_sample(file: str | os.PathLike[str], *, at: AskedAt, limit: int | None) -> Questions:
    """What `sample` asks."""
    if at not in ("next", "last"):
        raise UsageError(f"at {nearest_name(at, ('next', 'last'))}")
    return as_questions(file, at=at, limit=limit)


def _records(model: LanguageModel, asked: Sequence[Asked], drawing: SamplingSettings) -> pl.DataFrame:
    drawn = model.sample([one.request for one in asked if isinstance(one.request, Query)], drawing)
    rows: list[Mapping[str, Any]] = []
    for one, samples in zip(asked, drawn, strict=True):
        same = {**one.columns, "example_index": one.example_index, "true_output": one.true_output}
        for number, found in enumerate(samples):
            is_known = found.logprob is not None and not math.isnan(found.logprob)
            rows.append(
                {
                    **same,
                    "sample": number,
                    "text": found.text,
                    "finish_reason": found.finish_reason,
                    "n_tokens": found.n_tokens,
                    "logprob": found.logprob if is_known else None,
                    "detail": found.detail or None,
                }
            )
    return pl.DataFrame(rows, schema=SAMPLES_SCHEMA)


def _samples(
    records: pl.DataFrame,
    questions: Questions,
    model: str,
    at: AskedAt,
    drawing: SamplingSettings,
    totals: Totals,
    prices: Prices | None,
) -> Samples:
    of_task: dict[str, Counter[str]] = {}
    for task, reason in records.select("task", "finish_reason").iter_rows():
        of_task.setdefault(task, Counter())[reason] += 1
    return Samples(
        name=questions.file.stem,
        model=model,
        at=at,
        n_episodes=len(questions.episodes),
        n_queries=len(questions.asked),
        n_samples=records.height,
        n_nothing_scored=questions.n_nothing_scored,
        finish_reasons=_ordered(sum(of_task.values(), Counter())),
        tasks={task: _ordered(of_task[task]) for task in sorted(of_task)},
        max_tokens=drawing.max_tokens,
        totals=totals,
        prices=prices,
    )


def _ordered(counts: Counter[str]) -> dict[str, int]:
    return {name: counts[name] for name in sorted(counts, key=lambda name: (-counts[name], name))}
