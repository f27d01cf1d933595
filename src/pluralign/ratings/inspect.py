"""What a file of ratings is understood to be, before anything is computed from it.

The answer to "did it read my file as I meant it?": format, columns, scale, counts, attributes, and every Note; or, when the
file cannot be read, all its faults.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.errors import DataError
from pluralign.ratings.readers import ReadOptions, detect_format, read_long
from pluralign.ratings.readers.long import Long, finish
from pluralign.ratings.table import Ratings

__all__ = ["AttributeLevels", "Inspection", "Spread", "inspect_ratings"]

_SHOWN = 12
"""Levels, options and columns that a line of text names; `to_dict` has them all."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How many ratings a rater gave (or an item got), over all that have at least one."""

    minimum: int
    median: float
    maximum: int

    def __str__(self) -> str:
        return f"{self.minimum:,} to {self.maximum:,}, half have {self.median:g} or more"


@dataclass(frozen=True, kw_only=True)
class AttributeLevels:
    name: str
    levels: dict[str, int]
    """Level -> raters, most frequent first."""
    n_missing: int
    """Raters for whom it is not known."""


@dataclass(frozen=True, kw_only=True)
class Inspection:
    path: str
    faults: list[str]
    """Why it cannot be read; empty when it can. With faults, what follows is what was understood up to there."""
    format: str | None = None
    name: str | None = None
    columns: dict[str, str] = dataclasses.field(default_factory=dict)
    """Our column -> where it comes from."""
    scale_kind: str | None = None
    option_counts: dict[str, int] = dataclasses.field(default_factory=dict)
    """Option -> ratings, in the order of the scale."""
    n_ratings: int | None = None
    n_items: int | None = None
    n_raters: int | None = None
    ratings_per_rater: Spread | None = None
    ratings_per_item: Spread | None = None
    attributes: list[AttributeLevels] = dataclasses.field(default_factory=list)
    text_columns: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def is_readable(self) -> bool:
        return not self.faults

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; what is not known is null."""
        return dataclasses.asdict(self)

    def lines(self) -> list[str]:
        """The same for people, one line a fact."""
        made = [f"{self.path}: {'can be read' if self.is_readable else 'cannot be read'}"]
        made += [f"  fault: {fault}" for fault in self.faults]
        made += [] if self.format is None else [f"format: {self.format}"]
        made += [f"column {ours}: from {theirs!r}" for ours, theirs in self.columns.items()]
        if self.n_ratings is not None:
            made.append(f"ratings: {self.n_ratings:,} of {self.n_items:,} items by {self.n_raters:,} raters")
            made.append(f"ratings per rater: {self.ratings_per_rater}")
            made.append(f"ratings per item: {self.ratings_per_item}")
            made.append(f"scale: {self.scale_kind}; {_counted(self.option_counts)}")
        made += [f"attribute {a.name}: {_counted(a.levels)}; unknown {a.n_missing:,}" for a in self.attributes]
        made += [] if not self.text_columns else [f"texts: {', '.join(self.text_columns)}"]
        return [*made, *(f"note: {note}" for note in self.notes)]


def inspect_ratings(path: str | os.PathLike[str], options: ReadOptions | None = None) -> Inspection:
    """What `read_ratings` makes of this path. A file that cannot be read gives its faults; only wrong usage raises."""
    options = options or ReadOptions()
    try:
        kind, long = read_long(path, options)
    except DataError as error:
        return Inspection(path=str(path), faults=list(error.faults), format=_format(path, options))
    try:
        ratings = finish(long, options)
    except DataError as error:
        notes = [str(note) for note in long.notes]
        return Inspection(
            path=str(path), faults=list(error.faults), format=kind, name=long.name, columns=long.columns, notes=notes
        )
    return _of_ratings(str(path), kind, long, ratings)


def _format(path: str | os.PathLike[str], options: ReadOptions) -> str | None:
    """The format of a file whose reader failed, when at least that can be told."""
    try:
        return options.format or detect_format(path, options)[0]
    except DataError:
        return None


def _of_ratings(path: str, kind: str, long: Long, ratings: Ratings) -> Inspection:
    ours = {"item_id", "rater_id", "rating", *ratings.text_columns, *ratings.attributes}
    counts = np.bincount(ratings.rating_index, minlength=ratings.n_options)
    return Inspection(
        path=path,
        faults=[],
        format=kind,
        name=ratings.name,
        columns={name: source for name, source in long.columns.items() if name in ours},
        scale_kind=ratings.scale.kind,
        option_counts=dict(zip(ratings.scale.options, counts.tolist(), strict=True)),
        n_ratings=len(ratings),
        n_items=ratings.n_items,
        n_raters=ratings.n_raters,
        ratings_per_rater=_spread(ratings.rater_index),
        ratings_per_item=_spread(ratings.item_index),
        attributes=[_levels(ratings, name) for name in ratings.attributes],
        text_columns=ratings.text_columns,
        notes=[str(note) for note in ratings.notes],
    )


def _spread(index: npt.NDArray[np.int64]) -> Spread:
    counts = np.bincount(index)
    counts = counts[counts > 0]
    return Spread(minimum=int(counts.min()), median=float(np.median(counts)), maximum=int(counts.max()))


def _levels(ratings: Ratings, name: str) -> AttributeLevels:
    column = ratings.raters[name]
    counted = column.drop_nulls().value_counts(name="raters").sort(["raters", name], descending=[True, False])
    return AttributeLevels(name=name, levels={str(level): n for level, n in counted.iter_rows()}, n_missing=column.null_count())


def _counted(counts: dict[str, int]) -> str:
    shown = ", ".join(f"{name!r} {n:,}" for name, n in list(counts.items())[:_SHOWN])
    return shown if len(counts) <= _SHOWN else f"{shown}, ... ({len(counts):,} in all)"
