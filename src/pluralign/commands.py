"""One public function for each verb of the command line that ends in a page: read, study, write.

>>> from pluralign.commands import study
>>> study("ratings.csv", "runs/mine").information.rows  # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from pluralign.errors import UsageError
from pluralign.raters.evidence import StudySettings
from pluralign.raters.findings import Findings
from pluralign.raters.study import run_study
from pluralign.raters.truth import family_information
from pluralign.ratings import Note, Ratings
from pluralign.ratings.keyed import id_codes, keyed_uniforms
from pluralign.ratings.readers import ReadOptions, read_ratings
from pluralign.ratings.simulate import Population, simulate
from pluralign.report import write_study_page

__all__ = ["PAGE", "demo", "study"]

PAGE = "report.html"
"""Name of the page in a run folder."""

Progress = Callable[[str, int, int], None]


def study(
    file: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    read: ReadOptions | None = None,
    settings: StudySettings | None = None,
    limit: int | None = None,
    on_progress: Progress | None = None,
) -> Findings:
    """Study a file of ratings into the run folder `out`: records.parquet, results.json, report.html.

    `limit` keeps that many raters, drawn by the seed. Started again with the same arguments it goes on where it stopped.
    """
    settings = settings or StudySettings()
    ratings = limited(read_ratings(Path(file), read or ReadOptions()), limit, seed=settings.seed)
    findings = run_study(ratings, Path(out), settings, inputs={"file": os.fspath(file)}, on_progress=on_progress)
    write_study_page(findings, Path(out) / PAGE)
    return findings


def demo(
    out: str | os.PathLike[str],
    *,
    settings: StudySettings | None = None,
    limit: int | None = None,
    on_progress: Progress | None = None,
) -> Findings:
    """Study simulated people (`ratings.simulate`): each row of information has its true value beside it."""
    settings = settings or StudySettings()
    population = Population() if limit is None else replace(Population(), n_raters=limit)
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


def limited(ratings: Ratings, limit: int | None, *, seed: int) -> Ratings:
    """The ratings of `limit` raters, those with the smallest random number keyed by seed and id; with a note."""
    present = np.unique(ratings.rater_index)
    if limit is None or limit >= len(present):
        return ratings
    if limit < 1:
        raise UsageError(f"--limit {limit}: it is a number of raters, at least 1.")
    draw = keyed_uniforms(seed, "limit", id_codes(ratings.rater_ids))[present]
    kept = np.sort(present[np.argsort(draw, kind="stable")[:limit]])
    note = Note("--limit", f"raters left out of {len(present):,}, by chance", len(present) - limit)
    return replace(ratings.take(np.isin(ratings.rater_index, kept)), notes=(*ratings.notes, note))
