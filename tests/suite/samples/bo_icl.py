"""Three molecules, one without an IUPAC name; two experiments."""

from __future__ import annotations

from pathlib import Path

from pluralign.suite.sources import bo_icl
from suite.samples import write_csv

MOLECULES = [
    ("Made-up 1", "-2.18", "CCO", "[C][C][O]", "InChI=1S/A,b", "1,1-ethanol"),
    ("Made-up 2", "0.5", "CC", "[C][C]", "InChI=1S/B", None),
    ("Made-up 3", "1", "C#N", "[C][#N]", 'InChI=1S/"C"', "azañe"),
]
EXPERIMENTS = [("4.53", " Mix A ( 0.1 mol),\nheat to 50 °C."), ("0.24", "Mix B, heat.")]


def write(folder: Path) -> None:
    columns = ("Compound ID", bo_icl.SOLUBILITY, *bo_icl.NOTATIONS)
    write_csv(folder / bo_icl.ESOL, [dict(zip(columns, row, strict=True)) for row in MOLECULES])
    write_csv(
        folder / bo_icl.OXIDATIVE,
        [{"Name": "0.5", "C2_yield": value, "feat_vector": "[0.5, 1]", "prompt": text} for value, text in EXPERIMENTS],
    )
