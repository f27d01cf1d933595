"""The evaluation side of the contamination check: texts and answer sets of evaluations, and what else is the same as they are.

What counts as a text, and as the same, is told in `contamination`.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pluralign.episodes import Example
from pluralign.errors import UsageError
from pluralign.suite.answer_sets import answer_set
from pluralign.suite.evaluation import CoverageTask
from pluralign.suite.registry import read, source_of
from pluralign.suite.sampler import draw_episodes
from pluralign.suite.shingles import NearIndex, plain_words
from pluralign.suite.task import Task

__all__ = [
    "Evaluated",
    "EvaluationIndex",
    "Limits",
    "Match",
    "Text",
    "evaluation_texts",
    "example_texts",
    "telling_texts",
]

MIN_OPTIONS = 10
"""Of a question with a known distribution; fewer are labels or a scale, and no answer set."""
SHOWN = 80
"""Characters of a text that a report shows."""
_FIRST_OPTION = re.compile(r"\n[A1][:.)] ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From where on something counts."""

    characters: int = 25
    """Letters and digits of a text; shorter ones are not telling."""
    jaccard: float = 0.8
    """Of the sets of shingles of two texts."""
    answers: float = 0.5
    """Jaccard index of the different outputs of a unit and an answer set."""
    numerals: float = 0.9
    """The same for a set of whole numbers, by a unit that lists them."""

    def __post_init__(self) -> None:
        """Raises UsageError for what is out of range."""
        for name in ("jaccard", "answers", "numerals"):
            if not 0 < getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be above 0 and at most 1.")
        if self.characters < 1:
            raise UsageError(f"characters is {self.characters}; it must be at least 1.")


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What an evaluation asks with, and the sets of answers that it counts as valid."""

    texts: Sequence[str] = ()
    sets: Sequence[Sequence[str]] = ()


class Text(NamedTuple):
    """A text as it is compared."""

    words: Sequence[str]
    key: bytes
    """Eight bytes that equal words share."""
    shown: str


class Match(NamedTuple):
    """Place of a text among those that were asked about, and number of the evaluations' text that it is like."""

    asked: int
    given: int
    kind: Literal["exact", "near"]


def telling_texts(text: str, least: int) -> Iterator[Text]:
    """What of a text is compared: itself or its parts, those that have so many letters and digits.

    >>> [found.shown for found in telling_texts('{"question": "Is it?", "why": "Because I say so."}', 10)]
    ['Because I say so.']
    """
    if len(text) < least:
        return
    leaves = _leaves(text)
    found = False
    for leaf in leaves:
        first_option = _FIRST_OPTION.search(leaf)
        for part in (leaf, leaf[: first_option.start()]) if first_option else (leaf,):
            if len(part) >= least and (made := _text(part, least)):
                found = True
                yield made
    if len(leaves) > 1 and not found and (made := _text(" ".join(leaves), least)):
        yield made


