"""Ten questions with four choices; the subject is in the file and not used."""

from __future__ import annotations

from pathlib import Path

from pluralign.suite.sources.mmlu import FILE
from suite.samples import write_parquet

ROWS = [
    {
        "question": f"Which number follows {n}?",
        "subject": "counting",
        "choices": [str(n + 1), str(n - 1), "zero", "Größe"],
        "answer": 0,
    }
    for n in range(1, 10)
]
ROWS.append(
    {
        "question": "Statement 1 | Snow is white.\nWhich, then?",
        "subject": "logic",
        "choices": ["a, b", "c", "d", "e"],
        "answer": 3,
    }
)


def write(folder: Path) -> None:
    write_parquet(folder / FILE, ROWS)
