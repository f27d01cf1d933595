"""Claim: with `--engine ray` on one machine a job of five minutes takes at most 15 % longer than without; the same records.

    python benchmarks/scale.py            a job of some seconds
    python benchmarks/scale.py --full     of about five minutes

The embedded model scores every output of made episodes, with one thread: in this process, then by one actor, both from the
name of the model to the run folder. So the engine's time has all that it adds in it: the cluster's start, the actor's start
and its opening of the model, and what is sent. How many episodes make up the job is measured first. Needs the extra `ray`.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch; Ray leaves it to its processes

import argparse
import importlib.util
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from pluralign.episodes import Episode, Example, write_episodes
from pluralign.scoring import score
from pluralign.scoring.ray_engine import RayEngine

TARGET = 1 / 1.15
FIRST = 256
"""Episodes from which the size of the job follows."""


def made(file: Path, n: int, *, seed: int) -> Path:
    """Coins with a bias of their own, 40 tosses each."""
    rng = np.random.default_rng(seed)
    tosses = rng.random((n, 40)) < rng.random((n, 1))
    episodes = (
        Episode("coin", tuple(Example("heads" if one else "tails") for one in own), f"Coin {i}.", ("heads", "tails"))
        for i, own in enumerate(tosses.tolist())
    )
    write_episodes(file, episodes)
    return file


def timed(file: Path, out: Path, engine: RayEngine | None) -> tuple[float, Any]:
    start = time.perf_counter()
    found = score(file, out, model="embedded", engine=engine)
    return time.perf_counter() - start, found


def main() -> None:
    parser = argparse.ArgumentParser(description="A job by one Ray actor against the same in this process.")
    parser.add_argument("--full", action="store_true", help="a job of about five minutes")
    seconds, full = (300.0, True) if parser.parse_args().full else (6.0, False)
    rows = []
    if importlib.util.find_spec("ray") is None:
        print("left out: Ray is not installed (pip install 'pluralign[ray]')")
    else:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            timed(made(folder / "some.jsonl", 8, seed=2), folder / "some", None)  # imports, and the choice of a precision
            _, found = timed(made(folder / "first.jsonl", FIRST, seed=1), folder / "first", None)
            n = int(FIRST * seconds / found.totals.seconds)
            file = made(folder / "job.jsonl", n, seed=0)
            peer, here = timed(file, folder / "here", None)
            ours, there = timed(file, folder / "there", RayEngine(n_actors=1))
            first, second = ((folder / run / "records.parquet").read_bytes() for run in ("here", "there"))
            if first != second:
                raise SystemExit("the records are not those of the local run")
            n_units = len(list((folder / "here" / "steps").glob("part-*.parquet")))
        case = f"{n:,} episodes in {n_units} units, one actor; the peer is this process; equal records"
        print(f"  {case}: {ours:.1f} s, peer {peer:.1f} s, {100 * (ours / peer - 1):.1f} % more")
        print(f"  in the model: {there.totals.seconds:.1f} s, peer {here.totals.seconds:.1f} s")
        rows.append(
            {"case": case, "ours": ours, "peer": peer, "ratio": peer / ours, "unit": "s", "target": TARGET if full else None}
        )
    print(json.dumps({"benchmark": "scale", "rows": rows}))


if __name__ == "__main__":
    main()
