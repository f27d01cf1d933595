"""Rating models that need no language model and hardly any statistics: the floors that every other model is held against.

All share the one interface of rating models: `fit(ratings)`, `predict_proba(queries, given=...)`.

    Uniform       every option alike                                    knows nothing
    Marginal      the scale's shares in the training ratings            knows the scale
    PerItem       an item's shares, shrunk to the marginal              knows the item, where items repeat
    PerRater      a rater's given shares, shrunk to the marginal        knows the rater's habits

Shrinkage: shares ~ Dirichlet(s * marginal), with the strength s fitted to the training ratings by maximum likelihood of the
Dirichlet-multinomial, so a unit with m ratings is believed with weight m / (m + s).

Source: Minka 2000, Estimating a Dirichlet distribution (the likelihood).
Departure: its fixed point for the strength creeps where units hardly differ, so the maximum is searched for directly.
"""

from __future__ import annotations

from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from pluralign.errors import DataError, NotFittedError
from pluralign.ratings import Ratings

__all__ = ["Marginal", "PerItem", "PerRater", "RatingModel", "Uniform", "dirichlet_strength"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class RatingModel(Protocol):
    """Learns from ratings; says how probable each option is for other rows."""

    def fit(self, ratings: Ratings) -> Self: ...

    def predict_proba(self, queries: Ratings, *, given: Ratings | None = None) -> FloatArray:
        """[queries, options], rows sum to 1. The rows' own ratings are not looked at; `given` is known of their raters."""
        ...


class Uniform:
    """Every option alike: loss ln(options)."""

    def fit(self, ratings: Ratings) -> Self:
        return self

    def predict_proba(self, queries: Ratings, *, given: Ratings | None = None) -> FloatArray:
        return np.full((len(queries), queries.n_options), 1 / queries.n_options)


class Marginal:
    """The options' shares in the training ratings, each with half a rating added so that none is impossible.

    After `fit`: `shares_` [options].
    """

    def fit(self, ratings: Ratings) -> Self:
        self.shares_ = _marginal(ratings)
        return self

    def predict_proba(self, queries: Ratings, *, given: Ratings | None = None) -> FloatArray:
        _check_fitted(self, "shares_")
        return np.broadcast_to(self.shares_, (len(queries), queries.n_options)).copy()


class PerItem:
    """An item's shares among the training raters, shrunk to the marginal. After `fit`: `shares_`, `strength_`, `table_`."""

    def fit(self, ratings: Ratings) -> Self:
        self.shares_ = _marginal(ratings)
        counts = _counts(ratings.item_index, ratings)
        self.strength_ = dirichlet_strength(counts, self.shares_)
        self.table_ = dict(zip(ratings.item_ids, _shrunk(counts, self.shares_, self.strength_), strict=True))
        return self

    def predict_proba(self, queries: Ratings, *, given: Ratings | None = None) -> FloatArray:
        _check_fitted(self, "table_")
        rows = np.stack([self.table_.get(item, self.shares_) for item in queries.item_ids])
        return np.asarray(rows[queries.item_index], dtype=np.float64)


class PerRater:
    """The shares of the rater's given ratings, shrunk to the marginal; a stranger gets the marginal.

    After `fit`: `shares_` [options], `strength_` in ratings.
    """

    def fit(self, ratings: Ratings) -> Self:
        self.shares_ = _marginal(ratings)
        self.strength_ = dirichlet_strength(_counts(ratings.rater_index, ratings), self.shares_)
        return self

    def predict_proba(self, queries: Ratings, *, given: Ratings | None = None) -> FloatArray:
        _check_fitted(self, "strength_")
        counts = _counts(given.rater_index, given) if given is not None else np.zeros((queries.n_raters, queries.n_options))
        return _shrunk(counts, self.shares_, self.strength_)[queries.rater_index]


def dirichlet_strength(counts: FloatArray, shares: FloatArray) -> float:
    """Maximum-likelihood strength s of counts [units, options] ~ Dirichlet-multinomial(s * shares), within 0.01..10,000.

    Where no unit has two ratings nothing is known of s; it is then 1. At 10,000 the units do not differ beyond chance.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import gammaln

    totals = counts.sum(axis=1)
    used = totals >= 2
    if not used.any():
        return 1.0
    counts, totals = counts[used], totals[used]

    def loss(log_strength: float) -> float:
        strength = np.exp(log_strength)
        alpha = strength * shares
        of_options = (gammaln(counts + alpha) - gammaln(alpha)).sum()
        return -float(of_options + (gammaln(strength) - gammaln(totals + strength)).sum())

    found = minimize_scalar(loss, bounds=(np.log(0.01), np.log(10_000.0)), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def _marginal(ratings: Ratings) -> FloatArray:
    if len(ratings) == 0:
        raise DataError(ratings.name, "no ratings to fit a model on.")
    counts = np.bincount(ratings.rating_index, minlength=ratings.n_options) + 0.5
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def _counts(unit_index: IntArray, ratings: Ratings) -> FloatArray:
    n_units = ratings.n_items if unit_index is ratings.item_index else ratings.n_raters
    flat = unit_index * ratings.n_options + ratings.rating_index
    return np.bincount(flat, minlength=n_units * ratings.n_options).reshape(n_units, -1).astype(np.float64)


def _shrunk(counts: FloatArray, shares: FloatArray, strength: float) -> FloatArray:
    return np.asarray((counts + strength * shares) / (counts.sum(axis=1, keepdims=True) + strength))


def _check_fitted(model: object, attribute: str) -> None:
    if attribute not in vars(model):
        raise NotFittedError(f"{type(model).__name__}: call fit(ratings) first.")
