from __future__ import annotations

import math

import numpy as np
import pytest

from pluralign.errors import UsageError
from pluralign.evals import tradeoff_scores
from pluralign.evals.tradeoff_scores import (
    Scores,
    front_membership,
    hypervolume_estimate,
    objective_means,
    pareto_improvement,
    simplex_weights,
    steered_scores,
)


def scores(values: np.ndarray, units: np.ndarray | None = None) -> Scores:
    n_variants, n_items, n_objectives = values.shape
    return Scores(
        variants=tuple(f"v{n}" for n in range(n_variants)),
        objectives=tuple("abcdefg"[:n_objectives]),
        values=values,
        units=np.arange(n_items) if units is None else units,
    )


def noisy(means: list[list[float]], seed: int, n_items: int = 40, spread: float = 0.2) -> Scores:
    """Items that all variants find easy or hard together, and noise of each."""
    rng = np.random.default_rng(seed)
    shape = (len(means), n_items, len(means[0]))
    shared = rng.normal(0, spread, (1, n_items, len(means[0])))
    return scores(np.array(means)[:, None, :] + shared + rng.normal(0, spread / 2, shape))


def test_weights_by_hand() -> None:
    assert simplex_weights(3, 1).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    grid = simplex_weights(3, 4)
    assert len(grid) == math.comb(6, 2)  # ways to put 2 bars among 4 stars
    np.testing.assert_allclose(grid.sum(axis=1), 1, atol=1e-15)
    assert len({tuple(row) for row in grid}) == len(grid)
    with pytest.raises(UsageError, match="at least 1"):
        simplex_weights(2, 0)


def test_means_by_hand() -> None:
    table = np.array([[[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]], [[1.0, 1.0], [1.0, 1.0], [0.25, 1.0]]])
    found = objective_means(scores(table), seed=0)
    assert [[e.value for e in row] for row in found] == [[0.5, 0.5], [0.75, 1.0]]
    assert (found[1][1].low, found[1][1].high, found[1][1].n) == (1.0, 1.0, 3)
    together = objective_means(scores(table, np.array([0, 0, 1])), seed=0)
    assert together[0][0].n == 2


def test_an_improvement_that_cannot_be_doubted() -> None:
    one = noisy([[0.5, 0.5], [0.7, 0.7]], seed=0)
    found = pareto_improvement(one, 1, 0, seed=0)
    assert (found.ours, found.theirs, found.verdict, found.is_improvement) == ("v1", "v0", "improvement", True)
    assert [d.value == pytest.approx(0.2, abs=0.1) for d in found.differences] == [True, True]
    for joint, own in zip(found.joint, found.differences, strict=True):
        assert joint is not None
        assert joint[0] <= own.low < own.high <= joint[1]
    back = pareto_improvement(one, 0, 1, seed=0)
    assert (back.verdict, back.is_improvement) == ("no improvement", False)


def test_verdicts_on_what_is_equal_worse_or_unsure() -> None:
    flat = np.full((3, 10, 2), 0.5)
    flat[1, :, 0] += 0.1  # better in one, exactly equal in the other
    flat[2, :, 1] -= 0.01
    one = scores(flat)
    assert pareto_improvement(one, 1, 0, seed=0).verdict == "improvement"
    assert pareto_improvement(one, 0, 0, seed=0).verdict == "open"  # of equal ones neither improves on the other
    assert not pareto_improvement(one, 0, 0, seed=0).is_improvement
    assert pareto_improvement(one, 2, 0, seed=0).verdict == "no improvement"
    assert pareto_improvement(one, 2, 0, seed=0, margin=0.02).verdict == "open"  # no worse, but better in none
    near = noisy([[0.5, 0.5], [0.7, 0.501]], seed=1)
    assert pareto_improvement(near, 1, 0, seed=0).verdict == "open"
    assert pareto_improvement(near, 1, 0, seed=0, margin=0.1).verdict == "improvement"
    with pytest.raises(UsageError, match="margin"):
        pareto_improvement(one, 0, 1, seed=0, margin=-1.0)
    assert pareto_improvement(scores(flat[:, :1]), 1, 0, seed=0).verdict == "open"  # one item says nothing


def test_equal_variants_are_seldom_called_an_improvement() -> None:
    verdicts = [pareto_improvement(noisy([[0.5] * 3] * 2, seed), 1, 0, seed=seed).verdict for seed in range(100)]
    assert verdicts.count("improvement") == 0
    assert verdicts.count("no improvement") <= 8  # some difference is below 0 in every second sample, told from chance in few


def test_joint_intervals_hold_all_truths() -> None:
    truth = np.array([0.2, 0.0, 0.1])
    hits = 0
    for seed in range(100):
        found = pareto_improvement(noisy([[0.5] * 3, list(0.5 + truth)], seed, n_items=100), 1, 0, seed=seed)
        hits += all(j is not None and j[0] <= t <= j[1] for j, t in zip(found.joint, truth, strict=True))
    assert 90 <= hits <= 99


