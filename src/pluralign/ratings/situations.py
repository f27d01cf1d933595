"""Situations: short sentences put together from an action, a context and a modifier, with their impact on ten values.

An impact vector says how far what happens serves (+) or goes against (-) each value. A sentence's vector is the sum of its
parts' vectors, so a modifier changes it by a known amount: the sentence with and the one without it are a minimal pair.
The scale is one for all sentences: over all of them, the root mean square length of the vectors is the square root of the
number of values, so a random direction of length 1 meets an impact of variance about 1.

Source: the ten basic values are those of Schwartz 1992. Sentences and impacts are made up here; they claim nothing about
how people judge such situations.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pluralign.errors import UsageError, nearest_name
from pluralign.ratings.keyed import keyed_words

__all__ = [
    "BASIC_VALUES",
    "MAX_VARIANTS",
    "N_SCENES",
    "MinimalPair",
    "Situation",
    "draw_situations",
    "impacts",
    "minimal_pairs",
    "modifier_impacts",
]

FloatArray = npt.NDArray[np.float64]

BASIC_VALUES = (
    "self-direction",
    "stimulation",
    "hedonism",
    "achievement",
    "power",
    "security",
    "conformity",
    "tradition",
    "benevolence",
    "universalism",
)


class _Part(NamedTuple):
    text: str
    impact: dict[str, float]


def _part(text: str, **impact: float) -> _Part:
    return _Part(text, {value.replace("_", "-"): amount for value, amount in impact.items()})


_ACTIONS = (
    _part("Telling a friend an unwelcome truth", self_direction=2, benevolence=1, conformity=-2),
    _part("Keeping a promise that has become a burden", benevolence=2, tradition=1, hedonism=-2),
    _part("Giving up a secure job to travel", stimulation=3, self_direction=2, security=-3),
    _part("Working through the weekend to win a prize", achievement=3, hedonism=-2, benevolence=-1),
    _part("Giving away a month's income", universalism=2, benevolence=2, security=-2, power=-1),
    _part("Buying the most expensive watch in the shop", power=3, hedonism=2, universalism=-2),
    _part("Reporting a colleague who broke a rule", conformity=3, security=1, benevolence=-2),
    _part("Wearing a traditional costume to a feast", tradition=3, conformity=1, stimulation=-1),
    _part("Refusing to take part in an old custom", self_direction=3, tradition=-3, conformity=-1),
    _part("Sleeping late and eating cake for breakfast", hedonism=3, achievement=-2, conformity=-1),
    _part("Taking the lead of a group without being asked", power=3, achievement=2, conformity=-2),
    _part("Following an instruction that makes no sense", conformity=3, self_direction=-3),
    _part("Learning a new language from scratch", achievement=2, stimulation=2, universalism=1),
    _part("Sharing a meal with newcomers from abroad", universalism=3, stimulation=1, tradition=-1),
    _part("Installing a camera at the front door", security=3, self_direction=-1, universalism=-1),
    _part("Climbing a steep rock face", stimulation=3, achievement=2, security=-2),
    _part("Looking after a sick neighbour", benevolence=3, hedonism=-1),
    _part("Planting trees instead of widening a road", universalism=3, achievement=-1, power=-1),
    _part("Saving half of every wage", security=3, hedonism=-2, stimulation=-1),
    _part("Spending the evening at a noisy concert", hedonism=2, stimulation=2, conformity=-1),
    _part("Asking the eldest person present to decide", tradition=2, conformity=2, self_direction=-2),
    _part("Writing a letter of protest", self_direction=2, universalism=2, conformity=-2, power=-1),
    _part("Bargaining hard for a better price", achievement=1, power=2, benevolence=-2),
    _part("Praying before a difficult task", tradition=3, security=1, stimulation=-1),
)

_CONTEXTS = (
    _part("in a small village", tradition=1, conformity=0.5),
    _part("in a large company", achievement=1, power=0.5),
    _part("at a university", self_direction=1),
    _part("in a home of three generations", tradition=0.5, benevolence=0.5),
    _part("during a holiday", hedonism=1, achievement=-0.5),
    _part("in a time of shortage", security=-1, universalism=0.5),
    _part("in a town far from home", stimulation=1, security=-0.5),
    _part("among close friends", benevolence=1),
    _part("in front of strangers", conformity=-0.5, power=0.5),
    _part("in a neighbourhood of many cultures", universalism=1, tradition=-0.5),
    _part("on a day of remembrance", tradition=1, hedonism=-0.5),
    _part("at the start of a new job", achievement=0.5, security=0.5),
)

_MODIFIERS = (
    _part("although nobody would ever know", self_direction=1, power=-1),
    _part("at some risk to oneself", security=-2, stimulation=1),
    _part("because a stranger needs it", benevolence=1, universalism=2),
    _part("against the wish of one's parents", tradition=-2, conformity=-1, self_direction=1),
    _part("for a good sum of money", power=2, benevolence=-1),
    _part("as it has been done for generations", tradition=2, stimulation=-1),
    _part("just for the fun of it", hedonism=2, security=-1),
    _part("although the rules forbid it", conformity=-3, stimulation=1),
    _part("in order to protect nature", universalism=2, power=-1),
    _part("in the hope of being admired", power=1, achievement=2, universalism=-1),
    _part("after long thought and alone", self_direction=2, conformity=-1),
    _part("to keep everybody safe", security=2, benevolence=1),
)

N_SCENES = len(_ACTIONS) * len(_CONTEXTS)
"""Pairs of an action and a context."""
MAX_VARIANTS = 1 + len(_MODIFIERS)
"""Sentences a scene: the bare one, and one for each modifier."""


@dataclass(frozen=True, slots=True)
class Situation:
    """One sentence, as positions in the lists of parts; `modifier` None is the bare scene."""

    action: int
    context: int
    modifier: int | None = None

    @property
    def text(self) -> str:
        bare = f"{_ACTIONS[self.action].text} {_CONTEXTS[self.context].text}"
        return f"{bare}." if self.modifier is None else f"{bare}, {_MODIFIERS[self.modifier].text}."


@dataclass(frozen=True, slots=True)
class MinimalPair:
    """Two items, as rows, that differ by one modifier."""

    without: int
    modified: int
    modifier: int
    """Row of `modifier_impacts`: phi[modified] - phi[without]."""
    modifier_text: str


def draw_situations(n: int, *, seed: int, variants: int) -> tuple[Situation, ...]:
    """`n` different situations, scene by scene in random order: the bare one, then variants - 1 random modifiers.

    The first m of n are those of a draw of m.

    >>> first, second = draw_situations(2, seed=0, variants=2)
    >>> (first.action, first.context) == (second.action, second.context), first.modifier is None
    (True, True)
    """
    if not 1 <= variants <= MAX_VARIANTS:
        raise UsageError(f"variants is {variants}; a scene has 1..{MAX_VARIANTS} sentences.")
    if not 1 <= n <= N_SCENES * variants:
        raise UsageError(
            f"{n:,} situations asked; with {variants} variants of each of {N_SCENES} scenes there are "
            f"1..{N_SCENES * variants:,} (with {MAX_VARIANTS} variants, {N_SCENES * MAX_VARIANTS:,})."
        )
    scenes = np.argsort(keyed_words(seed, "scenes", np.arange(N_SCENES)))[: -(-n // variants)]
    modifiers = np.argsort(keyed_words(seed, "modifiers", scenes[:, None], np.arange(len(_MODIFIERS))), axis=1)
    drawn = []
    for scene, order in zip(scenes.tolist(), modifiers.tolist(), strict=True):
        action, context = divmod(scene, len(_CONTEXTS))
        drawn += [Situation(action, context, modifier) for modifier in [None, *order[: variants - 1]]]
    return tuple(drawn[:n])


def impacts(situations: Sequence[Situation], values: Sequence[str] = BASIC_VALUES) -> FloatArray:
    """The impact of each situation on each of these values: [situations, values]."""
    actions, contexts, modifiers = _parts(tuple(values))
    # The last row of `modifiers`, which -1 picks, is that of "no modifier": zeros.
    rows = [(s.action, s.context, -1 if s.modifier is None else s.modifier) for s in situations]
    action, context, modifier = np.asarray(rows, dtype=np.int64).reshape(-1, 3).T
    return np.asarray(actions[action] + contexts[context] + modifiers[modifier])


def modifier_impacts(values: Sequence[str] = BASIC_VALUES) -> FloatArray:
    """What each modifier adds to a situation's impact: [modifiers, values]."""
    return _parts(tuple(values))[2][:-1].copy()


