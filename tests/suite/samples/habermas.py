"""Three questions rated by seven people, before and after they talked; a bot, a trial run, people without an id or opinion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pluralign.suite.sources.habermas import OPINIONS, RATINGS
from suite.samples import write_parquet

QUESTIONS = {
    "S1": ("Should trains be free?", "Trains should be free.", "Trains should NOT be free."),
    "S2": ("Should goats, or sheep,\ngraze in parks?", "They should graze in parks.", "They should NOT graze in parks."),
    "S3": ("Should cafés close at ten?", "Cafés should close at ten.", "Cafés should NOT close at ten."),
}


def rating(
    worker: str | None,
    question_id: str,
    label: str,
    *,
    index: int = 0,
    by: str = "HUMAN_CITIZEN",
    participant: str | None = None,
) -> dict[str, Any]:
    question, affirming, negating = QUESTIONS[question_id]
    return {
        "launch_id": "made",
        "worker_id": worker,
        "metadata.participant_id": participant or f"p-{worker}",
        "metadata.provenance": by,
        "question.id": question_id,
        "question.text": question,
        "question.affirming_statement": affirming,
        "question.negating_statement": negating,
        "rating_index": index,
        "ratings.agreement": [label],
    }


LABELS = ("AGREE", "AGREE", "STRONGLY_AGREE", "NEUTRAL", "SOMEWHAT_DISAGREE", "DISAGREE")
RATED = [rating(f"w{n}", "S1", label) for n, label in enumerate(LABELS)]
RATED.insert(1, rating("w2", "S1", "DISAGREE", index=1))  # rows after the discussion may come before
RATED += [
    rating("w0", "S1", "STRONGLY_DISAGREE", index=1),
    rating("w0", "S1", "NEUTRAL"),
    rating("w0", "S2", "SOMEWHAT_AGREE"),
    rating("w1", "S2", "STRONGLY_DISAGREE"),
    rating(None, "S2", "DISAGREE", participant="p-nobody"),
    rating("w6", "S2", "MOCK"),
    rating("bot", "S3", "AGREE", by="BOT_CITIZEN"),
    rating("w6", "S3", "AGREE"),
]
TOLD: list[tuple[str | None, str, str | None]] = [
    *((f"w{n}", "S1", f'Opinion {n}: "free", naturally.\nYes, really.') for n in range(6)),
    ("w0", "S1", "A second thought."),
    ("w0", "S2", "Zäune sind teuer, so let them graze."),
    ("w1", "S2", None),
    ("w6", "S3", "  "),
    (None, "S2", "From nobody."),
]


def write(folder: Path) -> None:
    write_parquet(folder / RATINGS, RATED)
    said = [
        {"worker_id": worker, "question.id": question_id, "opinion.text": text, "candidate.text": "A statement of the group."}
        for worker, question_id, text in TOLD
    ]
    write_parquet(folder / OPINIONS, said)
