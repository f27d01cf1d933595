"""Ten beginnings, among them one with the marks of WikiHow; more columns than are used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pluralign.suite.sources.hellaswag import FILE
from suite.samples import write_parquet


def _row(index: int, activity: str, first: str, second: str, endings: list[str], label: str) -> dict[str, Any]:
    return {
        "ind": index,
        "activity_label": activity,
        "ctx_a": first,
        "ctx_b": second,
        "ctx": f"{first} {second.capitalize()}".strip(),
        "endings": endings,
        "source_id": f"made-up~{index}",
        "split": "val",
        "split_type": "indomain",
        "label": label,
    }


ROWS = [
    _row(
        n, "Baking bread", f"Loaf {n} is in the oven.", "the baker", ["flies away.", "waits.", "melts.", "sings to fish."], "1"
    )
    for n in range(9)
]
ROWS.append(
    _row(
        9,
        "Küche",
        "[header] How to boil an egg [title] Fill a pot.",
        "",
        ["[step] Heat it, with the egg in it.", "[step] Sell it.", "[step] Paint it.", "[step] Hide it."],
        "0",
    )
)


def write(folder: Path) -> None:
    write_parquet(folder / FILE, ROWS)
