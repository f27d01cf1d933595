"""All sources by name. A source's module is imported when it is asked for, and its files are read when episodes are."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pluralign.episodes import Episode
from pluralign.errors import UsageError, nearest_name
from pluralign.suite.card import Source
from pluralign.suite.evaluation import Evaluation
from pluralign.suite.reading import present_files
from pluralign.suite.sampler import draw_episodes
from pluralign.suite.task import Task

__all__ = ["SOURCES", "all_evaluations", "all_tasks", "draw", "evaluation", "read", "source", "source_of", "task"]

_HERE = "pluralign.suite.sources"
SOURCES: dict[str, str] = {
    "babynames": f"{_HERE}.babynames",
    "binomial": f"{_HERE}.binomial",
    "cards": f"{_HERE}.cards",
    "categorical": f"{_HERE}.categorical",
    "coinflip": f"{_HERE}.coinflip",
    "diffuse_distribution": f"{_HERE}.diffuse_distribution",
    "flight": f"{_HERE}.flight",
    "geometric": f"{_HERE}.geometric",
    "geometric_beta": f"{_HERE}.geometric_beta",
    "helpsteer": f"{_HERE}.helpsteer",
    "hypergeometric": f"{_HERE}.hypergeometric",
    "multinomial": f"{_HERE}.multinomial",
    "negative_binomial": f"{_HERE}.negative_binomial",
    "normal": f"{_HERE}.normal",
    "poisson": f"{_HERE}.poisson",
    "zipfian": f"{_HERE}.zipfian",
}
"""Name of a source, which its card repeats, to its module, whose `SOURCE` it is."""


def source(name: str) -> Source:
    """The source of this name. Raises UsageError for an unknown one, naming the nearest."""
    if name not in SOURCES:
        raise UsageError(f"source {nearest_name(name, SOURCES)}")
    found: Source = importlib.import_module(SOURCES[name]).SOURCE
    return found


def source_of(task_name: str) -> Source:
    """The source that has the task or evaluation of this name. Raises UsageError for an unknown one, naming the nearest."""
    likely = [name for name in SOURCES if task_name.startswith(name)]
    for name in itertools.chain(likely, SOURCES):
        found = source(name)
        if any(one.name == task_name for one in (*found.tasks, *found.evaluations)):
            return found
    raise UsageError(f"task {nearest_name(task_name, [*all_tasks(), *all_evaluations()])}")


def task(name: str) -> Task:
    """The task of this name. Raises UsageError for an unknown one, naming the nearest."""
    for one in source_of(name).tasks:
        if one.name == name:
            return one
    raise UsageError(f"{name} is an evaluation, which has no episodes; see `evaluation`.")


def evaluation(name: str) -> Evaluation:
    """The distributional or diverse-and-valid task of this name. Raises UsageError for an unknown one, naming the nearest."""
    for one in source_of(name).evaluations:
        if one.name == name:
            return one
    raise UsageError(f"{name} is a task of episodes, not an evaluation; see `task`.")


def all_tasks() -> dict[str, Task]:
    """Every task by name, source by source; imports them all, reads nothing."""
    return {one.name: one for name in SOURCES for one in source(name).tasks}


def all_evaluations() -> dict[str, Evaluation]:
    """Every distributional and diverse-and-valid task by name, source by source; imports them all, reads nothing."""
    return {one.name: one for name in SOURCES for one in source(name).evaluations}


def read(name: str, data_dir: Path | None = None) -> Any:
    """What the source of this task or evaluation reads from its files.

    Raises UsageError for an unknown name, DataError for files that are missing or cannot be used.
    """
    found = source_of(name)
    asked = next(one for one in (*found.tasks, *found.evaluations) if one.name == name)
    present_files(found, data_dir, asked)
    return found.load(found.folder(data_dir))


def draw(
    name: str, *, seed: int = 0, data_dir: Path | None = None, description_share: float | None = None
) -> Iterator[Episode]:
    """The episodes of a task, made one by one; `data_dir` holds a folder for each source that has files.

    `description_share`: of the episodes, those that show their description, in place of the task's own. Raises UsageError for
    an unknown task, DataError for files that are missing or cannot be used.
    """
    drawn = task(name)
    strands = drawn.strands(read(name, data_dir), seed)
    return draw_episodes(drawn, strands, seed=seed, description_share=description_share)
