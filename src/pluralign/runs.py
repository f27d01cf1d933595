"""A run folder: what was asked, what is finished, what was found; it can be killed at any moment and started again.

    config.json      command, arguments, seed, hashes of the inputs, versions, git commit, time of the first start
    steps/           one file per finished step: NAME.json or NAME.parquet
    records.parquet  every scored rating
    results.json     what was found
    .lock            held while a process works in the folder

A file is under its final name only when it is whole: it is written beside it, flushed to the disk, then renamed. So a
finished step is a file that exists, and there is no other state to keep. Files that are not named above are never touched,
except our own unfinished ones (.pluralign-*.tmp), which the next start removes.

The folder may be a URL of an object store (`stores`), with the same files as objects. There is no lock there: a lock that
outlives a lost machine would have to be waited for. It is not needed, because a step's object is created only if there is none
(If-None-Match), and what counts is what is read back; so of two processes at the same run the one that is first with a step
has it, the other goes on with that, and no record is lost or there twice. They may only do the same work at once.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, final

from pluralign import __version__
from pluralign.errors import RunError
from pluralign.files import (
    UNFINISHED,
    atomic_write,
    hash_file,
    hash_folder,
    read_json,
    write_json_atomic,
    write_text_atomic,
)
from pluralign.locks import locked_file
from pluralign.stored_files import read_parquet, scan_parquet
from pluralign.stores import Place, Url, folder_here, place

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "Run",
    "RunConfig",
    "atomic_write",
    "hash_file",
    "hash_folder",
    "read_json",
    "write_json_atomic",
    "write_text_atomic",
]

DEPENDENCIES = ("numpy", "scipy", "polars", "scikit-learn", "torch", "transformers", "peft")
"""Packages whose versions can change a number; those that are not installed are left out."""
_STEP_NAME = re.compile(r"[a-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What makes two runs the same run: if all of this is equal, finished steps of one are good for the other."""

    command: str
    """The verb: "study"."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Everything that changes a result, JSON values only; not where the data lie nor where the results go."""
    seed: int = 0
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Role ("file") to path, a file or a folder; only the contents count, so they may be moved."""

    def key(self) -> dict[str, Any]:
        """Command, arguments, seed, input hashes and the version up to which results are comparable, as JSON values."""
        hashes = {role: _hash_input(role, path) for role, path in sorted(self.inputs.items())}
        key = {
            "command": self.command,
            "arguments": dict(sorted(self.arguments.items())),
            "seed": self.seed,
            "inputs_sha256": hashes,
            "compatible_version": _compatible_version(__version__),
        }
        try:
            plain: dict[str, Any] = json.loads(json.dumps(key, allow_nan=False))
        except (ValueError, TypeError) as error:
            raise RunError(f"the arguments of a run must be JSON values: {error}") from error
        return plain


@final
class Run:
    """An open run folder. Close it, or use it in a `with` block: until then no other process can open it on this machine."""

    def __init__(self, folder: Place, config: dict[str, Any], lock: IO[bytes] | None, *, resumed: bool) -> None:
        self.folder = folder
        self.config = config
        """The content of config.json."""
        self.resumed = resumed
        """True when the folder held a run of the same configuration."""
        self._lock = lock

    @classmethod
    def open(cls, folder: str | os.PathLike[str], config: RunConfig) -> Run:
        """Start a run in `folder`, a path or a URL of a store, or go on with the one that is there.

        Raises RunError when the folder holds another run (the message says what differs), files that a run would overwrite,
        when another process works in it, or when it cannot be written to.
        """
        root = place(folder)
        try:
            lock = _claimed(root)
        except OSError as error:
            raise RunError(f"{root}: no run folder can be made here: {error.strerror or error}; pass another --out.") from error
        try:
            key = config.key()
            written = _written_config(root)
            if written is None:
                _refuse_strangers(root)
                write_json_atomic(root / "config.json", {**key, **_surroundings(config)}, keep_first=True)
            content = _written_config(root) or {}
            _refuse_another(root, content, key)
            if isinstance(root, Path):
                _remove_unfinished(root)
        except BaseException:
            if lock is not None:
                lock.close()
            raise
        return cls(root, content, lock, resumed=written is not None)

    @property
    def folder_here(self) -> Path:
        """The folder on this machine. Raises UsageError for a URL, where the work needs files on the disk."""
        return folder_here(self.folder, f"pluralign {self.config['command']}")

    def close(self) -> None:
        """Let other processes have the folder. Closing twice does no harm."""
        if self._lock is not None:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def step(self, name: str, compute: Callable[[], Any]) -> Any:
        """The result of a step as JSON values: read if the step is finished, else computed and written.

        What comes back has been through JSON either way (tuples are lists, keys are text), so that a run that was resumed
        sees what one that was not sees.
        """
        path = self._step_path(name, "json")
        if not _is_there(path):
            write_json_atomic(path, compute(), keep_first=True)
        return read_json(path)

    def step_table(self, name: str, compute: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """The same for a step whose result is a table; it is kept as parquet."""
        path = self._step_path(name, "parquet")
        if not _is_there(path):
            _write_parquet(path, compute(), keep_first=True)
        return _read_parquet(path)

    def finished_steps(self) -> list[str]:
        """Names of the finished steps, sorted."""
        files = [PurePath(name) for name in _names(self.folder) if name.startswith("steps/")]
        return sorted(f.stem for f in files if f.suffix in (".json", ".parquet") and _STEP_NAME.fullmatch(f.stem))

    def write_records(self, records: pl.DataFrame) -> Place:
        """records.parquet: every scored rating; the path."""
        return self.write_table("records.parquet", records)

    def write_table(self, name: str, table: pl.DataFrame) -> Place:
        """Another table of the run, NAME.parquet; the path. The name is a constant of the code, like a step's."""
        path = self.folder / _checked_name(name)
        _write_parquet(path, table)
        return path

    def scan_steps(self, steps: Sequence[str]) -> pl.LazyFrame:
        """The tables of these finished steps one behind the other, read as far as they are asked for."""
        return self._scan(*(self._step_path(step, "parquet") for step in steps))

    def sink_table(self, name: str, rows: pl.LazyFrame) -> pl.LazyFrame:
        """As `write_table`, for rows that need not fit into memory, such as those of `scan_steps`; the table, to be scanned."""
        path = self.folder / _checked_name(name)
        with _said(path), atomic_write(path) as file:
            rows.sink_parquet(file)
        return self._scan(path)

    def _scan(self, *paths: Place) -> pl.LazyFrame:
        try:
            return scan_parquet(*paths)
        except OSError as error:
            raise RunError(f"{self.folder}: cannot be read: {error.strerror or error}.") from error

    def write_results(self, results: Mapping[str, Any]) -> Place:
        """results.json; the path."""
        path = self.folder / "results.json"
        write_json_atomic(path, dict(results))
        return path

    def write_text(self, name: str, text: str) -> Place:
        """Another file of the run, such as "report.html"; the path. The name is a constant of the code, like a step's."""
        path = self.folder / _checked_name(name)
        write_text_atomic(path, text)
        return path

    def _step_path(self, name: str, suffix: str) -> Place:
        return self.folder / "steps" / f"{_checked_name(name)}.{suffix}"


