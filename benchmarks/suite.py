"""The 16 synthetic tasks of the suite drawn and written as parquet: seconds, and memory at its peak.

The three sources that are made of files get made-up files of about their published size (2 million lines of names, 10,000 pairs
of responses, 27 lists), so that all 16 can be built anywhere. Before anything is timed, one process and two must have written
the same bytes. The writer alone is run beside `write_episodes`, which makes every row a dictionary first, on the same episodes;
what is read back must be equal.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pluralign.episodes import read_episodes, write_episodes
from pluralign.files import hash_file
from pluralign.suite import draw
from pluralign.suite.parts import write_parts
from pluralign.suite.sources import babynames, diffuse_distribution, helpsteer

ALL = ("coinflip", "normal", "cards", "poisson", "geometric", "geometric_beta", "binomial", "negative_binomial", "categorical")
ALL += ("multinomial", "hypergeometric", "zipfian", "flight", "diffuse_distribution", "babynames", "helpsteer")
FEW = ("coinflip", "cards", "flight", "helpsteer")
TARGET_S = 60.0
TARGET_GIB = 1.0
Row = dict[str, object]
CHILD = """
import os, resource, sys, time
from pluralign.suite.build import build

out, data, n_processes, *names = sys.argv[1:]
before = time.perf_counter()
build(names, out, data_dir=data, n_processes=int(n_processes))
print(time.perf_counter() - before, sum(os.times()[:4]))
print(*(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
"""


def words(n: int, rng: np.random.Generator) -> list[str]:
    letters = np.array(list("etaoinshrdlu"))
    return ["".join(row) for row in rng.choice(letters, size=(n, 7)).tolist()]


def write_names(folder: Path, n_names: int, rng: np.random.Generator) -> None:
    folder.mkdir()
    names = sorted({word.capitalize() for word in words(n_names, rng)})
    with zipfile.ZipFile(folder / "names.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for year in babynames.YEARS:
            counts = rng.zipf(1.5, size=(2, len(names))) % 10_000 + 5
            lines = [
                f"{name},{sex},{count}"
                for sex, row in zip("FM", counts.tolist(), strict=True)
                for name, count in zip(names, row, strict=True)
            ]
            archive.writestr(f"yob{year}.txt", "\n".join(lines))


def write_judged(folder: Path, n_pairs: int, rng: np.random.Generator) -> None:
    folder.mkdir()
    vocabulary = words(5000, rng)
    text = [" ".join(vocabulary[i] for i in row) for row in rng.integers(5000, size=(3 * n_pairs, 150)).tolist()]
    ratings = rng.integers(5, size=(2 * n_pairs, 5)).tolist()
    with gzip.open(folder / helpsteer.FILE, "wt", compresslevel=1) as file:
        for i in range(2 * n_pairs):
            row = {"prompt": text[i // 2], "response": text[n_pairs + i]} | dict(
                zip(helpsteer.QUALITIES, ratings[i], strict=True)
            )
            file.write(json.dumps(row) + "\n")


def write_lists(folder: Path, rng: np.random.Generator) -> None:
    for file in diffuse_distribution.FILES:
        path = folder / "prompts" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"request": "Name one. Write {it}.", "targets": [f"{{{word}}}" for word in words(52, rng)]}))


def hashes(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in folder.rglob("*.parquet")}


def median_seconds(work: Callable[[], object], repeats: int = 5) -> float:
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def build_apart(names: tuple[str, ...], out: Path, data: Path, n_processes: int) -> tuple[float, float, float]:
    """Seconds, processor seconds, and GiB at the peak of all processes, as if every child had been as large as the largest."""
    arguments = [str(out), str(data), str(n_processes), *names]
    done = subprocess.run([sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, check=True)
    took, worked, own, child = (float(number) for number in done.stdout.split())
    unit = 1 if sys.platform == "darwin" else 1024
    return took, worked, (own + n_processes * child) * unit / 2**30


def build_rows(names: tuple[str, ...], work: Path, data: Path, *, full: bool) -> list[Row]:
    took, worked, gib = build_apart(names, work / "two", data, 2)
    alone, worked_alone, _ = build_apart(names, work / "one", data, 1)
    if hashes(work / "one") != hashes(work / "two") or not hashes(work / "one"):
        raise SystemExit("one process and two wrote different bytes; nothing is reported.")
    manifest = json.loads((work / "two" / "manifest.json").read_text())
    n_outputs = sum(entry["outputs"] for entry in manifest["tasks"].values())
    case = f"{len(names)} tasks, {n_outputs:,} outputs"
    return [
        {
            "case": f"{case}, two processes; the peer is one",
            "ours": took,
            "peer": alone,
            "ratio": alone / took,
            "unit": "s",
            "target": TARGET_S if full else None,
        },
        {
            "case": f"{case}, processor time of the same",
            "ours": worked,
            "peer": worked_alone,
            "ratio": worked_alone / worked,
            "unit": "s",
            "target": None,
        },
        {
            "case": f"{case}, memory of all processes",
            "ours": gib,
            "peer": None,
            "ratio": None,
            "unit": "GiB",
            "target": TARGET_GIB,
        },
    ]


def writer_row(name: str, n_episodes: int, work: Path) -> Row:
    drawn = list(itertools.islice(draw(name), n_episodes))
    (work / name).mkdir()
    took = median_seconds(lambda: write_parts(work / name, "0", drawn))
    peer = median_seconds(lambda: write_episodes(work / "peer.parquet", drawn))
    ours = [episode for path in sorted((work / name).iterdir()) for episode in read_episodes(path)]
    if ours != drawn or read_episodes(work / "peer.parquet") != drawn:
        raise SystemExit("what was read back is not what was written; nothing is reported.")
    case = f"writing {len(drawn)} episodes of {name}; the peer is write_episodes"
    return {"case": case, "ours": took, "peer": peer, "ratio": peer / took, "unit": "s", "target": None}


def report(rows: list[Row]) -> None:
    width = max(len(str(row["case"])) for row in rows)
    print(f"{'case':<{width}} {'ours':>8} {'peer':>8} {'ratio':>6}")
    for row in rows:
        shown = [
            f"{row[key]:>{w}.2f}" if row[key] is not None else " " * w for key, w in (("ours", 8), ("peer", 8), ("ratio", 6))
        ]
        print(f"{row['case']:<{width}} {' '.join(shown)} {row['unit']}")
    print(json.dumps({"benchmark": "suite", "rows": rows}))


def main() -> None:
    parser = argparse.ArgumentParser(description="The synthetic tasks of the suite, drawn and written.")
    parser.add_argument("--full", action="store_true", help="all 16 at published sizes (about two minutes)")
    full = parser.parse_args().full
    with tempfile.TemporaryDirectory() as place:
        work, data = Path(place), Path(place) / "data"
        data.mkdir()
        rng = np.random.default_rng(0)
        write_judged(data / "helpsteer", 10_000 if full else 200, rng)
        if full:
            write_names(data / "babynames", 7000, rng)
            write_lists(data / "diffuse_distributions", rng)
        rows = build_rows(ALL if full else FEW, work, data, full=full)
        rows.append(writer_row("poisson", 200 if full else 20, work))
    report(rows)
    if any(isinstance(row["target"], float) and isinstance(row["ours"], float) and row["ours"] > row["target"] for row in rows):
        raise SystemExit("a target is missed.")


if __name__ == "__main__":
    main()
