"""Coverage: how many different valid outputs does a model give?

    a request ── description only ─┐
                 three examples ───┼──> 100 generations each ──> valid? ──> how many are different?
                 both ─────────────┘

Generations are independent draws at temperature 1 without truncation. An output ends where the model ends it, or at its first
line break, since every valid output is one line; what stands behind it is left out, and the record says so. A generation that
reaches the task's token limit before that is unfinished, an outcome of its own: it is in the denominator of validity, and never
valid. Refused and malformed ones are too; where no reply came at all, or none could since the prompt is too long for the model,
the generation is left out and counted.

    validity         valid / N                         yield           different valid ones among N
    diversity        different valid / valid           covered_share   different valid / size of the closed set
    usable_unique    different valid / N               raw_distinct    different / N, valid or not
    pair_collision   two valid ones are the same       distinct_k, utility_k   see `coverage_measures`

Numbers of a task are means over its three prompts; each prompt is a group. Intervals resample generations, and tasks where
tasks are averaged; `coverage_measures` says what is done against the bias of resampled counts. Floor: one output, always.
Ceiling of closed sets: even draws from the set, the most that independent draws can be expected to cover; open sets have none.

Source: Sorensen et al. 2025, Spectrum Tuning (arXiv 2510.06084), "diverse and valid": 22 tasks, yield, validity, diversity.
Departures: cut-off generations are not taken for complete ones; an interval does not treat pairs of generations as independent;
diversity is undefined, not 0, where nothing is valid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import polars as pl

from pluralign.episodes import Episode, Example
from pluralign.errors import DataError, UsageError, nearest_name
from pluralign.evals.answers import is_too_long
from pluralign.evals.coverage_findings import Counting, coverage_findings, coverage_items
from pluralign.evals.findings import Finding
from pluralign.evals.kinds import Material, Setting
from pluralign.evals.verbalized import Generation, generation_of, verbalized_generations
from pluralign.models import LanguageModel, Query, SamplingSettings
from pluralign.suite.evaluation import Coverage, CoverageTask
from pluralign.suite.registry import all_evaluations, evaluation, read

__all__ = ["COVERAGE", "RECORD_SCHEMA", "VERBALIZED_COVERAGE", "CoverageEvaluation", "CoverageQuestion", "PromptKind"]

PromptKind = Literal["description", "examples", "both"]
N_GENERATIONS = 100
RECORD_SCHEMA = {
    "task": pl.String,
    "item": pl.String,
    "unit": pl.String,
    "prompt": pl.String,
    "text": pl.String,
    "finish_reason": pl.String,
    "is_valid": pl.Boolean,
    "outcome": pl.String,
    "detail": pl.String,
    "n_tokens": pl.Int64,
    "closed_size": pl.Int64,
}
"""A row a generation. `item` is task/prompt/number, `unit` the task, `text` what was judged; `is_valid` is null where there was
no whole output to judge, `closed_size` where valid outputs cannot be listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageQuestion:
    """One prompt of a task."""

    task: str
    prompt: PromptKind
    query: Query
    n: int
    """Generations that are drawn."""
    max_tokens: int
    is_valid: Callable[[str], bool]
    closed_size: int | None
    """Different valid outputs that there are; None where they cannot be listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageEvaluation:
    """The evaluation; see the top of this file."""

    name: str = "coverage"
    about: str = "how many different valid outputs a model gives"
    counting: Counting = field(default_factory=Counting)
    """What distinct_k and utility_k take for the same; another one needs no new generations."""
    verbalize: int | None = None
    """Outputs that a reply is to list (verbalized sampling); None for direct generations."""

    def tasks(self) -> Sequence[str]:
        """The diverse-and-valid tasks of the suite."""
        return [name for name, one in all_evaluations().items() if isinstance(one, CoverageTask)]

    def material(self, task: str, setting: Setting) -> Material:
        """Three prompts. `setting.limit` is the number of generations of each, at most 100.

        Raises DataError where the task's data are not there, UsageError for an unknown task or a limit below 1.
        """
        found = evaluation(task)
        if not isinstance(found, CoverageTask):
            raise UsageError(f"coverage task {nearest_name(task, self.tasks())}")
        n = N_GENERATIONS if setting.limit is None else min(N_GENERATIONS, setting.limit)
        if n < 1:
            raise UsageError(f"coverage: the limit is {setting.limit}; at least 1 generation of each prompt is needed.")
        made = found.make(read(task, setting.data_dir))
        questions = [_question(found, made, prompt, n) for prompt in get_args(PromptKind)]
        return Material(task=task, questions=questions, unit="generation", requests_each=n)

    def ask(self, questions: Sequence[CoverageQuestion], model: LanguageModel, setting: Setting) -> pl.DataFrame:
        """A row a generation (`RECORD_SCHEMA`)."""
        rows: list[dict[str, Any]] = []
        for question in questions:
            settings = SamplingSettings(n=question.n, max_tokens=question.max_tokens, seed=setting.seed)
            generations = self._generations(model, question.query, settings)
            rows += [_row(question, number, generation) for number, generation in enumerate(generations)]
        return pl.DataFrame(rows, schema=RECORD_SCHEMA)

    def items(self, records: pl.DataFrame) -> pl.DataFrame:
        """By generation, where a measure has a value for each; by task and prompt for the means over tasks."""
        return coverage_items(records, self.counting)

    def findings(self, records: pl.DataFrame, *, seed: int) -> list[Finding]:
        """Every measure of each task and of each of its prompts, then the means over tasks, where there are several."""
        return coverage_findings(records, self.counting, seed=seed)

    def _generations(self, model: LanguageModel, query: Query, settings: SamplingSettings) -> list[Generation]:
        try:
            if self.verbalize is not None:
                return verbalized_generations(model, [query], settings, k=self.verbalize)[0]
            return [generation_of(sample) for sample in model.sample([query], settings)[0]]
        except DataError as error:
            if not is_too_long(error):
                raise
            return [Generation("", "failed", "failed", detail=str(error))] * settings.n


def _question(task: CoverageTask, made: Coverage, prompt: PromptKind, n: int) -> CoverageQuestion:
    examples = () if prompt == "description" else tuple(Example(text) for text in made.examples)
    description = None if prompt == "examples" else made.description
    return CoverageQuestion(
        task=task.name,
        prompt=prompt,
        query=Query(Episode.checked(task.name, examples, description)),
        n=n,
        max_tokens=task.max_tokens,
        is_valid=made.is_valid,
        closed_size=None if made.closed is None else len(set(made.closed)),
    )


def _row(question: CoverageQuestion, number: int, generation: Generation) -> dict[str, Any]:
    text, outcome, detail = generation.text, generation.outcome, generation.detail
    if outcome in ("ok", "unfinished") and "\n" in text:
        text, rest = text.split("\n", 1)
        outcome, detail = "ok", f"ends at a line break; {len(rest)} characters behind it are left out"
    return {
        "task": question.task,
        "item": f"{question.task}/{question.prompt}/{number}",
        "unit": question.task,
        "prompt": question.prompt,
        "text": text,
        "finish_reason": generation.finish_reason,
        "is_valid": question.is_valid(text) if outcome == "ok" else None,
        "outcome": outcome,
        "detail": detail,
        "n_tokens": generation.n_tokens,
        "closed_size": question.closed_size,
    }


COVERAGE = CoverageEvaluation()
VERBALIZED_COVERAGE = CoverageEvaluation(
    name="verbalized-coverage",
    about="the same where each reply lists outputs with probabilities, of which one is drawn",
    verbalize=5,
)
"""A baseline without training: see `verbalized`. Not asked unless it is named: every output takes a reply of five, and a model
that was not tuned to instructions writes no such reply."""
