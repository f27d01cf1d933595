"""The noise floor: how far from people's shares a model is that knows the population exactly.

Shares of n people are not the population's. A model that has the population's distribution itself stands as far from them as
another survey of n people would make it. That distance cannot be observed, but its size can be estimated: people's shares s are
taken for the population's, a new survey of n people is drawn from them, and the model that has s is measured against it.

    the world:      population P    ->  shares s of n people      a perfect model has P: distance(s, P)
    the estimate:   shares s        ->  shares s* of n people     in its place:          distance(s*, s)

A model that copies the observed shares has distance 0, which is below the floor: it knows who was asked, not only the
population. Whoever is at the floor or below has nothing left that these data could show. Of few people the floor is too
low, since shares are less spread out than what they were drawn from (an option that nobody chose is never drawn): with four
options a total variation by a fourth at n = 6, a twelfth at n = 20, a thirtieth at n = 100.

    own n       s* of as many people as were asked              what a model is read against here
    30 draws    s* of 30 people, however many were asked        the row "resampling" of Meister et al. 2024, it seems
    halves      one half of the people against the other        what people are to people; about twice the floor

Source: Efron & Tibshirani 1993, chapter 6 (parametric bootstrap); Meister et al. 2024 (arXiv 2411.05403).
Departures: their row (.115 over three sets) is on the New York Times books .1154, to the third digit what 30 draws for every
question give: it tells how well 30 samples estimate a distribution. As many draws as people were asked give .145 there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pluralign.errors import UsageError
from pluralign.evals.alignment_measures import Answers, measured
from pluralign.streams import stream

__all__ = [
    "N_DRAWS",
    "expected_measures",
    "expected_total_variation",
    "halves",
    "resampled_shares",
    "split_half_total_variation",
]

FloatArray = npt.NDArray[np.float64]

N_DRAWS = 100
"""Surveys that are drawn for each question: their mean over a task of 1,000 has no error to speak of."""


def resampled_shares(
    people: FloatArray, n_people: FloatArray, keys: Sequence[str], *, seed: int, n_draws: int = N_DRAWS
) -> FloatArray:
    """Shares among n people drawn from the shares [questions, options]: [draws, questions, options].

    NaN where n is not known; the shares themselves where n is infinite. Each question's draws belong to its key.
    Raises UsageError for a number that is no whole number of people.

    >>> drawn = resampled_shares(np.array([[0.5, 0.5]]), np.array([4.0]), ["q1"], seed=0, n_draws=3)
    >>> drawn.shape, set((4 * drawn).ravel().tolist()) <= {0.0, 1.0, 2.0, 3.0, 4.0}
    ((3, 1, 2), True)
    """
    drawn = np.repeat(people[None], n_draws, axis=0)
    for i, (shares, n, key) in enumerate(zip(people, n_people, keys, strict=True)):
        if np.isnan(n):
            drawn[:, i] = np.nan
        elif np.isfinite(n):
            if n < 1 or n != int(n):
                raise UsageError(f"question {key}: {n:g} people cannot be drawn; give a whole number, at least 1.")
            rng = stream(seed, "resampled people", key)
            drawn[:, i] = rng.multinomial(int(n), shares / shares.sum(), size=n_draws) / n
    return drawn


def expected_measures(answers: Answers, keys: Sequence[str], *, seed: int, n_draws: int = N_DRAWS) -> dict[str, FloatArray]:
    """Of a model that has the shares, against new surveys drawn from them: the mean of every measure, by name [questions].

    NaN where the number of people is not known; infinite where a measure is so for some survey.
    """
    known = np.flatnonzero(~np.isnan(answers.n_people))
    some = Answers(answers.people[known], answers.people[known], answers.is_ordinal[known], answers.n_people[known])
    drawn = resampled_shares(some.people, some.n_people, [keys[i] for i in known.tolist()], seed=seed, n_draws=n_draws)
    sums: dict[str, FloatArray] = {}
    for survey in drawn if len(known) else ():
        for metric, values in measured(replace(some, people=survey)).items():
            sums[metric] = sums.get(metric, np.zeros(len(known))) + values
    means = {}
    for metric, total in sums.items():
        means[metric] = np.full(len(keys), np.nan)
        means[metric][known] = total / n_draws
    return means


def expected_total_variation(
    people: FloatArray, n_draws_each: FloatArray, keys: Sequence[str], *, seed: int, n_draws: int = N_DRAWS
) -> FloatArray:
    """Mean total variation [questions] between the shares and those of so many draws from them, as of 30 samples."""
    drawn = resampled_shares(people, n_draws_each, keys, seed=seed, n_draws=n_draws)
    return np.asarray(np.abs(drawn - people).sum(axis=2).mean(axis=0) / 2)


def halves(
    people: FloatArray, n_people: FloatArray, keys: Sequence[str], *, seed: int, n_draws: int = N_DRAWS
) -> tuple[FloatArray, FloatArray]:
    """Shares among one random half of the people, and among the rest: two arrays [draws, questions, options].

    The first half is the smaller one of an odd number. *Undefined where* (NaN) the number of people is not known or below 2,
    the shares are a law, or shares times people are not whole numbers, as of a weighted sample.
    """
    first = np.full((n_draws, *people.shape), np.nan)
    second = first.copy()
    for i, (shares, n, key) in enumerate(zip(people, n_people, keys, strict=True)):
        if not np.isfinite(n) or n < 2:
            continue
        counts = np.rint(shares * n).astype(np.int64)
        if np.abs(counts - shares * n).max() > 1e-6 * n or counts.sum() != n:
            continue
        half = int(n) // 2
        drawn = stream(seed, "two halves", key).multivariate_hypergeometric(counts, half, size=n_draws, method="marginals")
        first[:, i], second[:, i] = drawn / half, (counts - drawn) / (n - half)
    return first, second


def split_half_total_variation(
    people: FloatArray, n_people: FloatArray, keys: Sequence[str], *, seed: int, n_draws: int = N_DRAWS
) -> FloatArray:
    """Mean total variation [questions] between two random halves of the people; NaN as in `halves`."""
    first, second = halves(people, n_people, keys, seed=seed, n_draws=n_draws)
    return np.asarray(np.abs(first - second).sum(axis=2).mean(axis=0) / 2)
