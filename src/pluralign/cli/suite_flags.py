"""Flags of the commands over the suite. What a command needs is imported when it runs, so that `--help` is quick."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from pluralign.errors import UsageError

if TYPE_CHECKING:
    from pluralign.suite.mixture import Mixture
    from pluralign.tuning import TokenMeasure

__all__ = ["DataFlags", "FilterFlags", "KindName", "MixtureFlags", "WorkFlags"]

KindName = Literal["individual", "population", "synthetic", "text", "knowledge", "distributional", "diverse-and-valid"]
_MANY = Parameter(consume_multiple=True, negative=())
_SWITCH = Parameter(negative=())


@Parameter(name="*", group=Group("The data", sort_key=1))
@dataclass(frozen=True, kw_only=True)
class DataFlags:
    """Where the sources' files are."""

    data_dir: Path | None = None
    """Folder with one folder for each source that has files; what the hub has is fetched without it."""


@Parameter(name="*", group=Group("Which tasks", sort_key=0))
@dataclass(frozen=True, kw_only=True)
class FilterFlags:
    """What is meant where no task is named."""

    kind: KindName | None = None
    """Only tasks of this kind."""
    split: Literal["train", "test"] | None = None
    """Only tasks of this split."""


@Parameter(name="*", group=Group("The work", sort_key=3))
@dataclass(frozen=True, kw_only=True)
class WorkFlags:
    """The words that drawing shares."""

    seed: int = 0
    """Every random choice follows from it."""
    processes: int | None = None
    """How many share the work; one for each core if not given. They change nothing that comes out."""

    @property
    def n_processes(self) -> int:
        """At least 1."""
        if self.processes is not None and self.processes < 1:
            raise UsageError(f"--processes is {self.processes}, lowest is 1.")
        return self.processes or os.cpu_count() or 1


@Parameter(name="*", group=Group("The mixture", sort_key=2))
@dataclass(frozen=True, kw_only=True)
class MixtureFlags:
    """How much of each task is taken; all if nothing is given."""

    by: Literal["sequences", "outputs", "loss_tokens"] = "sequences"
    """What --cap, --weight and --total count. loss_tokens needs --tokenizer."""
    total: float | None = None
    """Divided among the tasks by their weights; a task that has less leaves the rest to the others."""
    cap: Annotated[tuple[str, ...], _MANY, Parameter(show_default=False)] = ()
    """Most of each task, as a number; or of one task, as TASK=NUMBER."""
    weight: Annotated[tuple[str, ...], _MANY, Parameter(show_default=False)] = ()
    """TASK=NUMBER; 1 for a task that is not named."""
    tokenizer: str | None = None
    """Folder or hub id of a tokenizer: counts tokens, and those that carry loss."""
    format: Literal["spectrum", "colon", "chat"] = "spectrum"
    """How episodes are written where tokens are counted."""
    window: int | None = None
    """Tokens of a sequence; what does not fit is not counted."""
    keep_overlap: Annotated[bool, _SWITCH] = False
    """With lists that are known to be the answers of evaluations."""

    def to_mixture(self) -> Mixture:
        """The same as `Mixture`, which checks it."""
        from pluralign.suite.mixture import Mixture

        whole = [text for text in self.cap if "=" not in text]
        if len(whole) > 1:
            raise UsageError(f"--cap: one number for all tasks, not {' and '.join(whole)}; for one task write TASK=NUMBER")
        return Mixture(
            by=self.by,
            total=self.total,
            cap=_number("--cap", whole[0]) if whole else None,
            caps=_numbers("--cap", [text for text in self.cap if "=" in text]),
            weights=_numbers("--weight", self.weight),
        )

    def to_measure(self) -> TokenMeasure | None:
        """What counts tokens, if a tokenizer is given."""
        if self.tokenizer is None:
            return None
        from pluralign.tuning import TokenMeasure

        return TokenMeasure(self.tokenizer, self.format, self.window)


def _numbers(flag: str, texts: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in texts:
        name, equals, number = text.rpartition("=")
        if not equals or name in found:
            raise UsageError(f"{flag} {text}: each task once, as TASK=NUMBER")
        found[name] = _number(flag, number)
    return found


def _number(flag: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(f"{flag}: {text!r} is no number") from error
