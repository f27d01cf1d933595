"""Ten questions: with four letters, with digits, with three and with five choices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pluralign.suite.sources.arc import FILE
from suite.samples import write_parquet


def _row(number: int, question: str, labels: str, texts: list[str], key: str) -> dict[str, Any]:
    return {"id": f"made_{number}", "question": question, "choices": {"text": texts, "label": list(labels)}, "answerKey": key}


ROWS = [_row(n, f"What melts at {n} degrees?", "ABCD", ["ice", "iron", "stone", "glass"], "A") for n in range(7)]
ROWS += [
    _row(7, "Which is a planet, and which\nis not?", "1234", ["Mars, the red one", "a spoon", "Tuesday", "Éa"], "1"),
    _row(8, "What do roots take up?", "ABC", ["light", "water", "sound"], "B"),
    _row(9, "What is lightest?", "ABCDE", ["lead", "gold", "tin", "zinc", "air"], "E"),
]


def write(folder: Path) -> None:
    write_parquet(folder / FILE, ROWS)
