from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from evals.jury_people import people
from pluralign.episodes import Episode
from pluralign.errors import DataError, UsageError
from pluralign.evals.juries import composed, jury_weights, preferred_shares, sample_juries, top_shares


def test_composition_by_hand() -> None:
    some = people(8)  # p01, p03, p05, p07 are women
    jury = composed("3 woman, 1 man", some)
    assert jury.members == ((1, 3, 5, 7), (0, 2, 4, 6))
    assert jury.n_seats == 4
    # three seats of four for four women: 3/16 each; one for four men: 1/16 each
    weights = jury_weights(jury, 8)
    assert weights.tolist() == [1 / 16, 3 / 16] * 4
    named = composed("1 gender=woman and age=23, 2 gender=man", some)
    assert named.members == ((3,), (0, 2, 4, 6))


def test_who_is_drawn() -> None:
    some = people(8)
    jury = composed("3 woman, 1 man", some)
    drawn = sample_juries(some, jury, n_juries=200, seed=0, key="q1")
    assert drawn.shape == (200, 4)
    assert (drawn[:, :3] % 2 == 1).all()
    assert (drawn[:, 3] % 2 == 0).all()
    assert all(len(set(row)) == 4 for row in drawn.tolist())
    sets = {tuple(sorted(row)) for row in drawn.tolist()}
    assert len(sets) == 4 * 4  # every jury that there can be
    again = sample_juries(some, jury, n_juries=50, seed=0, key="q1")
    assert again.tolist() == drawn[:50].tolist()  # more juries begin with the same ones
    other = sample_juries(some, jury, n_juries=50, seed=0, key="q2")
    assert other.tolist() != again.tolist()


def test_the_order_of_the_people_does_not_count() -> None:
    some = people(8)
    order = [5, 2, 7, 0, 1, 6, 3, 4]
    shuffled = [some[n] for n in order]
    drawn = sample_juries(some, 3, n_juries=20, seed=4)
    moved = sample_juries(shuffled, 3, n_juries=20, seed=4)
    assert [[some[n].unit for n in row] for row in drawn] == [[shuffled[n].unit for n in row] for row in moved]


def test_preferred_shares_by_hand() -> None:
    # three people, all juries of two, mean: {0, 1} a: 1/2 + 0 < b: 0 + 1/2 + ...
    utilities = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.2, 0.2, 0.2]])
    juries = np.array(list(combinations(range(3), 2)))
    # means of a, b, c: {0, 1}: 1/2, 1/2, 1/5; {0, 2}: 1/2, 0, 1/5; {1, 2}: 0, 1/2, 1/5
    expected = [float(Fraction(1, 2) + 1) / 3, float(Fraction(1, 2) + 1) / 3, 0.0]
    np.testing.assert_allclose(preferred_shares(utilities, juries, 1.0), expected, atol=1e-12)
    # the worst off of each jury has nothing from a or b
    np.testing.assert_allclose(preferred_shares(utilities, juries, -np.inf), [0.0, 0.0, 1.0], atol=1e-12)


def test_many_juries_agree_with_all_there_are() -> None:
    rng = np.random.default_rng(0)
    some, utilities = people(8), rng.random((3, 8))
    every = preferred_shares(utilities, np.array(list(combinations(range(8), 3))), 0.0)
    drawn = preferred_shares(utilities, sample_juries(some, 3, n_juries=3000, seed=1), 0.0)
    np.testing.assert_allclose(drawn, every, atol=0.04)
    assert every.max() < 1


def test_rounding_makes_no_winner() -> None:
    assert top_shares(np.array([0.1 + 0.2, 0.3])).tolist() == [0.5, 0.5]
    assert np.isnan(top_shares(np.array([np.nan, np.nan]))).all()


def test_what_is_refused() -> None:
    some = people(8)
    with pytest.raises(UsageError, match="not of the form"):
        composed("some women", some)
    with pytest.raises(UsageError, match="did you mean 'woman'"):
        composed("6 women", some)
    with pytest.raises(DataError, match="5 seats for gender=man, but 4 such people"):
        composed("4 woman, 5 man", some)
    with pytest.raises(UsageError, match="'p01' fits seats 1 and 2"):
        composed("1 woman, 1 age=21", some)
    both = [
        Episode("panel", (), unit=str(k), attributes={"home": "north", "work": "north" if k else "south"}) for k in range(3)
    ]
    with pytest.raises(UsageError, match="level of home, work; write ATTRIBUTE=north"):
        composed("1 north", both)
    for seats in (0, 9):
        with pytest.raises(UsageError, match="cannot be drawn"):
            sample_juries(some, seats, n_juries=1, seed=0)
