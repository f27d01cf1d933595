from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from pluralign.errors import UsageError
from pluralign.metrics import hypervolume, is_pareto_improvement, pareto_front

STAIRS = np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]])


def by_inclusion(points: np.ndarray, reference: np.ndarray) -> float:
    """Sum over all sets of points of the volume of their common box, with alternating sign: slow and obvious."""
    heights = np.maximum(points - reference, 0.0)
    total = 0.0
    for size in range(1, len(points) + 1):
        boxes = (heights[list(some)].min(axis=0).prod() for some in itertools.combinations(range(len(points)), size))
        total += (-1) ** (size + 1) * sum(boxes)
    return total


def test_improvement_by_hand() -> None:
    ours = np.array([[1.0, 1.0], [1.0, 2.0], [2.0, 0.0], [1.0, 0.9]])
    assert is_pareto_improvement(ours, np.array([1.0, 1.0])).tolist() == [False, True, False, False]


def test_improvement_is_never_mutual_and_passes_on() -> None:
    points = np.random.default_rng(0).integers(0, 3, size=(40, 3)).astype(float)
    better = np.array([is_pareto_improvement(points, one) for one in points]).T  # [ours, theirs]
    assert better.any()
    assert not (better & better.T).any()
    assert not ((better.astype(int) @ better.astype(int) > 0) & ~better).any()


def test_front_by_hand() -> None:
    points = np.vstack([STAIRS, [[1.0, 2.0], [2.0, 2.0], [0.0, 3.0]]])
    # (1, 2) is below (2, 2), (0, 3) below (1, 3); (2, 2) stands there twice, and both are on the front
    assert pareto_front(points).tolist() == [True, True, True, False, True, False]


def test_front_is_those_that_nothing_improves_on() -> None:
    points = np.random.default_rng(1).random((50, 3))
    slow = [not any(is_pareto_improvement(other, one) for other in points) for one in points]
    assert pareto_front(points).tolist() == slow
    assert 0 < sum(slow) < 50
    stack = points.reshape(5, 10, 3)
    assert pareto_front(stack).tolist() == [pareto_front(one).tolist() for one in stack]


def test_hypervolume_by_hand() -> None:
    assert hypervolume(STAIRS, np.zeros(2)) == pytest.approx(3 + 2 + 1, abs=1e-12)  # columns of a stair
    assert hypervolume(STAIRS, np.array([1.0, 1.0])) == pytest.approx(1.0, abs=1e-12)  # of (2, 2) alone
    # three boxes 1 x 1 x 2 along the axes share the unit cube: 2 + 2 + 2 - 3 + 1 = 4
    boxes = np.array([[2.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 2.0]])
    assert hypervolume(boxes, np.zeros(3)) == pytest.approx(4.0, abs=1e-12)
    assert hypervolume(np.array([[2.0], [5.0]]), np.array([1.0])) == pytest.approx(4.0, abs=1e-12)


@pytest.mark.parametrize("n_objectives", [1, 2, 3, 4])
def test_hypervolume_equals_inclusion_and_exclusion(n_objectives: int) -> None:
    rng = np.random.default_rng(n_objectives)
    for _ in range(10):
        points, reference = rng.integers(0, 6, size=(8, n_objectives)) / 6, np.full(n_objectives, 1 / 6)
        assert hypervolume(points, reference) == pytest.approx(by_inclusion(points, reference), abs=1e-12)


@pytest.mark.parametrize("n_objectives", [2, 3, 4])
def test_hypervolume_agrees_with_random_points(n_objectives: int) -> None:
    rng = np.random.default_rng(9)
    points, reference = rng.random((25, n_objectives)), np.full(n_objectives, 0.1)
    thrown = rng.random((40_000, n_objectives))
    below = (thrown[:, None, :] < points).all(axis=2).any(axis=1)
    share = ((thrown > reference).all(axis=1) & below).mean()
    assert hypervolume(points, reference) == pytest.approx(share, abs=4 * math.sqrt(share / 40_000))


def test_hypervolume_grows_with_what_is_new_only() -> None:
    base = hypervolume(STAIRS, np.zeros(2))
    assert hypervolume(np.vstack([STAIRS, [[1.5, 1.5]]]), np.zeros(2)) == base
    assert hypervolume(np.vstack([STAIRS, STAIRS]), np.zeros(2)) == base
    assert hypervolume(np.vstack([STAIRS, [[2.5, 2.5]]]), np.zeros(2)) > base
    assert hypervolume(np.vstack([STAIRS, [[9.0, 0.0]]]), np.zeros(2)) == base  # not above the reference in the second


def test_nothing_reached_is_0_and_no_points_are_undefined() -> None:
    assert hypervolume(STAIRS, np.array([5.0, 5.0])) == 0.0
    assert math.isnan(hypervolume(np.zeros((0, 2)), np.zeros(2)))


def test_what_is_refused() -> None:
    with pytest.raises(UsageError, match="5 objectives takes too long; name 4 of them or fewer"):
        hypervolume(np.ones((2, 5)), np.zeros(5))
    with pytest.raises(UsageError, match=r"entry \[0, 1\] is nan"):
        hypervolume(np.array([[1.0, math.nan]]), np.zeros(2))
    with pytest.raises(UsageError, match="reference"):
        hypervolume(STAIRS, np.zeros(3))
    with pytest.raises(UsageError, match="ours has 2 objectives, theirs 3"):
        is_pareto_improvement(np.ones(2), np.ones(3))
    with pytest.raises(UsageError, match=r"\[points, objectives\]"):
        pareto_front(np.ones(3))
