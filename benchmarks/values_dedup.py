"""Claim: 2,000 candidates are walked down at least 50 times as fast as by the loop over pairs, with the same survivors.

    python benchmarks/values_dedup.py            300 candidates, seconds
    python benchmarks/values_dedup.py --full     2,000 candidates

The plain loop is that of the tests (tests/reference/dedup.py): words are stemmed once, then each candidate is compared with
each kept one. Where the package rouge-score is installed, its own scorer is timed on some pairs of the same words, times all
pairs that the loop looks at. Candidates: one to six words, drawn from 400 by a power law, of three kinds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from pluralign.values.dedup import cosine_keep, rouge_keep, stemmed_words

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from reference.dedup import plain_cosine, plain_rouge, plain_walk

N_WORDS = 400
THRESHOLD = 0.5
TARGET = 50.0


def candidates(n: int, *, seed: int) -> tuple[list[Any], np.ndarray, np.ndarray]:
    """Considerations, their relevance, and vectors that are sums of their words' vectors and noise."""
    rng = np.random.default_rng(seed)
    words = ["".join(rng.choice(list("abcdefghiklmnorstu"), size=rng.integers(3, 10))) for _ in range(N_WORDS)]
    weights = 1 / np.arange(1, N_WORDS + 1)
    drawn = [rng.choice(N_WORDS, size=rng.integers(1, 7), p=weights / weights.sum()) for _ in range(n)]
    kinds = rng.choice(["Value", "Right", "Duty"], size=n)
    texts = [" ".join(words[i] for i in one) for one in drawn]
    leads = {"Value": "", "Right": "Right to ", "Duty": "Duty to "}
    ones = [SimpleNamespace(vrd=kind, text=leads[kind] + text) for kind, text in zip(kinds.tolist(), texts, strict=True)]
    table = rng.normal(size=(N_WORDS, 384))
    vectors = np.stack([table[one].sum(axis=0) for one in drawn]) + rng.normal(0, 0.3, (n, 384))
    return ones, rng.random(n), vectors


def timed(work: Callable[[], Any], repeats: int) -> tuple[Any, float]:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        found = work()
        times.append(time.perf_counter() - start)
    return found, statistics.median(times)


def loop(ones: list[Any], relevance: list[float], n_gram: int | None, *, across: bool) -> tuple[list[int], int]:
    """Survivors of the plain loop, and how many pairs it looked at."""
    words = [stemmed_words(one.text) for one in ones]
    n_pairs = 0

    def too_similar(a: int, b: int) -> bool:
        nonlocal n_pairs
        n_pairs += 1
        return plain_rouge(words[a], words[b], n_gram, "f") > THRESHOLD

    return plain_walk(["" if across else one.vrd for one in ones], relevance, too_similar), n_pairs


def package_s(ones: list[Any], n_pairs: int) -> float | None:
    """What rouge-score would take for so many pairs of ready words, from 2,000 of them; None where it is not installed."""
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ModuleNotFoundError:
        return None
    words = {one.text: list(stemmed_words(one.text)) for one in ones}
    scorer = RougeScorer(["rougeL"], tokenizer=SimpleNamespace(tokenize=words.__getitem__))
    pairs = np.random.default_rng(1).integers(len(ones), size=(2000, 2))
    start = time.perf_counter()
    for a, b in pairs.tolist():
        scorer.score(ones[a].text, ones[b].text)
    return (time.perf_counter() - start) / len(pairs) * n_pairs


def main() -> None:
    parser = argparse.ArgumentParser(description="Walks down by relevance against the loop over pairs.")
    parser.add_argument("--full", action="store_true", help="2,000 candidates")
    full = parser.parse_args().full
    n = 2000 if full else 300
    ones, relevance, vectors = candidates(n, seed=0)
    rows = []

    def report(case: str, ours: float, peer: float, target: float | None, note: str) -> None:
        print(f"  {case:44} {1e3 * ours:9.2f} ms  peer {1e3 * peer:11.1f} ms  {peer / ours:8.1f} x  {note}")
        rows.append({"case": case, "ours": ours, "peer": peer, "ratio": peer / ours, "unit": "s", "target": target})

    print(f"{n:,} candidates, threshold {THRESHOLD} on F")
    for name, n_gram, across in (
        ("ROUGE-L", None, False),
        ("ROUGE-L", None, True),
        ("ROUGE-1", 1, False),
        ("ROUGE-2", 2, False),
    ):
        case = f"{name}, {'across kinds' if across else 'within kinds'}, {n}"
        (plain, n_pairs), peer = timed(
            lambda n_gram=n_gram, across=across: loop(ones, relevance.tolist(), n_gram, across=across), 1
        )
        fast, ours = timed(
            lambda n_gram=n_gram, across=across: rouge_keep(
                ones, relevance, threshold=THRESHOLD, n_gram=n_gram, across_vrd=across
            ),
            7,
        )
        if fast.tolist() != plain:
            raise SystemExit(f"{case}: the survivors are not those of the loop")
        report(case, ours, peer, TARGET if full else None, f"{len(plain)} survive, {n_pairs:,} pairs looked at")
        if n_gram is None and (theirs := package_s(ones, n_pairs)) is not None:
            report(f"{case}, against rouge-score", ours, theirs, TARGET if full else None, "from 2,000 pairs")
    kinds = [one.vrd for one in ones]
    plain, peer = timed(
        lambda: plain_walk(kinds, relevance.tolist(), lambda a, b: plain_cosine(vectors[a], vectors[b]) > THRESHOLD), 1
    )
    fast, ours = timed(lambda: cosine_keep(vectors, ones, relevance, threshold=THRESHOLD), 7)
    if fast.tolist() != plain:
        raise SystemExit("cosine: the survivors are not those of the loop")
    report(
        f"cosine, 384 numbers, within kinds, {n}",
        ours,
        peer,
        TARGET if full else None,
        f"{len(plain)} survive; the peer is one product a pair",
    )
    print(json.dumps({"benchmark": "values_dedup", "rows": rows}))


if __name__ == "__main__":
    main()
