"""Parts of a built suite: parquet files of episodes, each as large as memory likes, with what is in them counted and hashed.

The files are those of `write_episodes`, so that `read_episodes` reads them; here they are made column by column, several
times as quickly, from episodes that have been checked already.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pluralign.episodes import Episode, columns_of
from pluralign.errors import DataError
from pluralign.files import atomic_write
from pluralign.suite.survey import Measure

if TYPE_CHECKING:
    import polars as pl

__all__ = ["LARGEST", "Part", "write_parts"]

LARGEST = 8_000_000
"""Characters of one part; the episode that crosses it is its last."""
PER_EXAMPLE = 40
"""Characters that an example counts for beside its text, since objects take memory too."""
Part = dict[str, Any]
"""file, episodes, outputs, characters (of inputs and outputs), tokens and loss_tokens if they are measured, sha256 of the file,
content_sha256 of the episodes."""


def write_parts(folder: Path, stem: str, episodes: Iterable[Episode], measure: Measure | None = None) -> list[Part]:
    """Writes folder/STEM-000.parquet, STEM-001.parquet, ..., each whole or not at all; what is in them, in order.

    Raises DataError for an episode without examples, RunError where the disk refuses.
    """
    return [_write_part(folder / f"{stem}-{n:03}.parquet", batch, measure) for n, batch in enumerate(_batches(episodes))]


def _batches(episodes: Iterable[Episode]) -> Iterator[list[Episode]]:
    batch: list[Episode] = []
    size = 0
    for episode in episodes:
        if not episode.examples:
            raise DataError(f"task {episode.task}, unit {episode.unit}", "there is nothing to draw an episode from")
        batch.append(episode)
        size += _n_characters(episode) + PER_EXAMPLE * len(episode.examples)
        if size >= LARGEST:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _n_characters(episode: Episode) -> int:
    # far quicker than adding up lengths
    return len("".join([e.output for e in episode.examples])) + len("".join([e.input or "" for e in episode.examples]))


def _write_part(path: Path, batch: Sequence[Episode], measure: Measure | None) -> Part:
    packed = io.BytesIO()
    _frame(batch).write_parquet(packed)
    content = packed.getvalue()
    with atomic_write(path) as file:
        file.write(content)
    return {
        "file": f"{path.parent.name}/{path.name}",
        "episodes": len(batch),
        "outputs": sum(len(episode.examples) for episode in batch),
        "characters": sum(map(_n_characters, batch)),
        **_tokens(batch, measure),
        "sha256": hashlib.sha256(content).hexdigest(),
        "content_sha256": hashlib.sha256("".join(episode.content_hash() for episode in batch).encode()).hexdigest(),
    }


def _tokens(batch: Sequence[Episode], measure: Measure | None) -> dict[str, int]:
    if measure is None:
        return {}
    tokens, losses = measure(columns_of(batch))
    return {"tokens": int(tokens.sum()), "loss_tokens": int(losses.sum())}


def _frame(batch: Sequence[Episode]) -> pl.DataFrame:
    import polars as pl

    owner = np.repeat(np.arange(len(batch)), [len(episode.examples) for episode in batch])
    flat = pl.DataFrame(
        {
            "owner": owner,
            "output": [example.output for episode in batch for example in episode.examples],
            "input": [example.input for episode in batch for example in episode.examples],
        },
        schema={"owner": pl.Int64, "output": pl.String, "input": pl.String},
    )
    examples = flat.group_by("owner", maintain_order=True).agg(pl.struct("output", "input").alias("examples"))
    return pl.DataFrame(
        {
            "task": [episode.task for episode in batch],
            "examples": examples["examples"],
            "description": [episode.description for episode in batch],
            "options": [episode.options for episode in batch],
            "unit": [episode.unit for episode in batch],
            "attributes": [json.dumps(dict(episode.attributes), ensure_ascii=False) for episode in batch],
        },
        schema_overrides={"description": pl.String, "options": pl.List(pl.String), "unit": pl.String},
    )
