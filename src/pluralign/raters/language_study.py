"""The part of a study that asks a language model: held-out ratings of some raters under every representation.

All representations are asked about the same ratings, those that the statistical models of the study are judged on too (first
seed). Items are preferred that many of the raters were asked about, so that pairs of raters can be compared on them.

A profile or a group's text has to come from the ratings that are given, never from those that are asked: whoever wrote it
says what it was written from (`RaterTexts`), and `check_sources` refuses what has seen too much.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import DataError, UsageError
from pluralign.models import LanguageModel, ModelSettings
from pluralign.progress import Tell
from pluralign.raters.attributes import code_attributes
from pluralign.raters.individual_asked import seen_rows
from pluralign.raters.language_decoder import DecoderSettings, Told, disagreement, rater_parts
from pluralign.raters.representations import RaterTexts, RaterWords, Representation
from pluralign.ratings import Ratings
from pluralign.ratings.keyed import id_codes, keyed_words
from pluralign.ratings.splits import split_fit_eval
from pluralign.runs import Run
from pluralign.scoring.job import held_model
from pluralign.scoring.totals import Totals
from pluralign.scoring.units import ModelEngine, Unit, finish_elsewhere, run_unit

__all__ = ["LanguageAsked", "LanguagePlan", "LanguageStudy", "ask_language_model", "plan_language_study"]

IntArray = npt.NDArray[np.int64]

Progress = Callable[[str, int, int], None]

_MOST_EXAMPLES = 32
_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "item_index": pl.Int64,
    "rater_index": pl.Int64,
    "rating_index": pl.Int64,
    "representation": pl.String,
    "probabilities": pl.List(pl.Float64),
    "outcome": pl.String,
    "n_shown": pl.Int64,
    "n_left_out": pl.Int64,
}


@dataclass(frozen=True, kw_only=True)
class LanguageStudy:
    """A model, what is known of the raters in words, and how much is asked."""

    model: LanguageModel
    texts: RaterTexts = field(default_factory=RaterTexts)
    written_from: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Rater to the items whose ratings the texts about that rater were written from, where that is known."""
    representations: tuple[str, ...] = ()
    """Default: nothing, attributes, 1, 2, 4, ... past ratings, and what there are texts for."""
    n_raters: int = 100
    n_ratings_each: int = 16
    most_tokens: int | None = None
    words: RaterWords | None = None
    settings: ModelSettings | None = None
    """With which the model was opened, for an engine to open it alike."""
    is_named: bool = False
    """Whether the model was opened by its name, so that an engine may do so too."""
    engine: ModelEngine | None = None
    """Asks the model elsewhere."""

    def __post_init__(self) -> None:
        if self.n_raters < 2 or self.n_ratings_each < 1:
            raise UsageError(f"a study asks about 2 raters and 1 rating or more, not {self.n_raters}, {self.n_ratings_each}.")
        for name in self.representations:
            Representation.parse(name)

    def arguments(self) -> dict[str, object]:
        """What makes two such studies the same; JSON-ready."""
        texts = [sorted(self.texts.profiles.items()), sorted(self.texts.clusters.items())]
        return {
            "model": self.model.name,
            "model_fingerprint": self.model.fingerprint(),
            "texts_sha256": hashlib.sha256(json.dumps(texts, ensure_ascii=True).encode()).hexdigest(),
            "representations": list(self.representations),
            "n_raters": self.n_raters,
            "n_ratings_each": self.n_ratings_each,
            "most_tokens": self.most_tokens,
            "words": repr(self.words),
        }


@dataclass(frozen=True, kw_only=True)
class LanguagePlan:
    """Which ratings are asked, under what."""

    rows: IntArray
    """[asked] positions in the ratings."""
    representations: tuple[str, ...]
    n_without_text: int
    """Raters who were left out since there is no text about them."""

    @property
    def n_questions(self) -> int:
        return len(self.rows) * len(self.representations)


@dataclass(frozen=True, kw_only=True)
class LanguageAsked:
    """What the model said."""

    model: str
    records: pl.DataFrame
    """A row for each asked rating and representation, by representation; probabilities are not recalibrated."""
    plan: LanguagePlan
    totals: Totals


def plan_language_study(ratings: Ratings, study: LanguageStudy, *, seed: int) -> LanguagePlan:
    """Raises DataError where nobody can be asked about, or where texts were written from what is asked."""
    split = split_fit_eval(ratings, seed=seed)
    representations = tuple(dict.fromkeys(["nothing", *(study.representations or _usual(ratings, study, seed))]))
    parsed = [Representation.parse(name) for name in representations]
    rows = np.flatnonzero(split.is_eval)
    needed = [
        *([study.texts.profiles] if any(one.profile for one in parsed) else []),
        *([study.texts.clusters] if any(one.cluster for one in parsed) else []),
    ]
    has_text = np.array([all(rater in texts for texts in needed) for rater in ratings.rater_ids])
    raters = np.unique(ratings.rater_index[rows])
    rows = rows[has_text[ratings.rater_index[rows]]]
    rows = _some_raters(ratings, rows, study.n_raters, seed)
    rows = _some_ratings(ratings, rows, study.n_ratings_each, seed)
    if len(np.unique(ratings.rater_index[rows])) < 2:
        raise DataError(
            ratings.name,
            f"of {len(raters):,} raters with held-out ratings {int(has_text[raters].sum()):,} have the texts that "
            f"{', '.join(representations)} need; at least 2 are needed.",
        )
    _check_sources(ratings, rows, study)
    return LanguagePlan(rows=rows, representations=representations, n_without_text=int((~has_text[raters]).sum()))


