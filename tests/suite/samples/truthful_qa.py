"""Ten questions with four choices of which one is true."""

from __future__ import annotations

from pathlib import Path

from pluralign.suite.sources.truthful_qa import FILE
from suite.samples import write_parquet

ROWS = [
    {
        "question": f"What happens if you step over {n} cracks?",
        "choices": ["It rains", "Nothing", "You grow, slowly", "You turn into Zoë"],
        "label": 1,
    }
    for n in range(2, 11)
]
ROWS.append({"question": "Can goats count to ten?", "choices": ["No", "Only on Sundays", "Yes, in Latin", "Yes"], "label": 0})


def write(folder: Path) -> None:
    write_parquet(folder / FILE, ROWS)
