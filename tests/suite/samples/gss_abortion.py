"""Five people: one answered three questions only, one was asked none, one did not tell age and party."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from pluralign.suite.sources.gss_abortion import QUESTIONS
from suite.samples import write_parquet

PEOPLE = [
    (1, 1972, 23, "White", "Female", None, 16, "Ind,Near Dem", [1, 1, 1, 1, 1, 1, 1]),
    (2, 1990, None, "Black", "Male", 0, 12, "", [0, 1, 0, 1, 0, 1, 0]),
    (3, 2010, 61, "Other", "Male", 1, None, "Strong Republican", [None, 0, 0, None, 0, None, None]),
    (4, 2010, 45, "White", "Female", 0, 12, "Independent", [None] * 7),
    (5, 2018, 33, "Other", "Female", 1, 18, "Not Str Republican", [None, 1, 0, 1, None, 1, 0]),
]


def write(folder: Path) -> None:
    names = ("rownames", "year", "age", "race", "sex", "hispanic", "educ", "partyid")
    rows = [
        dict(zip(names, person, strict=False)) | dict(zip(QUESTIONS, person[-1], strict=True)) | {"id": 9} for person in PEOPLE
    ]
    ints = dict.fromkeys(("rownames", "id", "year", "age", "hispanic", "educ", *QUESTIONS), pl.Int32)
    write_parquet(folder / "stevedata-gss_abortion.parquet", rows, ints)
