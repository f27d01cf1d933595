"""What steerability asks with: which sequences of a task, how far into each, and what needs no model to be known of them.

    sequence   Heads  Tails  Heads  Heads  Tails  Heads     an episode of the task
    k            0      1      2      3      4      5       examples that stand before the output
                      |------- scored: 1..k* -------|       here k* = 4; what comes behind is cut off

k* = argmax k x #(sequences with at least k + 1 outputs) over all sequences of the task, counted in examples, before any is
chosen or left out. Only sequences with k* + 1 outputs are asked, so every k is measured on the same ones, and which ones they
may be depends on no tokenizer, format or limit.

The floor of an output is its share among the outputs of all *other* units of the task, from all that was drawn of them. Nothing
is added to the counts: an output that no other unit has has no floor.

Source: Sorensen et al. 2025, Spectrum Tuning (arXiv 2510.06084): k*, at most 1,000 sequences of a task.
Departures: published code raises k* after the rows are chosen; there index 0 counts in some formats and not in others.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pluralign.episodes import Episode, iter_episodes
from pluralign.errors import DataError, UsageError
from pluralign.evals.kinds import Setting
from pluralign.streams import stream
from pluralign.suite.embedded_laws import FIRST_HELD_OUT_SEED
from pluralign.suite.ratings_name import is_ratings_name
from pluralign.suite.registry import draw, source_of, task
from pluralign.suite.sampler import chosen_units
from pluralign.tuning.held_out import k_star

__all__ = ["EPISODES", "MOST_SEQUENCES", "SteeringQuestion", "seed_of_draw", "steering_questions"]

EPISODES = "episodes:"
"""Beginning of a task that is a file of episodes."""

MOST_SEQUENCES = 1000
"""Of each task; a setting's limit can only lower it."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SteeringQuestion:
    """A sequence of a task, as far as it is asked for; its first k* + 1 outputs."""

    task: str
    sequence: str
    """Its name in the task, "unit/number of the sequence in the unit", whatever else is drawn or asked."""
    unit: str
    """What intervals resample: the unit that was sampled, or the sequence where the task is one pool."""
    unit_name: str
    """What `unit` is, for people: "coin", "person", "sequence"."""
    episode: Episode
    k_star: int
    options_at: int | None
    """Drawn from 1..k*: the output whose options are all asked for; None where there is no closed set."""
    floor_logprobs: tuple[float, ...]
    """Log share of each output among those of the other units [k* + 1]; NaN for one that none of them has."""
    floor_is_mode: tuple[bool, ...]
    """Whether each is the other units' most frequent output, of equal ones the first by the alphabet [k* + 1]."""


class _Drawn(NamedTuple):
    sequence: str
    unit: str
    episode: Episode


def steering_questions(
    name: str, setting: Setting, *, most_k: int | None = None, description_share: float = 1.0
) -> list[SteeringQuestion]:
    """The sequences of the task that are asked, in the task's order; at least one.

    `most_k` bounds k*. With a lower limit, a subset. Raises UsageError for an unknown task or an evaluation, DataError where
    its data are not there and where no episode has two outputs.
    """
    if setting.limit is not None and setting.limit < 1:
        raise UsageError(f"limit is {setting.limit}; it must be at least 1, or be left out.")
    asked, unit_name = _named(name)
    episodes = _episodes(name, setting, description_share)
    drawn, is_pool = _drawn(episodes, by_world=unit_name == "world")
    lengths = np.array([len(one.episode.examples) for one in drawn], dtype=np.int64)
    k = k_star(lengths if most_k is None else np.minimum(lengths, most_k + 1))
    if k == 0:
        raise DataError(
            f"task {name}",
            f"none of its {len(drawn):,} episodes has two outputs, so there is none with an example before it; steerability "
            "needs episodes of at least two",
        )
    usable = {one.sequence: one for one in drawn if len(one.episode.examples) > k}
    chosen = chosen_units(setting.seed, asked, usable, min(MOST_SEQUENCES, setting.limit or MOST_SEQUENCES))
    marginal, unit_name = _Marginal(drawn), "sequence" if is_pool else unit_name
    return [_question(one, asked, unit_name, k, marginal, setting.seed) for one in chosen.values()]


