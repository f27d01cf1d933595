"""Calibration over options, of which questions may have different numbers."""

from __future__ import annotations

import numpy as np
import pytest

from pluralign.evals.calibrated import Forecasts, calibrated_limit, calibration_error
from pluralign.raters.reliability import calibration_of
from reference import calibration as slow


def _made(seed: int, n: int, *, sharpen: float = 1.0) -> Forecasts:
    """Of questions with two to five options, by units of four; what happens follows the forecasts when `sharpen` is 1."""
    rng = np.random.default_rng(seed)
    true = [rng.dirichlet(np.ones(2 + i % 4)) for i in range(n)]
    outcomes = [int(rng.choice(len(p), p=p)) for p in true]
    said = [p**sharpen / (p**sharpen).sum() for p in true]
    return Forecasts(said, outcomes, np.array([f"u{i // 4}" for i in range(n)]))


def test_by_hand() -> None:
    """Options .5 .5 and .5 .5: one bin, mean .5; of the four one half happened: 0. Then .75 .25: two bins, each off by .25."""
    even = Forecasts([np.array([0.5, 0.5])] * 2, [0, 1], np.array(["a", "b"]))
    assert calibration_error(even, unit="u", seed=0).value == 0
    sure = Forecasts([np.array([0.75, 0.25])] * 2, [0, 0], np.array(["a", "b"]))
    assert calibration_error(sure, unit="u", seed=0).value == pytest.approx(0.25, abs=1e-12)
    assert (sure.predicted.tolist(), sure.happened.tolist()) == ([0.75, 0.25] * 2, [True, False] * 2)


def test_it_is_the_slow_error_of_all_options() -> None:
    made = _made(0, 60)
    ours = calibration_error(made, unit="u", seed=0)
    expected = slow.expected_calibration_error(made.predicted.tolist(), made.happened.tolist(), 10)
    assert ours.value == pytest.approx(expected, abs=1e-12)
    assert (ours.n, ours.unit) == (15, "u")


def test_with_equal_options_it_is_calibration_of() -> None:
    rng = np.random.default_rng(1)
    probabilities, units = rng.dirichlet(np.ones(3), size=80), np.arange(80) // 5
    outcomes = rng.integers(0, 3, size=80)
    theirs = calibration_of(probabilities, outcomes, units, representation="r", label="r", seed=7).ece
    ours = calibration_error(Forecasts(list(probabilities), outcomes.tolist(), units), unit="rater", seed=7)
    for name in ("value", "low", "high", "n"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name), abs=1e-12)


def test_the_limit_is_what_calibrated_forecasts_reach() -> None:
    values = [calibration_error(_made(seed, 200), unit="u", seed=0).value for seed in range(40)]
    limits = [calibrated_limit(_made(seed, 200), unit="u", seed=0) for seed in range(40)]
    assert np.mean([limit.value for limit in limits]) == pytest.approx(np.mean(values), rel=0.1)
    inside = sum(limit.low <= value <= limit.high for value, limit in zip(values, limits, strict=True))
    assert inside >= 34
    sharp = [_made(seed, 200, sharpen=3.0) for seed in range(10)]
    assert all(calibration_error(one, unit="u", seed=0).value > calibrated_limit(one, unit="u", seed=0).high for one in sharp)


def test_it_is_undefined_without_questions_and_for_one_unit() -> None:
    none = Forecasts([], [], np.array([]))
    alone = Forecasts([np.array([0.5, 0.5])], [0], np.array(["a"]))
    for measure in (calibration_error, calibrated_limit):
        assert measure(none, unit="u", seed=0).why_undefined == "no question has a distribution"
        assert "at least 2 us" in str(measure(alone, unit="u", seed=0).why_undefined)
