"""Clues of the quiz show Jeopardy!, two tasks: to write a clue, to answer one.

The clues are those of the normal and of the double round. Left out: the final round and tiebreakers; clues with a link
("href"), which ask about a picture or a sound; rows without a clue or an answer.

Departures: a clue that comes again is there once, and so is a clue with its answer, so that no episode asks what it has shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pluralign.episodes import Example
from pluralign.suite.card import Card, Manual, Source
from pluralign.suite.reading import read_csv, read_text, unusable
from pluralign.suite.rows import pool_task
from pluralign.suite.task import Around

__all__ = ["FILE", "SOURCE", "Clue", "load"]

FILE = "JEOPARDY_CSV.csv"
COLUMNS = ("Round", "Question", "Answer")
KEPT = ("Jeopardy!", "Double Jeopardy!")
ROUNDS = (*KEPT, "Final Jeopardy!", "Tiebreaker")
MOST = 1000
"""Outputs of a task."""
CARD = Card(
    name="jeopardy",
    what="Clues of the television quiz Jeopardy! with round, category, value and the answer that counted as right.",
    citation="J! Archive (j-archive.com), collected by a user of Reddit (r/datasets, 1uyd0t)",
    licence="unstated",
    access=Manual(
        (FILE,),
        "https://www.kaggle.com/datasets/tunguz/200000-jeopardy-questions (a login is needed), or a copy of that CSV",
    ),
    ran_on_real_file=False,
    rows=216_930,
    unit="the whole list",
    problems=("answers are the show's own wording: another wording may be as right",),
)


@dataclass(frozen=True, slots=True)
class Clue:
    """What is read out, and the answer that counted as right."""

    text: str
    answer: str


def load(folder: Path | None) -> list[Clue]:
    """The clues, each with its answer once; raises DataError for rounds that are unknown.

    The common copy has a space before all names of columns but the first.
    """
    space = " " if " Question" in read_text(CARD, folder, FILE).split("\n", 1)[0] else ""
    rows = read_csv(CARD, folder, FILE, [f"{space}{column}" for column in COLUMNS]).rows()
    faults = [
        f"row {number}: the round must be one of {', '.join(ROUNDS)}, not {kind!r}"
        for number, (kind, _, _) in enumerate(rows, 1)
        if kind not in ROUNDS
    ]
    clues = [Clue(text, answer) for kind, text, answer in rows if kind in KEPT and _is_text(text) and _is_text(answer)]
    clues = [clue for clue in clues if "href" not in clue.text.lower()]
    if faults or not clues:
        raise unusable(CARD, folder, FILE, faults or "it holds no clue of the normal or the double round")
    return list(dict.fromkeys(clues))


def _is_text(value: str | None) -> bool:
    return bool(value and value.strip())


def _clues(data: list[Clue]) -> list[Example]:
    return [Example(text) for text in dict.fromkeys(clue.text for clue in data)]


def _answers(data: list[Clue]) -> list[Example]:
    return [Example(clue.answer, clue.text) for clue in data]


SOURCE = Source(
    CARD,
    load,
    (
        pool_task(
            "jeopardy_question_generation",
            _clues,
            kind="text",
            split="train",
            about="a clue of a quiz show",
            descriptions=(
                "Clues from the quiz show Jeopardy!",
                "What the host of a trivia show reads out: each is a clue, worded as a statement, to one fact or name.",
                "A clue for contestants on Jeopardy!, from the first or the second round. The answer is not given.",
            ),
            n_outputs=Around(64),
            n_episodes=None,
            max_total=MOST,
        ),
        pool_task(
            "jeopardy_answer_prediction",
            _answers,
            kind="knowledge",
            split="train",
            about="the right answer to a clue",
            descriptions=(
                "Answer the clue.",
                'Clues from the quiz show Jeopardy!, each with the answer that counted as right, without "What is".',
                "A trivia clue is given. The output names what the clue describes, as briefly as the show's own answers do.",
            ),
            n_outputs=Around(64),
            n_episodes=None,
            max_total=MOST,
        ),
    ),
)
