"""Several objectives at once, as estimates: means, Pareto improvements, fronts, hypervolume, and how well steering works.

    scores    [variants, items, objectives]     a variant is a system, or one that is steered to one f; all count upwards
    means     [variants, objectives]            resampled together, so that all that follows from them is paired

    F         commensurating functions f(scores) = sum_o w_o scores_o, with weights w on a grid of the simplex
    steered       mean over f of f(M_f)                   M_f: the system, told f
    unsteered     mean over f of f(M)                     the system, told nothing
    best fixed    max over g of mean over f of f(M_g)     whatever f is, it is told the same
    best of all   mean over f of max over g of f(M_g)     if every f could take its pick of all that was reached

A system that takes no notice of what it is told has steered = unsteered; one that follows perfectly has steered = best of all.
Both maxima are taken over the same items as the scores, so they are somewhat too high, which makes "steered minus best fixed" a
careful number.

Source: Sorensen et al. 2024 (arXiv 2402.05070), multi-objective and trade-off steerable benchmarks; Montiel Olea &
Plagborg-Moller 2019 (joint intervals); Zitzler & Thiele 1998 (hypervolume).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pluralign.errors import UsageError
from pluralign.estimates import Estimate, bootstrap_ratios, estimate_from_draws, joint_intervals, undefined, unit_sums
from pluralign.metrics import hypervolume, is_pareto_improvement, pareto_front

__all__ = [
    "Improvement",
    "Scores",
    "Steered",
    "Verdict",
    "front_membership",
    "hypervolume_estimate",
    "objective_means",
    "pareto_improvement",
    "simplex_weights",
    "steered_scores",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

Verdict = Literal["improvement", "no improvement", "open"]
"""Told from chance; told from chance to be worse in some objective; neither."""
N_VOLUMES = 300
"""Resamples of a hypervolume, each of which is computed on its own; a third of them for four objectives, which take longer."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Scores:
    """Scores that are all there."""

    variants: tuple[str, ...]
    objectives: tuple[str, ...]
    values: FloatArray
    """[variants, items, objectives], finite."""
    units: IntArray
    """[items] which are resampled together."""
    unit: str = "item"

    def __post_init__(self) -> None:
        shape = (len(self.variants), len(self.units), len(self.objectives))
        if self.values.shape != shape or 0 in shape or not np.isfinite(self.values).all():
            raise UsageError(
                f"scores {self.values.shape} must be finite and [variants, items, objectives] {shape}, none of them 0."
            )

    @property
    def n_units(self) -> int:
        return len(np.unique(self.units))

    def take(self, variants: Sequence[int]) -> Scores:
        """These variants, by position."""
        names = tuple(self.variants[n] for n in variants)
        values = self.values[list(variants)]
        return Scores(variants=names, objectives=self.objectives, values=values, units=self.units, unit=self.unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Improvement:
    """One variant against another, objective by objective."""

    ours: str
    theirs: str
    verdict: Verdict
    is_improvement: bool
    """Of the means themselves, whatever chance may have done."""
    differences: tuple[Estimate, ...]
    """Ours minus theirs, of each objective, with intervals that hold one by one."""
    joint: tuple[tuple[float, float] | None, ...]
    """Intervals that hold all together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steered:
    """How well a system is steered to every f of a family; see the top of this file."""

    steered: Estimate
    unsteered: Estimate
    best_fixed: Estimate
    best_of_all: Estimate
    gain: Estimate
    """Steered minus unsteered."""
    over_fixed: Estimate
    """Steered minus best fixed."""
    fixed: str
    """Which variant the best fixed one is."""


def simplex_weights(n_objectives: int, steps: int) -> FloatArray:
    """All weights that are multiples of 1/steps and sum to 1 [functions, objectives], the first objective alone first.

    >>> simplex_weights(2, 2).tolist()
    [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    """
    if n_objectives < 1 or steps < 1:
        raise UsageError(f"a grid of weights needs objectives and steps of at least 1, not {n_objectives} and {steps}.")
    counts = [c for c in itertools.product(range(steps, -1, -1), repeat=n_objectives) if sum(c) == steps]
    return np.array(counts, dtype=np.float64) / steps


def objective_means(scores: Scores, *, seed: int) -> list[list[Estimate]]:
    """The mean of every objective of every variant [variants][objectives]. *Undefined when* there are fewer than two units."""
    means, draws = _resampled(scores, seed)
    return [[_estimate(scores, m, d, seed) for m, d in zip(of, by.T, strict=True)] for of, by in zip(means, draws, strict=True)]


def pareto_improvement(scores: Scores, ours: int, theirs: int, *, seed: int, margin: float = 0.0) -> Improvement:
    """Whether the variant at position `ours` is a Pareto improvement on the one at `theirs`.

    "improvement": the joint intervals of all differences lie above -margin, and one above 0. "no improvement": one lies below
    -margin. "open" is all else. `margin`: by how much an objective may fall and count as no worse.
    """
    if not margin >= 0:
        raise UsageError(f"margin must be at least 0, not {margin}.")
    means, draws = _resampled(scores, seed)
    value, drawn = means[ours] - means[theirs], draws[ours] - draws[theirs]
    differences = [_estimate(scores, v, d, seed) for v, d in zip(value, drawn.T, strict=True)]
    joint = joint_intervals(differences, drawn)
    verdict: Verdict = "open"
    known = [one for one in joint if one is not None]
    if any(high < -margin for _, high in known):
        verdict = "no improvement"
    elif len(known) == len(joint) and all(low >= -margin for low, _ in known) and any(low > 0 for low, _ in known):
        verdict = "improvement"
    return Improvement(
        ours=scores.variants[ours],
        theirs=scores.variants[theirs],
        verdict=verdict,
        is_improvement=bool(is_pareto_improvement(means[ours], means[theirs])),
        differences=tuple(differences),
        joint=tuple(joint),
    )


def front_membership(scores: Scores, *, seed: int) -> list[Estimate]:
    """Of every variant, 1 where nothing is a Pareto improvement on its means, else 0; the interval is of resampled fronts.

    So 1 [1, 1] is on the front whatever the items, 1 [0, 1] may or may not be.
    """
    means, draws = _resampled(scores, seed)
    of = pareto_front(means).astype(np.float64)
    by = pareto_front(draws.transpose(1, 0, 2)).astype(np.float64)
    return [_estimate(scores, value, drawn, seed) for value, drawn in zip(of, by.T, strict=True)]


def hypervolume_estimate(scores: Scores, reference: FloatArray, *, seed: int) -> Estimate:
    """The hypervolume that the variants' means reach together above `reference` [objectives]; 0 where none is above it.

    *Undefined when* there are more objectives than a volume takes, or fewer than two units. Of many variants whose means are
    uncertain the volume is somewhat too large, since chance pushes the front outwards.
    """
    means, draws = _resampled(scores, seed)
    try:
        value = hypervolume(means, reference)
    except UsageError as error:
        return undefined(str(error), n=scores.n_units, unit=scores.unit, seed=seed)
    n_volumes = N_VOLUMES if len(scores.objectives) < 4 else N_VOLUMES // 3
    drawn = np.array([hypervolume(one, reference) for one in draws[:, :n_volumes].transpose(1, 0, 2)])
    return _estimate(scores, value, drawn, seed)


def steered_scores(scores: Scores, weights: FloatArray, *, unsteered: int | None, seed: int) -> Steered:
    """How well the variants follow the weights [functions, objectives] that they were told.

    The variant at position `unsteered` was told nothing; the others, in their order, are M_f for the rows of `weights`.
    *Undefined when* there are fewer than two units; `unsteered` and `gain` also where no variant was told nothing.
    """
    told = [n for n in range(len(scores.variants)) if n != unsteered]
    if weights.shape != (len(told), len(scores.objectives)):
        raise UsageError(
            f"weights {weights.shape} must be [{len(told)} steered variants, {len(scores.objectives)} objectives]."
        )
    means, draws = _resampled(scores, seed)

    def both(of: Callable[[FloatArray], FloatArray]) -> Estimate:
        """`of` takes f(M_g) for every variant g [..., functions, variants]."""
        value = of(np.einsum("fo,go->fg", weights, means))
        drawn = of(np.einsum("fo,gdo->dfg", weights, draws))
        return _estimate(scores, float(value), drawn, seed)

    def followed(table: FloatArray) -> FloatArray:
        return np.asarray(np.diagonal(table[..., told], axis1=-2, axis2=-1).mean(axis=-1))

    def fixed(table: FloatArray) -> FloatArray:
        return np.asarray(table[..., told].mean(axis=-2).max(axis=-1))

    def plain(table: FloatArray) -> FloatArray:
        return np.asarray(table[..., 0 if unsteered is None else unsteered].mean(axis=-1))

    nothing = undefined("no variant was told nothing", n=scores.n_units, unit=scores.unit, seed=seed)
    by_variant = np.einsum("fo,go->fg", weights, means)[:, told].mean(axis=0)
    return Steered(
        steered=both(followed),
        unsteered=nothing if unsteered is None else both(plain),
        best_fixed=both(fixed),
        best_of_all=both(lambda table: np.asarray(table.max(axis=-1).mean(axis=-1))),
        gain=nothing if unsteered is None else both(lambda table: followed(table) - plain(table)),
        over_fixed=both(lambda table: followed(table) - fixed(table)),
        fixed=scores.variants[told[int(by_variant.argmax())]],
    )


def _resampled(scores: Scores, seed: int) -> tuple[FloatArray, FloatArray]:
    """Means [variants, objectives] and resampled ones [variants, draws, objectives]."""
    n_variants, n_items, n_objectives = scores.values.shape
    _, units = np.unique(scores.units, return_inverse=True)
    flat = scores.values.transpose(1, 0, 2).reshape(n_items, -1)
    sums, counts = unit_sums(flat, units, scores.n_units)
    draws = bootstrap_ratios(sums, np.broadcast_to(counts[:, None], sums.shape), seed=seed)
    return flat.mean(axis=0).reshape(n_variants, n_objectives), draws.reshape(-1, n_variants, n_objectives).transpose(1, 0, 2)


def _estimate(scores: Scores, value: float, draws: FloatArray, seed: int) -> Estimate:
    return estimate_from_draws(float(value), draws, n=scores.n_units, unit=scores.unit, seed=seed)
