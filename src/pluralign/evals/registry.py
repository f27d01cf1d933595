"""Every evaluation by name, as literal data; one is imported when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pluralign.errors import UsageError, nearest_name

if TYPE_CHECKING:
    from pluralign.evals.kinds import EvaluationKind

__all__ = ["ASK_AGAIN", "DEFAULTS", "KINDS", "WHEN_NAMED", "WITH_FILE", "chosen", "kind"]

KINDS = {
    "steerability": "pluralign.evals.steerability:STEERABILITY",
    "alignment": "pluralign.evals.alignment:ALIGNMENT",
    "coverage": "pluralign.evals.coverage:COVERAGE",
    "sensitivity": "pluralign.evals.sensitivity_kind:SENSITIVITY",
    "elicitation": "pluralign.evals.elicitation_kind:ELICITATION",
    "verbalized-coverage": "pluralign.evals.coverage:VERBALIZED_COVERAGE",
    "overton": "pluralign.evals.overton:OVERTON",
    "jury": "pluralign.evals.jury:JURY",
    "tradeoff": "pluralign.evals.tradeoff:TRADEOFF",
}
"""Name to module and object. Tasks of the first six are the suite's, the others are asked with files."""
DEFAULTS = {
    "steerability": "pluralign.evals.steerability:held_out_tasks",
    "sensitivity": "pluralign.evals.sensitivity_kind:usual_tasks",
    "elicitation": "pluralign.evals.sensitivity_kind:usual_tasks",
}
"""What gives the tasks that an evaluation asks unless some are named; the others ask all."""
ASK_AGAIN = {"sensitivity": "alignment", "elicitation": "alignment", "verbalized-coverage": "coverage"}
"""Evaluations that ask the tasks of another one in other ways. The name of a task means that one, EVALUATION/TASK these."""
WHEN_NAMED = ("elicitation", "verbalized-coverage")
"""Evaluations that are not asked unless they are named, since a question takes many requests: their modules say how many."""
WITH_FILE = {
    "episodes:": "steerability",
    "ratings:": "alignment",
    "overton:": "overton",
    "jury:": "jury",
    "tradeoff:": "tradeoff",
}
"""Beginnings of tasks that are made of a file, which no list of tasks has, and the evaluation that asks them."""


def kind(name: str) -> EvaluationKind:
    """The evaluation of this name. Raises UsageError for an unknown one, naming the nearest."""
    if name not in KINDS:
        raise UsageError(f"evaluation {nearest_name(name, KINDS)}")
    found: EvaluationKind = _named(KINDS[name])
    return found


def _named(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _default_tasks(name: str) -> Sequence[str]:
    found: Sequence[str] = _named(DEFAULTS[name])() if name in DEFAULTS else kind(name).tasks()
    return found


def chosen(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Pairs of evaluation and task: the usual ones of all if there are no names, else of these evaluations and tasks.

    A name is an evaluation's, a task's, EVALUATION/TASK, or a file with what it is: "episodes:FILE", "ratings:FILE", or
    "sensitivity/ratings:FILE" where an evaluation asks such files again. Raises UsageError for one that is none of them.
    """
    usual = {name: [(name, task) for task in _default_tasks(name)] for name in KINDS}
    if not names:
        return [pair for name, pairs in usual.items() if name not in WHEN_NAMED for pair in pairs]
    every = [(name, task) for name in KINDS for task in kind(name).tasks()]
    found: dict[tuple[str, str], None] = {}
    for name in names:
        wanted = usual.get(name) or [pair for pair in every if name in _names_of(pair)] or _of_file(name)
        if not wanted:
            raise UsageError(f"task {nearest_name(name, [*KINDS, *dict.fromkeys(task for _, task in every)])}")
        found |= dict.fromkeys(wanted)
    return list(found)


def _names_of(pair: tuple[str, str]) -> Sequence[str]:
    evaluation, task = pair
    return ["/".join(pair)] if evaluation in ASK_AGAIN else ["/".join(pair), task]


def _of_file(name: str) -> list[tuple[str, str]]:
    """What asks a task that is made of a file; nothing for another name."""
    again, _, rest = name.partition("/")
    for beginning, asks in WITH_FILE.items():
        if name.startswith(beginning):
            return [(asks, name)]
        if ASK_AGAIN.get(again) == asks and rest.startswith(beginning):
            return [(again, rest)]
    return []
