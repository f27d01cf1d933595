"""Tables of simulated people as files, for tests that go through readers or the command line."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from pluralign.ratings import Ratings
from pluralign.ratings.simulate import Population, simulate

SMALL = Population(n_raters=60, n_items=24, ratings_per_rater=20, n_options=2)


def write_table(ratings: Ratings, path: Path) -> Path:
    """A CSV file with one row a rating, item and rater columns beside it."""
    rows = pl.DataFrame(
        {
            "item_id": ratings.items["item_id"].gather(ratings.item_index),
            "rater_id": ratings.raters["rater_id"].gather(ratings.rater_index),
            "rating": pl.Series(ratings.scale.options).gather(ratings.rating_index),
        }
    )
    rows.join(ratings.items, on="item_id").join(ratings.raters, on="rater_id").write_csv(path)
    return path


def small_table(path: Path, *, seed: int = 1) -> Path:
    """1,200 ratings by 60 raters of 24 items."""
    return write_table(simulate(SMALL, seed=seed).ratings, path)
