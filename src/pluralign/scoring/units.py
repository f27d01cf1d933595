"""Units of work of a run: each asks a model some questions and makes a table, and is finished once however often it is tried.

A unit is a function of a model alone, so that it can be done here, one after the other, or by an engine on other processes
and machines (`ray_engine`); its table is kept under its name in the run folder the moment it is there. What a unit is does not
depend on who does it, so records are the same.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from pluralign.models import LanguageModel, Usage
from pluralign.progress import Tell
from pluralign.runs import Run
from pluralign.scoring.totals import Totals, rate

__all__ = ["Compute", "Engine", "Finished", "Unit", "keep_unit", "measured_part", "run_part", "run_units"]

Compute = Callable[[LanguageModel], pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Unit:
    name: str
    """Of the step in the run folder."""
    compute: Compute
    n: int
    """Questions, for the progress."""


@dataclass(frozen=True, slots=True)
class Finished:
    table: pl.DataFrame
    totals: Totals
    """Unknown if the run was killed right behind the unit."""
    is_new: bool
    """Whether it was computed now."""


class Engine(Protocol):
    """Does units elsewhere."""

    def finish(self, run: Run, units: Sequence[Unit], on_unit: Callable[[Unit, Totals], None]) -> None:
        """Each into the run folder by `keep_unit`. Raises RunError, when all others are finished, for those that cannot be."""
        ...


def run_units(
    run: Run, units: Sequence[Unit], model: LanguageModel, *, engine: Engine | None = None, tell: Tell | None = None
) -> list[Finished]:
    """All of them in their order; those that the run folder has are read."""
    total, done, here = sum(unit.n for unit in units), 0, Totals()

    def show() -> None:
        if tell is not None:
            tell(f"asking {model.name}", done, total, rate(here))

    elsewhere: set[str] = set()
    if engine is not None:
        finished = set(run.finished_steps())
        left = [unit for unit in units if unit.name not in finished]
        done = total - sum(unit.n for unit in left)

        def count(unit: Unit, took: Totals) -> None:
            nonlocal done, here
            elsewhere.add(unit.name)
            done, here = done + unit.n, here + took
            show()

        show()
        engine.finish(run, left, count)
        done = 0
    found = []
    for unit in units:
        if engine is None:
            show()
        table, took, is_new = run_part(run, unit.name, model, functools.partial(unit.compute, model))
        found.append(Finished(table, took, is_new or unit.name in elsewhere))
        done += unit.n
        here += took if is_new else Totals()
    show()
    return found


class _Used(Protocol):
    """A model of any kind that counts what it is asked for."""

    @property
    def usage(self) -> Usage: ...


def run_part(run: Run, name: str, model: _Used, compute: Callable[[], pl.DataFrame]) -> tuple[pl.DataFrame, Totals, bool]:
    """Records of a part, what it took (unknown if the run was killed right behind it), and whether that was now."""
    measured: Totals | None = None

    def work() -> pl.DataFrame:
        nonlocal measured
        table, measured = measured_part(model, compute)
        return table

    table = run.step_table(name, work)
    kept = run.step(f"{name}.usage", lambda: None if measured is None else measured.to_step())
    return table, Totals.from_step(kept), measured is not None


def measured_part(model: _Used, compute: Callable[[], pl.DataFrame]) -> tuple[pl.DataFrame, Totals]:
    """A table and what it took."""
    before, start = dataclasses.replace(model.usage), time.perf_counter()
    table = compute()
    return table, Totals(model.usage - before, time.perf_counter() - start)


def keep_unit(run: Run, name: str, table: pl.DataFrame, took: Totals) -> None:
    """What an engine found; a unit that is finished already stays as it is."""
    run.step_table(name, lambda: table)
    run.step(f"{name}.usage", took.to_step)
