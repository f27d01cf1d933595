"""Ten sentences with a blank."""

from __future__ import annotations

from pathlib import Path

from pluralign.suite.sources.winogrande import FILE
from suite.samples import write_parquet

ROWS = [
    {
        "sentence": f"The box {n} did not fit on the shelf, as the _ was too small.",
        "option1": "box",
        "option2": "shelf",
        "answer": "2",
    }
    for n in range(1, 10)
]
ROWS.append({"sentence": "Zoë thanked Émile because _ had helped.", "option1": "Émile", "option2": "Zoë", "answer": "1"})


def write(folder: Path) -> None:
    write_parquet(folder / FILE, ROWS)
