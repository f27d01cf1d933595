"""A suite in files: parquet parts of episodes for each task, and a manifest that is there only when all of them are.

    config.json       what was asked: tasks, seed, hashes of the data
    steps/            one file per finished shard
    TASK/S-000.parquet   part 0 of shard S: the strands whose number leaves the remainder S
    manifest.json     what came: counts and hashes of every part

The folder is a run folder (`pluralign.runs`): it can be killed at any moment and started again, finished shards are kept, and
it refuses to go on with another configuration. How many processes share the work changes no byte.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import hashlib
import itertools
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pluralign.errors import PluralignError, RunError, UsageError
from pluralign.files import UNFINISHED, hash_file, read_json, write_json_atomic
from pluralign.runs import Run, RunConfig
from pluralign.suite.card import Simulated, Source
from pluralign.suite.parts import Part, write_parts
from pluralign.suite.ratings_name import is_ratings_name, portable_name
from pluralign.suite.reading import present_files
from pluralign.suite.registry import source, source_of, task
from pluralign.suite.sampler import draw_episodes

__all__ = ["N_SHARDS", "build"]

N_SHARDS = 4
"""Of a simulated task, unless it has fewer units; a task of files is one shard, since each shard would read them all."""

Tell = Callable[[str, int, int], None]
Shard = list[Part]


@dataclass(frozen=True, slots=True)
class _Job:
    asked: str
    """The name by which the task was asked for: its own, or that of a file of ratings."""
    task: str
    shard: int
    n_shards: int
    seed: int
    out: Path
    data_dir: Path | None

    @property
    def step(self) -> str:
        return f"{self.task}.{self.shard}"


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


def build(
    tasks: Sequence[str],
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    data_dir: str | os.PathLike[str] | None = None,
    n_processes: int = 1,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Draws these tasks into a folder; the manifest, which is also its manifest.json.

    `data_dir` holds a folder for each source that has files. `tell` is told the task, the shards done and their number. With
    more than one process, a script that calls this needs the usual `if __name__ == "__main__":`.

    Raises UsageError for tasks that are unknown, repeated or none; DataError for files that are missing or cannot be used,
    before anything is drawn where that can be seen; RunError for a folder that holds something else, or a full disk.
    """
    sources = _sources(tasks)
    data = None if data_dir is None else Path(data_dir)
    with Run.open(out, _config(tasks, seed, sources, data)) as run, contextlib.ExitStack() as after:
        after.callback(_loaded.cache_clear)  # a later build may find other data in the same place
        jobs = [job for name in tasks for job in _jobs(name, sources[name], seed, run.folder, data)]
        _tidy(run, tasks)
        open_jobs = [job for job in jobs if not _is_finished(run, job)]
        for done, (job, parts) in enumerate(_results(open_jobs, n_processes), len(jobs) - len(open_jobs) + 1):
            run.step(job.step, functools.partial(list, parts))
            if tell is not None:
                tell(job.task, done, len(jobs))
        manifest = _manifest(run, tasks, sources, jobs, seed)
        write_json_atomic(run.folder / "manifest.json", manifest)
    return manifest


def _sources(tasks: Sequence[str]) -> dict[str, Source]:
    if not tasks or len({task(name).name for name in tasks}) < len(tasks):
        raise UsageError("build needs the names of one task or more, each once.")
    return {name: source_of(name) for name in tasks}


def _config(tasks: Sequence[str], seed: int, sources: dict[str, Source], data: Path | None) -> RunConfig:
    """Data that are missing are found here, before a folder is made."""
    inputs = {}
    for name in tasks:
        found = sources[name]
        for file, path in present_files(found, data, task(name)).items():
            inputs[f"{found.card.name}/{file}"] = str(path)
    return RunConfig(command="suite build", arguments={"tasks": [*map(portable_name, tasks)]}, seed=seed, inputs=inputs)


