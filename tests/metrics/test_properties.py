"""One table of every public metric: its range, its best value, what it must not depend on, and which way is better.

A metric that is missing from the table fails `test_every_public_metric_is_in_the_table`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest

from pluralign import metrics
from pluralign.estimates import Estimate

Arrays = tuple[np.ndarray, ...]

NOT_METRICS = {
    "AlphaLevel": "a type",
    "ReliabilityCurve": "a result of several numbers",
    "reliability_curve": "makes it",
    "coincidence_matrix": "a table, not a judgement",
    "item_option_counts": "a table, not a judgement",
    "one_vs_rest": "reshapes",
    "nats_to_bits": "changes the unit",
    "is_pareto_improvement": "yes or no",
    "pareto_front": "yes or no, of each point",
    "p_mean_resampled": "p_mean under many weightings; tested against it",
    "permutation_p_value": "no arrays of rows or options; tested by hand",
}


@dataclass(frozen=True)
class Inputs:
    """What a family of metrics takes, and what may be permuted in it."""

    draw: Callable[[np.random.Generator], Arrays]
    best: Arrays
    """Full agreement, exact prediction."""
    worst: Arrays
    rows: Callable[[Arrays, np.random.Generator], tuple[Arrays, np.ndarray | None]]
    """Rows in another order, and the order in which results must come then: None where they must not change."""
    options: Callable[[Arrays, np.ndarray], Arrays] | None = None
    n_options: int = 4


@dataclass(frozen=True)
class Metric:
    inputs: Inputs
    low: float
    high: float
    best: float | None
    better: Literal["higher", "lower", "neither"]
    symmetric: bool | None = None
    """Of two distributions; None where the two arguments are of different kinds."""
    option_order: Literal["free", "matters", "fixed"] = "free"
    """"fixed": the options have given meanings, so that nothing is claimed."""
    call: Callable[..., Any] | None = None
    """The metric with its further arguments; left out where there are none."""


def take(arrays: Arrays, order: np.ndarray) -> Arrays:
    return tuple(a[order] for a in arrays)


def by_row(arrays: Arrays, rng: np.random.Generator) -> tuple[Arrays, np.ndarray]:
    order = rng.permutation(len(arrays[0]))
    return take(arrays, order), order


def reordered(arrays: Arrays, rng: np.random.Generator) -> tuple[Arrays, None]:
    return by_row(arrays, rng)[0], None


def distributions(rng: np.random.Generator, n_options: int) -> np.ndarray:
    rows = rng.dirichlet(np.full(n_options, 0.5), size=30)
    rows[0] = np.eye(n_options)[0]
    return rows


def pair_inputs(n_options: int) -> Inputs:
    return Inputs(
        draw=lambda rng: (distributions(rng, n_options), distributions(rng, n_options)),
        best=(np.eye(n_options), np.eye(n_options)),
        worst=(np.eye(n_options), np.eye(n_options)[::-1]),
        rows=by_row,
        options=lambda arrays, order: tuple(a[:, order] for a in arrays),
        n_options=n_options,
    )


PAIRS = pair_inputs(4)
VEN_PAIRS = Inputs(
    draw=lambda rng: (distributions(rng, 2).reshape(10, 3, 2), distributions(rng, 2).reshape(10, 3, 2)),
    best=(np.tile([1.0, 0.0], (5, 3, 1)), np.tile([1.0, 0.0], (5, 3, 1))),
    worst=(np.tile([1.0, 0.0], (5, 3, 1)), np.tile([0.0, 1.0], (5, 3, 1))),
    rows=by_row,
)
PREDICTIONS = Inputs(
    draw=lambda rng: (distributions(rng, 4), rng.integers(0, 4, size=30)),
    best=(np.eye(4), np.arange(4)),
    worst=(np.eye(4), np.arange(4)[::-1]),
    rows=by_row,
    options=lambda arrays, order: (arrays[0][:, order], np.argsort(order)[arrays[1]]),
)
EVENTS = Inputs(
    draw=lambda rng: (rng.integers(0, 8, size=60) / 7, rng.random(60) < 0.5),
    best=(np.array([0.0, 1.0]), np.array([False, True])),
    worst=(np.array([0.0, 1.0]), np.array([True, False])),
    rows=reordered,
)
COUNTS = Inputs(
    draw=lambda rng: (np.stack([rng.multinomial(6, rng.dirichlet(np.full(4, 0.5))) for _ in range(25)]),),
    best=(np.array([[6, 0, 0, 0], [0, 0, 0, 6], [0, 6, 0, 0]]),),
    worst=(np.array([[3, 0, 0, 3], [3, 0, 0, 3], [0, 3, 3, 0]]),),
    rows=by_row,
    options=lambda arrays, order: (arrays[0][:, order],),
)
COUNTS_ONE_RESULT = Inputs(COUNTS.draw, COUNTS.best, COUNTS.worst, reordered, COUNTS.options)


def draw_table(rng: np.random.Generator) -> Arrays:
    items, raters = np.nonzero(rng.random((40, 12)) < 0.6)
    return items, raters, (items + rng.integers(0, 3, size=len(items))) % 4


def constant_table(*, agree: bool) -> Arrays:
    items, raters = np.repeat(np.arange(40), 8), np.tile(np.arange(8), 40)
    return items, raters, (items if agree else items + raters) % 4


LONG = Inputs(
    draw=draw_table,
    best=constant_table(agree=True),
    worst=constant_table(agree=False),
    rows=reordered,
    options=lambda arrays, order: (arrays[0], arrays[1], order[arrays[2]]),
)


def answers(low: int, high: int, *width: int) -> Inputs:
    shape = (12, *width)
    return Inputs(
        draw=lambda rng: (rng.integers(low, high + 1, shape), rng.integers(low, high + 1, shape), np.arange(12) % 5),
        best=(np.full(shape, high), np.full(shape, high), np.arange(12) % 5),
        worst=(np.full(shape, low), np.full(shape, high), np.arange(12) % 5),
        rows=reordered,
    )


def draw_losses(rng: np.random.Generator) -> Arrays:
    return rng.gamma(2, 1, 60), rng.gamma(2, 1, 60), np.arange(60) % 15


def draw_part_and_whole(rng: np.random.Generator) -> Arrays:
    nothing = rng.gamma(2, 1, 60) + 5
    return nothing, nothing - rng.random(60), nothing - 1 - rng.random(60), np.arange(60) % 15


LOSSES = Inputs(
    draw=draw_losses,
    best=(np.ones(20), np.zeros(20), np.arange(20)),
    worst=(np.ones(20), np.full(20, 2.0), np.arange(20)),
    rows=reordered,
)
PART_AND_WHOLE = Inputs(
    draw=draw_part_and_whole,
    best=(np.ones(20), np.zeros(20), np.zeros(20), np.arange(20)),
    worst=(np.ones(20), np.ones(20), np.zeros(20), np.arange(20)),
    rows=reordered,
)
OWN = np.where(np.eye(3)[np.arange(30) % 3] > 0, 0.0, 1.0)
GROUPS = Inputs(
    draw=lambda rng: (rng.random((30, 3)), rng.integers(0, 3, size=30)),
    best=(OWN, np.arange(30) % 3),
    worst=(OWN, (np.arange(30) + 1) % 3),
    rows=reordered,
    options=lambda arrays, order: (arrays[0][:, order], np.argsort(order)[arrays[1]]),
    n_options=3,
)

PEOPLE = Inputs(
    draw=lambda rng: (rng.random((30, 4)),),
    best=(np.ones((3, 4)),),
    worst=(np.zeros((3, 4)),),
    rows=by_row,
    options=lambda arrays, order: (arrays[0][:, order],),
)
POINTS = Inputs(
    draw=lambda rng: (rng.random((12, 4)),),
    best=(np.ones((2, 4)),),
    worst=(np.zeros((2, 4)),),
    rows=reordered,
    options=lambda arrays, order: (arrays[0][:, order],),
)

PLACES = np.array([0.0, 1.0, 3.0, 4.0])
LN4, INF = math.log(4), math.inf


def alpha_at(level: str) -> Callable[..., float]:
    return functools.partial(metrics.krippendorff_alpha, level=level, values=PLACES)


def alpha_estimate_at(level: str, resample: str) -> Callable[..., Estimate]:
    return functools.partial(
        metrics.krippendorff_alpha_estimate, n_options=4, level=level, values=PLACES, resample=resample, n_resamples=40
    )


def welfare_at(p: float) -> Callable[..., np.ndarray]:
    return functools.partial(metrics.p_mean, p=p)


def per_item(name: str) -> Callable[..., np.ndarray]:
    return functools.partial(getattr(metrics, name), n_items=5)


def quick(name: str) -> Callable[..., Estimate]:
    return functools.partial(getattr(metrics, name), n_resamples=40)


# "name" or "name: variant" -> what is claimed of it
TABLE: dict[str, Metric] = {
    "js_divergence_nats": Metric(PAIRS, 0, math.log(2), 0, "lower", symmetric=True),
    "js_distance": Metric(PAIRS, 0, math.sqrt(math.log(2)), 0, "lower", symmetric=True),
    "kl_nats": Metric(PAIRS, 0, INF, 0, "lower", symmetric=False),
    "total_variation_distance": Metric(PAIRS, 0, 1, 0, "lower", symmetric=True),
    "wasserstein1_distance": Metric(
        PAIRS, 0, 4, 0, "lower", True, "matters", call=lambda p, q: metrics.wasserstein1_distance(p, q, PLACES)
    ),
    "hellinger_distance": Metric(PAIRS, 0, 1, 0, "lower", symmetric=True),
    "simbench_score": Metric(PAIRS, -INF, 100, 100, "higher", symmetric=False),
    "opinionqa_representativeness": Metric(PAIRS, 0, 1, 1, "higher", True, "matters"),
    "mp_soft_distance": Metric(pair_inputs(2), 0, 2, 0, "lower", symmetric=True),
    "csc_soft_distance": Metric(pair_inputs(6), 0, 5, 0, "lower", True, "matters"),
    "par_soft_distance": Metric(pair_inputs(11), 0, 10, 0, "lower", True, "matters"),
    "ven_soft_distance": Metric(VEN_PAIRS, 0, 2, 0, "lower", symmetric=True, option_order="fixed"),
    "mp_perspectivist_loss": Metric(
        answers(0, 1), 0, 1, 0, "lower", option_order="fixed", call=per_item("mp_perspectivist_loss")
    ),
    "ven_perspectivist_loss": Metric(
        answers(0, 1, 3), 0, 1, 0, "lower", option_order="fixed", call=per_item("ven_perspectivist_loss")
    ),
    "csc_perspectivist_loss": Metric(
        answers(1, 6), 0, 5 / 6, 0, "lower", option_order="fixed", call=per_item("csc_perspectivist_loss")
    ),
    "par_perspectivist_loss": Metric(
        answers(-5, 5), 0, 10 / 11, 0, "lower", option_order="fixed", call=per_item("par_perspectivist_loss")
    ),
    "log_loss_nats": Metric(PREDICTIONS, 0, INF, 0, "lower"),
    "brier_loss": Metric(PREDICTIONS, 0, 2, 0, "lower"),
    "expected_calibration_error": Metric(EVENTS, 0, 1, 0, "lower", option_order="fixed"),
    "krippendorff_alpha: nominal": Metric(COUNTS_ONE_RESULT, -1, 1, 1, "higher", call=alpha_at("nominal")),
    "krippendorff_alpha: ordinal": Metric(COUNTS_ONE_RESULT, -1, 1, 1, "higher", None, "matters", alpha_at("ordinal")),
    "krippendorff_alpha: interval": Metric(COUNTS_ONE_RESULT, -1, 1, 1, "higher", None, "matters", alpha_at("interval")),
    "krippendorff_alpha_estimate: items": Metric(LONG, -1, 1, 1, "higher", call=alpha_estimate_at("nominal", "item")),
    "krippendorff_alpha_estimate: raters": Metric(
        LONG, -1, 1, 1, "higher", None, "matters", alpha_estimate_at("ordinal", "rater")
    ),
    "fleiss_kappa": Metric(COUNTS_ONE_RESULT, -1, 1, 1, "higher"),
    "pair_agreement": Metric(COUNTS, 0, 1, 1, "higher"),
    "chance_agreement": Metric(COUNTS_ONE_RESULT, 0, 1, None, "neither"),
    "item_entropy_nats": Metric(COUNTS, 0, LN4, 0, "neither"),
    "item_entropy_nats: corrected": Metric(
        COUNTS, 0, LN4 + 3 / 12, 0, "neither", call=functools.partial(metrics.item_entropy_nats, bias_correction=True)
    ),
    "normalised_entropy": Metric(COUNTS, 0, 1, 0, "neither"),
    "polarisation": Metric(
        COUNTS, 0, 1, 0, "neither", None, "matters", call=functools.partial(metrics.polarisation, values=PLACES)
    ),
    "usable_information": Metric(LOSSES, -INF, INF, 1, "higher", option_order="fixed", call=quick("usable_information")),
    "information_preserved": Metric(
        PART_AND_WHOLE, -INF, INF, 1, "higher", option_order="fixed", call=quick("information_preserved")
    ),
    "p_mean: minimum": Metric(PEOPLE, 0, 1, 1, "higher", call=welfare_at(-INF)),
    "p_mean: -5": Metric(PEOPLE, 0, 1, 1, "higher", call=welfare_at(-5.0)),
    "p_mean: geometric": Metric(PEOPLE, 0, 1, 1, "higher", call=welfare_at(0.0)),
    "p_mean: 0.5": Metric(PEOPLE, 0, 1, 1, "higher", call=welfare_at(0.5)),
    "p_mean: maximum": Metric(PEOPLE, 0, 1, 1, "higher", call=welfare_at(INF)),
    "hypervolume": Metric(POINTS, 0, 1, 1, "higher", call=lambda points: metrics.hypervolume(points, np.zeros(4))),
    "assignment_permutation_test": Metric(GROUPS, 1 / 1001, 1, 1 / 1001, "lower", None, "free"),
}
SUFFIXES = {"_score": "higher", "_loss": "lower", "_distance": "lower"}
ALL = pytest.mark.parametrize("name", TABLE)
SEEDS = range(5)


def value(name: str, arrays: Arrays) -> np.ndarray:
    """The result as an array: [rows] or [1]; an estimate gives its value, and must have its interval in range as well."""
    claim = TABLE[name]
    call = claim.call or getattr(metrics, name.split(":")[0])
    result = call(*arrays)
    if isinstance(result, Estimate):
        assert result.is_defined, result.why_undefined
        assert claim.low <= result.low <= result.high <= claim.high + 1e-12
        return np.array([result.value])
    return np.atleast_1d(np.asarray(result, dtype=np.float64))


def test_every_public_metric_is_in_the_table() -> None:
    listed = {name.split(":")[0] for name in TABLE}
    assert listed | set(NOT_METRICS) == set(metrics.__all__)
    assert not listed & set(NOT_METRICS)
    assert not [name for name in NOT_METRICS if name.endswith(tuple(SUFFIXES))]


def test_public_names_are_sorted_and_exist() -> None:
    assert metrics.__all__ == sorted(metrics.__all__)
    assert all(hasattr(metrics, name) for name in metrics.__all__)


@ALL
def test_range(name: str) -> None:
    claim = TABLE[name]
    for seed in SEEDS:
        result = value(name, claim.inputs.draw(np.random.default_rng(seed)))
        assert not np.isnan(result).any()
        assert (result >= claim.low - 1e-12).all()
        assert (result <= claim.high + 1e-12).all()


@ALL
def test_value_at_its_best(name: str) -> None:
    claim = TABLE[name]
    if claim.best is None:
        assert claim.better == "neither"
    else:
        np.testing.assert_allclose(value(name, claim.inputs.best), claim.best, atol=1e-12)


@ALL
def test_direction_is_what_the_name_says(name: str) -> None:
    claim = TABLE[name]
    promised = [better for suffix, better in SUFFIXES.items() if name.split(":")[0].endswith(suffix)]
    assert promised in ([], [claim.better])
    best, worst = value(name, claim.inputs.best).mean(), value(name, claim.inputs.worst).mean()
    assert {"higher": best > worst, "lower": best < worst, "neither": best != worst}[claim.better]


@ALL
def test_order_of_rows_is_free(name: str) -> None:
    inputs = TABLE[name].inputs
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        arrays = inputs.draw(rng)
        moved, order = inputs.rows(arrays, rng)
        if name == "assignment_permutation_test":  # the permutations drawn go with the order: equal up to Monte-Carlo noise
            np.testing.assert_allclose(value(name, moved), value(name, arrays), atol=0.1)
        else:
            expected = value(name, arrays)
            np.testing.assert_allclose(value(name, moved), expected if order is None else expected[order], atol=1e-12)


@pytest.mark.parametrize("name", [name for name, claim in TABLE.items() if claim.symmetric is not None])
def test_symmetry_is_as_claimed(name: str) -> None:
    claim = TABLE[name]
    gaps = []
    for seed in SEEDS:
        p, q = claim.inputs.draw(np.random.default_rng(seed))
        forth, back = value(name, (p, q)), value(name, (q, p))
        both = np.isfinite(forth) & np.isfinite(back)
        gaps.append(np.abs(forth[both] - back[both]).max())
    assert (max(gaps) < 1e-12) == claim.symmetric


@pytest.mark.parametrize("name", [name for name, claim in TABLE.items() if claim.option_order != "fixed"])
def test_order_of_options_is_as_claimed(name: str) -> None:
    claim = TABLE[name]
    assert claim.inputs.options is not None
    changes = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        arrays = claim.inputs.draw(rng)
        moved = claim.inputs.options(arrays, rng.permutation(claim.inputs.n_options))
        before, after = value(name, arrays), value(name, moved)
        finite = np.isfinite(before)
        assert (finite == np.isfinite(after)).all()
        changes.append(np.abs(before[finite] - after[finite]).max())
    assert (max(changes) < 1e-12) == (claim.option_order == "free")
