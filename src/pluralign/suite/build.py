"""A suite in files: parquet parts of episodes for each task, and a manifest that is there only when all of them are.

    config.json       what was asked: tasks, seed, mixture, hashes of the data
    steps/            one file per finished shard
    TASK/S-000.parquet   part 0 of shard S: the strands whose number leaves the remainder S
    manifest.json     what came: counts and hashes of every part

The folder is a run folder (`pluralign.runs`): it can be killed at any moment and started again, finished shards are kept, and
it refuses to go on with another configuration. How many processes share the work changes no byte.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pluralign.errors import RunError, UsageError
from pluralign.files import UNFINISHED, hash_file, read_json, write_json_atomic
from pluralign.runs import Run, RunConfig
from pluralign.stores import folder_here
from pluralign.suite.card import Source
from pluralign.suite.mixture import Amount, Mixture, mix
from pluralign.suite.parts import Part, write_parts
from pluralign.suite.ratings_name import portable_name
from pluralign.suite.reading import missing_files, present_files
from pluralign.suite.registry import source_of, task
from pluralign.suite.shards import Shard, forget_data, shards_of, work_on
from pluralign.suite.survey import Measure, SurveyShard, episodes_below, stock_of

__all__ = ["Plan", "build", "plan_build"]

Tell = Callable[[str, int, int], None]
Plan = Mapping[str, Amount]
"""Task to what is taken of it."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A build, but for where it goes."""

    tasks: tuple[str, ...]
    seed: int
    data_dir: Path | None
    mixture: Mixture
    measure: Measure | None
    keep_overlap: bool
    sources: Mapping[str, Source] = field(init=False)

    def __post_init__(self) -> None:
        """Raises UsageError for what cannot be asked."""
        names = [task(name).name for name in self.tasks]
        if not names or len(set(names)) < len(names):
            raise UsageError("build needs the names of one task or more, each once.")
        self.mixture.check_names(dict.fromkeys(names))
        if self.mixture.by == "loss_tokens" and self.measure is None:
            raise UsageError("a mixture by loss_tokens needs a tokenizer; pass one, or mix by sequences or outputs.")
        object.__setattr__(self, "sources", {name: source_of(name) for name in self.tasks})

    def shards(self) -> list[Shard]:
        data, keep = self.data_dir, self.keep_overlap
        return [one for name in self.tasks for one in shards_of(name, seed=self.seed, data_dir=data, keep_overlap=keep)]

    def config(self) -> RunConfig:
        """Data that are missing are found here, before a folder is made."""
        inputs = {}
        for name, found in self.sources.items():
            for file, path in present_files(found, self.data_dir, task(name)).items():
                inputs[f"{found.card.name}/{file}"] = str(path)
        arguments = {
            "tasks": [*map(portable_name, self.tasks)],
            "keep_overlap": self.keep_overlap,
            "mixture": _plain(self.mixture),
            "measure": None if self.measure is None else self.measure.key(),
        }
        return RunConfig(command="suite build", arguments=arguments, seed=self.seed, inputs=inputs)


def build(
    tasks: Sequence[str],
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    data_dir: str | os.PathLike[str] | None = None,
    mixture: Mixture | None = None,
    measure: Measure | None = None,
    keep_overlap: bool = False,
    n_processes: int = 1,
    tell: Tell | None = None,
    show_plan: Callable[[Plan], None] | None = None,
) -> dict[str, Any]:
    """Draws these tasks into a folder; the manifest, which is also its manifest.json.

    `data_dir` holds a folder for each source that has files. `mixture` says how much of each task is taken, all if not given;
    where it leaves something out, all is drawn once before, to be measured, and `show_plan` is told what will be taken.
    `measure` counts tokens (`tuning.TokenMeasure`). `keep_overlap`: with what is known to be an evaluation's own answers.
    `tell` is told the task, the shards done and their number. With more than one process, a script that calls this needs the
    usual `if __name__ == "__main__":`.

    Raises UsageError for tasks that are unknown, repeated or none; DataError for files that are missing or cannot be used,
    before anything is drawn where that can be seen; RunError for a folder that holds something else, or a full disk.
    """
    asked = _asked(tasks, seed, data_dir, mixture, measure, keep_overlap=keep_overlap)
    with Run.open(folder_here(out, "suite build"), asked.config()) as run, contextlib.ExitStack() as after:
        after.callback(forget_data)
        shards = asked.shards()
        plan = None
        if not asked.mixture.takes_all:
            plan = _planned(asked, shards, _surveyed(run, asked, shards, n_processes, tell))
            if show_plan is not None:
                show_plan(plan)
        _tidy(run, [shard.task for shard in shards])
        open_shards = [shard for shard in shards if not _is_finished(run, shard)]
        write = _Write(run.folder_here, asked.measure, {name: amount.below for name, amount in (plan or {}).items()})
        for done, (shard, parts) in enumerate(work_on(open_shards, write, n_processes), len(shards) - len(open_shards) + 1):
            run.step(shard.step, functools.partial(list, parts))
            if tell is not None:
                tell(shard.task, done, len(shards))
        manifest = _manifest(run, asked, shards, plan)
        write_json_atomic(run.folder / "manifest.json", manifest)
    return manifest