def minimal_pairs(situations: Sequence[Situation]) -> list[MinimalPair]:
    """All pairs of a bare scene and the same scene with a modifier among these situations.

    >>> minimal_pairs([Situation(0, 0, 3), Situation(0, 0), Situation(1, 0, 3)])
    [MinimalPair(without=1, modified=0, modifier=3, modifier_text="against the wish of one's parents")]
    """
    bare = {(s.action, s.context): row for row, s in enumerate(situations) if s.modifier is None}
    return [
        MinimalPair(bare[s.action, s.context], row, s.modifier, _MODIFIERS[s.modifier].text)
        for row, s in enumerate(situations)
        if s.modifier is not None and (s.action, s.context) in bare
    ]


@functools.cache
def _parts(values: tuple[str, ...]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Impact of each action, context and modifier (and, last, of none), scaled: three arrays [parts, values]."""
    if not values or len(set(values)) != len(values):
        raise UsageError(f"values must be named once each, and at least one; got {list(values)}.")
    for value in values:
        if value not in BASIC_VALUES:
            raise UsageError(f"value {nearest_name(value, BASIC_VALUES)}")
    none = _part("")
    actions, contexts, modifiers = (
        np.array([[part.impact.get(value, 0.0) for value in values] for part in parts])
        for parts in (_ACTIONS, _CONTEXTS, (*_MODIFIERS, none))
    )
    sums = actions[:, None, None] + contexts[:, None] + modifiers
    scale = np.sqrt(len(values) / (sums**2).sum(axis=-1).mean())
    return actions * scale, contexts * scale, modifiers * scale
