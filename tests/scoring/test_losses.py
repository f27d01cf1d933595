from __future__ import annotations

import math

import numpy as np
import pytest

from pluralign.estimates import estimate_mean
from pluralign.scoring.losses import LossTable, loss_rows


def _table(values: list[float], units: list[int]) -> LossTable:
    return LossTable({"loss_nats": np.array(values)}, np.array(units, dtype=np.int64), "unit", 5)


def test_means_of_groups_by_hand() -> None:
    table = _table([1.0, 2.0, 3.0, 6.0], [0, 0, 1, 1])
    [row] = loss_rows(table)
    assert (row.group, row.n, row.means["loss_nats"].value) == (None, 4, 3.0)  # 12 / 4
    even, odd = loss_rows(table, np.array([0, 1, 0, 1]))
    assert (even.group, even.n, even.means["loss_nats"].value) == (0, 2, 2.0)  # (1 + 3) / 2
    assert (odd.group, odd.means["loss_nats"].value, odd.means["loss_nats"].n) == (1, 4.0, 2)  # (2 + 6) / 2
    assert row.to_dict("task")["task"] is None
    assert "task" not in row.to_dict(None)


def test_over_all_it_is_the_mean_with_the_bootstrap_over_units() -> None:
    rng = np.random.default_rng(0)
    values, units = rng.exponential(size=300), np.sort(rng.integers(0, 40, size=300))
    units = np.unique(units, return_inverse=True)[1]
    [row] = loss_rows(LossTable({"loss_nats": values}, units, "unit", 5))
    ours, expected = row.means["loss_nats"], estimate_mean(values, units, unit="unit", seed=5)
    assert (ours.n, ours.unit, ours.seed) == (expected.n, "unit", 5)
    for name in ("value", "low", "high"):
        assert getattr(ours, name) == pytest.approx(getattr(expected, name), abs=1e-12)


def test_each_group_is_resampled_over_its_own_units() -> None:
    """Those of 20 groups with a few of 60 units each, some of which share theirs."""
    rng = np.random.default_rng(1)
    units = rng.integers(0, 60, size=600)
    groups = np.where(units < 6, rng.integers(0, 3, size=600), 3 + units // 4)
    values = rng.exponential(size=600)
    rows = loss_rows(LossTable({"loss_nats": values, "accuracy": values**2}, units, "unit", 5), groups)
    assert [row.group for row in rows] == sorted(set(groups.tolist()))
    for row in rows:
        inside = groups == row.group
        assert row.n == inside.sum()
        for name, measured in (("loss_nats", values), ("accuracy", values**2)):
            ours, expected = row.means[name], estimate_mean(measured[inside], units[inside], unit="unit", seed=5)
            assert (ours.n, ours.why_undefined) == (expected.n, expected.why_undefined)
            assert (ours.value, ours.low, ours.high) == pytest.approx((expected.value, expected.low, expected.high), abs=1e-12)


def test_missing_values_do_not_count_and_infinite_ones_leave_no_mean() -> None:
    [row] = loss_rows(_table([1.0, math.nan, 3.0], [0, 1, 2]))
    assert (row.n, row.means["loss_nats"].value, row.means["loss_nats"].n) == (3, 2.0, 2)
    a, b = loss_rows(_table([1.0, math.inf, 3.0, 4.0], [0, 1, 0, 1]), np.array(["b", "b", "a", "a"]))
    assert (a.group, a.means["loss_nats"].value) == ("a", 3.5)
    assert b.means["loss_nats"].why_undefined == "infinite: 1 of 2 outputs had no probability at all"
    [none] = loss_rows(_table([], []))
    assert (none.n, none.means["loss_nats"].why_undefined) == (0, "no rows")
    [alone] = loss_rows(_table([1.0, 2.0], [0, 0]))
    assert "at least 2 units" in str(alone.means["loss_nats"].why_undefined)
