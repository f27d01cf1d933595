"""Claims: a study of 10 million ratings takes less than 4 GB of memory, and at most 12 times as long as one of a million.

    python benchmarks/large_study.py             6,000 and 60,000 ratings, a minute
    python benchmarks/large_study.py --full      1 and 10 million ratings, 100 of each rater, 20,000 items; half an hour

The command itself, `pluralign study FILE`, page included, in a process of its own: its processor time, and the most memory it
had. What it says has to be right: Krippendorff's alpha is compared with that of a dense matrix of counts, the shares of the
options with those of the table, and at full size a study of half of a third table's raters with one of all of them. What the
latter finds must not lie below the joint intervals of the former; how far it lies above is what models gain that learn from
twice as many. People are made up: eight values, four kinds of people, two attributes of which one tells the kind.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

N_VALUES, N_KINDS = 8, 4
EACH = 100
"""Ratings of a rater."""
WORDS = ("walk", "vote", "help", "pray", "share", "drive", "build", "sing", "learn", "guard", "trade", "rest")
QUICK = ["--clusters", "2", "--max-examples", "4", "--permutations", "50", "--resamples", "100"]


@dataclass(frozen=True)
class Took:
    seconds: float
    """Of all processors together; what else the machine does at the time counts little."""
    wall: float
    gigabytes: float
    """10^9 bytes, at most at once."""
    results: dict[str, Any]


def write_ratings(file: Path, n_raters: int, n_items: int, seed: int = 0) -> pl.DataFrame:
    """Positions of items and raters, and ratings; the file has ids, texts and attributes, in random order."""
    rng = np.random.default_rng(seed)
    impact, centre = rng.normal(size=(n_items, N_VALUES)), rng.normal(size=(N_KINDS, N_VALUES))
    kind = rng.integers(0, N_KINDS, n_raters)
    theta = centre[kind] + rng.normal(0, 0.5, (n_raters, N_VALUES))
    rater = np.repeat(np.arange(n_raters), EACH)
    first, step = rng.integers(0, n_items, n_raters), 2 * rng.integers(0, n_items // (2 * EACH), n_raters) + 1
    item = ((first[:, None] + step[:, None] * np.arange(EACH)) % n_items).ravel()
    lean = 0.5 * np.einsum("rv,rv->r", theta[rater], impact[item]) - rng.normal(0, 0.5, n_raters)[rater]
    rating = 1 + (lean[:, None] + rng.logistic(size=(len(rater), 1)) > np.array([-2.0, -0.7, 0.7, 2.0])).sum(axis=1)
    texts = pl.Series([" ".join(rng.choice(WORDS, 8)) for _ in range(n_items)])
    told = np.where(rng.random(n_raters) < 0.6, kind, rng.integers(0, N_KINDS, n_raters))
    table = pl.DataFrame({"item": item, "rater": rater, "rating": rating}).sample(fraction=1.0, shuffle=True, seed=seed)
    table.select(
        item_id=pl.format("i{}", pl.col("item")),
        rater_id=pl.format("r{}", pl.col("rater")),
        rating="rating",
        item_text=texts.gather(table["item"]),
        rater_region=pl.Series(["north", "south", "east", "west"]).gather(told[table["rater"]]),
        rater_age=pl.Series(["18-29", "30-49", "50-69", "70+"]).gather(rng.integers(0, 4, n_raters)[table["rater"]]),
    ).write_parquet(file)
    return table


def studied(file: Path, out: Path, flags: list[str]) -> Took:
    """By the command, in a process of its own."""
    command = [sys.executable, "-m", "pluralign", "study", str(file), "--out", str(out), *flags]
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"{' '.join(command)}: exit {os.waitstatus_to_exitcode(status)}")
    results = json.loads((out / "results.json").read_text())
    took = Took(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024 / 1e9, results)
    data = results["data"]
    print(
        f"{data['n_ratings']:,} ratings of {data['n_raters']:,} raters: {took.seconds:.0f} s ({wall:.0f} s passed), "
        f"{took.gigabytes:.2f} GB; {data['n_ratings_modelled']:,} of {data['n_raters_modelled']:,} raters were modelled",
        flush=True,
    )
    return took


def dense_alpha(table: pl.DataFrame, n_items: int) -> float:
    """Krippendorff's alpha for ordinal ratings, written out from the counts of each item (Krippendorff 2004, chapter 11)."""
    counts = np.zeros((n_items, 5))
    np.add.at(counts, (table["item"].to_numpy(), table["rating"].to_numpy() - 1), 1.0)
    counts = counts[counts.sum(axis=1) >= 2]
    m, n = counts.sum(axis=1), counts.sum(axis=0)
    below = np.cumsum(n) - n / 2
    apart = (below[:, None] - below[None]) ** 2
    pairs = counts[:, :, None] * counts[:, None, :] - np.stack([np.diag(row) for row in counts])
    observed = (pairs * apart).sum(axis=(1, 2)) @ (1 / (m - 1)) / m.sum()
    expected = ((n[:, None] * n[None] - np.diag(n)) * apart).sum() / (n.sum() * (n.sum() - 1))
    return float(1 - observed / expected)


