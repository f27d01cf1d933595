"""Thresholds tuned on files: the records of a run, or a table of scores, against a table of what people accepted.

    run or table   a run folder of `pluralign values` (all its outputs, kept or not), or a table: action, vrd, text, relevant
    reference      a table: situation (or action), vrd, text; a row without vrd and text says that nothing was accepted

Situations that are in one of the two only are left out and counted: of what nobody looked at, nothing is known.

The vectors are made of all candidates of a situation; in the system, of those that are left after the walk by words. For
tfidf, whose weights follow from the texts at hand, cosines differ a little between the two.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pluralign.errors import DataError, UsageError
from pluralign.files import atomic_write, read_json, write_json_atomic
from pluralign.models.opening import ModelSettings
from pluralign.values.considerations import KINDS, Consideration, one_line
from pluralign.values.embedding import open_embedding
from pluralign.values.kaleido import open_values_model
from pluralign.values.situations import read_table
from pluralign.values.thresholds import Candidates, TunedThresholds, candidates_of, tune_thresholds

__all__ = ["TunedOnFiles", "read_reference", "run_table", "tune_on_files", "write_tuned"]

_NAMES = ("situation", "action")
CHECKPOINT_CONFIG = "config.json"
PARAMS = "system_params.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedOnFiles:
    """Thresholds with what they are worth, and what they were tuned on."""

    tuned: TunedThresholds
    embedding: str
    """Vectors that the embedding threshold is for."""
    across_vrd: bool
    n_situations: int
    n_without_reference: int
    """Situations of the run or table, left out."""
    n_without_candidates: int
    """Situations of the reference, left out."""

    @property
    def system_params(self) -> dict[str, Any]:
        """Under the names that a checkpoint's config.json has."""
        limits = self.tuned.thresholds
        return {
            "relevance_threshold": limits.relevance,
            "ngram_threshold": limits.ngram,
            "embed_threshold": limits.embed,
            "dedup_across_vrd": self.across_vrd,
        }

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        counts = ("embedding", "n_situations", "n_without_reference", "n_without_candidates")
        return {
            **self.tuned.to_dict(),
            **{name: getattr(self, name) for name in counts},
            "system_params": self.system_params,
        }

    def lines(self) -> list[str]:
        """For people."""
        tuned, limits = self.tuned, self.tuned.thresholds
        name = "F1" if tuned.beta == 1 else f"F{tuned.beta:g}"
        unused = {field: "" if getattr(limits, field) < 1 else " (not used)" for field in ("ngram", "embed")}
        moved = {field: sorted({getattr(one, field) for one in tuned.by_fold}) for field in ("relevance", "ngram", "embed")}
        spread = "; ".join(f"{field} {_range(values)}" for field, values in moved.items())
        left = [
            f"{n:,} situations {what}, left out"
            for n, what in (
                (self.n_without_reference, "have no reference"),
                (self.n_without_candidates, "of the reference have no candidates"),
            )
            if n
        ]
        left += [f"{tuned.n_unscored:,} candidates have no relevance, left out"] if tuned.n_unscored else []
        return [
            f"thresholds from {self.n_situations:,} situations:",
            f"  relevance  {limits.relevance:g}",
            f"  words      {limits.ngram:g}{unused['ngram']}",
            f"  vectors    {limits.embed:g}{unused['embed']}, {self.embedding}",
            f"{name} on situations that they were not chosen by: {tuned.held_out}",
            f"  precision {tuned.held_out_precision}, recall {tuned.held_out_recall}",
            f"  keeping every candidate: {tuned.unfiltered}",
            f"chosen in the {len(tuned.by_fold)} folds: {spread}",
            *left,
            "",
            json.dumps({"system_params": self.system_params}, indent=1),
        ]


def tune_on_files(
    scores: str | os.PathLike[str],
    reference: str | os.PathLike[str],
    *,
    embedding: str | None = None,
    model: str | None = None,
    model_settings: ModelSettings | None = None,
    beta: float = 1.0,
    across_vrd: bool = False,
    n_folds: int = 5,
    seed: int = 0,
) -> TunedOnFiles:
    """The thresholds with the highest F_beta, measured by cross-validation over situations.

    `embedding` is the run's own unless named, or else tfidf; `model`, whose encoder makes the vectors of "encoder", is the
    run's, too. Raises DataError for tables without the columns, or that share too few situations.
    """
    table, about = run_table(scores, "records.parquet")
    listed = candidates_of(table)
    accepted = read_reference(reference)
    known = {one_line(one.situation) for one in listed}
    kept = [replace(one, situation=one_line(one.situation)) for one in listed if one_line(one.situation) in accepted]
    if len(kept) < max(2, n_folds):
        raise DataError(
            os.fspath(reference),
            f"it shares {len(kept):,} situations with {os.fspath(scores)}, which has {len(listed):,}; {n_folds} folds need as "
            "many. Situations are matched by their whole text.",
        )
    embedding = embedding or about.get("embedding") or "tfidf"
    tuned = tune_thresholds(
        _with_vectors(kept, embedding, model or about.get("model"), model_settings),
        accepted,
        beta=beta,
        across_vrd=across_vrd,
        n_folds=n_folds,
        seed=seed,
    )
    return TunedOnFiles(
        tuned=tuned,
        embedding=embedding,
        across_vrd=across_vrd,
        n_situations=len(kept),
        n_without_reference=len(listed) - len(kept),
        n_without_candidates=len(set(accepted) - known),
    )


