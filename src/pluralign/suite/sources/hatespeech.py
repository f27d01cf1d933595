"""How toxic one person finds comments from Twitter, Reddit and 4chan, from 0 to 4: one task.

A person is the worker's hash (`worker_id`) where the file has it, else everything that a rating tells about its rater; two
people who gave the same answers about themselves cannot then be told apart. Comments that are blank are left out.

Departures: the published suite took Python's `hash` of the answers for a person, which differs from run to run; its people
were the first 1,000, ours are any. Descriptions do not tell who rates; `attributes` do, where all ratings of the person agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pluralign.episodes import Attribute, Example
from pluralign.suite.card import Card, OnRequest, Source
from pluralign.suite.reading import iter_jsonl, unusable
from pluralign.suite.sampler import chosen_units
from pluralign.suite.task import Around, Strand, Task

__all__ = ["FILE", "SOURCE", "Rater", "load"]

NAME = "hatespeech_individual"
FILE = "toxicity_ratings.json"
SCORES = range(5)
TOLD = (
    *("gender", "identify_as_transgender", "race", "age_range", "lgbtq_status", "education", "political_affilation"),
    *("is_parent", "religion_important", "technology_impact", "toxic_comments_problem"),
    *("uses_media_social", "uses_media_news", "uses_media_video", "uses_media_forums"),
    *("personally_seen_toxic_content", "personally_been_target"),
)
"""What each rating says about its rater (with the file's own spelling)."""
N_PEOPLE = 1000
CARD = Card(
    name="hatespeech",
    what="Comments from Twitter, Reddit and 4chan, each rated for toxicity by people who answered questions about themselves.",
    citation="Kumar et al. 2021, Designing Toxic Content Classification for a Diversity of Perspectives (arXiv 2106.04511)",
    licence="given out on request",
    access=OnRequest(
        (FILE,),
        "its authors: https://data.esrg.stanford.edu/study/toxicity-perspectives (JSON lines: comment, ratings)",
    ),
    ran_on_real_file=False,
    rows=107_620,
    chance={NAME: 1 / len(SCORES)},
    problems=(
        "many comments are offensive: that is their subject",
        "in a file without worker_id people are told apart by their answers about themselves alone",
        "the schema was taken from public code that reads the file, not from the file",
    ),
)


@dataclass(slots=True)
class Rater:
    """Comments with scores, and what the person told about themselves: the same in all ratings, or left out."""

    ratings: list[tuple[str, int]] = field(default_factory=list)
    told: dict[str, Attribute] | None = None


def load(folder: Path | None) -> dict[str, Rater]:
    """Person to ratings; raises DataError with the rows whose ratings are of another shape."""
    raters: dict[str, Rater] = {}
    faults: list[str] = []
    with_id: set[bool] = set()
    for number, row in enumerate(iter_jsonl(CARD, folder, FILE, ("comment", "ratings")), 1):
        if found := _faults(row):
            faults += [f"row {number}: {fault}" for fault in found]
            continue
        for rating in row["ratings"]:
            with_id.add("worker_id" in rating)
            if row["comment"].strip():
                _add(raters.setdefault(_person(rating), Rater()), row["comment"], rating)
    if len(with_id) == 2:
        faults.append("some ratings have a worker_id and some have none")
    if faults or not raters:
        raise unusable(CARD, folder, FILE, faults or "it holds no rating")
    return raters


def _faults(row: dict[str, Any]) -> list[str]:
    comment, ratings = row["comment"], row["ratings"]
    if not isinstance(comment, str) or not isinstance(ratings, list) or not all(isinstance(one, dict) for one in ratings):
        return ["a text 'comment' and a list of objects 'ratings' are needed"]
    faults = [f"a rating has no {name}" for one in ratings for name in ("toxic_score", *TOLD) if name not in one]
    scores = [one["toxic_score"] for one in ratings if "toxic_score" in one]
    return faults + [f"toxic_score must be 0 to 4, not {score!r}" for score in scores if score not in SCORES]


def _person(rating: Mapping[str, Any]) -> str:
    if "worker_id" in rating:
        return str(rating["worker_id"])
    return " | ".join("-" if _is_missing(rating[name]) else str(rating[name]) for name in TOLD)


def _is_missing(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _add(rater: Rater, comment: str, rating: Mapping[str, Any]) -> None:
    rater.ratings.append((comment, int(rating["toxic_score"])))
    told = {name: _attribute(rating[name]) for name in TOLD if not _is_missing(rating[name])}
    agreed = told if rater.told is None else {name: value for name, value in rater.told.items() if told.get(name) == value}
    rater.told = agreed


def _attribute(value: Any) -> Attribute:
    return value if isinstance(value, str | int | float) else str(value)


def _strands(data: dict[str, Rater], seed: int) -> Iterator[Strand]:
    for person, rater in chosen_units(seed, NAME, data, N_PEOPLE).items():
        yield Strand(
            unit=person,
            examples=[Example(str(score), comment) for comment, score in rater.ratings],
            descriptions=("How toxic one person finds comments from the internet, from 0 (not at all) to 4 (extremely).",),
            options=tuple(map(str, SCORES)),
            n_outputs=Around(128),
            attributes=rater.told or {},
        )


SOURCE = Source(
    CARD,
    load,
    (
        Task(
            name=NAME, kind="individual", split="train", strands=_strands, about="how toxic a comment is to one person, 0 to 4"
        ),
    ),
)
