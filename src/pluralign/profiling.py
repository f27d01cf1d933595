"""Value profiles in a run folder: written by a model, shown, and changed by a person.

>>> from pluralign.profiling import write
>>> write("ratings.csv", "runs/profiles", model="embedded").profiles  # doctest: +SKIP
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.commands import limited
from pluralign.errors import DataError, UsageError, nearest_name
from pluralign.evals.judge_models import judge_settings
from pluralign.models import LanguageModel, ModelSettings
from pluralign.models.cache import ResponseCache
from pluralign.progress import Tell
from pluralign.raters.profile_effects import profile_shifts
from pluralign.raters.profile_files import PROFILES, edited_path, profiles_path, read_profiles, write_profiles
from pluralign.raters.profile_leaks import privacy_by_attribute
from pluralign.raters.profile_prompt import ProfilePrompt
from pluralign.raters.profile_results import Edited, Given, ProfilePlan, Written, measured_profiles
from pluralign.raters.profiles import (
    ProfileSettings,
    RaterProfile,
    chosen_profiles,
    draft_table,
    score_table,
)
from pluralign.ratings import Ratings
from pluralign.ratings.readers import ReadOptions, read_ratings
from pluralign.ratings.splits import split_fit_eval
from pluralign.runs import Run, RunConfig
from pluralign.scoring.job import held_model, opened_model, settings_of_run
from pluralign.scoring.totals import Prices, Totals, rate
from pluralign.scoring.units import Engine, ModelEngine, Unit, finish_elsewhere, run_unit
from pluralign.suite.ratings_name import is_ratings_name, ratings_file

__all__ = ["Edited", "Given", "ProfilePlan", "Written", "edit", "given_ratings", "plan_write", "show", "write"]

IntArray = npt.NDArray[np.int64]
PART_REQUESTS = 256
"""Drafts of a part, a run's unit of work, at most, unless one rater has more."""


def write(
    file: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    model: str | LanguageModel,
    decoder: str | LanguageModel | None = None,
    read: ReadOptions | None = None,
    settings: ProfileSettings | None = None,
    given: Given = "fit",
    limit: int | None = None,
    model_settings: ModelSettings | None = None,
    cache: ResponseCache | None = None,
    prices: Prices | None = None,
    engine: ModelEngine | None = None,
    on_progress: Tell | None = None,
) -> Written:
    """Profiles of the raters of a file into the run folder `out`: profiles.jsonl, records.parquet, results.json.

    `decoder` scores the drafts; where there are several and none is named it is the model itself. `given` says from which
    ratings profiles are written; `limit` keeps that many raters, drawn by the seed. Raises DataError and UsageError for what
    cannot be read or asked, and what the models raise. An `engine` asks both models elsewhere, one after the other, with the
    same records. Started again with the same arguments it goes on where it stopped.
    """
    settings = settings or ProfileSettings()
    ratings = limited(read_ratings(Path(file), read or ReadOptions()), limit, seed=settings.seed)
    known = given_ratings(ratings, given, seed=settings.seed)
    opened = opened_model(model, model_settings, cache)
    reader = _opened_decoder(decoder, opened, settings, model_settings, cache)
    prompt = _prompt(opened.name, ratings, settings)
    raters = np.unique(ratings.rater_index)
    config = _config(file, ratings, opened, reader, prompt, settings, given, model_settings)
    by = None if reader is None else reader.name
    with Run.open(out, config) as run:
        asked = _Asked(run, opened, reader, known, prompt, settings, on_progress)
        _finish_elsewhere(asked, raters, engine, model, decoder or model, model_settings)
        records, losses = asked.all(raters)
        profiles = chosen_profiles(records, losses, model=opened.name, decoder=by, prompt_version=prompt.version)
        found = Written(
            name=ratings.name,
            model=opened.name,
            decoder=by,
            prompt_version=prompt.version,
            given=given,
            profiles=profiles,
            **measured_profiles(records, losses, profiles, seed=settings.seed),
            privacy=privacy_by_attribute(ratings, settings.told),
            notes=[str(note) for note in ratings.notes],
            totals=asked.totals,
            decoder_totals=asked.decoder_totals,
            prices=prices,
        )
        run.write_records(records if losses is None else records.join(losses, on=["rater_id", "draft"], how="left"))
        write_profiles(run.folder / PROFILES, profiles)
        run.write_results(found.to_dict())
    return found


