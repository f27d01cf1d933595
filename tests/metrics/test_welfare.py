from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pmean

from pluralign.errors import UsageError
from pluralign.metrics import p_mean, p_mean_resampled

GRID = (-math.inf, -1e6, -5.0, -1.0, -1e-8, 0.0, 1e-8, 0.5, 1.0, 5.0, 1e6, math.inf)
UTILITIES = st.lists(st.floats(0, 1e6, allow_subnormal=False).filter(lambda u: u == 0 or u > 1e-6), min_size=1, max_size=6)


def test_by_hand() -> None:
    pair = np.array([1.0, 4.0])
    # mean 5/2; geometric sqrt 4 = 2; harmonic 2 / (1 + 1/4) = 8/5; p = 1/2: ((1 + 2) / 2)^2 = 9/4; p = 2: sqrt(17/2)
    by_p = {1.0: 5 / 2, 0.0: 2.0, -1.0: 8 / 5, 0.5: 9 / 4, 2.0: math.sqrt(17 / 2), -math.inf: 1.0, math.inf: 4.0}
    for p, expected in by_p.items():
        assert p_mean(pair, p) == pytest.approx(expected, abs=1e-12)


def test_weights_by_hand() -> None:
    pair = np.array([1.0, 4.0])
    # weights 3 : 1: mean 7/4; geometric 4^(1/4) = sqrt 2; harmonic 4 / (3 + 1/4) = 16/13
    assert p_mean(pair, 1.0, weights=np.array([3.0, 1.0])) == pytest.approx(7 / 4, abs=1e-12)
    assert p_mean(pair, 0.0, weights=np.array([3.0, 1.0])) == pytest.approx(math.sqrt(2), abs=1e-12)
    assert p_mean(pair, -1.0, weights=np.array([0.75, 0.25])) == pytest.approx(16 / 13, abs=1e-12)
    # who has no weight is not looked at, be it the worst off or unknown
    of_one = np.array([0.0, 4.0, math.nan])
    for p in GRID:
        assert p_mean(of_one, p, weights=np.array([0.0, 2.0, 0.0])) == pytest.approx(4.0, abs=1e-12)


@pytest.mark.parametrize("p", [p for p in GRID if math.isfinite(p) and 1e-6 < abs(p) < 100])
def test_scipy_gives_the_same(p: float) -> None:
    rng = np.random.default_rng(3)
    table, weights = rng.random((20, 5)) + 0.01, rng.random((20, 5))
    np.testing.assert_allclose(p_mean(table, p, weights=weights), pmean(table, p, axis=1, weights=weights), rtol=1e-12)


def test_what_one_gets_nothing_is_worth_nothing_to_all_for_p_up_to_0() -> None:
    with_zero = np.array([0.0, 1.0, 1.0, 1.0])
    for p in GRID:
        if p <= 0:
            assert p_mean(with_zero, p) == 0.0
    assert p_mean(with_zero, 1.0) == pytest.approx(3 / 4, abs=1e-12)
    assert p_mean(with_zero, 0.5) == pytest.approx(9 / 16, abs=1e-12)  # (3/4)^2
    assert p_mean(np.zeros(3), 1.0) == 0.0


def test_large_powers_neither_overflow_nor_vanish() -> None:
    table = np.array([1e-300, 1.0, 1e300])
    # n^(-1/p) times the extreme one: 3^(1/1000) from the minimum, 3^(-1/1000) of the maximum
    assert p_mean(table, -1000.0) == pytest.approx(1e-300 * 3 ** (1 / 1000), rel=1e-12)
    assert p_mean(table, 1000.0) == pytest.approx(1e300 * 3 ** (-1 / 1000), rel=1e-12)
    assert p_mean(table, -1e9) == pytest.approx(1e-300, rel=1e-8)


def test_near_0_it_goes_over_into_the_geometric_mean() -> None:
    table = np.array([0.2, 0.5, 0.9])
    variance = np.log(table).var()
    for p in (1e-9, -1e-9, 1e-6):  # log W_p = mean log + p/2 variance of logs + O(p^2)
        assert math.log(p_mean(table, p)) == pytest.approx(np.log(table).mean() + p / 2 * variance, abs=1e-11)


@given(UTILITIES)
def test_it_never_falls_as_p_rises(utilities: list[float]) -> None:
    values = [float(p_mean(np.array(utilities), p)) for p in GRID]
    assert all(a <= b * (1 + 1e-12) for a, b in itertools.pairwise(values))
    assert values[0] == min(utilities)
    assert values[-1] == max(utilities)


@given(UTILITIES, st.floats(1e-3, 1e3), st.sampled_from(GRID))
def test_it_scales_with_the_unit(utilities: list[float], factor: float, p: float) -> None:
    table = np.array(utilities)
    assert p_mean(factor * table, p) == pytest.approx(factor * float(p_mean(table, p)), rel=1e-9)


def test_rows_and_boxes_are_taken_one_by_one() -> None:
    box = np.random.default_rng(0).random((3, 4, 5))
    each = np.array([[float(p_mean(row, -1.0)) for row in rows] for rows in box])
    np.testing.assert_allclose(p_mean(box, -1.0), each, rtol=1e-14)


def test_nobody_has_no_welfare() -> None:
    assert np.isnan(p_mean(np.zeros((2, 0)), 1.0)).tolist() == [True, True]
    assert math.isnan(p_mean(np.array([0.5, 0.6]), 0.0, weights=np.zeros(2)))
    assert np.isnan(p_mean_resampled(np.array([[0.5, 0.6]]), 1.0, np.array([[0, 0]]))).tolist() == [[True]]


@pytest.mark.parametrize("p", [*GRID, -40.0, 40.0])
def test_many_weightings_at_once_are_the_same_as_one_by_one(p: float) -> None:
    rng = np.random.default_rng(5)
    table = 10 ** rng.uniform(-100, 50, size=(20, 6))
    table[0, 0], table[1] = 0.0, 0.0
    draws = rng.integers(0, 3, size=(30, 6)).astype(float)
    present = rng.random(table.shape) < 0.7
    present[2] = False
    table[2] = math.nan
    plain = np.stack([p_mean(table, p, weights=row * present) for row in draws])
    np.testing.assert_allclose(p_mean_resampled(table, p, draws, present=present), plain, rtol=1e-10)


def test_what_is_refused() -> None:
    with pytest.raises(UsageError, match=r"entry \[1, 0\] is -0.5"):
        p_mean(np.array([[1.0, 0.5], [-0.5, 0.5]]), 1.0)
    for bad in (math.nan, math.inf):
        with pytest.raises(UsageError, match="finite and at least 0"):
            p_mean(np.array([bad, 0.5]), 1.0)
    with pytest.raises(UsageError, match="not NaN"):
        p_mean(np.ones(2), math.nan)
    with pytest.raises(UsageError, match="do not fit"):
        p_mean(np.ones(2), 1.0, weights=np.ones(3))
    with pytest.raises(UsageError, match="weights must be finite and at least 0"):
        p_mean(np.ones(2), 1.0, weights=np.array([1.0, -1.0]))
    with pytest.raises(UsageError, match="not one number"):
        p_mean(np.float64(1.0), 1.0)
    with pytest.raises(UsageError, match=r"weights \[weightings, jurors\]"):
        p_mean_resampled(np.ones((2, 3)), 1.0, np.ones((4, 2)))
    with pytest.raises(UsageError, match="weights must be finite"):
        p_mean_resampled(np.ones((2, 3)), 1.0, -np.ones((4, 3)))
