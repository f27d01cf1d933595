from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from pluralign.errors import UsageError
from pluralign.estimates import Estimate, undefined
from pluralign.evals.coverage_measures import (
    collision_estimate,
    distinct_estimate,
    distinct_k,
    distinct_k_estimate,
    distinct_values,
    distinct_variance,
    drawn_of,
    independent_difference,
    mean_of_independent,
    pair_collision,
    share_estimate,
    uniform_distinct,
    utility_k,
    utility_k_estimate,
)
from pluralign.evals.equivalence import EXACT, FOLDED, Judged, classes_of
from reference import coverage as slow

N = 100


def _zipf(n: int) -> npt.NDArray[np.float64]:
    weights = 1 / np.arange(1, n + 1)
    return weights / weights.sum()


LAWS = {
    "even, more than are drawn": np.full(300, 1 / 300),
    "even, as many as are drawn": np.full(100, 1 / 100),
    "Zipf": _zipf(1000),
    "Zipf, half of it invalid": _zipf(1000) / 2,
    "one loud output and a tail": np.append(0.9, np.full(50, 0.002)),
}


def _sample(law: npt.NDArray[np.float64], rng: np.random.Generator, n: int = N) -> npt.NDArray[np.int64]:
    """Classes of the generations that are in one, numbered without gaps."""
    counts = rng.multinomial(n, np.append(law, max(0.0, 1 - law.sum())))[:-1]
    found = np.flatnonzero(counts)
    return np.repeat(np.arange(len(found)), counts[found])


def _expected(law: npt.NDArray[np.float64], n: int = N) -> float:
    return float((1 - (1 - law) ** n).sum())


# by hand and the slow way


def test_distinct_k_by_hand() -> None:
    """Of a, a, b the pairs are aa, ab, ab: (1 + 2 + 2) / 3."""
    assert distinct_k(drawn_of([0, 0, 1], 3), 2) == pytest.approx(5 / 3, abs=1e-12)
    assert distinct_k(drawn_of([0, 0, 1], 3), 3) == pytest.approx(2, abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 3, 5, 7])
def test_distinct_k_is_the_mean_over_subsets(k: int) -> None:
    found = distinct_k(drawn_of([0, 0, 0, 1, 1, 2], 7), k)
    assert found == pytest.approx(slow.distinct_k([0, 0, 0, 1, 1, 2, None], k), abs=1e-12)


