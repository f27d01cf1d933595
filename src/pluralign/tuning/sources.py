"""What a run is trained on and measured with: files of episodes, alone or as a suite's folder with its manifest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pluralign.episodes import iter_episodes
from pluralign.errors import DataError, UsageError, nearest_name
from pluralign.files import hash_file, read_json, write_json_atomic
from pluralign.suite.parts import write_parts

__all__ = ["DataFile", "TrainingFiles", "find_files"]

Role = Literal["train", "held out"]
_ROLES: dict[str, Role] = {"train": "train", "test": "held out"}
"""Of tasks, by their split."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A parquet file of episodes."""

    path: Path
    task: str
    """Of the suite, or of all its episodes; else the file's own name without its ending."""


@dataclass(frozen=True, slots=True)
class TrainingFiles:
    """Files of a run, in order."""

    train: tuple[DataFile, ...]
    held_out: tuple[DataFile, ...]
    """Nothing of their tasks is trained on, where they are a suite's."""

    def check_tasks(self, named: Iterable[str]) -> None:
        """Raises UsageError for a task of these names that nothing is trained on of, such as a misspelt one with a weight."""
        known = {file.task for file in self.train}
        if unknown := sorted(set(named) - known):
            raise UsageError(f"weight of task {nearest_name(unknown[0], known)}")


def find_files(
    data: Sequence[str | os.PathLike[str]], held_out: Sequence[str | os.PathLike[str]] = (), *, cache: str | os.PathLike[str]
) -> TrainingFiles:
    """The files that these names stand for: parquet files, JSON-lines files, folders that `suite build` made.

    Of a suite given as `data`, tasks of the split "train" are trained on and those of "test" are held out; given as `held_out`
    all of it is. JSON lines are written as parquet into `cache`, once. Raises UsageError where nothing is given to train on,
    DataError for files that are missing, unfinished or trained on and held out at once.
    """
    if not data:
        raise UsageError("there is nothing to train on; name files of episodes, or a suite's folder, with --data.")
    roles: dict[Role, list[DataFile]] = {"train": [], "held out": []}
    for name in data:
        for file, role in _found(Path(name), Path(cache)):
            roles[role].append(file)
    roles["held out"] += [file for name in held_out for file, _ in _found(Path(name), Path(cache))]
    if not roles["train"]:
        raise DataError(
            str(data[0]), "all its tasks are of the split 'test', which is held out; build a suite of training tasks"
        )
    _refuse_overlap(roles["train"], roles["held out"])
    return TrainingFiles(tuple(roles["train"]), tuple(roles["held out"]))


def _found(path: Path, cache: Path) -> Iterable[tuple[DataFile, Role]]:
    if path.is_dir():
        return _of_suite(path)
    if not path.is_file():
        raise DataError(str(path), "there is no such file or folder; name a file of episodes or a folder made by suite build")
    parts = [path] if path.suffix == ".parquet" else _as_parquet(path, cache)
    tasks = {_task_in(part) for part in parts}
    task = tasks.pop() if len(tasks) == 1 else None
    return [(DataFile(part, task or path.stem), "train") for part in parts]


def _task_in(parquet: Path) -> str | None:
    """The task of all episodes of a file; None where there are several."""
    import polars as pl

    try:
        tasks = pl.scan_parquet(parquet).select(pl.col("task").unique()).head(2).collect()["task"].to_list()
    except (OSError, pl.exceptions.PolarsError):
        return None  # encoding says what is wrong with it
    return str(tasks[0]) if len(tasks) == 1 else None


def _of_suite(folder: Path) -> list[tuple[DataFile, Role]]:
    if not (folder / "manifest.json").is_file():
        raise DataError(
            str(folder), "it has no manifest.json, so it is no finished suite; run its suite build again to the end"
        )
    try:
        found = [
            (DataFile(folder / part["file"], task), _ROLES[entry["split"]])
            for task, entry in read_json(folder / "manifest.json")["tasks"].items()
            for part in entry["parts"]
        ]
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(str(folder), "its manifest.json is not that of a suite; name a folder made by suite build") from error
    missing = [str(file.path) for file, _ in found if not file.path.is_file()]
    if missing:
        raise DataError(str(folder), f"{len(missing)} files of its manifest are missing, e.g. {missing[0]}; build it again")
    return found


def _as_parquet(path: Path, cache: Path) -> list[Path]:
    """In parts, by content, so that a file that was changed is written anew, and one of any size is never held whole."""
    name = hashlib.sha256(f"episodes 2 {path.suffix} {hash_file(path)}".encode()).hexdigest()[:24]
    listed = cache / f"{name}.json"
    if not listed.exists() or not all((cache / file).exists() for file in read_json(listed)):
        cache.mkdir(parents=True, exist_ok=True)
        write_json_atomic(listed, [Path(part["file"]).name for part in write_parts(cache, name, iter_episodes(path))])
    return [cache / file for file in read_json(listed)]


def _refuse_overlap(train: Sequence[DataFile], held_out: Sequence[DataFile]) -> None:
    trained = {hash_file(file.path): file for file in train} if held_out else {}
    for file in held_out:
        if (same := trained.get(hash_file(file.path))) is not None:
            raise DataError(str(file.path), f"it is held out, and its content is also trained on ({same.path}); leave one out")
