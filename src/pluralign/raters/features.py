"""Item features: numbers about an item's text, or about who has answered it how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import DataError, NotFittedError
from pluralign.ratings import Ratings

__all__ = ["GivenFeatures", "ItemFeatures", "NoFeatures", "RatingFactors", "TextFeatures", "choose_n_factors"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class ItemFeatures(Protocol):
    """Learned from training ratings, then given for any items."""

    def fit(self, ratings: Ratings) -> Self: ...

    def transform(self, items: pl.DataFrame) -> FloatArray:
        """[items, features], finite; rows in the order of `items`."""
        ...


class NoFeatures:
    """Nothing is known of an item but its id."""

    def fit(self, ratings: Ratings) -> Self:
        return self

    def transform(self, items: pl.DataFrame) -> FloatArray:
        return np.zeros((items.height, 0))


@dataclass(frozen=True)
class GivenFeatures:
    """Features that the user brings (an embedding, say): `table` has `item_id` and numeric columns."""

    table: pl.DataFrame

    def fit(self, ratings: Ratings) -> Self:
        return self

    def transform(self, items: pl.DataFrame) -> FloatArray:
        """Raises DataError for items that the table does not have, or that have no finite number."""
        columns = [c for c in self.table.columns if c != "item_id"]
        joined = items.select("item_id").join(self.table, on="item_id", how="left", maintain_order="left")
        values = joined.select(columns).to_numpy().astype(np.float64)
        bad = ~np.isfinite(values).all(axis=1)
        if bad.any():
            first = joined["item_id"][int(bad.argmax())]
            raise DataError("item features", f"{int(bad.sum()):,} items have no finite features, e.g. {first!r}.")
        return values


class TextFeatures:
    """TF-IDF of words and of character 3- to 5-grams, reduced by SVD to `n_components`, each with unit variance.

    Character n-grams carry languages without spaces, spelling and emoji; words carry topics. Items without text have
    features 0, the average.
    """

    def __init__(self, n_components: int = 32, *, max_terms: int = 20_000, seed: int = 0) -> None:
        self.n_components = n_components
        self.max_terms = max_terms
        self.seed = seed

    def fit(self, ratings: Ratings) -> Self:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import make_pipeline, make_union

        rated = np.unique(ratings.item_index)
        texts = [t for t in _texts(ratings.items[rated]) if t]
        self.pipeline_ = None
        if len(set(texts)) < 3:
            return self
        words = TfidfVectorizer(sublinear_tf=True, max_features=self.max_terms, token_pattern=r"(?u)\b\w+\b")
        characters = TfidfVectorizer(sublinear_tf=True, max_features=self.max_terms, analyzer="char_wb", ngram_range=(3, 5))
        vectors = make_union(words, characters)
        n_terms = vectors.fit_transform(texts).shape[1]
        n = min(self.n_components, len(texts) - 1, n_terms - 1)
        self.pipeline_ = make_pipeline(vectors, TruncatedSVD(n, random_state=self.seed)) if n >= 1 else None
        if self.pipeline_ is not None:
            fitted = self.pipeline_.fit_transform(texts)
            self.mean_ = fitted.mean(axis=0)
            self.scale_ = np.where(fitted.std(axis=0) > 1e-9, fitted.std(axis=0), 1.0)
        return self

    def transform(self, items: pl.DataFrame) -> FloatArray:
        if not hasattr(self, "pipeline_"):
            raise NotFittedError("TextFeatures: call fit(ratings) first.")
        if self.pipeline_ is None:
            return np.zeros((items.height, 0))
        texts = _texts(items)
        out = (self.pipeline_.transform(texts) - self.mean_) / self.scale_
        out[[not t for t in texts]] = 0.0
        return np.asarray(out, dtype=np.float64)


class RatingFactors:
    """Which raters like an item: loadings of the leading factors of the (item x rater) table of training ratings.

    Each rating, less its item's and its rater's shrunken mean; absent ratings 0; truncated SVD. An item that was not rated in
    training has features 0. What a text cannot say (or where there is none) the answers of others often do; where raters are
    few or sparse the factors are noise, so their number is chosen by how well they predict the residuals of training raters
    who were kept out of the SVD (`choose_n_factors`). Needs an order among the options, or only two of them.
    """

    def __init__(self, max_components: int = 8, *, seed: int = 0) -> None:
        self.max_components = max_components
        self.seed = seed

    def fit(self, ratings: Ratings) -> Self:
        self.table_ = ratings.items.select("item_id").with_row_index("row")
        self.loadings_ = np.zeros((ratings.n_items, 0))
        if ratings.n_options > 2 and not ratings.scale.is_ordered:
            return self
        residual = _double_residual(ratings)
        n = choose_n_factors(ratings, residual, self.max_components, seed=self.seed)
        if n:
            self.loadings_ = _loadings(ratings, residual, n, self.seed)
        return self

    def transform(self, items: pl.DataFrame) -> FloatArray:
        if not hasattr(self, "loadings_"):
            raise NotFittedError("RatingFactors: call fit(ratings) first.")
        rows = items.select("item_id").join(self.table_, on="item_id", how="left", maintain_order="left")["row"]
        known = rows.is_not_null().to_numpy()
        out = np.zeros((items.height, self.loadings_.shape[1]))
        out[known] = self.loadings_[rows.drop_nulls().to_numpy()]
        return out


def choose_n_factors(ratings: Ratings, residual: FloatArray, most: int, *, seed: int) -> int:
    """How many factors (0, 1, 2, 4, ... `most`) best predict residuals of a fifth of the raters, kept out of the SVD.

    Half of such a rater's residuals give her scores by ridge regression, the other half are predicted; the smallest number
    within one standard error (over raters) of the best wins, so that noise is not taken for structure.
    """
    rated = np.unique(ratings.rater_index)
    rng = np.random.default_rng(seed)
    out = rng.permutation(rated)[: len(rated) // 5]
    sizes = [n for n in (1, 2, 4, 8, 16) if n <= min(most, ratings.n_items - 1, len(rated) - len(out) - 1)]
    if not sizes or len(out) < 5:
        return 0
    is_out = np.isin(ratings.rater_index, out)
    inside, rows = ratings.take(~is_out), np.flatnonzero(is_out)
    loadings = _loadings(inside, residual[~is_out], sizes[-1], seed)
    is_given = rng.random(len(rows)) < 0.5
    index = np.searchsorted(np.sort(out), ratings.rater_index[rows])
    z, y = loadings[ratings.item_index[rows]], residual[rows]
    losses = [np.bincount(index, np.where(is_given, 0.0, y**2), len(out))]
    for n in sizes:
        scores = _ridge_scores(z[is_given, :n], y[is_given], index[is_given], len(out))
        missed = (y - (z[:, :n] * scores[index]).sum(axis=1)) ** 2
        losses.append(np.bincount(index, np.where(is_given, 0.0, missed), len(out)))
    totals = np.array([loss.sum() for loss in losses])
    best = int(totals.argmin())
    for smaller in range(best):
        excess = losses[smaller] - losses[best]
        if excess.sum() <= excess.std() * np.sqrt(len(out)):
            return ([0, *sizes])[smaller]
    return ([0, *sizes])[best]


def _ridge_scores(z: FloatArray, y: FloatArray, unit: IntArray, n_units: int) -> FloatArray:
    """Each unit's coefficients of y on z [units, features] by ridge regression, with the prior variance of y's own size."""
    d = z.shape[1]
    gram = np.stack([np.bincount(unit, z[:, i] * z[:, j], n_units) for i in range(d) for j in range(d)], axis=1)
    pull = np.stack([np.bincount(unit, z[:, i] * y, n_units) for i in range(d)], axis=1)
    ridge = 4.0 * d * np.eye(d)  # factors are taken to explain about a fifth of the variance between them
    return np.linalg.solve(gram.reshape(-1, d, d) + ridge, pull[:, :, None])[:, :, 0]


def _double_residual(ratings: Ratings) -> FloatArray:
    residual = ratings.rating_index - ratings.rating_index.mean()
    for index, size in ((ratings.item_index, ratings.n_items), (ratings.rater_index, ratings.n_raters)):
        sums, counts = np.bincount(index, residual, size), np.bincount(index, minlength=size)
        residual = residual - (sums / (counts + 2.0))[index]
    return np.asarray(residual, dtype=np.float64)


def _loadings(ratings: Ratings, residual: FloatArray, n: int, seed: int) -> FloatArray:
    """[items, n], columns of mean square 1 over the items."""
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import svds

    shape = (ratings.n_items, ratings.n_raters)
    matrix = csr_array((residual, (ratings.item_index, ratings.rater_index)), shape=shape)
    u, s, _ = svds(matrix, k=n, rng=np.random.default_rng(seed))
    loadings = np.asarray((u * s)[:, ::-1], dtype=np.float64)
    # The sign of a singular vector is arbitrary: the entry of largest size is made positive.
    loadings *= np.sign(loadings[np.abs(loadings).argmax(axis=0), np.arange(n)])
    spread = np.sqrt((loadings**2).mean(axis=0))
    return loadings / np.where(spread > 1e-9, spread, 1.0)


def _texts(items: pl.DataFrame) -> list[str]:
    columns = [c for c in items.columns if c != "item_id"]
    if not columns:
        return [""] * items.height
    joined = items.select(pl.concat_str([pl.col(c).cast(pl.String).fill_null("") for c in columns], separator=" \n "))
    return [t.strip() for t in joined.to_series().to_list()]
