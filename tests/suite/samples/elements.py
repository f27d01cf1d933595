"""Ten elements, with the spaces that the file has around names and cells, a quoted cell and empty ones."""

from __future__ import annotations

from pathlib import Path

from suite.samples import write_text

HEADER = "atomicNumber, symbol, name, atomicMass, electronegativity, oxidationStates"
ROWS = (
    '1, H , Hydrogen, 1.01(4),2.20,"-1, 1"',
    "2, He , Helium, 4.00(2),,",
    '6, C , Carbon, 12.0(8),2.55,"-4, 4"',
    '8, O , Oxygen, 16.0(3),3.44,"-2, 2"',
    "10, Ne , Neon, 20.2(6),,",
    '19, K , Potassium, 39.1(1),0.82,"1"',
    '26, Fe , Iron, 55.8(2),1.83,"2, 3"',
    '79, Au , Gold, 197(4),2.54,"1, 3"',
    "113, Nh , Nihonium, [284],,",
    "118, Og , Oganesson , [294] ,,",
)


def write(folder: Path, *more: str) -> None:
    write_text(folder / "data.csv", "\n".join((HEADER, *ROWS, *more)) + "\n")
