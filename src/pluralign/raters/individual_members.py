"""What each model says of the ratings that are asked, and of those kept apart; each part of the work once in a run folder.

Of every kind of pair that is asked (`individual_asked.KINDS`) some known ratings are kept apart as such pairs are. They teach
how a language model's distributions are recalibrated and how models are pooled; statistical models are fitted without them for
that, and on all known ratings for what is asked.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.models import LanguageModel
from pluralign.progress import Tell
from pluralign.raters.individual_asked import AskedRatings, KeptApart, kept_apart
from pluralign.raters.individual_models import statistical_model
from pluralign.raters.language_decoder import PART_ROWS, DecoderSettings, Told, disagreement, rater_parts
from pluralign.raters.representations import RaterTexts, RaterWords, Representation
from pluralign.ratings import Ratings
from pluralign.runs import Run
from pluralign.scoring.totals import Totals, rate
from pluralign.scoring.units import Engine, Unit, finish_elsewhere, run_unit

__all__ = ["LanguageMember", "Said", "StatisticalMember", "apart_of_kinds"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "probabilities": pl.List(pl.Float64),
    "outcome": pl.String,
    "n_shown": pl.Int64,
    "n_left_out": pl.Int64,
    "covered_mass": pl.Float64,
}


def apart_of_kinds(world: AskedRatings, *, most: int, seed: int, seen: BoolArray | None = None) -> dict[int, KeptApart]:
    """What is kept apart for each kind that is asked and of which there is enough (`kept_apart`)."""
    kinds = np.unique(world.kind).tolist()
    found = {kind: kept_apart(world.known, kind, most=most, seed=seed, seen=seen) for kind in kinds}
    return {kind: apart for kind, apart in found.items() if apart is not None}


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """Of some ratings what a model said, a row each."""

    probabilities: FloatArray
    """[rows, options]; NaN where the model gave no answer."""
    outcomes: npt.NDArray[np.str_]
    n_shown: IntArray
    """Past ratings of the rater that the model was told."""
    n_left_out: IntArray
    """Past ratings that found no room."""


@dataclass(eq=False)
class LanguageMember:
    """A language model told what the representation says."""

    model: LanguageModel
    representation: str
    words: RaterWords
    texts: RaterTexts
    most_tokens: int | None = None
    seed: int = 0
    n_questions: int = 0
    """In all, for the progress."""
    totals: Totals = field(default_factory=Totals)
    n_done: int = 0
    tell: Tell | None = None
    engine: Engine | None = None
    """Asks the model elsewhere."""

    def said(self, run: Run, purpose: str, train: Ratings, given: Ratings, asked: Ratings) -> Said:
        """Not recalibrated. `train` only says on which items people differ, where examples are chosen by that."""
        settings = DecoderSettings(recalibrate=False, most_tokens=self.most_tokens, seed=self.seed)
        is_informative = Representation.parse(self.representation).order == "informative"
        told = Told(self.representation, self.words, self.texts, settings, disagreement(train) if is_informative else None)
        parts = list(rater_parts(asked, np.arange(len(asked)), most=PART_ROWS))
        units = [
            Unit(f"{purpose}-{number:05d}", functools.partial(_decoded, told, given, asked.take(rows)), len(rows))
            for number, rows in enumerate(parts)
        ]
        finish_elsewhere(run, units, self.model, engine=self.engine, tell=self.tell)
        tables = []
        for unit, rows in zip(units, parts, strict=True):
            table, took, _ = run_unit(run, unit, self.model)
            tables.append(table.with_columns(pl.Series("row", rows)))
            self.totals += took
            self.n_done += len(rows)
            if self.tell is not None:
                self.tell(f"asking {self.model.name}", self.n_done, self.n_questions, rate(self.totals))
        return _said(pl.concat(tables).sort("row"), asked.n_options)


@dataclass(eq=False)
class StatisticalMember:
    """A statistical model by its name; fitted anew for every set of training ratings."""

    name: str
    seed: int = 0
    tell: Tell | None = None

    def said(self, run: Run, purpose: str, train: Ratings, given: Ratings, asked: Ratings) -> Said:
        """All is answered."""

        def compute() -> pl.DataFrame:
            if self.tell is not None:
                self.tell(f"fitting {self.name}", 0, 1)
            p = statistical_model(self.name, seed=self.seed).fit(train).predict_proba(asked, given=given)
            return pl.DataFrame({"probabilities": p.tolist()}, schema={"probabilities": pl.List(pl.Float64)})

        stem = hashlib.sha256(self.name.encode()).hexdigest()[:8]
        table = run.step_table(f"{purpose}-{stem}", compute)
        n, told = len(asked), self.name not in ("marginal", "per-item")
        n_given = np.bincount(given.rater_index, minlength=given.n_raters)[asked.rater_index]
        shown = n_given if told else np.zeros(n, dtype=np.int64)
        return Said(_matrix(table, asked.n_options), np.full(n, "ok"), shown, np.zeros(n, dtype=np.int64))


def _decoded(told: Told, given: Ratings, asked: Ratings, model: LanguageModel) -> pl.DataFrame:
    found = told.decoder(model).decode(asked, given=given)
    return pl.DataFrame(
        {
            "probabilities": found.probabilities.tolist(),
            "outcome": found.outcomes,
            "n_shown": found.n_shown,
            "n_left_out": found.n_left_out,
            "covered_mass": found.covered_mass,
        },
        schema=_SCHEMA,
    )


def _said(table: pl.DataFrame, n_options: int) -> Said:
    return Said(
        _matrix(table, n_options),
        table["outcome"].to_numpy().astype(np.str_),
        table["n_shown"].to_numpy(),
        table["n_left_out"].to_numpy(),
    )


def _matrix(table: pl.DataFrame, n_options: int) -> FloatArray:
    return np.array(table["probabilities"].to_list(), dtype=np.float64).reshape(-1, n_options)
