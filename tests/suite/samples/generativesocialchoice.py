"""Two surveys, of lists as Python prints them and of JSON lists; each person rates two statements and answers a question."""

from __future__ import annotations

import json
from pathlib import Path

from suite.samples import Row, write_csv

CHOICES = ["poorly", "well", "very well"]


def _row(user: str, step: int, kind: str, question: str, choices: str | None, choice: str | None, text: str | None) -> Row:
    return {
        "user_id": user,
        "step": step,
        "question_type": kind,
        "question_text": question,
        "button_label": "Continue" if kind == "reading" else None,
        "json_choices": choices,
        "choice": choice,
        "choice_numeric": None if choice is None else f"{CHOICES.index(choice)}.0",
        "text": text,
    }


def write(folder: Path) -> None:
    for file, listed in (
        ("abortion_survey.csv", str(CHOICES)),
        ("chatbot_personalization_survey.csv", json.dumps(CHOICES)),
    ):
        write_csv(
            folder / file,
            [
                _row("generation1", 1, "reading", "<h2>Welcome</h2>\n<p>Read, then go on.</p>", None, None, None),
                _row("generation1", 2, "text", "What do you think, and why?", None, None, 'I "think", mostly.\nThat is all'),
                _row("generation1", 3, "text", "Anything else?", None, None, None),
                _row("generation1", 4, "multiple choice + text", "Does it say so?", listed, "well", "Grüße, yes"),
                _row("validation1", 1, "multiple choice + text", "Is it one?", listed, "poorly", None),
                _row("validation1", 2, "multiple choice + text", "Is it two?", listed, "very well", "None"),
                _row("validation1", 3, "reading", "Thank you!", None, None, None),
                _row("generation2", 1, "text", "What do you think, and why?", None, None, "Nothing"),
            ],
        )
