"""Rater attributes as levels: what a study can compare groups by, and why it cannot use some columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.raters.findings import AttributeSummary
from pluralign.raters.group_effects import Membership
from pluralign.ratings import Ratings

__all__ = ["CodedAttribute", "code_attributes", "membership_of"]

IntArray = npt.NDArray[np.int64]

MAX_LEVELS = 12
"""More levels than this are pooled (text) or cut into quantiles (numbers)."""
MIN_RATERS = 5
"""Levels of a text attribute with fewer raters are pooled: nothing could be learned of them, and they may identify people."""
N_QUANTILES = 5
POOLED = "(other levels)"


@dataclass(frozen=True, slots=True)
class CodedAttribute:
    name: str
    """Without the prefix "rater_"."""
    levels: tuple[str, ...]
    level: IntArray
    """[raters] position in `levels`, -1 where it is not known, or a value that no rater with a rating has."""
    note: str | None
    """What was pooled or cut, if anything."""


def code_attributes(ratings: Ratings) -> tuple[list[CodedAttribute], list[AttributeSummary]]:
    """The attributes that can be used, and a summary of all of them in the table's order.

    Not used: one level only; a text with another value for more than half of the raters (it names people, not groups).
    Raters without a rating do not count.
    """
    present = np.bincount(ratings.rater_index, minlength=ratings.n_raters) > 0
    coded, summaries = [], []
    for column in ratings.attributes:
        attribute, why_not = _code(column.removeprefix("rater_"), ratings.raters[column], present)
        if why_not is None:
            coded.append(attribute)
        counts = np.bincount(attribute.level[present & (attribute.level >= 0)], minlength=len(attribute.levels))
        summaries.append(
            AttributeSummary(
                name=attribute.name,
                levels=list(attribute.levels) if why_not is None else [],
                n_raters=counts.tolist() if why_not is None else [],
                n_missing=int((attribute.level[present] < 0).sum()),
                used=why_not is None,
                why_not_used=why_not,
            )
        )
    return coded, summaries


def membership_of(attributes: list[CodedAttribute]) -> Membership:
    """The attributes side by side, as group effects want them."""
    return Membership(np.stack([a.level for a in attributes], axis=1), tuple(len(a.levels) for a in attributes))


def _code(name: str, values: pl.Series, present: npt.NDArray[np.bool_]) -> tuple[CodedAttribute, str | None]:
    numbers = values.cast(pl.Float64, strict=False)
    own = numbers.filter(present)
    is_numeric = own.null_count() == values.filter(present).null_count() and not bool(own.is_nan().any())
    if is_numeric and own.drop_nulls().n_unique() > MAX_LEVELS:
        attribute = _in_quantiles(name, numbers, present)
    else:
        text = values.cast(pl.String)
        n_known, n_levels = text.filter(present).count(), text.filter(present).drop_nulls().n_unique()
        if n_known and n_levels > max(MAX_LEVELS, n_known / 2):
            level = np.where(text.is_null().to_numpy(), -1, 0).astype(np.int64)
            return CodedAttribute(name, (), level, None), f"{n_levels:,} different values: it names people, not groups"
        attribute = _pooled(name, text, present)
    if len(attribute.levels) >= 2:
        return attribute, None
    if attribute.levels == (POOLED,):
        return attribute, f"no value is shared by {MIN_RATERS} raters"
    return attribute, "all raters have the same value" if attribute.levels else "no rater has a value"


def _in_quantiles(name: str, numbers: pl.Series, present: npt.NDArray[np.bool_]) -> CodedAttribute:
    known = numbers.filter(present).drop_nulls().to_numpy()
    cuts = np.unique(np.quantile(known, np.linspace(0, 1, N_QUANTILES + 1)[1:-1], method="lower"))
    values = numbers.fill_null(np.nan).to_numpy()
    level = np.where(np.isnan(values), -1, np.searchsorted(cuts, values, side="left"))
    used = np.unique(level[present & (level >= 0)])
    labels = tuple(_span(values[present & (level == k)]) for k in used)
    recoded = np.full(len(level), -1, dtype=np.int64)
    for position, k in enumerate(used):
        recoded[level == k] = position
    return CodedAttribute(name, labels, recoded, f"'{name}': numbers cut at their quantiles into {len(labels)} groups")


def _span(values: npt.NDArray[np.float64]) -> str:
    low, high = f"{values.min():.12g}", f"{values.max():.12g}"
    return low if low == high else f"{low}\N{EN DASH}{high}"


def _in_order(levels: list[str]) -> list[str]:
    """By number where all are numbers (2 before 10), else as text."""
    try:
        return sorted(levels, key=float)
    except ValueError:
        return sorted(levels)


def _pooled(name: str, text: pl.Series, present: npt.NDArray[np.bool_]) -> CodedAttribute:
    counts = text.filter(present).drop_nulls().value_counts(sort=True, name="n").sort("n", text.name, descending=[True, False])
    frequent = counts.filter(pl.col("n") >= MIN_RATERS)[text.name].to_list()
    if counts.height > MAX_LEVELS:
        frequent = frequent[: MAX_LEVELS - 1]
    rest = counts.height - len(frequent)
    if rest <= 1 and counts.height <= MAX_LEVELS:  # pooling one level alone would only hide its name
        frequent, rest = counts[text.name].to_list(), 0
    frequent = _in_order(frequent)
    levels = [*frequent, *([POOLED] if rest else [])]
    position = {**dict.fromkeys(counts[text.name].to_list(), len(frequent)), **{level: k for k, level in enumerate(frequent)}}
    level = [position.get(t, -1) for t in text.to_list()]
    note = f"'{name}': {rest:,} levels with few raters are pooled as '{POOLED}'" if rest else None
    return CodedAttribute(name, tuple(levels), np.asarray(level, dtype=np.int64), note)
