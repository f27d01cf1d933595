"""From a run of `evaluate` to its report card: what the page shows beside findings is taken from the records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import polars as pl

from pluralign import __version__
from pluralign.evals.kinds import LeftOut
from pluralign.evals.registry import kind
from pluralign.evals.results import Evaluated
from pluralign.models.protocol import renormalised
from pluralign.raters.findings import Calibration
from pluralign.raters.reliability import calibration_of
from pluralign.report.card_data import Card, Question, WorstItem, cells_of, coverage_of, curves_of

__all__ = ["card_of"]

_CLOSED = ("alignment", "sensitivity", "elicitation")
"""Evaluations that ask for distributions over options."""
N_WORST = 15
"""Items of each evaluation that are shown with their text."""


def card_of(found: Evaluated, records: Mapping[str, pl.DataFrame], *, day: date | None = None) -> Card:
    """The card of a run; `records` by evaluation."""
    findings = found.findings
    alignment, steering = records.get("alignment"), records.get("steerability")
    closed = [records[name] for name in _CLOSED if name in records]
    questions = [] if alignment is None else _questions(alignment)
    return Card(
        model=found.model,
        date=(day or date.today()).isoformat(),
        version=__version__,
        seed=found.seed,
        elicitation=_elicitation(closed[0] if closed else None),
        findings_by_evaluation=findings,
        n_questions=found.n_questions,
        n_records=sum(len(table) for table in records.values()),
        seconds=found.totals.seconds,
        outcomes=found.outcomes,
        about={name: kind(name).about for name in findings},
        facts={f"Judge {name}": f"fingerprint {one.fingerprint[:16]}" for name, one in found.judges.items()},
        not_run=found.not_run,
        left_out=_left_out(found),
        questions=questions,
        groups=cells_of(findings.get("alignment", ()), "total_variation"),
        curves=curves_of(findings.get("steerability", ()), "loss_nats"),
        calibrations=[] if steering is None else _calibrations(steering, found.seed),
        coverage=coverage_of(findings.get("coverage", ())),
        worst_items=[*_worst_questions(questions), *([] if steering is None else _worst_outputs(steering))],
    )


def _elicitation(records: pl.DataFrame | None) -> str:
    if records is None or not len(records):
        return "logprobs"
    return ", ".join(sorted(records["elicitation"].unique().to_list()))


def _left_out(found: Evaluated) -> dict[str, list[LeftOut]]:
    """By task, once what several evaluations that ask it say alike."""
    told: dict[str, dict[LeftOut, None]] = {}
    for of in found.left_out.values():
        for task, some in of.items():
            told.setdefault(task, {}).update(dict.fromkeys(some))
    return {task: list(some) for task, some in told.items()}


def _questions(records: pl.DataFrame) -> list[Question]:
    found = []
    for row in records.iter_rows(named=True):
        model = _normalised(row["logprobs"]) if row["outcome"] == "ok" else None
        why = "" if model is not None else f"{row['outcome']}: {row['detail']}".removeprefix("ok: ") or "no option has any"
        found.append(
            Question(
                task=row["task"],
                text="\n".join(part for part in (row["description"], row["input"]) if part),
                options=tuple(row["options"]),
                people=tuple(row["shares"]),
                model=model,
                n=row["n_people"],
                is_law=bool(row["is_law"]),
                group=row["group"] or None,
                why_undefined=why,
            )
        )
    return found


def _normalised(logprobs: Sequence[float]) -> tuple[float, ...] | None:
    values = np.array(logprobs, dtype=np.float64)
    if not np.isfinite(values).any():
        return None
    return tuple(renormalised(values).tolist())


def _worst_questions(questions: Sequence[Question]) -> list[WorstItem]:
    known = [one for one in questions if not math.isnan(one.distance)]
    worst = sorted(known, key=lambda one: -one.distance)[:N_WORST]
    return [
        WorstItem(
            task=one.task,
            text=one.text,
            measure="total variation",
            value=one.distance,
            said=one.options[int(np.argmax(one.model or ()))],
            wanted=one.options[int(np.argmax(one.people))],
            group=one.group,
        )
        for one in worst
    ]


def _worst_outputs(records: pl.DataFrame) -> list[WorstItem]:
    rows = records.filter((pl.col("k") > 0) & pl.col("logprob").is_not_nan()).sort("logprob").head(N_WORST)
    return [
        WorstItem(
            task=row["task"],
            text=row["input"] or f"the output after {row['k']} examples",
            measure="loss in nats",
            value=-row["logprob"],
            wanted=row["output"],
            said="",
        )
        for row in rows.iter_rows(named=True)
    ]


def _calibrations(records: pl.DataFrame, seed: int) -> list[Calibration]:
    """Of each task whose options are the same for all its outputs."""
    asked = records.filter(pl.col("option_logprobs").is_not_null() & (pl.col("options_outcome") == "ok"))
    found = []
    for (task,), rows in asked.group_by("task", maintain_order=True):
        options = rows["options"].to_list()
        usable = [n for n, one in enumerate(options) if one == options[0] and rows["output"][n] in one]
        shares = {n: _normalised(rows["option_logprobs"][n]) for n in usable}
        kept = [n for n, share in shares.items() if share is not None]
        units = np.unique(rows["unit"].to_numpy()[kept], return_inverse=True)[1]
        if len(kept) < len(options) or len(set(units.tolist())) < 2:
            continue
        found.append(
            calibration_of(
                np.array([shares[n] for n in kept]),
                np.array([options[0].index(rows["output"][n]) for n in kept]),
                units,
                unit=str(rows["unit_name"][0]),
                representation=str(task),
                label=str(task),
                seed=seed,
            )
        )
    return found
