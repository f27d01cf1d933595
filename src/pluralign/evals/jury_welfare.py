"""Welfare of responses over a jury, and of whoever picks among them, with intervals over prompts and jurors.

    utilities    [prompts, responses, jurors]
    welfare      [prompts, responses]            W_p over the jurors of each prompt
    score        mean over prompts of W_p of what was picked there
      floor      of a candidate drawn at random: mean over candidates
      ceiling    of the best candidate of each prompt, as these jurors see it

Both prompts and jurors are a sample, so both are resampled, each juror's and each prompt's weight multiplied; all scores share
the resamples, so that differences are paired. For p below -1 and p = inf only prompts are: there the number hangs on the one or
two who are worst (or best) off, of whom resampling tells nothing beyond this jury, so it is of the jury at hand. At p = -1 the
intervals are somewhat short (of 100 simulated juries of 150 people 91 held the truth, of 30 people 87; 95 at p = 1).

Source: Sorensen et al. 2024 (arXiv 2402.05070), jury-pluralistic benchmark; Owen 2007, The pigeonhole bootstrap (resampling
two kinds of units at once; it errs, if at all, on the side of wider intervals); Holm 1979.
Departures: a juror without an answer to one of a prompt's responses is left out for all of them, so that every response is
judged by the same people; how many were is counted.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from pluralign.errors import UsageError
from pluralign.estimates import Estimate, bootstrap_weights, estimate_from_draws, holm, undefined
from pluralign.evals.juries import Composition, jury_weights, top_shares
from pluralign.metrics import p_mean, p_mean_resampled, permutation_p_value

__all__ = [
    "GRID",
    "Preference",
    "Verdicts",
    "candidate_statistics",
    "estimated",
    "p_name",
    "preferred",
    "response_preferences",
    "welfare_of",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

GRID = (-math.inf, -5.0, -1.0, 0.0, 0.5, 1.0, math.inf)
"""Welfare functions, from the worst off alone to the best off alone."""
N_RESAMPLES = 2000
"""So many that a p-value can stay below 5 % when dozens are corrected together."""
LOWEST_RESAMPLED = -1.0
"""Of p, for which jurors are resampled."""
CELLS = 4_000_000
"""Welfares of resamples that are held at once."""
Statistic = Callable[[FloatArray], FloatArray]
"""Of welfare [..., prompts, responses] the numbers of interest [..., prompts, statistics]; NaN where one is undefined."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Verdicts:
    """What everybody thinks of every response to every prompt."""

    prompts: tuple[str, ...]
    """Names of the questions."""
    responses: tuple[str, ...]
    jurors: tuple[str, ...]
    utilities: FloatArray
    """[prompts, responses, jurors] at least 0; NaN where there is none."""
    is_candidate: BoolArray
    """[prompts, responses] whether it is one of those that the floor and the ceiling choose from."""
    composition: Composition | None = None
    """Of the jury; all jurors alike where there is none."""
    present: BoolArray = field(init=False)
    """[prompts, jurors] who judged every response of the prompt that anybody judged."""

    def __post_init__(self) -> None:
        shape = (len(self.prompts), len(self.responses), len(self.jurors))
        if self.utilities.shape != shape or self.is_candidate.shape != shape[:2]:
            raise UsageError(f"utilities {self.utilities.shape}: need [prompts, responses, jurors] {shape}.")
        known = np.isfinite(self.utilities)
        was_judged = np.asarray(known.any(axis=2))[:, :, None]
        complete = np.asarray((known | ~was_judged).all(axis=1))
        object.__setattr__(self, "present", complete & np.asarray(was_judged.any(axis=1)))

    @property
    def weights(self) -> FloatArray:
        """[jurors] that each counts with."""
        n = len(self.jurors)
        return np.full(n, 1 / n) if self.composition is None else jury_weights(self.composition, n)

    def take(self, prompts: Sequence[int]) -> Verdicts:
        """These prompts only, by position: with one of them intervals are over jurors alone."""
        some = list(prompts)
        names = tuple(self.prompts[n] for n in some)
        return replace(self, prompts=names, utilities=self.utilities[some], is_candidate=self.is_candidate[some])


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """One response against another under one welfare function."""

    p: float
    preferred: str
    """Whose mean welfare over prompts is higher, or the first by name where they are equal."""
    other: str
    difference: Estimate
    """Mean over prompts of welfare of the preferred one minus the other, paired."""
    p_value: float | None
    """Two-sided; None where the difference is undefined."""
    p_holm: float | None
    """Corrected for all pairs under all welfare functions that were compared together."""


