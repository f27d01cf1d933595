"""Claim: Algorithm 2 (choosing K candidates by sweeps) runs at least 50 times as fast as its plain reading in numpy.

    python benchmarks/clusters.py            a small table, seconds
    python benchmarks/clusters.py --full     10,000 raters, 200 candidates, K = 8, and the plain reading in Python's own loops;
                                             then 100,000 raters: time and peak memory, beside their limits

Both read the same table in the same process; the choice and the loss are compared before the time. The plain readings are
those of the tests (tests/reference/clusters.py): for every position and candidate, the minimum over the set anew.
The table: raters of 12 kinds give 12 ratings on 5 options; a candidate is one of the kinds, blurred.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pluralign.raters.clusters import Clusters, cluster_by_swaps, cluster_by_sweeps

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from reference.clusters import plain_python_sweeps, plain_sweeps

K = 8
MOST_S, MOST_GIB = 60.0, 4.0
T = TypeVar("T")


def simulated_losses(n_raters: int, n_candidates: int, *, seed: int) -> npt.NDArray[np.float64]:
    """[raters, candidates] -log p of each rater's 12 ratings under each candidate."""
    rng = np.random.default_rng(seed)
    n_kinds, n_items, n_options, n_ratings = 12, 100, 5, 12
    kinds = rng.normal(0, 1.5, (n_kinds, n_items, n_options))
    candidates = kinds[rng.integers(0, n_kinds, n_candidates)] + rng.normal(0, 0.7, (n_candidates, n_items, n_options))
    log_p = candidates - np.log(np.exp(candidates).sum(axis=2, keepdims=True))
    kind_of = rng.integers(0, n_kinds, n_raters)
    losses = np.zeros((n_raters, n_candidates))
    for _ in range(n_ratings):
        items = rng.integers(0, n_items, n_raters)
        taste = kinds[kind_of, items] + rng.normal(0, 0.7, (n_raters, n_options))
        losses -= log_p[:, items, (taste + rng.gumbel(size=taste.shape)).argmax(axis=1)].T
    return np.ascontiguousarray(losses)


def median_s(work: Callable[[], T], repeats: int) -> tuple[T, float]:
    """What the work returns, and the median of its times in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
    return result, statistics.median(times)


def many_raters(n_raters: int, n_candidates: int, *, is_full: bool) -> list[dict[str, object]]:
    """Time of the slower way, and peak memory of the whole process with the table in it; the peers are the limits."""
    losses = simulated_losses(n_raters, n_candidates, seed=1)
    found, ours_s = median_s(lambda: cluster_by_swaps(losses, K, seed=0), 1)
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{n_raters:,} raters x {n_candidates} candidates: {ours_s:.2f} s, peak {peak_gib:.2f} GiB, loss {found.loss:,.0f}")
    case, rows = f"swaps, 4 starts, {n_raters}x{n_candidates}", []
    for what, ours, limit, unit in (("time", ours_s, MOST_S, "s"), ("peak memory", peak_gib, MOST_GIB, "GiB")):
        measured = {"case": f"{case}: {what} beside its limit", "ours": ours, "peer": limit, "ratio": limit / ours}
        rows.append({**measured, "unit": unit, "target": 1.0 if is_full else None})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Clusters against their plain reading.")
    parser.add_argument("--full", action="store_true", help="the real size; with the pure Python reading it takes minutes")
    full = parser.parse_args().full
    n_raters, n_candidates = (10_000, 200) if full else (2_000, 60)
    losses = simulated_losses(n_raters, n_candidates, seed=0)

    (chosen, loss, _), plain_s = median_s(lambda: plain_sweeps(losses, K), 5 if full else 3)
    as_lists = losses.tolist()
    (chosen_python, _), python_s = median_s(lambda: plain_python_sweeps(as_lists, K), 1)
    ways: list[tuple[str, Callable[[], Clusters], float | None]] = [
        ("sweeps", lambda: cluster_by_sweeps(losses, K), 50.0),
        ("swaps, 1 start", lambda: cluster_by_swaps(losses, K, seed=0, n_starts=1), None),
        ("swaps, 4 starts", lambda: cluster_by_swaps(losses, K, seed=0), None),
    ]
    rows = []
    print(f"{n_raters:,} raters x {n_candidates} candidates, K = {K}; loss of the plain reading {loss:.3f}")
    for name, work, target in ways:
        found, ours_s = median_s(work, 11)
        if found.loss > loss or (name == "sweeps" and not found.chosen.tolist() == chosen == chosen_python):
            raise SystemExit(f"{name}: loss {found.loss} with {found.chosen}, the plain reading has {loss} with {chosen}")
        for peer, peer_s in (("numpy", plain_s), ("python", python_s)):
            ratio = peer_s / ours_s
            times = f"{1e3 * ours_s:8.2f} ms  plain {peer:6} {1e3 * peer_s:10.1f} ms  {ratio:7.1f} x"
            print(f"  {name:16} loss {found.loss:12.3f}  {times}")
            case = f"{name} against plain {peer}, {n_raters}x{n_candidates}"
            rows.append(
                {"case": case, "ours": ours_s, "peer": peer_s, "ratio": ratio, "unit": "s", "target": target if full else None}
            )
    rows += many_raters(*((100_000, 200) if full else (5_000, 60)), is_full=full)
    print(json.dumps({"benchmark": "clusters", "rows": rows}))


if __name__ == "__main__":
    main()
