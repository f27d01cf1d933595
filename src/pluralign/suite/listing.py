"""All that the suite has, one entry a task or evaluation, with whether it can be drawn here and what is missing if not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pluralign.suite.card import Hub, Source
from pluralign.suite.evaluation import CoverageTask, TargetTask
from pluralign.suite.reading import is_available, missing_files
from pluralign.suite.registry import SOURCES, source
from pluralign.suite.task import Kind, Split, Task

__all__ = ["Entry", "EntryKind", "entries", "selected"]

EntryKind = Kind | Literal["distributional", "diverse-and-valid"]
"""The kind of a task; an evaluation is distributional (`TargetTask`) or diverse-and-valid (`CoverageTask`)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A task or evaluation, as it can be known without reading anything."""

    name: str
    kind: EntryKind
    split: Split
    source: str
    about: str
    chance: float | None
    """Share of right answers of uniform guessing, where the answers are a closed set."""
    available: bool
    """It can be drawn with the files that are here."""
    missing: list[str]
    """Files that are not here, as paths below the data folder."""
    fetched: bool
    """What is missing is fetched from the hub when it is asked for (extra `hub`)."""

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def entries(
    data_dir: Path | None = None, *, kind: EntryKind | None = None, split: Split | None = None, available: bool = False
) -> Iterator[Entry]:
    """Tasks and evaluations source by source; of one kind, one split, and only those that can be drawn here, if so asked."""
    for name in SOURCES:
        found = source(name)
        for one in (*found.tasks, *found.evaluations):
            entry = _entry(found, one, data_dir)
            if kind in (None, entry.kind) and split in (None, entry.split) and (entry.available or not available):
                yield entry


def selected(
    names: Sequence[str],
    data_dir: Path | None = None,
    *,
    kind: EntryKind | None = None,
    split: Split | None = None,
    evaluations: bool = False,
) -> list[str]:
    """These names; if there are none, all tasks of the kind and split that can be drawn here, with evaluations if so asked.

    Raises UsageError for an unknown name.
    """
    if names:
        return list(names)
    found = entries(data_dir, kind=kind, split=split, available=True)
    return [entry.name for entry in found if evaluations or entry.kind not in ("distributional", "diverse-and-valid")]


def _entry(found: Source, one: Task | TargetTask | CoverageTask, data_dir: Path | None) -> Entry:
    return Entry(
        name=one.name,
        kind=_kind(one),
        split=one.split if isinstance(one, Task) else "test",
        source=found.card.name,
        about=one.about,
        chance=found.card.chance.get(one.name),
        available=is_available(found, data_dir, one),
        missing=missing_files(found, data_dir, one),
        fetched=isinstance(found.card.access, Hub),
    )


def _kind(one: Task | TargetTask | CoverageTask) -> EntryKind:
    if isinstance(one, Task):
        return one.kind
    return "distributional" if isinstance(one, TargetTask) else "diverse-and-valid"