def _jobs(name: str, found: Source, seed: int, out: Path, data: Path | None) -> list[_Job]:
    n_shards = min(N_SHARDS, found.card.units or N_SHARDS) if isinstance(found.card.access, Simulated) else 1
    return [_Job(name, task(name).name, shard, n_shards, seed, out, data) for shard in range(n_shards)]


def _tidy(run: Run, tasks: Sequence[str]) -> None:
    """Folders for the tasks, without what a killed process left unfinished; no manifest until there is a new one."""
    for name in tasks:
        folder = run.folder / task(name).name
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise RunError(f"{folder}: cannot be made: {error.strerror or error}; pass another folder.") from error
        for path in folder.glob(UNFINISHED):
            path.unlink(missing_ok=True)
    (run.folder / "manifest.json").unlink(missing_ok=True)


def _is_finished(run: Run, job: _Job) -> bool:
    """Its step is there and so are its parts, byte by byte; else the step is removed, to be taken again."""
    path = run.folder / "steps" / f"{job.step}.json"
    if not path.exists():
        return False
    parts = [(run.folder / part["file"], part["sha256"]) for part in read_json(path)]
    if all(file.exists() and hash_file(file) == sha256 for file, sha256 in parts):
        return True
    path.unlink()
    return False


def _results(jobs: Sequence[_Job], n_processes: int) -> Iterator[tuple[_Job, Shard]]:
    """Each job with its parts, as they are finished."""
    if n_processes == 1 or len(jobs) < 2:
        yield from ((job, _parts_of(job)) for job in jobs)
        return
    # spawned, not forked: a copy of a process with running threads may wait forever for a lock
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(min(n_processes, len(jobs)), mp_context=context) as pool:
        # tasks of a single shard first: they are the longest, and nothing should wait for one at the end
        waiting = {pool.submit(_in_process, job): job for job in sorted(jobs, key=lambda job: job.n_shards)}
        try:
            for future in concurrent.futures.as_completed(waiting):
                found = future.result()
                if isinstance(found, _Refusal):
                    raise found.error()
                yield waiting[future], found
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _in_process(job: _Job) -> Shard | _Refusal:
    try:
        return _parts_of(job)
    except PluralignError as error:
        return _Refusal(type(error), str(error), dict(error.__dict__))


def _parts_of(job: _Job) -> Shard:
    found = task(job.asked)
    name = job.asked if is_ratings_name(job.asked) else source_of(job.asked).card.name
    strands = found.strands(_loaded(name, job.data_dir), job.seed)
    mine = itertools.islice(strands, job.shard, None, job.n_shards)
    return write_parts(job.out / job.task, str(job.shard), draw_episodes(found, mine, seed=job.seed))


@functools.lru_cache(maxsize=1)
def _loaded(source_name: str, data_dir: Path | None) -> Any:
    """Kept for the source's next task, which usually follows."""
    found = source(source_name)
    return found.load(found.folder(data_dir))


def _manifest(run: Run, tasks: Sequence[str], sources: dict[str, Source], jobs: Sequence[_Job], seed: int) -> dict[str, Any]:
    parts: dict[str, list[Part]] = {name: [] for name in tasks}
    for job in jobs:
        parts[job.asked] += read_json(run.folder / "steps" / f"{job.step}.json")
    return {
        "seed": seed,
        "inputs_sha256": run.config["inputs_sha256"],
        "tasks": {task(name).name: _task_entry(name, sources[name], parts[name]) for name in tasks},
    }


def _task_entry(name: str, found: Source, parts: Sequence[Part]) -> dict[str, Any]:
    made = task(name)
    totals = {what: sum(part[what] for part in parts) for what in ("episodes", "outputs", "characters")}
    content = "".join(part["content_sha256"] for part in parts)
    return {
        "source": found.card.name,
        "kind": made.kind,
        "split": made.split,
        **totals,
        "content_sha256": hashlib.sha256(content.encode()).hexdigest(),
        "parts": list(parts),
    }
