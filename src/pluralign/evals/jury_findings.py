"""What the records of a jury say: verdicts, whose answer is worth what to whom, and what other juries would choose."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.episodes import Episode
from pluralign.errors import PluralignError
from pluralign.estimates import Estimate, estimate_mean, undefined
from pluralign.evals.findings import Finding, Reference
from pluralign.evals.juries import composed, preferred_shares, sample_juries, top_shares
from pluralign.evals.jury_welfare import (
    GRID,
    Verdicts,
    candidate_statistics,
    estimated,
    p_name,
    response_preferences,
    welfare_of,
)

__all__ = ["N_JURIES", "jury_items", "picks_of", "task_findings", "verdicts_of"]

FloatArray = npt.NDArray[np.float64]

N_JURIES = 400
"""Drawn for each prompt: their share has an error of at most 2.5 points, which the mean over prompts shrinks."""
WORDS = {-math.inf: "worst off", -1.0: "harmonic mean", 0.0: "geometric mean", 1.0: "mean", math.inf: "best off"}
HEADLINES = (1.0, -math.inf)


def verdicts_of(records: pl.DataFrame, column: str = "utility") -> Verdicts:
    """The utilities of the records of one task, as `utility` or as `predicted`; prompts, responses and jurors in their order.

    Raises UsageError or DataError for a composition that these jurors cannot fill.
    """
    prompts, responses, jurors = (_names(records, name) for name in ("item", "response", "unit"))
    at = tuple(_positions(records[c], names) for c, names in (("item", prompts), ("response", responses), ("unit", jurors)))
    utilities = np.full((len(prompts), len(responses), len(jurors)), np.nan)
    utilities[at] = records[column].fill_null(np.nan).to_numpy()
    is_candidate = np.zeros(utilities.shape[:2], dtype=np.bool_)
    is_candidate[at[:2]] = records["is_candidate"].to_numpy()
    text = records["jury"][0]
    return Verdicts(
        prompts=prompts,
        responses=responses,
        jurors=jurors,
        utilities=utilities,
        is_candidate=is_candidate,
        composition=None if text is None else composed(text, _people(records)),
    )


def picks_of(records: pl.DataFrame, verdicts: Verdicts, p: float) -> FloatArray:
    """The probability of each response to be the model's answer [prompts, responses]; NaN where it gave none.

    Where the model judges, its answer is the candidate with the highest W_p of what it predicts; equal ones share it.
    """
    if records["role"][0] == "judges":
        predicted = verdicts_of(records, "predicted")
        return top_shares(np.where(predicted.is_candidate, welfare_of(predicted, p), np.nan))
    picks = np.zeros((len(verdicts.prompts), len(verdicts.responses)))
    picks[_positions(records["item"], verdicts.prompts), _positions(records["response"], verdicts.responses)] = (
        records["probability"].fill_null(np.nan).to_numpy()
    )
    if records["role"][0] == "writes":  # where nothing was written the candidates' 0 is no pick either
        return np.where(np.isnan(picks).any(axis=1, keepdims=True), np.nan, picks)
    return picks


def jury_items(records: pl.DataFrame) -> list[tuple[str, str, str, str, float]]:
    """Rows of `findings.ITEM_SCHEMA`: welfare of the model's answer to each prompt, for every p."""
    rows = []
    for (task,), some in records.group_by("task", maintain_order=True):
        verdicts = _scored(some)
        if verdicts is None:
            continue
        for p in GRID:
            values = candidate_statistics(verdicts, picks_of(some, verdicts, p))(welfare_of(verdicts, p))[:, 0]
            rows += [
                (str(task), f"jury_welfare_p{p_name(p)}", item, item, float(value))
                for item, value in zip(verdicts.prompts, values, strict=True)
            ]
    return rows


