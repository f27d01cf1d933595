from __future__ import annotations

import math

import numpy as np
import pytest

from pluralign.errors import UsageError
from pluralign.metrics import (
    assignment_permutation_test,
    information_preserved,
    nats_to_bits,
    permutation_p_value,
    usable_information,
)

RATERS = np.repeat(np.arange(50), 4)


def losses(seed: int, *gains: float) -> list[np.ndarray]:
    """A loss with nothing known, and one for each gain, which varies between raters."""
    rng = np.random.default_rng(seed)
    nothing = rng.gamma(2.0, 0.5, size=200)
    return [nothing, *(nothing - gain - rng.normal(0, 0.1, size=50)[RATERS] for gain in gains)]


def test_usable_information_by_hand() -> None:
    # (1 - 1/2 + 2 - 3)/2 = -1/4: knowing made it worse, and that is what is said
    e = usable_information(np.array([1.0, 2.0]), np.array([0.5, 3.0]), np.array([4, 7]))
    assert e.value == pytest.approx(-0.25, abs=1e-12)
    assert (e.low, e.high, e.n, e.unit) == (-1.0, 0.5, 2, "rater")


def test_usable_information_resamples_raters_not_ratings() -> None:
    # All of a rater's ratings gain the same: 4 ratings say no more than one. Standard error = spread of raters / sqrt(50).
    gains = np.random.default_rng(0).normal(0.2, 1.0, size=50)
    e = usable_information(np.full(200, 3.0), 3.0 - gains[RATERS], RATERS, n_resamples=4000)
    assert e.high - e.low == pytest.approx(2 * 1.96 * gains.std() / math.sqrt(50), rel=0.06)


def test_usable_information_covers_the_truth() -> None:
    covered = 0
    for seed in range(100):
        nothing, knowing = losses(seed, 0.05)
        e = usable_information(nothing, knowing, RATERS, seed=seed, n_resamples=300)
        covered += e.low <= 0.05 <= e.high
    assert 88 <= covered <= 99


def test_infinite_losses_are_undefined_with_their_number() -> None:
    e = usable_information(np.array([1.0, 1.0, 1.0]), np.array([1.0, math.inf, 1.0]), np.array([0, 1, 2]))
    assert e.why_undefined == "1 ratings have an infinite loss: a predictor gave them probability 0"
    assert e.n == 3
    assert not information_preserved(*(np.array([1.0, math.inf]),) * 3, np.array([0, 1])).is_defined


def test_information_preserved_by_hand() -> None:
    # rater 0: part .1 of .2, rater 1: part .3 of .4; the ratio of sums is .4/.6, not the mean of the ratios
    nothing = np.array([1.0, 1.0])
    e = information_preserved(nothing, nothing - [0.1, 0.3], nothing - [0.2, 0.4], np.array([0, 1]))
    assert e.value == pytest.approx(2 / 3, abs=1e-12)
    assert e.low == pytest.approx(0.5, abs=1e-12)
    assert e.high == pytest.approx(0.75, abs=1e-12)


def test_information_preserved_is_not_clipped() -> None:
    nothing, part, whole = losses(1, 0.4, 0.2)
    assert information_preserved(nothing, part, whole, RATERS).value > 1
    nothing, part, whole = losses(1, -0.2, 0.4)
    assert information_preserved(nothing, part, whole, RATERS).high < 0


def test_information_preserved_resamples_both_together() -> None:
    nothing, whole = losses(2, 0.1)
    part = nothing - 0.5 * (nothing - whole)  # exactly half in every rating
    e = information_preserved(nothing, part, whole, RATERS)
    assert (e.low, e.value, e.high) == pytest.approx((0.5, 0.5, 0.5), abs=1e-12)


def test_information_preserved_says_what_the_denominator_is() -> None:
    nothing, part, whole = losses(3, 0.1, 0.0)
    e = information_preserved(nothing, part, whole, RATERS)
    assert e.why_undefined is not None
    assert f"not clearly above 0: {usable_information(nothing, whole, RATERS)} nats" in e.why_undefined
    worse = information_preserved(nothing, part, nothing + 1, RATERS)
    assert "-1.000 [-1.000, -1.000]" in str(worse.why_undefined)


