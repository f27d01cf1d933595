"""Do raters of the same item agree, beyond what the shares of the options alone would give?

Ratings come as a long table (item, rater, answer) and most people rate few of the items, so nothing here ever builds a matrix
items x raters: one `bincount` gives the answers of every item, and all else follows from these counts [items, options]. The
interval of alpha, which needs to know the raters, is in `alpha_intervals`.

Sources: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability; Krippendorff 2019, Content Analysis, chapter 12;
Fleiss 1971; Davies & Fleiss 1982 (chance agreement from pairs across items).
"""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from pluralign.errors import UsageError, nearest_name
from pluralign.metrics._checks import FloatArray, IntArray, checked_counts, checked_indices, checked_values

__all__ = [
    "AlphaLevel",
    "chance_agreement",
    "checked_level",
    "coincidence_matrix",
    "fleiss_kappa",
    "item_option_counts",
    "krippendorff_alpha",
    "mid_ranks",
    "pair_agreement",
]

AlphaLevel = Literal["nominal", "ordinal", "interval"]


def item_option_counts(
    item_index: npt.NDArray[Any], rating_index: npt.NDArray[Any], *, n_items: int, n_options: int
) -> IntArray:
    """How often each option was given to each item [items, options], from two arrays [ratings]. Memory: items x options.

    >>> item_option_counts(np.array([0, 0, 1]), np.array([1, 1, 0]), n_items=2, n_options=2).tolist()
    [[0, 2], [1, 0]]
    """
    items = checked_indices(item_index, "item_index", length=len(item_index), below=n_items)
    answers = checked_indices(rating_index, "rating_index", length=len(items), below=n_options)
    return np.bincount(items * n_options + answers, minlength=n_items * n_options).reshape(n_items, n_options)


