"""All sources by name. A source's module is imported when it is asked for, and its files are read when episodes are.

Beside them a name "ratings:FILE?..." is the source, and the task, of a file of ratings of one's own: see `ratings_task`. Its
FILE is a path, in which the data folder has no part.
"""

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
from pluralign.suite.known_overlap import is_left_out
from pluralign.suite.ratings_name import is_ratings_name
from pluralign.suite.ratings_task import source_of_file
from pluralign.suite.reading import present_files
from pluralign.suite.sampler import draw_episodes
from pluralign.suite.task import Strand, Task

__all__ = ["SOURCES", "all_evaluations", "all_tasks", "draw", "evaluation", "read", "source", "source_of", "strands_of", "task"]

_HERE = "pluralign.suite.sources"
SOURCES: dict[str, str] = {
    "ambient": f"{_HERE}.ambient",
    "annotation_paradigms": f"{_HERE}.annotation_paradigms",
    "arc": f"{_HERE}.arc",
    "babynames": f"{_HERE}.babynames",
    "bare": f"{_HERE}.bare",
    "binomial": f"{_HERE}.binomial",
    "bo_icl": f"{_HERE}.bo_icl",
    "cards": f"{_HERE}.cards",
    "categorical": f"{_HERE}.categorical",
    "ccai": f"{_HERE}.ccai",
    "changemyview": f"{_HERE}.changemyview",
    "chatbotarena": f"{_HERE}.chatbotarena",
    "closed_sets": f"{_HERE}.closed_sets",
    "coinflip": f"{_HERE}.coinflip",
    "collective_alignment": f"{_HERE}.collective_alignment",
    "color_names": f"{_HERE}.color_names",
    "community_alignment": f"{_HERE}.community_alignment",
    "dices": f"{_HERE}.dices",
    "diffuse_distribution": f"{_HERE}.diffuse_distribution",
    "drop": f"{_HERE}.drop",
    "elements": f"{_HERE}.elements",
    "flight": f"{_HERE}.flight",
    "generativesocialchoice": f"{_HERE}.generativesocialchoice",
    "geometric": f"{_HERE}.geometric",
    "geometric_beta": f"{_HERE}.geometric_beta",
    "globaloqa": f"{_HERE}.globaloqa",
    "gpqa": f"{_HERE}.gpqa",
    "gsm8k": f"{_HERE}.gsm8k",
    "gss_abortion": f"{_HERE}.gss_abortion",
    "habermas": f"{_HERE}.habermas",
    "haikus": f"{_HERE}.haikus",
    "hatespeech": f"{_HERE}.hatespeech",
    "hellaswag": f"{_HERE}.hellaswag",
    "helpsteer": f"{_HERE}.helpsteer",
    "hypergeometric": f"{_HERE}.hypergeometric",
    "imdb": f"{_HERE}.imdb",
    "issuebench": f"{_HERE}.issuebench",
    "jeopardy": f"{_HERE}.jeopardy",
    "lewidi": f"{_HERE}.lewidi",
    "mmlu": f"{_HERE}.mmlu",
    "mpi": f"{_HERE}.mpi",
    "multinomial": f"{_HERE}.multinomial",
    "negative_binomial": f"{_HERE}.negative_binomial",
    "netflix": f"{_HERE}.netflix",
    "normal": f"{_HERE}.normal",
    "novacomet": f"{_HERE}.novacomet",
    "numbergame": f"{_HERE}.numbergame",
    "nyt_books": f"{_HERE}.nyt_books",
    "offtherails": f"{_HERE}.offtherails",
    "opinionqa": f"{_HERE}.opinionqa",
    "opinionqa_groups": f"{_HERE}.opinionqa_groups",
    "poisson": f"{_HERE}.poisson",
    "polis": f"{_HERE}.polis",
    "popquorn": f"{_HERE}.popquorn",
    "prism": f"{_HERE}.prism",
    "rotten_tomatoes": f"{_HERE}.rotten_tomatoes",
    "simulated_people": f"{_HERE}.simulated_people",
    "states": f"{_HERE}.states",
    "titanic": f"{_HERE}.titanic",
    "toxicity_perspective": f"{_HERE}.toxicity_perspective",
    "truthful_qa": f"{_HERE}.truthful_qa",
    "urn": f"{_HERE}.urn",
    "us_car_models": f"{_HERE}.us_car_models",
    "valueconsistency": f"{_HERE}.valueconsistency",
    "valueprism": f"{_HERE}.valueprism",
    "verb_forms": f"{_HERE}.verb_forms",
    "winogrande": f"{_HERE}.winogrande",
    "wvs": f"{_HERE}.wvs",
    "zipfian": f"{_HERE}.zipfian",
}
"""Name of a source, which its card repeats, to its module, whose `SOURCE` it is."""


def source(name: str) -> Source:
    """The source of this name. Raises UsageError for an unknown one, naming the nearest."""
    if is_ratings_name(name):
        return source_of_file(name)
    if name not in SOURCES:
        raise UsageError(f"source {nearest_name(name, SOURCES)}")
    found: Source = importlib.import_module(SOURCES[name]).SOURCE
    return found


def source_of(task_name: str) -> Source:
    """The source that has the task or evaluation of this name. Raises UsageError for an unknown one, naming the nearest."""
    if is_ratings_name(task_name):
        return source_of_file(task_name)
    likely = [name for name in SOURCES if task_name.startswith(name)]
    for name in itertools.chain(likely, SOURCES):
        found = source(name)
        if any(one.name == task_name for one in (*found.tasks, *found.evaluations)):
            return found
    raise UsageError(f"task {nearest_name(task_name, [*all_tasks(), *all_evaluations()])}")


def task(name: str) -> Task:
    """The task of this name. Raises UsageError for an unknown one, naming the nearest."""
    for one in source_of(name).tasks:
        if one.name == name or is_ratings_name(name):
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
    asked = next(one for one in (*found.tasks, *found.evaluations) if one.name == name or is_ratings_name(name))
    present_files(found, data_dir, asked)
    return found.load(found.folder(data_dir))


def strands_of(drawn: Task, loaded: Any, seed: int, *, keep_overlap: bool = False) -> Iterator[Strand]:
    """The task's strands, made one by one, from what its source has read.

    A training task goes without the units that are known to be an evaluation's own answers (`known_overlap`), unless they are
    to be kept.
    """
    for strand in drawn.strands(loaded, seed):
        if keep_overlap or drawn.split == "test" or is_left_out(drawn.name, strand.unit) is None:
            yield strand


def draw(
    name: str,
    *,
    seed: int = 0,
    data_dir: Path | None = None,
    description_share: float | None = None,
    keep_overlap: bool = False,
) -> Iterator[Episode]:
    """The episodes of a task, made one by one; `data_dir` holds a folder for each source that has files.

    `description_share`: of the episodes, those that show their description, in place of the task's own. `keep_overlap`: with
    what is known to be an evaluation's own answers. Raises UsageError for an unknown task, DataError for files that are
    missing or cannot be used.
    """
    drawn = task(name)
    strands = strands_of(drawn, read(name, data_dir), seed, keep_overlap=keep_overlap)
    return draw_episodes(drawn, strands, seed=seed, description_share=description_share)
