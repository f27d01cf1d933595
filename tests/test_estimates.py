from __future__ import annotations

import json
import math
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt
import pytest

from pluralign.errors import UsageError
from pluralign.estimates import (
    Estimate,
    bootstrap_ratios,
    bootstrap_weights,
    estimate_from_draws,
    estimate_mean,
    estimate_mean_difference,
    estimate_ratio,
    holm,
    joint_intervals,
    undefined,
    unit_sums,
)


def estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=value, low=low, high=high, n=3, unit="rater", seed=0)


# the Estimate itself


@pytest.mark.parametrize("numbers", list(product((1.0, math.nan), repeat=3)))
@pytest.mark.parametrize("why", [None, "too few"])
def test_nan_and_reason_go_together(numbers: tuple[float, float, float], why: str | None) -> None:
    fields = {**dict(zip(("value", "low", "high"), numbers, strict=True)), "n": 1, "unit": "rater", "seed": 0}
    if any(map(math.isnan, numbers)) == (why is not None):
        assert Estimate(**fields, why_undefined=why).is_defined is (why is None)
    else:
        with pytest.raises(UsageError, match="NaN exactly when it says why"):
            Estimate(**fields, why_undefined=why)


def test_excludes_what_lies_outside_the_interval() -> None:
    assert [estimate(2, 1, 3).excludes(x) for x in (0.999, 1.0, 2.0, 3.0, 3.001)] == [True, False, False, False, True]
    assert not undefined("no rows").excludes(0.0)


def test_json_and_back() -> None:
    for one in (estimate(0.5, 0.25, 0.75), undefined("no rows", n=1, unit="item", seed=4)):
        text = json.dumps(one.to_dict(), allow_nan=False)
        back = Estimate.from_dict(json.loads(text))
        assert back.to_dict() == one.to_dict()
        assert str(back) == str(one)
    assert str(estimate(0.5, 0.25, 0.75)) == "0.500 [0.250, 0.750]"
    assert str(undefined("no rows")) == "undefined (no rows)"


# sums and resampling


def test_unit_sums_of_columns() -> None:
    values = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
    sums, counts = unit_sums(values, np.array([2, 0, 2]), 4)
    assert sums.tolist() == [[2.0, 20.0], [0.0, 0.0], [5.0, 50.0], [0.0, 0.0]]
    assert counts.tolist() == [1.0, 0.0, 2.0, 0.0]
    assert unit_sums(values[:, :0], np.array([0, 0, 1]), 2)[0].shape == (2, 0)


def test_weights_count_the_units_drawn() -> None:
    blocks = list(bootstrap_weights(7, seed=3, n_resamples=20, max_cells=35))
    assert [b.shape for b in blocks] == [(5, 7)] * 4
    weights = np.concatenate(blocks)
    assert (weights.sum(axis=1) == 7).all()
    assert (weights == weights.round()).all()
    assert (weights >= 0).all()


def test_weights_depend_on_the_seed_alone() -> None:
    def drawn(**options: int) -> npt.NDArray[np.float64]:
        return np.concatenate(list(bootstrap_weights(6, n_resamples=50, **options)))

    np.testing.assert_array_equal(drawn(seed=1), drawn(seed=1))
    np.testing.assert_array_equal(drawn(seed=1), drawn(seed=1, max_cells=30))  # how it is cut into blocks does not matter
    assert (drawn(seed=1) != drawn(seed=2)).any()


def test_a_bootstrap_needs_units_and_resamples() -> None:
    for n_units, n_resamples in ((0, 10), (3, 0)):
        with pytest.raises(UsageError, match="needs units and resamples"):
            next(bootstrap_weights(n_units, seed=0, n_resamples=n_resamples))
    with pytest.raises(UsageError, match=r"\[units, statistics\]"):
        bootstrap_ratios(np.ones((3, 1)), np.ones((3, 2)), seed=0)


def test_two_statistics_are_resampled_together() -> None:
    # The second numerator is three times the first, so in every resample its ratio is, too.
    a = np.random.default_rng(0).normal(size=(9, 1))
    draws = bootstrap_ratios(np.hstack([a, 3 * a]), np.ones((9, 2)), seed=5, n_resamples=40)
    assert draws.shape == (40, 2)
    np.testing.assert_allclose(draws[:, 1], 3 * draws[:, 0], atol=1e-12)


def test_a_resample_without_a_denominator_has_no_value() -> None:
    # Two units, only the first has rows: a resample of the second alone (expected 1/4 of them) is NaN, all others are 5.
    draws = bootstrap_ratios(np.array([[5.0], [0.0]]), np.array([[1.0], [0.0]]), seed=0, n_resamples=400)[:, 0]
    assert set(draws[~np.isnan(draws)]) == {5.0}
    assert np.isnan(draws).sum() / 400 == pytest.approx(0.25, abs=0.08)


