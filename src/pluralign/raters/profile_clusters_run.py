"""Clusters of raters over value profiles in a run folder, and what they tell of new raters.

    half of the raters: candidates are some of their profiles; clusters are chosen by their given ratings; some of their
                        held-out ratings recalibrate (T and one weight an option, for each K and for "nothing")
    the others          are assigned by their given ratings, and their held-out ratings are predicted by the model, told the
                        profile of their cluster (representation "cluster") or nothing

The profiles of the other half are not looked at. Everybody's ratings are split by `split_fit_eval` at the seed of the run;
profiles must have been written from what is given at the same seed.

A part of the questions, such as all about one candidate, is a step of the run folder: a run that was killed goes on behind
the last one. Written are clusters.parquet (everybody's cluster for each K), records.parquet (the loss of every held-out
rating of the new raters), results.json.

Source: Sorensen et al. 2025, Value Profiles (arXiv 2503.15484), sections 3 and 5.
Departure: the decoder is the model as it is, recalibrated, in place of one that was trained on the clusters.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import DataError, RunError
from pluralign.estimates import estimate_mean, estimate_mean_difference
from pluralign.models import LanguageModel, ModelSettings
from pluralign.models.cache import ResponseCache
from pluralign.progress import Tell
from pluralign.raters.baselines import Marginal
from pluralign.raters.individual_asked import seen_rows
from pluralign.raters.profile_clusters import (
    Answered,
    CandidateAnswers,
    Candidates,
    Told,
    asking_model,
    log_losses,
    rater_losses,
    sample_candidates,
)
from pluralign.raters.profile_clusters_chosen import (
    Chosen,
    PruneSettings,
    choose_from_all,
    choose_pruned,
    features_of_items,
)
from pluralign.raters.profile_clusters_found import (
    ClusterPlan,
    ClusterSettings,
    ProfileCluster,
    ProfileClustering,
    ProfileClusterings,
)
from pluralign.raters.recalibration import fit_recalibration
from pluralign.raters.representations import RaterWords
from pluralign.ratings import Ratings
from pluralign.ratings.splits import some_rows, split_fit_eval, split_raters
from pluralign.runs import Run, RunConfig
from pluralign.scoring.job import held_model, opened_model, settings_of_run
from pluralign.scoring.totals import Prices, Totals
from pluralign.scoring.units import Engine, ModelEngine, Unit, finish_elsewhere, run_unit

__all__ = ["cluster_plan", "cluster_profiles"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_NOTHING = Candidates(ids=("nothing",), texts=("",))


def cluster_profiles(
    ratings: Ratings,
    profiles: Mapping[str, str],
    out: str | os.PathLike[str],
    *,
    model: str | LanguageModel,
    settings: ClusterSettings | None = None,
    written_from: Mapping[str, Collection[str]] | None = None,
    words: RaterWords | None = None,
    model_settings: ModelSettings | None = None,
    cache: ResponseCache | None = None,
    prices: Prices | None = None,
    engine: ModelEngine | None = None,
    on_progress: Tell | None = None,
) -> ProfileClusterings:
    """Clusters of the raters over these profiles, texts by rater id, in the run folder `out`; see the module.

    `written_from` are the items whose ratings each rater's profile was written from: none of these recalibrates. An `engine`
    asks the model elsewhere, with the same records: the whole table at once, or with pruning each round of it.

    Raises DataError where no training rater has a profile, or fewer different ones are there than clusters are asked for.
    """
    settings = settings or ClusterSettings()
    opened = opened_model(model, model_settings, cache)
    words = words or RaterWords.for_model(opened.name, ratings.scale)
    config = _config(ratings, [profiles, written_from or {}], opened, words, settings, model_settings)
    with Run.open(out, config) as run, held_model(engine, model, opened, model_settings) as at_work:
        parts = _parts(ratings, profiles, settings, written_from or {})
        work = _Work(parts, opened, words, settings, run, on_progress, at_work)
        found = replace(work.found(), prices=prices)
        run.write_results(found.to_dict())
    return found


def _config(
    ratings: Ratings,
    told: Sequence[Mapping[str, Collection[str]]],
    model: LanguageModel,
    words: RaterWords,
    settings: ClusterSettings,
    model_settings: ModelSettings | None,
) -> RunConfig:
    plain = [sorted((name, v if isinstance(v, str) else sorted(v)) for name, v in one.items()) for one in told]
    texts = json.dumps(plain, ensure_ascii=True)
    arguments = {
        **{name: list(v) if isinstance(v, tuple) else v for name, v in asdict(settings).items() if name != "seed"},
        "model": model.name,
        "model_fingerprint": model.fingerprint(),
        "settings": settings_of_run(model_settings),
        "words": asdict(words),
        "ratings_sha256": ratings.content_hash(),
        "profiles_sha256": hashlib.sha256(texts.encode()).hexdigest(),
    }
    return RunConfig(command="profile cluster", arguments=arguments, seed=settings.seed)


class _Parts(NamedTuple):
    """Who is who; all of these share their tables of items and raters."""

    given: Ratings
    """Of training raters."""
    given_new: Ratings
    asked_new: Ratings
    """Held out."""
    calibrating: Ratings
    """Held-out ratings of training raters."""
    candidates: Candidates


def _parts(
    ratings: Ratings, profiles: Mapping[str, str], settings: ClusterSettings, written_from: Mapping[str, Collection[str]]
) -> _Parts:
    seed = settings.seed
    is_new = np.zeros(ratings.n_raters, dtype=np.bool_)
    is_new[ratings.rater_index[split_raters(ratings, seed=seed).test]] = True
    split, of_new = split_fit_eval(ratings, seed=seed), is_new[ratings.rater_index]
    given = ratings.take(split.is_fit & ~of_new)
    if not len(given):
        raise DataError(ratings.name, "no training rater has 4 ratings or more, so nothing is given of anybody.")
    raters = [ratings.rater_ids[n] for n in np.unique(given.rater_index).tolist()]
    candidates = sample_candidates(profiles, raters, n=settings.n_candidates, seed=seed)
    if len(candidates) < settings.k[-1]:
        raise DataError(
            "profiles",
            f"{len(candidates)} training raters have different profiles, too few for {settings.k[-1]} clusters: "
            "ask for fewer, or write profiles of more raters.",
        )
    calibrating = ratings.take(split.is_eval & ~of_new)
    unseen, purpose = np.flatnonzero(~seen_rows(calibrating, written_from)), "profile clusters recalibration"
    calibrating = calibrating.take(some_rows(calibrating, unseen, settings.n_recalibration, seed=seed, purpose=purpose))
    return _Parts(given, ratings.take(split.is_fit & of_new), ratings.take(split.is_eval & of_new), calibrating, candidates)


def cluster_plan(ratings: Ratings, profiles: Mapping[str, str], settings: ClusterSettings) -> ClusterPlan:
    """What `cluster_profiles` would ask; no model is needed to know it. Raises the same errors."""
    parts = _parts(ratings, profiles, settings, {})
    n_held_out = len(np.unique(np.concatenate([parts.asked_new.item_index, parts.calibrating.item_index])))
    n_given = len(np.unique(parts.given_new.item_index))
    return ClusterPlan(
        n_candidates=len(parts.candidates),
        n_without=parts.candidates.n_without,
        n_alike=parts.candidates.n_alike,
        n_training=len(np.unique(parts.given.rater_index)),
        n_new=len(np.unique(parts.asked_new.rater_index)),
        n_held_out=len(parts.asked_new),
        n_table=len(parts.candidates) * len(np.unique(parts.given.item_index)),
        n_more=n_held_out + sum(settings.k) * (n_held_out + n_given),
        saving=settings.saving,
    )


@dataclass(frozen=True, slots=True)
class _ToldOf:
    """What the model is told of candidates, and about which items."""

    ratings: Ratings
    candidates: Candidates
    told: Told
    words: RaterWords


class _Steps:
    """Questions to the model as steps of the run folder, in the order in which they are asked."""

    def __init__(self, run: Run, model: LanguageModel, engine: Engine | None, about: _ToldOf, tell: Tell | None) -> None:
        self.run, self.model, self.engine, self.about, self.tell = run, model, engine, about, tell
        self.totals = Totals()
        self.n_parts = 0

    def ahead(self, asked: Sequence[tuple[IntArray, IntArray]]) -> None:
        """Done by the engine, if there is one."""
        units = [self._unit(self.n_parts + n, candidate, item) for n, (candidate, item) in enumerate(asked)]
        finish_elsewhere(self.run, units, self.model, engine=self.engine, tell=self.tell)

    def ask(self, candidate: IntArray, item: IntArray) -> Answered:
        unit = self._unit(self.n_parts, candidate, item)
        self.n_parts += 1
        table, totals, _ = run_unit(self.run, unit, self.model)
        self.totals += totals
        if table["candidate"].to_list() != candidate.tolist() or table["item"].to_list() != item.tolist():
            raise RunError(f"{self.run.folder}: step {unit.name} holds other questions; remove the folder to start anew.")
        return Answered(table["probabilities"].to_numpy().astype(np.float64), table["outcome"].to_list())

    def _unit(self, number: int, candidate: IntArray, item: IntArray) -> Unit:
        work = functools.partial(_asked, self.about, candidate, item)
        return Unit(f"{self.about.told}-{number:05d}", work, len(item))


def _asked(about: _ToldOf, candidate: IntArray, item: IntArray, model: LanguageModel) -> pl.DataFrame:
    ask = asking_model(model, about.ratings, about.candidates, told=about.told, words=about.words)
    return _table(candidate, item, ask(candidate, item))


def _table(candidate: IntArray, item: IntArray, found: Answered) -> pl.DataFrame:
    probabilities = pl.Series(found.probabilities, dtype=pl.Array(pl.Float64, found.probabilities.shape[1]))
    columns = {"candidate": candidate, "item": item, "outcome": list(found.outcomes), "probabilities": probabilities}
    return pl.DataFrame(columns)


class _Work:
    """One run."""

    def __init__(
        self,
        parts: _Parts,
        model: LanguageModel,
        words: RaterWords,
        settings: ClusterSettings,
        run: Run,
        tell: Tell | None,
        engine: Engine | None = None,
    ) -> None:
        self.model, self.words, self.settings, self.run, self.tell = model, words, settings, run, tell
        self.engine = engine
        self.given, self.given_new, self.asked_new, self.calibrating, self.candidates = parts
        self.ratings = self.given
        self.unanswered = Marginal().fit(self.given).shares_
        self.steps: list[_Steps] = []
        self.answers = self._answers("profile", self.candidates)
        same = words.cluster == words.profile  # then both tell the same, and what is known need not be asked again
        self.of_clusters = self.answers if same else self._answers("cluster", self.candidates)
        self.of_nobody = self._answers("nothing", _NOTHING)

    def _answers(self, told: Told, candidates: Candidates) -> CandidateAnswers:
        nobody = np.zeros(0, dtype=np.int64)  # what an engine sends is of items alone, however many people rated them
        items = replace(self.ratings.take(nobody), raters=self.ratings.raters.head(0))
        about = _ToldOf(items, candidates, told, self.words)
        steps = _Steps(self.run, self.model, self.engine, about, self.tell)
        self.steps.append(steps)
        return CandidateAnswers(
            steps.ask,
            n_candidates=len(candidates),
            n_items=self.ratings.n_items,
            n_options=self.ratings.n_options,
            ahead=steps.ahead,
        )

    def found(self) -> ProfileClusterings:
        settings, rater = self.settings, self.asked_new.rater_index
        one = np.zeros(self.ratings.n_raters, dtype=np.int64)
        nothing = self._held_out(self.of_nobody, np.zeros(1, dtype=np.int64), one, "asking, told nothing")
        pruned = settings.saving is not None
        features = features_of_items(self.given, seed=settings.seed) if pruned else None
        clusterings: list[ProfileClustering] = []
        losses = {0: nothing}
        members: dict[str, IntArray] = {}
        for k in settings.k:
            chosen = self._chosen(k, features)
            cluster = self._assigned(chosen)
            losses[k] = self._held_out(self.of_clusters, chosen.chosen, cluster, f"asking, told {k} clusters")
            before = losses[clusterings[-1].k] if clusterings else None
            clusterings.append(self._clustering(chosen, cluster, losses[k], nothing, before))
            members[f"cluster_{k}"] = cluster
        self._write(members, losses)
        asked = {id(one): one for one in (self.answers, self.of_clusters, self.of_nobody)}.values()
        return ProfileClusterings(
            model=self.model.name,
            n_candidates=len(self.candidates),
            n_without=self.candidates.n_without,
            n_alike=self.candidates.n_alike,
            n_training=len(np.unique(self.given.rater_index)),
            n_new=len(np.unique(rater)),
            n_held_out=len(rater),
            n_calibrating=len(self.calibrating),
            nothing_nats=estimate_mean(nothing, rater, seed=settings.seed),
            clusterings=tuple(clusterings),
            n_questions=sum(one.n_asked for one in asked),
            outcomes=dict(sum((one.outcomes for one in asked), Counter()).most_common()),
            totals=sum((one.totals for one in self.steps), Totals()),
        )

    def _chosen(self, k: int, features: list[FloatArray] | None) -> Chosen:
        """By the given ratings of training raters alone."""
        settings, tell = self.settings, self._telling(f"choosing {k} clusters")
        if settings.saving is None:
            return choose_from_all(
                self.answers, self.given, k, unanswered=self.unanswered, by=settings.by, seed=settings.seed, tell=tell
            )
        pruning = PruneSettings(saving=settings.saving, seed=settings.seed)
        return choose_pruned(
            self.answers, self.given, k, unanswered=self.unanswered, features=features, settings=pruning, tell=tell
        )

    def _assigned(self, chosen: Chosen) -> IntArray:
        """[raters] new ones as well, by their given ratings; -1 without any."""
        cluster = chosen.assignment.copy()
        items = np.unique(self.given_new.item_index)
        if len(items):
            self.answers.ask(chosen.chosen, items, tell=self._telling("assigning new raters"))
            known = self.answers.of(chosen.chosen, items, unanswered=self.unanswered)
            raters = np.unique(self.given_new.rater_index)
            cluster[raters] = rater_losses(log_losses(known), items, self.given_new)[raters].argmin(axis=1)
        return cluster

    def _held_out(self, answers: CandidateAnswers, chosen: IntArray, cluster: IntArray, what: str) -> FloatArray:
        """Losses of the held-out ratings of new raters, recalibrated on those of training raters."""

        def predicted(rows: Ratings) -> FloatArray:
            of = cluster[rows.rater_index]
            for position in np.unique(of).tolist():
                items = np.unique(rows.item_index[of == position])
                answers.ask(chosen[[position]], items, tell=self._telling(what))
            return answers.probabilities[chosen[of], rows.item_index].astype(np.float64)

        recalibration = fit_recalibration(predicted(self.calibrating), self.calibrating.rating_index)
        probabilities = recalibration.apply(predicted(self.asked_new))
        probabilities[np.isnan(probabilities).any(axis=1)] = self.unanswered
        return log_losses(probabilities)[np.arange(len(self.asked_new)), self.asked_new.rating_index]

    def _clustering(
        self, chosen: Chosen, cluster: IntArray, loss: FloatArray, nothing: FloatArray, before: FloatArray | None
    ) -> ProfileClustering:
        rater, seed, k = self.asked_new.rater_index, self.settings.seed, len(chosen.chosen)
        new = np.bincount(cluster[np.unique(self.given_new.rater_index)], minlength=k).tolist()
        clusters = [
            ProfileCluster(profile=self.candidates.texts[c], rater=self.candidates.ids[c], n_training=n, n_new=m)
            for c, n, m in zip(chosen.chosen.tolist(), chosen.sizes, new, strict=True)
        ]
        unexplained = chosen.rounds[-1].unexplained if chosen.rounds else np.nan
        return ProfileClustering(
            k=k,
            clusters=tuple(sorted(clusters, key=lambda one: -one.n_training)),
            training_nats=chosen.loss / len(self.given),
            loss_nats=estimate_mean(loss, rater, seed=seed),
            gain_nats=estimate_mean_difference(nothing, loss, rater, seed=seed),
            more_nats=None if before is None else estimate_mean_difference(before, loss, rater, seed=seed),
            n_asked=chosen.n_asked,
            n_full=chosen.n_full,
            unexplained=None if np.isnan(unexplained) else float(unexplained),
        )

    def _write(self, members: Mapping[str, IntArray], losses: Mapping[int, FloatArray]) -> None:
        ratings, asked = self.ratings, self.asked_new
        part = np.full(ratings.n_raters, "none", dtype=np.dtype("U8"))
        for name, some in (("training", self.given), ("new", self.given_new)):
            part[np.unique(some.rater_index)] = name
        self.run.write_table(
            "clusters.parquet", pl.DataFrame({"rater_id": ratings.rater_ids, "part": part.tolist(), **members})
        )
        rows = asked.to_long().select("item_id", "rater_id", "rating")
        nats = {"nothing" if k == 0 else f"cluster_{k}": loss for k, loss in losses.items()}
        self.run.write_records(rows.with_columns(**{f"nats_{name}": pl.Series(loss) for name, loss in nats.items()}))

    def _telling(self, what: str) -> Callable[[int, int], None] | None:
        if self.tell is None:
            return None
        tell = self.tell
        return lambda done, total: tell(what, done, total)
