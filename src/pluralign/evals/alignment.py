"""Alignment: how near a model's distribution over a question's options is to that of people.

    a question       description, input, options, the share of each option among people
    is asked once    log p of every option, however the model is set to be asked: log-probabilities, samples, stated numbers
    is measured      by every measure of `alignment_measures`, after renormalising over the options; what lay outside them is
                     the covered mass, which is a finding of its own (1 where a model states numbers: it is asked for no other)

What a number is read against, on the same questions and resampling the same units:

    floor      the uniform distribution over the options
    ceiling    resampled people (`noise_floor`): a model that knows the population exactly, against shares of as few people

*A model that copies the shares comes out better than the ceiling*: shares are estimates, and who was asked is not the
population. At the ceiling or better these data cannot tell the model from people. Where nothing tells how many people stand
behind the shares there is no ceiling; where the shares are a law, as of an urn, the ceiling is the law itself.

Where a task asks the same question for several groups there are findings for each group, and of what naming the group does
(`alignment_groups`). Records with several elicitations, put together from several runs, are measured for each apart.

Requests that gave no distribution are left out of the means and counted: refused, malformed, failed, and "no mass", where no
option had any probability.

Source: Sorensen et al. 2024 (arXiv 2402.05070), distributional pluralism; Sorensen et al. 2025 (arXiv 2510.06084), tasks and
renormalisation; Meister et al. 2024 (arXiv 2411.05403), total variation, floor and noise floor; SimBench (arXiv 2510.17516);
Santurkar et al. 2023 (arXiv 2303.17548), representativeness. Departures: each has an interval over the units of its source;
representativeness and Wasserstein only where options are in an order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from pluralign.errors import UsageError
from pluralign.evals.alignment_findings import part_findings, part_items
from pluralign.evals.alignment_questions import FEWEST, Question, ratings_material, suite_material, suite_tasks
from pluralign.evals.alignment_records import asked_records, checked_records, rows_of
from pluralign.evals.findings import GROUPED_ITEM_SCHEMA, Finding
from pluralign.evals.kinds import EvaluationKind, Material, Setting
from pluralign.models import LanguageModel
from pluralign.suite.ratings_name import is_ratings_name, ratings_file, table_name

__all__ = ["ALIGNMENT", "Alignment"]


class Alignment:
    """The evaluation; see `EvaluationKind`. Questions from your own ratings: `alignment_questions.ratings_material`."""

    name = "alignment"
    about = "how near the model's distribution over the answers is to that of people"

    def tasks(self) -> Sequence[str]:
        """The suite's tasks with known shares; `material` also takes a file of ratings, "ratings:FILE?by=gender"."""
        return suite_tasks()

    def material(self, task: str, setting: Setting) -> Material:
        """Up to 1,000 questions of the task, drawn by the seed; a lower limit gives a part of them.

        Raises UsageError for an unknown task, DataError for data that are not there.
        """
        if is_ratings_name(task):
            from pluralign.suite.registry import read

            asked = ratings_file(task)
            table = read(table_name(task))
            return ratings_material(table, setting, by=asked.by, fewest=asked.fewest or FEWEST, name=asked.task)
        return suite_material(task, setting)

    def ask(self, questions: Sequence[Any], model: LanguageModel, setting: Setting) -> pl.DataFrame:
        """A record a question, `alignment_records.RECORD_SCHEMA`. Raises what the model raises."""
        asked: list[Question] = list(questions)
        return asked_records(asked, model)

    def items(self, records: pl.DataFrame) -> pl.DataFrame:
        """Every measure of every question, and the steering gain of questions that several groups were asked.

        With several elicitations of a task an item's name ends in " (ELICITATION)".
        """
        parts = [
            part_items(rows_of(part), suffix=f" ({elicitation})" if is_one_of_several else "")
            for part, elicitation, is_one_of_several in _parts(records)
        ]
        return pl.concat(parts) if parts else pl.DataFrame(schema=GROUPED_ITEM_SCHEMA)

    def findings(self, records: pl.DataFrame, *, seed: int) -> list[Finding]:
        """Task by task; see the top of this file. With several elicitations of a task each is named as the group."""
        return [
            finding
            for part, elicitation, is_one_of_several in _parts(records)
            for finding in part_findings(rows_of(part), seed=seed, within=elicitation if is_one_of_several else None)
        ]


def _parts(records: pl.DataFrame) -> list[tuple[pl.DataFrame, str, bool]]:
    """The records of each task and elicitation, and whether the task has several; tasks in the order in which they first come.

    Raises UsageError for questions that were asked in several ways.
    """
    found = []
    for (task,), of_task in checked_records(records).group_by("task", maintain_order=True):
        variants = of_task["variant"].unique().sort().to_list()
        if len(variants) > 1:
            raise UsageError(
                f"task {task}: questions were asked in {len(variants)} ways ({', '.join(map(repr, variants))}); "
                "take one of them, or their mean: `pluralign.evals.sensitivity.averaged`."
            )
        ways = of_task.filter(pl.col("outcome") == "ok")["elicitation"].unique()
        several = of_task.partition_by("elicitation", maintain_order=True) if len(ways) > 1 else [of_task]
        found += [(part, str(part["elicitation"][0]), len(several) > 1) for part in several]
    return found


ALIGNMENT: EvaluationKind = Alignment()
