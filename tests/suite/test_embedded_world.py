"""People of the embedded world: the same however they are cut into blocks, held-out ones apart; parts make the sentences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pluralign.errors import UsageError
from pluralign.suite.embedded_world import (
    FIRST_HELD_OUT,
    MOST_RATINGS,
    embedded_world,
    person_blocks,
    ratings_in_order,
    sentence_parts,
    simulate_people,
    situation_texts,
)


def test_a_person_is_the_same_in_every_block() -> None:
    for first in (0, FIRST_HELD_OUT):
        several, alone = simulate_people(first, 3), simulate_people(first + 1, 1)
        shown, by_itself = (
            ratings_in_order(several, range(first, first + 3))[1],
            ratings_in_order(alone, range(first + 1, first + 2))[0],
        )
        np.testing.assert_array_equal(shown.item, by_itself.item)
        np.testing.assert_array_equal(shown.option, by_itself.option)
        np.testing.assert_array_equal(several.theta[1], alone.theta[0])
        assert len(shown.item) == len(set(shown.item.tolist())) == MOST_RATINGS


def test_rows_are_those_of_the_person() -> None:
    simulation = simulate_people(0, 3)
    for person, shown in enumerate(ratings_in_order(simulation, range(3))):
        assert set(simulation.ratings.rater_index[shown.rows].tolist()) == {person}
        np.testing.assert_array_equal(simulation.ratings.item_index[shown.rows], shown.item)


def test_the_order_of_ratings_is_random() -> None:
    # items of a simulation are sorted; in random order about half of the neighbours rise
    (shown,) = ratings_in_order(simulate_people(5, 1), range(5, 6))
    rising = np.count_nonzero(np.diff(shown.item) > 0)
    assert 8 <= rising <= 31


def test_blocks_cover_the_numbers_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pluralign.suite.embedded_world.BLOCK", 2)
    blocks = [block for block, _ in person_blocks(range(7, 12))]
    assert list(itertools.chain(*blocks)) == [7, 8, 9, 10, 11]
    assert max(map(len, blocks)) == 2
    with pytest.raises(UsageError, match="must follow one another"):
        next(person_blocks(range(0, 10, 2)))


def test_parts_make_every_sentence() -> None:
    parts = sentence_parts()
    actions, contexts, ends = parts[:24], parts[24:36], parts[36:]
    made = {"".join(chosen) for chosen in itertools.product(actions, contexts, ends)}
    assert made == set(situation_texts())
    assert len(situation_texts()) == len(embedded_world().situations) == 3744
