"""Tables that go with ratings: pairs of item and rater that are asked, and texts about raters."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pluralign.errors import DataError
from pluralign.raters.profile_files import read_profiles, read_rater_texts
from pluralign.raters.profile_groups import read_group_texts
from pluralign.raters.profiles import profile_texts
from pluralign.raters.representations import RaterTexts
from pluralign.ratings import Ratings
from pluralign.ratings.readers import ReadOptions
from pluralign.ratings.readers.columns import find_role
from pluralign.ratings.readers.files import Source

__all__ = ["ToldTexts", "read_pairs", "read_told_texts"]


def read_pairs(path: Path, ratings: Ratings, options: ReadOptions, called: Mapping[str, str]) -> pl.DataFrame:
    """item_id, rater_id and the columns of items and raters that the ratings have.

    Columns have our names ("item_text", "rater_age"), or those that the file of ratings has (`called`: ours to that). Raises
    DataError where item or rater cannot be told.
    """
    source = Source(path, options)
    table = source.frame[0]
    columns: dict[str, pl.Expr] = {}
    if len(options.item_parts) > 1:
        absent = [column for column in options.item_parts if column not in table.columns]
        if absent:
            raise DataError(source.where, f"no column {absent[0]!r}, which is part of an item's name (--item).")
        columns["item_id"] = pl.concat_str([pl.col(c).cast(pl.String) for c in options.item_parts], separator="/")
    for role in ("item", "rater"):
        ours = f"{role}_id"
        if ours in columns:
            continue
        column = next((c for c in (ours, called.get(ours, "")) if c in table.columns), None)
        if column is None:
            column, faults = find_role(table.columns, "item" if role == "item" else "rater", None)
            if column is None:
                raise DataError(source.where, faults)
        columns[ours] = pl.col(column).cast(pl.String)
    known = [c for c in (*ratings.items.columns, *ratings.raters.columns) if c not in ("item_id", "rater_id")]
    for ours in known:
        column = next((c for c in (ours, called.get(ours, "")) if c in table.columns), None)
        if column is not None:
            columns[ours] = pl.col(column).cast(pl.String)
    missing = pl.lit(pl.Series(list(options.missing), dtype=pl.String).implode())
    found = table.select(expression.alias(name) for name, expression in columns.items())
    blank = [c for c in found.columns if c.startswith("rater_") or c == "item_id"]
    return found.with_columns(pl.when(pl.col(c).is_in(missing)).then(None).otherwise(pl.col(c)).alias(c) for c in blank)


@dataclass(frozen=True, slots=True)
class ToldTexts:
    """Texts about raters, and what they were written from."""

    texts: RaterTexts
    written_from: Mapping[str, Collection[str]] | None
    """Rater to the items whose ratings were given; None where a file does not say."""


def read_told_texts(profiles: str | os.PathLike[str] | None, groups: str | os.PathLike[str] | None) -> ToldTexts:
    """Profiles from a run folder or a file that `profile_files` reads, or from a table with rater_id and profile; groups' texts
    by `read_group_texts`.

    Raises DataError for files that are none of these, and for a rater who is there twice.
    """
    told: dict[str, str] = {}
    written_from: dict[str, Collection[str]] | None = {}
    if profiles is not None and (Path(profiles).is_dir() or Path(profiles).suffix in (".jsonl", ".parquet")):
        found = [one for one in read_profiles(profiles, edited=True) if one.profile is not None]
        told = profile_texts(found)
        written_from = {one.rater_id: frozenset(one.given_items) for one in found}
        if not all(written_from.values()):
            written_from = None
    elif profiles is not None:
        told, written_from = read_rater_texts(profiles, "profile"), None
    of_groups = {} if groups is None else read_group_texts(groups)
    return ToldTexts(RaterTexts(profiles=told, clusters=of_groups), None if groups is not None else written_from)
