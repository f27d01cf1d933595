"""Many episodes as columns: what work on hundreds of thousands of outputs at once starts from.

Only what a model reads is here: descriptions, inputs, outputs. `read_columns` takes them from a parquet file of episodes
without making an object for each; it is for files that were written and checked by this package, such as a built suite's.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pluralign.episodes.episode import Episode
from pluralign.errors import DataError

__all__ = ["EpisodeColumns", "columns_of", "read_columns"]

_ROWS = 2048
"""Episodes that are read at once."""


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeColumns:
    """Episodes one after another."""

    descriptions: list[str | None]
    """[episodes]"""
    n_examples: npt.NDArray[np.int64]
    """[episodes]"""
    outputs: list[str]
    """[examples], those of the first episode first."""
    inputs: list[str | None]
    """[examples]"""
    n_left_out: int = 0
    """Examples behind these that were not asked for."""

    def __len__(self) -> int:
        return len(self.descriptions)


def columns_of(episodes: Sequence[Episode]) -> EpisodeColumns:
    """The same episodes as columns."""
    return EpisodeColumns(
        descriptions=[episode.description for episode in episodes],
        n_examples=np.array([len(episode.examples) for episode in episodes], dtype=np.int64),
        outputs=[example.output for episode in episodes for example in episode.examples],
        inputs=[example.input for episode in episodes for example in episode.examples],
    )


def read_columns(path: str | os.PathLike[str], *, most: int | None = None, skip: int = 0) -> Iterator[EpisodeColumns]:
    """The episodes of a parquet file, some thousand at a time; of each at most the first `most` examples.

    `skip`: so many times as many that were read before are left out. Raises DataError for a file that is none.
    """
    import polars as pl

    file = Path(path)
    try:
        lists = pl.col("examples") if most is None else pl.col("examples").list.head(most)
        columns = ("description", lists, lists.list.len().alias("kept"), pl.col("examples").list.len().alias("all"))
        lazy = pl.scan_parquet(file).select(columns)
        for start in itertools.count(skip * _ROWS, _ROWS):
            rows = lazy.slice(start, _ROWS).collect()
            if rows.is_empty():
                return
            examples = rows.filter(pl.col("kept") > 0).select("examples").explode("examples").unnest("examples")
            yield EpisodeColumns(
                descriptions=rows["description"].to_list(),
                n_examples=rows["kept"].to_numpy().astype(np.int64),
                outputs=examples["output"].to_list(),
                inputs=examples["input"].to_list(),
                n_left_out=int(rows["all"].sum()) - int(rows["kept"].sum()),
            )
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(str(file), f"it cannot be read as parquet of episodes: {str(error).splitlines()[0]}") from error