def seed_of_draw(name: str, seed: int) -> int:
    """What the sequences of a task are drawn with: for a training task a seed that no suite is built with."""
    if name.startswith(EPISODES) or is_ratings_name(name):
        return seed
    return seed + FIRST_HELD_OUT_SEED if task(name).split == "train" else seed


def _named(name: str) -> tuple[str, str]:
    """The task's name, and what its units are."""
    if name.startswith(EPISODES):
        return f"episodes_{Path(name).stem}", "unit"
    return task(name).name, source_of(name).card.unit


def _episodes(name: str, setting: Setting, description_share: float) -> list[Episode]:
    if name.startswith(EPISODES):
        return list(iter_episodes(name.removeprefix(EPISODES)))
    seed = seed_of_draw(name, setting.seed)
    try:
        episodes = list(draw(name, seed=seed, data_dir=setting.data_dir, description_share=description_share))
    except DataError as error:
        raise DataError(f"task {name}: {error.where}", error.faults) from error
    if not episodes:
        raise DataError(f"task {name}", "not one episode can be drawn of it")
    return episodes


def _drawn(episodes: Sequence[Episode], *, by_world: bool) -> tuple[list[_Drawn], bool]:
    """All sequences of the task, and whether it is a single pool; people of one world are not independent of each other."""
    number: Counter[str] = Counter()
    drawn: list[_Drawn] = []
    for episode in episodes:
        unit = episode.unit or ""
        sequence = f"{unit}/{number[unit]}"
        number[unit] += 1
        drawn.append(_Drawn(sequence, unit.partition("/")[0] if by_world else unit, episode))
    if len(number) > 1:
        return drawn, False
    return [one._replace(unit=one.sequence) for one in drawn], True


def _question(one: _Drawn, name: str, unit_name: str, k: int, marginal: _Marginal, seed: int) -> SteeringQuestion:
    episode = dataclasses.replace(one.episode, examples=one.episode.examples[: k + 1])
    outputs, mode = [example.output for example in episode.examples], marginal.mode(one.unit)
    rng = stream(seed, "steerability options", name, one.sequence)
    return SteeringQuestion(
        task=name,
        sequence=one.sequence,
        unit=one.unit,
        unit_name=unit_name,
        episode=episode,
        k_star=k,
        options_at=int(rng.integers(1, k + 1)) if episode.options else None,
        floor_logprobs=tuple(marginal.logprob(one.unit, output) for output in outputs),
        floor_is_mode=tuple(output == mode for output in outputs),
    )


class _Marginal:
    """How often each output was drawn, in all and of each unit."""

    def __init__(self, drawn: Sequence[_Drawn]) -> None:
        self._of: dict[str, Counter[str]] = {}
        for one in drawn:
            self._of.setdefault(one.unit, Counter()).update(example.output for example in one.episode.examples)
        self._all: Counter[str] = Counter()
        for own in self._of.values():
            self._all.update(own)
        self._n = self._all.total()
        self._ranked = sorted(self._all, key=lambda output: (-self._all[output], output))
        self._modes: dict[str, str | None] = {}

    def logprob(self, unit: str, output: str) -> float:
        """Log share among the other units' outputs, nats; NaN where they do not have it."""
        n = self._all[output] - self._of[unit][output]
        return math.log(n / (self._n - self._of[unit].total())) if n else math.nan

    def mode(self, unit: str) -> str | None:
        """The other units' most frequent output; None where there are no others."""
        if unit not in self._modes:
            self._modes[unit] = self._mode(self._of[unit])
        return self._modes[unit]

    def _mode(self, own: Counter[str]) -> str | None:
        best, most = "", 0
        for output in self._ranked:
            all_of_it = self._all[output]
            if all_of_it < most or (all_of_it == most and output > best):
                break  # nor can any that follows be more frequent, or as frequent and before it
            n = all_of_it - own[output]
            if n > most or (n == most > 0 and output < best):
                best, most = output, n
        return best if most else None
