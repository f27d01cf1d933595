from __future__ import annotations

import numpy as np
import pytest

from pluralign.errors import UsageError
from pluralign.raters.decisions import (
    best_options,
    loss_table,
    mean_options,
    mean_values,
    median_options,
    mode_options,
    soft_labels,
)

VALUES = [-5.0, -1.0, 0.0, 2.0, 10.0]


def distributions(n: int = 300, k: int = len(VALUES)) -> np.ndarray:
    """Some smooth, some with all weight in a corner, some with exact ties (multiples of a quarter)."""
    rng = np.random.default_rng(0)
    quarters = rng.multinomial(4, np.full(k, 1 / k), size=n) / 4
    return np.concatenate([rng.dirichlet(np.ones(k), n), rng.dirichlet(np.full(k, 0.1), n), quarters])


def brute_force(p: np.ndarray, cost: dict[tuple[int, int], float]) -> int:
    """The first option whose expected cost is least, one number after the other."""
    expected = [sum(p[truth] * cost[answer, truth] for truth in range(len(p))) for answer in range(len(p))]
    return next(answer for answer, e in enumerate(expected) if e <= min(expected) + 1e-11)


@pytest.mark.parametrize("loss", ["error", "absolute", "squared"])
def test_each_decision_is_the_one_of_brute_force(loss: str) -> None:
    p = distributions()
    decide = {
        "error": mode_options,
        "absolute": lambda p: median_options(p, VALUES),
        "squared": lambda p: mean_options(p, VALUES),
    }[loss]
    cost = {
        (a, t): {"error": float(a != t), "absolute": abs(VALUES[a] - VALUES[t]), "squared": (VALUES[a] - VALUES[t]) ** 2}[loss]
        for a in range(len(VALUES))
        for t in range(len(VALUES))
    }
    assert decide(p).tolist() == [brute_force(row, cost) for row in p]


def test_the_three_differ_where_they_should() -> None:
    p = np.array([[0.4, 0.0, 0.15, 0.15, 0.3]])  # mode -5; half lies at or below 0.4 + 0.15 -> 0; mean 1.3 -> nearest is 2
    assert mode_options(p).tolist() == [0]
    assert median_options(p, VALUES).tolist() == [2]
    assert mean_options(p, VALUES).tolist() == [3]
    np.testing.assert_allclose(mean_values(p, VALUES), [-2.0 + 0.3 + 3.0], atol=1e-12)


def test_a_tie_goes_to_the_first_option() -> None:
    assert mode_options([[0.3, 0.35, 0.35]]).tolist() == [1]
    assert median_options([[0.5, 0.0, 0.5]], [1, 2, 3]).tolist() == [0]
    assert mean_options([[0.5, 0.5]], [1, 2]).tolist() == [0]


def test_costs_need_not_be_symmetric() -> None:
    costs = [[0.0, 10.0], [1.0, 0.0]]  # a missed second option costs ten times a false alarm
    assert best_options([[0.9, 0.1], [0.95, 0.05]], costs).tolist() == [1, 0]


def test_soft_labels_are_the_mean_of_the_items_raters() -> None:
    found = soft_labels([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.2, 0.8]], [2, 0, 2, 2], n_items=3)
    np.testing.assert_allclose(found[[0, 2]], [[0.0, 1.0], [1.7 / 3, 1.3 / 3]], atol=1e-12)
    assert np.isnan(found[1]).all()


def test_wrong_shapes_and_names_are_refused() -> None:
    with pytest.raises(UsageError, match="costs"):
        best_options([[0.5, 0.5]], np.eye(3))
    with pytest.raises(UsageError, match="finite"):
        mode_options([[np.nan, 0.5]])
    with pytest.raises(UsageError, match="item_index"):
        soft_labels([[0.5, 0.5]], [0, 1], n_items=2)
    with pytest.raises(UsageError, match="absolute"):
        loss_table("absolut", VALUES)  # type: ignore[arg-type]