def test_information_undefined_without_rows_or_with_one_rater() -> None:
    nothing = np.zeros(0)
    assert usable_information(nothing, nothing, nothing.astype(int)).why_undefined == "no rows"
    assert information_preserved(nothing, nothing, nothing, nothing.astype(int)).why_undefined == "no rows"
    one = information_preserved(np.ones(3), np.zeros(3), np.zeros(3), np.zeros(3, dtype=int))
    assert "at least 2 raters" in str(one.why_undefined)


def test_information_usage_errors() -> None:
    with pytest.raises(UsageError, match="over the same ratings"):
        usable_information(np.ones(3), np.ones(2), np.arange(3))
    with pytest.raises(UsageError, match="a loss is NaN"):
        usable_information(np.ones(2), np.array([1.0, math.nan]), np.arange(2))


def test_bits() -> None:
    assert nats_to_bits(math.log(2)) == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(nats_to_bits(np.log([4.0, 0.5])), [2, -1], atol=1e-12)


def test_p_value_by_hand() -> None:
    assert permutation_p_value(3.0, np.array([1.0, 2.0, 3.0, 4.0])) == 3 / 5
    assert permutation_p_value(9.0, np.array([1.0, 2.0, 3.0])) == 1 / 4  # never 0
    assert permutation_p_value(0.1 + 0.2, np.array([0.3])) == 1.0  # equal but for rounding
    with pytest.raises(UsageError, match="at least one permutation"):
        permutation_p_value(1.0, np.zeros(0))
    with pytest.raises(UsageError, match="finite"):
        permutation_p_value(1.0, np.array([math.nan]))


def test_assignment_test_by_hand() -> None:
    # Two raters, two groups. As assigned: total 0; swapped: 2. Of many permutations half are the swap,
    # so about half are as small as observed: p near 1/2; with the assignment reversed every permutation is: p = 1.
    table = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert assignment_permutation_test(table, np.array([0, 1]), n_permutations=4000) == pytest.approx(0.5, abs=0.04)
    assert assignment_permutation_test(table, np.array([1, 0]), n_permutations=50) == 1.0


def test_assignment_test_weighs_raters_by_their_ratings() -> None:
    # Losses as means: rater 0 (9 ratings) is better off in her own group, rater 1 (1 rating) worse: totals 9*0 + 1*1 = 1 and 9.
    # Unweighted the two arrangements tie.
    table = np.array([[0.0, 1.0], [0.0, 1.0]])
    assert assignment_permutation_test(table, np.array([0, 1]), n_permutations=200) == 1.0
    weighted = assignment_permutation_test(table, np.array([0, 1]), np.array([9.0, 1.0]), n_permutations=4000)
    assert weighted == pytest.approx(0.5, abs=0.04)
    sums = assignment_permutation_test(table * [[9.0], [1.0]], np.array([0, 1]), n_permutations=4000)
    assert weighted == sums


def test_assignment_test_under_the_null_is_uniform_and_finds_a_true_difference() -> None:
    p_null, p_true = [], []
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        table, groups = rng.normal(size=(40, 3)), rng.integers(0, 3, size=40)
        p_null.append(assignment_permutation_test(table, groups, seed=seed, n_permutations=99))
        table[np.arange(40), groups] -= 0.8
        p_true.append(assignment_permutation_test(table, groups, seed=seed, n_permutations=99))
    assert 30 <= sum(p <= 0.05 for p in p_null) <= 70  # 50 expected, standard deviation 7
    assert 0.47 < np.mean(p_null) < 0.53
    assert np.mean([p <= 0.05 for p in p_true]) > 0.9


def test_assignment_test_usage_errors() -> None:
    table = np.zeros((2, 2))
    with pytest.raises(UsageError, match="1 infinite or NaN"):
        assignment_permutation_test(np.array([[0.0, math.inf], [0.0, 0.0]]), np.array([0, 1]))
    with pytest.raises(UsageError, match=r"assigned: position 1 holds 2; allowed are 0\.\.1"):
        assignment_permutation_test(table, np.array([0, 2]))
    with pytest.raises(UsageError, match="weights: need 2 finite numbers"):
        assignment_permutation_test(table, np.array([0, 1]), np.array([1.0, -1.0]))
    with pytest.raises(UsageError, match="n_permutations"):
        assignment_permutation_test(table, np.array([0, 1]), n_permutations=0)
