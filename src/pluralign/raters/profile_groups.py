"""The text of each rater's group, which a decoder is told (representation "cluster")."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl

from pluralign.errors import RunError, UsageError
from pluralign.files import read_json
from pluralign.raters.profile_files import read_rater_texts

__all__ = ["read_group_texts"]


def read_group_texts(source: str | os.PathLike[str], *, k: int | None = None) -> dict[str, str]:
    """Rater to the profile of the rater's group: from the run folder, of `k` groups, or as many as the run has at most; or from
    a table with rater_id and cluster, which is a text.

    In a run groups are formed and raters assigned by given ratings alone, so that held-out ones may be asked under the same
    seed. Raises RunError where the folder holds no such run, UsageError for a number of groups that it has not, DataError for
    a table that is none.
    """
    folder = Path(source)
    if folder.is_file():
        return read_rater_texts(folder, "cluster")
    try:
        found = {one["k"]: one["clusters"] for one in read_json(folder / "results.json")["clusterings"]}
        table = pl.read_parquet(folder / "clusters.parquet")
    except (OSError, KeyError, TypeError, RunError, pl.exceptions.PolarsError) as error:
        raise RunError(f"{folder}: this is no finished run of `pluralign profile cluster`: {error!r:.200}") from error
    wanted = max(found) if k is None else k
    if wanted not in found:
        raise UsageError(f"{folder} has groups for K = {', '.join(map(str, sorted(found)))}, not {wanted}.")
    profiles = [str(one["profile"]) for one in found[wanted]]
    pairs = table.select("rater_id", f"cluster_{wanted}").drop_nulls().iter_rows()
    return {rater: profiles[group] for rater, group in pairs}
