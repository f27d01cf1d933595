"""Cars sold in the United States, year by year: requests for a make, for a make with a model.

What is valid depends on the years that are in the folder. A make is taken as it is spelt; make and model may be in any case,
with other words around them, as in the published suite, so that only the makes can be listed.
"""

from __future__ import annotations

from pathlib import Path

from pluralign.suite.card import Card, Repository, Source
from pluralign.suite.evaluation import Coverage, CoverageTask
from pluralign.suite.reading import files_there, read_csv, unusable
from pluralign.suite.validators import make_and_model, one_of

__all__ = ["FILES", "SOURCE", "load"]

FILES = tuple(f"{year}.csv" for year in range(1992, 2027))
CARD = Card(
    name="us_car_models",
    what="Makes and models of nearly all cars of the model years 1992 to 2026 in the United States.",
    citation="Abhi (github.com/abhionlyone/us-car-models-data)",
    licence="CC BY 4.0",
    access=Repository("https://github.com/abhionlyone/us-car-models-data", "b943b86f8f695cb2167491a82cccd9fa2eb5603f", FILES),
    ran_on_real_file=True,
    unit="model",
    problems=(
        "with some of the years alone, a make or model of the others counts as invalid",
        "a model is looked for anywhere in the text, and some are one letter or digit: a make with nearly any words may pass",
        "the years 2025 and 2026 may be missing at the commit that is named here",
    ),
    each_alone=True,
)


def load(folder: Path | None) -> dict[str, list[str]]:
    """Make to its models, in the order of the alphabet; raises DataError with the rows that lack either."""
    models: dict[str, set[str]] = {}
    for file in files_there(CARD, folder, FILES):
        rows = read_csv(CARD, folder, file, ("make", "model")).rows()
        faults = [f"row {n}: a make and a model are needed" for n, row in enumerate(rows, 1) if not all(map(_is_text, row))]
        if faults or not rows:
            raise unusable(CARD, folder, file, faults or "it holds no car")
        for make, model in rows:
            models.setdefault(make, set()).add(model)
    return {make: sorted(models[make]) for make in sorted(models)}


def _is_text(cell: str | None) -> bool:
    return cell is not None and bool(cell.strip())


def _makes(models: dict[str, list[str]]) -> Coverage:
    return Coverage(
        description="A make of cars sold in the United States. Only the make's name.",
        examples=("Toyota", "Ford", "Volvo"),
        is_valid=one_of(models),
        closed=tuple(models),
    )


def _cars(models: dict[str, list[str]]) -> Coverage:
    return Coverage(
        description="A car sold in the United States: the make and the model, nothing else.",
        examples=("Toyota Corolla", "Ford Mustang", "Honda Accord"),
        is_valid=make_and_model(models),
    )


SOURCE = Source(
    CARD,
    load,
    evaluations=(
        CoverageTask(name="car_brand", about="a make of cars", make=_makes, max_tokens=8),
        CoverageTask(name="car_make_model", about="a make and a model of a car", make=_cars, max_tokens=16),
    ),
)
