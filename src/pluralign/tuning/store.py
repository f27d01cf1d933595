"""Encoded episodes on disk: made once by one process, read by any number of them through memory maps.

    CACHE/KEY/config.json      what was encoded: template, window, hashes of the files; a run folder (`pluralign.runs`)
    CACHE/KEY/steps/           one file per finished shard: the lengths of its sequences
    CACHE/KEY/00000-000.npy    shard 0 of file 0: id, example and loss flag of every token
    CACHE/KEY/results.json     counts; there only when all shards are

The key is made of what the tokens depend on and nothing else: the content of the files, in order, the tokenizer's, how the
template writes, the window, and the version of this code. So the same data in another place, or for another model with the
same tokenizer, are not encoded again.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.errors import DataError
from pluralign.files import atomic_write, hash_file, read_json
from pluralign.models import Encoded, FlatEncoded, Template
from pluralign.models.cache import default_cache_path
from pluralign.runs import Run, RunConfig
from pluralign.tuning.encode import Cut, encode_files

__all__ = ["ENCODING_VERSION", "EncodedStore", "default_encoded_path", "encode_once", "open_store"]

ENCODING_VERSION = 1
"""Goes up with any change of what is encoded."""
_TOKEN = np.dtype([("id", "<i4"), ("example", "<i4"), ("is_loss", "?")])

IntArray = npt.NDArray[np.int64]
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class EncodedStore:
    """The sequences of all files, numbered through; none is empty."""

    folder: Path
    lengths: IntArray
    """Tokens [sequences]"""
    n_loss: IntArray
    """Those that carry loss [sequences]"""
    counts: dict[str, int]
    """episodes, sequences (of which something fits), examples, examples_kept, tokens, loss_tokens."""
    _shards: tuple[str, ...]
    _shard_of: IntArray
    _start_in_shard: IntArray

    def __len__(self) -> int:
        return len(self.lengths)

    def sequence(self, number: int) -> Encoded:
        """One sequence; its arrays are copies."""
        tokens = self._map(int(self._shard_of[number]))
        start = int(self._start_in_shard[number])
        part = tokens[start : start + int(self.lengths[number])]
        return Encoded(np.array(part["id"]), np.array(part["is_loss"]), np.array(part["example"]))

    def gather(self, numbers: Sequence[int] | IntArray) -> FlatEncoded:
        """Several sequences, one after another."""
        chosen = np.asarray(numbers, dtype=np.int64)
        starts = np.concatenate([[0], self.lengths[chosen].cumsum()])
        tokens = np.empty(starts[-1], dtype=_TOKEN)
        shards = self._shard_of[chosen]
        for shard in np.unique(shards).tolist():
            mine = np.flatnonzero(shards == shard)
            sizes = self.lengths[chosen[mine]]
            within = np.arange(sizes.sum()) - np.repeat(sizes.cumsum() - sizes, sizes)
            there = np.repeat(self._start_in_shard[chosen[mine]], sizes) + within
            tokens[np.repeat(starts[mine], sizes) + within] = self._map(shard)[there]
        return FlatEncoded(tokens["id"].copy(), tokens["is_loss"].copy(), tokens["example"].copy(), starts)

    @property
    def file_of(self) -> IntArray:
        """The number of each sequence's file, among those that were encoded [sequences]."""
        return np.array([int(shard.partition("-")[0]) for shard in self._shards], dtype=np.int64)[self._shard_of]

    def _map(self, shard: int) -> npt.NDArray[Any]:
        return _mapped(self.folder / f"{self._shards[shard]}.npy")


@functools.lru_cache(maxsize=256)
def _mapped(path: Path) -> npt.NDArray[Any]:
    try:
        tokens: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(str(path), f"it cannot be read: {error}; remove its folder to have it made again") from error
    return tokens


def default_encoded_path() -> Path:
    """Beside the answers of models that are remembered: `encoded` in $XDG_CACHE_HOME/pluralign or ~/.cache/pluralign."""
    return default_cache_path().parent / "encoded"


