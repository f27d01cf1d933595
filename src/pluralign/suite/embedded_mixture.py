"""All that the embedded model is trained on, as files: stage by stage, one family after the other, in parts that `tune` reads.

    family               an episode is
    ratings              a person's, 8 to 40 of them           `embedded_episodes`
    ratings_6, _12       a person's first so many
    told_WHAT_N          a person's first N, with WHAT told of the person
    profile              a person's written profile
    population           a situation's, by different people
    values_*             a few situations                      `embedded_values`
    coinflip, others     80 outputs of a law, or less          `embedded_laws`

The stages are a curriculum: first what has to be found out of nothing but the description, a rating at a time, then a few
ratings of a person, then all, then foremost profiles, the longest outputs that depend on a person. What is not shown for long
is forgotten, so values and laws are in each. No two stages share a
person, a number or a seed, nor does any share one with what is held out.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pluralign.episodes import Episode
from pluralign.errors import UsageError, nearest_name
from pluralign.suite.embedded_episodes import Told, population_episodes, profile_episodes, ratings_episodes
from pluralign.suite.embedded_laws import FIRST_HELD_OUT_SEED, OTHER_LAWS, law_episodes
from pluralign.suite.embedded_values import ValuesKind, values_episodes
from pluralign.suite.embedded_world import FIRST_HELD_OUT
from pluralign.suite.parts import Part, write_parts

__all__ = [
    "FAMILIES",
    "HELD_OUT",
    "STAGES",
    "Family",
    "numbers_of",
    "sample_texts",
    "stage_episodes",
    "write_held_out",
    "write_stage",
]


@dataclass(frozen=True, slots=True)
class Family:
    """Episodes of one kind."""

    make: Callable[[range], Iterator[Episode]]
    """From numbers of people, episodes or seeds."""
    first_held_out: int = FIRST_HELD_OUT


def _told(what: Told, n: int) -> Family:
    return Family(functools.partial(ratings_episodes, told=what, n_ratings=n))


def _values(kind: ValuesKind) -> Family:
    return Family(functools.partial(values_episodes, kind))


def _law(name: str) -> Family:
    return Family(functools.partial(law_episodes, name), FIRST_HELD_OUT_SEED)


FAMILIES: dict[str, Family] = {
    "ratings": Family(ratings_episodes),
    "profile": Family(profile_episodes),
    "population": Family(population_episodes),
    "values_generate": _values("generate"),
    "values_relevance": _values("relevance"),
    "values_valence": _values("valence"),
    "values_list": _values("list"),
    "coinflip": _law("coinflip"),
    "categorical": _law("categorical"),
    **{name: _law(name) for name in OTHER_LAWS},
    **{f"ratings_{n}": Family(functools.partial(ratings_episodes, n_ratings=n)) for n in (6, 12)},
    **{f"told_profile_{n}": _told("profile", n) for n in (1, 4)},
    **{f"told_both_{n}": _told("both", n) for n in (1, 4)},
    **{f"told_attributes_{n}": _told("attributes", n) for n in (1, 4)},
    **{f"told_group_{n}": _told("group", n) for n in (1, 4)},
    "told_person_1": _told("person", 1),
}
"""Name to family."""

_VALUES = {"values_generate": 24_000, "values_relevance": 24_000, "values_valence": 24_000, "values_list": 3_000}
_SINGLE = {
    "told_profile_1": 100_000,
    "told_profile_4": 40_000,
    "told_both_1": 20_000,
    "told_attributes_1": 40_000,
    "told_group_1": 30_000,
    "told_person_1": 20_000,
}
_FEW = {
    "told_profile_1": 80_000,
    "told_profile_4": 60_000,
    "told_both_4": 20_000,
    "told_attributes_4": 30_000,
    "told_group_4": 10_000,
    "told_person_1": 10_000,
    "ratings_6": 60_000,
    "ratings_12": 30_000,
}
_ALL = {
    "ratings": 26_000,
    "profile": 10_000,
    "told_profile_1": 15_000,
    "told_profile_4": 10_000,
    "told_both_1": 6_000,
    "told_attributes_1": 12_000,
    "told_group_1": 6_000,
    "told_person_1": 6_000,
    "values_generate": 20_000,
    "values_relevance": 12_000,
    "values_valence": 12_000,
    "values_list": 2_000,
    "population": 4_000,
    "coinflip": 2,
    "categorical": 56,
    **dict.fromkeys(OTHER_LAWS, 1),
}
_LAST = {
    "profile": 30_000,
    "ratings": 5_000,
    "told_profile_1": 4_000,
    "told_profile_4": 3_000,
    "told_attributes_1": 3_000,
    "told_group_1": 2_000,
    "told_person_1": 2_000,
    "values_generate": 6_000,
    "values_relevance": 4_000,
    "values_valence": 4_000,
    "values_list": 500,
    "population": 1_000,
    "coinflip": 1,
    "categorical": 4,
}
STAGES: dict[str, Mapping[str, int]] = {
    "base": {
        **{"ratings": 8_000, "profile": 4_000, "told_profile_1": 8_000, "population": 1_000, "coinflip": 1, "categorical": 1},
        **{name: n // 12 for name, n in _VALUES.items()},
    },
    "told": {**_SINGLE, **_VALUES, "population": 6_000, "coinflip": 2, "categorical": 5},
    "people": {**_FEW, **_VALUES, "population": 4_000, "coinflip": 2, "categorical": 8},
    "all": _ALL,
    "tuned": _LAST,
}
"""Stage to the numbers that each family has in it."""
HELD_OUT: Mapping[str, int] = {
    **{"ratings": 400, "profile": 400, "population": 200},
    **dict.fromkeys(_VALUES, 400),
    **dict.fromkeys(("coinflip", "categorical", *OTHER_LAWS), 1),
}
"""Held-out numbers of each family that is measured in training."""


@functools.cache
def numbers_of(stage: str, family: str) -> range:
    """The people, episodes or seeds of a family in a stage; they run on through all stages and families.

    Raises UsageError for an unknown stage, or a family that is not in it.
    """
    if stage not in STAGES:
        raise UsageError(f"stage {nearest_name(stage, STAGES)}")
    if family not in STAGES[stage]:
        raise UsageError(f"stage {stage!r}: family {nearest_name(family, STAGES[stage])}")
    before = itertools.takewhile(lambda at: at != (stage, family), ((s, f) for s, names in STAGES.items() for f in names))
    first = sum(STAGES[s][f] for s, f in before)
    return range(first, first + STAGES[stage][family])


def stage_episodes(stage: str, family: str) -> Iterator[Episode]:
    """The episodes of a family in a stage. Raises as `numbers_of` does."""
    numbers = numbers_of(stage, family)
    return FAMILIES[family].make(numbers)


def write_stage(folder: str | os.PathLike[str], stage: str, names: Sequence[str] = ()) -> dict[str, list[Part]]:
    """Writes FOLDER/FAMILY-000.parquet and so on, each whole or not at all; what is in them, by family.

    `names` are families, all of the stage if there are none. Raises as `stage_episodes` does, and RunError where the disk
    refuses.
    """
    episodes = {name: stage_episodes(stage, name) for name in names or STAGES.get(stage, ("",))}
    return _write(Path(folder), episodes)


def write_held_out(folder: str | os.PathLike[str], names: Sequence[str] = tuple(HELD_OUT)) -> dict[str, list[Part]]:
    """The held-out episodes of these families in files, as `write_stage` does it."""
    chosen = {name: (FAMILIES[name], HELD_OUT[name]) for name in names}
    ranges = {name: range(one.first_held_out, one.first_held_out + n) for name, (one, n) in chosen.items()}
    return _write(Path(folder), {name: FAMILIES[name].make(numbers) for name, numbers in ranges.items()})


def _write(folder: Path, episodes: Mapping[str, Iterator[Episode]]) -> dict[str, list[Part]]:
    folder.mkdir(parents=True, exist_ok=True)
    return {name: write_parts(folder, name, several) for name, several in episodes.items()}


def sample_texts(n: int) -> list[str]:
    """Descriptions, inputs and outputs of the first n episodes of each family; a tokenizer learns from them."""
    texts: list[str] = []
    for family in FAMILIES.values():
        for episode in itertools.islice(family.make(range(n)), n):
            texts += [] if episode.description is None else [episode.description]
            texts += [text for example in episode.examples for text in (example.input, example.output) if text is not None]
    return texts
