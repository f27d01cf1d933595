"""Rows of benchmarks in parquet files, checked one by one, so that every fault of a file is named with its row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pluralign.suite.card import Card
from pluralign.suite.reading import read_parquet, unusable

__all__ = ["checked_rows", "choice_faults", "index_faults", "text_faults"]


def checked_rows(
    card: Card, folder: Path | None, file: str, columns: Sequence[str], faults_of: Callable[[dict[str, Any]], Iterable[str]]
) -> list[dict[str, Any]]:
    """The rows with these columns; raises DataError for a file without rows and for all that `faults_of` finds in them."""
    rows = read_parquet(card, folder, file, columns).to_dicts()
    faults = [f"row {number}: {fault}" for number, row in enumerate(rows, 1) for fault in faults_of(row)]
    if faults or not rows:
        raise unusable(card, folder, file, faults or "it holds no row")
    return rows


def text_faults(row: dict[str, Any], names: Iterable[str]) -> list[str]:
    """Those of the fields that hold no text, or a blank one."""
    values = ((name, row[name]) for name in names)
    return [
        f"{name} must be text, not {value!r:.40}" for name, value in values if not isinstance(value, str) or not value.strip()
    ]


def choice_faults(choices: Any, n: int) -> list[str]:
    """What keeps this from being a list of n texts."""
    if isinstance(choices, list) and len(choices) == n and all(isinstance(choice, str) for choice in choices):
        return []
    return [f"{n} choices are needed, a list of texts, not {choices!r:.40}"]


def index_faults(row: dict[str, Any], name: str, n: int) -> list[str]:
    """What keeps the field from being a whole number from 0 to n - 1."""
    value = row[name]
    return [] if isinstance(value, int) and 0 <= value < n else [f"{name} must be 0 to {n - 1}, not {value!r:.40}"]
