"""Krippendorff's alpha, Fleiss' kappa and friends in plain loops over single pairs of ratings: slow, and easy to believe."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence

Rating = tuple[int, int, int, int]
"""(item, rater, answer, number of the copy): copies of a rating by the same rater are not a pair."""


def distance(level: str, a: int, b: int, totals: Counter[int], values: Sequence[float]) -> float:
    """Krippendorff's squared distance between options a and b; `totals` are the ratings of each option."""
    if level == "nominal":
        return float(a != b)
    if level == "interval":
        return (values[a] - values[b]) ** 2
    low, high = min(a, b), max(a, b)
    return (sum(totals[g] for g in range(low, high + 1)) - (totals[low] + totals[high]) / 2) ** 2


def alpha(ratings: Sequence[Rating], level: str, values: Sequence[float]) -> float:
    """1 - observed / expected disagreement over pairs of ratings, never pairing a rating with its own copy."""
    by_item: dict[int, list[Rating]] = {}
    for rating in ratings:
        by_item.setdefault(rating[0], []).append(rating)
    pairs = {i: [(r, s) for r, s in itertools.permutations(own, 2) if r[1] != s[1]] for i, own in by_item.items()}
    kept = [r for r in ratings if pairs[r[0]]]
    totals = Counter(r[2] for r in kept)
    if len(totals) < 2:
        return math.nan
    observed = 0.0
    for item, own in by_item.items():
        if pairs[item]:
            apart = [distance(level, r[2], s[2], totals, values) for r, s in pairs[item]]
            observed += len(own) * sum(apart) / len(apart)
    expected, n_pairs = 0.0, 0
    for r, s in itertools.product(kept, repeat=2):
        if r[:2] != s[:2]:
            expected += distance(level, r[2], s[2], totals, values)
            n_pairs += 1
    return 1 - (observed / len(kept)) / (expected / n_pairs)


def long_table(item_index: Sequence[int], rater_index: Sequence[int], answers: Sequence[int]) -> list[Rating]:
    return [(int(i), int(r), int(a), 0) for i, r, a in zip(item_index, rater_index, answers, strict=True)]


def with_raters_drawn(ratings: Sequence[Rating], weights: Sequence[int]) -> list[Rating]:
    """Every rater's ratings as often as she was drawn."""
    return [(i, r, a, copy) for i, r, a, _ in ratings for copy in range(int(weights[r]))]


def with_items_drawn(ratings: Sequence[Rating], weights: Sequence[int]) -> list[Rating]:
    """Every item as often as it was drawn; each copy is an item of its own."""
    return [(1000 * i + copy, r, a, 0) for i, r, a, _ in ratings for copy in range(int(weights[i]))]


def fleiss_kappa(counts: Sequence[Sequence[int]]) -> float:
    n_items, n_raters = len(counts), sum(counts[0])
    agreeing = []
    for row in counts:
        answers = [k for k, n in enumerate(row) for _ in range(n)]
        pairs = list(itertools.permutations(range(n_raters), 2))
        agreeing.append(sum(answers[a] == answers[b] for a, b in pairs) / len(pairs))
    shares = [sum(row[k] for row in counts) / (n_items * n_raters) for k in range(len(counts[0]))]
    by_chance = sum(s * s for s in shares)
    return (sum(agreeing) / n_items - by_chance) / (1 - by_chance)


def chance_agreement(counts: Sequence[Sequence[int]]) -> float:
    answers = [(item, k) for item, row in enumerate(counts) for k, n in enumerate(row) for _ in range(n)]
    pairs = [(a, b) for a, b in itertools.permutations(answers, 2) if a[0] != b[0]]
    return sum(a[1] == b[1] for a, b in pairs) / len(pairs)


def pair_agreement(row: Sequence[int]) -> float:
    answers = [k for k, n in enumerate(row) for _ in range(n)]
    pairs = list(itertools.combinations(answers, 2))
    return sum(a == b for a, b in pairs) / len(pairs) if pairs else math.nan


def polarisation(row: Sequence[int], values: Sequence[float]) -> float:
    answers = [values[k] for k, n in enumerate(row) for _ in range(n)]
    if len(answers) < 2:
        return math.nan
    mean = sum(answers) / len(answers)
    variance = sum((a - mean) ** 2 for a in answers) / len(answers)
    return variance / ((max(values) - min(values)) / 2) ** 2


def entropy_nats(row: Sequence[int]) -> float:
    n = sum(row)
    return -sum(k / n * math.log(k / n) for k in row if k) if n else math.nan
