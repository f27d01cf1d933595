"""What the report card of a model shows: pure data, put together by whoever ran the evaluations.

    Card                     facts, findings by evaluation, and tables that may be empty
      Question               a question, people's shares and the model's probabilities
      Curve, CurveStep       loss by the number of examples seen
      Calibration            as a study has them (`raters.findings`)
      CoverageRow            valid, different, covered: one task's generations
      GroupCell              a group on a task
      WorstItem              an item on which the model does badly, with its text

Groups of findings such as "k = 8" or "women" can be turned into curves and cells: `curves_of`, `cells_of`, `coverage_of`.
Whether a model's distributions are as wide as people's can be had from the questions: `narrowness_of`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pluralign.errors import UsageError
from pluralign.estimates import Estimate, estimate_ratio, undefined
from pluralign.evals.findings import Finding
from pluralign.metrics.distances import kl_nats, total_variation_distance
from pluralign.raters.findings import Calibration

if TYPE_CHECKING:
    from pluralign.evals.kinds import LeftOut
    from pluralign.evals.results import NotRun

__all__ = [
    "Card",
    "CoverageRow",
    "Curve",
    "CurveStep",
    "GroupCell",
    "Question",
    "WorstItem",
    "cells_of",
    "coverage_of",
    "curves_of",
    "narrowness_of",
]

_N_EXAMPLES = re.compile(r"k = (\d+)")
_OF = re.compile(r"of (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A closed question as people and the model answered it."""

    task: str
    text: str
    options: tuple[str, ...]
    people: tuple[float, ...]
    """Share of people who gave each option; they sum to 1."""
    model: tuple[float, ...] | None
    """The model's probabilities; None where it gave no distribution."""
    n: int | None = None
    """People behind the shares; None where the source does not tell."""
    is_law: bool = False
    """The shares are known without asking anybody: balls in an urn."""
    group: str | None = None
    """Whose answers they are: "Kenya"; None for everybody's."""
    why_undefined: str = ""
    """Where there is no distribution: "refusal: I cannot answer that"."""
    distance: float = field(init=False)
    """Total variation: the share of answers that would have to change, 0..1; NaN without a distribution."""

    def __post_init__(self) -> None:
        given = (self.people,) if self.model is None else (self.people, self.model)
        if any(len(shares) != len(self.options) for shares in given):
            sizes = " and ".join(str(len(shares)) for shares in given)
            raise UsageError(
                f"question {self.text[:60]!r} of {self.task}: {len(self.options)} options, {sizes} shares; give each a share."
            )
        people, model = np.array(given[0]), np.array(given[-1])
        distance = float(total_variation_distance(people, model)[0])  # raises for what is no distribution
        object.__setattr__(self, "distance", math.nan if self.model is None else distance)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveStep:
    """What is lost with k examples seen."""

    k: int
    loss: Estimate
    limit: Estimate | None = None
    """Of the best possible prediction (Bayes), where it is known."""
    marginal: Estimate | None = None
    """Of a prediction that learns nothing from the examples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Loss on one task by the number of examples seen, k rising."""

    task: str
    steps: Sequence[CurveStep]
    scale: str = "nats"


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageRow:
    """One task's generations. A measure that was not taken is None."""

    task: str
    n_outputs: int
    """Generations asked for: the longest bar of the yield."""
    validity: Estimate | None = None
    """Share of outputs that are valid."""
    diversity: Estimate | None = None
    """Different valid outputs as a share of the valid ones."""
    valid_and_different: Estimate | None = None
    """The yield: how many different valid outputs."""
    covered: Estimate | None = None
    """Share of all valid outputs that there are; closed sets only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupCell:
    """How far the model is from one group on one task."""

    group: str
    task: str
    distance: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstItem:
    """An item on which the model does badly."""

    task: str
    text: str
    measure: str
    """What the value is: "loss in nats"."""
    value: float
    said: str = ""
    """What the model made of it, or gave most probability to."""
    wanted: str = ""
    """What people said."""
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """All that the page of a model shows. The tables behind `findings_by_evaluation` may be empty: the page says so."""

    model: str
    date: str
    version: str
    """Of pluralign."""
    seed: int
    elicitation: str
    """How distributions were had of the model: "logprobs", "sampling", "verbalised"."""
    findings_by_evaluation: Mapping[str, Sequence[Finding]]
    n_questions: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By evaluation and task."""
    n_records: int = 0
    seconds: float | None = None
    outcomes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Records by evaluation and by what came of the request: "ok", "refusal", "malformed", "failed", "unfinished"."""
    about: Mapping[str, str] = field(default_factory=dict)
    """Of each evaluation, one line for people."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Further lines of how it was asked: "format": "spectrum", "precision": "bfloat16"."""
    not_run: Sequence[NotRun] = ()
    left_out: Mapping[str, Sequence[LeftOut]] = field(default_factory=dict)
    """By task: parts of its data of which no question was made."""
    questions: Sequence[Question] = ()
    groups: Sequence[GroupCell] = ()
    curves: Sequence[Curve] = ()
    calibrations: Sequence[Calibration] = ()
    coverage: Sequence[CoverageRow] = ()
    worst_items: Sequence[WorstItem] = ()

    @property
    def findings(self) -> list[Finding]:
        """Of all evaluations."""
        return [finding for several in self.findings_by_evaluation.values() for finding in several]

    @property
    def n_tasks(self) -> int:
        """Tasks that were asked, or that have a finding where the numbers of questions are not given."""
        asked = {(evaluation, task) for evaluation, tasks in self.n_questions.items() for task in tasks}
        found = {(evaluation, f.task) for evaluation, several in self.findings_by_evaluation.items() for f in several}
        return len(asked or found)


