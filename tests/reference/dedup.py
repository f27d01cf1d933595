"""The walk down by relevance, slow and obvious: every candidate against every kept one, one pair after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Words = Sequence[str]


def plain_walk(kinds: Sequence[str], relevance: Sequence[float], too_similar: Callable[[int, int], bool]) -> list[int]:
    """Kept positions; `too_similar(kept, candidate)` is asked of those of one kind."""
    kept: list[int] = []
    for candidate in sorted(range(len(relevance)), key=lambda i: -relevance[i]):
        if not any(kinds[one] == kinds[candidate] and too_similar(one, candidate) for one in kept):
            kept.append(candidate)
    return kept


def plain_rouge(reference: Words, prediction: Words, n_gram: int | None, score: str) -> float:
    if n_gram is None:
        overlap, n_reference, n_prediction = plain_lcs(reference, prediction), len(reference), len(prediction)
    else:
        a, b = _grams(reference, n_gram), _grams(prediction, n_gram)
        overlap = sum(min(count, b[gram]) for gram, count in a.items())
        n_reference, n_prediction = a.total(), b.total()
    if overlap == 0:
        return 0.0
    precision, recall = overlap / n_prediction, overlap / n_reference
    return {"precision": precision, "recall": recall, "f": 2 * precision * recall / (precision + recall)}[score]


def plain_lcs(a: Words, b: Words) -> int:
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a, 1):
        for j, y in enumerate(b, 1):
            table[i][j] = table[i - 1][j - 1] + 1 if x == y else max(table[i - 1][j], table[i][j - 1])
    return table[-1][-1]


def plain_cosine(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def _grams(words: Words, n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
