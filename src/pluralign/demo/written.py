"""Profiles that a model writes from a person's ratings: whether they can be read, and whether what they name is true."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import polars as pl

from pluralign.demo.asking import Asker, Which
from pluralign.demo.findings import WrittenProfiles
from pluralign.demo.measure import ratio
from pluralign.demo.people import N_GIVEN, People
from pluralign.episodes import Episode
from pluralign.estimates import estimate_mean
from pluralign.models import Query, SamplingSettings
from pluralign.ratings.simulated_profile_bayes import ProfileFacts
from pluralign.ratings.situations import BASIC_VALUES
from pluralign.suite.embedded_episodes import PROFILE_TASK, ratings_text

__all__ = ["profile_quality", "read_profile", "write_profiles"]

MOST_TOKENS = 96
"""Of a profile; the true ones have half as many where values are tokens of their own."""
_PROFILE = re.compile(
    r"(?:Matters to this person: (?P<cares>[^.]+)\.|No value matters much to this person\.)"
    r"(?: What this person turns away from: (?P<turns>[^.]+)\.)?"
    r"(?: Tends to (?P<shift>low|high) ratings\.)?"
    r"(?: Tends to (?P<spread>the middle|the ends) of the scale\.)?"
)
_SIGNS = {"low": 1, "high": -1, "the middle": 1, "the ends": -1}


def write_profiles(asker: Asker, which: Which, people: People) -> list[str]:
    """Each person's profile as the model writes it from the first ratings, always taking the most probable token [people]."""
    asker.tell(f"the {which} model writes {len(people.numbers):,} profiles", 0, 1)

    def write() -> pl.DataFrame:
        opening = Episode("embedded_profile", (), PROFILE_TASK)
        queries = [Query(opening, ratings_text(shown, N_GIVEN)) for shown in people.shown]
        drawn = asker.models[which].sample(queries, SamplingSettings(max_tokens=MOST_TOKENS, top_k=1))
        return pl.DataFrame({"rater": list(people.numbers), "text": [one.text for (one,) in drawn]})

    return asker.run.step_table(f"profiles-{which}", write)["text"].to_list()


def profile_quality(texts: Sequence[str], people: People, *, seed: int) -> WrittenProfiles:
    """Whether these profiles [people] can be read, and how far what they name is true."""
    units = np.arange(len(texts))
    read = [read_profile(text) for text in texts]
    ours, theirs = [_named(one) for one in read], [_named(one) for one in people.facts]
    both = np.array([len(one & other) for one, other in zip(ours, theirs, strict=True)], dtype=np.float64)
    written, true = (np.array([len(one) for one in side], dtype=np.float64) for side in (ours, theirs))
    readable = np.array([one is not None for one in read], dtype=np.float64)
    return WrittenProfiles(
        readable=estimate_mean(readable, units, seed=seed),
        named_true=ratio(both, written, units, unit="rater", seed=seed),
        true_named=ratio(both, true, units, unit="rater", seed=seed),
    )


def read_profile(text: str) -> ProfileFacts | None:
    """What a profile says; None where it is not written as profiles are, or names a value that there is not, or one twice.

    >>> read_profile("Matters to this person: power, hedonism. Tends to high ratings.")
    ProfileFacts(cares=(4, 2), turns=(), shift=-1, log_spread=0)
    >>> read_profile("Matters to this person: power, cheese.") is None
    True
    """
    said = _PROFILE.fullmatch(text)
    if said is None:
        return None
    names = [said[side].split(", ") if said[side] else [] for side in ("cares", "turns")]
    every = [name for side in names for name in side]
    if len(set(every)) < len(every) or not set(every) <= set(BASIC_VALUES):
        return None
    cares, turns = (tuple(map(BASIC_VALUES.index, side)) for side in names)
    return ProfileFacts(cares, turns, _SIGNS.get(said["shift"] or "", 0), _SIGNS.get(said["spread"] or "", 0))


def _named(facts: ProfileFacts | None) -> set[tuple[str, int]]:
    """Values with the side on which they are named; what cannot be read names nothing."""
    if facts is None:
        return set()
    return {("cares", value) for value in facts.cares} | {("turns", value) for value in facts.turns}
