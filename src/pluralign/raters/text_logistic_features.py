"""Item features that know what is being rated: what the words of an item let a logistic regression expect.

Components of TF-IDF describe what texts are about, not what raters answer to them; where items are new that is most of what
can be known. Here the features are the log-odds of `TextLogistic`, for training items by a fit without them, since log-odds
that have seen an item's ratings would promise more than they keep for a new one; then some components of the text.

Source: Wolpert 1992, Stacked generalization (predictions of what was left out, as features).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import NotFittedError
from pluralign.raters.features import TextFeatures
from pluralign.raters.text_logistic import TextLogistic, TextLogisticSettings
from pluralign.ratings import Ratings

__all__ = ["TextLogisticFeatures"]

FloatArray = npt.NDArray[np.float64]


class TextLogisticFeatures:
    """Principal components of the log-odds, in units of the first one's spread, then `n_components` of the text.

    MixedModel(features=TextLogisticFeatures()) lets raters differ on all of them, as long as they are 16 or fewer.
    """

    def __init__(
        self,
        n_components: int = 8,
        *,
        settings: TextLogisticSettings | None = None,
        logistic: Callable[[Ratings], TextLogistic] | None = None,
        seed: int = 0,
    ) -> None:
        """`logistic` fits the regression, in place of `settings`; it may remember one that it has fitted before."""
        self.n_components = n_components
        self.logistic = logistic or TextLogistic(settings, seed=seed).fit
        self.seed = seed

    def fit(self, ratings: Ratings) -> Self:
        self.logistic_ = self.logistic(ratings)
        self.text_ = TextFeatures(max(1, self.n_components), seed=self.seed).fit(ratings)
        logits = self.logistic_.held_out_item_logits(ratings.items)[np.unique(ratings.item_index)]
        self.centre_ = logits.mean(axis=0)
        _, size, directions = np.linalg.svd(logits - self.centre_, full_matrices=False)
        kept = np.flatnonzero(size > max(1e-6 * size[0], 1e-9))
        self.axes_ = directions[kept].T / (size[0] / np.sqrt(len(logits))) if len(kept) else np.zeros((logits.shape[1], 0))
        return self

    def transform(self, items: pl.DataFrame) -> FloatArray:
        """[items, features]"""
        if not hasattr(self, "axes_"):
            raise NotFittedError("TextLogisticFeatures: call fit(ratings) first.")
        expected = (self.logistic_.held_out_item_logits(items) - self.centre_) @ self.axes_
        return np.hstack([expected, self.text_.transform(items)[:, : self.n_components]])
