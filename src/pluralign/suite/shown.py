"""One task as people look at it: the card of its source, and episodes as they are drawn; all ready for JSON."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

from pluralign.suite.card import Card, Source
from pluralign.suite.evaluation import CoverageTask, Evaluation, TargetTask
from pluralign.suite.ratings_name import is_ratings_name
from pluralign.suite.reading import is_available, missing_files
from pluralign.suite.registry import read, source_of, strands_of
from pluralign.suite.sampler import draw_episodes
from pluralign.suite.task import Task

__all__ = ["shown_task"]


def shown_task(name: str, *, data_dir: Path | None = None, seed: int = 0, n: int = 1) -> dict[str, Any]:
    """`task`, `card`, and of what can be drawn here `episodes`, `questions` or `request`; else `missing`, with where from.

    Nothing is fetched. Raises UsageError for an unknown name, DataError for files that cannot be used.
    """
    found = source_of(name)
    one = next(o for o in (*found.tasks, *found.evaluations) if o.name == name or is_ratings_name(name))
    shown = {"task": _task(one, found), "card": _card(found.card)}
    if not is_available(found, data_dir, one):
        missing = missing_files(found, data_dir, one)
        how = {file: found.card.access.how(file.removeprefix(f"{found.card.place}/")) for file in missing}
        return shown | {"missing": how}
    loaded = read(name, data_dir)
    if isinstance(one, Task):
        drawn = draw_episodes(one, strands_of(one, loaded, seed), seed=seed)
        return shown | {"episodes": [episode.to_dict() for episode in itertools.islice(drawn, n)]}
    if isinstance(one, TargetTask):
        return shown | {"questions": [dataclasses.asdict(row) for row in itertools.islice(one.rows(loaded, seed), n)]}
    spec = one.make(loaded)
    closed = None if spec.closed is None else list(spec.closed)
    return shown | {"request": {"description": spec.description, "examples": list(spec.examples), "closed": closed}}


def _task(one: Task | Evaluation, found: Source) -> dict[str, Any]:
    told: dict[str, Any] = {"name": one.name, "about": one.about}
    if isinstance(one, Task):
        told |= {"kind": one.kind, "split": one.split, "description_share": one.shown_share}
    elif isinstance(one, CoverageTask):
        told |= {"kind": "diverse-and-valid", "split": "test", "max_tokens": one.max_tokens}
    else:
        told |= {"kind": "distributional", "split": "test", "label": one.label}
    return told | {"chance": found.card.chance.get(one.name), "files": list(found.files(one))}


def _card(card: Card) -> dict[str, Any]:
    plain = {f.name: getattr(card, f.name) for f in dataclasses.fields(card) if f.name not in ("access", "chance", "folder")}
    access = {"kind": type(card.access).__name__}
    if card.access.files:
        access["from"] = card.access.how(card.access.files[0])
    return plain | {"problems": list(card.problems), "place": card.place, "standing": card.standing, "access": access}
