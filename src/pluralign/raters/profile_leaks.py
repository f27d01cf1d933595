"""How much of the rated texts a profile repeats, and whom attributes give away.

A profile should say what a person values, not which items the person rated: what is copied from them tells a decoder the
answers to their neighbours, and tells a reader what the person was asked. Words are those of `suite.shingles.plain_words`: case
folded, without punctuation; of scripts without spaces each character counts as one.

    longest_copied    words of the longest run that a profile shares with any one shown item
    copied_share      of the profile's words, the share that lies in a run of 8 shared with a shown item

Source: n-gram overlap as a test of copying is common; the choice of 8 is the project's own. Privacy: k-anonymity, Sweeney 2002.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pluralign.raters.individual_models import Privacy, privacy_of
from pluralign.raters.representations import Representation
from pluralign.ratings import Ratings
from pluralign.suite.shingles import plain_words

__all__ = ["RUN_WORDS", "Leak", "leak_of", "privacy_by_attribute"]

RUN_WORDS = 8
"""A shared run of so many words is no accident."""

Words = Sequence[str]


@dataclass(frozen=True, slots=True)
class Leak:
    """What one profile has of the items that its writer was shown."""

    longest_copied: int
    """Words."""
    copied_share: float
    """0..1"""


def leak_of(profile: str, items: Sequence[str]) -> Leak | None:
    """Compares a profile with the texts of the shown items; None for a profile without a word.

    >>> leak_of("She is against lying to a friend.", ["Lying to a friend in a small village."])
    Leak(longest_copied=4, copied_share=0.0)
    """
    words = plain_words(profile)
    if not words:
        return None
    shown = [plain_words(item) for item in items]
    low, high = 0, min(len(words), max(map(len, shown), default=0))
    while low < high:  # a shared run of n words holds one of n - 1
        middle = (low + high + 1) // 2
        if _runs(words, middle) & _runs_of(shown, middle):
            low = middle
        else:
            high = middle - 1
    copied: set[int] = set()
    if low >= RUN_WORDS:
        shared = _runs_of(shown, RUN_WORDS)
        for start in range(len(words) - RUN_WORDS + 1):
            if tuple(words[start : start + RUN_WORDS]) in shared:
                copied.update(range(start, start + RUN_WORDS))
    return Leak(low, len(copied) / len(words))


def privacy_by_attribute(ratings: Ratings, told: Sequence[str]) -> dict[str, Privacy]:
    """How many raters of the table are alone with what is told: with all of it together, and with ever more of it.

    `told` are names of attributes, or "all". Keys are "age", "age + region", ..., in the order told. Empty if nothing is told.
    """
    every = [column.removeprefix("rater_") for column in ratings.attributes]
    names = every if "all" in told else list(dict.fromkeys(told))
    steps = [tuple(names[: n + 1]) for n in range(len(names))]
    found = {" + ".join(step): privacy_of(ratings, Representation(attributes=step)) for step in steps}
    return {name: privacy for name, privacy in found.items() if privacy is not None}


def _runs(words: Words, n: int) -> set[tuple[str, ...]]:
    return {tuple(words[start : start + n]) for start in range(len(words) - n + 1)}


def _runs_of(texts: Sequence[Words], n: int) -> set[tuple[str, ...]]:
    return {run for text in texts for run in _runs(text, n)}