def check_counted(took: Took, table: pl.DataFrame, n_items: int) -> None:
    """Alpha and the shares of the options are those of all ratings."""
    alpha, dense = took.results["agreement"]["alpha_other_items"]["value"], dense_alpha(table, n_items)
    if abs(alpha - dense) > 1e-12:
        raise SystemExit(f"alpha is {alpha}, of the dense counts {dense}")
    shares = np.bincount(table["rating"].to_numpy(), minlength=6)[1:] / len(table)
    if np.abs(shares - [share["value"] for share in took.results["data"]["option_shares"]]).max() > 1e-12:
        raise SystemExit("the shares of the options are not those of the table")


def check_sampled(some: Took, every: Took) -> None:
    """What knowing a rater tells is not overstated by a study of some raters."""
    whole = {row["representation"]: row["information_nats"]["value"] for row in every.results["information"]["rows"]}
    for row in some.results["information"]["rows"]:
        low, high = row["joint_low"], row["joint_high"]
        if low is None:
            continue
        value, name = whole[row["representation"]], row["representation"]
        print(f"  {name:>20}: some {row['information_nats']['value']:.4f} [{low:.4f}, {high:.4f}], all {value:.4f} nats")
        if value < low:
            raise SystemExit(f"{name}: {value} nats with all raters are fewer than the lowest of some, {low}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the sizes of the claims")
    asked = parser.parse_args()
    sizes, n_items = ((10_000, 100_000), 20_000) if asked.full else ((60, 600), 200)
    flags, most = ([], 500_000) if asked.full else (QUICK, 6_000)
    took = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for n_raters, what in zip(sizes, ("smaller", "larger"), strict=True):
            file = folder / f"{what}.parquet"
            table = write_ratings(file, n_raters, n_items)
            took.append(studied(file, folder / what, [*flags, "--most-ratings", str(most)]))
            check_counted(took[-1], table, n_items)
            del table
        if asked.full:
            half, file = 500, folder / "both.parquet"
            write_ratings(file, 2 * half, 4 * half)
            some, every = (studied(file, folder / str(n), [*flags, "--most-ratings", str(n * EACH)]) for n in (half, 2 * half))
            check_sampled(some, every)
    names = [f"{n * EACH:,} ratings" for n in sizes]
    memory = {"case": f"peak memory of a study of {names[1]}", "ours": took[1].gigabytes, "peer": took[0].gigabytes}
    times = {"case": f"processor time: {names[1]} beside {names[0]}", "ours": took[1].seconds, "peer": took[0].seconds}
    rows = [
        {**memory, "ratio": took[1].gigabytes / took[0].gigabytes, "unit": "GB", "target": 4.0 if asked.full else None},
        {**times, "ratio": took[1].seconds / took[0].seconds, "unit": "s", "target": 12.0 if asked.full else None},
    ]
    print(json.dumps({"benchmark": "large_study", "rows": rows}))


if __name__ == "__main__":
    main()
