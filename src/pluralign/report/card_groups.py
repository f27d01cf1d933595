"""Groups of people by tasks, as the report card shows them: the furthest, the nearest, and a list of all.

    few groups     one table of all, the furthest first
    many           a table of the furthest and the nearest, with how many lie between; all of them in a list that is folded

Tasks that have no group in common (countries of one, ages of another) have tables of their own. Colours are on one scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pluralign.estimates import Estimate
from pluralign.report.card_charts import heat_colours
from pluralign.report.card_data import GroupCell

__all__ = ["FEW", "MAX_LISTED", "MAX_TASKS", "N_FURTHEST", "N_NEAREST", "GroupRow", "GroupTable", "group_tables"]

FEW = 24
"""Groups that are all in the table."""
N_FURTHEST = N_NEAREST = 10
"""Of more groups, those in the table."""
MAX_TASKS = 40
MAX_LISTED = 1000
"""Cells of all lists together."""

Cell = tuple[Estimate | None, str, str]
"""Distance, None where the task has no such group; colour and ink, empty without a value."""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group's distances, in the order of the table's tasks."""

    group: str
    cells: list[Cell]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupTable:
    """Tasks with groups in common. Rows are the furthest first, by the mean over tasks; those without a value are last."""

    tasks: list[str]
    n_groups: int
    furthest: list[GroupRow]
    """All of them where they are few."""
    nearest: list[GroupRow]
    """Empty where they are few; the nearest last."""
    listed: list[GroupRow]
    """For the list of all; empty where they are few."""

    @property
    def n_between(self) -> int:
        """Groups that are in the list alone."""
        return self.n_groups - len(self.furthest) - len(self.nearest)

    @property
    def n_unlisted(self) -> int:
        """Groups that the list has no room for."""
        return self.n_groups - len(self.listed) if self.listed else 0


def group_tables(cells: Sequence[GroupCell]) -> list[GroupTable]:
    """A table for each set of tasks that have groups in common, in the order of their first task; `MAX_TASKS` tasks at most."""
    tasks = list(dict.fromkeys(cell.task for cell in cells))[:MAX_TASKS]
    kept = [cell for cell in cells if cell.task in tasks]
    by_task: dict[str, dict[str, Cell]] = {}
    for cell, drawn in zip(kept, heat_colours([cell.distance.value for cell in kept]), strict=True):
        by_task.setdefault(cell.task, {})[cell.group] = (cell.distance, *drawn)
    return [_table(akin, by_task, MAX_LISTED // len(tasks)) for akin in _related(by_task)]


def _related(by_task: Mapping[str, Mapping[str, Cell]]) -> list[list[str]]:
    """Tasks in parts: no group of one part is in another."""
    parts: list[list[str]] = []
    for task, groups in by_task.items():
        akin = [part for part in parts if any(groups.keys() & by_task[other].keys() for other in part)]
        merged = [*(other for part in akin for other in part), task]
        parts = [*(part for part in parts if part not in akin), merged]
    order = {task: place for place, task in enumerate(by_task)}
    return sorted((sorted(part, key=order.__getitem__) for part in parts), key=lambda part: order[part[0]])


def _table(tasks: list[str], by_task: Mapping[str, Mapping[str, Cell]], most: int) -> GroupTable:
    groups = list(dict.fromkeys(group for task in tasks for group in by_task[task]))
    rows = [GroupRow(group, [by_task[task].get(group, (None, "", "")) for task in tasks]) for group in groups]
    rows.sort(key=lambda row: -_mean(row))
    if len(rows) <= FEW:
        return GroupTable(tasks=tasks, n_groups=len(rows), furthest=rows, nearest=[], listed=[])
    known = [row for row in rows if math.isfinite(_mean(row))]
    nearest = known[N_FURTHEST:][-N_NEAREST:]
    return GroupTable(tasks=tasks, n_groups=len(rows), furthest=known[:N_FURTHEST], nearest=nearest, listed=rows[:most])


def _mean(row: GroupRow) -> float:
    """Of the distances that have a value; -infinity without one."""
    known = [one.value for one, _, _ in row.cells if one is not None and one.is_defined]
    return sum(known) / len(known) if known else -math.inf
