"""How much does it help to know something about a rater? In nats per rating, from losses on held-out ratings.

Usable information of A about B is the fall of the best held-out loss when the predictor may see A:

    I(A -> B | X) = H(B | nothing, X) - H(B | A, X),      H = mean held-out -log p.

It depends on the family of predictors, may be negative (knowing A made this predictor worse), and is never clipped. Losses
come in a row per rating, the same ratings for all predictors, so differences are paired; raters are resampled.

Sources: Xu et al. 2020, A Theory of Usable Information under Computational Constraints; Ethayarajh et al. 2022;
Sorensen et al. 2025, Value Profiles (arXiv 2503.15484); Phipson & Smyth 2010 (permutation p-values).
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from pluralign.errors import UsageError
from pluralign.estimates import (
    N_RESAMPLES,
    Estimate,
    bootstrap_ratios,
    estimate_from_draws,
    estimate_mean_difference,
    undefined,
    unit_sums,
)
from pluralign.metrics._checks import FloatArray, IntArray, checked_indices

__all__ = [
    "assignment_permutation_test",
    "information_preserved",
    "nats_to_bits",
    "permutation_p_value",
    "usable_information",
]

Number = TypeVar("Number", float, FloatArray)
MAX_CELLS = 4_000_000
"""Numbers held at once by a block of permutations."""


def usable_information(
    loss_nothing: npt.NDArray[Any],
    loss_knowing: npt.NDArray[Any],
    raters: npt.NDArray[Any],
    *,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> Estimate:
    """Mean of `loss_nothing` minus `loss_knowing` [ratings], in nats per rating, with raters [ratings] resampled.

    Positive = knowing helps; may be negative.
    *Undefined when* there are no ratings, one rater, or an infinite loss (a rating that got probability 0).
    Source: Value Profiles, section 3: I(A -> B | C) = H(B | none, C) - H(B | A, C).

    >>> usable_information(np.array([1.0, 1.0]), np.array([0.5, 1.0]), np.array([0, 1])).value
    0.25
    """
    nothing, knowing = _paired([loss_nothing, loss_knowing], raters)
    if why := _infinite(nothing, knowing):
        return undefined(why, n=len(np.unique(raters)), seed=seed)
    return estimate_mean_difference(nothing, knowing, np.asarray(raters), seed=seed, n_resamples=n_resamples)


def information_preserved(
    loss_nothing: npt.NDArray[Any],
    loss_part: npt.NDArray[Any],
    loss_whole: npt.NDArray[Any],
    raters: npt.NDArray[Any],
    *,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> Estimate:
    """I(part) / I(whole): which share of what the whole tells does the part tell? 1 = all of it; not clipped to 0..1.

    Four arrays [ratings]. Numerator and denominator are resampled together, by rater. May exceed 1 or be negative.
    *Undefined when* the interval of the denominator is not wholly above 0 (the reason prints it), or an information is.
    Source: Value Profiles, section 3: I(V(E_N) -> Y | X) / I(E_N -> Y | X).
    """
    nothing, part, whole = _paired([loss_nothing, loss_part, loss_whole], raters)
    _, units = np.unique(raters, return_inverse=True)
    n = int(units.max(initial=-1)) + 1
    if why := _infinite(nothing, part, whole):
        return undefined(why, n=n, seed=seed)
    if n == 0:
        return undefined("no rows", seed=seed)
    sums, counts = unit_sums(np.stack([nothing - part, nothing - whole], axis=1), units, n)
    above, below = sums, np.stack([sums[:, 1], counts], axis=1)  # the ratio asked for, and its denominator a rating
    draws = bootstrap_ratios(above, below, seed=seed, n_resamples=n_resamples)
    denominator = estimate_from_draws(float(sums[:, 1].sum() / counts.sum()), draws[:, 1], n=n, unit="rater", seed=seed)
    if not denominator.is_defined:
        return denominator
    if denominator.low <= 0:
        why = f"the denominator, the information of the whole, is not clearly above 0: {denominator} nats"
        return undefined(why, n=n, seed=seed)
    return estimate_from_draws(float(sums[:, 0].sum() / sums[:, 1].sum()), draws[:, 0], n=n, unit="rater", seed=seed)


def nats_to_bits(nats: Number) -> Number:
    """The same information in bits: divided by ln 2. One number or an array.

    >>> nats_to_bits(math.log(8)).__round__(12)
    3.0
    """
    return nats / math.log(2)


def permutation_p_value(observed: float, permuted: npt.NDArray[Any]) -> float:
    """(1 + number of permuted >= observed) / (1 + number of permutations), in 1/(B+1)..1; for one-sided tests, large = effect.

    Never 0: the observed arrangement is one of the permutations. Values that differ by rounding (1e-12 relative) count as
    equal, since the same numbers added in another order must not look smaller.
    Source: Phipson & Smyth 2010, Permutation P-values Should Never Be Zero.

    >>> permutation_p_value(2.0, np.array([0.0, 1.0, 2.0]))
    0.5
    """
    values = np.asarray(permuted, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all() or not math.isfinite(observed):
        raise UsageError(
            f"a permutation p-value needs finite numbers and at least one permutation; got {observed} and "
            f"{int(np.isfinite(values).sum())} finite of shape {values.shape}."
        )
    return float((1 + (values >= observed - 1e-12 * abs(observed)).sum()) / (len(values) + 1))


def assignment_permutation_test(
    losses: npt.NDArray[Any],
    assigned: npt.NDArray[Any],
    weights: npt.NDArray[Any] | None = None,
    *,
    strata: npt.NDArray[Any] | None = None,
    seed: int = 0,
    n_permutations: int = 1000,
) -> float:
    """p-value of "their own groups predict raters no better than groups handed out at random"; small = groups tell something.

    `losses` [raters, groups]: each rater's held-out loss under every group's predictions; `assigned` [raters]: her group;
    `weights` [raters]: her number of ratings where `losses` are means (left out where they are sums). Statistic: total loss of
    raters under their own group. Null: the assignments are permuted among raters, so group sizes stay; with `strata` [raters]
    (folds, say, whose groups are not the same) only among raters of one stratum.
    Source: Phipson & Smyth 2010 for the p-value; permutation of units, Good 2005.

    >>> own = np.array([[0.0, 1.0]] * 5 + [[1.0, 0.0]] * 5)
    >>> assignment_permutation_test(own, np.repeat([0, 1], 5), n_permutations=99) < 0.05
    True
    """
    table = np.asarray(losses, dtype=np.float64)
    if table.ndim != 2 or not len(table) or not np.isfinite(table).all():
        raise UsageError(
            f"losses: need finite numbers [raters, groups], got shape {table.shape} with {int((~np.isfinite(table)).sum())} "
            "infinite or NaN. Smooth the predictions, or leave those raters out and count them."
        )
    n_raters, n_groups = table.shape
    groups = checked_indices(assigned, "assigned", length=n_raters, below=n_groups)
    if weights is not None:
        table = table * _checked_weights(weights, n_raters)[:, None]
    if n_permutations < 1:
        raise UsageError(f"n_permutations: need at least 1, got {n_permutations}.")
    stratum = np.zeros(n_raters, dtype=np.int64) if strata is None else np.unique(strata, return_inverse=True)[1]
    permuted = np.zeros(n_permutations)
    for s in range(int(stratum.max()) + 1):
        members = stratum == s
        permuted += _permuted_totals(table[members], groups[members], seed + s, n_permutations)
    return permutation_p_value(-_total(table, groups[None, :])[0], -permuted)


def _permuted_totals(table: FloatArray, groups: IntArray, seed: int, n_permutations: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    block = max(1, MAX_CELLS // len(groups))
    totals = []
    for start in range(0, n_permutations, block):
        rows = min(block, n_permutations - start)
        permuted = rng.permuted(np.broadcast_to(groups, (rows, len(groups))), axis=1)
        totals.append(_total(table, permuted))
    return np.concatenate(totals)


def _total(table: FloatArray, groups: IntArray) -> FloatArray:
    """Total loss [permutations] under the assignments [permutations, raters]."""
    return np.asarray(table[np.arange(len(table)), groups].sum(axis=1))


def _checked_weights(weights: npt.NDArray[Any], n_raters: int) -> FloatArray:
    numbers = np.asarray(weights, dtype=np.float64)
    if numbers.shape != (n_raters,) or not (np.isfinite(numbers) & (numbers >= 0)).all():
        raise UsageError(f"weights: need {n_raters} finite numbers >= 0, one a rater; got shape {numbers.shape}.")
    return numbers


def _paired(losses: list[npt.NDArray[Any]], raters: npt.NDArray[Any]) -> list[FloatArray]:
    arrays = [np.asarray(loss, dtype=np.float64) for loss in losses]
    shapes = [a.shape for a in (*arrays, np.asarray(raters))]
    if len(set(shapes)) > 1 or len(shapes[0]) != 1:
        raise UsageError(f"losses and raters must be arrays [ratings] over the same ratings; got shapes {shapes}.")
    if any(np.isnan(a).any() for a in arrays):
        raise UsageError("a loss is NaN; every predictor has to predict every rating before they are compared.")
    return arrays


def _infinite(*losses: FloatArray) -> str | None:
    n_rows = int(np.any([~np.isfinite(loss) for loss in losses], axis=0).sum())
    return f"{n_rows:,} ratings have an infinite loss: a predictor gave them probability 0" if n_rows else None