def task_findings(task: str, records: pl.DataFrame, *, seed: int) -> list[Finding]:
    """All of one task; see `jury`."""
    scored = _scored(records)
    verdicts = verdicts_of(records, "predicted") if scored is None else scored
    shared = verdicts.responses if bool(records["is_named"].all()) or len(verdicts.prompts) == 1 else ()
    asked = _Asked(task, records, verdicts, _people(records), shared, scored is not None, seed)
    found = [finding for p in GRID for finding in _welfare_findings(asked, p)]
    return [*found, *_difference_findings(asked), *_jury_findings(asked), *_answer_findings(asked)]


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """The records of one task, and what follows from them."""

    task: str
    records: pl.DataFrame
    verdicts: Verdicts
    people: Sequence[Episode]
    """As the jurors of the verdicts."""
    shared: tuple[str, ...]
    """Names that mean the same for every prompt."""
    is_scored: bool
    """Whether utilities are known, so that answers can be scored."""
    seed: int


def _scored(records: pl.DataFrame) -> Verdicts | None:
    """None where utilities are not known, as of jurors who are only predicted."""
    return verdicts_of(records) if records["utility"].is_not_nan().any() or records["role"][0] != "judges" else None


def _welfare_findings(asked: _Asked, p: float) -> list[Finding]:
    verdicts = asked.verdicts
    statistics = candidate_statistics(verdicts, picks_of(asked.records, verdicts, p))
    model, random, best, *each = estimated(verdicts, p, statistics, seed=asked.seed)
    named = dict(zip(verdicts.responses, each, strict=True))
    word = f" ({WORDS[p]})" if p in WORDS else ""

    def finding(estimate: Estimate, group: str | None = None) -> Finding:
        return Finding(
            task=asked.task,
            metric=f"{'jury' if asked.is_scored else 'predicted'}_welfare_p{p_name(p)}",
            label=f"{'' if asked.is_scored else 'predicted '}jury welfare, p = {p_name(p)}{word}",
            scale="0..1",
            better="higher" if asked.is_scored else "neither",
            estimate=estimate,
            floor=Reference("random candidate", random),
            ceiling=Reference("best candidate", best),
            group=group,
            is_headline=p in HEADLINES and group is None,
        )

    return [finding(model if asked.is_scored else random), *(finding(named[name], name) for name in asked.shared)]


def _difference_findings(asked: _Asked) -> list[Finding]:
    """Of the best named response to each other one, under every welfare function."""
    preferences = response_preferences(asked.verdicts, GRID, seed=asked.seed, among=asked.shared)
    known = [one for one in preferences if one.difference.is_defined and one.p_holm is not None]
    found = []
    for p in GRID:
        losers = {one.other for one in known if one.p == p}
        best = [name for name in asked.shared if name not in losers][:1]
        found += [
            Finding(
                task=asked.task,
                metric=f"welfare_difference_p{p_name(p)}",
                label=f"difference in jury welfare, p = {p_name(p)}; p-value {one.p_holm:.3f} (Holm)",
                scale="0..1",
                better="neither",
                estimate=one.difference,
                group=f"{one.preferred} over {one.other}",
            )
            for one in known
            if one.p == p and one.preferred in best
        ]
    return found


def _jury_findings(asked: _Asked) -> list[Finding]:
    """What juries of so many seats choose, by the mean; intervals are over prompts."""
    verdicts, text = asked.verdicts, asked.records["jury"][0]
    welfare = np.where(verdicts.is_candidate, welfare_of(verdicts, 1.0), np.nan)
    together = top_shares(welfare) > 0
    shares = np.stack([_chosen_by_juries(asked, x, welfare[x]) for x in range(len(verdicts.prompts))])
    agreement = np.where(np.isnan(shares).all(axis=1), np.nan, np.where(together, shares, 0.0).sum(axis=1))
    one_in = np.where(np.isnan(agreement), np.nan, 1 / np.maximum((~np.isnan(welfare)).sum(axis=1), 1))
    who = text if text is not None else f"{asked.records['seats'][0]} people"
    candidates = [name for name in asked.shared if verdicts.is_candidate[:, verdicts.responses.index(name)].any()]

    def finding(metric: str, label: str, values: FloatArray, *, chance: FloatArray, group: str | None = None) -> Finding:
        floor = Reference("random candidate", _over_prompts(chance, asked.seed))
        estimate = _over_prompts(values, asked.seed)
        if np.isnan(values).all():
            why = f"no prompt was judged by enough people for a jury of {who}"
            estimate = undefined(why, unit="prompt", seed=asked.seed)
        words = f"juries of {who} that choose {label}"
        return Finding(
            task=asked.task,
            metric=metric,
            label=words,
            scale="share",
            better="neither",
            estimate=estimate,
            floor=floor,
            group=group,
        )

    return [
        finding("jury_agreement", "what all would", agreement, chance=together.sum(axis=1) * one_in),
        *(
            finding("juries_preferring", "it", shares[:, n], chance=one_in, group=name)
            for name in candidates
            for n in [verdicts.responses.index(name)]
        ),
    ]


