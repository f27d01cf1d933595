"""How divided the answers to one item are: one number an item, from counts [items, options].

Entropy sees only the shares; polarisation also the order: half at each end of a scale is more divided than half on each of
two neighbours. Van der Eijk's agreement A (2001) and Esteban & Ray's index (1994) are alternatives for ordered scales; the
variance share is used since it is a mean over raters and therefore easy to check by hand.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.metrics._checks import FloatArray, checked_counts, checked_values

__all__ = ["item_entropy_nats", "normalised_entropy", "polarisation"]


def item_entropy_nats(counts: npt.NDArray[Any], *, bias_correction: bool = False) -> FloatArray:
    """Entropy of the answers to each item [items] in nats: 0 = all the same, ln(options) = evenly spread.

    Few ratings show too little of the spread: the plain value is too low by about (options - 1)/(2 ratings).
    `bias_correction` adds (options that occur - 1)/(2 ratings), so that single corrected items can exceed ln(options); they
    are not cut, since their mean would then be too low again.
    *Undefined when* an item has no rating (NaN).
    Source: Shannon 1948; Miller 1955 and Madow 1948 for the correction.

    >>> item_entropy_nats(np.array([[1, 1], [2, 0]])).round(6).tolist()
    [0.693147, 0.0]
    >>> item_entropy_nats(np.array([[1, 1], [2, 0]]), bias_correction=True).round(6).tolist()
    [0.943147, 0.0]
    """
    table = checked_counts(counts)
    n_ratings = np.where(table.sum(axis=1) > 0, table.sum(axis=1), np.nan)
    shares = table / n_ratings[:, None]
    entropy = np.abs((shares * np.log(np.where(table > 0, shares, 1.0))).sum(axis=1))  # abs: -(0) is 0, not -0
    if not bias_correction:
        return np.asarray(entropy)
    return np.asarray(entropy + ((table > 0).sum(axis=1) - 1) / (2 * n_ratings))


def normalised_entropy(counts: npt.NDArray[Any]) -> FloatArray:
    """Entropy of the answers as a share of its maximum ln(options) [items], 0..1: how divided raters are without an order.

    *Undefined when* an item has fewer than two ratings, or the scale one option (NaN).
    Source: Shannon 1948 (evenness, Pielou 1966).

    >>> normalised_entropy(np.array([[1, 1], [2, 0], [1, 0]])).tolist()
    [1.0, 0.0, nan]
    """
    table = checked_counts(counts)
    highest = math.log(table.shape[1]) or math.nan
    return np.asarray(np.where(table.sum(axis=1) >= 2, item_entropy_nats(table) / highest, np.nan))


def polarisation(counts: npt.NDArray[Any], values: npt.NDArray[Any]) -> FloatArray:
    """Variance of the answers as a share of the largest that the scale allows [items]: 0 = all agree, 1 = half at each end.

    `values` [options] are the options' rising numbers (their positions on an ordinal scale). With an odd number of ratings 1
    is not reached exactly (1 - 1/ratings^2 is), since half of them cannot stand at each end.
    *Undefined when* an item has fewer than two ratings, or the scale one option (NaN).
    Source: the largest variance on an interval is (width/2)^2 (Popoviciu 1935); here with the variance divided by n, not n - 1.

    >>> polarisation(np.array([[2, 0, 2], [0, 4, 0]]), np.array([1, 2, 3])).tolist()
    [1.0, 0.0]
    """
    table = checked_counts(counts)
    numbers = checked_values(values, table.shape[1])
    half_width = (numbers[-1] - numbers[0]) / 2 or math.nan
    places = (numbers - numbers[0]) / half_width - 1  # -1..1, so that the largest variance is 1
    n_ratings = np.where(table.sum(axis=1) >= 2, table.sum(axis=1), np.nan)
    means = table @ places / n_ratings
    return np.asarray((table * (places[None, :] - means[:, None]) ** 2).sum(axis=1) / n_ratings)
