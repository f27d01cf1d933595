"""Every evaluation by name, as literal data; one is imported when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pluralign.errors import UsageError, nearest_name

if TYPE_CHECKING:
    from pluralign.evals.kinds import EvaluationKind

__all__ = ["DEFAULTS", "KINDS", "WITH_FILE", "chosen", "kind"]

KINDS = {
    "steerability": "pluralign.evals.steerability:STEERABILITY",
    "alignment": "pluralign.evals.alignment:ALIGNMENT",
    "coverage": "pluralign.evals.coverage:COVERAGE",
    "overton": "pluralign.evals.overton:OVERTON",
    "jury": "pluralign.evals.jury:JURY",
    "tradeoff": "pluralign.evals.tradeoff:TRADEOFF",
}
"""Name to module and object. Tasks of the first three are the suite's, the others are asked with files."""
DEFAULTS = {"steerability": "pluralign.evals.steerability:held_out_tasks"}
"""What gives the tasks that an evaluation asks unless some are named; the others ask all."""
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

    A name is an evaluation's, a task's, EVALUATION/TASK, or a file with what it is: "episodes:FILE", "ratings:FILE". Raises
    UsageError for one that is none of them.
    """
    usual = {name: [(name, task) for task in _default_tasks(name)] for name in KINDS}
    if not names:
        return [pair for pairs in usual.values() for pair in pairs]
    every = [(name, task) for name in KINDS for task in kind(name).tasks()]
    found: dict[tuple[str, str], None] = {}
    for name in names:
        wanted = usual.get(name) or [pair for pair in every if name in (pair[1], "/".join(pair))]
        wanted = wanted or [(asks, name) for beginning, asks in WITH_FILE.items() if name.startswith(beginning)]
        if not wanted:
            raise UsageError(f"task {nearest_name(name, [*KINDS, *dict.fromkeys(task for _, task in every)])}")
        found |= dict.fromkeys(wanted)
    return list(found)