def test_utility_k_by_hand() -> None:
    """Of a, b with quality 1 and 0, k = 2, patience 1/2: first place 2/3, second 1/3; the orders give 2/3 and 1/3."""
    assert utility_k(drawn_of([0, 1], 2, [1.0, 0.0]), 2, 0.5) == pytest.approx(1 / 2, abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_utility_k_is_the_mean_over_orders(k: int) -> None:
    """Members of a class may differ in quality: which of them comes first is chance."""
    classes, quality = [0, 0, 0, 1, 1, 2], [1.0, 0.0, 1.0, 0.25, 0.5, 0.0]
    found = utility_k(drawn_of(classes, 6, quality), k, 0.8)
    assert found == pytest.approx(slow.utility_k(list(zip(classes, quality, strict=True)), k, 0.8), abs=1e-12)


def test_utility_of_all_new_and_good_is_1() -> None:
    assert utility_k(drawn_of(range(10), 10), 10) == pytest.approx(1, abs=1e-12)


def test_pair_collision_is_the_share_of_pairs() -> None:
    """Of a, a, a, b, b: 3 + 1 of 10 pairs."""
    assert pair_collision(drawn_of([0, 0, 0, 1, 1], 9)) == pytest.approx(4 / 10, abs=1e-12)
    assert pair_collision(drawn_of([0, 0, 0, 1, 1], 9)) == pytest.approx(slow.pair_collision([0, 0, 0, 1, 1]), abs=1e-12)


def test_expected_distinct_of_even_draws() -> None:
    """Two draws of three: 3 (1 - (2/3)^2) = 5/3."""
    assert uniform_distinct(3, 2) == pytest.approx(5 / 3, abs=1e-12)
    assert uniform_distinct(3, 2) == pytest.approx(slow.distinct_moments([1 / 3] * 3, 2)[0], abs=1e-12)
    assert uniform_distinct(1, 5) == 1.0


@pytest.mark.parametrize("law", [[0.5, 0.5], [0.2, 0.2, 0.6], [0.1, 0.2, 0.3], [1.0], [0.25] * 4])
def test_variance_of_the_number_of_classes(law: list[float]) -> None:
    assert distinct_variance(law, 4) == pytest.approx(slow.distinct_moments(law, 4)[1], abs=1e-12)


def test_shares_have_wilsons_interval() -> None:
    """z^2 = 3.8415: of 0 in 10 the upper end is z^2 / (10 + z^2)."""
    none = share_estimate(0, 10)
    z2 = 1.959963984540054**2
    assert (none.value, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(z2 / (10 + z2), abs=1e-12)
    all_of_them = share_estimate(10, 10)
    assert (all_of_them.high, all_of_them.low) == (1.0, pytest.approx(1 - none.high, abs=1e-12))
    assert share_estimate(0, 0).why_undefined == "no generations"


def test_what_has_no_value_says_why() -> None:
    assert math.isnan(distinct_k(drawn_of([0, 0], 2), 3))
    assert math.isnan(utility_k(drawn_of([0, 0], 2), 3))
    assert math.isnan(pair_collision(drawn_of([0], 2)))
    assert (
        distinct_k_estimate(drawn_of([0] * 10, 10), 10).why_undefined
        == "an interval needs at least 11 generations, there are 10"
    )
    assert utility_k_estimate(drawn_of([0] * 10, 10), 10).why_undefined is not None
    assert distinct_estimate(drawn_of([0], 1)).why_undefined == "an interval needs at least 2 generations, there are 1"
    assert collision_estimate(drawn_of([0], 9)).why_undefined == "an interval needs at least 2 generations, there are 1"


def test_arguments_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match="give all generations as n"):
        drawn_of([0, 1, 2], 2)
    with pytest.raises(UsageError, match="all classes as n_possible"):
        drawn_of([0, 1, 2], 5, n_possible=2)
    with pytest.raises(UsageError, match="needs options and draws"):
        uniform_distinct(0, 5)
    with pytest.raises(UsageError, match="between 0 and 1"):
        utility_k(drawn_of([0, 1], 2), 1, 1.0)


# intervals


@pytest.mark.parametrize("name", LAWS)
def test_intervals_hold_the_expected_number_of_different_ones(name: str) -> None:
    """In 90 to 99 of 100 samples, or all of them; of the plain bootstrap in fewer than 50."""
    law, rng = LAWS[name], np.random.default_rng(3)
    held = plain = 0
    for seed in range(100):
        classes = _sample(law, rng)
        found = distinct_estimate(drawn_of(classes, N), seed=seed)
        held += found.low <= _expected(law) <= found.high
        padded = np.append(classes, np.full(N - len(classes), -1))
        again = [len(set(padded[rng.integers(0, N, N)]) - {-1}) for _ in range(60)]
        plain += np.percentile(again, 2.5) <= _expected(law) <= np.percentile(again, 97.5)
    assert held >= 90
    assert plain < 50


@pytest.mark.parametrize("name", ["even, more than are drawn", "Zipf", "Zipf, half of it invalid"])
def test_intervals_are_no_wider_than_they_have_to_be(name: str) -> None:
    """On average within a half more than 2 * 1.96 standard deviations, which no interval can do without."""
    law, rng = LAWS[name], np.random.default_rng(4)
    found = [distinct_estimate(drawn_of(_sample(law, rng), N)) for _ in range(30)]
    needed = 2 * 1.96 * math.sqrt(distinct_variance(law, N))
    assert 0.9 * needed < np.mean([one.high - one.low for one in found]) < 1.5 * needed


@pytest.mark.parametrize("name", ["Zipf, half of it invalid", "one loud output and a tail"])
def test_intervals_of_the_other_measures(name: str) -> None:
    """Of 30 samples at least 25: 95 % of them less three standard deviations."""
    law, rng = LAWS[name], np.random.default_rng(5)
    seen = [_expected(law, k) for k in range(11)]
    weights = 0.8 ** np.arange(10) * 0.2 / (1 - 0.8**10)
    truths = [seen[10], float(weights @ np.diff(seen)), float((law**2).sum() / law.sum() ** 2)]
    held = np.zeros(3)
    for seed in range(30):
        drawn = drawn_of(_sample(law, rng), N)
        found = (
            distinct_k_estimate(drawn, 10, seed=seed),
            utility_k_estimate(drawn, 10, seed=seed),
            collision_estimate(drawn, seed=seed),
        )
        held += [one.low <= truth <= one.high for one, truth in zip(found, truths, strict=True)]
    assert (held >= 25).all()


def test_one_loud_output_is_not_certain() -> None:
    """100 times the same: up to 3.7 more were missed, by the rule of three; nothing was missed of a set that is covered."""
    found = distinct_estimate(drawn_of([0] * 100, 100))
    assert (found.value, found.low) == (1.0, 1.0)
    assert 4.6 < found.high < 5.2
    whole = distinct_estimate(drawn_of([*range(10)] * 10, 100, n_possible=10))
    assert whole.high == 10
    assert 9.9 < whole.low < 10
    none = distinct_estimate(drawn_of([], 100))
    assert (none.value, none.low) == (0.0, 0.0)
    assert 3.6 < none.high < 4.5


def test_intervals_stay_within_what_is_possible() -> None:
    all_new = distinct_estimate(drawn_of(range(100), 100))
    assert (all_new.value, all_new.high) == (100, 100)
    assert all_new.low > 95
    assert distinct_k_estimate(drawn_of(range(100), 100), 10).high == 10
    assert distinct_estimate(drawn_of(range(100), 100), per=100).high == 1


def test_intervals_depend_on_the_seed_alone() -> None:
    drawn = drawn_of(_sample(LAWS["Zipf"], np.random.default_rng(0)), N)
    assert distinct_k_estimate(drawn, 10, seed=1) == distinct_k_estimate(drawn, 10, seed=1)
    assert distinct_k_estimate(drawn, 10, seed=1) != distinct_k_estimate(drawn, 10, seed=2)


def test_values_of_generations_have_mean_and_variance_of_the_count() -> None:
    classes = _sample(LAWS["Zipf, half of it invalid"], np.random.default_rng(1))
    drawn = drawn_of(classes, N)
    values, found = distinct_values(drawn, classes), distinct_estimate(drawn)
    assert len(values) == N
    assert values.mean() == pytest.approx(found.value, abs=1e-9)
    assert math.sqrt(values.var() / N) == pytest.approx((found.value - found.low) / 1.959963984540054, abs=1e-9)
    assert distinct_values(drawn_of([0] * 5, 5), [0] * 5).tolist() == [1.0] * 5


# means and differences of independent estimates


def _estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=value, low=low, high=high, n=100, unit="generation", seed=0)