def plan_build(
    tasks: Sequence[str],
    *,
    seed: int = 0,
    data_dir: str | os.PathLike[str] | None = None,
    mixture: Mixture | None = None,
    measure: Measure | None = None,
    keep_overlap: bool = False,
    n_processes: int = 1,
    tell: Tell | None = None,
) -> Plan:
    """What `build` would take of each task, counted by the mixture's measure; everything is drawn, nothing is written."""
    asked = _asked(tasks, seed, data_dir, mixture, measure, keep_overlap=keep_overlap)
    asked.config()
    shards = asked.shards()
    surveys = {}
    try:
        for done, (shard, survey) in enumerate(work_on(shards, SurveyShard(measure), n_processes), 1):
            surveys[shard.step] = survey
            if tell is not None:
                tell(shard.task, done, len(shards))
    finally:
        forget_data()
    return _planned(asked, shards, surveys)


def _asked(
    tasks: Sequence[str],
    seed: int,
    data_dir: str | os.PathLike[str] | None,
    mixture: Mixture | None,
    measure: Measure | None,
    *,
    keep_overlap: bool,
) -> _Asked:
    return _Asked(tuple(tasks), seed, None if data_dir is None else Path(data_dir), mixture or Mixture(), measure, keep_overlap)


def _plain(mixture: Mixture) -> dict[str, Any]:
    return {
        "by": mixture.by,
        "total": mixture.total,
        "cap": mixture.cap,
        "caps": dict(sorted(mixture.caps.items())),
        "weights": dict(sorted(mixture.weights.items())),
    }


_Survey = dict[str, list[float]]


def _surveyed(run: Run, asked: _Asked, shards: Sequence[Shard], n_processes: int, tell: Tell | None) -> dict[str, _Survey]:
    """Step to survey; those that are in the run folder already are not made again."""
    names = {shard.step: f"{shard.step}.survey" for shard in shards}
    missing = [shard for shard in shards if not (run.folder / "steps" / f"{names[shard.step]}.json").exists()]
    for done, (shard, survey) in enumerate(work_on(missing, SurveyShard(asked.measure), n_processes), 1):
        run.step(names[shard.step], functools.partial(dict, survey))
        if tell is not None:
            tell(shard.task, done, len(missing))
    return {step: read_json(run.folder / "steps" / f"{name}.json") for step, name in names.items()}


def _planned(asked: _Asked, shards: Sequence[Shard], surveys: Mapping[str, _Survey]) -> Plan:
    by_task: dict[str, list[_Survey]] = {}
    for shard in shards:
        by_task.setdefault(shard.task, []).append(surveys[shard.step])
    return mix({name: stock_of(several, asked.mixture.by) for name, several in by_task.items()}, asked.mixture)


def _tidy(run: Run, tasks: Sequence[str]) -> None:
    """Folders for the tasks, without what a killed process left unfinished; no manifest until there is a new one."""
    for name in dict.fromkeys(tasks):
        folder = run.folder / name
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise RunError(f"{folder}: cannot be made: {error.strerror or error}; pass another folder.") from error
        for path in folder.glob(UNFINISHED):
            path.unlink(missing_ok=True)
    (run.folder / "manifest.json").unlink(missing_ok=True)


def _is_finished(run: Run, shard: Shard) -> bool:
    """Its step is there and so are its parts, byte by byte; else the step is removed, to be taken again."""
    path = run.folder / "steps" / f"{shard.step}.json"
    if not path.exists():
        return False
    parts = [(run.folder / part["file"], part["sha256"]) for part in read_json(path)]
    if all(file.exists() and hash_file(file) == sha256 for file, sha256 in parts):
        return True
    path.unlink()
    return False


@dataclass(frozen=True, slots=True)
class _Write:
    """The work of writing a shard."""

    out: Path
    measure: Measure | None
    below: Mapping[str, float | None]

    def __call__(self, shard: Shard) -> list[Part]:
        episodes = episodes_below(shard, self.below.get(shard.task))
        return write_parts(self.out / shard.task, str(shard.number), episodes, self.measure)


def _manifest(run: Run, asked: _Asked, shards: Sequence[Shard], plan: Plan | None) -> dict[str, Any]:
    parts: dict[str, list[Part]] = {}
    for shard in shards:
        parts.setdefault(shard.asked, []).extend(read_json(run.folder / "steps" / f"{shard.step}.json"))
    entries = {}
    for name, found in asked.sources.items():
        entry = _task_entry(name, found, parts[name])
        missing = missing_files(found, asked.data_dir, task(name))
        amount = None if plan is None else plan[task(name).name]
        taken = {} if amount is None else {"of_episodes": amount.of_sequences, "of_size": amount.of_size, "size": amount.size}
        entries[task(name).name] = entry | taken | ({"missing_files": missing} if missing else {})
    arguments = run.config["arguments"]
    return {
        "seed": asked.seed,
        "inputs_sha256": run.config["inputs_sha256"],
        **{key: arguments[key] for key in ("keep_overlap", "mixture", "measure")},
        "tasks": entries,
    }


def _task_entry(name: str, found: Source, parts: Sequence[Part]) -> dict[str, Any]:
    made = task(name)
    counted = ("episodes", "outputs", "characters", "tokens", "loss_tokens")
    totals = {what: sum(part[what] for part in parts) for what in counted if all(what in part for part in parts)}
    content = "".join(part["content_sha256"] for part in parts)
    return {
        "source": found.card.name,
        "kind": made.kind,
        "split": made.split,
        **totals,
        "content_sha256": hashlib.sha256(content.encode()).hexdigest(),
        "parts": list(parts),
    }
