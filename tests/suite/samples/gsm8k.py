"""Ten problems about apples, one of them in two lines with a comma and a sign of currency."""

from __future__ import annotations

from pathlib import Path

from pluralign.suite.sources.gsm8k import FILE
from suite.samples import write_parquet

PROBLEMS = [
    {
        "question": f"Zoë has {n} apples and buys {n} more. How many has she?",
        "answer": f"She has {n}+{n}=<<{n}+{n}={2 * n}>>{2 * n} apples.\n#### {2 * n}",
    }
    for n in range(1, 10)
]
PROBLEMS.append(
    {
        "question": "A jar costs 2 €, a lid 1 €.\nWhat do 3 jars with lids cost?",
        "answer": "A jar with its lid costs 2+1=<<2+1=3>>3 €.\nThree cost 3*3=<<3*3=9>>9 €.\n#### 9",
    }
)


def write(folder: Path) -> None:
    write_parquet(folder / FILE, PROBLEMS)
