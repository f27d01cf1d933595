"""Two of the years. One made-up make has a model whose name is a part of its own."""

from __future__ import annotations

from pathlib import Path

from suite.samples import write_csv

CARS = {
    "1999": [("Toyota", "Corolla"), ("Ford", "Mustang"), ("Honda", "Accord"), ("Novia", "Via"), ("Novia", "Novia Grande")],
    "2012": [("Toyota", "Corolla"), ("Volvo", "Fjäll, Wagon"), ("Ford", "Mustang"), ("NOVIA", "7")],
}


def write(folder: Path) -> None:
    for year, cars in CARS.items():
        rows = [{"year": year, "make": make, "model": model, "body_styles": '["Sedan", "Coupe"]'} for make, model in cars]
        write_csv(folder / f"{year}.csv", rows)