def _text(text: str, least: int) -> Text | None:
    words = plain_words(text)
    if sum(map(len, words)) < least:
        return None
    key = hashlib.blake2b(" ".join(words).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return Text(words, key, text if len(text) <= SHOWN else text[: SHOWN - 3] + "...")


def _leaves(text: str) -> list[str]:
    """The parts of an object or a list in JSON; of another text itself alone."""
    if text.startswith(("{", "[")):
        try:
            return list(_parts(json.loads(text)))
        except (ValueError, RecursionError):
            pass
    return [text]


def _parts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for part in value.values():
            yield from _parts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _parts(part)
    elif value is not None:
        yield str(value)


class EvaluationIndex:
    """Texts and answer sets of evaluations, made to be compared with many others.

    Of a text it holds a key of eight bytes, its shingles (24 bytes a word at most) and its beginning, to be shown.
    """

    def __init__(self, evaluations: Mapping[str, Evaluated], limits: Limits | None = None) -> None:
        """Raises UsageError for more different words than fit into the index."""
        self.limits = limits or Limits()
        self.n_texts: Counter[str] = Counter()
        """Of each evaluation: its different texts."""
        self.shown: list[str] = []
        self.evaluations: list[tuple[str, ...]] = []
        """Of each text: the evaluations that have it."""
        self._numbers: dict[bytes, int] = {}
        self._near = NearIndex(self._new_texts(evaluations), jaccard=self.limits.jaccard)
        self.sets = [answer_set(name, one) for name, evaluated in evaluations.items() for one in evaluated.sets if one]

    def _new_texts(self, evaluations: Mapping[str, Evaluated]) -> Iterator[Sequence[str]]:
        """The words of each different text, which is taken down on the way."""
        for name, evaluated in evaluations.items():
            for text in evaluated.texts:
                for words, key, shown in telling_texts(text, self.limits.characters):
                    number = self._numbers.setdefault(key, len(self.shown))
                    if number == len(self.shown):
                        self.shown.append(shown)
                        self.evaluations.append((name,))
                        self.n_texts[name] += 1
                        yield words
                    elif name not in self.evaluations[number]:
                        self.evaluations[number] += (name,)
                        self.n_texts[name] += 1

    def matches(self, texts: Sequence[Text]) -> Iterator[Match]:
        """All texts of the evaluations that each of these is the same as, or nearly."""
        same = [self._numbers.get(text.key) for text in texts]
        yield from (Match(asked, given, "exact") for asked, given in enumerate(same) if given is not None)
        near = self._near.near([text.words for text in texts])
        yield from (Match(asked, given, "near") for asked, given in near if given != same[asked])


def evaluation_texts(
    names: Iterable[str], data_dir: Path | None = None, *, seed: int = 0, limit: int | None = None
) -> dict[str, Evaluated]:
    """Of each of these evaluations and test tasks: its different texts, the first `limit` of them, and its answer sets.

    Of a task's pools every example counts, drawn or not. Raises UsageError for an unknown name or a task of the training split,
    DataError for files that are missing or cannot be used.
    """
    return {name: _evaluated(name, data_dir, seed, limit) for name in names}


def _evaluated(name: str, data_dir: Path | None, seed: int, limit: int | None) -> Evaluated:
    found = source_of(name)
    asked = next(one for one in (*found.tasks, *found.evaluations) if one.name == name)
    if isinstance(asked, Task) and asked.split != "test":
        raise UsageError(f"{name} is a task of the training split; give evaluations and tasks of the test split.")
    data = read(name, data_dir)
    if isinstance(asked, CoverageTask):
        closed = asked.make(data).closed
        return Evaluated(sets=() if closed is None else (closed,))
    if isinstance(asked, Task):
        return Evaluated(_different(_task_texts(asked, data, seed), limit))
    rows = list(asked.rows(data, seed))
    sets = dict.fromkeys(row.options for row in rows if len(row.options) >= MIN_OPTIONS)
    return Evaluated(_different((row.input for row in rows), limit), tuple(sets))


def _different(texts: Iterable[str], limit: int | None) -> tuple[str, ...]:
    seen: dict[str, None] = {}
    for text in texts:
        if limit is not None and len(seen) >= limit:
            break
        seen[text] = None
    return tuple(seen)


def _task_texts(task: Task, data: Any, seed: int) -> Iterator[str]:
    for strand in task.strands(data, seed):
        pool: Iterable[Example]
        if callable(strand.examples):
            pool = itertools.chain.from_iterable(one.examples for one in draw_episodes(task, [strand], seed=seed))
        else:
            pool = strand.examples
        yield from example_texts(pool, are_labels=strand.options is not None)


def example_texts(examples: Iterable[Example], *, are_labels: bool) -> Iterator[str]:
    """Inputs, and outputs that are no labels."""
    for example in examples:
        if example.input is not None:
            yield example.input
        if not are_labels:
            yield example.output
