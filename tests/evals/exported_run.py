"""A run of `evaluate` on a scripted model, with faults, a task whose name would be a path, and markup in its texts."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from pluralign.evals.evaluate import evaluate
from pluralign.evals.kinds import Setting
from pluralign.models.scripted import ScriptedModel

TASKS = ("urn", "coinflip", "rng_1_10")
ODD = "ratings_../../x y"
"""What the task urn is called afterwards."""
MARKUP = "<script>alert('x')</script> [link](javascript:x) ../../etc & \x07 " + "long " * 50
"""What the first question of that task is called and says."""
FAULTS = {"refusal": 0.2, "failed": 0.2}


def made_run(folder: Path) -> Path:
    """The run folder."""
    run = folder / "run"
    model = ScriptedModel(faults=FAULTS, seed=2, name="hf/some folder/../model")  # type: ignore[arg-type]  # names of faults
    evaluate(model, run, tasks=TASKS, setting=Setting(limit=12, most_k=4))
    _renamed(run)
    return run


def _renamed(run: Path) -> None:
    path = run / "records-alignment.parquet"
    records = pl.read_parquet(path)
    first = pl.int_range(pl.len()) == 0
    changed = [pl.when(first).then(pl.lit(MARKUP)).otherwise(pl.col(name)).alias(name) for name in ("item", "input")]
    records.with_columns(pl.lit(ODD).alias("task"), *changed).write_parquet(path)
    results = json.loads((run / "results.json").read_text())
    for finding in results["evaluations"]["alignment"]["findings"]:
        finding["task"] = ODD
    (run / "results.json").write_text(json.dumps(results))
