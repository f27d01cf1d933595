"""Chemistry from the data of BO-ICL: solubility of molecules, yield of a catalysed reaction; two tasks.

Departure from the published suite: a molecule without an IUPAC name (45 of 927) has no such key.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from pluralign.episodes import Example
from pluralign.suite.card import Card, Repository, Source
from pluralign.suite.reading import read_csv, unusable
from pluralign.suite.rows import pool_task
from pluralign.suite.task import json_text

__all__ = ["SOURCE", "load"]

ESOL, OXIDATIVE = "esol_iupac.csv", "train_data_num_feats.csv"
NOTATIONS = ("SMILES", "SELFIES", "InChI", "IUPAC")
SOLUBILITY = "measured log(solubility:mol/L)"
CARD = Card(
    name="bo_icl",
    what="Measured solubility of molecules in four notations; yields of the oxidative coupling of methane, with procedures.",
    citation="Ramos et al. 2023, Bayesian Optimization of Catalysts With In-context Learning (arXiv 2304.05341)",
    licence="unstated",
    access=Repository(
        "https://github.com/ur-whitelab/BO-ICL",
        "43d38efca6fd91116c7550625ffb7859b6185b54",
        (ESOL, OXIDATIVE),
        below={file: f"paper/dataset/data/{file}" for file in (ESOL, OXIDATIVE)},
    ),
    ran_on_real_file=True,
    rows=927 + 1016,
    unit="table",
    problems=(
        f"{OXIDATIVE} itself has not been read: its loader has run on the file of the same columns with the test rows",
        "11 molecules of the solubility table come twice or more, with measurements that may differ",
    ),
)


def load(folder: Path | None) -> Path | None:
    """Reads nothing yet: each task needs one of the files."""
    return folder


def _rows(
    folder: Path | None, file: str, texts: Sequence[str], number: str, *, may_lack: str = ""
) -> list[tuple[list[str], str]]:
    """The texts of each row, and its number as the file writes it; raises DataError for what is no number or is missing."""
    rows = read_csv(CARD, folder, file, [*texts, number]).rows()
    faults = []
    for n, row in enumerate(rows, 1):
        faults += [
            f"row {n}: {name} is missing" for name, text in zip(texts, row, strict=False) if not text and name != may_lack
        ]
        if not _is_number(row[-1]):
            faults.append(f"row {n}: {number} must be a number, not {row[-1]!r}")
    if faults or not rows:
        raise unusable(CARD, folder, file, faults or "it holds no row")
    return [(list(row[:-1]), row[-1]) for row in rows]


def _is_number(text: str | None) -> bool:
    try:
        return text is not None and math.isfinite(float(text))
    except ValueError:
        return False


def _molecules(folder: Path | None) -> list[Example]:
    rows = _rows(folder, ESOL, NOTATIONS, SOLUBILITY, may_lack="IUPAC")
    return [Example(value, json_text(**dict(zip(NOTATIONS, texts, strict=True)))) for texts, value in rows]


def _experiments(folder: Path | None) -> list[Example]:
    return [Example(value, prompt) for [prompt], value in _rows(folder, OXIDATIVE, ["prompt"], "C2_yield")]


SOURCE = Source(
    CARD,
    load,
    (
        pool_task(
            "chemistry_esol",
            _molecules,
            kind="knowledge",
            split="test",
            about="the logarithm of a molecule's solubility in water",
            descriptions=(
                "How soluble is a molecule in water? The input writes it as SMILES, SELFIES and InChI and gives its IUPAC name "
                "where that is known; the output is the decimal logarithm of its measured solubility in moles per litre.",
            ),
            n_outputs=15,
            n_episodes=None,
            n_permutations=5,
            files=(ESOL,),
        ),
        pool_task(
            "chemistry_oxidative",
            _experiments,
            kind="knowledge",
            split="test",
            about="the yield of C2 products in percent",
            descriptions=(
                "Oxidative coupling of methane: from how the catalyst was made and the reaction was run, predict the yield of "
                "C2 products in percent.",
            ),
            n_outputs=10,
            n_episodes=None,
            files=(OXIDATIVE,),
        ),
    ),
)
