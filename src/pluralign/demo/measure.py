"""From answers to estimates: losses, distances to the limit, shares of what could be gained, calibration.

All means are over questions, with intervals from resampling the units that the questions are of: people, coins, situations.
A loss is averaged over all options by the probabilities with which they truly happen, which are known here: it is what would be
lost in the long run, without the luck of single answers. It is that of an option with its end, so that probability outside the
options is lost too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.demo.asking import Questions
from pluralign.demo.findings import LossesRow, ValuesRow
from pluralign.errors import UsageError
from pluralign.estimates import (
    Estimate,
    estimate_mean,
    estimate_ratio,
    undefined,
)
from pluralign.models.protocol import renormalised
from pluralign.raters.findings import Calibration
from pluralign.raters.reliability import calibration_of
from pluralign.scoring.losses import LossTable, loss_rows
from pluralign.suite.embedded_truth import excess_nats

__all__ = ["NOTHING", "calibration", "covered_mass", "losses_rows", "lost", "ratio", "values_row", "with_shares"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Answered = Mapping[str, FloatArray]
"""Which model to log-probabilities [questions, options]."""

NOTHING = "examples:0"
_MEASURES = ("tuned", "base", "limit", "tuned_excess", "base_excess", "base_minus_tuned")


def losses_rows(asked: Questions, answered: Answered, *, seed: int) -> list[LossesRow]:
    """A row for each thing that is known, in the order in which it is asked first."""
    measures = lost(asked, answered)
    if "tuned" in measures and "base" in measures:
        measures["base_minus_tuned"] = measures["base"] - measures["tuned"]
    if "limit" in measures:
        measures |= {f"{which}_excess": _excess(asked, logprobs) for which, logprobs in answered.items()}
    table = LossTable(measures, asked.units, asked.unit, seed)
    means = {str(row.group): row.means for row in loss_rows(table, asked.known)}
    return [
        LossesRow(known=known, **{name: means[known].get(name) for name in _MEASURES})
        for known in dict.fromkeys(asked.known.tolist())
    ]


def lost(asked: Questions, answered: Answered) -> dict[str, FloatArray]:
    """What each model, and the limit where it is known, loses on average over what may happen: nats [questions]."""
    truth = asked.truth
    if truth is None:
        raise UsageError(f"{asked.part}: without true probabilities no loss is defined, only distances to the limit.")
    known = {} if np.isnan(asked.limit).any() else {"limit": _log(asked.limit)}
    with np.errstate(invalid="ignore"):  # 0 * infinity, which is not taken
        return {
            name: np.where(truth > 0, -truth * logprobs, 0.0).sum(axis=1) for name, logprobs in {**answered, **known}.items()
        }


def with_shares(
    rows: Sequence[LossesRow],
    losses: Mapping[str, Mapping[str, FloatArray]],
    units: IntArray,
    *,
    limit_as: Mapping[str, str],
    seed: int,
) -> list[LossesRow]:
    """The rows with the share that each model gains of what could be gained over the best prediction that knows nothing.

    That is sum (limit knowing nothing - model) / sum (limit knowing nothing - limit knowing this): 1 at the limit, 0 for what
    is as good as the best prediction that knows nothing; so it is not defined for nothing. `losses` are by what is known and
    by model, [questions] of units [questions] in one order; `limit_as` names whose limit stands for one that is not known.
    """
    nothing = losses[NOTHING]["limit"]
    found = []
    for row in rows:
        ours = losses[row.known]
        possible = nothing - losses[limit_as.get(row.known, row.known)]["limit"]
        shares: dict[str, Any] = {
            f"{which}_share": ratio(nothing - ours[which], possible, units, unit="rater", seed=seed)
            for which in ("tuned", "base")
            if which in ours and row.known != NOTHING
        }
        found.append(replace(row, **shares))
    return found


def ratio(above: FloatArray, below: FloatArray, units: IntArray, *, unit: str, seed: int) -> Estimate:
    """`estimate_ratio` over rows [n] with units [n]; undefined too where a loss is infinite."""
    if not (np.isfinite(above).all() and np.isfinite(below).all()):
        return undefined("a loss is infinite", n=len(np.unique(units)), unit=unit, seed=seed)
    return estimate_ratio(above, below, units, unit=unit, seed=seed)


def covered_mass(asked: Questions, logprobs: FloatArray, *, seed: int) -> Estimate:
    """Mean probability that the output is one of the options, 0..1."""
    return estimate_mean(np.exp(logprobs).sum(axis=1), asked.units, unit=asked.unit, seed=seed)


def values_row(asked: Questions, answered: Answered, *, seed: int) -> ValuesRow:
    """How far the answers are from the truth."""
    return ValuesRow(
        kind=asked.part,
        **{
            f"{which}_{name}": _finite_mean(asked, measure(asked, answered[which]), seed=seed)
            for which in ("tuned", "base")
            for name, measure in (("excess", _excess), ("off", _off))
        },
    )


def calibration(asked: Questions, logprobs: FloatArray, *, name: str, seed: int) -> Calibration:
    """Reliability of the probabilities over the options, all taken as predictions of their own, in ten bins of equal mass."""
    if asked.outcomes is None:
        raise UsageError(f"{asked.part}: nothing was drawn, so there is no calibration.")
    return calibration_of(
        renormalised(logprobs), asked.outcomes, asked.units, unit=asked.unit, representation=name, label=name, seed=seed
    )


def _finite_mean(asked: Questions, values: FloatArray, *, seed: int) -> Estimate:
    """The mean over questions [questions]; undefined where it is infinite."""
    if infinite := int(np.isinf(values).sum()):
        n = len(np.unique(asked.units))
        return undefined(f"infinite in {infinite:,} of {len(values):,} questions", n=n, unit=asked.unit, seed=seed)
    return estimate_mean(values, asked.units, unit=asked.unit, seed=seed)


def _excess(asked: Questions, logprobs: FloatArray) -> FloatArray:
    return excess_nats(asked.limit, logprobs)


def _off(asked: Questions, logprobs: FloatArray) -> FloatArray:
    """Total variation distance from the truth [questions]; all that lies outside the options counts as one more option."""
    shares = np.exp(logprobs)
    outside = np.maximum(1 - shares.sum(axis=1), 0.0)
    return np.asarray((np.abs(shares - asked.limit).sum(axis=1) + outside) / 2)


def _log(probabilities: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore"):
        return np.log(probabilities)
