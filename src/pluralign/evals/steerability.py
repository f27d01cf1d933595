"""Steerability: how much do examples of one process or one person tell the model?

    a sequence of k* + 1 outputs, teacher-forced: one pass gives the loss of each after k = 0, 1, ..., k* examples

    loss_nats           -log p(output and its end | all before it), mean over the outputs after 1..k* examples     headline
    accuracy            share of these outputs whose every token is the most probable one
    the same, "k = 8"   of the outputs that eight examples stand before
    gain_nats           loss after one example minus loss after k*, of the same sequences
    excess_nats         loss minus that of Bayes' rule on the same outputs, where the law is known: `steerability_limits`
    calibration_error   of the probabilities of closed options: `calibrated`
    answered            share of these outputs that have a loss

What comes after no example never counts, whether a description stands before it or not, so all formats and models are measured
on the same outputs. Intervals resample what the task sampled, a person, a coin, never single outputs. Which sequences are
asked, and the floor: `steerability_questions`.

Calibration is judged for closed sets of options, at one output of each sequence, drawn from 1..k*. Of an open output a model
says how probable that output is, and not how probable its likeliest one is, which is what would have to come true.

Source: Sorensen et al. 2025, Spectrum Tuning (arXiv 2510.06084), steerability; ECE over 10 bins of equal mass.
Departures: intervals over units, where published ones take the outputs of one sequence for independent; floor, limit and
gain; of a sequence that is too long for a model the beginning is scored, and what is not is counted as failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from pluralign.episodes import Episode
from pluralign.errors import DataError, UsageError
from pluralign.evals.answers import TOO_LONG, option_answers
from pluralign.evals.findings import GROUPED_ITEM_SCHEMA, Finding
from pluralign.evals.kinds import Material, Setting
from pluralign.evals.steerability_findings import counted_outputs, task_findings
from pluralign.evals.steerability_limits import WITH_LIMIT, OutputLimits, steering_limits
from pluralign.evals.steerability_questions import SteeringQuestion, steering_questions
from pluralign.models import LanguageModel, OptionLogprobs, OutputLogprobs, Query, queries_of
from pluralign.models.queries import scored_examples
from pluralign.suite.embedded_laws import FIRST_HELD_OUT_SEED
from pluralign.suite.registry import all_tasks

__all__ = ["RECORD_SCHEMA", "STEERABILITY", "Steerability", "held_out_tasks"]

RECORD_SCHEMA: dict[str, Any] = {
    "task": pl.String,
    "item": pl.String,
    "unit": pl.String,
    "unit_name": pl.String,
    "sequence": pl.String,
    "k": pl.Int64,
    "k_star": pl.Int64,
    "n_tokens": pl.Int64,
    "logprob": pl.Float64,
    "is_argmax": pl.Boolean,
    "floor_logprob": pl.Float64,
    "floor_is_argmax": pl.Boolean,
    "limit_logprob": pl.Float64,
    "limit_is_argmax": pl.Boolean,
    "told": pl.String,
    "options": pl.List(pl.String),
    "option_logprobs": pl.List(pl.Float64),
    "options_outcome": pl.String,
    "outcome": pl.String,
    "detail": pl.String,
    "input": pl.String,
    "output": pl.String,
}
"""A row for each output that every format scores. `k`: examples before it. `item` is "sequence/k". `unit_name`: what a unit is.
`floor_logprob` is NaN where no other unit has the output. `limit_*` and `told` are null for tasks without a known law, and
`limit_logprob` is NaN where it is unknown for a sequence. What is of options is null but at one output of each sequence."""


class Steerability:
    """The evaluation; see the top of this file.

    `most_k` bounds k*, for models with small windows: in examples, so that it is the same for all of them. `description_share`:
    of the sequences, those that show their description.
    """

    name: str = "steerability"
    about: str = "what examples of a process or a person tell the model"

    def __init__(self, *, most_k: int | None = None, description_share: float = 1.0) -> None:
        """Raises UsageError for what is out of range."""
        if most_k is not None and most_k < 1:
            raise UsageError(f"most_k is {most_k}; it must be at least 1, or None.")
        if not 0 <= description_share <= 1:
            raise UsageError(f"description_share is {description_share}; it must be in 0..1.")
        self.most_k = most_k
        self.description_share = description_share

    def tasks(self) -> Sequence[str]:
        """Every task of the suite; nothing is read. Those to ask by default: `held_out_tasks`."""
        return tuple(all_tasks())

    def material(self, task: str, setting: Setting) -> Material:
        """The task's sequences, at most 1,000, cut after k* + 1 outputs; of "episodes:FILE" those of a file.

        Raises DataError where the data are not there, and where every episode has one output; UsageError for an unknown task.
        """
        most_k = self.most_k if setting.most_k is None else setting.most_k
        questions = steering_questions(task, setting, most_k=most_k, description_share=self.description_share)
        n_options = max(len(question.episode.options or ()) for question in questions)
        first = questions[0]
        return Material(task=first.task, questions=questions, unit=first.unit_name, requests_each=1 + n_options)

    def ask(self, questions: Sequence[SteeringQuestion], model: LanguageModel, setting: Setting) -> pl.DataFrame:
        """Records of `RECORD_SCHEMA`, sequence by sequence. Raises ModelError for a model that gives no log-probabilities."""
        outputs = _outputs(model, [question.episode for question in questions])
        options = _options(model, questions)
        limits = steering_limits(questions, seed=setting.seed + FIRST_HELD_OUT_SEED)  # those with a limit are training tasks
        each = zip(questions, outputs, options, limits, strict=True)
        return pl.DataFrame([row for one in each for row in _rows(*one)], schema=RECORD_SCHEMA)

    def items(self, records: pl.DataFrame) -> pl.DataFrame:
        """loss_nats and accuracy of every output after 1..k* examples, and excess_nats where a limit is known.

        NaN for outputs without an answer.
        """
        counted = counted_outputs(records)
        group = pl.format("k = {}", "k")
        tables = [
            rows.with_columns(metric=pl.lit(metric), value=pl.col(metric), group=group, group_unit=pl.col("unit"))
            for metric, rows in (
                ("loss_nats", counted),
                ("accuracy", counted),
                ("excess_nats", counted.filter(pl.col("limit_loss_nats").is_not_nan())),
            )
        ]
        return pl.concat([table.select(list(GROUPED_ITEM_SCHEMA)) for table in tables])

    def findings(self, records: pl.DataFrame, *, seed: int) -> list[Finding]:
        """Task by task, in the order of the records."""
        tasks = records["task"].unique(maintain_order=True).to_list()
        return [one for task in tasks for one in task_findings(records.filter(pl.col("task") == task), seed=seed)]


STEERABILITY = Steerability()


def held_out_tasks() -> list[str]:
    """The tasks that are asked unless others are named: those of the suite's test split, and those whose law is known."""
    return [name for name, task in all_tasks().items() if task.split == "test" or name in WITH_LIMIT]