def run_table(path: str | os.PathLike[str], name: str) -> tuple[pl.DataFrame, dict[str, str]]:
    """The table of this name in a run folder of `values`, with the run's model and embedding; or a table, with nothing.

    Raises DataError where it cannot be read.
    """
    folder = Path(path)
    if not folder.is_dir():
        return read_table(folder), {}
    results = read_json(folder / "results.json") if (folder / "results.json").is_file() else None
    if not isinstance(results, Mapping) or not isinstance(results.get("setup"), Mapping) or not (folder / name).is_file():
        raise DataError(str(folder), f"this is no finished run of `pluralign values`: it needs results.json and {name}.")
    return read_table(folder / name), {"model": str(results["model"]), "embedding": str(results["setup"]["embedding"])}


def read_reference(file: str | os.PathLike[str]) -> dict[str, list[Consideration]]:
    """What was accepted of each situation. Raises DataError for rows that are half filled, or of another kind."""
    table = read_table(file)
    where = os.fspath(file)
    named = next((name for name in _NAMES if name in table.columns), None)
    if named is None or not {"vrd", "text"} <= set(table.columns):
        raise DataError(where, f"need the columns situation (or action), vrd and text; columns are {', '.join(table.columns)}")
    found: dict[str, list[Consideration]] = {}
    faults = []
    columns = [pl.col(name).cast(pl.String).fill_null("").str.strip_chars() for name in (named, "vrd", "text")]
    for number, (situation, vrd, text) in enumerate(table.select(columns).iter_rows(), 1):
        if not situation or (vrd not in KINDS and vrd != "") or (vrd == "") != (text == ""):
            faults.append(f"row {number}: {situation[:40]!r}, {vrd[:20]!r}, {text[:40]!r}; vrd is one of {', '.join(KINDS)}")
            continue
        listed = found.setdefault(one_line(situation), [])
        if text:
            listed.append(Consideration(vrd, one_line(text)))
    if faults:
        raise DataError(where, [*faults[:10], "a row without vrd and text says that nothing was accepted"])
    return found


def write_tuned(
    found: TunedOnFiles, out: str | os.PathLike[str], *, checkpoint: str | os.PathLike[str] | None = None
) -> list[str]:
    """results.json, grid.parquet and system_params.json in the folder `out`; names of the files.

    With `checkpoint`, a folder, config.json too: its configuration with these thresholds in place of its own. The checkpoint
    itself stays as it is. Raises DataError where it has no config.json.
    """
    folder = Path(out)
    config = None if checkpoint is None else _config_of(Path(checkpoint))
    folder.mkdir(parents=True, exist_ok=True)
    write_json_atomic(folder / "results.json", found.to_dict())
    write_json_atomic(folder / PARAMS, found.system_params)
    with atomic_write(folder / "grid.parquet") as file:
        found.tuned.table.write_parquet(file)
    if config is None:
        return ["results.json", PARAMS, "grid.parquet"]
    write_json_atomic(folder / CHECKPOINT_CONFIG, {**config, "system_params": found.system_params})
    return ["results.json", PARAMS, "grid.parquet", CHECKPOINT_CONFIG]


def _config_of(checkpoint: Path) -> dict[str, Any]:
    path = checkpoint / CHECKPOINT_CONFIG
    content = read_json(path) if path.is_file() else None
    if not isinstance(content, dict):
        raise DataError(str(path), "a checkpoint's folder has its configuration here, a JSON object.")
    return content


def _with_vectors(
    listed: list[Candidates], embedding: str, model: str | None, settings: ModelSettings | None
) -> list[Candidates]:
    if embedding == "none":
        return listed
    if embedding == "encoder" and model is None:
        raise UsageError("the vectors of `encoder` are a model's; name it with --model, or take --embedding tfidf or hf/NAME.")
    opened: Any = open_values_model(str(model), settings) if embedding == "encoder" else None  # others ask no model
    embed = open_embedding(embedding, opened)
    if embed is None:
        return listed
    found = []
    for one in listed:
        texts = [each.text for each in one.considerations]
        found.append(replace(one, vectors=embed(texts) if len(texts) > 1 else np.zeros((len(texts), 1))))
    return found


def _range(values: list[float]) -> str:
    return f"{values[0]:g}" if len(values) == 1 else f"{values[0]:g} to {values[-1]:g}"
