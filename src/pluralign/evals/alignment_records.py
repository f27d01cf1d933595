"""Records of alignment: what was asked and answered, a row a question, and the arrays that measuring takes from them.

    task, item, question, unit, unit_name, group, variant     names, see `alignment_questions.Question`
    description, input, options, shares                       what is known of the question; lists have an entry an option
    n_people, is_law, is_ordinal                              null where the number of people is not known
    outcome, detail, elicitation                              what came of the request, and how the distribution was got
    logprobs, covered_mass, n_samples                         of the options in the order of `options`; NaN unless "ok"

A record has a distribution if its outcome is "ok" and some option has a probability above 0. Others are kept, without one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.episodes import Episode
from pluralign.errors import DataError, ModelError
from pluralign.evals.alignment_measures import Answers
from pluralign.evals.alignment_questions import Question
from pluralign.evals.answers import option_answers
from pluralign.models import LanguageModel, OptionLogprobs, Query
from pluralign.models.protocol import renormalised

__all__ = ["RECORD_SCHEMA", "Block", "Rows", "answered_records", "asked_records", "checked_records", "query_of", "rows_of"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_TEXTS = ("task", "item", "question", "unit", "unit_name", "group", "variant", "outcome", "detail", "elicitation")
RECORD_SCHEMA: dict[str, Any] = {
    **dict.fromkeys((*_TEXTS, "description", "input"), pl.String),
    "options": pl.List(pl.String),
    "shares": pl.List(pl.Float64),
    "n_people": pl.Int64,
    "is_law": pl.Boolean,
    "is_ordinal": pl.Boolean,
    "logprobs": pl.List(pl.Float64),
    "covered_mass": pl.Float64,
    "n_samples": pl.Int64,
}


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Rows with equally many options."""

    index: IntArray
    """Which rows of the table [rows]."""
    answers: Answers
    """The model's are NaN where there is no distribution."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """A table of records as arrays, in its order."""

    frame: pl.DataFrame
    has_distribution: npt.NDArray[np.bool_]
    blocks: Sequence[Block]

    @property
    def keys(self) -> list[str]:
        """What random numbers of a question belong to."""
        return [f"{task}\0{item}" for task, item in self.frame.select("task", "item").iter_rows()]


def query_of(question: Question) -> Query:
    """What the model is asked."""
    asked = question.asked or question.target
    return Query(Episode(question.task, (), asked.description, asked.options), asked.input)


def asked_records(questions: Sequence[Question], model: LanguageModel) -> pl.DataFrame:
    """The questions put to the model; those that are too long for it failed.

    Raises what else the model raises, and ModelError for an "ok" answer that is not a number.
    """
    answers = option_answers(model, [query_of(one) for one in questions])
    ways = {answer.elicitation for answer in answers if answer.outcome == "ok"}
    if len(ways) == 1:  # a failure does not always say how it was asked; a model asks in one way
        answers = [replace(answer, elicitation=next(iter(ways))) for answer in answers]
    return answered_records(questions, answers, model)


def answered_records(questions: Sequence[Question], answers: Sequence[OptionLogprobs], model: LanguageModel) -> pl.DataFrame:
    """A record of each question and its answer. Raises ModelError for an "ok" answer that is not a number."""
    rows = [_record(question, answer, model) for question, answer in zip(questions, answers, strict=True)]
    return pl.DataFrame(rows, schema=RECORD_SCHEMA, orient="row")


def checked_records(records: pl.DataFrame) -> pl.DataFrame:
    """The same; raises DataError for a table that is not of alignment."""
    if missing := [column for column in RECORD_SCHEMA if column not in records.columns]:
        raise DataError("records of alignment", f"columns are missing: {', '.join(missing)}; evaluate the model again")
    return records


def rows_of(records: pl.DataFrame) -> Rows:
    """The records as arrays."""
    listed = zip(records["outcome"], records["logprobs"].to_list(), strict=True)
    models = [_probabilities(outcome, logprobs) for outcome, logprobs in listed]
    shares = [np.array(one, dtype=np.float64) for one in records["shares"].to_list()]
    n_people = records["n_people"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    n_people = np.where(records["is_law"].to_numpy(), np.inf, n_people)
    is_ordinal = records["is_ordinal"].to_numpy()
    blocks = []
    for index in _by_size(shares):
        people = np.stack([shares[i] for i in index])
        none = np.full(people.shape[1], np.nan)
        model = np.stack([none if models[i] is None else models[i] for i in index])
        people = people / people.sum(axis=1, keepdims=True)
        blocks.append(Block(index, Answers(people, model, is_ordinal[index], n_people[index])))
    return Rows(records, np.array([one is not None for one in models], dtype=np.bool_), blocks)


def _record(question: Question, answer: OptionLogprobs, model: LanguageModel) -> tuple[object, ...]:
    target, logprobs = question.target, np.asarray(answer.logprobs, dtype=np.float64)
    if answer.outcome == "ok" and np.isnan(logprobs).any():
        raise ModelError(
            f"{model.name}: says ok, but not how probable an option of {answer.options!r:.80} is; nothing is kept."
        )
    if question.order is not None:
        logprobs = logprobs[np.argsort(question.order)]
    names = (question.task, question.item, question.question, question.unit, question.unit_name, question.group)
    asked = (target.description, target.input, list(target.options), list(target.shares), target.n)
    mass = answer.covered_mass if answer.outcome == "ok" else float("nan")
    return (
        *(*names, question.variant, answer.outcome, answer.detail, answer.elicitation),
        *(*asked, question.is_law, question.is_ordinal, logprobs.tolist(), mass, answer.n_samples),
    )


def _probabilities(outcome: str, logprobs: Sequence[float]) -> FloatArray | None:
    """Renormalised over the options; None where there is no distribution."""
    numbers = np.array(logprobs, dtype=np.float64)
    if outcome != "ok" or not np.isfinite(numbers.max()):
        return None
    return renormalised(numbers)


def _by_size(shares: Sequence[FloatArray]) -> Iterator[IntArray]:
    found: dict[int, list[int]] = defaultdict(list)
    for i, one in enumerate(shares):
        found[len(one)].append(i)
    for size in sorted(found):
        yield np.array(found[size], dtype=np.int64)
