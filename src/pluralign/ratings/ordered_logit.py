"""The ordered logit with a rater's own thresholds: how an inner leaning becomes one of the ordered options.

With cut points c_1 < ... < c_{K-1}, leaning u and log-spread s,

    P(option <= k) = F(e^s c_k - u),   F(x) = 1 / (1 + e^-x).

A shift of all thresholds is the same as a shift of u, so u carries it: u = <theta, phi> - shift. One option has
hi = e^s c_k - u, lo = e^s c_{k-1} - u, and since F(hi) - F(lo) = F(hi) F(-lo) (1 - e^-(hi - lo)), its logarithm is a sum of
three concave terms that loses no digits in either tail.

Source: McCullagh 1980, Regression models for ordinal data (proportional odds; the scale model for the spread).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, log_expit

__all__ = ["Curvature", "bounds", "curvature", "log_probability", "option_probabilities"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_FAR = 1e9
"""Stands for infinity beyond the outer options: e^s _FAR - u is far out for any s > -15, and 0 * _FAR stays 0."""


def option_probabilities(leaning: FloatArray, spread: FloatArray, cut_points: FloatArray) -> FloatArray:
    """P(option), [..., options], for leanings u and spreads e^s of one broadcast shape [...].

    >>> option_probabilities(np.array(0.0), np.array(1.0), np.array([0.0])).tolist()
    [0.5, 0.5]
    """
    cumulative = expit(np.asarray(spread)[..., None] * cut_points - np.asarray(leaning)[..., None])
    return np.asarray(np.diff(cumulative, axis=-1, prepend=0.0, append=1.0))


def bounds(options: IntArray, cut_points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The cut points below and above each of these options (positions, from 0): two arrays of their shape."""
    edges = np.concatenate([[-_FAR], cut_points, [_FAR]])
    return edges[options], edges[options + 1]


def log_probability(leaning: FloatArray, spread: FloatArray, below: FloatArray, above: FloatArray) -> FloatArray:
    """log P of the options between cut points `below` and `above`, nats; shapes broadcast."""
    high = spread * above - leaning
    low = spread * below - leaning
    middle = np.log(-np.expm1(-spread * (above - below)))
    return np.asarray(log_expit(high) + log_expit(-low) + middle)


class Curvature(NamedTuple):
    """First and (minus the) second derivatives of `log_probability` in leaning u and log-spread s."""

    by_leaning: FloatArray
    by_log_spread: FloatArray
    leaning_leaning: FloatArray
    leaning_log_spread: FloatArray
    log_spread_log_spread: FloatArray


def curvature(leaning: FloatArray, spread: FloatArray, below: FloatArray, above: FloatArray) -> Curvature:
    """Gradient, and a second derivative that is never indefinite.

    Gauss-Newton: log P is concave in (u, e^s) but not in (u, s); the term from the curvature of e^s itself is left out, so
    the 2 x 2 matrix is positive semi-definite everywhere.
    """
    high, low, gap = spread * above, spread * below, spread * (above - below)
    density_high, density_low = _density(high - leaning), _density(low - leaning)
    share_above, share_below = expit(leaning - high), expit(low - leaning)
    decay = -np.expm1(-gap)
    return Curvature(
        by_leaning=share_below - share_above,
        by_log_spread=share_above * high - share_below * low + gap * np.exp(-gap) / decay,
        leaning_leaning=density_high + density_low,
        leaning_log_spread=-(density_high * high + density_low * low),
        log_spread_log_spread=density_high * high**2 + density_low * low**2 + np.exp(-gap) * (gap / decay) ** 2,
    )


def _density(x: FloatArray) -> FloatArray:
    return np.asarray(expit(x) * expit(-x))
