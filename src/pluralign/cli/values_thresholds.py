"""The command that tunes the system's thresholds: values-thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from pluralign.cli.flags import OutputFlags
from pluralign.cli.printing import print_found

__all__ = ["ThresholdFlags", "thresholds"]


@Parameter(name="*", group=Group("The search", sort_key=1))
@dataclass(frozen=True, kw_only=True)
class ThresholdFlags:
    """How thresholds are found."""

    embedding: str | None = None
    """Vectors that the third threshold is for: encoder, tfidf, none, or hf/NAME. Default: those of the run, else tfidf."""
    model: str | None = None
    """Whose encoder makes the vectors of `encoder`: hf/FOLDER_OR_ID. Default: the run's."""
    dedup_across_vrd: Annotated[bool, Parameter(negative=())] = False
    """Compare values, rights and duties with one another too."""
    beta: float = 1.0
    """Weight of recall: 1 as much as precision, 2 more."""
    n_folds: int = 5
    """Parts of the situations, each measured with thresholds of the others."""
    seed: int = 0
    """Of folds and intervals."""


_SEARCH, _OUTPUT = ThresholdFlags(), OutputFlags()


def thresholds(
    scores: Path,
    reference: Path,
    /,
    *,
    checkpoint: Path | None = None,
    out: Path | None = None,
    search: ThresholdFlags = _SEARCH,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Tune the three thresholds of `values` against what people accepted, on scores that are there already.

    No model is asked. What the thresholds are worth is measured on situations that they were not chosen by.

    Parameters
    ----------
    scores
        A run folder of values, of which all outputs count, kept or not; or a table with action, vrd, text and relevant.
    reference
        What people accepted: a .csv, .jsonl or .parquet with situation (or action), vrd and text. A row without vrd and text
        says that nothing was accepted. Situations that are not in it are left out, and counted.
    checkpoint
        A folder whose config.json is copied into --out with these thresholds as its `system_params`; it stays as it is.
    out
        Folder for results.json, system_params.json and the whole grid. Default: nothing is written.
    """
    from pluralign.errors import UsageError
    from pluralign.values.threshold_files import tune_on_files, write_tuned

    if checkpoint is not None and out is None:
        raise UsageError("--checkpoint writes a configuration into --out FOLDER; name one.")
    found = tune_on_files(
        scores,
        reference,
        embedding=search.embedding,
        model=search.model,
        beta=search.beta,
        across_vrd=search.dedup_across_vrd,
        n_folds=search.n_folds,
        seed=search.seed,
    )
    files = [] if out is None else write_tuned(found, out, checkpoint=checkpoint)
    written = f"{out}: {', '.join(files)}" if files else None
    print_found(found.to_dict(), found.lines(), written, as_json=output.json)