# intervals


def test_the_percentile_interval() -> None:
    found = estimate_from_draws(50.0, np.arange(101.0), n=4, unit="item", seed=9)
    assert (found.value, found.low, found.high) == pytest.approx((50.0, 2.5, 97.5), abs=1e-12)
    assert (found.n, found.unit, found.seed) == (4, "item", 9)
    narrow = estimate_from_draws(50.0, np.arange(101.0), n=4, unit="item", seed=9, coverage=0.5)
    assert (narrow.low, narrow.high) == (25.0, 75.0)


def test_a_few_resamples_may_lack_a_value() -> None:
    draws = np.r_[np.full(95, 1.0), np.full(5, np.nan)]
    assert estimate_from_draws(1.0, draws, n=4, unit="rater", seed=0).is_defined
    draws[0] = np.nan
    assert estimate_from_draws(1.0, draws, n=4, unit="rater", seed=0).why_undefined == "6 of 100 resamples have no value"


def test_when_a_mean_has_no_interval() -> None:
    nothing = estimate_mean(np.zeros(0), np.zeros(0, dtype=np.int64))
    assert (nothing.why_undefined, nothing.n) == ("no rows", 0)
    alone = estimate_mean(np.array([1.0, 2.0]), np.array([3, 3]))
    assert (alone.why_undefined, alone.n) == ("an interval needs at least 2 raters, there is 1", 1)
    assert estimate_mean(np.array([1.0, np.nan]), np.array([0, 1])).why_undefined == "the sample itself has no value"


def test_rows_weigh_equally_and_units_are_resampled() -> None:
    # Unit 5 has one row of 0, unit 2 three of 1. Mean 3/4. Resamples: 5 twice: 0; 2 twice: 1; one of each: 3/4.
    found = estimate_mean(np.array([0.0, 1.0, 1.0, 1.0]), np.array([5, 2, 2, 2]))
    assert (found.value, found.low, found.high, found.n) == (0.75, 0.0, 1.0, 2)


def test_a_difference_is_paired() -> None:
    rng = np.random.default_rng(1)
    units = np.repeat(np.arange(40), 5)
    theirs = rng.normal(size=40)[units] + rng.normal(size=200)
    found = estimate_mean_difference(theirs - 0.25, theirs, units)
    # Each row differs by the same amount, so no resample can give another.
    assert (found.value, found.low, found.high) == pytest.approx((-0.25, -0.25, -0.25), abs=1e-12)
    with pytest.raises(UsageError, match="same rows"):
        estimate_mean_difference(theirs, theirs[:-1], units)


def test_intervals_cover_the_truth() -> None:
    # Mean 0; 30 units with an effect of their own and 1 to 9 rows each. Of 300 intervals about 94 % should hold 0 (a percentile
    # bootstrap of 30 units is a little narrow); resampling rows instead of units would cover about 65 %.
    covered = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        units = np.repeat(np.arange(30), rng.integers(1, 10, size=30))
        values = rng.normal(size=30)[units] + rng.normal(size=len(units))
        covered.append(not estimate_mean(values, units, seed=seed, n_resamples=400).excludes(0.0))
    assert 0.88 <= np.mean(covered) <= 0.98


# joint intervals


def test_joint_intervals_by_hand() -> None:
    # Twenty draws of two estimates of 0; standard deviations 1 (ten times -1, ten times 1) and 2. Off by 1 and 1 standard
    # deviation in every resample, so c = 1: -1..1 and -2..2. The second's own interval reaches further down, to -3.
    sign = np.tile([-1.0, 1.0], 10)
    found = joint_intervals([estimate(0, -0.5, 0.5), estimate(0, -3, 1)], np.stack([sign, 2 * sign], axis=1))
    assert found == [(-1.0, 1.0), (-3.0, 2.0)]
    # one resample of a hundred is off by 3 standard deviations in one of them, ten by 2: the 95 % quantile is 2
    draws = np.zeros((100, 2))
    draws[:1, 0], draws[1:11, 1] = 3.0, 2.0
    spread = draws.std(axis=0)
    found = joint_intervals([estimate(0, 0, 0), estimate(0, 0, 0)], draws)
    assert found[1] == pytest.approx((-2.0, 2.0), abs=1e-12)
    assert found[0] == pytest.approx((-2.0 * spread[0] / spread[1], 2.0 * spread[0] / spread[1]), abs=1e-12)


