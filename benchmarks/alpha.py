"""Claim: Krippendorff's alpha from a long table, at sizes where a matrix raters x items is slow or impossible.

    python benchmarks/alpha.py            small sizes, a few seconds
    python benchmarks/alpha.py --full     300,000 ratings by 2,000 raters of 20,000 items; 10 million ratings of 1 million items

The peer is the `krippendorff` package, in the same process on the same ratings. It takes a dense matrix raters x items or the
counts of each item; it is timed from the long table on (making its matrix included), since that is what people have, with the
matrix made beforehand, and with the counts that pluralign makes. Ours is always timed from the long table on. All values are
compared before anything is timed. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import krippendorff
import numpy as np
import numpy.typing as npt
import scipy.sparse  # noqa: F401  # pluralign imports it when raters are first drawn; that is not what is timed here

from pluralign.metrics import AlphaLevel, item_option_counts, krippendorff_alpha, krippendorff_alpha_estimate

N_OPTIONS = 5
TARGET_RATIO = 20
TARGET_SPARSE_S = 10
LEVELS: tuple[AlphaLevel, ...] = ("nominal", "ordinal", "interval")
VALUES = np.arange(N_OPTIONS, dtype=np.float64)
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LongTable:
    items: IntArray
    raters: IntArray
    answers: IntArray
    n_items: int
    n_raters: int


@dataclass(frozen=True)
class Row:
    case: str
    ours: float
    peer: float | None
    unit: str
    target: float | None
    """Least ratio where there is a peer, most seconds where there is none."""

    @property
    def ratio(self) -> float | None:
        return None if self.peer is None else self.peer / self.ours


def simulate(n_items: int, n_raters: int, n_ratings: int, *, seed: int) -> LongTable:
    """About `n_ratings` distinct (item, rater) pairs at random; answers lean towards the item's own."""
    rng = np.random.default_rng(seed)
    cells = np.unique(rng.integers(0, n_items * n_raters, size=n_ratings))
    items, raters = np.divmod(cells, n_raters)
    order = rng.permutation(len(cells))
    leaning = rng.normal(2.0, 1.0, size=n_items)
    answers = np.clip(np.rint(leaning[items] + rng.normal(0, 1.2, size=len(items))), 0, N_OPTIONS - 1).astype(np.int64)
    return LongTable(items[order], raters[order], answers[order], n_items, n_raters)


def counts_of(table: LongTable) -> IntArray:
    return item_option_counts(table.items, table.answers, n_items=table.n_items, n_options=N_OPTIONS)


def dense(table: LongTable) -> FloatArray:
    matrix = np.full((table.n_raters, table.n_items), np.nan)
    matrix[table.raters, table.items] = table.answers
    return matrix


def ours(table: LongTable, level: AlphaLevel) -> float:
    return krippendorff_alpha(counts_of(table), level, VALUES)


def peer_on_matrix(matrix: FloatArray, level: AlphaLevel) -> float:
    return float(krippendorff.alpha(matrix, value_domain=VALUES, level_of_measurement=level))


def peer_on_counts(counts: IntArray, level: AlphaLevel) -> float:
    return float(krippendorff.alpha(value_counts=counts, value_domain=VALUES, level_of_measurement=level))


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def beside_the_peer(table: LongTable, level: AlphaLevel, repeats: int) -> list[Row]:
    matrix, counts = dense(table), counts_of(table)
    values = [ours(table, level), peer_on_matrix(matrix, level), peer_on_counts(counts, level)]
    if max(values) - min(values) > 1e-9:
        raise SystemExit(f"{level}: ours and the peer's values {values} differ; nothing is timed.")
    mine = median_seconds(lambda: ours(table, level), 3 * repeats)
    peers: list[tuple[str, Callable[[], float], float | None]] = [
        ("peer makes its matrix", lambda: peer_on_matrix(dense(table), level), TARGET_RATIO),
        ("peer's matrix is ready", lambda: peer_on_matrix(matrix, level), TARGET_RATIO),
        ("peer is given our counts", lambda: peer_on_counts(counts, level), None),
    ]
    size = f"{len(table.items):,} ratings, {table.n_raters:,} x {table.n_items:,}, {level}"
    return [Row(f"{size}, {how}", mine, median_seconds(work, repeats), "s", target) for how, work, target in peers]


def too_large_for_a_matrix(table: LongTable, repeats: int) -> Row:
    gibibytes = table.n_items * table.n_raters * 8 / 2**30
    case = f"{len(table.items):,} ratings, {table.n_raters:,} x {table.n_items:,}, ordinal (its matrix: {gibibytes:,.0f} GiB)"
    return Row(case, median_seconds(lambda: ours(table, "ordinal"), repeats), None, "s", TARGET_SPARSE_S)


def interval(table: LongTable, resample: Literal["item", "rater"], n_resamples: int) -> Row:
    """The interval, which the peer does not have."""
    arrays = (table.items, table.raters, table.answers)
    seconds = median_seconds(
        lambda: krippendorff_alpha_estimate(
            *arrays, n_options=N_OPTIONS, level="ordinal", resample=resample, n_resamples=n_resamples
        ),
        1,
    )
    return Row(f"{len(table.items):,} ratings, ordinal, {n_resamples} resamples of {resample}s", seconds, None, "s", None)


def report(rows: list[Row]) -> None:
    width = max(len(row.case) for row in rows)
    print(f"{'case':<{width}} {'ours':>10} {'peer':>10} {'ratio':>8}")
    for row in rows:
        peer = "-" if row.peer is None else f"{row.peer:.4f}"
        ratio = "-" if row.ratio is None else f"{row.ratio:.0f}"
        print(f"{row.case:<{width}} {row.ours:>10.4f} {peer:>10} {ratio:>8}")
    fields = [
        {"case": r.case, "ours": r.ours, "peer": r.peer, "ratio": r.ratio, "unit": r.unit, "target": r.target} for r in rows
    ]
    print(json.dumps({"benchmark": "alpha", "rows": fields}))


def main() -> None:
    parser = argparse.ArgumentParser(description="Alpha from a long table, beside the krippendorff package.")
    parser.add_argument("--full", action="store_true", help="the sizes of the claim (needs about 8 GB and a few minutes)")
    full = parser.parse_args().full
    table = simulate(20_000, 2_000, 300_000, seed=1) if full else simulate(1_000, 400, 30_000, seed=1)
    rows = [row for level in LEVELS for row in beside_the_peer(table, level, repeats=3)]
    rows += [interval(table, "item", 1000 if full else 200), interval(table, "rater", 1000 if full else 200)]
    sparse = simulate(1_000_000, 200_000, 10_000_000, seed=2) if full else simulate(50_000, 10_000, 300_000, seed=2)
    rows += [too_large_for_a_matrix(sparse, repeats=3), interval(sparse, "item", 20), interval(sparse, "rater", 20)]
    report(rows)


if __name__ == "__main__":
    main()
