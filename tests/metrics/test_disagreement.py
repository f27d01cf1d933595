from __future__ import annotations

import math

import numpy as np
import pytest

from pluralign.errors import UsageError
from pluralign.metrics import item_entropy_nats, normalised_entropy, polarisation
from reference import agreement as slow

COUNTS = np.random.default_rng(8).poisson(0.8, size=(40, 4))
VALUES = np.array([1.0, 2.0, 4.0, 8.0])


def test_by_hand() -> None:
    counts = np.array([[2, 1, 1], [0, 3, 0]])
    assert item_entropy_nats(counts)[0] == pytest.approx(1.5 * math.log(2), abs=1e-12)  # 1/2 ln 2 + 2 * 1/4 ln 4
    # three options occur, four ratings: + 2/8; one option occurs: + 0
    corrected = item_entropy_nats(counts, bias_correction=True)
    np.testing.assert_allclose(corrected, [1.5 * math.log(2) + 0.25, 0], atol=1e-12)
    assert normalised_entropy(counts)[0] == pytest.approx(1.5 * math.log(2) / math.log(3), abs=1e-12)
    # answers 1, 1, 2, 5: mean 9/4, variance (2*25/16 + 1/16 + 121/16)/4 = 172/64; largest variance 2^2
    assert polarisation(counts, np.array([1, 2, 5]))[0] == pytest.approx(172 / 64 / 4, abs=1e-12)


def test_same_as_single_answers() -> None:
    rows = COUNTS.tolist()
    np.testing.assert_allclose(item_entropy_nats(COUNTS), [slow.entropy_nats(r) for r in rows], atol=1e-12)
    np.testing.assert_allclose(polarisation(COUNTS, VALUES), [slow.polarisation(r, VALUES.tolist()) for r in rows], atol=1e-12)


def test_polarisation_is_about_ends_entropy_is_not() -> None:
    ends, neighbours = np.array([[5, 0, 0, 5]]), np.array([[0, 5, 5, 0]])
    assert polarisation(ends, np.arange(4))[0] == pytest.approx(1, abs=1e-12)
    assert polarisation(neighbours, np.arange(4))[0] == pytest.approx(1 / 9, abs=1e-12)  # (1/2)^2 / (3/2)^2
    assert normalised_entropy(ends)[0] == normalised_entropy(neighbours)[0] == pytest.approx(0.5, abs=1e-12)


def test_odd_number_of_ratings_stays_below_one() -> None:
    assert polarisation(np.array([[2, 1]]), np.arange(2))[0] == pytest.approx(1 - 1 / 9, abs=1e-12)


def test_undefined() -> None:
    counts = np.array([[0, 0], [1, 0], [1, 1]])
    assert np.isnan(item_entropy_nats(counts)).tolist() == [True, False, False]
    assert np.isnan(item_entropy_nats(counts, bias_correction=True)).tolist() == [True, False, False]
    assert np.isnan(normalised_entropy(counts)).tolist() == [True, True, False]
    assert np.isnan(polarisation(counts, np.arange(2))).tolist() == [True, True, False]
    assert np.isnan(normalised_entropy(np.array([[3]]))).all()
    assert np.isnan(polarisation(np.array([[3]]), np.array([1.0]))).all()


def test_bias_correction_takes_most_of_the_bias() -> None:
    shares = np.array([0.4, 0.3, 0.2, 0.1])
    truth = -(shares * np.log(shares)).sum()
    counts = np.random.default_rng(0).multinomial(20, shares, size=20_000)
    plain_bias = item_entropy_nats(counts).mean() - truth  # about -(4 - 1)/40 = -.075
    left = item_entropy_nats(counts, bias_correction=True).mean() - truth
    assert plain_bias == pytest.approx(-0.075, abs=0.01)
    assert abs(left) < 0.15 * abs(plain_bias)


def test_values_must_rise() -> None:
    with pytest.raises(UsageError, match="need 2 finite, rising numbers"):
        polarisation(np.array([[1, 1]]), np.array([2, 1]))
