"""Whether training tasks hold what evaluations ask: texts that are the same, texts that are nearly the same, answer sets.

    index = EvaluationIndex(evaluation_texts(["mmlu", "habermas_question", "weekdays_full"], data_dir))
    overlaps = check_overlap({"prism_prompts": draw("prism_prompts", data_dir=data_dir)}, index)

Each pair of a training task and an evaluation is reported, by kind:

    exact     the words of two texts are the same: NFKC, case folded, without punctuation and white space
    near      they are not, but the Jaccard index of their sets of three words in a row is at least 0.8 (`shingles`)
    answers   the different outputs of one training unit are about the answers that an evaluation takes for valid
    numerals  the same of whole numbers, by a unit that is no list of just these: shown, but no contamination

Texts are inputs, and outputs that are free: one among an episode's `options` is a label. Of an object or list in JSON the
parts are compared, of a question with lettered options also the question alone. Texts of less than 25 letters and digits are
left out, since "Yes", "3" or "United Kingdom" in two tasks tell nothing. Descriptions are ours and not compared.

An answer set is met by outputs that answer no input, where most is common to both: a Jaccard index of at least 0.5. So neither
ten thousand answers of a quiz that name every state, nor two weekdays, meet one. Whole numbers are what every law prints: a
categorical distribution over 0 to 11 has all of 1 to 10, and is another request. So to count as `answers` they have to come as
a list, none twice in an episode, with an index of at least 0.9.

What is near may still ask something else: questions of one battery ("worry about a violent crime", "about a mass shooting")
differ in a word. Missing: texts that contain one another, such as a question within a conversation; translations.
"""

from __future__ import annotations

import bisect
import dataclasses
import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pluralign.episodes import Episode, Example
from pluralign.suite.answer_sets import AnswerScan
from pluralign.suite.evaluated import (
    Evaluated,
    EvaluationIndex,
    Limits,
    Text,
    evaluation_texts,
    example_texts,
    telling_texts,
)
from pluralign.suite.known_overlap import KNOWN, is_left_out
from pluralign.suite.ratings_name import is_ratings_name
from pluralign.suite.registry import all_tasks, draw, task

__all__ = [
    "KNOWN",
    "Evaluated",
    "EvaluationIndex",
    "Limits",
    "Overlap",
    "check_overlap",
    "drop_overlapping",
    "evaluation_texts",
    "is_left_out",
    "overlap_lines",
    "overlaps_of",
]

Kind = Literal["exact", "near", "answers", "numerals"]

_EXAMPLES = 3
_BATCH_WORDS = 300_000
_MOST_SEEN = 2**18
"""Texts of a task whose keys are held, so that one that comes again is not compared again."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """What a training task has in common with an evaluation, of one kind."""

    train: str
    evaluation: str
    kind: Kind
    n_train: int
    """Different texts of the training task; of answer sets: its units."""
    n_eval: int
    """Different texts of the evaluation; of answer sets: its answers that a single unit has, at most."""
    share_of_evaluation: float
    """`n_eval` of all different texts of the evaluation, or of the answers of the set."""
    examples: tuple[tuple[str, str], ...]
    """A few: the training text and the evaluation's, or the unit and its answers; shortened."""

    @property
    def is_contamination(self) -> bool:
        """False for `numerals`: the same numbers, asked for by another request."""
        return self.kind != "numerals"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)


def check_overlap(train: Mapping[str, Iterable[Episode]], index: EvaluationIndex) -> list[Overlap]:
    """Each overlap between these training tasks and the evaluations, in order of their names; none where there is none.

    The episodes are gone through once, one by one; those of a unit follow one another, as they are drawn and built. Neither
    the order of tasks nor that of units changes what comes back.
    """
    found = [overlap for name, episodes in train.items() for overlap in _Scan(name, index).overlaps(episodes)]
    return sorted(found, key=lambda overlap: (overlap.train, overlap.evaluation, overlap.kind))


def overlaps_of(
    names: Sequence[str], *, seed: int = 0, data_dir: Path | None = None, limit: int | None = None
) -> list[Overlap]:
    """The same between the training tasks and the test tasks and evaluations among these names.

    `limit`: episodes of each training task, and texts of each evaluation, at most. Raises UsageError for an unknown name,
    DataError for files that are missing or cannot be used.
    """
    train = [name for name in names if is_ratings_name(name) or (name in all_tasks() and task(name).split == "train")]
    index = EvaluationIndex(evaluation_texts([n for n in names if n not in train], data_dir, seed=seed, limit=limit), Limits())
    return check_overlap({name: itertools.islice(draw(name, seed=seed, data_dir=data_dir), limit) for name in train}, index)


