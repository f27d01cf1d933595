"""The models that fill in one person's ratings: a language model, and statistical ones under short names.

    mixed           items, raters and their slopes on texts, with the raters' attributes before any rating (`mixed`)
    text-logistic   logistic regression on an item's words and the rater's habits (`text_logistic`)
    per-rater       the shares of the rater's own ratings, shrunk (`baselines`)
    per-item        the shares of the item's own ratings, shrunk
    marginal        the shares of all ratings

Whatever is not one of these names is a language model's (`open_model`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import DataError, UsageError, nearest_name
from pluralign.raters.attributes import MAX_LEVELS, code_attributes
from pluralign.raters.baselines import Marginal, PerItem, PerRater, RatingModel
from pluralign.raters.mixed import MixedModel
from pluralign.raters.representations import Representation
from pluralign.raters.text_logistic import TextLogistic
from pluralign.ratings import Ratings
from pluralign.suite.ratings_task import rater_attributes

__all__ = ["STATISTICAL", "MixedByAttributes", "Privacy", "is_statistical", "privacy_of", "statistical_model"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


class MixedByAttributes:
    """The mixed model, told of a rater what attributes say before any rating is."""

    def __init__(self, *, seed: int = 0) -> None:
        self.model = MixedModel(seed=seed)

    def fit(self, ratings: Ratings) -> Self:
        """Values of attributes that no rater of the training ratings has are unknown: nothing could be learned of them."""
        present = np.bincount(ratings.rater_index, minlength=ratings.n_raters) > 0
        seen = replace(ratings, raters=_as_seen(ratings.raters, present))
        self.attributes_ = tuple(f"rater_{one.name}" for one in code_attributes(seen)[0])
        self.model.fit(seen)
        return self

    def predict_proba(self, queries: Ratings, *, given: Ratings | None = None) -> FloatArray:
        """[queries, options], rows sum to 1; raters must be in the training table."""
        return self.model.predict_proba(queries, given=given, attributes=self.attributes_)


STATISTICAL: Mapping[str, Callable[[int], RatingModel]] = {
    "mixed": lambda seed: MixedByAttributes(seed=seed),
    "text-logistic": lambda seed: TextLogistic(seed=seed),
    "per-rater": lambda seed: PerRater(),
    "per-item": lambda seed: PerItem(),
    "marginal": lambda seed: Marginal(),
}
"""Name to the model, of a seed."""


def is_statistical(name: str) -> bool:
    """Whether the name is one of `STATISTICAL`."""
    return name in STATISTICAL


def statistical_model(name: str, *, seed: int = 0) -> RatingModel:
    """Not fitted yet. Raises UsageError for an unknown name."""
    if name not in STATISTICAL:
        raise UsageError(f"statistical model {nearest_name(name, STATISTICAL)}")
    return STATISTICAL[name](seed)


def _as_seen(raters: pl.DataFrame, present: BoolArray) -> pl.DataFrame:
    """The table of raters, in which a value that no present one has is null; of numbers, what is no number."""
    columns = []
    for column in raters.columns[1:]:
        values = raters[column]
        own = values.filter(pl.Series(present)).drop_nulls()
        numbers = values.cast(pl.Float64, strict=False)
        is_numeric = own.cast(pl.Float64, strict=False).null_count() == 0 and own.n_unique() > MAX_LEVELS
        kept = numbers.is_not_null() & ~numbers.is_nan() if is_numeric else values.is_in(own.unique().implode())
        columns.append(pl.select(pl.when(kept).then(values).otherwise(None).alias(column)).to_series())
    return raters.with_columns(columns)


@dataclass(frozen=True, slots=True)
class Privacy:
    """How many raters can be told by what a model is told of them."""

    n_alone: int
    """Raters who are the only ones of the table with their attributes."""
    n_raters: int

    def __str__(self) -> str:
        """For people."""
        share = self.n_alone / self.n_raters if self.n_raters else 0.0
        return (
            f"privacy: {self.n_alone:,} of {self.n_raters:,} raters ({share:.0%}) are the only ones with the attributes that "
            "the model is told; whoever knows these can tell who they are"
        )


def privacy_of(ratings: Ratings, representation: Representation) -> Privacy | None:
    """Of all raters of the table; None where no attribute is told. A rater of whom nothing is known is not alone."""
    told = representation.attributes
    if not told or not ratings.attributes:
        return None
    if told != "all" and (unknown := [name for name in told if f"rater_{name}" not in ratings.attributes]):
        known = [column.removeprefix("rater_") for column in ratings.attributes]
        raise DataError(ratings.name, f"attribute {nearest_name(unknown[0], known)}")
    known_of = [{k: v for k, v in one.items() if told == "all" or k in told} for one in rater_attributes(ratings)]
    keys = [repr(sorted(one.items())) for one in known_of]
    counts: dict[str, int] = {}
    for key in keys:
        counts[key] = counts.get(key, 0) + 1
    alone = sum(bool(one) and counts[key] == 1 for one, key in zip(known_of, keys, strict=True))
    return Privacy(alone, len(keys))
