"""Values, rights and duties of a situation in the embedded model's world, with the true probability of every answer.

Each of the ten basic values has one right and one duty that express it. A situation touches a value by its impact phi on it;
how probable it is that a value, right or duty counts as relevant rises with |phi|, duties being the hardest to touch:

    P(Yes)      = 1 / (1 + exp(-5 (|phi| - threshold))),   thresholds 0.6 (value), 1.0 (right), 1.4 (duty)
    P(valence)  ~ exp(1.5 phi), exp(-1.5 phi), 1           Supports, Opposes, Either
    P(generated) ~ P(Yes)                                  one of the thirty at a time

The inputs are those of Kaleido's generation, relevance and valence; a fourth kind of episode has the values of a situation as a
list (`simulated_worlds.value_list`). The table and the formulas are made up here and claim nothing about real situations.

Source: Sorensen et al. 2024, Value Kaleidoscope (arXiv 2309.00779), for the forms of inputs and outputs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from pluralign.episodes import Episode, Example
from pluralign.ratings.situations import BASIC_VALUES
from pluralign.streams import stream
from pluralign.suite.embedded_world import WORLD_SEED, embedded_world, situation_texts
from pluralign.suite.simulated_worlds import value_list

__all__ = [
    "BEARINGS",
    "RELEVANCE",
    "VALENCE",
    "Bearing",
    "BearingKind",
    "ValuesKind",
    "generation_probabilities",
    "kaleido_input",
    "read_kaleido_input",
    "relevance_probabilities",
    "valence_probabilities",
    "values_description",
    "values_episodes",
]

FloatArray = npt.NDArray[np.float64]
BearingKind = Literal["Value", "Right", "Duty"]
ValuesKind = Literal["generate", "relevance", "valence", "list"]

RELEVANCE = ("Yes", "No")
VALENCE = ("Supports", "Opposes", "Either")
_THRESHOLDS: dict[str, float] = {"Value": 0.6, "Right": 1.0, "Duty": 1.4}
_SLOPE = 5.0
_STRENGTH = 1.5
_MOST_EXAMPLES = 4
"""Of an episode, at least 1: situations tell nothing of each other, so a longer one would only hide that."""
_RIGHTS_AND_DUTIES = {
    "self-direction": ("Right to decide for oneself", "Duty to think for oneself"),
    "stimulation": ("Right to seek adventure", "Duty to try what is new"),
    "hedonism": ("Right to enjoy life", "Duty to look after oneself"),
    "achievement": ("Right to a reward for success", "Duty to do one's best"),
    "power": ("Right to lead", "Duty to answer for what one leads"),
    "security": ("Right to be safe", "Duty to avoid danger"),
    "conformity": ("Right to clear rules", "Duty to keep the rules"),
    "tradition": ("Right to keep one's customs", "Duty to honour one's elders"),
    "benevolence": ("Right to be cared for", "Duty to help those who are near"),
    "universalism": ("Right to equal treatment", "Duty to protect the weak and nature"),
}


@dataclass(frozen=True, slots=True)
class Bearing:
    """A value, right or duty."""

    kind: BearingKind
    text: str
    value: int
    """The basic value that it is or expresses, a position in `BASIC_VALUES`."""

    @property
    def written(self) -> str:
        """As inputs and outputs have it: "Value: power"."""
        return f"{self.kind}: {self.text}"


BEARINGS = (
    *(Bearing("Value", value, n) for n, value in enumerate(BASIC_VALUES)),
    *(Bearing("Right", _RIGHTS_AND_DUTIES[value][0], n) for n, value in enumerate(BASIC_VALUES)),
    *(Bearing("Duty", _RIGHTS_AND_DUTIES[value][1], n) for n, value in enumerate(BASIC_VALUES)),
)
"""All thirty: values, then rights, then duties."""
_BEARING_VALUE = np.array([bearing.value for bearing in BEARINGS])
_BEARING_THRESHOLD = np.array([_THRESHOLDS[bearing.kind] for bearing in BEARINGS])


def relevance_probabilities(features: FloatArray) -> FloatArray:
    """P(Yes) of each bearing, [situations, bearings], from impacts phi [situations, values].

    >>> relevance_probabilities(np.array([[0.6] + [0.0] * 9]))[0, [0, 10]].round(3).tolist()
    [0.5, 0.119]
    """
    touched = np.abs(features[:, _BEARING_VALUE])
    return np.asarray(expit(_SLOPE * (touched - _BEARING_THRESHOLD)))


def valence_probabilities(features: FloatArray) -> FloatArray:
    """P(Supports, Opposes, Either) of each bearing, [situations, bearings, 3]; a right and a duty side with their value."""
    leaning = _STRENGTH * features[:, _BEARING_VALUE]
    return np.asarray(softmax(np.stack([leaning, -leaning, np.zeros_like(leaning)], axis=-1), axis=-1))


def generation_probabilities(features: FloatArray) -> FloatArray:
    """The share of each bearing among what is named, [situations, bearings]; rows sum to 1."""
    weights = relevance_probabilities(features)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def kaleido_input(kind: ValuesKind, situation: str, bearing: Bearing | None = None) -> str:
    r"""What the model is asked of a situation, and of a bearing where the kind takes one.

    >>> kaleido_input("relevance", "Saving half of every wage.", BEARINGS[4])
    '[Relevance]:\tSituation: Saving half of every wage.\tValue: power'
    """
    about = "" if bearing is None else f"\t{bearing.written}"
    return f"[{kind.capitalize()}]:\tSituation: {situation}{about}"


def values_description(kind: ValuesKind) -> str:
    """The one description of such episodes."""
    what = {
        "generate": "A value, right or duty that bears on the situation.",
        "relevance": "Whether the value, right or duty bears on the situation.",
        "valence": "Whether the situation supports or opposes the value, right or duty, or either.",
        "list": "The basic values that the situation touches, most touched first.",
    }
    return what[kind]


def read_kaleido_input(text: str) -> tuple[int, int | None]:
    """The item, and the position in `BEARINGS` if there is one, of what `kaleido_input` wrote.

    >>> read_kaleido_input(kaleido_input("valence", situation_texts()[7], BEARINGS[12]))
    (7, 12)
    """
    _, situation, *bearings = text.split("\t")
    written = [bearing.written for bearing in BEARINGS]
    item = situation_texts().index(situation.removeprefix("Situation: "))
    return item, written.index(bearings[0]) if bearings else None


def values_episodes(kind: ValuesKind, numbers: range) -> Iterator[Episode]:
    """Episodes of these numbers, a few situations each."""
    for number in numbers:
        yield _episode(kind, number, stream(WORLD_SEED, "embedded values", kind, number))


def _episode(kind: ValuesKind, number: int, rng: np.random.Generator) -> Episode:
    n = int(rng.integers(1, _MOST_EXAMPLES + 1))
    items = rng.integers(len(situation_texts()), size=n)
    bearings = rng.integers(len(BEARINGS), size=n)
    likely = _drawn(_tables()[2][items], rng.random(n))
    bearings = np.where(rng.random(n) < 0.5, likely, bearings)  # half of them such as are likely to bear on it
    uniforms = rng.random(n)
    examples = [_example(kind, *drawn) for drawn in zip(items.tolist(), bearings.tolist(), uniforms.tolist(), strict=True)]
    options = {"generate": tuple(one.written for one in BEARINGS), "relevance": RELEVANCE, "valence": VALENCE}
    return Episode.checked(
        f"embedded_values_{kind}", examples, values_description(kind), options.get(kind), unit=f"{kind}/{number}"
    )


def _example(kind: ValuesKind, item: int, bearing: int, uniform: float) -> Example:
    asked = kaleido_input(kind, situation_texts()[item], BEARINGS[bearing] if kind in ("relevance", "valence") else None)
    if kind == "list":
        return Example(value_list(BASIC_VALUES, embedded_world().features[item]), asked)
    relevance, valence, generation = _tables()
    if kind == "relevance":
        return Example(RELEVANCE[int(uniform >= relevance[item, bearing])], asked)
    shares = generation[item] if kind == "generate" else valence[item, bearing]
    chosen = int(_drawn(shares, np.float64(uniform)))
    return Example(BEARINGS[chosen].written if kind == "generate" else VALENCE[chosen], asked)


def _drawn(shares: FloatArray, uniforms: FloatArray | np.float64) -> npt.NDArray[np.int64]:
    """The category that each uniform number [...] falls in, given shares [..., categories]."""
    return np.asarray((np.asarray(uniforms)[..., None] > np.cumsum(shares, axis=-1)[..., :-1]).sum(axis=-1))


@functools.cache
def _tables() -> tuple[FloatArray, FloatArray, FloatArray]:
    """The three kinds of probabilities of all situations."""
    features = embedded_world().features
    return relevance_probabilities(features), valence_probabilities(features), generation_probabilities(features)
