"""Words, word pairs and character n-grams of items, counted once, and weighted by TF-IDF whenever a part of them is left out.

Text is cut into terms once for all items; which terms count and how rare they are is then learned from the items of a training
part, which is what `TfidfVectorizer` of scikit-learn would have learned from their texts (a test compares the two).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.ratings import Ratings

__all__ = ["TermCounts", "Terms"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
MANY_ITEMS = 100
"""With more of them a term has to be in two."""


class TermCounts:
    """How often each item has each term: words and word pairs, and character n-grams, of each text column for itself."""

    def __init__(self, ratings: Ratings) -> None:
        from sklearn.feature_extraction.text import CountVectorizer

        self.vectors: list[tuple[str, Any]] = []
        items = ratings.items[np.unique(ratings.item_index)]
        kinds: list[dict[str, Any]] = [
            {"token_pattern": r"(?u)\b\w+\b", "ngram_range": (1, 2)},
            {"analyzer": "char_wb", "ngram_range": (2, 5)},
        ]
        for column in ratings.text_columns:
            texts = _column(items, column)
            least = 2 if len(texts) > MANY_ITEMS else 1
            for kind in kinds:
                vector = CountVectorizer(min_df=least, dtype=np.float64, **kind)
                try:
                    self.vectors.append((column, vector.fit(texts)))
                except ValueError:  # there is no term, or none is frequent enough
                    continue

    def of(self, items: pl.DataFrame) -> list[Any]:
        """[items, terms] sparse, one for each kind of term."""
        return [vector.transform(_column(items, column)) for column, vector in self.vectors]


@dataclass(frozen=True, eq=False)
class Terms:
    """Which terms count, and their weights: the most frequent ones among some items, IDF from the same items."""

    kept: list[IntArray]
    idf: list[FloatArray]

    @classmethod
    def learned(cls, counts: list[Any], items: IntArray, max_terms: int) -> Self:
        kept, idf = [], []
        for part in counts:
            used = part[items]
            n_with = np.bincount(used.indices, minlength=part.shape[1])
            n_times = np.asarray(used.sum(axis=0)).ravel()
            able = np.flatnonzero(n_with >= (2 if len(items) > MANY_ITEMS else 1))
            most = np.sort(able[np.argsort(-n_times[able], kind="stable")[:max_terms]])
            kept.append(most)
            idf.append(np.log((1 + len(items)) / (1 + n_with[most])) + 1)
        return cls(kept, idf)

    def weigh(self, counts: list[Any], n_items: int) -> Any:
        """TF-IDF [items, terms], sparse; each kind of term has length 1."""
        from scipy import sparse
        from sklearn.preprocessing import normalize

        parts = []
        for part, kept, idf in zip(counts, self.kept, self.idf, strict=True):
            x = part[:, kept]
            x.data = (1 + np.log(x.data)) * idf[x.indices]
            parts.append(normalize(x))
        return sparse.hstack(parts, format="csr") if parts else sparse.csr_matrix((n_items, 0))


def _column(items: pl.DataFrame, name: str) -> list[str]:
    return items[name].cast(pl.String).fill_null("").to_list()
