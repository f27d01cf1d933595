"""A whole study: time and peak memory as the number of ratings grows tenfold.

    python benchmarks/study.py          3,000 and 30,000 ratings
    python benchmarks/study.py --full   30,000 and 300,000 ratings

Each study runs in a process of its own, so that its peak memory is its own. There is no peer that does the same work; the
claim is about growth: "ratio" is the larger study's time over the smaller one's, to be at most 10 times as large.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile

CHILD = """
import resource, sys, time
from pluralign.raters.evidence import StudySettings
from pluralign.commands import PAGE
from pluralign.raters.study import run_study
from pluralign.ratings.simulate import Population, simulate
from pluralign.report import write_study_page
from pathlib import Path

n_raters, folder = int(sys.argv[1]), sys.argv[2]
ratings = simulate(Population(n_raters=n_raters), seed=0).ratings
before = time.perf_counter()
findings = run_study(ratings, folder, StudySettings())
write_study_page(findings, Path(folder) / PAGE)
seconds = time.perf_counter() - before
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
print(len(ratings), seconds, peak)
"""
RATINGS_PER_RATER = 40
MEMORY_TARGET_GIB = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="the sizes of the claim")
    sizes = (30_000, 300_000) if parser.parse_args().full else (3_000, 12_000)
    measured = [_study(n // RATINGS_PER_RATER) for n in sizes]
    print(f"{'ratings':>10} {'seconds':>9} {'peak GiB':>9}")
    for n, seconds, peak in measured:
        print(f"{n:>10,} {seconds:>9.1f} {peak:>9.2f}")
    (_, short, _), (n, long, peak) = measured
    rows = [
        {
            "case": f"{sizes[0]:,} to {n:,} ratings",
            "ours": round(long, 2),
            "peer": round(short, 2),
            "ratio": round(long / short, 2),
            "unit": "s",
            "target": "<= 10 (no worse than linear)",
        },
        {
            "case": f"peak memory at {n:,} ratings",
            "ours": round(peak, 2),
            "peer": None,
            "ratio": None,
            "unit": "GiB",
            "target": f"< {MEMORY_TARGET_GIB:g}",
        },
    ]
    print(json.dumps({"benchmark": "study", "rows": rows}))


def _study(n_raters: int) -> tuple[int, float, float]:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(n_raters), folder + "/run"], check=True, capture_output=True, text=True
        )
    n, seconds, peak = done.stdout.split()
    return int(n), float(seconds), float(peak)


if __name__ == "__main__":
    main()
