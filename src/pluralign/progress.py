"""Progress of long work, for people, on stderr: bars on a terminal, else one line as each stage begins.

A stage may say something beside its numbers, such as a rate; without a terminal that is a line every half a minute.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Tell", "progress_bars"]

N_SHOWN = 4
"""Bars that stay on the screen; older finished stages make room."""
LINE_EVERY_S = 30.0


class Tell(Protocol):
    """Takes which stage the work is in, how far it is, out of how much, and a remark."""

    def __call__(self, what: str, done: int, total: int, note: str = "") -> None: ...


@contextlib.contextmanager
def progress_bars(*, is_quiet: bool = False) -> Iterator[Tell]:
    """A callback `tell(what, done, total, note)` for work that says which stage it is in and how far it is.

    `is_quiet`: it says nothing, as all but one of several processes should.
    """
    if is_quiet:
        yield _quiet
        return
    if not sys.stderr.isatty():
        yield _Lines().tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    note = TextColumn("{task.fields[note]}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), note)
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bars = _Bars(progress)
        yield bars.tell
        bars.finish()


def _quiet(what: str, done: int, total: int, note: str = "") -> None:
    """Says nothing."""


class _Lines:
    def __init__(self) -> None:
        self.stage: str | None = None
        self.last = 0.0

    def tell(self, what: str, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        if what != self.stage:
            self.stage, self.last = what, now
            print(what, file=sys.stderr, flush=True)
        elif note and now - self.last >= LINE_EVERY_S:
            self.last = now
            print(f"{what}: {done:,} of {total:,}, {note}", file=sys.stderr, flush=True)


class _Bars:
    """A bar for each stage. A stage that ends before its total (a fit that has converged) counts as done."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.stage: str | None = None
        self.tasks: list[TaskID] = []

    def tell(self, what: str, done: int, total: int, note: str = "") -> None:
        if what != self.stage:
            self.finish()
            self.stage = what
            self.tasks.append(self.progress.add_task(_escaped(what), total=total, note=""))
            if len(self.tasks) > N_SHOWN:
                self.progress.remove_task(self.tasks.pop(0))
        self.progress.update(self.tasks[-1], completed=done, total=total, note=_escaped(note))

    def finish(self) -> None:
        if self.tasks:
            task = next(t for t in self.progress.tasks if t.id == self.tasks[-1])
            size = task.completed or task.total or 1
            self.progress.update(task.id, completed=size, total=size)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
