"""From the records of steerability to its findings, each with what it is to be read against.

Floor and limit are those of the very outputs that the model answered: where one of them has none, the reference is undefined
and says of how many, rather than being that of other outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.estimates import Estimate, undefined
from pluralign.evals.calibrated import Forecasts, calibrated_limit, calibration_error
from pluralign.evals.findings import Finding, Reference, mean_of

__all__ = ["CURVE", "counted_outputs", "curve_points", "task_findings"]

CURVE = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
"""Numbers of examples at which loss and accuracy are told one by one, beside k*."""
FLOOR = "shares of outputs among other units"
LIMIT = "Bayes limit"
_MEASURES: tuple[tuple[str, str, str, Literal["lower", "higher"]], ...] = (
    ("loss_nats", "loss of an output", "nats", "lower"),
    ("accuracy", "output is the most probable one", "share", "higher"),
)


def curve_points(k_star: int) -> list[int]:
    """The k of the curve, in ascending order.

    >>> curve_points(7)
    [1, 2, 3, 4, 6, 7]
    """
    return sorted({k for k in CURVE if k <= k_star} | {k_star})


def counted_outputs(records: pl.DataFrame) -> pl.DataFrame:
    """The outputs after 1..k* examples with what is measured of each; NaN where it is undefined, or the model did not answer.

    Added columns: loss_nats, accuracy, excess_nats, answered, and of floor and limit loss_nats and accuracy.
    """
    is_ok = pl.col("outcome") == "ok"
    nan = pl.lit(np.nan)

    def measured(name: str) -> list[pl.Expr]:
        loss, right = -pl.col(f"{name}logprob"), pl.col(f"{name}is_argmax").cast(pl.Float64)
        return [loss.fill_null(nan).alias(f"{name}loss_nats"), right.fill_null(nan).alias(f"{name}accuracy")]

    counted = records.filter((pl.col("k") >= 1) & (pl.col("k") <= pl.col("k_star")))
    counted = counted.with_columns(*measured(""), *measured("floor_"), *measured("limit_"))
    answered = [pl.when(is_ok).then(pl.col(name)).otherwise(nan).alias(name) for name in ("loss_nats", "accuracy")]
    counted = counted.with_columns(*answered, is_ok.cast(pl.Float64).alias("answered"))
    return counted.with_columns(_excess(counted))


def task_findings(records: pl.DataFrame, *, seed: int) -> list[Finding]:
    """Of the records of one task; at least one record."""
    return list(_Task(records, seed).findings())


def _excess(counted: pl.DataFrame) -> pl.Series:
    """Infinite where the output had no probability; that the limit gives it none cannot be."""
    return (counted["loss_nats"] - counted["limit_loss_nats"]).alias("excess_nats")


class _Task:
    """The outputs of one task that count."""

    def __init__(self, records: pl.DataFrame, seed: int) -> None:
        self.rows = counted_outputs(records)
        self.seed = seed
        self.name, self.unit, self.k_star = (records[column][0] for column in ("task", "unit_name", "k_star"))
        self.has_limit = records["told"].is_not_null().any()

    def findings(self) -> Iterator[Finding]:
        yield from self.measures(self.rows, None)
        yield self.gain()
        if self.has_limit:
            yield from self.excess()
        for k in curve_points(self.k_star):
            yield from self.measures(self.rows.filter(pl.col("k") == k), f"k = {k}")
        yield from self.calibration()
        yield self.finding("answered", "outputs with an answer", "share", "higher", self.mean(self.rows, "answered"))

    def finding(self, metric: str, label: str, scale: str, better: Literal["lower", "higher"], estimate: Estimate) -> Finding:
        return Finding(task=self.name, metric=metric, label=label, scale=scale, better=better, estimate=estimate)

    def mean(self, rows: pl.DataFrame, column: str) -> Estimate:
        items = rows.select("task", "item", "unit", metric=pl.lit(column), value=pl.col(column))
        return mean_of(items, self.name, column, unit=self.unit, seed=self.seed)

    def undefined(self, why: str) -> Estimate:
        return undefined(why, unit=self.unit, seed=self.seed)

    def measures(self, rows: pl.DataFrame, group: str | None) -> Iterator[Finding]:
        """Loss and accuracy of these outputs."""
        answered = rows.filter(pl.col("answered") == 1)
        behind = f", after 1 to {self.k_star} examples" if group is None else ""
        for metric, label, scale, better in _MEASURES:
            why = f"came from no other {self.unit}"
            yield Finding(
                task=self.name,
                metric=metric,
                label=label + behind,
                scale=scale,
                better=better,
                estimate=self.mean(rows, metric),
                floor=Reference(FLOOR, self.all_known(answered, f"floor_{metric}", why)),
                ceiling=Reference(LIMIT, self.all_known(answered, f"limit_{metric}", "have no known limit"))
                if self.has_limit
                else None,
                group=group,
                is_headline=metric == "loss_nats" and group is None,
            )

    def all_known(self, rows: pl.DataFrame, column: str, why: str, of: str = "outputs") -> Estimate:
        """The mean, undefined if a single one has no value."""
        n_unknown = int(rows[column].is_nan().sum())
        if n_unknown:
            return self.undefined(f"{n_unknown:,} of {rows.height:,} {of} {why}")
        return self.mean(rows, column)

    def gain(self) -> Finding:
        """Of sequences that answered both; in each the same process."""
        label = f"loss after 1 example minus loss after {self.k_star}"
        if self.k_star == 1:
            estimate = self.undefined("k* is 1: no output has more than one example before it")
            return self.finding("gain_nats", label, "nats", "higher", estimate)
        falls = self.both_ends("loss_nats")
        finding = self.finding("gain_nats", label, "nats", "higher", self.mean(falls, "value"))
        if not self.has_limit:
            return finding
        answered = falls.filter(pl.col("value").is_not_nan())["sequence"].to_list()
        limit = self.both_ends("limit_loss_nats").filter(pl.col("sequence").is_in(answered))
        return replace(finding, ceiling=Reference(LIMIT, self.all_known(limit, "value", "have no known limit", "sequences")))

    def both_ends(self, column: str) -> pl.DataFrame:
        """value = the column at k = 1 minus that at k*, of each sequence; infinite where either is."""
        ends = [
            self.rows.filter(pl.col("k") == k).select("task", "sequence", "unit", "item", pl.col(column).alias(f"at_{end}"))
            for end, k in (("first", 1), ("last", self.k_star))
        ]
        both = ends[0].join(ends[1].select("sequence", "at_last"), on="sequence", maintain_order="left")
        is_infinite = pl.col("at_first").is_infinite() | pl.col("at_last").is_infinite()
        value = pl.when(is_infinite).then(pl.lit(np.inf)).otherwise(pl.col("at_first") - pl.col("at_last"))
        return both.with_columns(value=value)

    def excess(self) -> Iterator[Finding]:
        """Over all outputs with a limit, and by what is told of the process."""
        label = "loss beyond Bayes' rule on the same outputs"
        yield self.finding("excess_nats", label, "nats", "lower", self.mean(self.rows, "excess_nats"))
        several = self.rows["told"].unique().sort().to_list()
        for told in several if len(several) > 1 else []:
            rows = self.rows.filter((pl.col("told") == told) & pl.col("limit_loss_nats").is_not_nan())
            if rows.height:
                finding = self.finding("excess_nats", label, "nats", "lower", self.mean(rows, "excess_nats"))
                yield replace(finding, group=f"told: {told}")

    def calibration(self) -> Iterator[Finding]:
        asked = self.rows.filter(pl.col("options").is_not_null())
        label, scale = "expected calibration error of the options", "0..1"
        if not asked.height:
            why = "outputs are open: how probable the likeliest output is, the model does not say"
            yield self.finding("calibration_error", label, scale, "lower", self.undefined(why))
            return
        forecasts, is_usable = _forecasts(asked)
        error = calibration_error(forecasts, unit=self.unit, seed=self.seed)
        limit = calibrated_limit(forecasts, unit=self.unit, seed=self.seed)
        finding = self.finding("calibration_error", label, scale, "lower", error)
        yield replace(finding, ceiling=Reference("were its probabilities true", limit))
        counted = asked.with_columns(options_answered=pl.Series(is_usable).cast(pl.Float64))
        share = self.mean(counted, "options_answered")
        yield self.finding("options_answered", "outputs with probabilities of the options", "share", "higher", share)


def _forecasts(asked: pl.DataFrame) -> tuple[Forecasts, npt.NDArray[np.bool_]]:
    """Option probabilities, renormalised, where there are any; and where that is [outputs]."""
    logprobs = [np.array(row, dtype=np.float64) for row in asked["option_logprobs"].to_list()]
    is_ok = [outcome == "ok" for outcome in asked["options_outcome"].to_list()]
    totals = np.array([np.logaddexp.reduce(row) if ok else np.nan for row, ok in zip(logprobs, is_ok, strict=True)])
    is_usable = np.isfinite(totals)
    chosen = np.flatnonzero(is_usable).tolist()
    options, outputs = asked["options"].to_list(), asked["output"].to_list()
    probabilities = [np.exp(logprobs[n] - totals[n]) for n in chosen]
    outcomes = [options[n].index(outputs[n]) for n in chosen]
    return Forecasts(probabilities, outcomes, asked["unit"].to_numpy()[is_usable]), is_usable
