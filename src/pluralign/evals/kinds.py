"""The seam to evaluations: what each of them has to give, whatever it asks.

    steerability    what examples of a process or a person tell the model       `steerability`
    alignment       how near the model's distribution is to people's            `alignment`
    coverage        how many different valid outputs it gives                   `coverage`
    sensitivity     whether wording and order of options change its answers     `sensitivity_kind`
    elicitation     whether it matters how a distribution is had                `elicitation_kind`
    overton         whether one response presents every reasonable view         `overton`
    jury            which response people would choose together                 `jury`
    tradeoff        which objectives can be had together                        `tradeoff`

An evaluation asks in parts, so that a run that was killed goes on: questions are a list in a fixed order, whoever asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from pluralign.evals.findings import Finding
from pluralign.evals.judge_models import Judge, Judges
from pluralign.models import LanguageModel

__all__ = ["EvaluationKind", "LeftOut", "Material", "Setting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What an evaluation is asked with, the same for all."""

    seed: int = 0
    limit: int | None = None
    """Questions of each task, at most; None for as many as the evaluation's own default."""
    data_dir: Path | None = None
    """With a folder for each source of the suite that has files."""
    most_k: int | None = None
    """Examples before an output, at most, for models with a small window; counted in examples, so the same for all models."""
    judges: Judges | None = None
    """What opens the models that tasks name; None for default settings (`evaluate` puts in those of the run)."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A part of the data of which no question is made.

    >>> print(LeftOut("raters", 3, 1200, "gender is not known"))
    3 of 1,200 raters: gender is not known
    """

    what: str
    """In the plural."""
    n: int
    of: int
    why: str

    def __str__(self) -> str:
        return f"{self.n:,} of {self.of:,} {self.what}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """The questions of one task, and all that measuring needs to know of them."""

    task: str
    questions: Sequence[Any]
    """What `ask` takes, in a fixed order; each makes at least one record."""
    unit: str
    """What intervals resample: "person", "country"."""
    requests_each: int = 1
    """How many answers a question asks for: samples, options."""
    left_out: Sequence[LeftOut] = ()
    judges: Sequence[Judge] = ()
    """Models that questions name, which are asked too."""


class EvaluationKind(Protocol):
    """A module-level object of each evaluation. Its methods keep no state."""

    name: str
    about: str
    """One line for people."""

    def tasks(self) -> Sequence[str]:
        """Names of the suite's tasks and evaluations that it can be asked on."""
        ...

    def material(self, task: str, setting: Setting) -> Material:
        """The task's questions. Raises DataError where its data are not there, UsageError for an unknown task."""
        ...

    def ask(self, questions: Sequence[Any], model: LanguageModel, setting: Setting) -> pl.DataFrame:
        """A table of records, all columns the same whatever came of the requests.

        At least: task, item (a name of the question), unit, outcome ("ok" or what else came of the request), detail. What is
        known of the question and needed to measure (shares of people, true outputs) is in the record too.
        """
        ...

    def items(self, records: pl.DataFrame) -> pl.DataFrame:
        """Values of measures by item (`findings.ITEM_SCHEMA` or `GROUPED_ITEM_SCHEMA`), for comparisons of two runs."""
        ...

    def findings(self, records: pl.DataFrame, *, seed: int) -> list[Finding]:
        """What the report card says, task by task: estimates with floor and ceiling."""
        ...
