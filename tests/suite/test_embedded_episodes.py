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
from pluralign.suite.embedded_mixture import FAMILIES, HELD_OUT, STAGES, numbers_of, stage_episodes, write_held_out, write_stage
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


def test_no_number_is_in_two_families_or_held_out() -> None:
    taken: set[int] = set()
    for stage, families in STAGES.items():
        for name, n in families.items():
            numbers = numbers_of(stage, name)
            assert len(numbers) == n
            assert numbers.stop <= FAMILIES[name].first_held_out
            assert taken.isdisjoint(numbers), (stage, name)
            taken |= set(numbers)


def test_held_out_families_are_trained_on() -> None:
    assert set(HELD_OUT) <= set(STAGES["all"])
    assert all(n > 0 for n in HELD_OUT.values())


def test_a_stage_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("ratings", "profile", "values_list", "told_profile_4", "geometric")
    monkeypatch.setitem(STAGES, "tuned", dict.fromkeys(names, 3) | {"geometric": 1})
    numbers_of.cache_clear()
    try:
        parts = write_stage(tmp_path, "tuned", names[:4])
        assert set(parts) == set(names[:4])
        for name, written in parts.items():
            episodes = [episode for part in written for episode in read_episodes(tmp_path / Path(part["file"]).name)]
            assert len(episodes) == 3
            assert episodes == list(stage_episodes("tuned", name))
            assert all(episode.task.startswith("embedded_") for episode in episodes), name
        assert {len(episode.examples) for episode in stage_episodes("tuned", "told_profile_4")} == {4}
        assert set(write_stage(tmp_path, "tuned")) == set(names)
    finally:
        numbers_of.cache_clear()


def test_held_out_files(tmp_path: Path) -> None:
    (part,) = write_held_out(tmp_path, ["profile"])["profile"]
    units = {int(episode.unit or 0) for episode in read_episodes(tmp_path / Path(part["file"]).name)}
    assert units == set(range(FIRST_HELD_OUT, FIRST_HELD_OUT + HELD_OUT["profile"]))


@pytest.mark.parametrize(("asked", "said"), [(("tune",), "'tuned'"), (("tuned", ("rating",)), "'ratings'")])
def test_what_is_no_stage_is_refused(asked: tuple[Any, ...], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        write_stage(tmp_path, *asked)
