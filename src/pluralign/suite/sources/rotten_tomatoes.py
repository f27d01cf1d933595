"""Films with the shares of critics and of viewers who rate them good.

Left out: of a film, the score that is missing; the release date where it is missing. A score is a percentage, with or without
its sign. *The names of the columns could not be looked up: they are what this loader asks for.*
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pluralign.suite.card import Card, Manual, Source
from pluralign.suite.evaluation import Target, TargetTask
from pluralign.suite.reading import read_csv, unusable

__all__ = ["FILE", "SOURCE", "Film", "load"]

FILE = "movie_info.csv"
RATERS = {"critic": "critic_score", "audience": "audience_score"}
MISSING = ("", "-", "--")
OPTIONS = ("Good", "Bad")
WHO = {
    "critic": "A professional critic, picked at random from those who reviewed a film, rates it Good or Bad.",
    "audience": "A viewer, picked at random from those who rated a film, rates it Good or Bad.",
}
CARD = Card(
    name="rotten_tomatoes",
    what="Films with the percentages of favourable critics and viewers at Rotten Tomatoes.",
    citation="Rotten Tomatoes, gathered by others; used in Sorensen et al. 2025, Spectrum Tuning (arXiv 2510.06084)",
    licence="unstated",
    access=Manual(
        (FILE,),
        "the Google Drive of the Spectrum Suite's authors (see arXiv 2510.06084), or any table with the columns title, "
        "release_date, critic_score and audience_score",
    ),
    ran_on_real_file=False,
    unit="film",
    problems=(
        "how many people stand behind a score is not told",
        "the names of the columns in the real file could not be looked up",
        "a model may know the score of a film by heart",
    ),
)
_SCORE = re.compile(r"([0-9]{1,3}(?:\.[0-9]+)?)\s*%?")


@dataclass(frozen=True, slots=True)
class Film:
    """Of each kind of rater whose score is there, the share who rate the film good."""

    title: str
    release_date: str | None
    good: dict[str, float]


def load(folder: Path | None) -> list[Film]:
    """The films in the order of the file; raises DataError with the rows without a title or with scores that are none."""
    films, faults = [], []
    table = read_csv(CARD, folder, FILE, ("title", "release_date", *RATERS.values()))
    for number, (title, date, *cells) in enumerate(table.iter_rows(), 1):
        scores = {rater: _score(cell) for rater, cell in zip(RATERS, cells, strict=True)}
        if not title or not title.strip():
            faults.append(f"row {number}: a title is needed")
        faults += [
            f"row {number}: {RATERS[rater]} must be 0 to 100, not {cell!r:.40}"
            for (rater, share), cell in zip(scores.items(), cells, strict=True)
            if share is not None and not 0 <= share <= 1
        ]
        films.append(Film(title or "", date, {rater: share for rater, share in scores.items() if share is not None}))
    if faults or not films:
        raise unusable(CARD, folder, FILE, faults or "it holds no film")
    return films


def _score(cell: str | None) -> float | None:
    """The share; None for a missing score, -1 for what is no percentage."""
    text = (cell or "").strip()
    if text in MISSING:
        return None
    found = _SCORE.fullmatch(text)
    return float(found.group(1)) / 100 if found else -1.0


def _targets(films: list[Film], seed: int) -> Iterator[Target]:
    for film in films:
        date = film.release_date if film.release_date and film.release_date.strip() else None
        for rater, good in film.good.items():
            yield Target(
                input=f"Title: {film.title}" + (f"\nRelease date: {date}" if date else ""),
                options=OPTIONS,
                shares=(good, 1 - good),
                description=WHO[rater],
                unit=film.title + (f" ({date})" if date else ""),
                attributes={"rater": rater},
            )


SOURCE = Source(
    CARD,
    load,
    evaluations=(
        TargetTask(
            name="rotten_tomatoes",
            about="whether a critic or a viewer rates a film good",
            rows=_targets,
            label="Good/Bad",
        ),
    ),
)
