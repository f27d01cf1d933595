"""Other ways to ask the same question: in another frame, or with its options listed in another order.

    as is            as the source has it
    in one           all in the input, the description first
    question first   all in the input, the description last
    with headings    a heading above each part
    with cue         "Answer:" at the end
    order 1, 2, ...  the options listed in another order

Options are listed in another order only where the input has them as lines such as "A: Yes" or "1. Never". Behind letters the
texts move, and the letters stay in their order; any other label, such as a number that says how much, moves with its text.
*Not possible* where options do not stand in such lines, or where one speaks of others ("None of the above", "Both A and B"):
their order is not shown, or not free. Such a question has no variants.

Source: Sorensen et al. 2024 (arXiv 2402.05070) average over five wordings. Departure: the wordings are ours.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from pluralign.errors import UsageError
from pluralign.evals.alignment_questions import Question
from pluralign.streams import stream
from pluralign.suite.evaluation import Target
from pluralign.suite.rows import letters

__all__ = ["AS_IS", "ORDER", "WORDINGS", "Wording", "in_other_orders", "in_other_wordings"]

Wording = Callable[[Target], Target]

AS_IS = "as is"
ORDER = "order "
"""How names of other orders begin; no wording is called so."""
N_ORDERS = 3
"""Other orders of a question's options, unless there are fewer."""
_LINE = re.compile(r"(?P<label>\S+?)(?P<sep>:|\.|\))(?P<text>\s+.*)")
_SPEAKS_OF_OTHERS = re.compile(r"(?i:\b(above|below)\b)|\b[A-Z] (and|or|nor|&) [A-Z]\b")


def _in_one(target: Target) -> Target:
    """All in the input, the description first."""
    return _reworded(target, lambda said: f"{said}\n\n{target.input}")


def _question_first(target: Target) -> Target:
    """All in the input, the description last."""
    return _reworded(target, lambda said: f"{target.input}\n\n{said}")


def _with_headings(target: Target) -> Target:
    """Each part below a heading."""
    said = target.description
    return replace(target, description=said and f"Instructions\n{said}", input=f"Question\n{target.input}")


def _with_cue(target: Target) -> Target:
    """A cue for the answer at the end."""
    return replace(target, input=f"{target.input}\n\nAnswer:")


def _reworded(target: Target, joined: Callable[[str], str]) -> Target:
    return target if target.description is None else replace(target, description=None, input=joined(target.description))


WORDINGS: Mapping[str, Wording] = MappingProxyType(
    {
        "in one": _in_one,
        "question first": _question_first,
        "with headings": _with_headings,
        "with cue": _with_cue,
    }
)
"""Name to the frame: four beside the source's own. Two change nothing, and are left out, where there is no description."""


def in_other_wordings(question: Question, wordings: Mapping[str, Wording] = WORDINGS) -> list[Question]:
    """The question as it is, then in every frame that changes it. Raises UsageError for a frame that changes the answers."""
    found = [replace(question, variant=AS_IS)]
    for name, frame in wordings.items():
        asked = frame(question.target)
        if (asked.options, asked.shares) != (question.target.options, question.target.shares):
            raise UsageError(
                f"wording {name!r} changes the options or their shares; it may change description and input alone."
            )
        if asked != question.target:
            found.append(replace(question, variant=name, asked=asked))
    return found


# orders


@dataclass(frozen=True, slots=True)
class _Listed:
    """Lines of an input that list the options."""

    before: tuple[str, ...]
    labels: tuple[str, ...]
    """With what follows them: "A:"."""
    texts: tuple[str, ...]
    after: tuple[str, ...]

    def reordered(self, order: Sequence[int], *, move_labels: bool) -> str:
        labels = [self.labels[i] for i in order] if move_labels else self.labels
        lines = [label + self.texts[i] for label, i in zip(labels, order, strict=True)]
        return "\n".join([*self.before, *lines, *self.after])


def in_other_orders(question: Question, *, seed: int, n_orders: int = N_ORDERS) -> list[Question]:
    """The question as it is, then with its options listed in up to `n_orders` other orders, by chance.

    The question alone where its options cannot be moved; see the top of this file.
    """
    found = [replace(question, variant=AS_IS)]
    listed = _listed(question.target)
    if listed is None:
        return found
    n = len(question.target.options)
    is_lettered = question.target.options == letters(n)
    for number, order in enumerate(_orders(n, n_orders, stream(seed, "option order", question.task, question.item)), 1):
        asked = replace(question.target, input=listed.reordered(order, move_labels=not is_lettered))
        moved = None
        if is_lettered:  # behind a letter another text may stand, behind any other label only its own
            moved, asked = order, replace(asked, shares=tuple(asked.shares[i] for i in order))
        found.append(replace(question, variant=f"{ORDER}{number}", asked=asked, order=moved))
    return found


def _orders(n: int, most: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Different ones, none of them the source's own."""
    plain = tuple(range(n))
    if n <= 6:
        others = [order for order in itertools.permutations(range(n)) if order != plain]
        return [others[i] for i in rng.permutation(len(others))[:most].tolist()]
    found: dict[tuple[int, ...], None] = {}
    while len(found) < min(most, math.factorial(n) - 1):
        found |= {order: None for order in [tuple(rng.permutation(n).tolist())] if order != plain}
    return list(found)


def _listed(target: Target) -> _Listed | None:
    """Where the input lists the options, one below the other; None where it does not, or they cannot be moved."""
    lines = target.input.split("\n")
    n = len(target.options)
    for start in range(len(lines) - n, -1, -1):
        found = [_LINE.fullmatch(line) for line in lines[start : start + n]]
        if tuple(one["label"] if one else None for one in found) != target.options:
            continue
        texts = tuple(one["text"] for one in found if one)
        if len(set(texts)) < n or any(_SPEAKS_OF_OTHERS.search(text) for text in texts):
            return None
        labels = tuple(one["label"] + one["sep"] for one in found if one)
        return _Listed(tuple(lines[:start]), labels, texts, tuple(lines[start + n :]))
    return None
