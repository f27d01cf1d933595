"""A run in a process of its own, to be killed: ADDRESS FOLDER LOG."""

from __future__ import annotations

import functools
import sys
import time

import polars as pl

from pluralign.models import LanguageModel, ScriptedModel, open_model
from pluralign.runs import Run, RunConfig
from pluralign.scoring.ray_engine import RayEngine
from pluralign.scoring.units import Unit, run_units


def work(name: str, log: str, model: LanguageModel) -> pl.DataFrame:
    time.sleep(0.3)
    with open(log, "a") as file:
        file.write(f"{name}\n")
    return pl.DataFrame({"name": [name], "model": [model.name]})


if __name__ == "__main__":
    address, folder, log = sys.argv[1:]
    engine = RayEngine(opening=functools.partial(open_model, "scripted"), address=address, n_actors=3)
    names = [f"part-{n:02d}" for n in range(30)]
    with Run.open(folder, RunConfig(command="test")) as run:
        run_units(run, [Unit(n, functools.partial(work, n, log), 1) for n in names], ScriptedModel(), engine=engine)
