from __future__ import annotations

import csv
import math
from pathlib import Path

import krippendorff
import numpy as np
import pytest

from pluralign.errors import UsageError
from pluralign.metrics import (
    chance_agreement,
    coincidence_matrix,
    fleiss_kappa,
    item_option_counts,
    krippendorff_alpha,
    pair_agreement,
)
from reference import agreement as slow

LEVELS = ("nominal", "ordinal", "interval")

# Krippendorff 2011, section C: four observers, twelve units, answers 1..5, 0 = missing.
WORKED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
)


def worked_counts() -> np.ndarray:
    raters, items = np.nonzero(WORKED)
    return item_option_counts(items, WORKED[raters, items] - 1, n_items=12, n_options=5)


def random_counts(seed: int, *, n_items: int = 30, n_options: int = 4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    tilt = rng.dirichlet(np.ones(n_options), size=n_items)
    return np.stack([rng.multinomial(rng.integers(0, 6), tilt[i]) for i in range(n_items)])


def test_coincidence_matrix_of_the_worked_example() -> None:
    # Krippendorff 2011: n_c = 9, 13, 10, 5, 3. Units 2 (2, 2, 3, 2), 6 (1, 2, 3, 4) and 8 (1, 1, 2, 1) are divided; pairs by 3.
    third = 1 / 3
    expected = [
        [7, 4 * third, third, third, 0],
        [4 * third, 10, 4 * third, third, 0],
        [third, 4 * third, 8, third, 0],
        [third, third, third, 4, 0],
        [0, 0, 0, 0, 3],
    ]
    np.testing.assert_allclose(coincidence_matrix(worked_counts()), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("level", "fraction", "printed"),
    [
        # n = 40, sum of the diagonal 32, sum n_c (n_c - 1) = 344: (39*32 - 344) / (40*39 - 344)
        ("nominal", 904 / 1216, 0.743),
        # mid-ranks 4.5, 15.5, 27, 34.5, 38.5; above the diagonal: sum o d2 = 2836.5/3, sum n n d2 = 199740
        ("ordinal", 1 - 39 * (2836.5 / 3) / 199740, 0.815),
        # above the diagonal: sum o d2 = 26/3, sum n n d2 = 2240
        ("interval", 1 - 39 * (26 / 3) / 2240, 0.849),
    ],
)
def test_alpha_of_the_worked_example(level: str, fraction: float, printed: float) -> None:
    alpha = krippendorff_alpha(worked_counts(), level, np.arange(1, 6))
    assert alpha == pytest.approx(fraction, abs=1e-12)
    assert round(alpha, 3) == printed


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("seed", range(5))
def test_alpha_is_that_of_the_krippendorff_package(level: str, seed: int) -> None:
    counts = random_counts(seed)
    values = np.array([-3.0, 0.5, 1.0, 7.0])
    theirs = krippendorff.alpha(value_counts=counts, value_domain=values, level_of_measurement=level)
    assert krippendorff_alpha(counts, level, values) == pytest.approx(float(theirs), abs=1e-12)


@pytest.mark.parametrize("level", LEVELS)
def test_alpha_is_that_of_single_pairs(level: str) -> None:
    counts = random_counts(11, n_items=12)
    ratings, values = [], [0.0, 1.0, 4.0, 5.0]
    for item, row in enumerate(counts):
        answers = np.repeat(np.arange(4), row)
        ratings += [(item, rater, int(answer), 0) for rater, answer in enumerate(answers)]
    expected = slow.alpha(ratings, level, values)
    assert krippendorff_alpha(counts, level, np.array(values)) == pytest.approx(expected, abs=1e-12)


def test_alpha_does_not_lose_digits_on_large_values() -> None:
    counts = random_counts(2)
    near, far = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 1.0, 2.0, 3.0]) + 1e8
    assert krippendorff_alpha(counts, "interval", far) == pytest.approx(krippendorff_alpha(counts, "interval", near), abs=1e-9)


def test_alpha_without_values_treats_positions_as_order_only() -> None:
    counts = random_counts(3)
    assert krippendorff_alpha(counts, "ordinal") == krippendorff_alpha(counts, "ordinal", np.array([1.0, 10.0, 11.0, 99.0]))


@pytest.mark.parametrize(
    "counts",
    [
        np.zeros((3, 2), dtype=int),  # nobody rated
        np.array([[1, 0], [0, 1]]),  # one rating an item: no pair
        np.array([[2, 0], [3, 0], [0, 1]]),  # the other option occurs only where there is no pair
        np.zeros((0, 2), dtype=int),
    ],
)
@pytest.mark.parametrize("level", LEVELS)
def test_alpha_undefined(counts: np.ndarray, level: str) -> None:
    assert math.isnan(krippendorff_alpha(counts, level, np.array([0.0, 1.0])))


