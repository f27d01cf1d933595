"""Tasks in shards, worked on here or by several processes; how many there are changes nothing that comes out.

A shard is every so-manieth strand of a task. Errors that other processes state arrive whole.
"""

from __future__ import annotations

import concurrent.futures
import functools
import itertools
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pluralign.episodes import Episode
from pluralign.errors import PluralignError
from pluralign.suite.card import Simulated
from pluralign.suite.ratings_name import is_ratings_name
from pluralign.suite.registry import source, source_of, strands_of, task
from pluralign.suite.sampler import draw_episodes

__all__ = ["N_SHARDS", "Shard", "episodes_of", "forget_data", "shards_of", "work_on"]

N_SHARDS = 4
"""Of a simulated task, unless it has fewer units; a task of files is one shard, since each shard would read them all."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shard:
    """Part of a task, as another process can be told of it."""

    asked: str
    """The name by which the task was asked for: its own, or that of a file of ratings."""
    task: str
    number: int
    n_shards: int
    seed: int
    data_dir: Path | None
    keep_overlap: bool

    @property
    def step(self) -> str:
        """Its name in a run folder."""
        return f"{self.task}.{self.number}"


def shards_of(name: str, *, seed: int, data_dir: Path | None, keep_overlap: bool) -> list[Shard]:
    """The shards of a task. Raises UsageError for an unknown one."""
    found = source_of(name)
    n_shards = min(N_SHARDS, found.card.units or N_SHARDS) if isinstance(found.card.access, Simulated) else 1
    return [Shard(name, task(name).name, i, n_shards, seed, data_dir, keep_overlap) for i in range(n_shards)]


def episodes_of(shard: Shard) -> Iterator[Episode]:
    """The shard's episodes, made one by one."""
    drawn = task(shard.asked)
    name = shard.asked if is_ratings_name(shard.asked) else source_of(shard.asked).card.name
    strands = strands_of(drawn, _loaded(name, shard.data_dir), shard.seed, keep_overlap=shard.keep_overlap)
    return draw_episodes(drawn, itertools.islice(strands, shard.number, None, shard.n_shards), seed=shard.seed)


def forget_data() -> None:
    """So that what is asked for next is read anew: there may be other data in the same place."""
    _loaded.cache_clear()


@functools.lru_cache(maxsize=1)
def _loaded(source_name: str, data_dir: Path | None) -> Any:
    """Kept for the source's next task, which usually follows."""
    found = source(source_name)
    return found.load(found.folder(data_dir))


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A stated error on its way from another process, where its own constructor could not take it apart again."""

    kind: type[PluralignError]
    message: str
    state: dict[str, Any]

    def error(self) -> PluralignError:
        made = self.kind.__new__(self.kind, self.message)
        made.__dict__.update(self.state)
        return made


def work_on(shards: Sequence[Shard], work: Callable[[Shard], T], n_processes: int) -> Iterator[tuple[Shard, T]]:
    """Each shard with what `work`, which other processes must be able to import, makes of it; as they are finished.

    With more than one process, a script that calls this needs the usual `if __name__ == "__main__":`.
    """
    if n_processes == 1 or len(shards) < 2:
        yield from ((shard, work(shard)) for shard in shards)
        return
    # spawned, not forked: a copy of a process with running threads may wait forever for a lock
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(min(n_processes, len(shards)), mp_context=context) as pool:
        # tasks of a single shard first: they are the longest, and nothing should wait for one at the end
        ordered = sorted(shards, key=lambda shard: shard.n_shards)
        waiting = {pool.submit(_in_process, work, shard): shard for shard in ordered}
        try:
            for future in concurrent.futures.as_completed(waiting):
                found = future.result()
                if isinstance(found, _Refusal):
                    raise found.error()
                yield waiting[future], found
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _in_process(work: Callable[[Shard], T], shard: Shard) -> T | _Refusal:
    try:
        return work(shard)
    except PluralignError as error:
        return _Refusal(type(error), str(error), dict(error.__dict__))
