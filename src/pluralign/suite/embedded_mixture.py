"""All that the embedded model is trained on, as files: one family after the other, each in parts that `tune` reads.

    family        episodes at size 1    what they are
    ratings       a person each         `embedded_episodes`
    profile       a person each
    population    a situation each
    values_*      a dozen situations    `embedded_values`
    coinflip, categorical, others       `embedded_laws`

Training and held-out episodes never share a person, a number or a seed. Within a family everything is keyed by its number, so
that a larger size begins with the smaller one's episodes.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pluralign.episodes import Episode
from pluralign.errors import UsageError, nearest_name
from pluralign.suite.embedded_episodes import population_episodes, profile_episodes, ratings_episodes
from pluralign.suite.embedded_laws import FIRST_HELD_OUT_SEED, OTHER_LAWS, law_episodes
from pluralign.suite.embedded_values import ValuesKind, values_episodes
from pluralign.suite.embedded_world import FIRST_HELD_OUT
from pluralign.suite.parts import Part, write_parts

__all__ = ["FAMILIES", "Family", "family_episodes", "sample_texts", "write_embedded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Episodes of one kind."""

    make: Callable[[range], Iterator[Episode]]
    """From numbers of people, episodes or seeds."""
    n: int
    """Numbers of a training set of size 1."""
    n_held_out: int
    first_held_out: int = FIRST_HELD_OUT


def _laws(name: str, n: int, n_held_out: int = 1) -> Family:
    return Family(make=lambda seeds: law_episodes(name, seeds), n=n, n_held_out=n_held_out, first_held_out=FIRST_HELD_OUT_SEED)


def _values(kind: ValuesKind, n: int) -> Family:
    return Family(make=lambda numbers: values_episodes(kind, numbers), n=n, n_held_out=100)


FAMILIES: dict[str, Family] = {
    "ratings": Family(make=ratings_episodes, n=160_000, n_held_out=400),
    "profile": Family(make=profile_episodes, n=60_000, n_held_out=400),
    "population": Family(make=population_episodes, n=20_000, n_held_out=200),
    "values_generate": _values("generate", 12_000),
    "values_relevance": _values("relevance", 24_000),
    "values_valence": _values("valence", 24_000),
    "values_list": _values("list", 6_000),
    "coinflip": _laws("coinflip", 10),
    "categorical": _laws("categorical", 24),
    **{name: _laws(name, 2) for name in OTHER_LAWS},
}
"""Name to family."""


def family_episodes(name: str, *, size: float = 1.0, held_out: bool = False) -> Iterator[Episode]:
    """The episodes of a family: a share `size` of its training set, at least one number, or the same share held out."""
    if not size > 0:
        raise UsageError(f"size is {size}, must be above 0.")
    family = FAMILIES[name]
    first, n = (family.first_held_out, family.n_held_out) if held_out else (0, family.n)
    return family.make(range(first, first + max(1, math.ceil(n * size))))


def write_embedded(
    folder: str | os.PathLike[str], *, size: float = 1.0, held_out: bool = False, names: Sequence[str] = tuple(FAMILIES)
) -> dict[str, list[Part]]:
    """Writes FOLDER/FAMILY-000.parquet and so on, each whole or not at all; what is in them, by family.

    `names` are families, all if not given. Raises UsageError for an unknown one and for a size that is not above 0, RunError
    where the disk refuses.
    """
    for name in names:
        if name not in FAMILIES:
            raise UsageError(f"family {nearest_name(name, FAMILIES)}")
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    return {name: write_parts(root, name, family_episodes(name, size=size, held_out=held_out)) for name in names}


def sample_texts(n: int) -> list[str]:
    """Descriptions, inputs and outputs of the first n episodes of each family; a tokenizer learns from them."""
    texts: list[str] = []
    for name in FAMILIES:
        for episode in itertools.islice(family_episodes(name), n):
            texts += [] if episode.description is None else [episode.description]
            texts += [text for example in episode.examples for text in (example.input, example.output) if text is not None]
    return texts