def test_alpha_usage_errors() -> None:
    counts = np.array([[1, 1]])
    with pytest.raises(UsageError, match="did you mean 'ordinal'"):
        krippendorff_alpha(counts, "ordnal")
    with pytest.raises(UsageError, match="needs values="):
        krippendorff_alpha(counts, "interval")
    with pytest.raises(UsageError, match="2 finite, rising numbers"):
        krippendorff_alpha(counts, "interval", np.array([1.0, 1.0]))
    with pytest.raises(UsageError, match=r"row 1 is \[-1"):
        krippendorff_alpha(np.array([[1, 1], [-1, 2]]))
    with pytest.raises(UsageError, match="whole numbers"):
        krippendorff_alpha(np.array([[0.5, 1.0]]))


def test_item_option_counts_checks_positions() -> None:
    with pytest.raises(UsageError, match=r"rating_index: position 1 holds 5; allowed are 0\.\.2"):
        item_option_counts(np.array([0, 0]), np.array([0, 5]), n_items=1, n_options=3)
    with pytest.raises(UsageError, match="item_index: position 0 holds -1"):
        item_option_counts(np.array([-1]), np.array([0]), n_items=1, n_options=3)
    with pytest.raises(UsageError, match="need 2 whole numbers"):
        item_option_counts(np.array([0, 0]), np.array([0.0, 1.0]), n_items=1, n_options=3)
    assert item_option_counts(np.zeros(0, dtype=int), np.zeros(0, dtype=int), n_items=2, n_options=3).tolist() == [[0] * 3] * 2


def test_fleiss_kappa_of_fleiss_1971_by_hand() -> None:
    # Three items, four raters: P_i = 1, (2*1 + 2*1)/12 = 1/3, (3*2)/12 = 1/2; mean 11/18.
    # Shares 4+2+1 = 7/12 and 0+2+3 = 5/12: by chance (49 + 25)/144 = 74/144.
    counts = np.array([[4, 0], [2, 2], [1, 3]])
    expected = (11 / 18 - 74 / 144) / (1 - 74 / 144)
    assert fleiss_kappa(counts) == pytest.approx(expected, abs=1e-12)


def test_fleiss_kappa_is_that_of_single_pairs() -> None:
    counts = np.random.default_rng(4).multinomial(5, [0.2, 0.3, 0.5], size=20)
    assert fleiss_kappa(counts) == pytest.approx(slow.fleiss_kappa(counts.tolist()), abs=1e-12)


def test_fleiss_kappa_needs_equal_numbers_and_names_the_way_round() -> None:
    with pytest.raises(UsageError, match=r"1 to 2 ratings.*krippendorff_alpha"):
        fleiss_kappa(np.array([[2, 0], [0, 1]]))


@pytest.mark.parametrize("counts", [np.zeros((0, 2)), np.zeros((2, 2)), np.array([[1, 0], [0, 1]]), np.array([[3, 0], [3, 0]])])
def test_fleiss_kappa_undefined(counts: np.ndarray) -> None:
    assert math.isnan(fleiss_kappa(counts))


def test_pair_and_chance_agreement_are_those_of_single_pairs() -> None:
    counts = random_counts(5)
    np.testing.assert_allclose(pair_agreement(counts), [slow.pair_agreement(r) for r in counts.tolist()], atol=1e-12)
    assert chance_agreement(counts) == pytest.approx(slow.chance_agreement(counts.tolist()), abs=1e-12)


def test_chance_agreement_undefined_for_one_item() -> None:
    assert math.isnan(chance_agreement(np.array([[2, 1], [0, 0]])))


@pytest.mark.data
def test_alpha_of_real_votes(data_dir: Path) -> None:
    votes: dict[tuple[str, str], tuple[int, int]] = {}
    with (data_dir / "polis" / "brexit-consensus" / "votes.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key, vote = (row["comment-id"], row["voter-id"]), (int(row["timestamp"]), int(row["vote"]))
            votes[key] = max(votes.get(key, vote), vote, key=lambda v: v[0])
    comments = {comment: i for i, comment in enumerate(sorted({c for c, _ in votes}))}
    items = np.array([comments[c] for c, _ in votes])
    answers = np.array([vote + 1 for _, vote in votes.values()])
    counts = item_option_counts(items, answers, n_items=len(comments), n_options=3)
    assert round(krippendorff_alpha(counts, "ordinal"), 3) == 0.395