def _checked_name(name: str) -> str:
    if not _STEP_NAME.fullmatch(name) or name.startswith("."):
        raise RunError(f"{name!r} is no name of a step or file: use a-z, 0-9, '.', '_', '-', and no '.' in front.")
    return name


def _write_parquet(path: Place, table: pl.DataFrame, *, keep_first: bool = False) -> None:
    with _said(path), atomic_write(path, keep_first=keep_first) as file:
        table.write_parquet(file)


@contextlib.contextmanager
def _said(path: Place) -> Iterator[None]:
    import polars as pl

    try:
        yield
    except pl.exceptions.PolarsError as error:  # polars may wrap what the disk said
        raise RunError(f"{path}: cannot be written: {error}; what was there before is unchanged.") from error


def _read_parquet(path: Place) -> pl.DataFrame:
    import polars as pl

    try:
        return read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        why = getattr(error, "strerror", None) or error
        raise RunError(f"{path}: cannot be read as parquet: {why}; remove the file to have it made again.") from error


def _is_there(path: Place) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}.") from error


def _names(root: Place) -> list[str]:
    """What is in a run folder and in its steps, relative to it, sorted."""
    try:
        if isinstance(root, Url):
            return root.names()
        return sorted(path.relative_to(root).as_posix() for path in (*root.iterdir(), *(root / "steps").iterdir()))
    except OSError as error:
        raise RunError(f"{root}: cannot be read: {error.strerror or error}; pass another --out.") from error