def _chosen_by_juries(asked: _Asked, x: int, welfare: FloatArray) -> FloatArray:
    """Share of juries drawn from those who judged prompt x that choose each response; NaN for what is no candidate.

    All NaN where these people are too few for a jury.
    """
    verdicts, text, seats = asked.verdicts, asked.records["jury"][0], int(asked.records["seats"][0])
    sitting, judged = np.flatnonzero(verdicts.present[x]), np.flatnonzero(~np.isnan(welfare))
    shares = np.full(len(welfare), np.nan)
    try:
        some = [asked.people[n] for n in sitting.tolist()]
        jury = seats if text is None else composed(text, some)
        drawn = sample_juries(some, jury, n_juries=N_JURIES, seed=asked.seed, key=f"{asked.task}/{verdicts.prompts[x]}")
    except PluralignError:
        return shares
    shares[judged] = preferred_shares(verdicts.utilities[x][np.ix_(judged, sitting)], drawn, 1.0)
    return shares


def _answer_findings(asked: _Asked) -> list[Finding]:
    """How often there is a number at all, and how far predictions are from what is known."""
    verdicts, records, seed = asked.verdicts, asked.records, asked.seed
    was_asked = np.zeros(verdicts.present.shape, dtype=np.bool_)
    was_asked[_positions(records["item"], verdicts.prompts), _positions(records["unit"], verdicts.jurors)] = True
    whole, jurors = verdicts.present[was_asked].astype(np.float64), np.nonzero(was_asked)[1]
    has_answer = np.asarray(~np.isnan(picks_of(records, verdicts, 1.0)).any(axis=1), dtype=np.float64)
    found = [
        _share(asked.task, "judged", "jurors who judged every response", estimate_mean(whole, jurors, unit="juror", seed=seed)),
        _share(asked.task, "answered", "prompts with an answer of the model", _over_prompts(has_answer, seed)),
    ]
    both = records.filter(pl.col("utility").is_not_nan() & pl.col("predicted").fill_null(np.nan).is_not_nan())
    if not both.is_empty():
        known, units = both["utility"].to_numpy(), _positions(both["unit"], verdicts.jurors)
        floor, error = (
            estimate_mean(np.abs(said - known), units, unit="juror", seed=seed)
            for said in (known.mean(), both["predicted"].to_numpy())
        )
        found.append(
            Finding(
                task=asked.task,
                metric="juror_error",
                label="distance of predicted to known utilities",
                scale="0..1",
                better="lower",
                estimate=error,
                floor=Reference("mean utility for all", floor),
            )
        )
    return found


def _share(task: str, metric: str, label: str, estimate: Estimate) -> Finding:
    return Finding(task=task, metric=metric, label=label, scale="share", better="higher", estimate=estimate)


def _over_prompts(values: FloatArray, seed: int) -> Estimate:
    kept = np.flatnonzero(~np.isnan(values))
    return estimate_mean(values[kept], kept, unit="prompt", seed=seed)


def _people(records: pl.DataFrame) -> list[Episode]:
    """The jurors with their attributes, in the order of `verdicts_of`."""
    rows = records.select("unit", "attributes").unique("unit", keep="first", maintain_order=True)
    return [Episode("juror", (), unit=unit, attributes=json.loads(text)) for unit, text in rows.iter_rows()]


def _names(records: pl.DataFrame, column: str) -> tuple[str, ...]:
    return tuple(records[column].unique(maintain_order=True))


def _positions(values: pl.Series, names: Sequence[str]) -> npt.NDArray[np.int64]:
    places: dict[Any, int] = {name: n for n, name in enumerate(names)}
    return np.array([places[value] for value in values], dtype=np.int64)
