"""Coins and categorical laws: what comes next after k outputs, where nobody tells the chances.

The coins and laws are held out: they are drawn from seeds that the embedded model was not trained on. The limit is the Bayes
predictive, of a chance that is uniform from 0 to 1 and of chances that are uniform on the simplex (`suite.embedded_truth`).
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pluralign.demo.asking import Questions
from pluralign.episodes import Episode
from pluralign.models import Query
from pluralign.streams import stream
from pluralign.suite.embedded_laws import FIRST_HELD_OUT_SEED, law_episodes
from pluralign.suite.embedded_truth import N_LABELS, categorical_predictive, option_positions
from pluralign.suite.registry import read, strands_of, task

__all__ = ["KS", "categorical_questions", "coin_questions", "law_questions", "shown_coin"]

FloatArray = npt.NDArray[np.float64]

KS = (0, 1, 2, 4, 8, 16, 32)
"""Numbers of outputs, or of ratings, that have been seen."""
_SEEDS = 1_000_000_000


def coin_questions(n: int, *, seed: int) -> Questions:
    """The next toss of each of n coins after 0, 1, 2, ... tosses."""
    asked = law_questions("coinflip", n, ("Heads", "Tails"), seed=seed)
    seen = _counts(asked)
    heads = np.array([float(str(query.episode.attributes["p_heads"])) for query in asked.queries])
    return dataclasses.replace(
        asked,
        unit="coin",
        limit=(seen + 1) / (seen + 1).sum(axis=1, keepdims=True),
        truth=np.stack([heads, 1 - heads], axis=1),
    )


def categorical_questions(n: int, *, seed: int) -> Questions:
    """The next output of each of n laws over "0", "1", ..., whose number of categories is not told either."""
    asked = law_questions("categorical", n, tuple(map(str, range(N_LABELS))), seed=seed)
    chances = [json.loads(str(query.episode.attributes["probabilities"])) for query in asked.queries]
    truth = np.array([[float(one.get(option, 0.0)) for option in asked.options] for one in chances])
    return dataclasses.replace(asked, unit="law", limit=categorical_predictive(_counts(asked)), truth=truth)


def law_questions(name: str, n: int, options: tuple[str, ...], *, seed: int) -> Questions:
    """Questions about n held-out episodes of this law, which one after which k; without limits yet."""
    episodes = _episodes(name, n, seed)
    cuts = [(number, k) for number in range(n) for k in KS]
    return Questions(
        part=name,
        unit="episode",
        queries=[Query(_seen(episodes[i], k, options)) for i, k in cuts],
        known=np.array([f"examples:{k}" for _, k in cuts]),
        units=np.array([number for number, _ in cuts]),
        limit=np.full((len(cuts), len(options)), np.nan),
        outcomes=option_positions(options, [episodes[i].examples[k].output for i, k in cuts]),
    )


def shown_coin(asked: Questions) -> tuple[float, list[str]]:
    """The chance of heads and the first tosses of the coin that is shown from near by: the first one."""
    longest = asked.queries[len(KS) - 1].episode
    return float(str(longest.attributes["p_heads"])), [example.output for example in longest.examples]


def _seen(episode: Episode, k: int, options: tuple[str, ...]) -> Episode:
    """After k outputs, which stand alone; before the first one the description says what will come."""
    told = None if k else episode.description
    return dataclasses.replace(episode, examples=episode.examples[:k], description=told, options=options)


def _counts(asked: Questions) -> FloatArray:
    """How often each option has been seen [questions, options]."""
    counts = np.zeros(asked.limit.shape)
    for row, query in zip(counts, asked.queries, strict=True):
        np.add.at(row, option_positions(asked.options, [example.output for example in query.episode.examples]), 1)
    return counts


def _episodes(name: str, n: int, seed: int) -> Sequence[Episode]:
    """Of as many laws, from a seed on that is drawn, all under the description that tells no chances."""
    first = FIRST_HELD_OUT_SEED + int(stream(seed, "demo", name).integers(_SEEDS))
    one, other = itertools.islice(strands_of(task(name), read(name), first), 2)
    untold = [text for text in one.descriptions if text in other.descriptions][-1]
    drawn = itertools.islice(law_episodes(name, range(first, first + n)), n)
    return [dataclasses.replace(episode, description=untold) for episode in drawn]
