"""Questions with known shares, and records of models whose distribution is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.evals.alignment_questions import Question, are_consecutive
from pluralign.evals.alignment_records import RECORD_SCHEMA, query_of
from pluralign.evals.findings import Finding
from pluralign.models import Query, ScriptedModel
from pluralign.models.protocol import Elicitation, Outcome
from pluralign.suite.evaluation import Target
from pluralign.suite.rows import lettered, letters

FloatArray = npt.NDArray[np.float64]


def question(
    name: str,
    shares: Sequence[float],
    *,
    n: int | None = 20,
    task: str = "made",
    options: Sequence[str] | None = None,
    group: str | None = None,
    unit: str | None = None,
    is_law: bool = False,
) -> Question:
    """A question with options 1, 2, ..., unless others are given."""
    options = tuple(options or (str(k + 1) for k in range(len(shares))))
    return Question(
        task=task,
        item=name if group is None else f"{name} | {group}",
        question=name,
        unit=unit or name,
        unit_name="question",
        group=group,
        target=Target(
            input=f"How is {name}?", options=options, shares=tuple(shares), n=n, description=f"Somebody of {group} answers."
        ),
        is_ordinal=are_consecutive(options),
        is_law=is_law,
    )


def lettered_question(name: str, shares: Sequence[float], texts: Sequence[str]) -> Question:
    options = letters(len(texts))
    target = Target(input=lettered(f"How is {name}?", texts), options=options, shares=tuple(shares), n=20, description="One.")
    return Question(
        task="made",
        item=name,
        question=name,
        unit=name,
        unit_name="question",
        group=None,
        target=target,
        is_ordinal=False,
        is_law=False,
    )


def drawn_questions(n_questions: int, *, seed: int, n_options: int = 4, n_people: int = 20) -> list[Question]:
    """With shares of people drawn from distributions that are drawn too."""
    rng = np.random.default_rng(seed)
    truth = rng.dirichlet(np.full(n_options, 3.0), size=n_questions)
    return [question(f"q{i}", rng.multinomial(n_people, p) / n_people, n=n_people) for i, p in enumerate(truth)]


def answering(
    questions: Sequence[Question], models: Sequence[Sequence[float]], *, mass: float = 1.0, **settings: object
) -> ScriptedModel:
    """The model that gives these distributions over the options, times `mass`."""
    known: dict[Query, Mapping[str, float]] = {}
    for one, model in zip(questions, models, strict=True):
        query = query_of(one)
        known[query] = dict(zip(query.asked_options, (mass * np.asarray(model)).tolist(), strict=True))
    return ScriptedModel(lambda query: known[query], **settings)  # type: ignore[arg-type]


def records_of(
    questions: Sequence[Question],
    models: Sequence[Sequence[float] | FloatArray],
    *,
    elicitation: Elicitation = "logprobs",
    outcome: Outcome = "ok",
    n_samples: int | None = None,
) -> pl.DataFrame:
    """The records of such a model, without asking one."""
    rows = []
    for one, model in zip(questions, models, strict=True):
        target, shares = one.target, np.asarray(model, dtype=np.float64)
        with np.errstate(divide="ignore"):
            logprobs = np.log(shares)
        rows.append(
            {
                **{name: getattr(one, name) for name in ("task", "item", "question", "unit", "unit_name", "group", "variant")},
                "outcome": outcome,
                "detail": "",
                "elicitation": elicitation,
                "description": target.description,
                "input": target.input,
                "options": list(target.options),
                "shares": list(target.shares),
                "n_people": target.n,
                "is_law": one.is_law,
                "is_ordinal": one.is_ordinal,
                "logprobs": logprobs.tolist() if outcome == "ok" else [float("nan")] * len(shares),
                "covered_mass": float(shares.sum()) if outcome == "ok" else float("nan"),
                "n_samples": n_samples,
            }
        )
    return pl.DataFrame(rows, schema=RECORD_SCHEMA)


def by_metric(findings: Sequence[Finding], *, group: str | None = None) -> dict[str, Finding]:
    found = {finding.metric: finding for finding in findings if finding.group == group}
    assert len(found) == sum(finding.group == group for finding in findings), "a metric comes twice"
    return found
