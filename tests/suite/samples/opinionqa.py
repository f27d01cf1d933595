"""Two made-up surveys of the fifteen: three questions each, four people."""

from __future__ import annotations

from pathlib import Path

from pluralign.suite.sources.opinionqa import PROPERTIES
from suite.samples import Row, write_csv

WAVES = (26, 54)
OPTIONS = ["Yes, always", "No", "Refused"]
VALUES = {
    "AGE": ["18-29", "30-49"],
    "INCOME": ["Less than $30,000", "$30,000-$50,000"],
    "EDUCATION": ["Less than high school", "Associate's degree"],
}


def folder_of(folder: Path, wave: int) -> Path:
    return folder / "human_resp" / f"American_Trends_Panel_W{wave}"


def questions(wave: int) -> list[Row]:
    rows = [
        (f"TEA_W{wave}", "Do you drink tea, coffee, or both?", ["Tea", "Coffee", "Both", "Refused"]),
        (f"RAIN_W{wave}", "Do you like rain, even a café's\nrain?", OPTIONS),
        (f"CAT_W{wave}", "Which of these do you have? A cat", ["Not selected", "A cat"]),
    ]
    return [
        {"": n, "Unnamed: 0": n, "key": key, "option_mapping": "{}", "question": text, "references": str(options)}
        for n, (key, text, options) in enumerate(rows)
    ]


def responses(wave: int) -> list[Row]:
    answers: list[tuple[str | None, str | None, str | None, str | None]] = [
        ("Tea", "Yes, always", "A cat", "18-29"),
        ("Both", "Refused", None, "Refused"),
        ("Coffee", "No", "Not selected", "30-49"),
        (None, None, None, "18-29"),
    ]
    keys = (f"TEA_W{wave}", f"RAIN_W{wave}", f"CAT_W{wave}", "AGE")
    told = {key: VALUES.get(key, ["Here"])[-1] for key in PROPERTIES}
    return [
        {"QKEY": str(100 + n), **told, f"WEIGHT_W{wave}": "1.5", **dict(zip(keys, row, strict=True))}
        for n, row in enumerate(answers)
    ]


def write(folder: Path) -> None:
    for wave in WAVES:
        here = folder_of(folder, wave)
        write_csv(here / "info.csv", questions(wave))
        known = [{"": n, "key": key, "options": str(VALUES.get(key, ["Here", "There"]))} for n, key in enumerate(PROPERTIES)]
        write_csv(here / "metadata.csv", [*known, {"": 12, "key": "OTHER", "options": "[]"}])
        write_csv(here / "responses.csv", responses(wave))
