"""Made-up comments, each rated by people who say who they are; with a worker's hash or without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pluralign.suite.sources.hatespeech import FILE, TOLD
from suite.samples import write_jsonl

COMMENTS = ("What a day, isn't it?", "Nobody\nlikes rain, sun, or fog", "Ähm. No.", "I disagree with you.", "   ")
PEOPLE: dict[str, dict[str, Any]] = {
    "w1": {"gender": "Female", "age_range": "25 - 34", "is_parent": "Yes", "uses_media_news": True},
    "w2": {"gender": "Male", "age_range": "35 - 44", "is_parent": "No", "uses_media_news": False, "race": None},
    "w3": {"gender": "Nonbinary", "education": "", "race": float("nan")},
}


def row(comment: str, scores: dict[str, int], *, with_id: bool = True) -> dict[str, Any]:
    ratings = [
        {**dict.fromkeys(TOLD, "Rarely"), **PEOPLE[who], "toxic_score": score, "is_profane": False}
        | ({"worker_id": who} if with_id else {})
        for who, score in scores.items()
    ]
    return {"comment": comment, "source": "reddit", "perspective_score": 0.125, "comment_id": "c", "ratings": ratings}


def write(folder: Path, *, with_id: bool = True) -> None:
    scores = [{"w1": n, "w2": 4 - n} if n < 4 else {"w1": 1, "w3": 0} for n in range(len(COMMENTS))]
    rows = [row(comment, given, with_id=with_id) for comment, given in zip(COMMENTS, scores, strict=True)]
    write_jsonl(folder / FILE, [*rows, row("Only one person saw this.", {"w3": 2}, with_id=with_id)])
