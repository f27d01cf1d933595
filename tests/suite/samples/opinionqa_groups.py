"""Twelve questions; one is listed twice with different texts, one has a comma in an option, of one few in a group answered."""

from __future__ import annotations

from pathlib import Path

from pluralign.suite.sources.opinionqa_groups import DATA, GROUPS
from suite.samples import write_csv, write_json

OPTIONS = ["A lot", "A little, at most", "Not at all", "Refused"]
KEYS = [f"Q{n}_W1" for n in range(12)]
TWICE = "TWICE_W1"
FEW = "Q3_W1"
"""Of the people of another race only nine answered it."""


def text(key: str) -> str:
    return f"Of the library in {key}: is the café good?"


def counts(key: str, group: str) -> dict[str, float]:
    """Whole numbers, written as they are in the source; an answer that nobody gave is not there."""
    if key == FEW and group == "RACE/Other":
        return {"A lot": 4.0, "Not at all": 5.0, "Refused": 40.0}
    n = KEYS.index(key) if key in KEYS else 0
    return {"A lot": 10.0 + n, "A little, at most": 2.0 * len(group), "Refused": 3.0}


def write(folder: Path) -> None:
    rows = [{"": n, "key": key, "question": text(key), "references": str(OPTIONS)} for n, key in enumerate(KEYS)]
    rows += [{"": n, "key": TWICE, "question": f"Which {n}?", "references": str(OPTIONS)} for n in (20, 21)]
    write_csv(folder / "d500_info.csv", rows)
    for kind, file in DATA.items():
        groups = [name for name in GROUPS if name.startswith(f"{kind}/")]
        entries = {
            key: {
                "MC_options": ["A lot", "A little", "at most", "Not at all", "Refused"],
                "question_text": text(key),
                **{group.split("/")[1]: counts(key, group) for group in groups},
                "Refused": {"A lot": 1.0},
            }
            for key in [*KEYS, TWICE]
        }
        write_json(folder / file, entries)
