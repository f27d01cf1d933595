"""Fills in one person's ratings: each answer's probability, one answer, and for items the distribution over their raters.

    known ratings, some kept apart as what is asked is --> recalibration, weights of the pool
    known ratings, all of them given --> distributions --> pool --> point answers, soft labels

The point answer is the one that costs least under the distribution for the loss that is stated: the mode where an answer is
right or wrong, the median where it is off by so much, the mean where the square of that counts.

Source: Sorensen & Choi 2025, Opt-ICL (arXiv 2510.07105): a model tuned on raters (`individual_adapt`) is told the rater's
attributes and as many past ratings as its window takes; point answers for the task's own loss, soft labels as means.
Departures: distributions are recalibrated, and statistical models may be pooled with the language model.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import DataError, UsageError
from pluralign.models import LanguageModel, ModelSettings
from pluralign.progress import Tell
from pluralign.raters.baselines import Marginal
from pluralign.raters.decisions import mean_options, mean_values, median_options, mode_options, soft_labels
from pluralign.raters.individual_asked import KINDS, AskedRatings, KeptApart, seen_rows
from pluralign.raters.individual_members import LanguageMember, Said, StatisticalMember, apart_of_kinds
from pluralign.raters.individual_models import privacy_of
from pluralign.raters.individual_results import POOLED, PointLoss, Predicted, PredictSettings, default_loss
from pluralign.raters.individual_scores import Judged, judged
from pluralign.raters.recalibration import Recalibration, fit_recalibration
from pluralign.raters.representations import RaterTexts, RaterWords, Representation
from pluralign.raters.stacking import Pool, fit_pool
from pluralign.ratings import Ratings, Scale
from pluralign.ratings.keyed import id_codes, keyed_uniforms
from pluralign.runs import Run, RunConfig
from pluralign.scoring.job import settings_of_run
from pluralign.scoring.totals import Prices, Totals
from pluralign.scoring.units import Engine

__all__ = ["n_questions", "predict_ratings"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def n_questions(
    world: AskedRatings, settings: PredictSettings, *, written_from: Mapping[str, Collection[str]] | None = None
) -> int:
    """Ratings that a language model is asked about: what is asked, and what is kept apart to learn from."""
    needed = settings.recalibrate or bool(settings.stack)
    seen = _seen(world, settings, written_from)
    apart = apart_of_kinds(world, most=settings.n_apart, seed=settings.seed, seen=seen) if needed else {}
    return len(world.asked) + sum(len(one.asked) for one in apart.values())


def predict_ratings(
    world: AskedRatings,
    model: LanguageModel | str,
    out: str | os.PathLike[str],
    *,
    settings: PredictSettings | None = None,
    words: RaterWords | None = None,
    texts: RaterTexts | None = None,
    written_from: Mapping[str, Collection[str]] | None = None,
    model_settings: ModelSettings | None = None,
    prices: Prices | None = None,
    engine: Engine | None = None,
    on_progress: Tell | None = None,
) -> Predicted:
    """Fills in what is asked into the run folder `out`: predictions.parquet and .csv, items.parquet and .csv, results.json.

    `model` is an open language model, or the name of a statistical one (`STATISTICAL`). `written_from` says, where that is
    known, from the ratings of which items the texts about a rater were written: these teach no recalibration and no weights.
    An `engine` that holds the model asks it elsewhere.
    Started again it goes on where it stopped. Raises UsageError for a pool that has nothing to learn its weights from,
    DataError where a text was written from a rating that is asked, and what the models raise.
    """
    settings, texts = settings or PredictSettings(), texts or RaterTexts()
    if isinstance(model, str):
        name, words, written_from = model, None, {}
    else:
        name, words = model.name, words or RaterWords.for_model(model.name, world.asked.scale)
    if name in settings.stack:
        raise UsageError(f"--stack {name}: that is the model itself; name others.")
    with Run.open(out, _config(world, model, words, texts, settings, model_settings)) as run:
        work = _Work(world, run, settings, on_progress, _seen(world, settings, written_from))
        if not isinstance(model, str):
            work.note_texts(texts, written_from)
        main: LanguageMember | StatisticalMember
        if isinstance(model, str):
            main = StatisticalMember(model, settings.seed, on_progress)
        else:
            assert words is not None
            main = LanguageMember(model, settings.representation, words, texts, settings.most_tokens, settings.seed)
            main.engine, main.tell = engine, on_progress
            main.n_questions = n_questions(world, settings, written_from=written_from)
        others = [StatisticalMember(one, settings.seed, on_progress) for one in settings.stack]
        found = work.predicted(name, main, others, prices)
        run.write_table("predictions.parquet", found.table)
        run.write_table("items.parquet", found.items)
        run.write_text("predictions.csv", found.table.write_csv())
        run.write_text("items.csv", found.items.write_csv())
        run.write_results(found.to_dict())
    return found


def _seen(
    world: AskedRatings, settings: PredictSettings, written_from: Mapping[str, Collection[str]] | None
) -> npt.NDArray[np.bool_] | None:
    """[known] what the texts that are told were written from. Raises DataError where that is asked."""
    told = Representation.parse(settings.representation)
    if not written_from or not (told.profile or told.cluster):
        return None
    asked = world.asked
    seen = np.flatnonzero(seen_rows(asked, written_from))
    if len(seen):
        rater, item = asked.rater_ids[asked.rater_index[seen[0]]], asked.item_ids[asked.item_index[seen[0]]]
        raise DataError(
            asked.name,
            f"{len(seen):,} ratings that are asked were given to whoever wrote the texts about raters, e.g. item {item!r} of "
            f"rater {rater!r}; write them from known ratings only.",
        )
    return seen_rows(world.known, written_from)


def _config(
    world: AskedRatings,
    model: LanguageModel | str,
    words: RaterWords | None,
    texts: RaterTexts,
    settings: PredictSettings,
    model_settings: ModelSettings | None,
) -> RunConfig:
    told = [sorted(texts.profiles.items()), sorted(texts.clusters.items())]
    of_model = (
        {"model": model}
        if isinstance(model, str)
        else {
            "model": model.name,
            "model_fingerprint": model.fingerprint(),
            "settings": settings_of_run(model_settings),
            "words": None if words is None else asdict(words),
            "texts_sha256": hashlib.sha256(json.dumps(told, ensure_ascii=True).encode()).hexdigest(),
        }
    )
    arguments = {
        **of_model,
        **{k: list(v) if isinstance(v, tuple) else v for k, v in asdict(settings).items() if k != "seed"},
        "known_sha256": world.known.content_hash(),
        "asked_sha256": world.asked.content_hash(),
        "true_sha256": hashlib.sha256(world.is_given.tobytes()).hexdigest(),
    }
    return RunConfig(command="predict", arguments=arguments, seed=settings.seed)


@dataclass(eq=False)
class _Apart:
    """One kind's ratings that were kept apart, and what was learned from them."""

    kind: int
    rows: KeptApart
    asked: Ratings
    probabilities: list[FloatArray] = field(default_factory=list)
    """Of each member, recalibrated, without NaN."""
    is_judged: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    """[rows] those from which no recalibration was learned: weights are learned from them, and members judged on them."""


