"""Numbers with intervals: the one form in which pluralign reports anything it has measured.

Intervals come from the bootstrap over *units*: the raters (or items) that were sampled, never their single ratings, which
are not independent. A statistic here is a ratio of sums over units, sum_u a_u / sum_u b_u (a mean is the case b = count), so
one matrix product of resampling weights with the units' sums gives every statistic of every resample at once, and two
statistics of the same units are resampled together, which is what makes a difference *paired*.

Source: Efron & Tibshirani 1993, chapters 8 and 13 (resample the independent units; percentile interval); Holm 1979;
Montiel Olea & Plagborg-Moller 2019 (joint intervals).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.errors import UsageError

__all__ = [
    "Estimate",
    "bootstrap_ratios",
    "bootstrap_weights",
    "estimate_from_draws",
    "estimate_mean",
    "estimate_mean_difference",
    "estimate_ratio",
    "holm",
    "joint_intervals",
    "undefined",
    "unit_sums",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

N_RESAMPLES = 1000
COVERAGE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number that does not travel alone.

    Invariant: `value`, `low` and `high` are all NaN exactly when `why_undefined` is set.
    """

    value: float
    low: float
    """Lower end of the 95 % interval, in the unit of `value`."""
    high: float
    n: int
    """How many units were resampled: raters, not rows."""
    unit: str
    """What was resampled: "rater", "item"."""
    seed: int
    why_undefined: str | None = None

    def __post_init__(self) -> None:
        any_nan = math.isnan(self.value) or math.isnan(self.low) or math.isnan(self.high)
        if any_nan != (self.why_undefined is not None):
            raise UsageError(
                f"an Estimate is NaN exactly when it says why: value {self.value}, interval {self.low}..{self.high}, "
                f"why_undefined {self.why_undefined!r}"
            )

    @property
    def is_defined(self) -> bool:
        return self.why_undefined is None

    def excludes(self, value: float) -> bool:
        """True when the interval lies wholly on one side of `value`; False for an undefined estimate."""
        return self.is_defined and not (self.low <= value <= self.high)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: NaN, which JSON does not have, becomes null."""
        fields = asdict(self)
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in fields.items()}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Estimate:
        numbers = {k: math.nan if fields[k] is None else float(fields[k]) for k in ("value", "low", "high")}
        return cls(**{**fields, **numbers})

    def __str__(self) -> str:
        if not self.is_defined:
            return f"undefined ({self.why_undefined})"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def undefined(why: str, *, n: int = 0, unit: str = "rater", seed: int = 0) -> Estimate:
    """An estimate that has no value, and says why."""
    return Estimate(value=math.nan, low=math.nan, high=math.nan, n=n, unit=unit, seed=seed, why_undefined=why)


def unit_sums(values: FloatArray, units: IntArray, n_units: int) -> tuple[FloatArray, FloatArray]:
    """Sum of `values` [n, or n x m] within each unit, and how many rows each unit has: [n_units (x m)] and [n_units].

    >>> sums, counts = unit_sums(np.array([1.0, 2.0, 4.0]), np.array([0, 0, 1]), 2)
    >>> sums.tolist(), counts.tolist()
    ([3.0, 4.0], [2.0, 1.0])
    """
    counts = np.bincount(units, minlength=n_units).astype(np.float64)
    if values.ndim == 1:
        return np.bincount(units, weights=values, minlength=n_units).astype(np.float64), counts
    columns = [np.bincount(units, weights=values[:, j], minlength=n_units) for j in range(values.shape[1])]
    return np.stack(columns, axis=1) if columns else np.zeros((n_units, 0)), counts


def bootstrap_weights(
    n_units: int, *, seed: int, n_resamples: int = N_RESAMPLES, max_cells: int = 8_000_000
) -> Iterator[FloatArray]:
    """Blocks of resampling weights [some resamples, n_units]: how often each unit was drawn; rows sum to n_units.

    The blocks together have `n_resamples` rows; the same seed and sizes give the same weights, so statistics that are
    computed in separate calls are still resampled together.
    """
    if n_units < 1 or n_resamples < 1:
        raise UsageError(f"a bootstrap needs units and resamples; got {n_units} units, {n_resamples} resamples.")
    rng = np.random.default_rng(seed)
    block = max(1, min(n_resamples, max_cells // n_units))
    for start in range(0, n_resamples, block):
        rows = min(block, n_resamples - start)
        drawn = rng.integers(0, n_units, size=(rows, n_units), dtype=np.int32)
        flat = (drawn + (np.arange(rows, dtype=np.int64) * n_units)[:, None]).ravel()
        yield np.bincount(flat, minlength=rows * n_units).reshape(rows, n_units).astype(np.float64)


def bootstrap_ratios(
    numerators: FloatArray, denominators: FloatArray, *, seed: int, n_resamples: int = N_RESAMPLES
) -> FloatArray:
    """Resampled sum_u a_u / sum_u b_u for every statistic: [n_resamples, m] from two arrays [n_units, m].

    A resample whose denominator is 0 gives NaN; nothing is put in its place.
    """
    if numerators.shape != denominators.shape or numerators.ndim != 2:
        raise UsageError(f"need two arrays [units, statistics]; got {numerators.shape} and {denominators.shape}.")
    draws = []
    for weights in bootstrap_weights(len(numerators), seed=seed, n_resamples=n_resamples):
        below = weights @ denominators
        with np.errstate(divide="ignore", invalid="ignore"):
            draws.append(np.where(below != 0, (weights @ numerators) / below, np.nan))
    return np.concatenate(draws)


def estimate_from_draws(
    value: float, draws: FloatArray, *, n: int, unit: str, seed: int, coverage: float = COVERAGE
) -> Estimate:
    """The percentile interval of resampled values [n_resamples] around the value of the sample itself.

    Undefined when there are fewer than two units, when the value itself is NaN, or when more than 5 % of the resamples have
    no value; below that the resamples without one are left out.
    """
    if n < 2:
        return undefined(f"an interval needs at least 2 {unit}s, there is {n}", n=n, unit=unit, seed=seed)
    if math.isnan(value):
        return undefined("the sample itself has no value", n=n, unit=unit, seed=seed)
    good = draws[~np.isnan(draws)]
    if len(good) < 0.95 * len(draws):
        return undefined(f"{len(draws) - len(good)} of {len(draws)} resamples have no value", n=n, unit=unit, seed=seed)
    tail = 100 * (1 - coverage) / 2
    low, high = np.percentile(good, [tail, 100 - tail])
    return Estimate(value=float(value), low=float(low), high=float(high), n=n, unit=unit, seed=seed)


def estimate_mean(
    values: FloatArray, units: IntArray, *, unit: str = "rater", seed: int = 0, n_resamples: int = N_RESAMPLES
) -> Estimate:
    """Mean over rows [n] with an interval from resampling the units [n] that the rows belong to.

    Undefined when no rows, or one unit. Units are any integers; those without a row do not count.

    >>> e = estimate_mean(np.array([0.0, 0.0, 1.0, 1.0]), np.array([7, 7, 9, 9]))
    >>> (e.value, e.low, e.high, e.n)
    (0.5, 0.0, 1.0, 2)
    """
    if len(values) == 0:
        return undefined("no rows", unit=unit, seed=seed)
    _, index = np.unique(units, return_inverse=True)
    n_units = int(index.max()) + 1
    sums, counts = unit_sums(values, index, n_units)
    draws = bootstrap_ratios(sums[:, None], counts[:, None], seed=seed, n_resamples=n_resamples)[:, 0]
    return estimate_from_draws(float(values.mean()), draws, n=n_units, unit=unit, seed=seed)


def estimate_mean_difference(
    ours: FloatArray,
    theirs: FloatArray,
    units: IntArray,
    *,
    unit: str = "rater",
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> Estimate:
    """Paired difference of means, `ours` minus `theirs`, two arrays [n] over the same rows."""
    if ours.shape != theirs.shape:
        raise UsageError(f"a paired difference needs the same rows; got {ours.shape} and {theirs.shape}.")
    return estimate_mean(ours - theirs, units, unit=unit, seed=seed, n_resamples=n_resamples)


def estimate_ratio(
    above: npt.NDArray[Any],
    below: npt.NDArray[Any],
    units: IntArray | None = None,
    *,
    unit: str = "rater",
    seed: int = 0,
    why: str = "there is nothing to take a share of",
) -> Estimate:
    """sum(above) / sum(below) over rows [n] with an interval from resampling the units [n] that the rows belong to.

    Without `units` each row is one. Undefined, for the reason `why`, where the lower sum is 0; or with one unit.

    >>> e = estimate_ratio(np.array([1, 1]), np.array([2, 2]), unit="pair")
    >>> (e.value, e.low, e.high, e.n)
    (0.5, 0.5, 0.5, 2)
    """
    sums = np.stack([above, below], axis=1).astype(np.float64)
    if units is not None:
        names, index = np.unique(units, return_inverse=True)
        sums, _ = unit_sums(sums, index, len(names))
    a, b = sums[:, :1], sums[:, 1:]
    if b.sum() == 0:
        return undefined(why, n=len(b), unit=unit, seed=seed)
    draws = bootstrap_ratios(a, b, seed=seed)[:, 0]
    return estimate_from_draws(float(a.sum() / b.sum()), draws, n=len(b), unit=unit, seed=seed)


def joint_intervals(
    estimates: Sequence[Estimate], draws: FloatArray, *, coverage: float = COVERAGE
) -> list[tuple[float, float] | None]:
    """Intervals that *all* hold their truth in 95 % of samples. None where an estimate is undefined or infinite.

    Low and high end for each estimate, from resampled values [n_resamples, estimates] that were drawn together:
    value +- c * standard deviation of its draws, where c is the 95 % quantile over resamples of the largest
    |draw - value| / standard deviation among the estimates. c is 1.96 for one estimate, about 2.9 for fourteen that have
    nothing to do with each other, and in between where they move together. No interval is narrower than the estimate's own.
    Source: Montiel Olea & Plagborg-Moller 2019, Simultaneous Confidence Bands (the sup-t band); Romano & Wolf 2005.
    Departures: the union with the percentile interval, which is skewed where the draws are; resamples in which an estimate has
    no value (at most 5 %, see `estimate_from_draws`) are judged by the others.
    """
    if draws.ndim != 2 or draws.shape[1] != len(estimates):
        raise UsageError(f"joint intervals need draws [resamples, {len(estimates)} estimates]; got {draws.shape}.")
    finite = [j for j, e in enumerate(estimates) if math.isfinite(e.low) and math.isfinite(e.high)]
    out: list[tuple[float, float] | None] = [None] * len(estimates)
    if not finite:
        return out
    values, used = np.array([estimates[j].value for j in finite]), draws[:, finite]
    spread = np.nanstd(used, axis=0)
    off = np.abs(used - values) / np.where(spread > 0, spread, np.inf)  # what no resample moves cannot be off
    critical = float(np.nanquantile(np.fmax.reduce(off, axis=1), coverage))
    for j, value, sd in zip(finite, values, spread, strict=True):
        estimate = estimates[j]
        out[j] = (min(estimate.low, float(value - critical * sd)), max(estimate.high, float(value + critical * sd)))
    return out


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: adjusted p-values in the given order; reject where <= alpha to keep the family-wise error.

    Source: Holm 1979. The i-th smallest of m is multiplied by m - i + 1, made monotone, capped at 1.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    m = len(p_values)
    adjusted = [0.0] * m
    running = 0.0
    for rank, index in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (m - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted
