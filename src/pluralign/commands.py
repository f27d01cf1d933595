"""One public function for each verb of the command line that ends in a page: read, study, write. `plan`: what it would do.

>>> from pluralign.commands import study
>>> study("ratings.csv", "runs/mine").information.rows  # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pluralign.errors import DataError, UsageError
from pluralign.models import LanguageModel, ModelSettings, ResponseCache, open_model
from pluralign.raters.attributes import code_attributes
from pluralign.raters.evidence import StudySettings
from pluralign.raters.features import GivenFeatures
from pluralign.raters.findings import Findings
from pluralign.raters.fold import example_counts
from pluralign.raters.language_study import LanguageStudy, plan_language_study
from pluralign.raters.representations import RaterTexts
from pluralign.raters.study import check_can_be_studied, modelled_part, run_study
from pluralign.raters.truth import family_information
from pluralign.ratings import Note, Ratings
from pluralign.ratings.keyed import id_codes, keyed_uniforms
from pluralign.ratings.readers import ReadOptions, read_ratings
from pluralign.ratings.simulate import Population, simulate
from pluralign.ratings.splits import split_fit_eval
from pluralign.report import write_study_page
from pluralign.scoring.units import ModelEngine

__all__ = [
    "PAGE",
    "StudyPlan",
    "language_study",
    "limited",
    "plan",
    "plan_simulated",
    "read_features",
    "study",
    "study_simulated",
]

PAGE = "report.html"
"""Name of the page in a run folder."""
BYTES_A_PROBABILITY = 3
"""What a record takes on disk, a little above what compressed records were seen to take."""

Progress = Callable[[str, int, int], None]


def study(
    file: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    read: ReadOptions | None = None,
    features: str | os.PathLike[str] | None = None,
    settings: StudySettings | None = None,
    limit: int | None = None,
    language: LanguageStudy | None = None,
    on_progress: Progress | None = None,
) -> Findings:
    """Study a file of ratings into the run folder `out`: records.parquet, results.json, report.html.

    `features` is a file of numbers about the items that stand in for their texts (`read_features`); `limit` keeps that many
    raters, drawn by the seed; with `language` a language model is asked about some of them (language.parquet). Started again
    with the same arguments it goes on where it stopped.
    """
    settings = settings or StudySettings()
    ratings = limited(read_ratings(Path(file), read or ReadOptions()), limit, seed=settings.seed)
    given = None if features is None else read_features(features, ratings)
    inputs = {"file": os.fspath(file)}
    findings = run_study(
        ratings, Path(out), settings, features=given, inputs=inputs, language=language, on_progress=on_progress
    )
    write_study_page(findings, Path(out) / PAGE)
    return findings


def study_simulated(
    out: str | os.PathLike[str],
    *,
    settings: StudySettings | None = None,
    limit: int | None = None,
    on_progress: Progress | None = None,
) -> Findings:
    """Study simulated people (`ratings.simulate`): each row of information has its true value beside it."""
    settings = settings or StudySettings()
    population = _population(limit)
    simulation = simulate(population, seed=settings.seed)
    findings = run_study(
        simulation.ratings,
        Path(out),
        settings,
        truth_nats=lambda: family_information(population, settings, on_progress=on_progress),
        true_groups=simulation.archetype,
        on_progress=on_progress,
    )
    write_study_page(findings, Path(out) / PAGE)
    return findings


def language_study(
    model: str | LanguageModel,
    *,
    profiles: str | os.PathLike[str] | None = None,
    groups: str | os.PathLike[str] | None = None,
    representations: Sequence[str] = (),
    n_raters: int = 100,
    n_ratings_each: int = 16,
    settings: ModelSettings | None = None,
    cache: ResponseCache | None = None,
    engine: ModelEngine | None = None,
) -> LanguageStudy:
    """What `study` asks a language model.

    `profiles` is a file or run folder of `profile write`, `groups` a run folder of `profile cluster` or a table of texts, made
    with the study's seed. An `engine` asks the model elsewhere, with the same records. Raises UsageError for a representation
    that is none or a number below its fewest, and what opening a model raises.
    """
    from pluralign.raters.profile_files import read_profiles
    from pluralign.raters.profile_groups import read_group_texts
    from pluralign.raters.profiles import profile_texts, written_from

    known = [] if profiles is None else read_profiles(profiles)
    return LanguageStudy(
        model=open_model(model, settings, cache=cache) if isinstance(model, str) else model,
        texts=RaterTexts(profiles=profile_texts(known), clusters={} if groups is None else read_group_texts(groups)),
        written_from=written_from(known),
        representations=tuple(representations),
        n_raters=n_raters,
        n_ratings_each=n_ratings_each,
        settings=settings,
        is_named=isinstance(model, str),
        engine=engine,
    )


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """What a study would do; nothing has been fitted to know it."""

    name: str
    out: str
    n_ratings: int
    n_raters: int
    n_items: int
    options: list[str]
    n_fits: int
    """Models fitted from scratch: one for each fold of each seed."""
    n_scored: int
    """Held-out ratings, over all seeds; each is scored once for every representation."""
    attributes: list[str]
    examples: list[int]
    clusters: list[int]
    n_records: int
    record_megabytes: float
    """Rough size of records.parquet; the finished steps take about as much again."""
    also: list[str]
    """What comes on top, and what the reader saw."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        known = [
            "nothing",
            *([f"{len(self.attributes)} attributes ({', '.join(self.attributes)})"] if self.attributes else []),
            *([f"{', '.join(map(str, self.examples))} past ratings"] if self.examples else []),
            *([f"{', '.join(map(str, self.clusters))} clusters"] if self.clusters else []),
        ]
        return [
            f"{self.name}: {self.n_ratings:,} ratings by {self.n_raters:,} raters of {self.n_items:,} items, "
            f"{len(self.options)} options",
            f"would fit {self.n_fits} models and score {self.n_scored:,} held-out ratings, knowing of the rater: "
            + "; ".join(known),
            f"would write to {self.out}: {PAGE}, results.json, records.parquet ({self.n_records:,} rows, "
            f"about {self.record_megabytes:.1f} MB), and about as much again as finished steps",
            *self.also,
            "Nothing was fitted and nothing was written (--dry-run).",
        ]


def plan(
    file: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    read: ReadOptions | None = None,
    features: str | os.PathLike[str] | None = None,
    settings: StudySettings | None = None,
    limit: int | None = None,
    language: LanguageStudy | None = None,
) -> StudyPlan:
    """What `study` with the same arguments would do. Reads the file, so that what is wrong with it comes out now."""
    settings = settings or StudySettings()
    ratings = limited(read_ratings(Path(file), read or ReadOptions()), limit, seed=settings.seed)
    if features is not None:
        read_features(features, ratings)
    also = [str(note) for note in ratings.notes]
    if language is not None:
        part, _ = modelled_part(ratings, settings)
        asked = plan_language_study(part, language, seed=settings.seed)
        n_raters = len(np.unique(part.rater_index[asked.rows]))
        also.append(
            f"would ask {language.model.name} {asked.n_questions:,} questions: {len(asked.rows):,} held-out ratings by "
            f"{n_raters:,} raters, knowing of the rater: {', '.join(asked.representations)}"
        )
        if asked.n_without_text:
            also.append(f"would leave out {asked.n_without_text:,} raters without a profile")
    return _plan(ratings, Path(out), settings, also)


def plan_simulated(
    out: str | os.PathLike[str], *, settings: StudySettings | None = None, limit: int | None = None
) -> StudyPlan:
    """What `study_simulated` with the same arguments would do."""
    settings = settings or StudySettings()
    ratings = simulate(_population(limit), seed=settings.seed).ratings
    return _plan(ratings, Path(out), settings, ["would fit as well, for the true values, models on fresh simulated people"])


def read_features(path: str | os.PathLike[str], ratings: Ratings) -> GivenFeatures:
    """Numbers about items, such as an embedding: CSV or parquet with `item_id` and a column a number.

    Raises DataError when the file cannot be read, or an item of the ratings is not in it.
    """
    path = Path(path)
    try:
        table = (
            pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, schema_overrides={"item_id": pl.String})
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(str(path), f"cannot be read as {path.suffix.removeprefix('.') or 'CSV'}: {error}") from error
    features = GivenFeatures(table)
    features.transform(ratings.items)
    return features


def limited(ratings: Ratings, limit: int | None, *, seed: int) -> Ratings:
    """The ratings of `limit` raters, those with the smallest random number keyed by seed and id; with a note."""
    present = np.unique(ratings.rater_index)
    if limit is not None and limit < 1:
        raise UsageError(f"--limit {limit}: it is a number of raters, at least 1.")
    if limit is None or limit >= len(present):
        return ratings
    draw = keyed_uniforms(seed, "limit", id_codes(ratings.rater_ids))[present]
    kept = np.sort(present[np.argsort(draw, kind="stable")[:limit]])
    note = Note("--limit", f"raters left out of {len(present):,}, by chance", len(present) - limit)
    return replace(ratings.take(np.isin(ratings.rater_index, kept)), notes=(*ratings.notes, note))


def _population(limit: int | None) -> Population:
    return Population() if limit is None else replace(Population(), n_raters=limit)


def _plan(ratings: Ratings, out: Path, settings: StudySettings, also: list[str]) -> StudyPlan:
    check_can_be_studied(ratings)
    part, _ = modelled_part(ratings, settings)
    if len(part) < len(ratings):
        also = [f"models are of {part.n_raters:,} raters drawn by chance, with {len(part):,} ratings (--most-ratings)", *also]
    attributes = [a.name for a in code_attributes(part)[0]]
    splits = [split_fit_eval(part, seed=settings.seed + s) for s in range(settings.n_seeds)]
    n_scored = sum(int(split.is_eval.sum()) for split in splits)
    examples = example_counts(splits[0], part.rater_index, most=settings.max_examples)
    together = 1 if len(attributes) > 1 else 0
    n_known = 2 + len(attributes) + together + len(examples) + len(settings.cluster_counts)
    return StudyPlan(
        name=ratings.name,
        out=str(out),
        n_ratings=len(ratings),
        n_raters=len(np.unique(ratings.rater_index)),
        n_items=len(np.unique(ratings.item_index)),
        options=list(ratings.scale.options),
        n_fits=settings.n_seeds * settings.n_folds,
        n_scored=n_scored,
        attributes=attributes,
        examples=examples,
        clusters=list(settings.cluster_counts),
        n_records=n_scored * n_known,
        record_megabytes=n_scored * n_known * ratings.n_options * BYTES_A_PROBABILITY / 1e6,
        also=also,
    )
