"""Krippendorff's alpha with an interval, from resampling the items or the raters of a long table.

The two intervals answer two questions. Resampling items: what would alpha be on other items, rated by people like these?
Resampling raters: what would it be with other people? Both keep the table long; nothing of size items x raters is built.

**The weighted alpha.** A resample gives each item or rater a whole-numbered weight, how often it was drawn. With

    n_ik  weighted number of answers k to item i,      m_i = sum_k n_ik,
    S_i   weighted number of ordered pairs that pair a rating with a copy of itself,

the ordered pairs of answers to item i by *different* people are P_ikl = n_ik n_il - [k=l] S_ik, A_i = m_i^2 - S_i in number.
Only their disagreement is needed, and since d2_kk = 0, S_ik drops out of it:

    D_i = sum_kl n_ik n_il d2_kl / A_i            mean disagreement of a pair of different raters of item i.

In Krippendorff's alpha an item weighs as many ratings as it has, so with the expected disagreement over all pairs of ratings
except a rating with (a copy of) itself, n^2 - S of them (n_k = sum_i n_ik, n = sum_k n_k, S = sum_i S_i),

    alpha = 1 - [sum_i m_i D_i / n] / [sum_kl n_k n_l d2_kl / (n^2 - S)].

All weights 1: S_i = m_i, hence m_i / A_i = 1/(m_i - 1) and (n^2 - S)/n = n - 1, which is Krippendorff's formula.

*Items resampled*: a copy of an item is another item with ratings of its own, so each copy keeps its D_i, S_i = m_i, and
weights only enter the sums over i. *Raters resampled*: n_ik = sum_r w_r [y_ri = k] and S_i = sum_r w_r^2 over the raters of i.
Without the term S a rater drawn twice would agree with her own copy, and every resampled alpha would be too high. An item
whose drawn ratings all come from one rater has A_i = 0 and drops out of its resample, as items with one rating always do.

Sources: Krippendorff 2011; Efron & Tibshirani 1993. *Departures* from Krippendorff's own bootstrap (2004, of pairs of values,
which treats pairs of one rater as independent): whole items or raters are drawn, in line with every other interval here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from pluralign.errors import UsageError, nearest_name
from pluralign.estimates import N_RESAMPLES, Estimate, bootstrap_weights, estimate_from_draws, undefined
from pluralign.metrics._checks import FloatArray, IntArray, checked_indices
from pluralign.metrics.agreement import AlphaLevel, checked_level, item_option_counts, krippendorff_alpha, mid_ranks

__all__ = ["krippendorff_alpha_estimate"]

Alphas = Callable[[FloatArray], FloatArray]
ResampledUnit = Literal["item", "rater"]
MAX_CELLS = 8_000_000
"""Numbers held at once by a block of resamples."""


@dataclass(frozen=True, slots=True)
class _Pairable:
    """The ratings of items with at least two ratings, items and raters numbered without gaps."""

    items: IntArray
    raters: IntArray
    answers: IntArray
    counts: IntArray
    """[items, options]"""
    level: AlphaLevel
    values: FloatArray | None


def krippendorff_alpha_estimate(
    item_index: npt.NDArray[Any],
    rater_index: npt.NDArray[Any],
    rating_index: npt.NDArray[Any],
    *,
    n_options: int,
    level: AlphaLevel = "nominal",
    values: npt.NDArray[Any] | None = None,
    resample: ResampledUnit = "item",
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> Estimate:
    """`krippendorff_alpha` of a long table (three arrays [ratings] of whole numbers), with a 95 % percentile interval.

    `resample` says what is drawn: "item" or "rater"; `n` counts those with a rating on an item that has at least two. An
    (item, rater) pair may occur once only when raters are drawn (UsageError else).
    *Undefined when* no item has two ratings, only one option occurs, or fewer than two units are there.
    Time: about (ratings x resamples) / 10^8 seconds when raters are drawn, (items x options x resamples) / 10^8 for items.

    >>> items, raters = np.repeat(np.arange(20), 2), np.tile([0, 1], 20)
    >>> answers = np.array([0, 0, 1, 1] * 8 + [0, 1] * 4)  # the two raters agree on 16 of 20 items
    >>> print(krippendorff_alpha_estimate(items, raters, answers, n_options=2))
    0.610 [0.212, 0.902]
    """
    if resample not in get_args(ResampledUnit):
        raise UsageError(f"resample: {nearest_name(str(resample), get_args(ResampledUnit))}")
    answers = checked_indices(rating_index, "rating_index", length=len(rating_index), below=n_options)
    items = checked_indices(item_index, "item_index", length=len(answers))
    raters = checked_indices(rater_index, "rater_index", length=len(answers))
    table = _pairable(items, raters, answers, level, checked_level(level, values, n_options), n_options)
    n = len(table.counts) if resample == "item" else int(table.raters.max(initial=-1)) + 1
    if len(table.counts) == 0:
        return undefined("no item has two ratings, so there is no pair to compare", n=n, unit=resample, seed=seed)
    if (table.counts.sum(axis=0) > 0).sum() < 2:
        why = "only one option occurs among items with two ratings, so no disagreement is to be expected"
        return undefined(why, n=n, unit=resample, seed=seed)
    alphas = _by_item(table) if resample == "item" else _by_rater(table)
    # A block of resamples holds its weights, or the answers of every item, about four times over.
    block = max(1, MAX_CELLS // 4 // max(n, table.counts.size if resample == "rater" else 0))
    blocks = bootstrap_weights(n, seed=seed, n_resamples=n_resamples, max_cells=block * n)
    draws = np.concatenate([alphas(weights) for weights in blocks])
    value = krippendorff_alpha(table.counts, level, values)
    return estimate_from_draws(value, draws, n=n, unit=resample, seed=seed)


def _pairable(
    items: IntArray, raters: IntArray, answers: IntArray, level: AlphaLevel, values: FloatArray | None, n_options: int
) -> _Pairable:
    kept = np.bincount(items)[items] >= 2 if len(items) else np.zeros(0, dtype=np.bool_)
    _, item_numbers = np.unique(items[kept], return_inverse=True)
    _, rater_numbers = np.unique(raters[kept], return_inverse=True)
    n_items = int(item_numbers.max(initial=-1)) + 1
    counts = item_option_counts(item_numbers, answers[kept], n_items=n_items, n_options=n_options)
    return _Pairable(item_numbers, rater_numbers, answers[kept], counts, level, values)


def _by_item(table: _Pairable) -> Alphas:
    """Alphas [resamples] of weights [resamples, items]."""
    counts = table.counts.astype(np.float64)
    n_ratings = counts.sum(axis=1)
    per_pair = 1 / (n_ratings - 1)
    split = per_pair * (n_ratings**2 - (counts**2).sum(axis=1))  # m_i D_i of a nominal scale, whatever the resample

    def alphas(weights: FloatArray) -> FloatArray:
        totals = weights @ counts
        places = _places(table, totals)
        if places is None:
            observed = weights @ split
        else:
            # sum_kl n_ik n_il (x_k - x_l)^2 = 2 (m_i sum_k n_ik x_k^2 - (sum_k n_ik x_k)^2): no matrix of options is needed.
            sums_squared = (places @ counts.T) ** 2  # [resamples or 1, items]
            squares = (places**2 * (weights @ (counts * (per_pair * n_ratings)[:, None]))).sum(axis=1)
            observed = 2 * (squares - (weights * per_pair * sums_squared).sum(axis=1))
        return _alpha(observed, totals, totals.sum(axis=1), places)

    return alphas


def _by_rater(table: _Pairable) -> Alphas:
    """Alphas [resamples] of weights [resamples, raters]."""
    (n_items, n_options), n_raters = table.counts.shape, int(table.raters.max()) + 1
    ratings_by = _incidence(table.items, table.raters, n_items, n_raters)
    if ratings_by.nnz < len(table.items):
        n_repeats = len(table.items) - ratings_by.nnz
        raise UsageError(f"{n_repeats:,} ratings repeat an (item, rater) pair; keep one of each before drawing raters.")
    answers_by = _incidence(table.items * n_options + table.answers, table.raters, n_items * n_options, n_raters)

    def alphas(weights: FloatArray) -> FloatArray:
        drawn = np.ascontiguousarray(weights.T)
        counts = (answers_by @ drawn).reshape(n_items, n_options, -1)  # n_ik [items, options, resamples]
        n_ratings = counts.sum(axis=1)
        self_pairs = ratings_by @ drawn**2  # S_i [items, resamples]
        pairs = n_ratings**2 - self_pairs
        usable = pairs > 0
        counts *= usable[:, None, :]
        totals = counts.sum(axis=0).T
        places = _places(table, totals)
        if places is None:
            split = n_ratings**2 - np.einsum("ikb,ikb->ib", counts, counts)
        else:
            by_resample = np.broadcast_to(places, totals.shape)
            squares = np.einsum("ikb,bk->ib", counts, by_resample**2)
            split = 2 * (n_ratings * squares - np.einsum("ikb,bk->ib", counts, by_resample) ** 2)
        per_pair = np.divide(n_ratings, pairs, out=np.zeros_like(pairs), where=usable)
        return _alpha((per_pair * split).sum(axis=0), totals, (self_pairs * usable).sum(axis=0), places)

    return alphas


def _incidence(rows: IntArray, raters: IntArray, n_rows: int, n_raters: int) -> Any:
    """Sparse matrix [rows, raters], 1 where the rater gave it; repeats are added up. `Any`: scipy is imported only here."""
    from scipy.sparse import csr_array

    return csr_array((np.ones(len(rows)), (rows, raters)), shape=(n_rows, n_raters))


def _places(table: _Pairable, totals: FloatArray) -> FloatArray | None:
    """x with d2_kl = (x_k - x_l)^2: ranks [resamples, options], or values [1, options]; None for a nominal scale."""
    if table.values is None or table.level != "ordinal":
        return table.values if table.values is None else table.values[None, :]
    with np.errstate(invalid="ignore"):  # a resample without any pair has no ranks and no alpha
        return mid_ranks(totals)


def _alpha(observed: FloatArray, totals: FloatArray, self_pairs: FloatArray, places: FloatArray | None) -> FloatArray:
    """alpha [resamples] from sum_i m_i D_i, n_k [resamples, options] and S; NaN where fewer than two options were drawn."""
    n = totals.sum(axis=1)
    if places is None:
        expected = n**2 - (totals**2).sum(axis=1)
    else:
        expected = 2 * (n * (totals * places**2).sum(axis=1) - (totals * places).sum(axis=1) ** 2)
    defined = (totals > 0).sum(axis=1) >= 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(defined, 1 - observed / n * (n**2 - self_pairs) / expected, math.nan))
