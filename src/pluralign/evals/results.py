"""What a run of `evaluate` found, as it lies in its folder: results.json, and a table of records for each evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from pluralign.errors import DataError
from pluralign.evals.findings import Finding
from pluralign.evals.kinds import LeftOut
from pluralign.files import read_json
from pluralign.scoring.totals import Prices, Totals
from pluralign.stored_files import read_parquet
from pluralign.stores import Place

__all__ = ["FORMAT", "Evaluated", "JudgeUse", "NotRun", "read_evaluated", "read_records", "records_name"]

FORMAT = 1
"""Of results.json; raised when it changes."""


@dataclass(frozen=True, slots=True)
class NotRun:
    """A task that was left out, and why."""

    evaluation: str
    task: str
    why: str


@dataclass(frozen=True, slots=True)
class JudgeUse:
    """A model that tasks named, and what it took."""

    fingerprint: str
    totals: Totals


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """All that is known of a model after its evaluations."""

    model: str
    seed: int
    limit: int | None
    findings: Mapping[str, Sequence[Finding]]
    """By evaluation."""
    n_questions: Mapping[str, Mapping[str, int]]
    """By evaluation and task."""
    outcomes: Mapping[str, Mapping[str, int]]
    """Records by what came of the request, by evaluation."""
    not_run: Sequence[NotRun] = ()
    left_out: Mapping[str, Mapping[str, Sequence[LeftOut]]] = field(default_factory=dict)
    """By evaluation and task, where there is any."""
    totals: Totals = field(default_factory=Totals)
    """Of the model alone."""
    judges: Mapping[str, JudgeUse] = field(default_factory=dict)
    """By name."""
    prices: Prices | None = None

    def to_dict(self) -> dict[str, Any]:
        """As in results.json."""
        return {
            "format": FORMAT,
            "model": self.model,
            "seed": self.seed,
            "limit": self.limit,
            "evaluations": {
                name: {
                    "n_questions": dict(self.n_questions[name]),
                    "outcomes": dict(self.outcomes[name]),
                    "left_out": {task: [asdict(one) for one in some] for task, some in self.left_out.get(name, {}).items()},
                    "findings": [finding.to_dict() for finding in found],
                }
                for name, found in self.findings.items()
            },
            "not_run": [{"evaluation": one.evaluation, "task": one.task, "why": one.why} for one in self.not_run],
            "usage": self.totals.to_dict(self.prices),
            "totals": _totals_dict(self.totals),
            "judges": {
                name: {"fingerprint": one.fingerprint, "usage": one.totals.to_dict(None), "totals": _totals_dict(one.totals)}
                for name, one in self.judges.items()
            },
        }


def records_name(evaluation: str) -> str:
    """Of the table with the records of an evaluation, in a run's folder."""
    return f"records-{evaluation}.parquet"


def read_evaluated(folder: Place) -> Evaluated:
    """What results.json says. Raises DataError for a folder without one, and for one of another kind or version."""
    path = folder / "results.json"
    if not path.is_file():
        raise DataError(str(folder), "there is no results.json: not a run folder, or a run that has not ended; start it again")
    written = read_json(path)
    if not isinstance(written, dict) or "evaluations" not in written:
        raise DataError(str(path), "is not of `pluralign evaluate`")
    if written.get("format") != FORMAT:
        raise DataError(
            str(path), f"has format {written.get('format')!r}, this version reads {FORMAT}; evaluate the model again"
        )
    parts = written["evaluations"]
    return Evaluated(
        model=written["model"],
        seed=written["seed"],
        limit=written["limit"],
        findings={name: [Finding.from_dict(one) for one in part["findings"]] for name, part in parts.items()},
        n_questions={name: part["n_questions"] for name, part in parts.items()},
        outcomes={name: part["outcomes"] for name, part in parts.items()},
        not_run=[NotRun(**one) for one in written["not_run"]],
        left_out={
            name: {task: [LeftOut(**one) for one in some] for task, some in of.items()}
            for name, part in parts.items()
            if (of := part.get("left_out"))
        },
        totals=_totals(written["totals"]),
        judges={name: JudgeUse(one["fingerprint"], _totals(one["totals"])) for name, one in written.get("judges", {}).items()},
    )


def _totals_dict(totals: Totals) -> dict[str, Any]:
    return totals.to_step() | {"n_unmeasured": totals.n_unmeasured}


def _totals(written: Mapping[str, Any]) -> Totals:
    return Totals.from_step({**written}) + Totals(n_unmeasured=written["n_unmeasured"])


def read_records(folder: Place, evaluation: str) -> pl.DataFrame:
    """All records of an evaluation. Raises DataError where they are not there or cannot be read."""
    path = folder / records_name(evaluation)
    try:
        return read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(str(path), f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
