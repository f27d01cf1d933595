"""`rescore`: measures the records of a run anew, without the model."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from pluralign.errors import UsageError, nearest_name
from pluralign.evals.evaluate import measured
from pluralign.evals.results import Evaluated, read_evaluated, read_records
from pluralign.stores import place

__all__ = ["rescored"]


def rescored(run: str | os.PathLike[str], *, metrics: Sequence[str] = (), seed: int | None = None) -> Evaluated:
    """What the records of a run folder say now; only these measures if any are named, with another seed for intervals if given.

    Raises DataError for a folder that is not of `evaluate`, UsageError for a measure that none of its evaluations has.
    """
    folder = place(run)
    before = read_evaluated(folder)
    seed = before.seed if seed is None else seed
    found = measured({name: read_records(folder, name) for name in before.findings}, seed=seed)
    known = sorted({finding.metric for several in found.values() for finding in several})
    if unknown := [name for name in metrics if name not in known]:
        raise UsageError(f"--metric {nearest_name(unknown[0], known)}")
    chosen = {name: [f for f in several if not metrics or f.metric in metrics] for name, several in found.items()}
    return dataclasses.replace(before, seed=seed, findings={name: several for name, several in chosen.items() if several})