def test_differences_and_means_of_independent_estimates_by_hand() -> None:
    """Arms 3 and 4 make 5: of the difference 5, of the mean of two 5 / 2."""
    ours, theirs = _estimate(10, 7, 14), _estimate(4, 1, 8)
    difference = independent_difference(ours, theirs)
    assert (difference.value, difference.low, difference.high) == (6, 1, 11)  # 6 - |(3, 4)|, 6 + |(4, 3)|
    mean = mean_of_independent([_estimate(10, 7, 13), _estimate(4, 0, 8)])
    assert (mean.value, mean.low, mean.high, mean.n) == (7, 4.5, 9.5, 200)
    lost = undefined("none is valid")
    assert independent_difference(ours, lost).why_undefined == "none is valid"
    assert mean_of_independent([ours, lost]).why_undefined == "none is valid"


# classes


def test_classes_by_text_and_by_sense() -> None:
    texts = ["Oregon", " oregon", "OREGON", "New  York", "new york", "Oregon"]
    assert classes_of(texts, EXACT).tolist() == [0, 1, 2, 3, 4, 0]
    assert classes_of(texts, FOLDED).tolist() == [0, 0, 0, 1, 1, 0]
    assert classes_of(["Straße", "STRASSE"], FOLDED).tolist() == [0, 0]
    assert classes_of([], EXACT).tolist() == []


def test_classes_are_made_greedily_and_equal_texts_are_not_asked_about() -> None:
    """Numbers at most 1 apart are the same: 3 joins 2, then 4 joins neither 2 nor becomes one with 3."""
    asked: list[tuple[str, str]] = []

    def near(older: str, newer: str) -> bool:
        asked.append((older, newer))
        return abs(int(older) - int(newer)) <= 1

    assert classes_of(["2", "3", "4", "2", "5"], Judged("near", near)).tolist() == [0, 0, 1, 0, 1]
    assert asked == [("2", "3"), ("2", "4"), ("2", "5"), ("4", "5")]