def _hash_input(role: str, path: str) -> str:
    try:
        return hash_folder(path) if place(path).is_dir() else hash_file(path)
    except OSError as error:
        raise RunError(f"{path}: the input '{role}' cannot be read: {error.strerror or error}.") from error


def _compatible_version(version: str) -> str:
    """The part of a version within which results are comparable: "1" of 1.4.2, but "0.3" of 0.3.1.

    >>> _compatible_version("0.3.1"), _compatible_version("2.0.0")
    ('0.3', '2')
    """
    major, minor, *_ = version.split(".")
    return f"{major}.{minor}" if major == "0" else major


def _written_config(root: Place) -> dict[str, Any] | None:
    path = root / "config.json"
    if not _is_there(path):
        return None
    content = read_json(path)
    if not isinstance(content, dict):
        raise RunError(f"{path}: this is not the configuration of a run; pass another --out.")
    return content


def _refuse_strangers(root: Place) -> None:
    names = [name for name in _names(root) if name in ("records.parquet", "results.json") or name.startswith("steps/")]
    strangers = [name for name in names if not PurePath(name).match(UNFINISHED)]
    if strangers:
        raise RunError(
            f"{root}: there is no config.json, but files that a run would write: {', '.join(strangers[:5])}; "
            "pass another --out, or move them away."
        )


def _refuse_another(root: Place, written: Mapping[str, Any], key: Mapping[str, Any]) -> None:
    # an argument that is missing counts as null, so that a new optional one leaves older runs resumable
    differences = [
        f"{name}: there {_short(old)}, asked {_short(new)}"
        for name, (old, new) in _pairs("", {name: written.get(name) for name in key}, key)
        if old != new
    ]
    if differences:
        listed = "\n".join(f"  - {line}" for line in differences)
        raise RunError(f"{root} holds another run:\n{listed}\nPass another --out, or remove the folder to start anew.")


def _pairs(prefix: str, old: Any, new: Any) -> Iterator[tuple[str, tuple[Any, Any]]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping) and (old or new):
        for name in sorted({*old, *new}):
            yield from _pairs(f"{prefix}.{name}" if prefix else name, old.get(name), new.get(name))
    else:
        yield prefix, (old, new)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _surroundings(config: RunConfig) -> dict[str, Any]:
    """What does not decide whether two runs are the same, but is good to know later."""
    return {
        "inputs": dict(config.inputs),
        "pluralign_version": __version__,
        "python_version": platform.python_version(),
        "dependency_versions": _dependency_versions(),
        "git_commit": _git_commit(),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _dependency_versions() -> dict[str, str]:
    versions = {}
    for name in DEPENDENCIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def _git_commit() -> str | None:
    """Of the repository that the working directory lies in; None without one, or without git."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _remove_unfinished(root: Path) -> None:
    """Our own half-written files of a process that was killed; we hold the lock, so nobody is writing them."""
    for folder in (root, root / "steps"):
        for path in folder.glob(UNFINISHED):
            path.unlink(missing_ok=True)


def _claimed(root: Place) -> IO[bytes] | None:
    """The folder made if it is missing, and its lock. Raises OSError, and RunError where another process has it."""
    if isinstance(root, Url):
        return None
    (root / "steps").mkdir(parents=True, exist_ok=True)
    return locked_file(root / ".lock")