def plan_write(
    file: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    model: str,
    decoder: str | None = None,
    read: ReadOptions | None = None,
    settings: ProfileSettings | None = None,
    given: Given = "fit",
    limit: int | None = None,
) -> ProfilePlan:
    """What `write` with the same arguments would do. Reads the file, so that what is wrong with it comes out now."""
    settings = settings or ProfileSettings()
    ratings = limited(read_ratings(Path(file), read or ReadOptions()), limit, seed=settings.seed)
    known = given_ratings(ratings, given, seed=settings.seed)
    n_given = np.bincount(known.rater_index, minlength=known.n_raters)[np.unique(ratings.rater_index)]
    reader = decoder or (model if settings.n_drafts > 1 else None)
    scored = np.minimum(n_given, settings.most_scored).sum() * settings.n_drafts if reader is not None else 0
    return ProfilePlan(
        name=ratings.name,
        out=os.fspath(out),
        model=model,
        decoder=reader,
        prompt_version=_prompt(model, ratings, settings).version,
        n_raters=len(n_given),
        n_without_ratings=int((n_given == 0).sum()),
        n_drafts=int((n_given > 0).sum()) * settings.n_drafts,
        n_scored=int(scored),
        max_tokens=settings.sampling().max_tokens,
        privacy=privacy_by_attribute(ratings, settings.told),
        notes=[str(note) for note in ratings.notes],
    )


def given_ratings(ratings: Ratings, given: Given, *, seed: int) -> Ratings:
    """What may be shown: all, or what is not held out by `split_fit_eval`; of raters with too few to split, who are never
    judged on, all in either case."""
    if given not in get_args(Given):
        raise UsageError(f"given: {nearest_name(given, get_args(Given))}")
    return ratings if given == "all" else ratings.take(~split_fit_eval(ratings, seed=seed).is_eval)


def edit(
    profiles: str | os.PathLike[str],
    *,
    rater: str,
    text: str,
    ratings: str | os.PathLike[str],
    model: str | LanguageModel,
    items: Sequence[str] = (),
    n_items: int = 5,
    model_settings: ModelSettings | None = None,
    cache: ResponseCache | None = None,
    seed: int = 0,
) -> Edited:
    """Keeps a new text of a rater's profile beside the model's, never over it, and says what the change does.

    `profiles` is a file or a run folder; the new text goes into `edited_path`. `ratings` is a file, or how it is read:
    "ratings:FILE?rating=label&rater=worker". Items are those named, or the `n_items` of the table that move most. Raises
    DataError for an unknown rater or item, UsageError for a text that is empty or as before.
    """
    file = profiles_path(profiles)
    if file.stem.endswith(".edited"):
        raise UsageError(f"{file}: name the file that it was made from; the edited profiles beside it are found.")
    original, current = _profile_of(file, rater), _profile_of(file, rater, edited=True)
    text = text.strip()
    if not text or text == current.profile:
        raise UsageError(f"the new text of rater {rater!r} is {'empty' if not text else 'as it was before'}: nothing to keep.")
    table = _read(ratings)
    opened = opened_model(model, model_settings, cache)
    shifts = profile_shifts(opened, table, before=current.profile, after=text, items=items, n=n_items, seed=seed)
    new = replace(original, profile=text, outcome="ok", drafts=(), model=None, decoder=None, edited_from=original.profile or "")
    beside = edited_path(file)
    others = [one for one in (read_profiles(beside) if beside.exists() else []) if one.rater_id != rater]
    write_profiles(beside, [*others, new])
    return Edited(
        file=str(beside), profile=new, before=current.profile, model=opened.name, options=table.scale.options, shifts=shifts
    )


def show(profiles: str | os.PathLike[str], *, rater: str) -> tuple[RaterProfile, RaterProfile | None]:
    """A rater's profile as it was written, and as a person changed it. Raises DataError for an unknown rater."""
    file = profiles_path(profiles)
    original, current = _profile_of(file, rater), _profile_of(file, rater, edited=True)
    return original, None if current == original else current


def _profile_of(file: Path, rater: str, *, edited: bool = False) -> RaterProfile:
    found = {one.rater_id: one for one in read_profiles(file, edited=edited)}
    if rater not in found:
        raise DataError(str(file), f"rater {nearest_name(rater, list(found)[:50])[:300]}")
    return found[rater]


def _read(ratings: str | os.PathLike[str]) -> Ratings:
    name = os.fspath(ratings)
    if not is_ratings_name(name):
        return read_ratings(Path(name), ReadOptions())
    named = ratings_file(name)
    return read_ratings(Path(named.file), named.options)


def _opened_decoder(
    decoder: str | LanguageModel | None,
    model: LanguageModel,
    settings: ProfileSettings,
    model_settings: ModelSettings | None,
    cache: ResponseCache | None,
) -> LanguageModel | None:
    """Of its own settings it has those of machine and server from the model's."""
    if decoder is None:
        return model if settings.n_drafts > 1 else None
    if isinstance(decoder, str):
        return model if decoder == model.name else opened_model(decoder, judge_settings(model_settings), cache)
    return decoder


def _prompt(model: str, ratings: Ratings, settings: ProfileSettings) -> ProfilePrompt:
    return ProfilePrompt.for_model(model, ratings.scale, words=settings.words, language=settings.language)


