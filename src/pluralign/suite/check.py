"""Faults of what a task draws, as the published suite had them: open slots, numbers as Python prints them, missing values,
broken JSON, episodes that come twice.

Texts of people may hold anything, so only what no person writes is a fault: a value that is nothing but nan, a number wrapped
in its type, an open slot in a description, a text that begins like a JSON object or list of texts and is none.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pluralign.episodes import Episode

__all__ = ["Checked", "check_episodes"]

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

    def add(self, fault: str, where: str) -> None:
        """One more of this kind of fault."""
        self.faults[fault] += 1
        self.first.setdefault(fault, where)

    def lines(self) -> list[str]:
        """One line for each kind of fault."""
        return [f"{fault} ({n:,} times, first {self.first[fault]})" for fault, n in self.faults.items()]


def check_episodes(task: str, episodes: Iterable[Episode]) -> Checked:
    """Goes through all of them, one by one; a task without episodes is a fault too."""
    found = Checked(task)
    seen: set[bytes] = set()
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
    if not found.episodes:
        found.add("there is no episode", "at all")
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
            yield from (("a missing value is printed", text) for part in _leaves(value) if part in _MISSING or part is None)


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        for part in value.values():
            yield from _leaves(part)
    elif isinstance(value, list):
        for part in value:
            yield from _leaves(part)
    else:
        yield value
