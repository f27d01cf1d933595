"""Ten questions about one village; one answer of two spans, one whose first span is blank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pluralign.suite.sources.drop import FILE
from suite.samples import write_parquet

PASSAGE = "In 1901 the village of Üller had 120 goats, 40 sheep and 3 bells.\nIn 1902 it had 10 goats fewer."


def _row(number: int, question: str, spans: list[str], kind: str) -> dict[str, Any]:
    return {
        "section_id": "made_0",
        "query_id": f"made-{number}",
        "passage": PASSAGE,
        "question": question,
        "answers_spans": {"spans": spans, "types": [kind] * len(spans)},
    }


ROWS = [_row(n, f"How many goats and bells were there in 1901, plus {n}?", [str(123 + n)], "number") for n in range(7)]
ROWS += [
    _row(7, "Which animals did the village have?", ["goats", "sheep"], "span"),
    _row(8, "When were there 110 goats?", [" ", "1902"], "date"),
    _row(9, "What is the village called, in full?", ["village of Üller"], "span"),
]


def write(folder: Path) -> None:
    write_parquet(folder / FILE, ROWS)
