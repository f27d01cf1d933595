"""A made-up SPSS file of six people, with negative codes declared as missing and not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pluralign.suite.sources.wvs import FILE

MISSING = {-1: "Don't know", -2: "No answer", -4: "Not asked"}
LABELS: dict[str, dict[int, str]] = {
    "B_COUNTRY": {20: "Andorra", 32: "Argentina"},
    "N_TOWN": {-4: "Not asked", 20001: "AD: La Peña, upper"},
    "S_INTLANGUAGE": {140: "Catalan", 4000: "Spanish; Castilian"},
    "Q_MODE": {1: "CAPI", 2: "Mail"},
    "Q1": {**MISSING, 1: "Not at all", 2: "Rather", 3: "Very"},
    "Q2": {**MISSING, 0: "No", 1: "Yes"},
    "Q261": dict(MISSING),
    "Q262": {**MISSING, 16: "16", 17: "17"},
    "Q290": {n: f"Group {n}" for n in range(1, 19)},
    "Q291": dict(MISSING),
}
COLUMNS: dict[str, list[Any]] = {
    "D_INTERVIEW": [20070001, 20070002, 20070003, 32070001, 32070002, 32070003],
    "B_COUNTRY": [20, 20, 20, 32, 32, None],
    "N_TOWN": [20001, 20001, -4, -4, -4, -4],
    "S_INTLANGUAGE": [140, 4000, 140, 4000, 4000, None],
    "Q_MODE": [1, 1, 1, 1, 2, 2],
    "Q1": [3, 1, -1, 2, -4, 2],
    "Q2": [1, 0, None, -2, -2, 1],
    "Q261": [1960, 1970, 1980, 1990, 2000, -1],
    "Q262": [60, 50, 40, 30, 20, -1],
    "Q290": [1, 2, 3, 4, 5, 6],
    "Q291": [5, 5, 5, 5, 5, 5],
    "Q299": [0.5, 0.25, 1.5, 2.5, 3.5, 4.5],
}
TEXTS = {"Q1": 'Important in life: "Café", tea, and rest', "Q2": "Has a cat", "B_COUNTRY": "ISO 3166-1 numeric country code"}


def write(folder: Path, **columns: list[Any]) -> None:
    """`columns` in place of others of the same name."""
    pyreadstat = pytest.importorskip("pyreadstat", reason="the extra spss is not installed")
    table = pl.DataFrame(COLUMNS | columns, schema=dict.fromkeys(COLUMNS | columns, pl.Float64), strict=False)
    pyreadstat.write_sav(
        table,
        folder / FILE,
        column_labels=[TEXTS.get(name, name) for name in table.columns],
        variable_value_labels={name: labels for name, labels in LABELS.items() if name in table.columns},
        missing_ranges={"Q1": [{"lo": -5, "hi": -1}]},
    )