def welfare_of(verdicts: Verdicts, p: float) -> FloatArray:
    """W_p of each response [prompts, responses]; NaN where nobody judged it."""
    weights = verdicts.present[:, None, :] * verdicts.weights * ~np.isnan(verdicts.utilities)
    return p_mean(verdicts.utilities, p, weights=weights)


def preferred(verdicts: Verdicts, p: float) -> list[tuple[str, ...]]:
    """For each prompt the candidates with the highest W_p; more than one where they are equal, none where none is judged."""
    top = top_shares(np.where(verdicts.is_candidate, welfare_of(verdicts, p), np.nan))
    return [tuple(name for name, share in zip(verdicts.responses, row, strict=True) if share > 0) for row in top]


def candidate_statistics(verdicts: Verdicts, picks: FloatArray) -> Statistic:
    """Of welfare: that of the pick, of a random candidate, of the best candidate, and of every response [..., 3 + responses].

    `picks` [prompts, responses] are the probabilities of each response to be picked; NaN where nothing was.
    """

    def statistics(welfare: FloatArray) -> FloatArray:
        known = verdicts.is_candidate & ~np.isnan(welfare)
        count = known.sum(axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            floor = np.where(known, welfare, 0.0).sum(axis=-1) / count
        best = np.where(known, welfare, -np.inf).max(axis=-1, initial=-np.inf)
        ceiling = np.where(count > 0, best, np.nan)
        chosen = np.where(picks == 0, 0.0, picks * welfare).sum(axis=-1)  # NaN if what was picked, or the pick, has no value
        return np.concatenate([np.stack([chosen, floor, ceiling], axis=-1), welfare], axis=-1)

    return statistics


def estimated(verdicts: Verdicts, p: float, statistic: Statistic, *, seed: int) -> list[Estimate]:
    """The mean over prompts of each statistic of W_p, resampled as the docstring of the module says.

    Prompts for which a statistic has no value are left out of its mean. *Undefined when* no prompt has one, or there is but
    one unit to resample. `n` is the number of prompts or jurors, where both are resampled the smaller one.
    """
    value, draws, n, unit = _resampled(verdicts, p, statistic, seed)
    return [_estimate(v, d, n, unit, seed) for v, d in zip(value, draws.T, strict=True)]


def response_preferences(
    verdicts: Verdicts, ps: Sequence[float] = GRID, *, seed: int, among: Sequence[str] | None = None
) -> list[Preference]:
    """Every pair of responses (of all, or `among` these names) under every welfare function, on the prompts that have both.

    The p-value is the share of resamples whose difference is further from the observed one than that is from 0.
    """
    names = [n for n, name in enumerate(verdicts.responses) if among is None or name in among]
    pairs = list(itertools.combinations(names, 2))
    if not pairs:
        return []
    left, right = (list(side) for side in zip(*pairs, strict=True))
    found: list[Preference] = []
    for p in ps:
        value, draws, n, unit = _resampled(verdicts, p, lambda welfare: welfare[..., left] - welfare[..., right], seed)
        for k, pair in enumerate(pairs):
            sign = -1.0 if value[k] < 0 else 1.0
            ours, other = (verdicts.responses[r] for r in (pair if sign > 0 else pair[::-1]))
            difference = _estimate(sign * value[k], sign * draws[:, k], n, unit, seed)
            p_value = _p_value(value[k], draws[:, k]) if difference.is_defined else None
            found.append(Preference(p=p, preferred=ours, other=other, difference=difference, p_value=p_value, p_holm=None))
    tested = [one.p_value for one in found if one.p_value is not None]
    adjusted = iter(holm(tested))
    return [one if one.p_value is None else replace(one, p_holm=next(adjusted)) for one in found]


def p_name(p: float) -> str:
    """As in names of measures.

    >>> [p_name(p) for p in (-math.inf, -5.0, 0.5, 1.0)]
    ['-inf', '-5', '0.5', '1']
    """
    return f"{p:g}"


def _estimate(value: float, draws: FloatArray, n: int, unit: str, seed: int) -> Estimate:
    if n < 2:
        return undefined(f"there is but one {unit}, and nothing to resample", n=n, unit=unit, seed=seed)
    return estimate_from_draws(float(value), draws, n=n, unit=unit, seed=seed)


def _p_value(value: float, draws: FloatArray) -> float:
    return permutation_p_value(abs(float(value)), np.abs(draws[~np.isnan(draws)] - value))


def _resampled(verdicts: Verdicts, p: float, statistic: Statistic, seed: int) -> tuple[FloatArray, FloatArray, int, str]:
    """Values [statistics], resampled values [resamples, statistics], how many units, and what they are."""
    n_prompts, n_jurors = len(verdicts.prompts), int((verdicts.weights > 0).sum())
    of_jurors, of_prompts = n_jurors > 1 and LOWEST_RESAMPLED <= p < math.inf, n_prompts > 1
    welfare = welfare_of(verdicts, p)
    every = np.ones((1, n_prompts))
    value = _mean(statistic(welfare[None]), every)[0]
    blocks: list[FloatArray] = []
    for prompts, jurors in _weightings(verdicts, seed, of_prompts=of_prompts, of_jurors=of_jurors):
        drawn = _welfare_under(verdicts, p, jurors) if of_jurors else np.broadcast_to(welfare, (len(prompts), *welfare.shape))
        blocks.append(_mean(statistic(drawn), prompts))
    unit = "prompt and juror" if of_prompts and of_jurors else "juror" if of_jurors else "prompt"
    n = min(n_prompts, n_jurors) if of_prompts and of_jurors else n_jurors if of_jurors else n_prompts
    return value, np.concatenate(blocks), n, unit


def _mean(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Over prompts: [draws, statistics] of values [draws, prompts, statistics] and weights [draws, prompts]."""
    known = ~np.isnan(values)
    above = (np.where(known, values, 0.0) * weights[:, :, None]).sum(axis=1)
    below = (known * weights[:, :, None]).sum(axis=1)
    return np.asarray(np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0), dtype=np.float64)


def _welfare_under(verdicts: Verdicts, p: float, weights: FloatArray) -> FloatArray:
    """W_p under weightings of the jurors [draws, jurors]: [draws, prompts, responses]."""
    shape = verdicts.utilities.shape
    known = (verdicts.present[:, None, :] & ~np.isnan(verdicts.utilities)).reshape(-1, shape[2])
    drawn = p_mean_resampled(verdicts.utilities.reshape(-1, shape[2]), p, weights, present=known)
    return drawn.reshape(len(weights), *shape[:2])


def _weightings(verdicts: Verdicts, seed: int, *, of_prompts: bool, of_jurors: bool) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Blocks of weights of prompts [draws, prompts] and of jurors [draws, jurors], which are drawn within their groups."""
    n_prompts, n_jurors = len(verdicts.prompts), len(verdicts.jurors)
    prompts = _counts(n_prompts, seed) if of_prompts else np.ones((N_RESAMPLES, n_prompts))
    jurors = np.tile(verdicts.weights, (N_RESAMPLES, 1))
    if of_jurors:
        groups = verdicts.composition.members if verdicts.composition else (tuple(range(n_jurors)),)
        for number, group in enumerate(groups, 1):
            jurors[:, list(group)] *= _counts(len(group), seed + 7919 * number)
    block = max(1, CELLS // max(1, n_prompts * len(verdicts.responses)))
    for start in range(0, N_RESAMPLES, block):
        yield prompts[start : start + block], jurors[start : start + block]


def _counts(n: int, seed: int) -> FloatArray:
    return np.concatenate(list(bootstrap_weights(n, seed=seed, n_resamples=N_RESAMPLES)))