# asking


def _outputs(model: LanguageModel, episodes: Sequence[Episode]) -> list[tuple[OutputLogprobs, str]]:
    """What the model says of each, and why it says nothing of the later outputs where it does not."""
    try:
        return [(found, "") for found in model.output_logprobs(episodes)]
    except DataError as error:
        if error.where not in TOO_LONG:
            raise
        why = str(error)
    if len(episodes) == 1:
        return [(_beginning(model, episodes[0], why), why)]
    half = len(episodes) // 2
    return _outputs(model, episodes[:half]) + _outputs(model, episodes[half:])


def _beginning(model: LanguageModel, episode: Episode, why: str) -> OutputLogprobs:
    """As many of the first outputs as fit, but for an eighth; a failure where not even two do."""
    n = len(episode.examples)
    while (n := n * 7 // 8) > 1:
        try:
            return model.output_logprobs([replace(episode, examples=episode.examples[:n])])[0]
        except DataError as error:
            if error.where not in TOO_LONG:
                raise
    none = np.empty(0, dtype=np.int64)
    return OutputLogprobs(none, np.empty(0), none, np.empty(0, dtype=np.bool_), outcome="failed", detail=why)


def _options(model: LanguageModel, questions: Sequence[SteeringQuestion]) -> list[OptionLogprobs | None]:
    """Of each sequence the options at one output; None where the set is open."""
    asked = [n for n, question in enumerate(questions) if question.options_at is not None]
    queries = [_query(questions[n]) for n in asked]
    found: list[OptionLogprobs | None] = [None] * len(questions)
    for n, answer in zip(asked, option_answers(model, queries), strict=True):
        found[n] = answer
    return found


def _query(question: SteeringQuestion) -> Query:
    known = question.episode.examples[: (question.options_at or 0) + 1]
    return queries_of(replace(question.episode, examples=known), at="last")[0].query


def _rows(
    question: SteeringQuestion,
    answer: tuple[OutputLogprobs, str],
    options: OptionLogprobs | None,
    limits: OutputLimits | None,
) -> Iterator[dict[str, Any]]:
    """A record of each output that every format scores; one that the model says nothing of has NaN, and says why."""
    found, why = answer
    place = {k: n for n, k in enumerate(found.example_index.tolist())}
    missing = "failed" if found.outcome == "ok" else found.outcome
    for k in scored_examples(question.episode):
        n = place.get(k) if found.outcome == "ok" else None
        example = question.episode.examples[k]
        is_ok = n is not None
        yield {
            "task": question.task,
            "item": f"{question.sequence}/{k}",
            "unit": question.unit,
            "unit_name": question.unit_name,
            "sequence": question.sequence,
            "k": k,
            "k_star": question.k_star,
            "n_tokens": int(found.n_tokens[n]) if is_ok else None,
            "logprob": float(found.logprobs[n]) if is_ok else np.nan,
            "is_argmax": bool(found.is_argmax[n]) if is_ok else None,
            "floor_logprob": question.floor_logprobs[k],
            "floor_is_argmax": question.floor_is_mode[k],
            **_limit_columns(limits, k),
            **(_option_columns(options) if k == question.options_at else {}),
            "outcome": "ok" if is_ok else missing,
            "detail": None if is_ok else (found.detail or why or "the model said nothing of this output"),
            "input": example.input,
            "output": example.output,
        }


def _limit_columns(limits: OutputLimits | None, k: int) -> dict[str, Any]:
    if limits is None:
        return {}
    logprob = float(limits.logprobs[k])
    is_known = not np.isnan(logprob)
    return {
        "limit_logprob": logprob,
        "limit_is_argmax": bool(limits.is_argmax[k]) if is_known else None,
        "told": limits.told,
    }


def _option_columns(options: OptionLogprobs | None) -> dict[str, Any]:
    if options is None:
        return {}
    return {
        "options": list(options.options),
        "option_logprobs": options.logprobs.tolist(),
        "options_outcome": options.outcome,
    }
