from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from pluralign.errors import UsageError
from pluralign.estimates import bootstrap_weights
from pluralign.metrics import alpha_intervals, item_option_counts, krippendorff_alpha, krippendorff_alpha_estimate
from reference import agreement as slow

LEVELS = ("nominal", "ordinal", "interval")
VALUES = np.array([0.0, 1.0, 5.0])


def sparse_table(seed: int, n_items: int = 9, n_raters: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """About half of all cells, answers 0..2 that depend on the item."""
    rng = np.random.default_rng(seed)
    items, raters = np.nonzero(rng.random((n_items, n_raters)) < 0.5)
    tilt = rng.dirichlet(np.full(3, 0.7), size=n_items)
    answers = np.array([rng.choice(3, p=tilt[i]) for i in items])
    return items, raters, answers


def table_of(items: np.ndarray, raters: np.ndarray, answers: np.ndarray, level: str) -> alpha_intervals._Pairable:
    values = alpha_intervals.checked_level(level, VALUES, 3)
    return alpha_intervals._pairable(items, raters, answers, level, values, 3)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("seed", range(3))
def test_weights_of_one_give_alpha_itself(level: str, seed: int) -> None:
    items, raters, answers = sparse_table(seed)
    table = table_of(items, raters, answers, level)
    alpha = krippendorff_alpha(item_option_counts(items, answers, n_items=9, n_options=3), level, VALUES)
    by_item = alpha_intervals._by_item(table)(np.ones((1, len(table.counts))))
    by_rater = alpha_intervals._by_rater(table)(np.ones((1, int(table.raters.max()) + 1)))
    assert by_item[0] == pytest.approx(alpha, abs=1e-12)
    assert by_rater[0] == pytest.approx(alpha, abs=1e-12)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("unit", ["item", "rater"])
def test_every_resample_is_that_of_single_pairs(level: str, unit: str) -> None:
    table = table_of(*sparse_table(7), level)
    ratings = slow.long_table(table.items, table.raters, table.answers)
    n = len(table.counts) if unit == "item" else int(table.raters.max()) + 1
    weights = np.concatenate(list(bootstrap_weights(n, seed=3, n_resamples=25)))
    fast = (alpha_intervals._by_item if unit == "item" else alpha_intervals._by_rater)(table)(weights)
    drawn = slow.with_items_drawn if unit == "item" else slow.with_raters_drawn
    expected = [slow.alpha(drawn(ratings, w), level, VALUES.tolist()) for w in weights]
    np.testing.assert_allclose(fast, expected, atol=1e-12)


def test_a_copy_of_a_rater_does_not_agree_with_herself() -> None:
    # Item 0: raters 0 and 1 disagree; item 1: they disagree the other way. Drawing each twice adds no agreeing pair.
    # D_i = 1 for both items; expected: n = 8 with 4 of each option, S = 2 items * 2 raters * 2^2 = 16:
    # 2*4*4 / (64 - 16) = 2/3; alpha = 1 - 1/(2/3) = -1/2. With single copies: 1 - 1/(2*2*2/(16 - 4)) = -1/2 as well.
    table = table_of(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.array([0, 1, 1, 0]), "nominal")
    alphas = alpha_intervals._by_rater(table)(np.array([[1.0, 1.0], [2.0, 2.0]]))
    np.testing.assert_allclose(alphas, [-0.5, -0.5], atol=1e-12)


def test_a_resample_without_a_pair_has_no_alpha() -> None:
    table = table_of(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.array([0, 1, 1, 1]), "ordinal")
    assert np.isnan(alpha_intervals._by_rater(table)(np.array([[2.0, 0.0]]))).all()


@pytest.mark.parametrize("unit", ["item", "rater"])
@pytest.mark.parametrize("level", LEVELS)
def test_blocks_change_nothing(unit: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    items, raters, answers = sparse_table(5, n_items=40, n_raters=30)

    def estimate() -> object:
        return krippendorff_alpha_estimate(
            items, raters, answers, n_options=3, level=level, values=VALUES, resample=unit, seed=1, n_resamples=50
        )

    whole = estimate()
    monkeypatch.setattr(alpha_intervals, "MAX_CELLS", 4 * 300)
    assert str(estimate()) == str(whole)


@pytest.mark.parametrize("unit", ["item", "rater"])
def test_memory_grows_much_less_than_the_ratings(unit: str) -> None:
    def peak(n_raters: int) -> int:
        rng = np.random.default_rng(0)
        raters = np.repeat(np.arange(n_raters), 50)
        items = (rng.integers(0, 500, n_raters)[:, None] + np.arange(50)).ravel() % 500
        answers = rng.integers(0, 5, len(raters))
        tracemalloc.start()
        krippendorff_alpha_estimate(items, raters, answers, n_options=5, level="ordinal", resample=unit, n_resamples=100)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(20)  # what is imported on first use is not counted
    assert peak(4_000) < 5 * peak(400)


def test_ids_may_have_gaps_and_items_with_one_rating_do_not_count() -> None:
    items, raters, answers = sparse_table(6, n_items=40, n_raters=30)
    plain = krippendorff_alpha_estimate(items, raters, answers, n_options=3, resample="rater", seed=2)
    more = krippendorff_alpha_estimate(
        np.append(items * 1000, [7, 9]),
        np.append(raters * 10, [5, 6]),
        np.append(answers, [0, 1]),
        n_options=3,
        resample="rater",
        seed=2,
    )
    assert more == plain
    assert plain.unit == "rater"
    assert plain.n == len(np.unique(raters))
    assert krippendorff_alpha_estimate(items, raters, answers, n_options=3).n == 40


def test_undefined_says_why() -> None:
    none = krippendorff_alpha_estimate(np.array([0, 1]), np.array([0, 1]), np.array([0, 1]), n_options=2)
    assert none.why_undefined == "no item has two ratings, so there is no pair to compare"
    same = krippendorff_alpha_estimate(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([0, 0, 1]), n_options=2)
    assert same.why_undefined is not None
    assert "only one option" in same.why_undefined
    empty = np.zeros(0, dtype=np.int64)
    assert not krippendorff_alpha_estimate(empty, empty, empty, n_options=2, resample="rater").is_defined


def test_usage_errors() -> None:
    twice = (np.array([0, 0, 0]), np.array([0, 0, 1]), np.array([0, 1, 1]))
    with pytest.raises(UsageError, match=r"1 ratings repeat an \(item, rater\) pair"):
        krippendorff_alpha_estimate(*twice, n_options=2, resample="rater")
    with pytest.raises(UsageError, match="did you mean 'rater'"):
        krippendorff_alpha_estimate(*twice, n_options=2, resample="raters")
    with pytest.raises(UsageError, match="rater_index: need 3 whole numbers"):
        krippendorff_alpha_estimate(twice[0], twice[1][:2], twice[2], n_options=2)


def population_alpha(shares: np.ndarray) -> float:
    """Alpha in the limit of many raters an item [items, options]: 1 - P(two raters differ) / P(any two ratings differ)."""
    overall = shares.mean(axis=0)
    return float(1 - (1 - (shares**2).sum(axis=1)).mean() / (1 - overall @ overall))


def test_interval_over_items_covers_the_truth() -> None:
    # Items: half have P(yes) = .9, half .2; nobody's own habits matter, so other items are all that can change.
    truth = population_alpha(np.array([[0.1, 0.9], [0.8, 0.2]]))
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        p_yes = np.where(rng.random(80) < 0.5, 0.9, 0.2)
        items, raters = np.repeat(np.arange(80), 5), np.tile(np.arange(5), 80)
        answers = (rng.random(400) < p_yes[items]).astype(np.int64)
        e = krippendorff_alpha_estimate(items, raters, answers, n_options=2, seed=seed, n_resamples=300)
        covered += e.low <= truth <= e.high
    assert 88 <= covered <= 99  # 95 expected; a binomial is outside once in a few hundred


def test_interval_over_raters_covers_the_truth() -> None:
    # Twelve fixed items, two kinds of raters who answer by opposite rules: whom one happens to ask is all that matters.
    p_yes = np.array([[0.9] * 6 + [0.3] * 6, [0.2] * 6 + [0.3] * 6])  # [kind, item]
    mixed = p_yes.mean(axis=0)
    truth = population_alpha(np.stack([1 - mixed, mixed], axis=1))
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        kind = rng.integers(0, 2, size=120)
        items, raters = np.tile(np.arange(12), 120), np.repeat(np.arange(120), 12)
        answers = (rng.random(1440) < p_yes[kind[raters], items]).astype(np.int64)
        e = krippendorff_alpha_estimate(items, raters, answers, n_options=2, resample="rater", seed=seed, n_resamples=300)
        covered += e.low <= truth <= e.high
    assert 88 <= covered <= 99
