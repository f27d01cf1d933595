"""Item features: numbers about an item. (`factors` has those about who has answered it how.)"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import DataError, NotFittedError, UsageError
from pluralign.ratings import Ratings

__all__ = ["GivenFeatures", "ItemFeatures", "NoFeatures", "SentenceFeatures", "TextFeatures"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class ItemFeatures(Protocol):
    """Learned from training ratings, then given for any items."""

    def fit(self, ratings: Ratings) -> ItemFeatures:
        """What transforms items from now on (often the object itself)."""
        ...

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
    """Features that the user brings (an embedding, say): `table` has `item_id`, once each, and numeric columns.

    Once fitted, each has unit variance over the training items, so that the unit it came in does not matter (those that never
    vary there are dropped). More than `max_components` are reduced to that many principal components.
    """

    table: pl.DataFrame
    max_components: int = 32

    def __post_init__(self) -> None:
        if "item_id" not in self.table.columns or self.table.width < 2:
            raise DataError("item features", f"need a column 'item_id' and columns of numbers; got {self.table.columns}.")
        faults = [
            f"column '{c}' is {self.table.schema[c]}, not numbers"
            for c in self.table.columns
            if c != "item_id" and not self.table.schema[c].is_numeric()
        ]
        repeated = self.table.filter(pl.col("item_id").is_duplicated())
        if repeated.height:
            faults.append(f"{repeated.height:,} rows share their item_id with another, e.g. {repeated['item_id'][0]!r}")
        if faults:
            raise DataError("item features", faults)

    def fit(self, ratings: Ratings) -> ItemFeatures:
        values = self.transform(ratings.items)[np.unique(ratings.item_index)]
        return _Projected(self, *_axes(values, self.max_components))

    def transform(self, items: pl.DataFrame) -> FloatArray:
        """Raises DataError for items that the table does not have, or that have no finite number."""
        table = self.table.with_columns(pl.col("item_id").cast(pl.String))
        joined = items.select("item_id").join(table, on="item_id", how="left", maintain_order="left")
        values = joined.drop("item_id").to_numpy().astype(np.float64)
        bad = ~np.isfinite(values).all(axis=1)
        if bad.any():
            first = joined["item_id"][int(bad.argmax())]
            raise DataError("item features", f"{int(bad.sum()):,} items have no finite features, e.g. {first!r}.")
        return values


@dataclass(frozen=True, eq=False)
class _Projected:
    """Given features along axes on which the training items have mean 0 and variance 1."""

    given: GivenFeatures | SentenceFeatures
    centre: FloatArray
    axes: FloatArray
    """[columns, components]"""

    def fit(self, ratings: Ratings) -> Self:
        return self

    def transform(self, items: pl.DataFrame) -> FloatArray:
        return np.asarray(np.nan_to_num((self.given.transform(items) - self.centre) @ self.axes), dtype=np.float64)


def _axes(values: FloatArray, most: int) -> tuple[FloatArray, FloatArray]:
    """The mean of training items [columns], and axes [columns, components] on which they have variance 1."""
    centre, sd = values.mean(axis=0), values.std(axis=0)
    if values.shape[1] <= most:
        varies = np.flatnonzero(sd > 1e-9 * np.abs(values).max(initial=1e-300))
        return centre, np.eye(len(sd))[:, varies] / sd[varies]
    _, size, directions = np.linalg.svd(values - centre, full_matrices=False)
    kept = np.flatnonzero(size[:most] > 1e-9 * max(size[0], 1e-300))
    return centre, directions[kept].T / (size[kept] / np.sqrt(len(values)))


class SentenceFeatures:
    """Principal components of the texts' vectors by an encoder of sentences, each with unit variance.

        MixedModel(features=SentenceFeatures(SentenceEncoder("sentence-transformers/all-MiniLM-L6-v2")))

    `encode` gives [texts, dimensions], of which the directions count; a text is encoded once, however often it is fitted.
    Items without text have features 0, the average.
    """

    def __init__(self, encode: Callable[[Sequence[str]], FloatArray], n_components: int = 32) -> None:
        if n_components < 1:
            raise UsageError(f"n_components is {n_components}; it must be at least 1.")
        self.encode, self.n_components = encode, n_components
        self._known: dict[str, FloatArray] = {}

    def fit(self, ratings: Ratings) -> ItemFeatures:
        values = self.transform(ratings.items[np.unique(ratings.item_index)])
        values = values[np.isfinite(values).all(axis=1)]
        if len(np.unique(values, axis=0)) < 3:
            return NoFeatures()
        return _Projected(self, *_axes(values, self.n_components))

    def transform(self, items: pl.DataFrame) -> FloatArray:
        """[items, dimensions] before any fit: rows of length 1, NaN for items without text."""
        texts = _texts(items)
        new = [text for text in dict.fromkeys(texts) if text and text not in self._known]
        if new:
            vectors = np.asarray(self.encode(new), dtype=np.float64)
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            self._known |= dict(zip(new, vectors / np.where(lengths > 0, lengths, 1.0), strict=True))
        n_dimensions = len(next(iter(self._known.values()))) if self._known else 1
        none = np.full(n_dimensions, np.nan)
        return np.stack([self._known.get(text, none) for text in texts]) if texts else np.zeros((0, n_dimensions))


class TextFeatures:
    """TF-IDF of words and of character 3- to 5-grams, reduced by SVD to `n_components`, each with unit variance.

    Character n-grams carry languages without spaces, spelling and emoji; words carry topics. Items without text have
    features 0, the average. A new text may be unlike all before: its features are kept within their range in training.
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
        has_words = any(re.search(r"\w", t) for t in texts)  # not where all texts are emoji or punctuation
        vectors = make_union(words, characters) if has_words else make_union(characters)
        n_terms = vectors.fit_transform(texts).shape[1]
        n = min(self.n_components, len(texts) - 1, n_terms - 1)
        self.pipeline_ = make_pipeline(vectors, TruncatedSVD(n, random_state=self.seed)) if n >= 1 else None
        if self.pipeline_ is not None:
            fitted = self.pipeline_.fit_transform(texts)
            self.mean_ = fitted.mean(axis=0)
            self.scale_ = np.where(fitted.std(axis=0) > 1e-9, fitted.std(axis=0), 1.0)
            self.low_, self.high_ = fitted.min(axis=0), fitted.max(axis=0)
        return self

    def transform(self, items: pl.DataFrame) -> FloatArray:
        if not hasattr(self, "pipeline_"):
            raise NotFittedError("TextFeatures: call fit(ratings) first.")
        if self.pipeline_ is None:
            return np.zeros((items.height, 0))
        texts = _texts(items)
        out = (np.clip(self.pipeline_.transform(texts), self.low_, self.high_) - self.mean_) / self.scale_
        out[[not t for t in texts]] = 0.0
        return np.asarray(out, dtype=np.float64)


def _texts(items: pl.DataFrame) -> list[str]:
    columns = [c for c in items.columns if c != "item_id"]
    if not columns:
        return [""] * items.height
    joined = items.select(pl.concat_str([pl.col(c).cast(pl.String).fill_null("") for c in columns], separator=" \n "))
    return [t.strip() for t in joined.to_series().to_list()]
