"""What evaluations take from the suite beside episodes: questions whose answers have a known distribution, and requests for
any of many valid outputs.

    TargetTask     rows of (description, input, options, the share of each option): how close does a model come to the shares?
    CoverageTask   a request, three examples and a validator: how many different valid outputs does a model give?

Source: Sorensen et al. 2025, Spectrum Tuning (arXiv 2510.06084): 8 distributional and 22 diverse-and-valid tasks. The wordings
are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pluralign.episodes import Attribute

__all__ = ["Coverage", "CoverageTask", "Evaluation", "Target", "TargetTask"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One question, and the share of each of its options among those who were asked."""

    input: str
    options: tuple[str, ...]
    shares: tuple[float, ...]
    """As `options`; they sum to 1."""
    n: int | None = None
    """People behind the shares; None where they are a law, or where the source does not tell."""
    description: str | None = None
    unit: str | None = None
    """What questions of one kind share, such as a country: intervals resample it."""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetTask:
    """Questions with a known distribution of answers."""

    name: str
    about: str
    rows: Callable[[Any, int], Iterable[Target]]
    """From what the source's loader gives, and the seed; made one by one."""
    label: str = "Answer"
    """What an answer is called in the format `colon`, in place of the word Output: "Letter", "Likelihood"."""
    files: tuple[str, ...] | None = None
    """Of the source's files, those that this task needs; None for all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """A request that many different outputs answer, and what tells whether one does."""

    description: str
    examples: tuple[str, ...]
    is_valid: Callable[[str], bool]
    """Of any text at all; never raises."""
    closed: tuple[str, ...] | None = None
    """Every valid output, where there are finitely many that can be listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageTask:
    """A diverse-and-valid task: generations are asked for one by one, and each is valid or not."""

    name: str
    about: str
    make: Callable[[Any], Coverage]
    """From what the source's loader gives."""
    max_tokens: int
    """A generation that reaches it is unfinished, which is an outcome of its own."""
    files: tuple[str, ...] | None = None
    """Of the source's files, those that this task needs; None for all of them."""


Evaluation = TargetTask | CoverageTask
