"""Sets of answers that evaluations take for valid, and training units that have about those outputs; see `contamination`."""

from __future__ import annotations

import bisect
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from pluralign.episodes import Episode

__all__ = ["AnswerScan", "AnswerSet", "Met", "answer_set", "folded"]

N_EXAMPLES = 3
_ANSWERS_SHOWN = 6

AnswerKind = Literal["answers", "numerals"]


class AnswerSet(NamedTuple):
    """Of one evaluation; its answers as `folded` gives them."""

    evaluation: str
    answers: frozenset[str]
    are_numerals: bool


class Met(NamedTuple):
    """What the units of a task have of the answers of an evaluation."""

    evaluation: str
    kind: AnswerKind
    n_units: int
    n_answers: int
    """That one unit has, at most."""
    share: float
    """Of the set: the same at most."""
    examples: tuple[tuple[str, str], ...]
    """Units that have most in common with the set, and what."""


def answer_set(evaluation: str, answers: Iterable[str]) -> AnswerSet:
    """The set of these answers.

    >>> sorted(answer_set("coin", ["Heads", "HEADS", "Tails"]).answers)
    ['heads', 'tails']
    """
    found = frozenset(map(folded, answers))
    return AnswerSet(evaluation, found, all(answer.removeprefix("-").isdecimal() for answer in found))


def folded(answer: str) -> str:
    """An answer as it is compared with others: NFKC, case folded, without white space around it."""
    return unicodedata.normalize("NFKC", answer).casefold().strip()


@dataclass(slots=True)
class _Pair:
    n_units: int = 0
    n_answers: int = 0
    share: float = 0.0
    best: list[tuple[float, str, str]] = field(default_factory=list)
    """Minus the Jaccard index, the unit, the answers."""


class AnswerScan:
    """The different outputs of one unit after the other; where there are more than any set could match, no more are held."""

    def __init__(self, sets: Sequence[AnswerSet], *, answers: float, numerals: float) -> None:
        """`answers`, `numerals`: Jaccard indices, as in `Limits`."""
        self._sets = sets
        self._answers, self._numerals = answers, numerals
        self._most = max((len(one.answers) / answers for one in sets), default=0.0)
        self._pairs: dict[tuple[str, AnswerKind], _Pair] = {}
        self._start(None)

    def add(self, episode: Episode) -> None:
        """The next episode; one without unit is a unit of its own. Outputs that answer an input do not count."""
        if not self._sets:
            return
        if episode.unit is None or episode.unit != self._unit:
            self._compare()
            self._start(episode.unit)
        if len(self._outputs) > self._most:
            return
        outputs = [folded(example.output) for example in episode.examples if example.input is None]
        self._outputs.update(outputs)
        self._is_list &= len(set(outputs)) == len(outputs)

    def met(self) -> Iterator[Met]:
        """After the last episode: each evaluation whose answers some unit has."""
        self._compare()
        self._start(None)
        for (evaluation, kind), pair in self._pairs.items():
            examples = tuple((unit, answers) for _, unit, answers in pair.best)
            yield Met(evaluation, kind, pair.n_units, pair.n_answers, pair.share, examples)

    def _start(self, unit: str | None) -> None:
        self._unit = unit
        self._outputs: set[str] = set()
        self._is_list = True

    def _compare(self) -> None:
        """Of several sets of one evaluation a unit meets the one that it has most in common with."""
        best: dict[tuple[str, AnswerKind], tuple[float, int, float, str]] = {}
        for one in self._sets:
            shared = self._outputs & one.answers
            jaccard = len(shared) / len(self._outputs | one.answers)
            if jaccard >= self._answers:
                is_same = not one.are_numerals or (self._is_list and jaccard >= self._numerals)
                met = (jaccard, len(shared), len(shared) / len(one.answers), _shown(shared))
                key: tuple[str, AnswerKind] = (one.evaluation, "answers" if is_same else "numerals")
                best[key] = max(best.get(key, met), met)
        for key, (jaccard, n_answers, share, shown) in best.items():
            pair = self._pairs.setdefault(key, _Pair())
            pair.n_units += 1
            pair.n_answers, pair.share = max(pair.n_answers, n_answers), max(pair.share, share)
            bisect.insort(pair.best, (-jaccard, self._unit or "", shown))
            del pair.best[N_EXAMPLES:]


def _shown(answers: set[str]) -> str:
    first = sorted(answers, key=lambda answer: (len(answer), answer))[:_ANSWERS_SHOWN]
    return ", ".join(first) + (", ..." if len(answers) > len(first) else "")