class _Work:
    """One run."""

    def __init__(
        self,
        world: AskedRatings,
        run: Run,
        settings: PredictSettings,
        tell: Tell | None,
        seen: npt.NDArray[np.bool_] | None,
    ) -> None:
        self.world, self.run, self.settings, self.tell, self.seen = world, run, settings, tell, seen
        self.kind = world.kind
        self.shares = Marginal().fit(world.known).shares_
        self.notes = [str(note) for note in world.notes]
        self.recalibrations: dict[int, Recalibration] = {}
        self.pools: dict[int, Pool] = {}
        self.aparts: dict[int, _Apart] = {}

    def predicted(
        self, name: str, main: LanguageMember | StatisticalMember, others: Sequence[StatisticalMember], prices: Prices | None
    ) -> Predicted:
        world, known, asked = self.world, self.world.known, self.world.asked
        self._learn(name, main, others)
        said = main.said(self.run, "asked", known, known, asked)
        members = {name: self._recalibrated(said)}
        members |= {one.name: one.said(self.run, "asked", known, known, asked).probabilities for one in others}
        p = self._pooled(list(members.values())) if others else members[name]
        loss = self.settings.loss or default_loss(known.scale)
        chosen = _options(p, known.scale, loss)
        all_members = {**members, **({POOLED: p} if others else {}), "marginal": np.broadcast_to(self.shares, p.shape)}
        is_language = isinstance(main, LanguageMember)
        representation = Representation.parse(self.settings.representation) if is_language else None
        self._note_what_is_odd(said, known)
        return Predicted(
            model=name,
            representation=None if representation is None else str(representation),
            loss=loss,
            table=self._table(said, p, chosen),
            items=_items(asked, p),
            pools={KINDS[kind]: pool for kind, pool in self.pools.items()},
            members=list(members),
            recalibrations={KINDS[kind]: one for kind, one in self.recalibrations.items()},
            apart=self._judged_apart(list(members), loss),
            scores=self._scores(all_members, loss) if world.is_given.any() else {},
            privacy=None if representation is None else privacy_of(known, representation),
            notes=self.notes,
            totals=main.totals if isinstance(main, LanguageMember) else Totals(),
            prices=prices,
        )

    def note_texts(self, texts: RaterTexts, written_from: Mapping[str, Collection[str]] | None) -> None:
        """Who has none, and whether it is known what they were written from."""
        told = Representation.parse(self.settings.representation)
        raters = {self.world.asked.rater_ids[rater] for rater in self.world.asked.rater_index.tolist()}
        for is_told, known, name in ((told.profile, texts.profiles, "profile"), (told.cluster, texts.clusters, "group")):
            if not is_told:
                continue
            if n := len(raters - set(known)):
                self.notes.append(f"{n:,} of {len(raters):,} raters that are asked about have no {name}: told without it")
            if written_from is None:
                self.notes.append(
                    f"the file does not say which ratings each {name} was written from; if ratings kept apart were among them, "
                    "the model is trusted too much"
                )

    # what is learned from ratings kept apart

    def _learn(self, name: str, main: LanguageMember | StatisticalMember, others: Sequence[StatisticalMember]) -> None:
        s, is_language = self.settings, isinstance(main, LanguageMember)
        if not others and not (is_language and s.recalibrate):
            return
        for kind, rows in apart_of_kinds(self.world, most=s.n_apart, seed=s.seed, seen=self.seen).items():
            known = self.world.known
            apart = _Apart(kind, rows, known.take(rows.asked))
            train, given = known.take(rows.train), known.take(rows.given)
            said = main.said(self.run, f"apart{kind}", train, given, apart.asked)
            self._recalibrate(apart, said, is_language=is_language, is_pooled=bool(others))
            shares = Marginal().fit(train).shares_
            apart.probabilities.append(_answered(self._applied(said.probabilities, kind), shares))
            for one in others:
                apart.probabilities.append(one.said(self.run, f"apart{kind}", train, given, apart.asked).probabilities)
            if others:
                judged_rows = [p[apart.is_judged] for p in apart.probabilities]
                self.pools[kind] = fit_pool(judged_rows, apart.asked.rating_index[apart.is_judged])
            self.aparts[kind] = apart
        self._check_learned(others, is_language=is_language)

    def _check_learned(self, others: Sequence[StatisticalMember], *, is_language: bool) -> None:
        lacking = [kind for kind in np.unique(self.kind).tolist() if kind not in self.aparts]
        names = "; ".join(KINDS[kind] for kind in lacking)
        if lacking and others and not self.pools:
            raise UsageError(
                f"--stack: there are too few known ratings to keep some apart and learn the weights from them ({names}); leave "
                "--stack out."
            )
        if lacking:
            what = "recalibrated" if is_language and not others else "pooled as they would be for it"
            self.notes.append(f"too few known ratings to keep some apart, so nothing is {what}: {names}")

    def _recalibrate(self, apart: _Apart, said: Said, *, is_language: bool, is_pooled: bool) -> None:
        """From half of the rows where the other half has to teach the weights, else from all."""
        learns = is_language and self.settings.recalibrate
        codes = id_codes(apart.asked.rater_ids)[apart.asked.rater_index], id_codes(apart.asked.item_ids)[apart.asked.item_index]
        half = keyed_uniforms(self.settings.seed, "apart_halves", *codes) < 0.5
        if not learns or (is_pooled and (half.all() or not half.any())):
            apart.is_judged = np.ones(len(half), dtype=bool)
            return
        rows = half if is_pooled else np.ones(len(half), dtype=bool)
        self.recalibrations[apart.kind] = fit_recalibration(said.probabilities[rows], apart.asked.rating_index[rows])
        apart.is_judged = ~rows

    def _applied(self, probabilities: FloatArray, kind: int) -> FloatArray:
        found = self.recalibrations.get(kind)
        return probabilities if found is None else found.apply(probabilities)

    # what is asked

    def _recalibrated(self, said: Said) -> FloatArray:
        p = said.probabilities.copy()
        for kind in np.unique(self.kind).tolist():
            p[self.kind == kind] = self._applied(p[self.kind == kind], kind)
        return _answered(p, self.shares)

    def _pooled(self, members: list[FloatArray]) -> FloatArray:
        """Each kind by its pool; where there is none by that of the nearest kind."""
        p = np.empty_like(members[0])
        for kind in np.unique(self.kind).tolist():
            nearest = min(self.pools, key=lambda other: (bin(other ^ kind).count("1"), other))
            rows = self.kind == kind
            p[rows] = self.pools[nearest].combine([one[rows] for one in members])
        return p

    def _note_what_is_odd(self, said: Said, known: Ratings) -> None:
        used = np.unique(known.rating_index)
        if len(used) == 1:
            self.notes.append(f"all known ratings are {known.scale.options[used[0]]!r}: nothing tells one person from another")
        unanswered = Counter(said.outcomes[said.outcomes != "ok"].tolist())
        if unanswered:
            listed = ", ".join(f"{n:,} {outcome}" for outcome, n in unanswered.most_common())
            self.notes.append(f"without an answer of the model, so given the shares of all known ratings: {listed}")
        if n := int((said.n_left_out > 0).sum()):
            self.notes.append(
                f"{n:,} predictions had no room for all past ratings; {int(said.n_left_out.max()):,} were left out at most"
            )
        if n := int((said.n_shown == 0).sum()):
            self.notes.append(f"{n:,} predictions were made without a past rating of the rater")

    def _table(self, said: Said, p: FloatArray, chosen: IntArray) -> pl.DataFrame:
        asked, scale = self.world.asked, self.world.asked.scale
        options = pl.Series(scale.options, dtype=pl.String)
        true = options.gather(asked.rating_index).to_frame("true").with_columns(pl.Series("given", self.world.is_given))
        columns: dict[str, Any] = {
            "item_id": asked.items["item_id"].gather(asked.item_index),
            "rater_id": asked.raters["rater_id"].gather(asked.rater_index),
            "kind": pl.Series(KINDS).gather(self.kind),
            "outcome": said.outcomes,
            "n_shown": said.n_shown,
            "n_left_out": said.n_left_out,
            "answer": options.gather(chosen),
        }
        if scale.is_ordered:
            columns["mean"] = mean_values(p, scale.values)
        if self.world.is_given.any():
            columns["true"] = true.select(pl.when("given").then("true").otherwise(None).alias("true"))["true"]
        return pl.DataFrame({**columns, **_by_option(p, scale)})

    # how good it is

    def _judged_apart(self, names: Sequence[str], loss: PointLoss) -> dict[str, Judged]:
        found = {}
        for kind, apart in self.aparts.items():
            if not apart.is_judged.any():
                continue
            asked = apart.asked.take(apart.is_judged)
            for name, p in zip(names, apart.probabilities, strict=True):
                rows = p[apart.is_judged]
                found[f"{name}: {KINDS[kind]}"] = self._judge(rows, asked, loss, None)
        return found

    def _scores(self, members: Mapping[str, FloatArray], loss: PointLoss) -> dict[str, Judged]:
        rows = self.world.is_given
        asked = self.world.asked.take(rows)
        base = members["marginal"][rows]
        return {name: self._judge(p[rows], asked, loss, None if name == "marginal" else base) for name, p in members.items()}

    def _judge(self, p: FloatArray, asked: Ratings, loss: PointLoss, base: FloatArray | None) -> Judged:
        chosen = _options(p, asked.scale, loss)
        units = asked.rater_index if self.settings.by == "rater" else asked.item_index
        return judged(p, chosen, asked, units, unit=self.settings.by, seed=self.settings.seed, base=base)


def _answered(p: FloatArray, shares: FloatArray) -> FloatArray:
    """The shares where the model gave no answer."""
    found = p.copy()
    found[np.isnan(found).any(axis=1)] = shares
    return found


def _options(p: FloatArray, scale: Scale, loss: PointLoss) -> IntArray:
    if loss == "mode":
        return mode_options(p)
    if not scale.is_ordered:
        raise DataError("--loss", f"{loss}: the scale is nominal, its answers have no order; use mode.")
    return (median_options if loss == "median" else mean_options)(p, scale.values)


def _by_option(p: FloatArray, scale: Scale) -> dict[str, FloatArray]:
    return {f"p_{option}": p[:, n] for n, option in enumerate(scale.options)}


def _items(asked: Ratings, p: FloatArray) -> pl.DataFrame:
    """Soft labels of the items that are asked about."""
    items, index = np.unique(asked.item_index, return_inverse=True)
    labels = soft_labels(p, index, n_items=len(items))
    n_raters = np.bincount(index, minlength=len(items))
    ids = asked.items["item_id"].gather(items)
    return pl.DataFrame({"item_id": ids, "n_raters": n_raters, **_by_option(labels, asked.scale)})
