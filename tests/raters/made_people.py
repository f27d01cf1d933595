"""Made-up people whose ratings are to be filled in: every second one says low, the others high."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from pluralign.models import Query
from pluralign.ratings import Ratings, Scale

OPTIONS = ("1", "2", "3")


def people(n_raters: int = 30, n_items: int = 12, *, seed: int = 0, **columns: str) -> Ratings:
    """Raters of two kinds, with an age that says which; a tenth of the pairs is missing."""
    rng = np.random.default_rng(seed)
    rows = [
        {
            "item_id": f"i{i:02}",
            "item_text": f"text number {i}",
            "rater_id": f"r{r:03}",
            "rater_age": "old" if r % 2 else "young",
            "rating": OPTIONS[2 * (r % 2)] if rng.random() < 0.8 else OPTIONS[int(rng.integers(3))],
            **columns,
        }
        for r in range(n_raters)
        for i in range(n_items)
        if rng.random() < 0.9
    ]
    return Ratings.from_long(pl.DataFrame(rows), Scale("ordinal", OPTIONS), name="people")


def by_age(query: Query) -> Mapping[str, float]:
    """A distribution that reads the description: the old say 3."""
    low, high = (0.1, 0.8) if '"old"' in (query.episode.description or "") else (0.8, 0.1)
    return {"1": low, "2": 0.1, "3": high}


def new_pairs(n_raters: int = 10, *, known: bool = True) -> pl.DataFrame:
    """Two new items for each of some raters, with what the raters truly say."""
    rows = [
        {
            "item_id": f"new{i}",
            "item_text": f"new text {i}",
            "rater_id": f"r{r:03}" if known else f"cold{r}",
            "rater_age": "old" if r % 2 else "young",
            "rating": OPTIONS[2 * (r % 2)],
        }
        for r in range(n_raters)
        for i in range(2)
    ]
    return pl.DataFrame(rows)
