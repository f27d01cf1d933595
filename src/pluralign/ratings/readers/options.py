"""How a file of ratings is to be read: every choice that a reader would otherwise have to guess."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from pluralign.errors import UsageError, nearest_name
from pluralign.ratings.scale import ScaleKind

__all__ = ["MISSING", "Duplicates", "ReadOptions", "Rows"]

Duplicates = Literal["error", "first", "last"]
Rows = Literal["raters", "items"]

MISSING = ("", "NA", "N/A", "<NA>", "NaN", "nan", "null", "NULL", "DATA_EXPIRED")
"""Written for "no value". "None" is not among them, since it is an answer in some annotation schemes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """Each field has the name of its flag on the command line; None means that the reader works it out and says so in a Note.

    >>> ReadOptions(item="comment", rater="workerId", rating="answer").duplicates is None
    True
    """

    # What is read
    format: str | None = None
    """A name of `readers.FORMATS`; None looks at the content."""
    dataset: str | None = None
    """Which data set of a folder that holds several ("ArMIS" for ArMIS_train.json and ArMIS_dev.json)."""
    encoding: str = "utf-8"
    """Of text files. Bytes that do not fit it are an error, never replaced."""
    where: tuple[str, ...] = ()
    """Keep only the rows with these values: "column=value", all of which have to hold (`table` and `wide`)."""

    # Which column is what
    item: str | tuple[str, ...] | None = None
    """Column of the item's id; several columns together name an item as "a/b/c"."""
    rater: str | None = None
    rating: str | None = None
    """Column of the rating; for annotation tools, the question, scheme or control that is read."""
    item_columns: tuple[str, ...] | None = None
    """Columns that belong to items: they become `item_*`."""
    attributes: tuple[str, ...] | None = None
    """Columns that describe raters: they become `rater_*`."""
    rating_columns: tuple[str, ...] | None = None
    """`wide` only: the columns that hold ratings, as names or patterns such as "label_*"."""
    rows: Rows = "raters"
    """`wide` only: what one row is; with "items" each rating column is a rater."""

    # What the ratings mean
    scale: ScaleKind | None = None
    options: tuple[str, ...] | None = None
    """Every answer that was possible, in order; None takes those that were given."""
    bins: int | None = None
    """Group numbers into this many bins of equal width between `bin_range`, or the smallest and the largest that were given."""
    bin_range: tuple[float, float] | None = None
    missing: tuple[str, ...] = MISSING
    """Texts that stand for "no value", besides an empty cell."""
    duplicates: Duplicates | None = None
    """Which of several ratings of one item by one rater counts. None: an error, except in Polis, where the last vote counts."""

    # Beside the ratings
    rater_meta: str | Path | None = None
    """A second file, one row a rater, whose columns become attributes."""
    item_meta: str | Path | None = None
    """A second file, one row an item, whose columns become `item_*`."""

    def __post_init__(self) -> None:
        _refuse_lone_text(self)
        _refuse_unknown("scale", self.scale, get_args(ScaleKind))
        _refuse_unknown("duplicates", self.duplicates, get_args(Duplicates))
        _refuse_unknown("rows", self.rows, get_args(Rows))
        if self.bins is not None and self.bins < 2:
            raise UsageError(f"--bins {self.bins}: at least 2 bins are needed, since with one bin nothing can vary")
        if self.bins is not None and self.scale == "interval":
            raise UsageError("--bins makes an ordinal scale of ranges such as '0-20'; drop --scale interval or --bins")
        if self.bins is not None and self.options is not None:
            raise UsageError("--bins and --options exclude each other; for the ends of the bins use --bin-range LOW HIGH")
        if self.bin_range is not None and not _is_range(self.bin_range):
            raise UsageError(f"--bin-range {self.bin_range}: two finite numbers are needed, the lower one first")
        for condition in self.where:
            if "=" not in condition:
                raise UsageError(f"--where {condition!r}: the form is COLUMN=VALUE")

    @property
    def item_parts(self) -> tuple[str, ...]:
        """The columns that together name an item; empty when they are to be recognised."""
        if self.item is None:
            return ()
        return (self.item,) if isinstance(self.item, str) else tuple(self.item)


_SEQUENCES = ("where", "item_columns", "attributes", "rating_columns", "options", "missing")


def _refuse_lone_text(options: ReadOptions) -> None:
    for field in fields(options):
        value = getattr(options, field.name)
        if field.name in _SEQUENCES and isinstance(value, str):
            raise UsageError(f"{field.name}={value!r}: a sequence of texts is needed, e.g. ({value!r},)")


def _refuse_unknown(name: str, value: str | None, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        raise UsageError(f"--{name}: {nearest_name(str(value), known)}")


def _is_range(ends: tuple[float, float]) -> bool:
    return len(ends) == 2 and all(math.isfinite(end) for end in ends) and ends[0] < ends[1]
