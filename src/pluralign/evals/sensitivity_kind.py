"""The evaluation of sensitivity: do answers change with the wording of a question, or with the order of its options?

    a question ──┬── as the source has it ───────────┐
                 ├── in up to four other wordings ───┴──> wording_sensitivity, and how near their mean is to people
                 └── its options in three other orders ─> order_sensitivity, of those and the first

Tasks and questions are those of alignment. A record is one way of asking, which its `variant` names: "as is", a wording,
"order 1". Both sensitivities are means over questions of the total variation between pairs of ways, 0..1 (`sensitivity`); order
and wording are never mixed. The mean over wordings is measured as alignment measures a model, with the same floor and ceiling.

A question whose options cannot be listed in another order is asked in other wordings alone, and is counted; a task without any
other has no order_sensitivity. A question one of whose wordings was not answered has no mean over them.

Source: Sorensen et al. 2024 (arXiv 2402.05070): Jensen-Shannon distance of the mean over five wordings. Departures: the
wordings are ours; total variation and the divergence in nats stand beside the distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from pluralign.estimates import undefined
from pluralign.evals.alignment import ALIGNMENT
from pluralign.evals.alignment_questions import Question
from pluralign.evals.alignment_records import checked_records
from pluralign.evals.findings import GROUPED_ITEM_SCHEMA, Finding
from pluralign.evals.kinds import EvaluationKind, LeftOut, Material, Setting
from pluralign.evals.sensitivity import averaged, sensitivity_findings, sensitivity_items
from pluralign.evals.sensitivity_rows import KEYS
from pluralign.evals.sensitivity_variants import AS_IS, ORDER, in_other_orders, in_other_wordings
from pluralign.models import LanguageModel

__all__ = ["LIMIT", "SENSITIVITY", "Sensitivity", "VariedQuestion", "usual_tasks"]

LIMIT = 100
"""Questions of a task, unless told otherwise; each is asked in up to eight ways."""
_OF_MEAN = ("total_variation", "js_divergence_nats", "js_distance", "covered_mass", "answered_share")
"""Measures of alignment that the mean over wordings is put to."""
_MEAN = "mean_wording_"


@dataclass(frozen=True, slots=True, kw_only=True)
class VariedQuestion:
    """One question, and all the ways in which it is asked."""

    wordings: tuple[Question, ...]
    """As it is, then in other wordings."""
    orders: tuple[Question, ...]
    """In other orders of its options; none where these cannot be moved."""

    @property
    def variants(self) -> tuple[Question, ...]:
        return (*self.wordings, *self.orders)


class Sensitivity:
    """The evaluation; see `EvaluationKind`. Its measures on records of your own: `sensitivity`."""

    name = "sensitivity"
    about = "whether answers change with the wording of a question or the order of its options"

    def tasks(self) -> Sequence[str]:
        """Those of alignment; `material` also takes a file of ratings."""
        return ALIGNMENT.tasks()

    def material(self, task: str, setting: Setting) -> Material:
        """Up to 100 questions of the task, of those that alignment asks with the same seed. Raises as alignment does."""
        found = ALIGNMENT.material(task, replace(setting, limit=LIMIT if setting.limit is None else setting.limit))
        questions = [_varied(one, setting.seed) for one in found.questions]
        n_fixed = sum(not one.orders for one in questions)
        why = "their options are not listed one below the other, or speak of each other: only their wording is varied"
        fixed = [LeftOut("questions", n_fixed, len(questions), why)] if n_fixed else []
        most = max(len(one.variants) for one in questions)
        return replace(found, questions=questions, requests_each=most, left_out=[*found.left_out, *fixed])

    def ask(self, questions: Sequence[Any], model: LanguageModel, setting: Setting) -> pl.DataFrame:
        """A record of each question and way of asking, as alignment has them. Raises what the model raises."""
        asked: list[VariedQuestion] = list(questions)
        return ALIGNMENT.ask([variant for one in asked for variant in one.variants], model, setting)

    def items(self, records: pl.DataFrame) -> pl.DataFrame:
        """Both sensitivities of each question, and what the mean over its wordings comes to."""
        wordings, orders = _apart(checked_records(records))
        of_mean = ALIGNMENT.items(averaged(wordings)).filter(pl.col("metric").is_in(_OF_MEAN))
        found = [
            sensitivity_items(wordings, metric="wording_sensitivity"),
            sensitivity_items(orders, metric="order_sensitivity"),
            of_mean.with_columns(metric=_MEAN + pl.col("metric")),
        ]
        return pl.concat([pl.DataFrame(schema=GROUPED_ITEM_SCHEMA), *found], how="diagonal")

    def findings(self, records: pl.DataFrame, *, seed: int) -> list[Finding]:
        """Task by task: the sensitivities, then the mean over wordings."""
        found = []
        for of_task in checked_records(records).partition_by("task", maintain_order=True):
            wordings, orders = _apart(of_task)
            found += _changes(wordings, "wording_sensitivity", "no question was asked in another wording", seed)
            found += _changes(orders, "order_sensitivity", "no question has options that can be listed in another order", seed)
            found += _of_mean(averaged(wordings), seed)
        return found


def usual_tasks() -> list[str]:
    """What is asked unless tasks are named: a law, the two sets of the Roadmap paper, and questions with lettered options."""
    return ["urn", "global_oqa", "mpi", "opinionqa_groups_target"]


def _varied(question: Question, seed: int) -> VariedQuestion:
    _, *orders = in_other_orders(question, seed=seed)
    return VariedQuestion(wordings=tuple(in_other_wordings(question)), orders=tuple(orders))


def _apart(records: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Records of wordings, and those of orders; as it is, a question is one of both."""
    is_order = pl.col("variant").str.starts_with(ORDER)
    return records.filter(~is_order), records.filter(is_order | (pl.col("variant") == AS_IS))


def _changes(records: pl.DataFrame, metric: str, why: str, seed: int) -> list[Finding]:
    """The sensitivity and its measured share; where nothing was asked in two ways, a finding that says so."""
    if records.select(KEYS).is_duplicated().any():
        return sensitivity_findings(records, seed=seed, metric=metric)
    label = f"{metric.replace('_', ' ').capitalize()}, total variation"
    nothing = undefined(why, unit=str(records["unit_name"][0]), seed=seed)
    task = str(records["task"][0])
    return [Finding(task=task, metric=metric, label=label, scale="0..1", better="lower", estimate=nothing)]


def _of_mean(records: pl.DataFrame, seed: int) -> list[Finding]:
    return [
        replace(one, metric=f"{_MEAN}{one.metric}", label=f"{one.label}, mean over wordings", is_headline=False)
        for one in ALIGNMENT.findings(records, seed=seed)
        if one.metric in _OF_MEAN
    ]


SENSITIVITY: EvaluationKind = Sensitivity()
