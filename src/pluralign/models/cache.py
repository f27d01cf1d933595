"""Answers that were paid for once: a file of them (SQLite) that several processes share, and a model that looks there first.

Safe to kill: what `put_many` has returned from stays, and nothing is ever half there. After a loss of power the last answers
may be missing, and are asked for again; the file is whole. Answers are JSON, never pickles, so that a file from elsewhere can
do no harm beyond wrong answers. Failures are not kept: a refusal, a malformed reply or none is asked for again.

Not for a network file system, where SQLite's locks do not hold: set PLURALIGN_CACHE to a local path.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, final

from pluralign.episodes import Episode
from pluralign.errors import RunError, UsageError, nearest_name
from pluralign.models.answers import (
    options_from_json,
    options_to_json,
    outputs_from_json,
    outputs_to_json,
    request_key,
    sample_from_json,
    sample_to_json,
)
from pluralign.models.cache_file import advice, connect, transaction
from pluralign.models.protocol import (
    LanguageModel,
    OptionLogprobs,
    OutputLogprobs,
    Query,
    Sample,
    SamplingSettings,
    Usage,
)

__all__ = ["CacheStats", "CachedModel", "ModelStats", "ResponseCache", "default_cache_path", "remembered"]

CHUNK = 256
"""Requests that go to the model before their answers are kept."""
_KEYS_AT_ONCE = 500
_abandoned: list[sqlite3.Connection] = []  # of a parent process: closing one in a child could undo the parent's locks

T = TypeVar("T")
K = TypeVar("K")


def default_cache_path() -> Path:
    """$PLURALIGN_CACHE; without it pluralign/responses.sqlite in $XDG_CACHE_HOME or ~/.cache."""
    if named := os.environ.get("PLURALIGN_CACHE"):
        return Path(named).expanduser()
    folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return folder / "pluralign" / "responses.sqlite"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStats:
    """What is kept of one model."""

    model: str
    entries: int
    bytes: int
    """Of the answers themselves."""
    oldest: float
    """When the first was kept, seconds since 1970."""
    newest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """What is kept."""

    path: str
    entries: int
    bytes: int
    """Of the file on disk."""
    models: tuple[ModelStats, ...]
    """In the order of their names."""


@final
class ResponseCache:
    """A file of answers. May be used by several threads, and be open in several processes at once.

    Raises RunError for a file that is damaged or another program's, and where the disk refuses.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = default_cache_path() if path is None else Path(path)
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._process = os.getpid()
        self._with(lambda connection: None)

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, Any]:
        """The values of those keys that are there."""

        def read(connection: sqlite3.Connection) -> dict[bytes, Any]:
            found: dict[bytes, Any] = {}
            for start in range(0, len(keys), _KEYS_AT_ONCE):
                some = keys[start : start + _KEYS_AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = connection.execute(f"SELECT key, value FROM responses WHERE key IN ({marks})", some)
                found |= {bytes(key): json.loads(value) for key, value in rows}
            return found

        return self._with(read)

    def put_many(self, pairs: Mapping[bytes, Any], *, model: str = "") -> None:
        """Keeps all values (JSON) or none; when this returns, they outlive the process. What is there already stays.

        `model` is the name under which `stats` counts them. Raises UsageError for a value that is not JSON.
        """
        now = time.time()
        try:
            rows = [(key, model, now, json.dumps(value, allow_nan=False)) for key, value in pairs.items()]
        except (TypeError, ValueError) as error:
            raise UsageError(f"a value for the response cache must be JSON, with finite numbers: {error}") from error

        def write(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                connection.executemany("INSERT OR IGNORE INTO responses VALUES (?, ?, ?, ?)", rows)

        if rows:
            self._with(write)

    def stats(self) -> CacheStats:
        """How much is kept, and of which models."""
        query = (
            "SELECT model, COUNT(*), SUM(LENGTH(CAST(value AS BLOB))), MIN(created), MAX(created) "
            "FROM responses GROUP BY model ORDER BY model"
        )
        rows = self._with(lambda connection: connection.execute(query).fetchall())
        models = tuple(
            ModelStats(model=model, entries=entries, bytes=size, oldest=oldest, newest=newest)
            for model, entries, size, oldest, newest in rows
        )
        files = [self.path, self.path.with_name(self.path.name + "-wal")]
        size = sum(file.stat().st_size for file in files if file.exists())
        return CacheStats(path=str(self.path), entries=sum(m.entries for m in models), bytes=size, models=models)

    def clear(self, model: str | None = None) -> int:
        """Removes the answers of this model, or all; how many there were. Raises UsageError for an unknown model."""
        known = [one.model for one in self.stats().models]
        if model is not None and model not in known:
            raise UsageError(f"{self.path} has no answers of the model {nearest_name(model, known)}")

        def remove(connection: sqlite3.Connection) -> int:
            which = "" if model is None else " WHERE model = ?"
            with transaction(connection):
                n = connection.execute(f"DELETE FROM responses{which}", () if model is None else (model,)).rowcount
            with contextlib.suppress(sqlite3.OperationalError):  # another process reads: the space is given back later
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return n

        return self._with(remove)

    def close(self) -> None:
        """Lets go of the file. Closing twice does no harm; the next use opens it again."""
        with self._lock:
            if self._connection is not None and self._process == os.getpid():
                self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _with(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._process != os.getpid():  # a fork: neither connection nor lock may cross it
            if self._connection is not None:
                _abandoned.append(self._connection)
            self._connection, self._lock, self._process = None, threading.Lock(), os.getpid()
        try:
            with self._lock:
                if self._connection is None:
                    self._connection = connect(self.path)
                return work(self._connection)
        except (sqlite3.Error, OSError, ValueError) as error:
            raise RunError(f"{self.path}: the response cache cannot be used: {error}; {advice(error)}") from error


class CachedModel:
    """A model whose answers are looked up first, and kept; equal requests in one call go to the model once."""

    def __init__(self, model: LanguageModel, cache: ResponseCache) -> None:
        self.inner = model
        self.cache = cache
        self._n_remembered = 0

    @property
    def name(self) -> str:
        """The inner model's."""
        return self.inner.name

    @property
    def usage(self) -> Usage:
        """The inner model's, and how many requests were answered from the cache."""
        return replace(self.inner.usage, cached=self.inner.usage.cached + self._n_remembered)

    def fingerprint(self) -> str:
        """The inner model's."""
        return self.inner.fingerprint()

    def request_bytes(self, asked: Sequence[Query | Episode]) -> list[bytes]:
        """The inner model's."""
        return self.inner.request_bytes(asked)

    def option_logprobs(self, queries: Sequence[Query]) -> list[OptionLogprobs]:
        """See `LanguageModel`."""
        parameters = [{"options": query.asked_options} for query in queries]
        return self._answered(
            self._keys("option_logprobs", queries, parameters),
            lambda places: self.inner.option_logprobs([queries[n] for n in places]),
            options_to_json,
            lambda n, value: options_from_json(queries[n].asked_options, value),
        )

    def output_logprobs(self, episodes: Sequence[Episode]) -> list[OutputLogprobs]:
        """See `LanguageModel`."""
        return self._answered(
            self._keys("output_logprobs", episodes, [{}] * len(episodes)),
            lambda places: self.inner.output_logprobs([episodes[n] for n in places]),
            outputs_to_json,
            lambda n, value: outputs_from_json(value),
        )

    def sample(self, queries: Sequence[Query], settings: SamplingSettings) -> list[list[Sample]]:
        """Each sample is kept by its number, so that fewer samples than before cost nothing.

        Where some of a query's samples are kept and some are not, all are drawn, and those that are kept stay as they were.
        """
        drawn_by = {name: getattr(settings, name) for name in ("max_tokens", "temperature", "top_p", "top_k", "seed")}
        each = [{**drawn_by, "sample": i} for i in range(settings.n)]
        fingerprint, requests = self.fingerprint(), self.request_bytes(queries)
        keys = [tuple(request_key(fingerprint, "sample", request, one) for one in each) for request in requests]
        first = _first_places(keys)
        kept = {key: sample_from_json(value) for key, value in self.cache.get_many([k for some in first for k in some]).items()}
        self._n_remembered += sum(all(key in kept for key in some) for some in keys)
        samples = {some: [kept[key] for key in some] for some in first if all(key in kept for key in some)}
        missing = [some for some in first if some not in samples]
        at_once = max(1, CHUNK // settings.n)
        for start in range(0, len(missing), at_once):
            chunk = missing[start : start + at_once]
            drawn = self.inner.sample([queries[first[some]] for some in chunk], settings)
            new = {key: one for some, ones in zip(chunk, drawn, strict=True) for key, one in zip(some, ones, strict=True)}
            self._keep({key: sample_to_json(one) for key, one in new.items() if key not in kept})
            samples |= {some: [kept.get(key, new[key]) for key in some] for some in chunk}
        return [samples[some] for some in keys]

    def _answered(
        self,
        keys: Sequence[bytes],
        ask: Callable[[list[int]], list[T]],
        pack: Callable[[T], Any],
        unpack: Callable[[int, Any], T],
    ) -> list[T]:
        found, n_remembered = remembered(self.cache, keys, ask, pack, unpack, model=self.name)
        self._n_remembered += n_remembered
        return found

    def _keep(self, packed: Mapping[bytes, Any]) -> None:
        self.cache.put_many({key: value for key, value in packed.items() if value is not None}, model=self.name)

    def _keys(self, verb: str, asked: Sequence[Query | Episode], parameters: Sequence[Mapping[str, Any]]) -> list[bytes]:
        name, requests = self.fingerprint(), self.request_bytes(asked)
        return [request_key(name, verb, request, some) for request, some in zip(requests, parameters, strict=True)]


def remembered(
    cache: ResponseCache,
    keys: Sequence[bytes],
    ask: Callable[[list[int]], list[T]],
    pack: Callable[[T], Any],
    unpack: Callable[[int, Any], T],
    *,
    model: str,
    at_once: int = CHUNK,
) -> tuple[list[T], int]:
    """The answer of each key, and how many were remembered; `ask` gets the places of the others, equal ones once.

    `pack` makes JSON of an answer, or None of one that is not to be kept; `unpack` makes an answer of a place and its JSON.
    `at_once` answers are asked for before they are kept.
    """
    first = _first_places(keys)
    found = {key: unpack(first[key], value) for key, value in cache.get_many(list(first)).items()}
    n_remembered = sum(key in found for key in keys)
    missing = [key for key in first if key not in found]
    for start in range(0, len(missing), at_once):
        chunk = missing[start : start + at_once]
        answers = dict(zip(chunk, ask([first[key] for key in chunk]), strict=True))
        packed = {key: pack(answer) for key, answer in answers.items()}
        cache.put_many({key: value for key, value in packed.items() if value is not None}, model=model)
        found |= answers
    return [found[key] for key in keys], n_remembered


def _first_places(keys: Iterable[K]) -> dict[K, int]:
    """Where each key stands first, in that order."""
    first: dict[K, int] = {}
    for n, key in enumerate(keys):
        first.setdefault(key, n)
    return first