def encode_once(
    files: Sequence[str | os.PathLike[str]],
    template: Template,
    *,
    max_tokens: int,
    cache: str | os.PathLike[str],
    tell: Tell | None = None,
) -> EncodedStore:
    """The store of these files, made if it is not there; a process that was killed goes on with the next shard.

    `tell` is told the stage, the files done and their number. Of several ranks one makes it, the others then `open_store` its
    folder. Raises DataError for files that cannot be read or of which nothing fits the window, RunError for a disk that
    refuses or while another process makes the same store.
    """
    paths = [Path(file) for file in files]
    key = template.key() | {"max_tokens": max_tokens, "encoding_version": ENCODING_VERSION, "files": [*map(hash_file, paths)]}
    folder = Path(cache) / hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]
    if not (folder / "results.json").exists():
        Path(cache).mkdir(parents=True, exist_ok=True)
        with Run.open(folder, RunConfig(command="encode", arguments=key)) as run:
            for number, path in enumerate(paths):
                _encode_file(run, number, path, template, max_tokens)
                if tell is not None:
                    tell("encoding", number + 1, len(paths))
            run.write_results({"shards": run.finished_steps()})
    return open_store(folder)


def open_store(folder: str | os.PathLike[str]) -> EncodedStore:
    """A store that has been made. Raises RunError where it is not whole, DataError where nothing is in it."""
    root = Path(folder)
    shards = tuple(read_json(root / "results.json")["shards"])
    steps = [read_json(root / "steps" / f"{shard}.json") for shard in shards]
    lengths = [np.array(step["lengths"], dtype=np.int64) for step in steps]
    whole = np.concatenate([np.zeros(0, dtype=np.int64), *lengths])
    n_loss = np.array([n for step in steps for n in step["n_loss"]], dtype=np.int64)
    counts = {name: sum(step[name] for step in steps) for name in ("episodes", "examples", "examples_kept")}
    counts |= {"sequences": len(whole), "tokens": int(whole.sum()), "loss_tokens": int(n_loss.sum())}
    if not counts["sequences"]:
        raise DataError(str(root), f"none of {counts['episodes']:,} episodes has an output within the window; make it longer")
    starts = [one.cumsum() - one for one in lengths]
    return EncodedStore(
        folder=root,
        lengths=whole,
        n_loss=n_loss,
        counts=counts,
        _shards=shards,
        _shard_of=np.repeat(np.arange(len(shards)), [len(one) for one in lengths]),
        _start_in_shard=np.concatenate([np.zeros(0, dtype=np.int64), *starts]),
    )


def _encode_file(run: Run, number: int, path: Path, template: Template, max_tokens: int) -> None:
    done = {name for name in run.finished_steps() if name.startswith(f"{number:05}-")}
    for shard, cut in enumerate(encode_files([path], template, max_tokens=max_tokens, skip=len(done)), len(done)):
        name = f"{number:05}-{shard:03}"
        with atomic_write(run.folder / f"{name}.npy") as file:
            np.save(file, _tokens(cut.sequences), allow_pickle=False)
        run.step(name, functools.partial(_step, cut))


def _tokens(sequences: FlatEncoded) -> npt.NDArray[Any]:
    tokens = np.empty(len(sequences.ids), dtype=_TOKEN)
    tokens["id"], tokens["example"], tokens["is_loss"] = sequences.ids, sequences.example_index, sequences.is_loss
    return tokens


def _step(cut: Cut) -> dict[str, Any]:
    starts = cut.sequences.starts
    sizes = np.diff(starts)
    losses = np.diff(np.concatenate([[0], cut.sequences.is_loss.cumsum()])[starts])
    return {
        "episodes": len(sizes),
        "examples": cut.n_examples,
        "examples_kept": cut.n_kept,
        "lengths": sizes[sizes > 0].tolist(),
        "n_loss": losses[sizes > 0].tolist(),
    }
