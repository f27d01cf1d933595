"""What the best possible predictor would say of held-out episodes of the embedded model: true or Bayes probabilities.

    coin, categorical   after k outputs, of chances that are uniform (on the simplex): Beta and Dirichlet predictive
    ratings             after k ratings of a person, with what is told of the person; `ratings.simulated_bayes`,
                        `ratings.simulated_profile_bayes`
    population          of a situation: the law of all people's ratings
    relevance, valence, generate     the formulas of `embedded_values`

A case is a set of questions: of each episode the last output is asked for, given all before it, among the episode's options. A
model is `excess_nats` above the limit: the mean over outputs, were they drawn again and again, of what it loses more.

The categories of `categorical` are not told to the model, so their number is unknown to the predictor too: it is integrated out
over its law, and all labels up to `N_LABELS` are options.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, softmax
from scipy.stats import geom, poisson

from pluralign.episodes import Episode
from pluralign.errors import UsageError
from pluralign.suite.embedded_episodes import (
    Told,
    population_episodes,
    population_probabilities,
    ratings_episodes,
)
from pluralign.suite.embedded_laws import FIRST_HELD_OUT_SEED, law_episodes
from pluralign.suite.embedded_values import (
    ValuesKind,
    generation_probabilities,
    read_kaleido_input,
    relevance_probabilities,
    valence_probabilities,
    values_episodes,
)
from pluralign.suite.embedded_world import FIRST_HELD_OUT, embedded_world, ratings_in_order, simulate_people

__all__ = [
    "CASES",
    "N_LABELS",
    "KnownTruth",
    "categorical_predictive",
    "categorical_truth",
    "coin_truth",
    "excess_nats",
    "option_positions",
    "population_truth",
    "ratings_truth",
    "values_truth",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

N_LABELS = 64
"""Categories have labels below this; more are drawn about once in a hundred thousand times."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class KnownTruth:
    """Questions with their true or Bayes probabilities; all have the same options."""

    episodes: Sequence[Episode]
    """The last output of each is asked for: `models.queries_of(episode, at="last")`."""
    probabilities: FloatArray
    """[episodes, options], rows sum to 1."""

    @property
    def options(self) -> tuple[str, ...]:
        return self.episodes[0].options or ()

    @property
    def outcomes(self) -> IntArray:
        """Position of what happened among the options [episodes]."""
        return option_positions(self.options, [episode.examples[-1].output for episode in self.episodes])

    @property
    def units(self) -> list[str]:
        """The person, coin or situation of each episode, to be resampled for intervals."""
        return [episode.unit or "" for episode in self.episodes]


def excess_nats(probabilities: FloatArray, logprobs: FloatArray) -> FloatArray:
    """KL(truth || model) of each question [questions]: what the model loses beyond the limit, at least 0 on the options.

    `probabilities` [questions, options] are the true ones; `logprobs` [questions, options] are log p(option and its end), not
    normalised: probability that a model gives to anything else is lost, too. Raises UsageError for another shape.
    """
    if logprobs.shape != probabilities.shape:
        raise UsageError(f"logprobs are {logprobs.shape}, the truth is {probabilities.shape} [questions, options].")
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(probabilities > 0, probabilities * (np.log(probabilities) - logprobs), 0.0)
    return np.asarray(terms.sum(axis=1))


def option_positions(options: Sequence[str], outputs: Sequence[str]) -> IntArray:
    """The position of each output among the options [outputs].

    >>> option_positions(("Heads", "Tails"), ["Tails", "Heads"]).tolist()
    [1, 0]
    """
    places = {option: n for n, option in enumerate(options)}
    return np.array([places[output] for output in outputs], dtype=np.int64)


def coin_truth(n: int, *, k: int) -> KnownTruth:
    """Held-out coins after k tosses, of whose chances nothing is said: Beta(1, 1)."""
    episodes = _shown("coinflip", n, k)
    n_heads = np.array([sum(example.output == "Heads" for example in episode.examples[:k]) for episode in episodes])
    heads = (n_heads + 1) / (k + 2)
    return KnownTruth(episodes=episodes, probabilities=np.stack([heads, 1 - heads], axis=1))


def categorical_truth(n: int, *, k: int) -> KnownTruth:
    """Held-out categorical laws after k outputs, of which nothing is said: their number K, then Dirichlet(1, ..., 1)."""
    labels = tuple(str(label) for label in range(N_LABELS))
    episodes = [dataclasses.replace(episode, options=labels) for episode in _shown("categorical", n, k)]
    counts = np.zeros((n, N_LABELS))
    for row, episode in zip(counts, episodes, strict=True):
        np.add.at(row, [int(example.output) for example in episode.examples[:k]], 1)
    return KnownTruth(episodes=episodes, probabilities=categorical_predictive(counts))


