"""Four tables: users with six rows each, one of them with five, and rows of nobody."""

from __future__ import annotations

from pathlib import Path

from suite.samples import Row, write_csv

WHO = ("gender", "race", "age", "occupation", "education")
ANN: dict[str, str | None] = dict(zip(WHO, ("Woman", "White", "25-29", "Student", "College degree"), strict=True))
BO: dict[str, str | None] = dict(zip(WHO, ("Man", "Asian", None, "Prefer not to disclose", "Other"), strict=True))
NOBODY: dict[str, str | None] = dict.fromkeys(WHO)
EMAILS = ["send it now", "Hi,\nwhere is it?", "no", "Late again, as ever", "Was ist das? ☹", "ok"]


def _rows(users: list[tuple[str | None, dict[str, str | None], int]]) -> list[Row]:
    return [{"instance_id": n, "user_id": user, **who} for user, who, many in users for n in range(many)]


def write(folder: Path) -> None:
    users: list[tuple[str | None, dict[str, str | None], int]] = [
        ("0.0", ANN, 6),
        ("1.0", BO, 6),
        ("2.0", NOBODY, 6),
        ("3.0", ANN, 5),
        (None, NOBODY, 6),
    ]
    emails = [
        {**row, "original email": EMAILS[row["instance_id"]], "revised email": f"Dear all, {EMAILS[row['instance_id']]}"}
        for row in _rows(users)
    ]
    emails.append({**emails[0], "revised email": None})
    write_csv(folder / "email_rewriting_raw_data.csv", emails)
    for name, column in (("offensiveness", "offensiveness"), ("politeness_rating", "politeness")):
        ratings = [
            {**row, "text": f"{column}, item {row['instance_id']}", column: f"{row['instance_id'] % 5 + 1}.0"}
            for row in _rows(users[:4])
        ]
        write_csv(folder / f"{name}_raw_data.csv", ratings)
    answers = [
        {
            **row,
            "user_id": None,
            "text": f"Passage {row['instance_id']}: cranes fly south.",
            "question": "Where do cranes fly?",
            "groundtruth": None if row["instance_id"] == 5 else "south",
            "answer": "south" if row["instance_id"] % 2 else "2.0",
            "difficulty": "2.0",
        }
        for row in _rows(users)
    ]
    write_csv(folder / "question_answering_raw_data.csv", answers)
