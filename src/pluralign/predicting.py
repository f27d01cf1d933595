"""Steering to one person: `adapt` tunes a model on the raters of a table, `predict` fills in ratings that nobody gave.

>>> from pluralign.predicting import PredictSources, predict
>>> predict(PredictSources("ratings.csv"), "runs/filled", model="embedded").table  # doctest: +SKIP
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.commands import limited
from pluralign.errors import UsageError
from pluralign.estimates import Estimate
from pluralign.models import LanguageModel, ModelSettings
from pluralign.models.cache import ResponseCache
from pluralign.models.embedded import embedded_folder
from pluralign.progress import Tell
from pluralign.raters.individual import n_questions, predict_ratings
from pluralign.raters.individual_adapt import AdaptPlan, adapt_model, plan_adapt_model
from pluralign.raters.individual_asked import KINDS, AskedRatings, joined, missing_pairs
from pluralign.raters.individual_layout import Layout, adapted_words
from pluralign.raters.individual_models import is_statistical, privacy_of
from pluralign.raters.individual_pairs import ToldTexts, read_pairs, read_told_texts
from pluralign.raters.individual_results import Predicted, PredictSettings
from pluralign.raters.lewidi_files import LewidiAsked, is_lewidi_asked, read_lewidi_asked, write_submission
from pluralign.raters.representations import RaterTexts, RaterWords, Representation, rater_queries
from pluralign.ratings import Note, Ratings
from pluralign.ratings.readers import ReadOptions, read_long, read_ratings
from pluralign.ratings.splits import some_rows
from pluralign.scoring.job import held_model, opened_model
from pluralign.scoring.shown import named_template
from pluralign.scoring.totals import Prices
from pluralign.scoring.units import Engine, ModelEngine
from pluralign.stores import place
from pluralign.terminal import printable

if TYPE_CHECKING:
    from pluralign.tuning.settings import TuneSettings
    from pluralign.tuning.spectrum import TunePlaces

__all__ = ["PredictPlan", "PredictSources", "adapt", "adapted_lines", "plan_adapt", "plan_predict", "predict"]

MISSING = "missing"
"""Asked: every pair that nobody gave."""
LEWIDI_FOLDER = "lewidi"
_COUNTED = 200
"""Questions whose tokens are counted to know those of all."""


@dataclass(frozen=True, kw_only=True)
class _Read:
    """What the files say."""

    world: AskedRatings
    told: ToldTexts
    lewidi: LewidiAsked | None


@dataclass(frozen=True)
class PredictSources:
    """Where known ratings come from, and what is asked."""

    ratings: str | os.PathLike[str]
    """A file or folder of ratings."""
    ask: str | os.PathLike[str] | None = None
    """"missing", or a file of pairs. Default: the pairs of `dev` if it is given, else "missing"."""
    dev: str | os.PathLike[str] | None = None
    """A file of ratings that are held out: they are asked as well, and predictions are judged by them."""
    read: ReadOptions | None = None
    """How files of ratings are read."""
    profiles: str | os.PathLike[str] | None = None
    """A run folder or file of profiles, or a table with rater_id and profile; written from known ratings only."""
    groups: str | os.PathLike[str] | None = None
    """Groups of raters: a run folder of `profile cluster`, or a table with rater_id and cluster, the text of the group."""
    limit: int | None = None
    """Pairs that are asked, at most; by chance."""


@dataclass(frozen=True, kw_only=True)
class PredictPlan:
    """What `predict` would ask."""

    model: str
    out: str
    representation: str | None
    n_known: int
    n_asked: int
    kinds: Mapping[str, int]
    n_questions: int
    """Put to a language model; 0 for a statistical one."""
    tokens_in: int | None
    """Estimated from some of the questions, if nothing were shared, cut or remembered."""
    cost_at_most: float | None
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        kinds = "; ".join(f"{kind}: {n:,}" for kind, n in self.kinds.items())
        lines = [f"{self.n_known:,} ratings are known; would fill in {self.n_asked:,} ({kinds})"]
        if self.n_questions:
            apart = self.n_questions - self.n_asked
            lines.append(
                f"would ask {printable(self.model)} {self.n_questions:,} questions, {apart:,} of them about known ratings kept "
                f"apart, told: {self.representation}"
            )
        if self.tokens_in is not None:
            lines.append(f"about {self.tokens_in:,} tokens in, nothing shared or remembered")
        if self.cost_at_most is not None:
            lines.append(f"cost: about {self.cost_at_most:,.4f} at most")
        files = "predictions.parquet, predictions.csv, items.parquet, items.csv, results.json"
        return [
            *lines,
            *self.notes,
            f"would write to {self.out}: {files}",
            "Nothing was asked and nothing was written (--dry-run).",
        ]


def predict(
    sources: PredictSources,
    out: str | os.PathLike[str],
    *,
    model: str | LanguageModel,
    settings: PredictSettings | None = None,
    has_representation: bool = True,
    model_settings: ModelSettings | None = None,
    cache: ResponseCache | None = None,
    prices: Prices | None = None,
    engine: ModelEngine | None = None,
    on_progress: Tell | None = None,
) -> Predicted:
    """Fills in ratings into the run folder `out`; see `raters.individual.predict_ratings`.

    Without settings, or where they have no representation of their own (`has_representation`), a folder that `adapt` made is
    told what it was tuned on. Of a file of LeWiDi-2025 the files to hand in are written too (`raters.lewidi_files`). An
    `engine` asks a language model elsewhere, with the same records.
    """
    name = model if isinstance(model, str) else model.name
    ratings = read_ratings(Path(sources.ratings), sources.read or ReadOptions())
    settings, words = _told(name, ratings, settings, has_representation=has_representation)
    found = _read(sources, ratings, settings.seed)
    is_language = not (isinstance(model, str) and is_statistical(model))
    opened = opened_model(model, model_settings, cache) if is_language else model
    with _held(engine, model, opened, model_settings) as at_work:
        predicted = predict_ratings(
            found.world,
            opened,
            out,
            settings=settings,
            words=words,
            texts=found.told.texts,
            written_from=found.told.written_from,
            model_settings=model_settings,
            prices=prices,
            engine=at_work,
            on_progress=on_progress,
        )
    if found.lewidi is not None:
        write_submission(place(out) / LEWIDI_FOLDER, found.lewidi, predicted.table, ratings.scale.options)
    return predicted


def _held(
    engine: ModelEngine | None, model: str | LanguageModel, opened: str | LanguageModel, settings: ModelSettings | None
) -> AbstractContextManager[Engine | None]:
    if not isinstance(opened, str):
        return held_model(engine, model, opened, settings)
    if engine is not None:
        raise UsageError(f"--engine asks a language model; {opened} is a statistical one, which is fitted here: leave it out.")
    return contextlib.nullcontext()


def plan_predict(
    sources: PredictSources,
    out: str | os.PathLike[str],
    *,
    model: str,
    settings: PredictSettings | None = None,
    has_representation: bool = True,
    model_settings: ModelSettings | None = None,
    prices: Prices | None = None,
) -> PredictPlan:
    """What `predict` with the same arguments would ask. Reads the files, so that what is wrong with them comes out now."""
    ratings = read_ratings(Path(sources.ratings), sources.read or ReadOptions())
    settings, words = _told(model, ratings, settings, has_representation=has_representation)
    found = _read(sources, ratings, settings.seed)
    is_language = not is_statistical(model)
    notes = [str(note) for note in found.world.notes]
    tokens, n = None, n_questions(found.world, settings, written_from=found.told.written_from) if is_language else 0
    if is_language:
        representation = Representation.parse(settings.representation)
        if (privacy := privacy_of(found.world.known, representation)) is not None:
            notes.append(str(privacy))
        tokens, more = _tokens(found, model, settings, words, model_settings or ModelSettings(), n)
        notes += more
    return PredictPlan(
        model=model,
        out=os.fspath(out),
        representation=settings.representation if is_language else None,
        n_known=len(found.world.known),
        n_asked=len(found.world.asked),
        kinds=dict(Counter(KINDS[kind] for kind in found.world.kind.tolist()).most_common()),
        n_questions=n,
        tokens_in=tokens,
        cost_at_most=None if tokens is None or prices is None else prices.of(tokens, n * len(ratings.scale)),
        notes=notes,
    )


def _told(
    name: str, ratings: Ratings, settings: PredictSettings | None, *, has_representation: bool
) -> tuple[PredictSettings, RaterWords | None]:
    """What a folder that was tuned on raters is told, unless the settings say it."""
    adapted = adapted_words(name, ratings) if name.startswith("hf/") else None
    if adapted is None:
        return settings or PredictSettings(), None
    if settings is None or not has_representation:
        settings = replace(settings or PredictSettings(), representation=adapted.representation)
    return settings, adapted.words


def _tokens(
    found: _Read, model: str, settings: PredictSettings, words: RaterWords | None, opened: ModelSettings, n: int
) -> tuple[int | None, list[str]]:
    """Tokens of `n` questions, each option behind a prompt of its own, from some of them; or why they are not known."""
    kind = model.partition("/")[0]
    if kind == "scripted":
        return None, ["the scripted model has no tokens"]
    if kind == "openai" and not opened.tokenizer:
        return None, ["tokens and cost are not known without the model's tokenizer (--tokenizer)"]
    if opened.elicit != "logprobs":
        return None, [f"tokens are not counted for distributions elicited by {opened.elicit}"]
    if kind == "embedded":
        opened = replace(opened, tokenizer=str(embedded_folder(model.partition("/")[2])))
    template = named_template(model, opened)
    world = found.world
    some = world.asked.take(some_rows(world.asked, _all_rows(world.asked), _COUNTED, seed=settings.seed, purpose="counted"))
    representation = Representation.parse(settings.representation)
    if representation.order == "informative":
        representation = replace(representation, order="random")
    queries = rater_queries(
        some, world.known, representation, words=words or RaterWords.for_model(model, some.scale), texts=found.told.texts
    )
    lengths = map(len, template.encode_prompts([q.episode for q in queries], [q.input for q in queries]))
    options = sum(map(len, template.encode_options(some.scale.options)))
    each = sum(lengths) / len(queries) * len(some.scale) + options
    return round(each * n), []


# files


def _read(sources: PredictSources, ratings: Ratings, seed: int) -> _Read:
    options = sources.read or ReadOptions()
    dev = None if sources.dev is None else read_ratings(Path(sources.dev), options)
    ask = sources.ask if sources.ask is not None or dev is not None else MISSING
    if sources.limit is not None and sources.limit < 1:
        raise UsageError(f"--limit {sources.limit}: it is a number of pairs, at least 1.")
    parts, lewidi, name = [], None, "what is missing"
    if ask is not None and os.fspath(ask) == MISSING:
        parts.append(missing_pairs(ratings, limit=sources.limit, seed=seed))
    elif ask is not None:
        name = Path(ask).name
        if is_lewidi_asked(Path(ask)):
            lewidi = read_lewidi_asked(Path(ask), ratings)
            parts.append(lewidi.pairs)
        else:
            called = read_long(Path(sources.ratings), options)[1].columns
            parts.append(read_pairs(Path(ask), ratings, options, called))
    if dev is not None:
        name = Path(sources.dev or "").name if ask is None else f"{name} and {Path(sources.dev or '').name}"
        parts.insert(0, dev.to_long())  # first, so that of a pair that is asked twice the one with its rating stays
    world = joined(ratings, pl.concat(parts, how="diagonal_relaxed"), name=name)
    if sources.limit is not None and len(world.asked) > sources.limit:
        if lewidi is not None:
            raise UsageError("--limit: a file of LeWiDi-2025 is asked as a whole, since all of it is handed in.")
        rows = some_rows(world.asked, _all_rows(world.asked), sources.limit, seed=seed, purpose="limit")
        note = Note("--limit", f"pairs left out of {len(world.asked):,}, by chance", len(world.asked) - sources.limit)
        world = replace(world, asked=world.asked.take(rows), is_given=world.is_given[rows], notes=(*world.notes, note))
    return _Read(world=world, told=read_told_texts(sources.profiles, sources.groups), lewidi=lewidi)


def _all_rows(ratings: Ratings) -> npt.NDArray[np.int64]:
    return np.arange(len(ratings))


# adapting


def adapt(
    file: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    model: str,
    read: ReadOptions | None = None,
    layout: Layout | None = None,
    texts: RaterTexts | None = None,
    settings: TuneSettings | None = None,
    places: TunePlaces | None = None,
    limit: int | None = None,
    on_progress: Tell | None = None,
    tell: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Tunes a model on the raters of a file into the run folder `out`; see `raters.individual_adapt.adapt_model`.

    `limit` keeps that many raters, drawn by the settings' seed.
    """
    ratings = _limited(file, read, limit, settings)
    return adapt_model(
        ratings,
        model,
        out,
        layout=layout,
        texts=texts,
        settings=settings,
        places=places,
        on_progress=on_progress,
        tell=tell,
    )


