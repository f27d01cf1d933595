"""The models that fill in one person's ratings: a language model, and statistical ones under short names.

    mixed           items, raters and their slopes on texts, with the raters' attributes before any rating (`mixed`)
    text-logistic   logistic regression on an item's words and the rater's habits (`text_logistic`)
    per-rater       the shares of the rater's own ratings, shrunk (`baselines`)
    per-item        the shares of the item's own ratings, shrunk
    marginal        the shares of all ratings

Whatever is not one of these names is a language model's (`open_model`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from pluralign.errors import UsageError, nearest_name
from pluralign.raters.attributes import code_attributes
from pluralign.raters.baselines import Marginal, PerItem, PerRater, RatingModel
from pluralign.raters.mixed import MixedModel
from pluralign.raters.representations import Representation, told_attributes
from pluralign.raters.text_logistic import TextLogistic
from pluralign.ratings import Ratings

__all__ = ["STATISTICAL", "MixedByAttributes", "Privacy", "is_statistical", "privacy_of", "statistical_model"]

FloatArray = npt.NDArray[np.float64]


class MixedByAttributes:
    """The mixed model, told of a rater what attributes say before any rating is."""

    def __init__(self, *, seed: int = 0) -> None:
        self.model = MixedModel(seed=seed)

    def fit(self, ratings: Ratings) -> Self:
        self.attributes_ = tuple(f"rater_{one.name}" for one in code_attributes(ratings)[0])
        self.model.fit(ratings)
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
    if not representation.attributes or not ratings.attributes:
        return None
    known_of = told_attributes(ratings, representation.attributes)
    keys = [repr(sorted(one.items())) for one in known_of]
    counts = Counter(keys)
    alone = sum(bool(one) and counts[key] == 1 for one, key in zip(known_of, keys, strict=True))
    return Privacy(alone, len(keys))
