"""Episodes of the embedded model: what is told, who is in them, and that training and held-out ones share nobody."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pluralign.episodes import read_episodes
from pluralign.errors import UsageError
from pluralign.suite.embedded_episodes import (
    PROFILE_TASK,
    RATINGS_TOLD,
    population_episodes,
    population_probabilities,
    profile_episodes,
    ratings_description,
    ratings_episodes,
)
from pluralign.suite.embedded_laws import LAWS, OTHER_LAWS, law_episodes
from pluralign.suite.embedded_mixture import FAMILIES, family_episodes, write_embedded
from pluralign.suite.embedded_world import FIRST_HELD_OUT, situation_texts


def test_ratings_are_keyed_by_the_person() -> None:
    several = list(ratings_episodes(range(40, 48)))
    (alone,) = ratings_episodes(range(45, 46))
    assert several[5] == alone
    assert [episode.unit for episode in several] == [str(number) for number in range(40, 48)]
    assert {len(episode.examples) for episode in ratings_episodes(range(3), n_ratings=17)} == {17}


def test_what_is_told_is_drawn_and_can_be_asked_for() -> None:
    kinds = Counter(_kind(episode.description) for episode in ratings_episodes(range(300)))
    assert set(kinds) == {"nothing", "person", "attributes", "profile", "both", "group"}
    for told in ("nothing", "person", "attributes", "profile", "both", "group"):
        (episode,) = ratings_episodes(range(9, 10), told=told)
        assert _kind(episode.description) == told
    with pytest.raises(UsageError, match="told"):
        ratings_description("profil")  # type: ignore[arg-type]


def _kind(description: str | None) -> str:
    if description is None:
        return "nothing"

    said = description.removeprefix(RATINGS_TOLD)
    assert said != description
    if "group" in said:
        return "group"
    found = {"attributes"} if "{" in said else set()
    found |= {"profile"} if "person: " in said.replace("The person: ", "") or "No value matters" in said else set()
    return "both" if len(found) == 2 else found.pop() if found else "person"


def test_a_profile_does_not_come_with_more_than_is_asked() -> None:
    from_ratings, from_nothing = (
        next(profile_episodes(range(4, 5), source=source, n_given=6)) for source in ("ratings", "nothing")
    )
    assert from_nothing.examples[0].input is None
    assert (from_ratings.examples[0].input or "").count("\n") == 5
    assert from_ratings.examples[0].output == from_nothing.examples[0].output
    assert from_ratings.description == PROFILE_TASK
    (ratings,) = ratings_episodes(range(4, 5), told="nothing", n_ratings=6)
    lines = [f"{example.output}: {example.input}" for example in ratings.examples]
    assert (from_ratings.examples[0].input or "").split("\n") == lines


def test_the_population_rates_by_its_law() -> None:
    episodes = list(population_episodes(range(60)))
    assert {episode.description.rpartition(": ")[2] for episode in episodes if episode.description} <= set(situation_texts())
    laws = population_probabilities()[[int(str(episode.attributes["item"])) for episode in episodes]]
    low = np.array([sum(example.output == "1" for example in episode.examples) for episode in episodes])
    n = len(episodes[0].examples)
    z = (low.sum() - n * laws[:, 0].sum()) / np.sqrt(n * (laws[:, 0] * (1 - laws[:, 0])).sum())
    assert abs(z) < 4


@pytest.mark.parametrize("name", [*LAWS, *OTHER_LAWS])
def test_laws_are_cut_short(name: str) -> None:
    episodes = list(itertools.islice(law_episodes(name, range(2)), 20))
    assert {len(episode.examples) for episode in episodes} == {(LAWS | OTHER_LAWS)[name]}
    assert {episode.description is None for episode in episodes} == {True, False}
    assert len({episode.unit for episode in episodes}) == 20


def test_an_unknown_law_is_refused() -> None:
    with pytest.raises(UsageError, match="coinflip"):
        next(law_episodes("coinflop", range(1)))


@pytest.mark.parametrize("name", ["ratings", "profile", "population", "values_relevance"])
def test_held_out_numbers_are_apart(name: str) -> None:
    family = FAMILIES[name]
    assert family.first_held_out == FIRST_HELD_OUT > family.n
    shown = {episode.unit for episode in itertools.islice(family_episodes(name), 20)}
    held_out = {episode.unit for episode in itertools.islice(family_episodes(name, held_out=True), 20)}
    assert len(shown) == len(held_out) == 20
    assert not shown & held_out


def test_a_mixture_in_files(tmp_path: Path) -> None:
    names = ("ratings", "profile", "values_list", "geometric")
    parts = write_embedded(tmp_path, size=0.0001, names=names)
    assert set(parts) == set(names)
    for name, written in parts.items():
        episodes = [episode for part in written for episode in read_episodes(tmp_path / Path(part["file"]).name)]
        assert episodes == list(family_episodes(name, size=0.0001))
        assert all(episode.task.startswith("embedded_") for episode in episodes), name


@pytest.mark.parametrize(("asked", "said"), [({"size": 0.0}, "size is 0"), ({"names": ("rating",)}, "'ratings'")])
def test_what_is_no_mixture_is_refused(asked: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        write_embedded(tmp_path, **asked)