def _config(
    file: str | os.PathLike[str],
    ratings: Ratings,
    model: LanguageModel,
    decoder: LanguageModel | None,
    prompt: ProfilePrompt,
    settings: ProfileSettings,
    given: Given,
    model_settings: ModelSettings | None,
) -> RunConfig:
    chosen = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(settings).items() if name != "seed"}
    arguments = {
        **chosen,
        "given": given,
        "model": model.name,
        "model_fingerprint": model.fingerprint(),
        "decoder": None if decoder is None else decoder.name,
        "decoder_fingerprint": None if decoder is None else decoder.fingerprint(),
        "prompt_version": prompt.version,
        "prompt_sha256": hashlib.sha256(prompt.request.encode()).hexdigest(),
        "ratings_sha256": ratings.content_hash(),
        "settings": settings_of_run(model_settings),
    }
    return RunConfig(command="profile write", arguments=arguments, seed=settings.seed, inputs={"file": os.fspath(file)})


@dataclass
class _Asked:
    """Drafts and their losses, part by part."""

    run: Run
    model: LanguageModel
    decoder: LanguageModel | None
    known: Ratings
    prompt: ProfilePrompt
    settings: ProfileSettings
    tell: Tell | None
    totals: Totals = field(default_factory=Totals)
    decoder_totals: Totals = field(default_factory=Totals)

    def all(self, raters: IntArray) -> tuple[pl.DataFrame, pl.DataFrame | None]:
        """Of these raters; every part is asked once, however often the run is started."""
        drafts: list[pl.DataFrame] = []
        scores: list[pl.DataFrame] = []
        done = 0
        for unit in self._drafting(raters):
            if self.tell is not None:
                self.tell(f"asking {self.model.name}", done, len(raters), rate(self.totals))
            table, took, _ = run_unit(self.run, unit, self.model)
            drafts.append(table)
            self.totals += took
            done += unit.n
            if self.decoder is not None:
                found, took, _ = run_unit(self.run, self._scoring(len(scores), table), self.decoder)
                scores.append(found)
                self.decoder_totals += took
        if self.tell is not None:
            self.tell(f"asking {self.model.name}", len(raters), len(raters), rate(self.totals))
        return pl.concat(drafts), pl.concat(scores) if scores else None

    def drafts_elsewhere(self, raters: IntArray, engine: Engine | None) -> None:
        """By an engine that holds the model."""
        finish_elsewhere(self.run, self._drafting(raters), self.model, engine=engine, tell=self.tell)

    def scores_elsewhere(self, raters: IntArray, engine: Engine | None) -> None:
        """By an engine that holds the decoder, when all drafts are there."""
        if engine is None or self.decoder is None:
            return
        names = [unit.name for unit in self._drafting(raters)]
        units = [self._scoring(number, self.run.scan_steps([name]).collect()) for number, name in enumerate(names)]
        finish_elsewhere(self.run, units, self.decoder, engine=engine, tell=self.tell)

    def _drafting(self, raters: IntArray) -> list[Unit]:
        size = max(1, PART_REQUESTS // self.settings.n_drafts)
        parts = [raters[start : start + size] for start in range(0, len(raters), size)]
        return [
            Unit(f"drafts-{n:05d}", functools.partial(_drafted, self.known, self.prompt, self.settings, part), len(part))
            for n, part in enumerate(parts)
        ]

    def _scoring(self, number: int, drafts: pl.DataFrame) -> Unit:
        work = functools.partial(_scored, self.known, self.settings, drafts)
        return Unit(f"scores-{number:05d}", work, drafts["rater_id"].n_unique())


def _finish_elsewhere(
    asked: _Asked,
    raters: IntArray,
    engine: ModelEngine | None,
    model: str | LanguageModel,
    decoder: str | LanguageModel,
    settings: ModelSettings | None,
) -> None:
    """All drafts, then all scores; the models as they were asked for."""
    reader = asked.decoder
    with held_model(engine, model, asked.model, settings) as at_work:
        asked.drafts_elsewhere(raters, at_work)
        if reader is asked.model:
            asked.scores_elsewhere(raters, at_work)
    if reader is not None and reader is not asked.model:
        with held_model(engine, decoder, reader, judge_settings(settings)) as at_work:
            asked.scores_elsewhere(raters, at_work)


def _drafted(
    known: Ratings, prompt: ProfilePrompt, settings: ProfileSettings, raters: IntArray, model: LanguageModel
) -> pl.DataFrame:
    return draft_table(model, known, raters, prompt, settings)


def _scored(known: Ratings, settings: ProfileSettings, drafts: pl.DataFrame, decoder: LanguageModel) -> pl.DataFrame:
    return score_table(decoder, known, drafts, settings)