def coincidence_matrix(counts: npt.NDArray[Any]) -> FloatArray:
    """Ordered pairs of answers to the same item [options, options], each item's pairs divided by (its ratings - 1).

    Symmetric; row c sums to the number of ratings c on items with at least two ratings; other items have no pair.
    Source: Krippendorff 2011, step 2: o_ck = sum_u (n_uc n_uk - [c=k] n_uc) / (m_u - 1).

    >>> coincidence_matrix(np.array([[1, 1], [0, 1]])).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    table = checked_counts(counts)
    n_ratings = table.sum(axis=1)
    pairable = table[n_ratings >= 2]
    per_pair = 1 / (n_ratings[n_ratings >= 2] - 1)
    return np.asarray(pairable.T @ (pairable * per_pair[:, None]) - np.diag(per_pair @ pairable))


def krippendorff_alpha(
    counts: npt.NDArray[Any], level: AlphaLevel = "nominal", values: npt.NDArray[Any] | None = None
) -> float:
    """Krippendorff's alpha: 1 = all agree, 0 = as raters who answer by chance, negative = less than chance; at most 1.

    `counts` [items, options] as from `item_option_counts`; missing ratings are simply not counted. Options stand in order when
    `level` is ordinal; `values` [options] are their rising numbers when it is interval (and are ignored otherwise).
    *Undefined when* no item has two ratings, or only one option occurs among items that do (NaN): there is no disagreement
    to expect, so none to compare with.
    Source: Krippendorff 2011: alpha = 1 - (n - 1) sum o_ck d2_ck / sum n_c n_k d2_ck.

    >>> krippendorff_alpha(np.array([[2, 0], [0, 2]]))
    1.0
    """
    coincidences = coincidence_matrix(counts)
    checked = checked_level(level, values, len(coincidences))
    totals = coincidences.sum(axis=1)
    if (totals > 0).sum() < 2:
        return math.nan
    if checked is None:
        apart = 1 - np.eye(len(totals))
    else:
        places = mid_ranks(totals) if level == "ordinal" else checked
        apart = (places[:, None] - places[None, :]) ** 2
    observed = (coincidences * apart).sum()
    expected = (np.outer(totals, totals) * apart).sum()
    return float(1 - (totals.sum() - 1) * observed / expected)


def fleiss_kappa(counts: npt.NDArray[Any]) -> float:
    """Fleiss' kappa of `counts` [items, options]: 1 = all agree, 0 = chance; at most 1.

    Needs the same number of ratings for every item (UsageError else).
    *Undefined when* items have fewer than two ratings, there are no items, or only one option occurs (NaN).
    Source: Fleiss 1971, equations 2 to 7.

    >>> fleiss_kappa(np.array([[2, 0], [0, 2], [1, 1]])).__round__(6)
    0.333333
    """
    table = checked_counts(counts)
    n_ratings = table.sum(axis=1)
    if len(table) and n_ratings.min() != n_ratings.max():
        raise UsageError(
            f"fleiss_kappa: items have {n_ratings.min():.0f} to {n_ratings.max():.0f} ratings; the formula needs "
            "the same number for all. Use krippendorff_alpha, which takes any numbers."
        )
    if len(table) == 0 or n_ratings[0] < 2 or (table.sum(axis=0) > 0).sum() < 2:
        return math.nan
    shares = table.sum(axis=0) / table.sum()
    by_chance = float(shares @ shares)
    return float((pair_agreement(table).mean() - by_chance) / (1 - by_chance))


def pair_agreement(counts: npt.NDArray[Any]) -> FloatArray:
    """Share of the pairs of raters of an item who give the same answer [items], 0..1; unbiased for two new raters.

    *Undefined when* an item has fewer than two ratings (NaN).
    Source: Fleiss 1971, equation 2 (his P_i).

    >>> pair_agreement(np.array([[2, 1], [1, 0]])).round(6).tolist()
    [0.333333, nan]
    """
    table = checked_counts(counts)
    n_ratings = table.sum(axis=1)
    pairs = np.where(n_ratings >= 2, n_ratings * (n_ratings - 1), np.nan)
    return np.asarray((table * (table - 1)).sum(axis=1) / pairs)


def chance_agreement(counts: npt.NDArray[Any]) -> float:
    """Probability that two ratings of *different* items are the same, 0..1: the floor for `pair_agreement`.

    Every pair of ratings of two items weighs the same.
    *Undefined when* fewer than two items have a rating (NaN).
    Source: the pairs across items of Davies & Fleiss 1982.

    >>> chance_agreement(np.array([[2, 0], [1, 1]]))
    0.5
    """
    table = checked_counts(counts)
    n_ratings, totals = table.sum(axis=1), table.sum(axis=0)
    pairs = n_ratings.sum() ** 2 - n_ratings @ n_ratings
    return float((totals @ totals - (table * table).sum()) / pairs) if pairs > 0 else math.nan


def mid_ranks(totals: FloatArray) -> FloatArray:
    """Place of each option among all ratings [..., options], so that alpha's ordinal distance is a difference of places.

    Krippendorff's ordinal distance between c < k is sum_{g=c..k} n_g - (n_c + n_k)/2, which telescopes to R_k - R_c with
    R_c = sum_{g<c} n_g + n_c/2. Scaled to -1/2..1/2 (alpha does not depend on the scale; small numbers keep precision).
    """
    return np.asarray((np.cumsum(totals, axis=-1) - totals / 2) / totals.sum(axis=-1, keepdims=True) - 0.5)


def checked_level(level: str, values: npt.NDArray[Any] | None, n_options: int) -> FloatArray | None:
    """The options' numbers [options], centred; positions for an ordinal scale, None for a nominal one; UsageError else."""
    if level not in get_args(AlphaLevel):
        raise UsageError(f"level: {nearest_name(str(level), get_args(AlphaLevel))}")
    if level == "nominal":
        return None
    if level == "interval" and values is None:
        raise UsageError("level 'interval' needs values=, one number an option; without numbers use 'ordinal'.")
    numbers = checked_values(np.arange(n_options) if level == "ordinal" or values is None else values, n_options)
    return np.asarray(numbers - numbers.mean())  # distances stay; large numbers such as years lose no digits when squared
