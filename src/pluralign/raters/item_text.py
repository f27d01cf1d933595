"""An item in words."""

from __future__ import annotations

from pluralign.ratings import Ratings

__all__ = ["item_text"]


def item_text(ratings: Ratings, item: int) -> str:
    """All texts of the item in this row of the item table, one after the other; its id where it has none."""
    row = ratings.items.row(item, named=True)
    texts = [str(row[c]) for c in ratings.text_columns if row[c] is not None and str(row[c]).strip()]
    return " \N{EM DASH} ".join(texts) or str(row["item_id"])
