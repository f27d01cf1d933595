"""Units of work of a run: each asks a model some questions and makes a table, and is finished once however often it is tried.

A unit is a function of a model alone, so that it can be done here, one after the other, or by an engine on other processes
and machines (`ray_engine`); its table is kept under its name in the run folder the moment it is there. What a unit is does not
depend on who does it, so records are the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl

from pluralign.errors import UsageError
from pluralign.models import ModelSettings, Usage
from pluralign.progress import Tell
from pluralign.runs import Run
from pluralign.scoring.totals import Totals, rate

__all__ = [
    "AnyModel",
    "Compute",
    "Engine",
    "Finished",
    "ModelEngine",
    "Opening",
    "Unit",
    "finish_elsewhere",
    "held",
    "keep_unit",
    "measured_part",
    "run_part",
    "run_unit",
    "run_units",
]


class AnyModel(Protocol):
    """A model of any kind: of language, or of values, rights and duties."""

    @property
    def name(self) -> str: ...

    @property
    def usage(self) -> Usage: ...

    def fingerprint(self) -> str: ...


Compute = Callable[[Any], pl.DataFrame]
"""Of a model of the kind that the run asks; a `functools.partial` of a function of a module, where an engine may do it."""
Opening = Callable[[], AnyModel]


@dataclass(frozen=True, slots=True)
class Unit:
    name: str
    """Of the step in the run folder."""
    compute: Compute
    n: int
    """Questions, for the progress."""
    begins: str = ""
    """Equal for units whose questions begin with the same text, so that whoever has read it gets them; empty: not known."""


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


class ModelEngine(Protocol):
    """An engine that opens the model in each of its processes."""

    @property
    def opening(self) -> Opening | None:
        """Its own, in place of the name of the model that is asked."""
        ...

    def holding(self, opening: Opening, fingerprint: str) -> AbstractContextManager[Engine]:
        """At work with the model of this opening until the block ends; it has to have this fingerprint everywhere."""
        ...


@contextlib.contextmanager
def held(
    engine: ModelEngine | None,
    model: object,
    opened: AnyModel,
    opening: Opening,
    settings: ModelSettings | None = None,
) -> Iterator[Engine | None]:
    """The engine with this model, `model` as it was asked for and `opened` as it is here; None without an engine.

    Raises UsageError for a model that nobody else can open, and for settings that one process has to watch over.
    """
    if engine is None:
        yield None
        return
    if not isinstance(model, str) and engine.opening is None:
        raise UsageError(
            f"an engine opens the model by its name in each of its processes, and {opened.name} is open already: pass the "
            "name, or give the engine an opening of its own."
        )
    if settings is not None and settings.max_tokens_total is not None:
        raise UsageError("--max-tokens-total is counted by one process, an engine has several; leave one of the two out.")
    with engine.holding(engine.opening or opening, opened.fingerprint()) as at_work:
        yield at_work


def finish_elsewhere(
    run: Run, units: Sequence[Unit], model: AnyModel, *, engine: Engine | None, tell: Tell | None = None
) -> set[str]:
    """What is not finished yet, done by the engine into the run folder; the names. Nothing without an engine.

    The rate that is told is that of all its processes together.
    """
    if engine is None:
        return set()
    finished, names = set(run.finished_steps()), set[str]()
    left = [unit for unit in units if unit.name not in finished]
    total, here, start = sum(unit.n for unit in units), Totals(), time.perf_counter()
    done = total - sum(unit.n for unit in left)

    def show() -> None:
        if tell is not None:
            tell(f"asking {model.name}", done, total, rate(Totals(here.usage, time.perf_counter() - start)))

    def count(unit: Unit, took: Totals) -> None:
        nonlocal done, here
        names.add(unit.name)
        done, here = done + unit.n, here + took
        show()

    show()
    engine.finish(run, left, count)
    return names


def run_units(
    run: Run, units: Sequence[Unit], model: AnyModel, *, engine: Engine | None = None, tell: Tell | None = None
) -> list[Finished]:
    """All of them in their order; those that the run folder has are read."""
    elsewhere = finish_elsewhere(run, units, model, engine=engine, tell=tell)
    total, done, here = sum(unit.n for unit in units), 0, Totals()

    def show() -> None:
        if tell is not None:
            tell(f"asking {model.name}", done, total, rate(here))

    found = []
    for unit in units:
        if engine is None:
            show()
        table, took, is_new = run_unit(run, unit, model)
        found.append(Finished(table, took, is_new or unit.name in elsewhere))
        done += unit.n
        here += took if is_new else Totals()
    show()
    return found


def run_unit(run: Run, unit: Unit, model: AnyModel) -> tuple[pl.DataFrame, Totals, bool]:
    """As `run_part`."""
    return run_part(run, unit.name, model, functools.partial(unit.compute, model))


def run_part(run: Run, name: str, model: AnyModel, compute: Callable[[], pl.DataFrame]) -> tuple[pl.DataFrame, Totals, bool]:
    """Records of a part, what it took (unknown if the run was killed right behind it), and whether that was now."""
    measured: Totals | None = None

    def work() -> pl.DataFrame:
        nonlocal measured
        table, measured = measured_part(model, compute)
        return table

    table = run.step_table(name, work)
    kept = run.step(f"{name}.usage", lambda: None if measured is None else measured.to_step())
    return table, Totals.from_step(kept), measured is not None


def measured_part(model: AnyModel, compute: Callable[[], pl.DataFrame]) -> tuple[pl.DataFrame, Totals]:
    """A table and what it took."""
    before, start = dataclasses.replace(model.usage), time.perf_counter()
    table = compute()
    return table, Totals(model.usage - before, time.perf_counter() - start)


def keep_unit(run: Run, name: str, table: pl.DataFrame, took: Totals) -> None:
    """What an engine found; a unit that is finished already stays as it is."""
    run.step_table(name, lambda: table)
    run.step(f"{name}.usage", took.to_step)
