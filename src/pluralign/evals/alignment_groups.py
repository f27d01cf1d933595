"""Steering to groups: does it help to say whose answers are asked for?

The same question is asked for several groups g, each time with that group's description. With m_g the model's distribution
when g is described, p_g the shares among its people, and TV total variation, a question's *steering gain* is

    the mean over ordered pairs g != h of   TV(m_h, p_g) - TV(m_g, p_g)

how much nearer to a group its own description brings the model than another group's does. It is 0 for a model that does not
look at the description, and negative for one that takes groups for one another. By the triangle inequality it is at most the
mean TV(p_g, p_h), by which the groups themselves differ; the *steering share* is the sum of gains over questions as a share of
the sum of these differences: -1..1, and 1 for a copy of each group.

Two things it does not tell. A caricature, which overstates how groups differ, has a share of up to 1 too: read it beside the
distance to each group. And groups of few people differ by chance, which no description can tell of: a model that knows every
group exactly reaches less than 1, and 0 where groups do not differ at all. It is read against what a half of each group's
people tells of the other half, in place of a model. That is right where groups do not differ, and too low where they do, since
half of the people are fewer: what a perfect model reaches lies above it. (New surveys drawn from the shares, which make the
ceiling of the other measures, would take every chance difference for a true one.)

Source: the project's own definition; steerable pluralism is that of Sorensen et al. 2024 (arXiv 2402.05070).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pluralign.evals.alignment_records import Rows
from pluralign.evals.noise_floor import halves

__all__ = ["Steering", "pair_gain", "steering"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Steering:
    """Of the questions that were asked for several groups, in the order in which they first come."""

    questions: Sequence[str]
    gain: FloatArray
    """Steering gain [questions]; NaN where fewer than two groups have a distribution."""
    difference: FloatArray
    """Mean total variation between the groups' people [questions], over the pairs that the gain has; NaN as the gain."""
    halved_gain: FloatArray
    """The gain that a half of each group's people has, in place of the model, against the other half; NaN also as `halves`."""


def steering(rows: Rows, *, seed: int | None) -> Steering:
    """What the groups' descriptions do, question by question; nothing is drawn anew (NaN) without a seed."""
    members: dict[str, list[tuple[int, int, int]]] = {}
    names = rows.frame["question"].to_list()
    has_group = rows.frame["group"].is_not_null().to_numpy()
    for b, block in enumerate(rows.blocks):
        for j, i in enumerate(block.index.tolist()):
            if has_group[i]:
                members.setdefault(names[i], []).append((i, b, j))
    several = {name: sorted(of) for name, of in members.items() if len(of) > 1}
    order = sorted(several, key=lambda name: several[name][0])
    values = np.full((len(order), 3), np.nan)
    keys = rows.keys
    for q, name in enumerate(order):
        own = [(i, b, j) for i, b, j in several[name] if rows.has_distribution[i]]
        if len(own) > 1:
            answers, where = rows.blocks[own[0][1]].answers, [j for _, _, j in own]
            people = answers.people[where]
            values[q, :2] = pair_gain(answers.model[where][None], people[None])
            if seed is not None:
                first, second = halves(people, answers.n_people[where], [keys[i] for i, _, _ in own], seed=seed)
                values[q, 2], _ = pair_gain(first, second)
    return Steering(order, *values.T)


def pair_gain(model: FloatArray, people: FloatArray) -> tuple[float, float]:
    """Steering gain and difference of one question, means over draws; both arrays are [draws or 1, groups, options].

    >>> people = np.array([[[0.75, 0.25], [0.25, 0.75]]])
    >>> pair_gain(people, people), pair_gain(people.mean(axis=1, keepdims=True).repeat(2, axis=1), people)
    ((0.5, 0.5), (0.0, 0.5))
    """
    to_people = np.abs(model[:, :, None] - people[:, None]).sum(axis=3) / 2  # [draws, described, group]
    between = np.abs(people[:, :, None] - people[:, None]).sum(axis=3) / 2
    own = np.diagonal(to_people, axis1=1, axis2=2)
    n_groups = people.shape[1]
    n_pairs = n_groups * (n_groups - 1)
    others = (to_people.sum(axis=(1, 2)) - own.sum(axis=1)) / n_pairs
    return float((others - own.mean(axis=1)).mean()), float((between.sum(axis=(1, 2)) / n_pairs).mean())