def ask_language_model(
    ratings: Ratings, study: LanguageStudy, run: Run, *, seed: int, tell: Progress | None = None
) -> LanguageAsked:
    """Every question once, however often the run is started."""
    plan = plan_language_study(ratings, study, seed=seed)
    units, model = _units(ratings, study, plan, seed), study.model
    with held_model(study.engine, model.name if study.is_named else model, model, study.settings) as at_work:
        finish_elsewhere(run, units, model, engine=at_work, tell=tell and _without_note(tell))
    tables, totals, done = [], Totals(), 0
    for unit in units:
        table, took, _ = run_unit(run, unit, model)
        tables.append(table)
        totals += took
        done += unit.n
        if tell is not None:
            tell(f"asking {model.name}", done, plan.n_questions)
    return LanguageAsked(model=study.model.name, records=pl.concat(tables), plan=plan, totals=totals)


def _units(ratings: Ratings, study: LanguageStudy, plan: LanguagePlan, seed: int) -> list[Unit]:
    """By representation, then by rater: what is known of one is the front of all questions."""
    given = ratings.take(split_fit_eval(ratings, seed=seed).is_fit)
    units = []
    for name in plan.representations:
        told = _told(study, name, given, seed)
        stem = hashlib.sha256(name.encode()).hexdigest()[:12]
        for number, rows in enumerate(rater_parts(ratings, plan.rows)):
            work = functools.partial(_records, told, given, ratings.take(rows))
            units.append(Unit(f"language-{stem}-{number:05d}", work, len(rows)))
    return units


def _without_note(tell: Progress) -> Tell:
    return lambda what, done, total, note="": tell(what, done, total)


def _usual(ratings: Ratings, study: LanguageStudy, seed: int) -> tuple[str, ...]:
    split = split_fit_eval(ratings, seed=seed)
    n_fit = np.bincount(ratings.rater_index[split.is_fit], minlength=ratings.n_raters)
    most = int(np.median(n_fit[n_fit > 0])) if (n_fit > 0).any() else 0
    numbers = [2**i for i in range(20) if 2**i <= min(most, _MOST_EXAMPLES)]
    has_attributes = bool(code_attributes(ratings)[0])
    names = ["nothing", *(["attributes"] if has_attributes else []), *(f"examples:{n}" for n in numbers)]
    if study.texts.clusters:
        names.append("cluster")
    if study.texts.profiles:
        names += ["profile", *(["profile+attributes"] if has_attributes else [])]
        names += [f"profile+examples:{numbers[-1]}"] if numbers else []
    return tuple(names)


def _told(study: LanguageStudy, name: str, given: Ratings, seed: int) -> Told:
    """Not recalibrated here. On which items people differ is learned from given ratings, which nobody is judged on."""
    settings = DecoderSettings(recalibrate=False, most_tokens=study.most_tokens, seed=seed)
    words = study.words or RaterWords.for_model(study.model.name, given.scale)
    return Told(name, words, study.texts, settings, disagreement(given) if "informative" in name else None)


def _records(told: Told, given: Ratings, asked: Ratings, model: LanguageModel) -> pl.DataFrame:
    decoded = told.decoder(model).decode(asked, given=given)
    return pl.DataFrame(
        {
            "item_index": asked.item_index,
            "rater_index": asked.rater_index,
            "rating_index": asked.rating_index,
            "representation": [told.representation] * len(asked),
            "probabilities": decoded.probabilities.tolist(),
            "outcome": decoded.outcomes,
            "n_shown": decoded.n_shown,
            "n_left_out": decoded.n_left_out,
        },
        schema=_SCHEMA,
    )


def _some_raters(ratings: Ratings, rows: IntArray, n: int, seed: int) -> IntArray:
    raters = np.unique(ratings.rater_index[rows])
    words = keyed_words(seed, "language_study", id_codes(ratings.rater_ids))[raters]
    kept = raters[np.argsort(words, kind="stable")[:n]]
    return rows[np.isin(ratings.rater_index[rows], kept)]


def _some_ratings(ratings: Ratings, rows: IntArray, n: int, seed: int) -> IntArray:
    """Of each rater n; those of the items that come first in an order keyed by the item, so that raters' items coincide."""
    words = keyed_words(seed, "language_study", id_codes(ratings.item_ids))[ratings.item_index[rows]]
    order = np.lexsort((words, ratings.rater_index[rows]))
    raters = ratings.rater_index[rows][order]
    first = np.searchsorted(raters, raters, side="left")
    return np.sort(rows[order][np.arange(len(order)) - first < n])


def _check_sources(ratings: Ratings, rows: IntArray, study: LanguageStudy) -> None:
    seen = rows[seen_rows(ratings.take(rows), study.written_from)]
    if len(seen):
        rater, item = ratings.rater_ids[ratings.rater_index[seen[0]]], ratings.item_ids[ratings.item_index[seen[0]]]
        raise DataError(
            ratings.name,
            f"{len(seen):,} ratings that would be asked were shown to whoever wrote the profiles, e.g. item {item!r} of "
            f"rater {rater!r}; write profiles from given ratings only, with the seed of this study.",
        )
