"""27 lists of three elements, people as records with fields."""

from __future__ import annotations

from pathlib import Path

from pluralign.suite.sources import diffuse_distribution
from suite.samples import write_json

PEOPLE = ["{Ada Moor}\n{Female}\n{May 2, 1931}", "{Jo\u200b Lind}\n{Male}\n{June 7, 1950}"]


def write(folder: Path) -> None:
    for file in diffuse_distribution.FILES:
        targets = PEOPLE if "people" in file else ["{one}", "{two}", "{three}"]
        stem = Path(file).stem
        request = f'Pick from "{stem}", at random. Write {{thing}} and no code.'
        write_json(folder / "prompts" / file, {"request": request, "targets": targets})
