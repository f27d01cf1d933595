"""Recalibration finds what was done to a distribution, and does nothing where nothing is to be done."""

from __future__ import annotations

import numpy as np
import pytest

from pluralign.errors import UsageError
from pluralign.raters.recalibration import LEAST, Recalibration, fit_recalibration


def _drawn(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.dirichlet(np.ones(4), size=n)
    return true, np.array([rng.choice(4, p=row) for row in true])


def _distorted(true: np.ndarray, temperature: float, weights: np.ndarray) -> np.ndarray:
    """What the recalibration of this temperature and these weights turns back into the truth."""
    scores = temperature * (np.log(true) - weights)
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def test_finds_temperature_and_weights_that_were_planted() -> None:
    true, chosen = _drawn(20_000)
    weights = np.array([0.6, -0.2, 0.1, -0.5])
    found = fit_recalibration(_distorted(true, 2.0, weights), chosen)
    assert found.temperature == pytest.approx(2.0, rel=0.05)
    np.testing.assert_allclose(found.weights, weights, atol=0.06)
    np.testing.assert_allclose(found.apply(_distorted(true, 2.0, weights)), true, atol=0.03)


def test_of_a_calibrated_model_hardly_anything_changes() -> None:
    true, chosen = _drawn(20_000, seed=1)
    assert np.abs(fit_recalibration(true, chosen).apply(true) - true).max() < 0.03


def test_few_ratings_move_little() -> None:
    true, chosen = _drawn(3, seed=2)
    found = fit_recalibration(true, chosen)
    assert abs(np.log(found.temperature)) < 1
    assert np.abs(found.weights).max() < 1.5


def test_what_has_no_prediction_is_left_out_and_stays_without() -> None:
    true, chosen = _drawn(500, seed=3)
    gaps = true.copy()
    gaps[:100] = np.nan
    found = fit_recalibration(gaps, chosen)
    assert found.n == 400
    assert found.weights.tolist() == fit_recalibration(true[100:], chosen[100:]).weights.tolist()
    assert np.isnan(found.apply(gaps)[:100]).all()


def test_without_any_prediction_nothing_is_changed() -> None:
    true, chosen = _drawn(5)
    found = fit_recalibration(np.full((5, 4), np.nan), chosen)
    assert found.n == 0
    np.testing.assert_array_equal(found.apply(true), true)
    np.testing.assert_array_equal(Recalibration.none(4).apply(true), true)


def test_an_impossible_rating_costs_much_but_not_infinitely_much() -> None:
    p = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    found = fit_recalibration(p, np.array([0, 1, 1]))
    assert np.isfinite(found.weights).all()
    assert found.temperature > 1
    assert np.log(LEAST) / found.temperature > np.log(LEAST)


def test_shapes_that_do_not_go_together() -> None:
    with pytest.raises(UsageError, match="rows"):
        fit_recalibration(np.ones((3, 2)) / 2, np.array([0, 1]))