def test_joint_intervals_leave_out_what_has_none() -> None:
    draws = np.random.default_rng(0).normal(size=(200, 3))
    draws[:, 1] = np.nan
    low = estimate(-math.inf, -math.inf, -math.inf)
    found = joint_intervals([estimate(0, -1, 1), undefined("no rows"), low], np.where([[1, 1, 0]] * 200, draws, -np.inf))
    assert found[0] is not None
    assert found[1:] == [None, None]
    assert found[:1] == joint_intervals([estimate(0, -1, 1)], draws[:, :1])
    assert joint_intervals([undefined("no rows")], draws[:, 1:2]) == [None]
    # an estimate that no resample moves stays a point, and widens no other
    still = joint_intervals([estimate(0, -1, 1), estimate(5, 5, 5)], np.stack([draws[:, 0], np.full(200, 5.0)], axis=1))
    assert still == [found[0], (5.0, 5.0)]
    with pytest.raises(UsageError, match=r"draws \[resamples, 2 estimates\]"):
        joint_intervals([estimate(0, -1, 1)] * 2, draws)


@pytest.mark.parametrize(("together", "factor"), [(0.0, 2.905), (1.0, 1.960)])
def test_joint_intervals_widen_with_the_number_of_unrelated_estimates(together: float, factor: float) -> None:
    # Fourteen normal estimates: all below c in 95 % of samples where Phi(c) - Phi(-c) = .95^(1/14); equal ones need no more
    # than one does.
    rng = np.random.default_rng(3)
    draws = (1 - together) * rng.normal(size=(40_000, 14)) + together * rng.normal(size=(40_000, 1))
    found = joint_intervals([estimate(0, 0, 0)] * 14, draws)
    assert [end for ends in found if ends for end in ends[1:]] == pytest.approx([factor] * 14, rel=0.03)


def test_joint_intervals_all_cover_the_truth() -> None:
    # Eight means of 60 raters, one part shared. All eight hold 0 in about 94 % of samples (60 raters: a little narrow); the
    # pointwise intervals all do in about 73 %.
    alone, jointly = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=(60, 8)) + rng.normal(size=(60, 1))
        draws = bootstrap_ratios(values, np.ones((60, 8)), seed=seed, n_resamples=400)
        made = [estimate_from_draws(v, draws[:, j], n=60, unit="rater", seed=0) for j, v in enumerate(values.mean(axis=0))]
        alone.append(not any(one.excludes(0.0) for one in made))
        jointly.append(all(ends is not None and ends[0] <= 0 <= ends[1] for ends in joint_intervals(made, draws)))
    assert np.mean(alone) < 0.85
    assert 0.89 <= np.mean(jointly) <= 0.985


# Holm


def test_holm_by_hand() -> None:
    # Smallest first: 4 * 0.01, 3 * 0.02, 2 * 0.025 (below the one before, so 0.06), 1 * 0.5.
    assert holm([0.5, 0.02, 0.01, 0.025]) == pytest.approx([0.5, 0.06, 0.04, 0.06], abs=1e-12)
    assert holm([0.4, 0.6]) == pytest.approx([0.8, 0.8], abs=1e-12)
    assert holm([0.7, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_equals_the_numbers_of_r_multtest() -> None:
    # mt.rawp2adjp(proc = "Holm") of R's multtest, as published in the tests of statsmodels (test_multi.py, res_multtest1).
    raw = [0.838541367553, 0.642193923795, 0.680845947633, 0.967833824309, 0.71626938238,
           0.177096952723, 5.23656777208e-05, 0.0202732688798, 0.00028140506198, 0.0149877310796]  # fmt: skip
    theirs = [1, 1, 1, 1, 1, 1, 5.2365677720800005e-04, 1.4191288215860001e-01, 2.5326455578199999e-03, 1.1990184863680001e-01]
    assert holm(raw) == pytest.approx(theirs, abs=1e-14)


def test_holm_keeps_the_order_and_lies_between_raw_and_bonferroni() -> None:
    raw = np.random.default_rng(2).uniform(size=30) ** 3
    adjusted = np.array(holm(raw.tolist()))
    assert all(a <= b for a, b in pairwise(adjusted[raw.argsort()]))
    assert (adjusted >= raw).all()
    assert (adjusted <= np.minimum(1.0, 30 * raw) + 1e-15).all()


def test_a_ratio_is_a_mean_where_all_weigh_the_same() -> None:
    rng = np.random.default_rng(3)
    values, units = rng.random(50), rng.integers(0, 9, 50)
    ratio, mean = estimate_ratio(values, np.ones(50), units, seed=1), estimate_mean(values, units, seed=1)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((mean.value, mean.low, mean.high), abs=1e-12)
    assert ratio.n == mean.n


def test_a_ratio_by_hand() -> None:
    """(1 + 2 + 3) / (2 + 2 + 4), each row a unit; without anything below there is no share."""
    assert estimate_ratio(np.array([1, 2, 3]), np.array([2, 2, 4])).value == 6 / 8
    assert estimate_ratio(np.array([1, 2]), np.zeros(2), why="no pairs").why_undefined == "no pairs"
    assert estimate_ratio(np.array([1, 2]), np.ones(2), np.array([5, 5])).why_undefined is not None
