"""Questions with the best possible answers beside them, and what a model answers; each set of answers is a step of the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import ModelError
from pluralign.models import LanguageModel, Query
from pluralign.progress import Tell
from pluralign.runs import Run

__all__ = ["WHICH", "Asker", "Questions", "Which"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Which = Literal["tuned", "base"]
WHICH: tuple[Which, ...] = ("tuned", "base")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Questions:
    """Questions of one kind, all with the same options; every array is [questions] unless it says otherwise."""

    part: str
    """Names the step."""
    unit: str
    """What intervals resample: "rater", "coin", ..."""
    queries: Sequence[Query]
    known: npt.NDArray[np.str_]
    """What is known where the question is asked: "examples:8", "attributes", ..."""
    units: IntArray
    limit: FloatArray
    """[questions, options] the best possible prediction, by Bayes' rule; NaN where it is not known."""
    truth: FloatArray | None = None
    """[questions, options] the probabilities by which what happens is drawn; None where losses are not asked for."""
    outcomes: IntArray | None = None
    """Positions of the options that happened; None where nothing was drawn."""

    @property
    def options(self) -> tuple[str, ...]:
        return self.queries[0].asked_options


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Both models and the run in which their answers are kept; what every part of the demo is given."""

    run: Run
    models: Mapping[Which, LanguageModel]
    seed: int
    tell: Tell

    def ask(self, asked: Questions) -> dict[str, FloatArray]:
        """By model, log p(option and its end | what is known) of every option, nats [questions, options].

        A model is asked once for each run. Raises ModelError where a question got no probabilities.
        """
        return {which: self.ask_one(asked, which) for which in WHICH}

    def ask_one(self, asked: Questions, which: Which) -> FloatArray:
        """The same of one model [questions, options]."""
        model = self.models[which]
        self.tell(f"asking the {which} model: {asked.part}, {len(asked.queries):,} questions", 0, 1)

        def ask() -> pl.DataFrame:
            found = model.option_logprobs(asked.queries)
            if faults := [one.detail or one.outcome for one in found if one.outcome != "ok"]:
                raise ModelError(f"{model.name}: {len(faults):,} of {len(found):,} questions got no probabilities: {faults[0]}")
            return pl.DataFrame({"known": asked.known, "unit": asked.units, "logprobs": [o.logprobs.tolist() for o in found]})

        return self._kept(f"{asked.part}-{which}", ask, "logprobs", asked)

    def with_limits(self, asked: Questions, compute: Callable[[], FloatArray]) -> Questions:
        """The questions with their limits, which are computed once for each run [questions, options]."""
        self.tell(f"computing the limit: {asked.part}", 0, 1)

        def table() -> pl.DataFrame:
            return pl.DataFrame({"known": asked.known, "unit": asked.units, "probabilities": compute().tolist()})

        return replace(asked, limit=self._kept(f"{asked.part}-limit", table, "probabilities", asked))

    def _kept(self, step: str, compute: Callable[[], pl.DataFrame], column: str, asked: Questions) -> FloatArray:
        rows = self.run.step_table(step, compute)[column].to_list()
        return np.array(rows, dtype=np.float64).reshape(len(asked.queries), len(asked.options))
