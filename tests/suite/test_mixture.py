"""How much of each task is taken: by hand, and what holds for any mixture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralign.errors import UsageError
from pluralign.suite.mixture import Mixture, Stock, divide, mix

HAS = {"long": 1000.0, "short": 90.0, "tiny": 10.0}


def test_all_is_taken_where_nothing_is_asked() -> None:
    assert Mixture().takes_all
    assert divide(HAS, Mixture()) == HAS


def test_caps_by_hand() -> None:
    assert divide(HAS, Mixture(cap=50)) == {"long": 50, "short": 50, "tiny": 10}
    assert divide(HAS, Mixture(cap=50, caps={"long": 200})) == {"long": 200, "short": 50, "tiny": 10}


def test_a_total_is_divided_and_what_a_task_lacks_goes_to_the_others() -> None:
    """300 / 3 = 100 each; tiny gives 10, short 90: they lack 90 and 10, which long gives."""
    assert divide(HAS, Mixture(total=300)) == {"long": 200, "short": 90, "tiny": 10}
    # 60 / 3 = 20 each, tiny gives 10: (60 - 10) / 2
    assert divide(HAS, Mixture(total=60)) == {"long": 25, "short": 25, "tiny": 10}
    assert divide(HAS, Mixture(total=5000)) == HAS
    # weights 2, 1, 1 of 80: tiny lacks 10 of its 20, (80 - 10) * 2/3 and 1/3
    given_ = divide(HAS, Mixture(total=80, weights={"long": 2}))
    assert given_ == {"long": pytest.approx(140 / 3), "short": pytest.approx(70 / 3), "tiny": 10}


def test_weights_without_a_total_keep_their_shares() -> None:
    """tiny is the scarce one: 10 for weight 1, so 30 for weight 3."""
    assert divide(HAS, Mixture(weights={"long": 3})) == {"long": 30, "short": 10, "tiny": 10}
    assert divide(HAS, Mixture(weights={"tiny": 0})) == {"long": 90, "short": 90, "tiny": 0}
    assert divide(HAS, Mixture(weights={"tiny": 0, "long": 0, "short": 0})) == dict.fromkeys(HAS, 0)


def test_sequences_are_taken_in_their_order_until_the_amount_is_nearest() -> None:
    stock = Stock(np.array([0.5, 0.1, 0.9, 0.3]), np.array([4, 10, 2, 3]))
    # in order: 10 (.1), 3 (.3), 4 (.5), 2 (.9); sums 10, 13, 17, 19
    for amount, n, size, below in ((10, 1, 10, 0.1), (12, 2, 13, 0.3), (11, 1, 10, 0.1), (15.1, 3, 17, 0.5), (4, 0, 0, -1.0)):
        taken = mix({"t": stock}, Mixture(cap=amount))["t"]
        assert (taken.sequences, taken.size, taken.below) == (n, size, below), amount
        assert (taken.of_sequences, taken.of_size) == (4, 19)
    assert mix({"t": stock}, Mixture(cap=19))["t"].below is None


@settings(max_examples=200, deadline=None)
@given(
    has=st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 1e6), min_size=1),
    total=st.none() | st.floats(1, 1e7),
    cap=st.none() | st.floats(1, 1e6),
    weights=st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 100)),
)
def test_no_task_gives_more_than_it_has_nor_all_more_than_the_total(
    has: dict[str, float], total: float | None, cap: float | None, weights: dict[str, float]
) -> None:
    wanted = Mixture(total=total, cap=cap, weights={name: w for name, w in weights.items() if name in has})
    amounts = divide(has, wanted)
    capped = {name: min(value, cap or np.inf) for name, value in has.items()}
    assert set(amounts) == set(has)
    assert all(0 <= amounts[name] <= capped[name] * (1 + 1e-9) for name in has)
    if total is not None:
        open_ = {name: value for name, value in capped.items() if wanted.weights.get(name, 1) > 0}
        assert sum(amounts.values()) == pytest.approx(min(total, sum(open_.values())), rel=1e-9, abs=1e-6)
        # a task that gives less than it has gives in proportion to its weight
        scales = [amounts[n] / wanted.weights.get(n, 1) for n in open_ if amounts[n] < capped[n] * (1 - 1e-9)]
        assert not scales or max(scales) - min(scales) <= 1e-6 * max(1.0, max(scales))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1000), small=st.integers(1, 300), more=st.integers(0, 300))
def test_a_larger_amount_keeps_what_a_smaller_one_has(seed: int, small: int, more: int) -> None:
    rng = np.random.default_rng(seed)
    stock = Stock(rng.random(40), rng.integers(1, 20, size=40))
    few, many = (mix({"t": stock}, Mixture(cap=cap))["t"] for cap in (small, small + more))
    assert (few.below or 0) <= (many.below if many.below is not None else 2.0)
    assert few.sequences <= many.sequences


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"total": 0}, "total is 0, it must be above 0"),
        ({"cap": float("nan")}, "cap is nan"),
        ({"caps": {"a": -1}}, "the cap of a is -1"),
        ({"weights": {"a": -0.5}}, "the weight of a is -0.5, it must not be negative"),
    ],
)
def test_amounts_that_cannot_be_wanted(settings_: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Mixture(**settings_)  # type: ignore[arg-type]


def test_a_weight_of_a_task_that_is_not_there() -> None:
    stock = Stock(np.array([0.5]), np.array([4]))
    with pytest.raises(UsageError, match="mixture: task 'coin' is unknown; did you mean 'coins'"):
        mix({"coins": stock}, Mixture(weights={"coin": 2}))
