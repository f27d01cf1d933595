"""How far apart two distributions over the same options are: one number an item.

All functions take `p` and `q` as arrays [items, options], or [options] for a single distribution, which is repeated beside
many; they return an array [items]. Rows that sum to 1 within 1e-6 (what float32 leaves) are scaled to sum to 1; anything
else that is not a distribution is a UsageError which names its row.

Two names are never mixed: the Jensen-Shannon *divergence* (nats, at most ln 2) and *distance* (its square root).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.metrics._checks import FloatArray, checked_pair, checked_values

__all__ = [
    "hellinger_distance",
    "js_distance",
    "js_divergence_nats",
    "kl_nats",
    "opinionqa_representativeness",
    "simbench_score",
    "total_variation_distance",
    "wasserstein1_distance",
]


def js_divergence_nats(p: npt.NDArray[Any], q: npt.NDArray[Any]) -> FloatArray:
    """Jensen-Shannon divergence [items] in nats: 0 = the same distribution, ln 2 = no option in common. Symmetric.

    Source: Lin 1991, Divergence measures based on the Shannon entropy, with equal weights.

    >>> js_divergence_nats(np.array([1.0, 0.0]), np.array([[1.0, 0.0], [0.0, 1.0]])).round(6).tolist()
    [0.0, 0.693147]
    """
    left, right = checked_pair(p, q)
    return _not_below_zero((_to_mixture_nats(left, right) + _to_mixture_nats(right, left)) / 2)


def js_distance(p: npt.NDArray[Any], q: npt.NDArray[Any]) -> FloatArray:
    """Square root of the Jensen-Shannon divergence in nats [items], 0..sqrt(ln 2) = 0.8326. Symmetric, a metric.

    Source: Endres & Schindelin 2003; the same as scipy's `jensenshannon` with its default base.
    """
    return np.sqrt(js_divergence_nats(p, q))


def kl_nats(p: npt.NDArray[Any], q: npt.NDArray[Any]) -> FloatArray:
    """Kullback-Leibler divergence KL(p || q) [items] in nats: what coding p by q costs beyond the entropy of p. Not symmetric.

    0 = the same; infinity where q is 0 and p is not: that is its value, and nothing is put in its place.
    Source: Kullback & Leibler 1951.

    >>> kl_nats(np.array([0.5, 0.5]), np.array([[0.5, 0.5], [1.0, 0.0]])).tolist()
    [0.0, inf]
    """
    left, right = checked_pair(p, q)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(left > 0, left * (np.log(left) - np.log(right)), 0.0)
    return _not_below_zero(terms.sum(axis=1))


def total_variation_distance(p: npt.NDArray[Any], q: npt.NDArray[Any]) -> FloatArray:
    """Half the sum of absolute differences [items], 0..1: the share of answers that would have to change. Symmetric.

    >>> total_variation_distance(np.array([0.5, 0.5]), np.array([0.75, 0.25])).tolist()
    [0.25]
    """
    left, right = checked_pair(p, q)
    return np.asarray(np.abs(left - right).sum(axis=1) / 2)


def wasserstein1_distance(p: npt.NDArray[Any], q: npt.NDArray[Any], positions: npt.NDArray[Any]) -> FloatArray:
    """Earth mover's distance [items] on an ordered scale, in the unit of `positions` [options], which must rise. Symmetric.

    0 = the same; at most last minus first position, when everybody moves from one end to the other.
    Source: Villani 2009; in one dimension it is the area between the two cumulative distributions.

    >>> wasserstein1_distance(np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0]), np.array([1, 2, 3])).tolist()
    [2.0]
    """
    left, right = checked_pair(p, q)
    gaps = np.diff(checked_values(positions, left.shape[1], "positions"))
    return np.asarray(np.abs(np.cumsum(left - right, axis=1)[:, :-1]) @ gaps)


def hellinger_distance(p: npt.NDArray[Any], q: npt.NDArray[Any]) -> FloatArray:
    """Hellinger distance [items], 0 = the same .. 1 = no option in common. Symmetric, a metric.

    Source: Hellinger 1909, in the normalisation sqrt(1/2 sum (sqrt p - sqrt q)^2).
    """
    left, right = checked_pair(p, q)
    return np.asarray(np.sqrt(((np.sqrt(left) - np.sqrt(right)) ** 2).sum(axis=1) / 2))


def simbench_score(people: npt.NDArray[Any], model: npt.NDArray[Any]) -> FloatArray:
    """100 (1 - TV(people, model) / mean TV(people, uniform)) [items]: 100 = exact, 0 = as far as the uniform guess.

    Negative where the model is further from people than the uniform guess is on average. The denominator is the mean over
    all items given, so the mean of what is returned is the score of the data set.
    *Undefined when* people are uniform on every item (NaN everywhere).
    Source: SimBench (arXiv 2510.17516).
    """
    left, right = checked_pair(people, model)
    uniform = np.full(left.shape[1], 1 / left.shape[1])
    baseline = total_variation_distance(left, uniform).mean() if len(left) else math.nan
    if baseline < 1e-12:  # rounding of 1/K
        return np.full(len(left), math.nan)
    return np.asarray(100 * (1 - total_variation_distance(left, right) / baseline))


def opinionqa_representativeness(people: npt.NDArray[Any], model: npt.NDArray[Any]) -> FloatArray:
    """1 - W1 / (options - 1) [items] on the ordinal positions 0, 1, 2, ...; 1 = the same, 0 = everybody at the other end.

    Higher is better. The measure of the paper is the mean over questions.
    *Undefined when* there is one option only (NaN): nothing can differ.
    Source: Santurkar et al. 2023, Whose Opinions Do Language Models Reflect?, section 3.
    """
    left, right = checked_pair(people, model)
    n_options = left.shape[1]
    if n_options < 2:
        return np.full(len(left), math.nan)
    return np.asarray(1 - wasserstein1_distance(left, right, np.arange(n_options)) / (n_options - 1))


def _to_mixture_nats(p: FloatArray, q: FloatArray) -> FloatArray:
    """KL(p || (p + q)/2) [items]; the ratio is formed as 2p/(p + q), which cannot overflow however small the entries are."""
    both = p + q
    terms = p * np.log(np.divide(2 * p, both, out=np.ones_like(both), where=p > 0))
    return np.asarray(terms.sum(axis=1))


def _not_below_zero(divergence: FloatArray) -> FloatArray:
    """Divergences of nearly equal rows come out as -1e-17: rounding of a number that is never negative, not information."""
    return np.maximum(divergence, 0.0)
