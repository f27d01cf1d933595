"""Three people judge four comments, two of them with a comma and a line end; one person's race and age are not known."""

from __future__ import annotations

from pathlib import Path

from suite.samples import write_csv

COMMENTS = {"0": "Grüße, neighbours", "1": "Go home,\nall of you", "2": "A fine day", "3": "You fool"}
PEOPLE = {
    "wAa1": {"race": "White", "age": "36", "gender": "Female", "politic": "Democrat"},
    "wBb2": {"race": "American", "age": "61", "gender": "Male", "politic": "Independent"},
    "wCc3": {"race": None, "age": None, "gender": "Male", "politic": "Republican"},
}
JUDGED = {
    "wAa1": {"0": -1, "1": 1, "2": -1, "3": 1},
    "wBb2": {"0": -1, "1": -1, "3": 1},
    "wCc3": {"1": -1, "2": -1, "3": -1},
}


def write(folder: Path) -> None:
    rows = [
        {"workerId": who, "comment": comment, "answer": answer, **PEOPLE[who]}
        for who, answers in JUDGED.items()
        for comment, answer in answers.items()
    ]
    write_csv(folder / "pilot_annotations.csv", rows)
    texts = [{"id": i, "comment_id": f"9{i}", "text": text, "pos_f": 0.5, "pos_m": 0.25} for i, text in COMMENTS.items()]
    write_csv(folder / "comments.csv", texts)
