"""Measures of generations the slow way: all subsets, all orders, all sequences of draws."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

__all__ = ["distinct_k", "distinct_moments", "pair_collision", "utility_k"]


def distinct_k(classes: Sequence[int | None], k: int) -> float:
    """Mean number of classes over all subsets of k generations; None is a generation of no class."""
    sizes = [len({one for one in some if one is not None}) for some in itertools.combinations(classes, k)]
    return sum(sizes) / len(sizes)


def utility_k(generations: Sequence[tuple[int, float]], k: int, patience: float) -> float:
    """Mean over all orders of the first k generations (class, quality)."""
    totals = []
    for order in itertools.permutations(generations, k):
        seen: set[int] = set()
        total = 0.0
        for place, (number, quality) in enumerate(order):
            if number not in seen:
                total += patience**place * quality
            seen.add(number)
        totals.append(total * (1 - patience) / (1 - patience**k))
    return sum(totals) / len(totals)


def pair_collision(classes: Sequence[int]) -> float:
    """Share of pairs of generations in one class."""
    same = [a == b for a, b in itertools.combinations(classes, 2)]
    return sum(same) / len(same)


def distinct_moments(law: Sequence[float], n: int) -> tuple[float, float]:
    """Mean and variance of the number of classes among n draws, over all sequences; what is missing to 1 is no class."""
    outcomes = [*enumerate(law), (None, 1 - sum(law))]
    mean = square = 0.0
    for drawn in itertools.product(outcomes, repeat=n):
        p = math.prod(probability for _, probability in drawn)
        found = len({number for number, _ in drawn if number is not None})
        mean, square = mean + p * found, square + p * found**2
    return mean, square - mean**2
