"""Item factors: which raters like an item, learned from the ratings, and expected from the item's text.

    residual of item i by rater r ~ Normal(l_i . f_r, noise)        what is left of a rating without item and rater means
    f_r ~ Normal(0, I)                 what the rater cares about
    l_i ~ Normal(B' x_i, spread)       what the item touches: expected from its text features x, so a new item has factors too

What a text cannot say (or where there is none) the answers of others often do; and where ratings are few, the text does.
Fitted by variational inference, in closed form; missing ratings are missing, not zero. Factors that explain nothing are
shrunk away; how many there are is chosen by how well they predict residuals of training raters who were kept out
(and `mixed` keeps them only where they help the whole model).

Sources: Salakhutdinov & Mnih 2008, Bayesian probabilistic matrix factorisation (here variational: Lim & Teh 2007);
Agarwal & Chen 2009, Regression-based latent factor models (the prior from features).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import NotFittedError
from pluralign.raters.linear_prior import LinearPrior, learn_linear_prior
from pluralign.raters.variational import Beliefs
from pluralign.ratings import Ratings

__all__ = ["RatingFactors"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

SIZES = (1, 2, 4, 8, 16)
ITERATIONS = 20
MIN_EXPLAINED = 1e-3
"""Share of the residual variance below which a factor is dropped."""


class RatingFactors:
    """Up to `max_components` factors, or `n` of them; needs an order among the options, or only two (else there are none).

    After `fit`: `n_` factors fitted, `loadings_` [items of the training table, factors that explain anything], columns of
    mean square 1.
    """

    def __init__(self, max_components: int = 8, *, n: int | None = None, seed: int = 0) -> None:
        self.max_components = max_components
        self.n = n
        self.seed = seed

    def fit(self, ratings: Ratings, x: FloatArray) -> Self:
        """`x` [items, 1 + features]: what an item's factors are expected from; the first column is 1."""
        self.table_ = ratings.items.select("item_id").with_row_index("row")
        self.loadings_ = np.zeros((ratings.n_items, 0))
        self.coefficients_, self.n_ = np.zeros((x.shape[1], 0)), 0
        most = min(self.max_components, len(np.unique(ratings.item_index)) - 1, len(np.unique(ratings.rater_index)) - 1)
        if most < 1 or (ratings.n_options > 2 and not ratings.scale.is_ordered):
            return self
        residual = _double_residual(ratings)
        if residual.std() > 1e-9:
            self.n_ = self._chosen(ratings, residual, x, most) if self.n is None else min(self.n, most)
        if self.n_ == 0:
            return self
        fitted = _fit(ratings, residual, x, self.n_, self.seed)
        loadings, coefficients = _principal(fitted, x)
        size = np.sqrt((loadings**2).mean(axis=0))
        kept = size**2 > MIN_EXPLAINED * residual.var()
        self.loadings_ = loadings[:, kept] / size[kept]
        self.coefficients_ = coefficients[:, kept] / size[kept]
        return self

    def transform(self, items: pl.DataFrame, x: FloatArray) -> FloatArray:
        """[items, factors] of any items: as learned if they were rated in training, else as their features x let expect."""
        if not hasattr(self, "loadings_"):
            raise NotFittedError("RatingFactors: call fit(ratings, x) first.")
        rows = items.select("item_id").join(self.table_, on="item_id", how="left", maintain_order="left")["row"]
        out = np.asarray(x @ self.coefficients_, dtype=np.float64)
        known = rows.is_not_null().to_numpy()
        out[known] = self.loadings_[rows.drop_nulls().to_numpy()]
        return out

    def _chosen(self, ratings: Ratings, residual: FloatArray, x: FloatArray, most: int) -> int:
        """How many factors of four fifths of the raters best predict half of the others' residuals from the other half.

        Judged over the raters kept out; more factors have to gain at least one standard error over fewer, so that noise is not
        taken for structure.
        """
        rng = np.random.default_rng(self.seed)
        raters = np.unique(ratings.rater_index)
        out = np.sort(rng.permutation(raters)[: len(raters) // 5])
        if len(out) < 5:
            return 0
        is_out = np.isin(ratings.rater_index, out)
        rows = np.flatnonzero(is_out)
        given = rng.random(len(rows)) < 0.5
        rater, item, y = np.searchsorted(out, ratings.rater_index[rows]), ratings.item_index[rows], residual[rows]
        best, loss = 0, np.bincount(rater, np.where(given, 0.0, y**2), len(out))
        for n in sorted({n for n in SIZES if n <= most}):
            fitted = _fit(ratings.take(~is_out), residual[~is_out], x, n, self.seed)
            none = np.zeros((len(out), n))
            sums = _sums(rater[given], y[given], fitted.items, item[given], len(out))
            scores = _posterior(sums, none, np.eye(n), fitted.noise)
            missed = y - np.einsum("nf,nf->n", fitted.items.mean[item], scores.mean[rater])
            found = np.bincount(rater, np.where(given, 0.0, missed**2), len(out))
            gain = loss - found
            if gain.sum() > gain.std() * np.sqrt(len(out)):
                best, loss = n, found
        return best


@dataclass(frozen=True, slots=True)
class _Fitted:
    items: Beliefs
    raters: Beliefs
    prior: LinearPrior
    noise: float


def _fit(ratings: Ratings, residual: FloatArray, x: FloatArray, n: int, seed: int) -> _Fitted:
    item, rater = ratings.item_index, ratings.rater_index
    noise, size = float(residual.var()), np.sqrt(0.2 * residual.var() / n)
    rng = np.random.default_rng(seed)
    items = Beliefs(size * rng.standard_normal((ratings.n_items, n)), np.zeros((ratings.n_items, n, n)))
    prior = LinearPrior(np.zeros((x.shape[1], n)), np.eye(x.shape[1]), 0.1, size**2 * np.eye(n))
    rated = np.unique(item)
    for _ in range(ITERATIONS):
        of_raters = _sums(rater, residual, items, item, ratings.n_raters)
        raters = _posterior(of_raters, np.zeros((ratings.n_raters, n)), np.eye(n), noise)
        precision: FloatArray = np.linalg.inv(prior.spread).astype(np.float64)
        of_items = _sums(item, residual, raters, rater, ratings.n_items)
        items = _posterior(of_items, x @ prior.coefficients, precision, noise)
        prior = learn_linear_prior(prior, Beliefs(items.mean[rated], items.cov[rated]), x[rated])
        # E (y - l . f)^2 summed over ratings, from the same sums
        explained = 2 * (of_items.pull * items.mean).sum() - (of_items.gram * _second(items)).sum()
        noise = max(float((residual**2).sum() - explained) / len(residual), 1e-6)
    return _Fitted(items, raters, prior, noise)


@dataclass(frozen=True, slots=True)
class _Sums:
    """Over the residuals of each unit, with f the vector on the other side."""

    gram: FloatArray
    """[units, n, n] sum of E f f'."""
    pull: FloatArray
    """[units, n] sum of y E f."""


def _sums(unit: IntArray, y: FloatArray, other: Beliefs, other_of: IntArray, n_units: int) -> _Sums:
    n = other.mean.shape[1]
    second = np.ascontiguousarray(_second(other).reshape(-1, n * n).T)
    mean = np.ascontiguousarray(other.mean.T)
    gram, pull = np.empty((n_units, n, n)), np.empty((n_units, n))
    for a in range(n):
        pull[:, a] = np.bincount(unit, y * mean[a, other_of], n_units)
        for b in range(a + 1):
            gram[:, a, b] = gram[:, b, a] = np.bincount(unit, second[a * n + b, other_of], n_units)
    return _Sums(gram, pull)


def _second(beliefs: Beliefs) -> FloatArray:
    return beliefs.cov + beliefs.mean[:, :, None] * beliefs.mean[:, None, :]


def _posterior(sums: _Sums, prior_mean: FloatArray, prior_precision: FloatArray, noise: float) -> Beliefs:
    cov: FloatArray = np.linalg.inv(sums.gram / noise + prior_precision).astype(np.float64)
    pull = sums.pull / noise + prior_mean @ prior_precision
    return Beliefs(np.matmul(cov, pull[:, :, None])[:, :, 0], cov)


def _principal(fitted: _Fitted, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Loadings [items, n] and coefficients [features, n], turned so that factors are uncorrelated over raters and items.

    A product l . f is the same under any turn; this one puts the largest factor first and makes its largest loading positive.
    """
    loadings, scores = fitted.items.mean, fitted.raters.mean
    second = scores.T @ scores / len(scores) + fitted.raters.cov.mean(axis=0)
    of_raters = np.linalg.cholesky(second + 1e-12 * np.eye(len(second)))
    _, _, turn = np.linalg.svd(loadings @ of_raters, full_matrices=False)
    turned = loadings @ of_raters @ turn.T
    sign = np.sign(turned[np.abs(turned).argmax(axis=0), np.arange(turned.shape[1])])
    sign = np.where(sign == 0, 1.0, sign)
    return turned * sign, (fitted.prior.coefficients @ of_raters @ turn.T) * sign


def _double_residual(ratings: Ratings) -> FloatArray:
    """Position on the scale [ratings] less the item's and then the rater's mean, both shrunk by two ratings."""
    residual = ratings.rating_index - ratings.rating_index.mean()
    for index, size in ((ratings.item_index, ratings.n_items), (ratings.rater_index, ratings.n_raters)):
        sums, counts = np.bincount(index, residual, size), np.bincount(index, minlength=size)
        residual = residual - (sums / (counts + 2.0))[index]
    return np.asarray(residual, dtype=np.float64)
