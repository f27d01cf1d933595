"""When two texts are the same output: exactly, whatever their case and blanks, or by anything that can tell.

    exact     "Oregon" is not "oregon"
    folded    "Oregon", "oregon" and " OREGON " are one
    judged    whatever a function of two texts says: a classifier, a language model

Classes are made greedily: a text joins the first class whose first member it is the same as, else it founds a class. Where
being the same is transitive, as for the first two, these are the classes; where it is not, the order of the texts matters.

Source: NoveltyBench (Zhang et al. 2025, arXiv 2504.05228), whose classes are made one text after the other.
Departure: a class is asked by its first member, so that no draw decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["EXACT", "FOLDED", "Equivalence", "Judged", "Keyed", "classes_of", "folded_text"]


class Equivalence(Protocol):
    """Tells whether two texts are the same output."""

    @property
    def name(self) -> str:
        """For tables and files."""
        ...

    def same(self, ours: str, theirs: str) -> bool:
        """Of two texts that differ; equal ones are not asked about."""
        ...


@dataclass(frozen=True, slots=True)
class Keyed:
    """Texts are the same whose keys are equal."""

    name: str
    key: Callable[[str], str]

    def same(self, ours: str, theirs: str) -> bool:
        """Whether the keys are equal."""
        return self.key(ours) == self.key(theirs)


@dataclass(frozen=True, slots=True)
class Judged:
    """Texts are the same that a function of two texts says are; the first argument is the older text."""

    name: str
    judge: Callable[[str, str], bool]

    def same(self, ours: str, theirs: str) -> bool:
        """What the function says."""
        return self.judge(ours, theirs)


def folded_text(text: str) -> str:
    """The text without differences of case, every run of white space one blank, none at the ends.

    >>> folded_text("  New\\tYORK ")
    'new york'
    """
    return " ".join(text.casefold().split())


EXACT = Keyed("exact", str)
FOLDED = Keyed("folded", folded_text)


def classes_of(texts: Sequence[str], equivalence: Equivalence) -> npt.NDArray[np.int64]:
    """The class of each text [texts], numbered 0, 1, ... in the order of their first members.

    At most (different texts) x (classes) questions are asked; equal texts are in one class without asking.

    >>> classes_of(["Oregon", "Texas", "oregon", "Texas"], FOLDED).tolist()
    [0, 1, 0, 1]
    """
    found: dict[str, int] = {}
    first: list[str] = []
    for text in texts:
        if text not in found:
            joined = next((number for number, other in enumerate(first) if equivalence.same(other, text)), len(first))
            if joined == len(first):
                first.append(text)
            found[text] = joined
    return np.array([found[text] for text in texts], dtype=np.int64)
