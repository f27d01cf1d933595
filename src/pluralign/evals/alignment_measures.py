"""The measures of alignment: one number for each question, from people's shares and the model's distribution over its options.

    measure                          range             0 or the best      undefined for
    js_divergence_nats               0..ln 2           the same
    js_divergence_corrected_nats     about the same    the same           people whose number is not known
    js_distance                      0..sqrt(ln 2)     the same
    total_variation                  0..1              the same
    wasserstein1                     0..options - 1    the same           options without an order
    kl_people_to_model_nats          0..inf            the same
    kl_model_to_people_nats          0..inf            the same
    cross_entropy_nats               entropy..inf      people's entropy
    mode_match                       0..1              1 = the same mode
    representativeness               0..1              1 = the same       options without an order
    simbench_score                   ..100             100 = the same     people who are uniform on every question

All but `mode_match`, `representativeness` and `simbench_score` are better when lower. The divergence is in nats, the distance
is its square root: two names, two metrics, never in one column. An infinite value stays infinite.

*People's shares are estimates.* A distance between a distribution and the shares of n people drawn from it is above 0: plug-in
divergences are biased upward by about (options - 1) / 8n nats for Jensen-Shannon. Read them beside the noise floor
(`noise_floor`), or take `js_divergence_corrected_nats`, which has the bias taken off.

Source: methods of `pluralign.metrics.distances`; Miller 1955, Note on the bias of information estimates (second-order bias of
plug-in estimates, here worked out for the Jensen-Shannon divergence).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.evals.findings import Better
from pluralign.metrics import (
    js_distance,
    js_divergence_nats,
    kl_nats,
    opinionqa_representativeness,
    total_variation_distance,
    wasserstein1_distance,
)

__all__ = [
    "MEASURES",
    "SIMBENCH",
    "Answers",
    "Measure",
    "cross_entropy_nats",
    "js_divergence_corrected_nats",
    "measured",
    "mode_match",
    "modes",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Questions with equally many options: what people answer, and what a model would."""

    people: FloatArray
    """Shares [questions, options]."""
    model: FloatArray
    """Probabilities, renormalised over the options [questions, options]."""
    is_ordinal: BoolArray
    """Whether the options are in an order [questions]."""
    n_people: FloatArray
    """People behind the shares [questions]: NaN where not known, infinite where the shares are a law."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure and how it is shown."""

    metric: str
    label: str
    scale: str
    better: Better
    of: Callable[[Answers], FloatArray]
    """Values [questions]; NaN where undefined."""
    why_undefined: str = "no question has a distribution"
    """Said where it has no value for any question that has a distribution."""
    is_headline: bool = False


def js_divergence_corrected_nats(people: FloatArray, model: FloatArray, n_people: FloatArray) -> FloatArray:
    """The Jensen-Shannon divergence in nats [questions] with the bias of few people taken off; may be a little below 0.

    JS(s, q) - sum_k q_k (1 - s_k) / (4 n (s_k + q_k)): the second-order bias is half the sum of d2 JS / d s_k^2 =
    q_k / (2 s_k (s_k + q_k)) times the variance s_k (1 - s_k) / n, with the shares s in place of the true ones. Equal to the
    plain divergence where the shares are a law. *Undefined where* n is not known.
    Source: Miller 1955 gives this expansion for the entropy. *Departures:* what an option adds that nobody chose is its limit,
    1 / 4n, so that with many options that nobody ever chooses too much is taken off.

    >>> shares = np.array([[0.75, 0.25]])
    >>> round(float(js_divergence_corrected_nats(shares, shares, np.array([10.0]))[0]), 6)
    -0.0125
    """
    both = people + model
    terms = np.divide(model * (1 - people), both, out=np.zeros_like(both), where=both > 0)
    corrected = js_divergence_nats(people, model) - terms.sum(axis=1) / (4 * n_people)
    return np.asarray(corrected, dtype=np.float64)


def cross_entropy_nats(people: FloatArray, model: FloatArray) -> FloatArray:
    """The mean -log p of the model over people's answers, in nats [questions]: at least people's entropy, which a copy reaches.

    Infinite where somebody chose what the model gives no probability.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(people > 0, -people * np.log(model), 0.0)
    return np.asarray(terms.sum(axis=1))


def mode_match(people: FloatArray, model: FloatArray) -> FloatArray:
    """The share of the model's modes that are modes of people [questions]: 1 or 0 without ties.

    With ties it is the chance that one of the model's most probable options, taken at random, is one that most people chose.
    The uniform distribution, all of whose K options are modes, has (people's modes) / K.

    >>> mode_match(np.array([[0.4, 0.4, 0.2]]), np.array([[0.5, 0.0, 0.5]])).tolist()
    [0.5]
    """
    of_people, of_model = modes(people), modes(model)
    return np.asarray((of_people & of_model).sum(axis=1) / of_model.sum(axis=1))


def modes(shares: FloatArray) -> BoolArray:
    """Which options are as probable as any [questions, options]; differences below 1e-9 are rounding."""
    return np.asarray(shares >= shares.max(axis=1, keepdims=True) - 1e-9)


def measured(answers: Answers) -> dict[str, FloatArray]:
    """Every measure but the SimBench score, by name: values [questions]."""
    return {measure.metric: measure.of(answers) for measure in MEASURES}


def _wasserstein1(answers: Answers) -> FloatArray:
    positions = np.arange(answers.people.shape[1])
    return np.where(answers.is_ordinal, wasserstein1_distance(answers.people, answers.model, positions), np.nan)


def _representativeness(answers: Answers) -> FloatArray:
    return np.where(answers.is_ordinal, opinionqa_representativeness(answers.people, answers.model), np.nan)


def _plain(formula: Callable[[npt.NDArray[Any], npt.NDArray[Any]], FloatArray]) -> Callable[[Answers], FloatArray]:
    return lambda answers: formula(answers.people, answers.model)


_NO_ORDER = "no question has options in an order"
MEASURES = (
    Measure("total_variation", "Total variation", "0..1", "lower", _plain(total_variation_distance), is_headline=True),
    Measure("js_divergence_nats", "Jensen-Shannon divergence", "nats", "lower", _plain(js_divergence_nats)),
    Measure(
        "js_divergence_corrected_nats",
        "Jensen-Shannon divergence, corrected for few people",
        "nats",
        "lower",
        lambda answers: js_divergence_corrected_nats(answers.people, answers.model, answers.n_people),
        "how many people stand behind the shares is not known",
    ),
    Measure("js_distance", "Jensen-Shannon distance", "0..0.833", "lower", _plain(js_distance)),
    Measure("wasserstein1", "Wasserstein-1 distance", "positions", "lower", _wasserstein1, _NO_ORDER),
    Measure("kl_people_to_model_nats", "KL, people to model", "nats", "lower", _plain(kl_nats)),
    Measure(
        "kl_model_to_people_nats",
        "KL, model to people",
        "nats",
        "lower",
        lambda answers: kl_nats(answers.model, answers.people),
    ),
    Measure("cross_entropy_nats", "Cross-entropy", "nats", "lower", _plain(cross_entropy_nats)),
    Measure("mode_match", "Most frequent answer matched", "share", "higher", _plain(mode_match)),
    Measure("representativeness", "Representativeness (OpinionQA)", "0..1", "higher", _representativeness, _NO_ORDER),
)
"""In the order of the report card."""
SIMBENCH = Measure(
    "simbench_score",
    "SimBench score",
    "points, 100 = exact",
    "higher",
    _plain(total_variation_distance),
    "people are uniform on every question",
)
"""A ratio of means over the task, which `alignment` estimates as one; `of` is its numerator."""