def curves_of(findings: Iterable[Finding], metric: str) -> list[Curve]:
    """Curves from findings whose groups are numbers of examples ("k = 8"): floors are the marginal, ceilings the limit.

    Tasks in their order; a task with fewer than two numbers of examples has none.
    """
    steps: dict[str, dict[int, CurveStep]] = {}
    scales: dict[str, str] = {}
    for finding in findings:
        named = _N_EXAMPLES.fullmatch(finding.group or "")
        if finding.metric == metric and named is not None:
            floor, ceiling = finding.floor, finding.ceiling
            scales[finding.task] = finding.scale
            steps.setdefault(finding.task, {})[int(named[1])] = CurveStep(
                k=int(named[1]),
                loss=finding.estimate,
                limit=None if ceiling is None else ceiling.estimate,
                marginal=None if floor is None else floor.estimate,
            )
    return [
        Curve(task=task, steps=[some[k] for k in sorted(some)], scale=scales[task])
        for task, some in steps.items()
        if len(some) > 1
    ]


def cells_of(findings: Iterable[Finding], metric: str) -> list[GroupCell]:
    """Cells from findings that name a group other than a number of examples."""
    return [
        GroupCell(group=finding.group, task=finding.task, distance=finding.estimate)
        for finding in findings
        if finding.metric == metric and finding.group is not None and not _N_EXAMPLES.fullmatch(finding.group)
    ]


def coverage_of(
    findings: Iterable[Finding],
    *,
    n_outputs: int | Mapping[str, int] | None = None,
    metrics: Sequence[str] = ("validity", "diversity", "yield", "covered_share"),
) -> list[CoverageRow]:
    """Rows from the findings of whole tasks; `metrics` names validity, diversity, yield and covered share, in this order.

    `n_outputs`: generations asked for of each task; without it the yield's scale has to say so ("of 100"), and UsageError is
    raised where it does not.
    """
    by_task: dict[str, dict[str, Estimate]] = {}
    asked: dict[str, int] = {}
    validity, diversity, valid_and_different, covered = metrics
    for finding in findings:
        if finding.group is None and finding.metric in metrics:
            by_task.setdefault(finding.task, {})[finding.metric] = finding.estimate
            of = _OF.fullmatch(finding.scale)
            if finding.metric == valid_and_different and of is not None:
                asked[finding.task] = int(of[1])
    if n_outputs is not None:
        asked = {task: n_outputs if isinstance(n_outputs, int) else n_outputs[task] for task in by_task}
    if missing := [task for task in by_task if task not in asked]:
        raise UsageError(f"how many outputs were asked for of {', '.join(missing)} is not known; pass n_outputs.")
    return [
        CoverageRow(
            task=task,
            n_outputs=asked[task],
            validity=found.get(validity),
            diversity=found.get(diversity),
            valid_and_different=found.get(valid_and_different),
            covered=found.get(covered),
        )
        for task, found in by_task.items()
    ]


def narrowness_of(questions: Iterable[Question], *, seed: int) -> list[Finding]:
    """A task each: the entropy of the model's distributions as a share of that of people's, metric `entropy_ratio`.

    Where the shares are a law the metric is `law_entropy_ratio`.

    Sum over questions by sum over questions, resampling questions (the same text asked of several groups is one); 1 = as wide
    as people's, 0 = the model always gives one answer. The entropy of few people's shares is too low, so the ratio is too
    high: what lies below 1 all the same is narrow. *Undefined when* fewer than two questions have a distribution, or people
    are of one mind on all of them.
    """
    by_task: dict[tuple[str, bool], list[Question]] = {}
    for question in questions:
        by_task.setdefault((question.task, question.is_law), []).append(question)
    return [
        Finding(
            task=task,
            metric="law_entropy_ratio" if is_law else "entropy_ratio",
            label=f"Entropy of its distributions to {'the law' if is_law else 'people'}'s",
            scale="ratio",
            better="neither",
            estimate=_entropy_ratio([one for one in several if one.model is not None], seed),
        )
        for (task, is_law), several in by_task.items()
    ]


def _entropy_ratio(questions: Sequence[Question], seed: int) -> Estimate:
    if not questions:
        return undefined("no question has a distribution", unit="question", seed=seed)
    entropies = np.array([[_entropy_nats(one.model or ()), _entropy_nats(one.people)] for one in questions])
    if not entropies[:, 1].sum() > 1e-9:
        return undefined("people are of one mind on every question", unit="question", seed=seed)
    _, units = np.unique([one.text for one in questions], return_inverse=True)
    return estimate_ratio(entropies[:, 0], entropies[:, 1], units, unit="question", seed=seed)


def _entropy_nats(shares: Sequence[float]) -> float:
    """What the uniform distribution has, less the divergence from it."""
    uniform = np.full(len(shares), 1 / len(shares))
    return math.log(len(shares)) - float(kl_nats(np.array(shares), uniform)[0])
