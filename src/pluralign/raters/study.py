"""The rater study: who disagrees, what explains it, which groups there are; one run folder. (`report` draws its page.)

    ratings --> folds (fit on half of the raters, predict the other half, then the reverse; `fold`)
            --> records.parquet (every scored rating)  --> findings (`describe`) --> results.json

Each fold is a finished step of the run folder: a study that was killed goes on where it stopped, and the findings can be made
again from the records without fitting anything.

Source: Sorensen et al. 2025, Value Profiles (arXiv 2503.15484), sections 3 and 5; see `fold` for the departures.
With a language model (`language_study`) its predictions of the same held-out ratings are records and findings of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign import __version__
from pluralign.errors import DataError
from pluralign.raters.attributes import CodedAttribute, code_attributes
from pluralign.raters.contrasts import contrasts_for
from pluralign.raters.describe import findings_of_study
from pluralign.raters.describe_language import describe_language_study
from pluralign.raters.evidence import StudyEvidence, StudySettings
from pluralign.raters.features import ItemFeatures
from pluralign.raters.findings import Findings
from pluralign.raters.fit_halves import differences_of_halves
from pluralign.raters.fit_jackknife import deletion_groups
from pluralign.raters.fold import FoldResult, FoldTask, Progress, evaluate_fold, example_counts, records_of
from pluralign.raters.group_tables import GroupTable, group_tables_from_frame, group_tables_to_frame
from pluralign.raters.language_study import LanguageStudy, ask_language_model
from pluralign.ratings import Ratings
from pluralign.ratings.splits import rater_folds, some_raters, split_fit_eval
from pluralign.runs import Run, RunConfig

__all__ = ["check_can_be_studied", "evaluate_folds", "modelled_part", "run_study"]

IntArray = npt.NDArray[np.int64]


def run_study(
    ratings: Ratings,
    folder: Path | str,
    settings: StudySettings | None = None,
    *,
    features: ItemFeatures | None = None,
    inputs: dict[str, str] | None = None,
    truth_nats: Callable[[], dict[str, float]] | None = None,
    true_groups: IntArray | None = None,
    language: LanguageStudy | None = None,
    on_progress: Progress | None = None,
) -> Findings:
    """Study `ratings` into a run folder (records.parquet, results.json); the findings.

    `features` stand in for those of the items' texts (an embedding, say: `GivenFeatures`).
    `inputs` are the files the ratings came from (their contents are part of the run's identity). For simulated people,
    `truth_nats` computes the true information of each representation and `true_groups` [raters] are the planted groups.
    With `language`, a language model is asked about some of the same ratings (language.parquet).
    Of a table larger than `StudySettings.most_ratings` everything is modelled as in a study of some of its raters alone, drawn
    by chance; agreement, shares and polarisation are of all ratings, and the findings say so.
    Raises DataError when there is nothing to study: fewer than 8 raters with 4 ratings each.
    """
    settings = settings or StudySettings()
    tell = on_progress or (lambda what, done, total: None)
    check_can_be_studied(ratings)
    of_items = {} if features is None else {"features": _features_fingerprint(features, ratings)}
    of_model = {} if language is None else {"language": language.arguments()}
    arguments = {**asdict(settings), "ratings": ratings.content_hash(), **of_items, **of_model}
    with Run.open(folder, RunConfig(command="study", arguments=arguments, seed=settings.seed, inputs=inputs or {})) as run:
        part, kept = modelled_part(ratings, settings)

        def described() -> dict[str, Any]:
            evidence = evaluate_folds(part, settings, features=features, run=run, on_progress=on_progress)
            run.write_records(_with_ids(part, evidence.records))
            truth = run.step("truth", truth_nats) if truth_nats else {}
            asked = None if language is None else ask_language_model(part, language, run, seed=settings.seed, tell=tell)
            tell("describing", 0, 1)
            groups = None if true_groups is None else true_groups[kept]
            found = findings_of_study(evidence, ratings, truth_nats=truth, true_groups=groups)
            if language is not None and asked is not None:
                run.write_table("language.parquet", _with_ids(part, asked.records))
                found = replace(found, language=describe_language_study(part, asked, language, evidence))
            return found.to_dict()

        # another version may describe the same folds in another way, so its findings are a step of their own
        results = run.step(f"findings-{__version__}", described)
        if not (run.folder / "records.parquet").exists():
            evidence = evaluate_folds(part, settings, features=features, run=run, on_progress=on_progress)
            run.write_records(_with_ids(part, evidence.records))
        run.write_results(results)
    return Findings.from_dict(results)


def modelled_part(ratings: Ratings, settings: StudySettings) -> tuple[Ratings, IntArray]:
    """The ratings that are modelled, and whose they are: positions in the table of raters; all where they are not too many."""
    if len(ratings) <= settings.most_ratings:
        return ratings, np.arange(ratings.n_raters)
    kept = some_raters(ratings, settings.most_ratings, seed=settings.seed, purpose="most_ratings")
    part = ratings.take(np.isin(ratings.rater_index, kept)).compact()
    check_can_be_studied(part)
    return part, kept


def evaluate_folds(
    ratings: Ratings,
    settings: StudySettings,
    *,
    features: ItemFeatures | None = None,
    run: Run | None = None,
    on_progress: Progress | None = None,
) -> StudyEvidence:
    """Every fold of every seed; with a run folder, folds that are finished there are read instead."""
    attributes, summaries = code_attributes(ratings)
    tell = on_progress or (lambda what, done, total: None)
    records, tables, without, halves = [], [], [], []
    left_out = deletion_groups(ratings, seed=settings.seed, n_folds=settings.n_folds)
    clusters: dict[int, IntArray] = {}
    predictions: dict[int, npt.NDArray[np.float64]] = {}
    for number in range(settings.n_seeds * settings.n_folds):
        seed, fold = settings.seed + number // settings.n_folds, number % settings.n_folds
        task = replace(_task(ratings, attributes, settings, seed=seed, fold=fold), features=features)
        if seed == settings.seed:
            task = replace(task, left_out=left_out)
        step = _FoldStep(task, seed, fold, run, _prefixed(tell, f"fold {number + 1} of {settings.n_seeds * settings.n_folds}"))
        records.append(step.records())
        tables += step.tables()
        if number == 0:
            clusters, predictions = step.clusters()
        if seed == settings.seed:
            without.append(step.without())
            halves.append(step.halves())
    return StudyEvidence(
        ratings=ratings,
        attributes=attributes,
        attribute_summaries=summaries,
        records=pl.concat(records),
        tables=tables,
        cluster_of_rater=clusters,
        cluster_predictions=predictions,
        left_out=left_out,
        without=pl.concat(without),
        halves=pl.concat(halves),
        settings=settings,
    )


def _task(ratings: Ratings, attributes: list[CodedAttribute], settings: StudySettings, *, seed: int, fold: int) -> FoldTask:
    split = split_fit_eval(ratings, seed=seed)
    folds = rater_folds(ratings, seed=seed, n_folds=settings.n_folds)
    return FoldTask(
        ratings=ratings,
        is_train=folds != fold,
        split=split,
        attributes=attributes,
        n_examples=example_counts(split, ratings.rater_index, most=settings.max_examples),
        cluster_counts=settings.cluster_counts,
        n_candidates=settings.n_candidates,
        settings=settings.model,
        seed=seed,
    )


class _FoldStep:
    """A fold that is computed once, when the first of its parts is asked for that is not in the run folder yet."""

    def __init__(self, task: FoldTask, seed: int, fold: int, run: Run | None, on_progress: Progress) -> None:
        self.task, self.seed, self.fold, self.run, self.on_progress = task, seed, fold, run, on_progress
        self._result: FoldResult | None = None

    def records(self) -> pl.DataFrame:
        return self._part("records", lambda r: records_of(r, self.task.ratings, seed=self.seed, fold=self.fold))

    def tables(self) -> list[GroupTable]:
        frame = self._part("tables", lambda r: group_tables_to_frame(r.tables))
        return group_tables_from_frame(frame, seed=self.seed, fold=self.fold)

    def without(self) -> pl.DataFrame:
        return self._part("without", lambda r: r.without).with_columns(fold=pl.lit(self.fold))

    def halves(self) -> pl.DataFrame:
        """Fits of their own: stopped here, a study does not fit the fold itself again."""
        n_factors = int(self._part("factors", lambda r: pl.DataFrame({"n_factors": [r.n_factors]}))["n_factors"][0])

        def made() -> pl.DataFrame:
            self.on_progress("fitting on halves", 0, 1)
            return differences_of_halves(self.task, n_factors)

        return self._step("halves", made)

    def clusters(self) -> tuple[dict[int, IntArray], dict[int, npt.NDArray[np.float64]]]:
        members = self._part("clusters", lambda r: pl.DataFrame({str(k): v for k, v in r.cluster_of_rater.items()}))
        shape = (-1, self.task.ratings.n_items, self.task.ratings.n_options)
        flat = self._part(
            "predictions",
            lambda r: pl.DataFrame(
                {"k": [k for k in r.cluster_predictions], "p": [v.ravel().tolist() for v in r.cluster_predictions.values()]},
                schema={"k": pl.Int64, "p": pl.List(pl.Float64)},
            ),
        )
        predictions = {k: np.asarray(p).reshape(shape) for k, p in flat.iter_rows()}
        return {int(k): members[k].to_numpy() for k in members.columns}, predictions

    def _part(self, name: str, make: Callable[[FoldResult], pl.DataFrame]) -> pl.DataFrame:
        return self._step(name, lambda: make(self._computed()))

    def _step(self, name: str, make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        return make() if self.run is None else self.run.step_table(f"seed{self.seed}-fold{self.fold}-{name}", make)

    def _computed(self) -> FoldResult:
        if self._result is None:
            self._result = evaluate_fold(self.task, self.on_progress)
        return self._result


def check_can_be_studied(ratings: Ratings) -> None:
    """Raises DataError, with every reason at once, when there is nothing to study."""
    contrasts_for(ratings.scale)  # refuses scales with too many options
    n_ratings = np.bincount(ratings.rater_index, minlength=ratings.n_raters)
    enough, raters = int((n_ratings >= 4).sum()), int((n_ratings > 0).sum())
    used = np.unique(ratings.rating_index)
    faults = []
    if enough < 8:
        faults.append(
            f"{enough} of {raters} raters have 4 or more ratings; a study needs at least 8 such raters, since it learns from "
            "half of them and predicts the others. Collect more ratings a rater, or check that --rater names the right column."
        )
    if len(used) < 2:
        only = ratings.scale.options[used[0]] if len(used) else "nothing"
        faults.append(f"all ratings are {only!r}: there is no disagreement to study.")
    if faults:
        raise DataError(ratings.name, faults)


def _features_fingerprint(features: ItemFeatures, ratings: Ratings) -> str:
    values = features.fit(ratings).transform(ratings.items)
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def _with_ids(ratings: Ratings, records: pl.DataFrame) -> pl.DataFrame:
    """The records as they are published: ids and options instead of positions."""
    positions = ("item_index", "rater_index", "rating_index")
    own = [name for name in records.columns if name not in positions]
    return records.select(
        *(name for name in own if name in ("seed", "fold")),
        pl.Series("item_id", ratings.items["item_id"].gather(records["item_index"]), dtype=pl.String),
        pl.Series("rater_id", ratings.raters["rater_id"].gather(records["rater_index"]), dtype=pl.String),
        pl.Series("rating", pl.Series(ratings.scale.options, dtype=pl.String).gather(records["rating_index"])),
        *(name for name in own if name not in ("seed", "fold")),
    )


def _prefixed(tell: Progress, prefix: str) -> Progress:
    return lambda what, done, total: tell(f"{prefix}: {what}", done, total)