def overlap_lines(overlaps: Iterable[Overlap]) -> list[str]:
    """For people: a line for each overlap, and its first example below it."""
    lines = []
    for one in overlaps:
        is_text = one.kind in ("exact", "near")
        what = "text" if is_text else "unit"
        ours = f"{one.n_train:,} {what}{'' if one.n_train == 1 else 's'}"
        theirs = f"{'like' if is_text else 'with up to'} {one.n_eval:,} of its {'texts' if is_text else 'answers'}"
        lines.append(f"{one.train} / {one.evaluation}: {one.kind}: {ours} {theirs} ({100 * one.share_of_evaluation:.3g} %)")
        lines += [f"    {first!r} / {second!r}" for first, second in one.examples[:1]]
    return lines


def drop_overlapping(episodes: Iterable[Episode], index: EvaluationIndex, dropped: Counter[str]) -> Iterator[Episode]:
    """The episodes without examples that have a text which is the same as one of an evaluation, or nearly.

    `dropped` counts: "examples", and "episodes" that have none left and do not come.
    """
    for batch in _batches(episodes, index.limits.characters):
        texts = [text for _, examples in batch for found in examples for text in found]
        bad = {match.asked for match in index.matches(texts)}
        place = 0
        for episode, examples in batch:
            kept: list[Example] = []
            for example, found in zip(episode.examples, examples, strict=True):
                if bad.isdisjoint(range(place, place + len(found))):
                    kept.append(example)
                place += len(found)
            dropped["examples"] += len(examples) - len(kept)
            dropped["episodes"] += not kept
            if kept:
                yield episode if len(kept) == len(examples) else dataclasses.replace(episode, examples=tuple(kept))


_Batch = list[tuple[Episode, list[list[Text]]]]


def _batches(episodes: Iterable[Episode], least: int) -> Iterator[_Batch]:
    """Episodes with the telling texts of each of their examples."""
    batch: _Batch = []
    n_words = 0
    for episode in episodes:
        are_labels = episode.options is not None
        examples = [
            [found for text in example_texts([example], are_labels=are_labels) for found in telling_texts(text, least)]
            for example in episode.examples
        ]
        batch.append((episode, examples))
        n_words += sum(len(text.words) for found in examples for text in found)
        if n_words > _BATCH_WORDS:
            yield batch
            batch, n_words = [], 0
    yield batch


@dataclass(slots=True)
class _Pair:
    """A training task and an evaluation, and what was found so far, of one kind."""

    train: set[bytes] = field(default_factory=set)
    given: set[int] = field(default_factory=set)
    examples: list[tuple[str, str]] = field(default_factory=list)

    def add(self, key: bytes, given: int, example: tuple[str, str]) -> None:
        """The first examples in order of their texts are kept, whatever the order in which they come."""
        self.train.add(key)
        self.given.add(given)
        at = bisect.bisect_left(self.examples, example)
        if self.examples[at : at + 1] != [example]:
            self.examples.insert(at, example)
            del self.examples[_EXAMPLES:]


@dataclass(slots=True)
class _Scan:
    """One training task, gone through once."""

    task: str
    index: EvaluationIndex
    pairs: dict[tuple[str, Kind], _Pair] = field(default_factory=dict)
    seen: set[bytes] = field(default_factory=set)
    batch: list[Text] = field(default_factory=list)
    n_words: int = 0

    def overlaps(self, episodes: Iterable[Episode]) -> Iterator[Overlap]:
        """Those of these episodes."""
        limits = self.index.limits
        answers = AnswerScan(self.index.sets, answers=limits.answers, numerals=limits.numerals)
        for episode in episodes:
            answers.add(episode)
            for text in example_texts(episode.examples, are_labels=episode.options is not None):
                self._add(text)
        self._compare()
        for (evaluation, kind), pair in self.pairs.items():
            share = len(pair.given) / self.index.n_texts[evaluation]
            yield Overlap(self.task, evaluation, kind, len(pair.train), len(pair.given), share, tuple(pair.examples))
        for met in answers.met():
            yield Overlap(self.task, *met)

    def _add(self, text: str) -> None:
        least = self.index.limits.characters
        if len(text) < least:
            return
        key = hashlib.blake2b(text.encode(), digest_size=8).digest()
        if key in self.seen:
            return
        if len(self.seen) >= _MOST_SEEN:
            self.seen.clear()
        self.seen.add(key)
        for found in telling_texts(text, least):
            self.batch.append(found)
            self.n_words += len(found.words)
        if self.n_words > _BATCH_WORDS:
            self._compare()

    def _compare(self) -> None:
        for asked, given, kind in self.index.matches(self.batch):
            text = self.batch[asked]
            for evaluation in self.index.evaluations[given]:
                self.pairs.setdefault((evaluation, kind), _Pair()).add(text.key, given, (text.shown, self.index.shown[given]))
        self.batch.clear()
        self.n_words = 0
