"""What no model can be expected to beat: Bayes' rule for the sequences of tasks whose law is known.

    task                 told of the process     probability of the output after k examples
    coinflip             nothing                 Beta(1, 1) predictive
                         the likelier side       the same, of chances above or below one half
                         the chances             the chances
    categorical          nothing                 Dirichlet(1, ..., 1) predictive, the number of categories integrated out
                         the chances             the chances
    simulated_ratings    nothing, attributes     the posterior predictive in the true world: `ratings.simulated_posterior`
                         the written profile     unknown: profiles and ratings together have no exact predictive

A task of another name has no limit here. What a description tells is looked up in its text; where that is none of the above,
the limit is unknown.

Departures: categories' chances are Dirichlet draws cut down to four decimals, which the predictive does not know. The posterior
of simulated people is by importance sampling: measured against four times the draws, a probability is off by 0.004 on average,
and the mean loss of the outputs by 0.0002 nats. All 500 people take a minute or two.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pluralign.episodes import Episode
from pluralign.evals.steerability_questions import SteeringQuestion

if TYPE_CHECKING:
    from pluralign.ratings.simulate import Simulation

__all__ = ["WITH_LIMIT", "OutputLimits", "steering_limits"]

WITH_LIMIT = ("coinflip", "categorical", "simulated_ratings")
"""Tasks whose best possible prediction is known."""

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

N_DRAWS = 256
"""Of importance sampling, for each archetype."""


@dataclass(frozen=True, slots=True, eq=False)
class OutputLimits:
    """The limit of every output of a sequence."""

    logprobs: FloatArray
    """log p(output | what is told, the examples before it), nats; NaN where it is unknown [outputs]."""
    is_argmax: BoolArray
    """Whether the output was the most probable one, of equally probable ones the first option [outputs]."""
    told: str
    """Of the process, by the description: "nothing", "the chances"."""


def steering_limits(questions: Sequence[SteeringQuestion], *, seed: int) -> list[OutputLimits | None]:
    """Of each sequence, in order; None where its task has none. `seed` is the one that the task was drawn with."""
    found: list[OutputLimits | None] = [None] * len(questions)
    people: list[int] = []
    for n, question in enumerate(questions):
        if question.task in _OF_LAW:
            found[n] = _OF_LAW[question.task](question.episode)
        elif question.task == "simulated_ratings":
            people.append(n)
    for n, limits in zip(people, _of_people([questions[n].episode for n in people], seed), strict=True):
        found[n] = limits
    return found


def _limits(probabilities: FloatArray, outcomes: IntArray, told: str) -> OutputLimits:
    """From distributions [outputs, options] and positions of what happened [outputs]."""
    given = probabilities[np.arange(len(outcomes)), outcomes]
    with np.errstate(divide="ignore"):
        return OutputLimits(np.log(given), probabilities.argmax(axis=1) == outcomes, told)


def _unknown(episode: Episode, told: str) -> OutputLimits:
    n = len(episode.examples)
    return OutputLimits(np.full(n, np.nan), np.zeros(n, dtype=np.bool_), told)


# laws


def _coin(episode: Episode) -> OutputLimits:
    from scipy.special import betaincc, betaln

    from pluralign.suite.numbers import plain

    told, chance = episode.description or "", float(str(episode.attributes["p_heads"]))
    tails = np.array([example.output != "Heads" for example in episode.examples], dtype=np.int64)
    heads_before, k = np.cumsum(1 - tails) - (1 - tails), np.arange(len(tails))
    # of Heads, or of the likelier side where that is told
    if plain(chance) in told or f"{plain(round(chance * 100, 6))}%" in told:
        return _limits(_two(np.full(len(tails), chance)), tails, "the chances")
    if "both are equally likely" in told:
        return _limits(_two(np.full(len(tails), 0.5)), tails, "the chances")
    if re.search(r"\d", told):
        return _unknown(episode, "something else")
    if "is the likelier" not in told:
        return _limits(_two((heads_before + 1) / (k + 2)), tails, "nothing")
    is_heads = "Heads is the likelier" in told
    a = (heads_before if is_heads else k - heads_before) + 1  # Beta(a, b) above one half
    b = k + 2 - a
    likelier = np.exp(betaln(a + 1, b) - betaln(a, b)) * betaincc(a + 1, b, 0.5) / betaincc(a, b, 0.5)
    return _limits(_two(likelier if is_heads else 1 - likelier), tails, "the likelier side")


def _two(heads: FloatArray) -> FloatArray:
    return np.stack([heads, 1 - heads], axis=1)


def _categorical(episode: Episode) -> OutputLimits:
    from pluralign.suite.embedded_truth import N_LABELS, categorical_predictive

    told, written = episode.description or "", str(episode.attributes["probabilities"])
    outcomes = np.array([int(example.output) for example in episode.examples], dtype=np.int64)
    if written in told:
        chances = np.array(list(json.loads(written).values()), dtype=np.float64)
        return _limits(np.tile(chances, (len(outcomes), 1)), outcomes, "the chances")
    if re.search(r"\d", told):
        return _unknown(episode, "something else")
    if outcomes.max() >= N_LABELS:
        return _unknown(episode, "nothing")
    happened = np.eye(N_LABELS)[outcomes]
    return _limits(categorical_predictive(np.cumsum(happened, axis=0) - happened), outcomes, "nothing")


_OF_LAW: Mapping[str, Callable[[Episode], OutputLimits]] = {"coinflip": _coin, "categorical": _categorical}


# people


@functools.lru_cache(maxsize=1)
def _worlds(seed: int) -> dict[str, Simulation]:
    from pluralign.suite.simulated_worlds import worlds

    return dict(worlds(seed))


def _of_people(episodes: Sequence[Episode], seed: int) -> list[OutputLimits]:
    """Of sequences of ratings, world by world."""
    by_world: dict[str, list[int]] = {}
    for n, episode in enumerate(episodes):
        by_world.setdefault((episode.unit or "").partition("/")[0], []).append(n)
    found: dict[int, OutputLimits] = {}
    for world, members in by_world.items():
        found |= zip(members, _of_world(_worlds(seed)[world], [episodes[n] for n in members]), strict=True)
    return [found[n] for n in range(len(episodes))]


def _of_world(simulation: Simulation, episodes: Sequence[Episode]) -> list[OutputLimits]:
    told = [_told(simulation, episode) for episode in episodes]
    known = [n for n, one in enumerate(told) if one != "the profile"]
    predictives = _predictives(simulation, [episodes[n] for n in known], [told[n] == "attributes" for n in known])
    places = {option: n for n, option in enumerate(simulation.ratings.scale.options)}
    found = [_unknown(episode, one) for episode, one in zip(episodes, told, strict=True)]
    for n, probabilities in zip(known, predictives, strict=True):
        outcomes = np.array([places[example.output] for example in episodes[n].examples], dtype=np.int64)
        found[n] = _limits(probabilities, outcomes, told[n])
    return found


def _told(simulation: Simulation, episode: Episode) -> str:
    from pluralign.suite.simulated_worlds import known_of, profile
    from pluralign.suite.task import json_text

    description, person = episode.description or "", _person(episode)
    if profile(simulation, person) in description:
        return "the profile"
    return "attributes" if json_text(**known_of(simulation, person)) in description else "nothing"


def _person(episode: Episode) -> int:
    return int((episode.unit or "").partition("/")[2])


def _predictives(simulation: Simulation, episodes: Sequence[Episode], knows_attributes: Sequence[bool]) -> list[FloatArray]:
    """p(rating | what is known, the ratings before it) of each sequence, [ratings, options] for each.

    A person after k ratings is one asked person of the posterior, with the same draws for every k.
    """
    from pluralign.ratings.keyed import id_codes
    from pluralign.ratings.simulate import ATTRIBUTES
    from pluralign.ratings.simulated_bayes import Known, archetype_probabilities, bayes_predict
    from pluralign.ratings.simulated_posterior import Evidence, Queries, posterior_predictive

    if not episodes:
        return []
    places = {option: n for n, option in enumerate(simulation.ratings.scale.options)}
    numbers = {text: n for n, text in enumerate(simulation.ratings.items["item_text"].to_list())}
    item = [np.array([numbers[one.input or ""] for one in episode.examples]) for episode in episodes]
    option = [np.array([places[one.output] for one in episode.examples]) for episode in episodes]
    person = np.array([_person(episode) for episode in episodes])
    priors = {told: Known(attributes=tuple(ATTRIBUTES) if told else ()) for told in (False, True)}
    first = np.empty((len(episodes), len(places)))
    of_archetypes = np.empty((len(episodes), len(simulation.world.shares)))
    for told, known in priors.items():
        rows = np.flatnonzero(np.array(knows_attributes) == told)
        first[rows] = bayes_predict(
            simulation, np.array([item[n][0] for n in rows], dtype=np.int64), person[rows], known=known
        ).probabilities
        of_archetypes[rows] = archetype_probabilities(simulation, known)[person[rows]]
    after = [(n, k) for n in range(len(episodes)) for k in range(1, len(item[n]))]
    owner = np.array([n for n, _ in after], dtype=np.int64)
    given = Evidence(
        world=simulation.world,
        item=np.concatenate([item[n][:k] for n, k in after]),
        rater=np.repeat(np.arange(len(after)), [k for _, k in after]),
        option=np.concatenate([option[n][:k] for n, k in after]),
        archetype_probabilities=of_archetypes[owner],
        rater_codes=id_codes(simulation.ratings.rater_ids)[person[owner]],
    )
    asked = Queries(item=np.array([item[n][k] for n, k in after]), rater=np.arange(len(after)))
    later, _ = posterior_predictive(given, asked, seed=0, n_draws=N_DRAWS)
    return [np.concatenate([first[[n]], later[owner == n]]) for n in range(len(episodes))]