def test_front_and_its_doubt() -> None:
    one = noisy([[0.9, 0.1], [0.1, 0.9], [0.3, 0.3], [0.31, 0.3]], seed=0)
    first, second, third, fourth = front_membership(one, seed=0)
    assert (first.value, first.low) == (second.value, second.low) == (1.0, 1.0)
    assert {third.value, fourth.value} <= {0.0, 1.0}
    assert max(third.high, fourth.high) == 1.0
    below = noisy([[0.9, 0.9], [0.1, 0.1]], seed=0)
    assert [(e.value, e.low, e.high) for e in front_membership(below, seed=0)] == [(1.0, 1.0, 1.0), (0.0, 0.0, 0.0)]


def test_hypervolume_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    table = np.tile(np.array([[[1.0, 0.5]], [[0.5, 1.0]]]), (1, 4, 1))
    found = hypervolume_estimate(scores(table), np.zeros(2), seed=0)
    assert (found.value, found.low, found.high, found.n) == (0.75, 0.75, 0.75, 4)
    assert hypervolume_estimate(scores(table), np.array([2.0, 2.0]), seed=0).value == 0.0
    many = scores(np.random.default_rng(0).random((2, 5, 5)))
    assert "5 objectives takes too long" in str(hypervolume_estimate(many, np.zeros(5), seed=0).why_undefined)
    # the interval is that of the volumes of resampled means
    monkeypatch.setattr(tradeoff_scores, "N_VOLUMES", 1000)
    one = noisy([[0.8, 0.3], [0.3, 0.8]], seed=4)
    drawn = []
    rng = np.random.default_rng(7)  # other resamples: equal up to their noise
    for _ in range(1000):
        (x0, y0), (x1, y1) = one.values[:, rng.integers(0, 40, 40)].mean(axis=1)
        drawn.append(x0 * y0 + x1 * y1 - min(x0, x1) * min(y0, y1))
    found = hypervolume_estimate(one, np.zeros(2), seed=0)
    np.testing.assert_allclose([found.low, found.high], np.percentile(drawn, [2.5, 97.5]), atol=0.01)


def test_steering_by_hand() -> None:
    # told f = (1, 0), (1/2, 1/2), (0, 1), then told nothing; the same for every item
    means = [[1.0, 0.0], [0.5, 0.6], [0.2, 0.8], [0.6, 0.6]]
    one = scores(np.tile(np.array(means)[:, None, :], (1, 5, 1)))
    found = steered_scores(one, simplex_weights(2, 2), unsteered=3, seed=0)
    # f(M_f): 1, 11/20, 4/5: 47/60
    assert found.steered.value == pytest.approx(47 / 60, abs=1e-12)
    # f(M): 3/5, 3/5, 3/5
    assert found.unsteered.value == pytest.approx(3 / 5, abs=1e-12)
    # mean over f of f(M_g) = mean of both objectives: 1/2, 11/20, 1/2
    assert found.best_fixed.value == pytest.approx(11 / 20, abs=1e-12)
    assert found.fixed == "v1"
    # best for each f: 1, 3/5 (told nothing), 4/5
    assert found.best_of_all.value == pytest.approx(4 / 5, abs=1e-12)
    assert found.gain.value == pytest.approx(47 / 60 - 3 / 5, abs=1e-12)
    assert found.over_fixed.value == pytest.approx(47 / 60 - 11 / 20, abs=1e-12)
    alone = steered_scores(one.take([0, 1, 2]), simplex_weights(2, 2), unsteered=None, seed=0)
    assert alone.steered.value == found.steered.value
    assert "no variant was told nothing" in str(alone.gain.why_undefined)
    with pytest.raises(UsageError, match="weights"):
        steered_scores(one, simplex_weights(2, 3), unsteered=3, seed=0)


def test_who_takes_no_notice_gains_nothing() -> None:
    gains = 0
    for seed in range(60):
        one = noisy([[0.6, 0.4]] * 6, seed)
        found = steered_scores(one, simplex_weights(2, 4), unsteered=5, seed=seed)
        gains += found.gain.excludes(0.0)
        assert found.steered.value == pytest.approx(found.unsteered.value, abs=0.08)
    assert gains <= 8


def test_intervals_of_the_steered_score_hold_the_truth() -> None:
    weights = simplex_weights(2, 4)
    means = [list(w / np.linalg.norm(w)) for w in weights]
    truth, plain = np.mean([np.linalg.norm(w) for w in weights]), weights.mean(axis=0) @ [0.5, 0.5]
    hits = np.zeros(2)
    for seed in range(100):
        found = steered_scores(noisy([*means, [0.5, 0.5]], seed), weights, unsteered=5, seed=seed)
        hits += [not found.steered.excludes(truth), not found.gain.excludes(truth - plain)]
    assert (hits >= 90).all()
    assert (hits <= 99).all()


def test_what_is_refused() -> None:
    with pytest.raises(UsageError, match="must be finite"):
        scores(np.array([[[math.nan, 1.0]]]))
    with pytest.raises(UsageError, match="none of them 0"):
        scores(np.zeros((2, 0, 2)))