def categorical_predictive(counts: FloatArray) -> FloatArray:
    """p(next label | counts) [rows, labels], the number of categories integrated out.

    p(outputs | K) is Gamma(K) prod n_j! / Gamma(K + n), if all labels are below K; its law is that of the suite's source, the
    greater of 2 and Geometric(1/6) + Poisson(6).
    """
    sizes = np.arange(N_LABELS + 1)
    law = np.convolve(geom.pmf(sizes, 1 / 6), poisson.pmf(sizes, 6))[: N_LABELS + 1]
    law[2] += law[:2].sum()
    law[:2] = 0
    total = counts.sum(axis=1, keepdims=True)
    least = np.max(np.where(counts > 0, np.arange(1, N_LABELS + 1), 0), axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        log_weights = np.log(law) + gammaln(np.maximum(sizes, 1)) - gammaln(np.maximum(sizes, 1) + total)
    weights = softmax(np.where(sizes >= least, log_weights, -np.inf), axis=1)
    share = weights / np.maximum(sizes + total, 1)  # of each count above the prior's one, by K
    at_least = np.cumsum(share[:, ::-1], axis=1)[:, ::-1][:, 1:]  # K > label
    return np.asarray((counts + 1) * at_least)


def ratings_truth(n: int, *, k: int, told: Told = "nothing") -> KnownTruth:
    """The first n held-out people after k ratings.

    Raises UsageError where no limit is known: with a profile, ratings are not taken in; with nothing told and no rating, the
    format does not score an output.
    """
    from pluralign.ratings.simulate import ATTRIBUTES
    from pluralign.ratings.simulated_bayes import Known, archetype_probabilities, bayes_predict
    from pluralign.ratings.simulated_profile_bayes import facts_of, profile_predict

    if (told in ("profile", "both") and k) or (told == "nothing" and not k):
        raise UsageError(f"ratings after k = {k} with {told!r} told: no limit is known, or nothing would be scored.")
    numbers = range(FIRST_HELD_OUT, FIRST_HELD_OUT + n)
    simulation = simulate_people(numbers.start, n)
    shown = ratings_in_order(simulation, numbers)
    items, people = np.array([one.item[k] for one in shown]), np.arange(n)
    attributes = tuple(ATTRIBUTES) if told in ("attributes", "both") else ()
    if told in ("profile", "both"):
        truths = zip(simulation.theta, simulation.shift.tolist(), simulation.log_spread.tolist(), strict=True)
        facts = [facts_of(*truth) for truth in truths]
        prior = archetype_probabilities(simulation, Known(attributes=attributes))
        probabilities = profile_predict(simulation.world, facts, items, people, known_attributes=prior)
    else:
        examples = simulation.ratings.take(np.sort(np.concatenate([one.rows[:k] for one in shown]))) if k else None
        known = Known(attributes=attributes, archetype=told == "group", examples=examples)
        probabilities = bayes_predict(simulation, items, people, known=known).probabilities
    return KnownTruth(episodes=list(ratings_episodes(numbers, told=told, n_ratings=k + 1)), probabilities=probabilities)


def population_truth(n: int) -> KnownTruth:
    """Situations after no rating: the first of many people's."""
    episodes = list(population_episodes(range(FIRST_HELD_OUT, FIRST_HELD_OUT + n)))
    items = [int(str(episode.attributes["item"])) for episode in episodes]
    alone = [dataclasses.replace(episode, examples=episode.examples[:1]) for episode in episodes]
    return KnownTruth(episodes=alone, probabilities=population_probabilities()[items])


def values_truth(n: int, *, kind: ValuesKind) -> KnownTruth:
    """Situations, or situations and bearings, each asked by itself. Raises UsageError for lists, which have no options."""
    if kind == "list":
        raise UsageError("a list of values is one text, not one of several options; take 'generate', 'relevance' or 'valence'.")
    drawn = values_episodes(kind, range(FIRST_HELD_OUT, FIRST_HELD_OUT + n))
    each = (dataclasses.replace(one, examples=(example,)) for one in drawn for example in one.examples)
    episodes = list(itertools.islice(each, n))
    asked = [read_kaleido_input(episode.examples[0].input or "") for episode in episodes]
    features = embedded_world().features[[item for item, _ in asked]]
    rows, bearing = np.arange(n), np.array([-1 if number is None else number for _, number in asked])
    if kind == "generate":
        return KnownTruth(episodes=episodes, probabilities=generation_probabilities(features))
    if kind == "valence":
        return KnownTruth(episodes=episodes, probabilities=valence_probabilities(features)[rows, bearing])
    yes = relevance_probabilities(features)[rows, bearing]
    return KnownTruth(episodes=episodes, probabilities=np.stack([yes, 1 - yes], axis=1))


def _shown(name: str, n: int, k: int) -> list[Episode]:
    """Held-out episodes of a law without their descriptions, the first k + 1 outputs."""
    seeds = range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + n)  # more than enough: each seed has hundreds
    drawn = itertools.islice(law_episodes(name, seeds, description_share=0.0), n)
    return [dataclasses.replace(episode, examples=episode.examples[: k + 1]) for episode in drawn]


CASES: Mapping[str, Callable[[int], KnownTruth]] = {
    **{f"coin, k = {k}": functools.partial(coin_truth, k=k) for k in (8, 32)},
    **{f"categorical, k = {k}": functools.partial(categorical_truth, k=k) for k in (8, 32)},
    "ratings, nothing told": functools.partial(ratings_truth, k=0, told="person"),
    "ratings, attributes": functools.partial(ratings_truth, k=0, told="attributes"),
    "ratings, group": functools.partial(ratings_truth, k=0, told="group"),
    "ratings, written profile": functools.partial(ratings_truth, k=0, told="profile"),
    **{f"ratings, {k} examples": functools.partial(ratings_truth, k=k) for k in (4, 16)},
    "ratings, attributes and 16 examples": functools.partial(ratings_truth, k=16, told="attributes"),
    "population": population_truth,
    **{kind: functools.partial(values_truth, kind=kind) for kind in ("relevance", "valence", "generate")},
}
"""Name to the first n questions of a case."""