def plan_adapt(
    file: str | os.PathLike[str],
    *,
    model: str,
    read: ReadOptions | None = None,
    layout: Layout | None = None,
    texts: RaterTexts | None = None,
    settings: TuneSettings | None = None,
    places: TunePlaces | None = None,
    limit: int | None = None,
    on_progress: Tell | None = None,
) -> AdaptPlan:
    """What `adapt` with the same arguments would do."""
    ratings = _limited(file, read, limit, settings)
    return plan_adapt_model(
        ratings, model, layout=layout, texts=texts, settings=settings, places=places, on_progress=on_progress
    )


def adapted_lines(results: Mapping[str, Any]) -> list[str]:
    """Of a run of `adapt` that has ended, for people."""
    tuned = results["tune"]
    lines = [f"{tuned['step']:,} steps, {tuned['tokens']:,} tokens, {tuned['loss_tokens']:,} of them supervised"]
    for found in (tuned["held_out"] or {}).values():
        nats, accuracy = Estimate.from_dict(found["nats"]), Estimate.from_dict(found["accuracy"])
        k = found["k_star"]
        lines.append(f"raters held out, behind 1 to {k} ratings of theirs: {nats} nats a rating, accuracy {accuracy}")
    return lines


def _limited(
    file: str | os.PathLike[str], read: ReadOptions | None, limit: int | None, settings: TuneSettings | None
) -> Ratings:
    ratings = read_ratings(Path(file), read or ReadOptions())
    return limited(ratings, limit, seed=0 if settings is None else settings.seed)
