"""Faults of what a task draws, as the published suite had them: open slots, numbers as Python prints them, missing values,
broken JSON, episodes that come twice.

Texts of people may hold anything, so only what no person writes is a fault: a value that is nothing but nan, a number wrapped
in its type, an open slot in a description, a text that begins like a JSON object or list of texts and is none.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pluralign.episodes import Episode
from pluralign.suite.evaluation import TargetTask
from pluralign.suite.ratings_name import is_ratings_name
from pluralign.suite.registry import all_tasks, evaluation, read
from pluralign.suite.shards import Shard, episodes_of, forget_data, shards_of, work_on

__all__ = ["Checked", "check", "check_episodes", "check_evaluation"]

_WRAPPED = re.compile(r"\bnp\.(?:int|float|str|bool)\w*\(|\bnumpy\.|\barray\(\[|\bTimestamp\(|<NA>")
_SLOT = re.compile(r"\{[A-Za-z_]\w*\}|\{\}|%\(\w+\)s|(?<!\w)%[sd](?!\w)")
_MISSING = ("nan", "NaN", "<NA>", "NaT")
_SHOWN = 60
TELLING = 8
"""Two episodes of this many outputs, not all of them equal, should differ; shorter ones may agree by chance."""


@dataclass(slots=True)
class Checked:
    """What was seen of a task, and each kind of fault with how often it came and where first."""

    task: str
    episodes: int = 0
    outputs: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    seen: set[bytes] = field(default_factory=set, repr=False)
    """Of each episode that is long enough to be telling, a hash."""

    def add(self, fault: str, where: str) -> None:
        """One more of this kind of fault."""
        self.faults[fault] += 1
        self.first.setdefault(fault, where)

    def join(self, other: Checked) -> None:
        """What was seen of another part of the same task."""
        for _ in self.seen & other.seen:
            self.add("an episode comes twice", "in two parts of the task")
        self.seen |= other.seen
        self.episodes += other.episodes
        self.outputs += other.outputs
        self.faults += other.faults
        self.first = other.first | self.first

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"task": self.task, "episodes": self.episodes, "outputs": self.outputs, "faults": self.lines()}

    def lines(self) -> list[str]:
        """One line for each kind of fault."""
        return [f"{fault} ({n:,} times, first {self.first[fault]})" for fault, n in self.faults.items()]


def check(
    names: Sequence[str],
    *,
    seed: int = 0,
    data_dir: Path | None = None,
    limit: int | None = None,
    n_processes: int = 1,
    tell: Callable[[str, int, int], None] | None = None,
) -> list[Checked]:
    """Draws these tasks and evaluations, as many episodes of each part as `limit` says, and looks for faults.

    Raises UsageError for an unknown name, DataError for files that are missing or cannot be used.
    """
    tasks = [name for name in names if is_ratings_name(name) or name in all_tasks()]
    shards = [one for name in tasks for one in shards_of(name, seed=seed, data_dir=data_dir, keep_overlap=False)]
    found: dict[str, Checked] = {}
    try:
        for done, (shard, part) in enumerate(work_on(shards, _Check(limit), n_processes), 1):
            found.setdefault(shard.asked, Checked(shard.task)).join(part)
            if tell is not None:
                tell(shard.task, done, len(shards))
    finally:
        forget_data()
    for name in names:
        if name in found and not found[name].episodes:
            found[name].add("there is no episode", "at all")
        elif name not in found:
            found[name] = check_evaluation(name, read(name, data_dir), seed=seed)
    return [found[name] for name in names]


@dataclass(frozen=True, slots=True)
class _Check:
    """The work of checking a shard."""

    limit: int | None

    def __call__(self, shard: Shard) -> Checked:
        return check_episodes(shard.task, itertools.islice(episodes_of(shard), self.limit))


def check_evaluation(name: str, loaded: Any, *, seed: int = 0) -> Checked:
    """Whether an evaluation's shares add up, its questions differ, its examples are valid and nothing blank is."""
    found, asked = Checked(name), evaluation(name)
    if isinstance(asked, TargetTask):
        for row in asked.rows(loaded, seed):
            found.episodes += 1
            where = f"in question {found.episodes}"
            if abs(sum(row.shares) - 1) > 1e-9 or min(row.shares) < 0 or len(row.shares) != len(row.options):
                found.add("shares are no distribution over the options", where)
            for text in (row.input, row.description or ""):
                for fault, shown in _text_faults(text, closed=False):
                    found.add(fault, f"{where}: {shown[:_SHOWN]!r}")
            key = hashlib.sha256(json.dumps([row.description, row.input, row.options]).encode()).digest()[:16]
            if key in found.seen:
                found.add("a question comes twice", where)
            found.seen.add(key)
    else:
        spec = asked.make(loaded)
        found.episodes, found.outputs = 1, len(spec.closed or ())
        for text in (*spec.examples, *(spec.closed or ())):
            if not spec.is_valid(text):
                found.add("an example or listed answer is not valid", f"{text[:_SHOWN]!r}")
        if any(map(spec.is_valid, ("", " ", "\n"))):
            found.add("a blank text is valid", "at all")
    if not found.episodes:
        found.add("there is no question", "at all")
    return found


def check_episodes(task: str, episodes: Iterable[Episode]) -> Checked:
    """Goes through all of them, one by one."""
    found = Checked(task)
    seen = found.seen
    for episode in episodes:
        where = f"in episode {found.episodes + 1}, unit {episode.unit}"
        for fault, text in _faults(episode):
            found.add(fault, f"{where}: {text[:_SHOWN]!r}")
        if (key := _key(episode)) is not None:
            if key in seen:
                found.add("an episode comes twice", where)
            seen.add(key)
        found.episodes += 1
        found.outputs += len(episode.examples)
    return found


def _key(episode: Episode) -> bytes | None:
    texts = [(example.input, example.output) for example in episode.examples]
    if len(texts) < TELLING or len({output for _, output in texts}) == 1:
        return None
    return hashlib.sha256(json.dumps([episode.description, texts]).encode()).digest()[:16]


def _faults(episode: Episode) -> Iterator[tuple[str, str]]:
    """Kind of fault, and the text that has it."""
    if not episode.examples:
        yield "there is no output", ""
    if episode.description is not None:
        if not episode.description.strip():
            yield "a description is blank", episode.description
        if _SLOT.search(episode.description):
            yield "a slot of a description is open", episode.description
        yield from _text_faults(episode.description, closed=False)
    closed = episode.options is not None
    for example in episode.examples:
        if not example.output.strip():
            yield "an output is blank", example.output
        yield from _text_faults(example.output, closed=closed)
        if example.input is not None:
            yield from _text_faults(example.input, closed=False)


def _text_faults(text: str, *, closed: bool) -> Iterator[tuple[str, str]]:
    if _WRAPPED.search(text):
        yield "a number or value is printed with its type", text
    if text in _MISSING and not closed:
        yield "a missing value is printed", text
    if text.startswith(('{"', '["')) and text.endswith(("}", "]")):
        try:
            value = json.loads(text)
        except ValueError:
            yield "a text looks like JSON and is none", text
        else:
            missing = (part is None or part in _MISSING or part != part for part in _leaves(value))  # NaN differs from itself
            yield from (("a missing value is printed", text) for found in missing if found)


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        for part in value.values():
            yield from _leaves(part)
    elif isinstance(value, list):
        for part in value:
            yield from _leaves(part)
    else:
        yield value
