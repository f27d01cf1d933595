"""What a task of the suite is: strands, each one generating process, from which one sampler draws episodes.

    source    a card and a loader: a file, a hub data set, nothing for what is simulated
      task    a name, a kind, a split, and how the source's rows become strands
        strand    one person, one list, one parameter draw: a finite pool of examples, or a law to draw from
          episode   drawn by `sampler`

A strand's text is final: no slot is left to fill, numbers are plain text, a value that is missing has no key.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pluralign.episodes import Attribute, Example

__all__ = ["Around", "Kind", "Law", "Split", "Strand", "Task", "json_text"]

Kind = Literal["individual", "population", "synthetic", "text", "knowledge"]
"""One person's judgments; a population's distribution as the answer; a known law; texts of a genre; prediction with a truth."""
Split = Literal["train", "test"]
"""A task is wholly one or the other."""

Law = Callable[[np.random.Generator, int], Sequence[Example]]
"""n independent draws of one process."""


@dataclass(frozen=True, slots=True)
class Around:
    """A random number of outputs with this mean: Geometric(2 / mean), which is at least 1, plus Poisson(mean / 2)."""

    mean: float

    def draw(self, rng: np.random.Generator) -> int:
        """One such number, at least 1."""
        return int(rng.geometric(2 / self.mean) + rng.poisson(self.mean / 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Strand:
    """One generating process of a task."""

    unit: str
    """Its id, one of a kind in the task: a person, a list, the number of a parameter draw."""
    examples: Sequence[Example] | Law
    """A finite pool, drawn from without replacement; or a law."""
    weights: npt.NDArray[np.float64] | None = None
    """Of the pool's examples: which come early. Equal ones if not given [examples]."""
    descriptions: Sequence[str] = ()
    """Alternatives; one is drawn for each episode."""
    options: tuple[str, ...] | None = None
    n_outputs: int | Around | None = None
    """In each episode; None for the whole pool, up to 5,000."""
    n_episodes: int | None = 1
    """None to use every example of the pool once in each permutation, cut into consecutive episodes."""
    n_permutations: int = 1
    """With `n_episodes` None: how often the pool is gone through."""
    max_total: int | None = None
    """With `n_episodes` None: outputs of the strand, at most."""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task of the suite."""

    name: str
    kind: Kind
    split: Split
    strands: Callable[[Any, int], Iterable[Strand]]
    """From what the source's loader gives, and the seed; made one by one."""
    description_share: float = 0.8
    """Of the episodes, those that show their description, in training; in evaluation all do."""
    about: str = ""
    """One line: what an output is."""
    files: tuple[str, ...] | None = None
    """Of the source's files, those that this task needs; None for all of them."""

    @property
    def shown_share(self) -> float:
        """`description_share`, but 1 for a task of the test split."""
        return self.description_share if self.split == "train" else 1.0


def json_text(**fields: object) -> str:
    """One JSON object of these fields, without those that are missing (None, NaN).

    >>> json_text(text="Ünder", score=3.0, gone=None, nothing=float("nan"))
    '{"text": "Ünder", "score": 3.0}'
    """
    kept = {name: value for name, value in fields.items() if value is not None and not _is_nan(value)}
    return json.dumps(kept, ensure_ascii=False, allow_nan=False)


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
