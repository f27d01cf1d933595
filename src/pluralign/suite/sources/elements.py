"""The chemical elements: requests for a symbol, for a name.

Spaces around a cell are part of the file's layout. A name may be in any case, a symbol may not, so that only the symbols can be
listed whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pluralign.suite.card import Card, Repository, Source
from pluralign.suite.evaluation import Coverage, CoverageTask
from pluralign.suite.reading import read_csv, unusable
from pluralign.suite.validators import one_of, one_of_in_any_case

__all__ = ["FILE", "SOURCE", "Element", "load"]

FILE = "data.csv"
COLUMNS = (" symbol", " name")
"""With the space that stands before each in the header."""
CARD = Card(
    name="elements",
    what="The 118 chemical elements with their properties.",
    citation="Chris Andrejewski, periodic-table (github.com/andrejewski/periodic-table)",
    licence="ISC",
    access=Repository("https://github.com/andrejewski/periodic-table", None, (FILE,)),
    ran_on_real_file=False,
    rows=118,
    unit="element",
    problems=("versions before 2016 have placeholders (Uut, Ununtrium) in place of four elements' names; take a later one",),
)


class Element(NamedTuple):
    """As it is written."""

    symbol: str
    name: str


def load(folder: Path | None) -> list[Element]:
    """In the order of the file; raises DataError with the rows that lack a symbol or a name, or repeat one."""
    rows = read_csv(CARD, folder, FILE, COLUMNS).iter_rows()
    elements = [Element(*((cell or "").strip() for cell in row)) for row in rows]
    faults = [f"row {n}: a symbol and a name are needed" for n, element in enumerate(elements, 1) if not all(element)]
    for what, texts in (("symbol", [one.symbol for one in elements]), ("name", [one.name.lower() for one in elements])):
        faults += [f"row {n}: its {what} has come before" for n, text in enumerate(texts, 1) if text in texts[: n - 1] and text]
    if faults or not elements:
        raise unusable(CARD, folder, FILE, faults or "it holds no element")
    return elements


def _symbols(elements: list[Element]) -> Coverage:
    symbols = tuple(element.symbol for element in elements)
    return Coverage(
        description="The symbol of a chemical element. Only the symbol.",
        examples=("He", "Fe", "Au"),
        is_valid=one_of(symbols),
        closed=symbols,
    )


def _names(elements: list[Element]) -> Coverage:
    return Coverage(
        description="The English name of a chemical element. Only the name.",
        examples=("Helium", "Iron", "Gold"),
        is_valid=one_of_in_any_case(element.name for element in elements),
    )


SOURCE = Source(
    CARD,
    load,
    evaluations=(
        CoverageTask(name="element_symbols", about="the symbol of a chemical element", make=_symbols, max_tokens=5),
        CoverageTask(name="element_names", about="the name of a chemical element", make=_names, max_tokens=15),
    ),
)
