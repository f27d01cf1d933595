from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss

from pluralign.errors import UsageError
from pluralign.metrics import brier_loss, expected_calibration_error, log_loss_nats, one_vs_rest, reliability_curve
from reference import calibration as slow


def test_losses_by_hand() -> None:
    rows = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])
    np.testing.assert_allclose(log_loss_nats(rows, np.array([1, 1])), [math.log(4), 0], atol=1e-12)
    # (1/2)^2 + (3/4)^2 + (1/4)^2 = 14/16; certain and right: 0
    np.testing.assert_allclose(brier_loss(rows, np.array([1, 1])), [14 / 16, 0], atol=1e-12)
    assert log_loss_nats(rows, np.array([0, 2]))[1] == math.inf
    assert brier_loss(rows, np.array([0, 2]))[1] == 2.0


def test_losses_are_those_of_sklearn() -> None:
    rng = np.random.default_rng(0)
    rows, outcomes = rng.dirichlet(np.ones(4), size=200), rng.integers(0, 4, size=200)
    assert log_loss_nats(rows, outcomes).mean() == pytest.approx(log_loss(outcomes, rows, labels=range(4)), abs=1e-12)
    ours = brier_loss(rows, outcomes).mean()
    assert ours == pytest.approx(brier_score_loss(outcomes, rows, labels=list(range(4)), scale_by_half=False), abs=1e-12)


def test_losses_check_rows_and_outcomes() -> None:
    with pytest.raises(UsageError, match="probabilities: row 1"):
        log_loss_nats(np.array([[0.5, 0.5], [0.9, 0.9]]), np.array([0, 0]))
    with pytest.raises(UsageError, match=r"outcomes: position 1 holds 2; allowed are 0\.\.1"):
        brier_loss(np.full((2, 2), 0.5), np.array([0, 2]))
    with pytest.raises(UsageError, match="outcomes: need 2 whole numbers"):
        log_loss_nats(np.full((2, 2), 0.5), np.array([0]))


def test_error_by_hand() -> None:
    predicted = np.array([0.1, 0.2, 0.6, 0.8])
    observed = np.array([False, True, True, True])
    # two bins: |0.15 - 1/2| = 0.35 and |0.7 - 1| = 0.3, half of the rows each
    assert expected_calibration_error(predicted, observed, n_bins=2) == pytest.approx(0.325, abs=1e-12)
    # one bin: |1.7/4 - 3/4|
    assert expected_calibration_error(predicted, observed, n_bins=1) == pytest.approx(0.325, abs=1e-12)
    # four bins: 0.1, 0.8, 0.4, 0.2, mean 1.5/4
    assert expected_calibration_error(predicted, observed, n_bins=4) == pytest.approx(0.375, abs=1e-12)


def test_ties_are_not_split() -> None:
    # Six equal predictions and two others: in four bins of two, the middle of the six lies in bin 1 of 0..3.
    curve = reliability_curve(np.array([0.2] * 6 + [0.5, 0.9]), np.array([True] * 3 + [False] * 5), n_bins=4)
    assert curve.n.tolist() == [6, 2]
    assert curve.bin_index.tolist() == [0] * 6 + [1, 1]
    np.testing.assert_allclose(curve.observed_share, [0.5, 0.0], atol=1e-12)
    np.testing.assert_allclose(curve.predicted_mean, [0.2, 0.7], atol=1e-12)


probabilities = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.7, 1.0]) | st.floats(0, 1), min_size=1, max_size=40)


@given(probabilities, st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_error_and_bins_are_those_of_single_rows(predicted: list[float], n_bins: int, seed: int) -> None:
    observed = np.random.default_rng(seed).random(len(predicted)) < 0.5
    curve = reliability_curve(np.array(predicted), observed, n_bins=n_bins)
    assert curve.bin_index.tolist() == slow.bin_of_each(predicted, n_bins)
    assert curve.n.sum() == len(predicted)
    assert curve.n.min() >= 1
    assert len(curve.n) <= n_bins
    ours = expected_calibration_error(np.array(predicted), observed, n_bins=n_bins)
    assert ours == pytest.approx(slow.expected_calibration_error(predicted, observed.tolist(), n_bins), abs=1e-12)


def test_distinct_predictions_give_bins_of_equal_mass() -> None:
    predicted = np.random.default_rng(3).random(1003)
    curve = reliability_curve(predicted, predicted > 0.5)
    assert set(curve.n.tolist()) == {100, 101}


def test_calibrated_predictions_have_a_small_error_and_shifted_ones_that_of_the_shift() -> None:
    rng = np.random.default_rng(5)
    truth = rng.uniform(0.2, 0.8, size=200_000)
    observed = rng.random(200_000) < truth
    # ten bins of 20,000: each bin's share has a standard error near .0035, so the mean gap is near .8 * .0035
    assert expected_calibration_error(truth, observed) < 0.006
    assert expected_calibration_error(truth - 0.1, observed) == pytest.approx(0.1, abs=0.006)


def test_one_vs_rest_keeps_mass_and_order() -> None:
    rows = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])
    predicted, observed = one_vs_rest(rows, np.array([2, 1]))
    assert predicted.tolist() == rows.ravel().tolist()
    assert observed.tolist() == [False, False, True, False, True, False]


def test_nothing_is_undefined_not_zero() -> None:
    nothing = np.zeros(0)
    assert math.isnan(expected_calibration_error(nothing, nothing.astype(bool)))
    assert len(reliability_curve(nothing, nothing.astype(bool)).n) == 0


def test_usage_errors() -> None:
    with pytest.raises(UsageError, match=r"row 1 is 1\.5"):
        reliability_curve(np.array([0.5, 1.5]), np.array([True, False]))
    with pytest.raises(UsageError, match="row 0 is nan"):
        reliability_curve(np.array([math.nan]), np.array([True]))
    with pytest.raises(UsageError, match="one_vs_rest"):
        expected_calibration_error(np.full((2, 2), 0.5), np.full((2, 2), True))
    with pytest.raises(UsageError, match="need True or False, got int64"):
        expected_calibration_error(np.array([0.5]), np.array([2]))
    with pytest.raises(UsageError, match="n_bins: need at least 1, got 0"):
        expected_calibration_error(np.array([0.5]), np.array([True]), n_bins=0)
