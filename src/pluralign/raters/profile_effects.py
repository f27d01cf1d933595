"""What a change of a profile's text does to the predicted ratings: the distribution on items before and after.

The decoder is told nothing but the profile, and nothing is recalibrated: the numbers are what the model itself says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import DataError, nearest_name
from pluralign.metrics.distances import total_variation_distance
from pluralign.models import LanguageModel
from pluralign.raters.language_decoder import DecoderSettings, LanguageModelDecoder
from pluralign.raters.representations import RaterTexts
from pluralign.ratings import Ratings
from pluralign.ratings.keyed import id_codes, keyed_words
from pluralign.suite.ratings_task import item_inputs

__all__ = ["MOST_COMPARED", "ItemShift", "profile_shifts"]

MOST_COMPARED = 200
"""Items that are looked through for those that move most."""

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemShift:
    """One item; probabilities over the options of the scale."""

    item_id: str
    text: str
    before: tuple[float, ...] | None
    """None without an answer; the outcome says why."""
    after: tuple[float, ...] | None
    outcome_before: str
    outcome_after: str
    total_variation: float | None
    """Between the two, 0..1; None where one of them is missing."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def profile_shifts(
    model: LanguageModel,
    ratings: Ratings,
    *,
    before: str | None,
    after: str,
    items: Sequence[str] = (),
    n: int = 5,
    most_compared: int = MOST_COMPARED,
    seed: int = 0,
) -> list[ItemShift]:
    """The items that are named, in their order, or the `n` that move most, the most moved first.

    These are found among all items of the table, or `most_compared` of them, chosen by chance keyed by the item. `before` None:
    nothing was told of the person. No rating is looked at. Raises DataError for an unknown item.
    """
    chosen = _items(ratings, items, most_compared, seed)
    profiles = {"after": after, **({} if before is None else {"before": before})}
    asked = replace(
        ratings,
        raters=pl.DataFrame({"rater_id": ["after", "before"]}),
        item_index=np.tile(chosen, 2),
        rater_index=np.repeat(np.arange(2), len(chosen)),
        rating_index=np.zeros(2 * len(chosen), dtype=np.int64),
    )
    decoder = LanguageModelDecoder(
        model, "profile", texts=RaterTexts(profiles=profiles), settings=DecoderSettings(recalibrate=False)
    )
    decoded = decoder.decode(asked)
    new, old = np.split(decoded.probabilities, 2)
    new_outcomes, old_outcomes = np.split(decoded.outcomes, 2)
    is_known = ~np.isnan(np.hstack([new, old]).sum(axis=1))
    moved = np.full(len(chosen), np.nan)
    moved[is_known] = total_variation_distance(old[is_known], new[is_known])
    order = range(len(chosen)) if items else np.argsort(-np.nan_to_num(moved, nan=-1.0), kind="stable")[:n].tolist()
    texts = item_inputs(ratings)
    return [
        ItemShift(
            item_id=ratings.item_ids[chosen[i]],
            text=texts[chosen[i]],
            before=_distribution(old[i]),
            after=_distribution(new[i]),
            outcome_before=str(old_outcomes[i]),
            outcome_after=str(new_outcomes[i]),
            total_variation=float(moved[i]) if is_known[i] else None,
        )
        for i in order
    ]


def _items(ratings: Ratings, named: Sequence[str], most: int, seed: int) -> IntArray:
    places = {item: n for n, item in enumerate(ratings.item_ids)}
    if unknown := [item for item in named if item not in places]:
        raise DataError(ratings.name, f"item {nearest_name(unknown[0], ratings.item_ids)[:300]}")
    if named:
        return np.array([places[item] for item in dict.fromkeys(named)], dtype=np.int64)
    order = np.argsort(keyed_words(seed, "profile_shifts", id_codes(ratings.item_ids)), kind="stable")
    return np.sort(order[:most])


def _distribution(probabilities: npt.NDArray[np.float64]) -> tuple[float, ...] | None:
    return tuple(probabilities.tolist()) if np.isfinite(probabilities).all() else None
