"""Minimal pairs as a run: read from a file or drawn, judged part by part, kept in a run folder, scored where truth is known.

    contrasts.parquet   a row for each pair and consideration (`Contrasts.table`)
    results.json        shares of what enters, leaves, flips and stays, scores against the truth, what it took

A run that is killed goes on behind its last finished part of 16 pairs.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from pluralign.errors import DataError, UsageError
from pluralign.estimates import Estimate
from pluralign.models.cache import ResponseCache
from pluralign.models.opening import ModelSettings
from pluralign.progress import Tell
from pluralign.runs import Run, RunConfig
from pluralign.scoring.job import settings_of_run
from pluralign.scoring.totals import Prices, Totals, rate
from pluralign.scoring.units import run_part
from pluralign.values.considerations import Consideration
from pluralign.values.contrast import Change, Contrasts, contrast
from pluralign.values.contrast_truth import ContrastScores, score_contrasts, simulated_considerations
from pluralign.values.kaleido import Decoding, ValuesModel
from pluralign.values.notice import notice
from pluralign.values.setup import SystemSettings, set_up
from pluralign.values.situations import checked_situations, read_table
from pluralign.values.system import opened_values_model

__all__ = ["CONTRASTS", "ContrastRun", "ContrastSettings", "TextPair", "contrast_run", "read_considerations", "read_pair_file"]

CONTRASTS = "contrasts.parquet"
COLUMNS = ("before", "after")
PART_PAIRS = 16
"""Of a part, which is lost when a run is killed in the middle of it."""
TextPair = tuple[str, str]
"""A situation in two versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastSettings:
    """How pairs are judged."""

    n: int = 30
    """Candidates that are generated for each version, where no considerations are given."""
    threshold: float | None = None
    """Of relevance; None is the checkpoint's own (the highest of its kinds'), or else .5."""
    considerations: tuple[Consideration, ...] = ()
    """Judged in place of generated ones."""
    is_simulated: bool = False
    """Pairs of the simulated world: its thirty considerations are judged, and scored against the truth."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n < 1 or not (self.threshold is None or 0 <= self.threshold <= 1):
            raise UsageError(f"n is at least 1 and the threshold in 0..1; they are {self.n} and {self.threshold}.")
        if self.is_simulated and self.considerations:
            raise UsageError("pairs of the simulated world are judged on its own considerations; leave the others out.")

    @property
    def asked(self) -> tuple[Consideration, ...]:
        """What is judged; empty where it is generated."""
        return tuple(simulated_considerations()) if self.is_simulated else self.considerations


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ContrastRun:
    """What changes in the pairs, and what it took."""

    found: Contrasts
    shares: Mapping[Change, Estimate]
    """Of considerations with each kind of change, pairs resampled."""
    scores: ContrastScores | None
    """Beside the truth; None where it is not known."""
    totals: Totals
    prices: Prices | None = None

    def to_dict(self) -> dict[str, Any]:
        """For results.json; without the table."""
        scores = self.scores
        named = ("right_is_flagged", "right_is_largest", "flagged_share", "change_correlation")
        return {
            "model": self.found.model,
            "notice": self.found.notice,
            "threshold": self.found.threshold,
            "n_pairs": self.found.n_pairs,
            "n_considerations": self.found.table.height,
            "shares": {kind: one.to_dict() for kind, one in self.shares.items()},
            "scores": None
            if scores is None
            else {**{name: getattr(scores, name).to_dict() for name in named}, "n_unchanged": scores.n_unchanged},
            "totals": self.totals.to_dict(self.prices),
        }


def contrast_run(
    pairs: Sequence[TextPair],
    model: str | ValuesModel,
    settings: ContrastSettings | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    decoding: Decoding | None = None,
    model_settings: ModelSettings | None = None,
    cache: ResponseCache | None = None,
    prices: Prices | None = None,
    on_progress: Tell | None = None,
) -> ContrastRun:
    """What changes from the first to the second version of each pair; with `out`, in a run folder.

    `decoding`, `model_settings` and `cache` are for a model that is opened by its name. Raises UsageError for no pair,
    DataError for situations without text and for those that the model cannot know.
    """
    settings = settings or ContrastSettings()
    texts = checked_situations([text for pair in pairs for text in pair])
    asked = list(zip(texts[::2], texts[1::2], strict=True))
    opened = opened_values_model(model, model_settings, cache, decoding=decoding)
    opened.check(list(dict.fromkeys(texts)))
    given = set_up(SystemSettings(relevance_threshold=settings.threshold), opened).relevance
    work = _Work(asked, opened, settings, max(given.values()), on_progress)
    if out is None:
        return work.together(*work.in_memory(), prices=prices)
    with Run.open(out, _config(work, model_settings)) as run:
        found = work.together(*work.in_folder(run), prices=prices)
        run.write_table(CONTRASTS, found.found.table)
        run.write_results(found.to_dict())
    return found


def read_pair_file(file: str | os.PathLike[str], *, columns: Sequence[str] = (), limit: int | None = None) -> list[TextPair]:
    """Pairs of a .csv, .jsonl or .parquet file, one a row, in its order; `columns` are two, before and after unless named.

    Raises DataError for a file that cannot be read, without the columns, or with a text that is missing.
    """
    names = tuple(columns) or COLUMNS
    if len(names) != 2 or (limit is not None and limit < 1):
        raise UsageError("a pair has two columns, and a limit is a number of pairs, at least 1.")
    table = read_table(file)
    if missing := [name for name in names if name not in table.columns]:
        raise DataError(
            os.fspath(file),
            f"no column {' and '.join(missing)}; columns are {', '.join(table.columns)[:300]}. Name two with --columns.",
        )
    rows = table.select(pl.col(name).cast(pl.String).fill_null("") for name in names).head(limit or table.height).rows()
    flat = checked_situations([text for row in rows for text in row], where=os.fspath(file)) if rows else []
    if not flat:
        raise DataError(os.fspath(file), "there are no pairs; give a row each.")
    return list(zip(flat[::2], flat[1::2], strict=True))


def read_considerations(written: Sequence[str]) -> tuple[Consideration, ...]:
    """Of texts such as "Value: honesty". Raises UsageError for what is none."""
    found = [Consideration.parse(text) for text in written]
    if strange := [text for text, one in zip(written, found, strict=True) if one is None]:
        raise UsageError(f"{strange[0]!r} is no consideration; write its kind first: Value: honesty, Right: ..., Duty: ....")
    return tuple(one for one in found if one is not None)


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """The pairs, part by part."""

    pairs: Sequence[TextPair]
    model: ValuesModel
    settings: ContrastSettings
    threshold: float
    tell: Tell | None

    def part(self, first: int) -> pl.DataFrame:
        some = self.pairs[first : first + PART_PAIRS]
        asked = self.settings.asked or None
        found = contrast(
            self.model, some, considerations=asked, threshold=self.threshold, n=self.settings.n, seed=self.settings.seed
        )
        return found.table.with_columns(pair=pl.col("pair") + first)

    def in_memory(self) -> tuple[list[pl.DataFrame], Totals]:
        before, start = replace(self.model.usage), time.perf_counter()
        tables = self._parts(lambda number, first: (self.part(first), Totals(), False))
        return [table for table, _, _ in tables], Totals(self.model.usage - before, time.perf_counter() - start)

    def in_folder(self, run: Run) -> tuple[list[pl.DataFrame], Totals]:
        parts = self._parts(
            lambda number, first: run_part(run, f"part-{number:05d}", self.model, functools.partial(self.part, first))
        )
        return [table for table, _, _ in parts], sum((took for _, took, _ in parts), Totals())

    def _parts(self, one: Callable[[int, int], tuple[pl.DataFrame, Totals, bool]]) -> list[tuple[pl.DataFrame, Totals, bool]]:
        found, now = [], Totals()
        for number, first in enumerate(range(0, len(self.pairs), PART_PAIRS)):
            self._say(first, now)
            table, took, is_new = one(number, first)
            found.append((table, took, is_new))
            now += took if is_new else Totals()
        self._say(len(self.pairs), now)
        return found

    def _say(self, done: int, totals: Totals) -> None:
        if self.tell is not None:
            self.tell(f"asking {self.model.name}", done, len(self.pairs), rate(totals))

    def together(self, tables: Sequence[pl.DataFrame], totals: Totals, *, prices: Prices | None) -> ContrastRun:
        found = Contrasts(
            model=self.model.name,
            notice=notice(self.model.name),
            threshold=self.threshold,
            n_pairs=len(self.pairs),
            table=pl.concat(tables),
        )
        seed = self.settings.seed
        scores = score_contrasts(found, seed=seed) if self.settings.is_simulated else None
        return ContrastRun(found=found, shares=found.shares(seed=seed), scores=scores, totals=totals, prices=prices)


def _config(work: _Work, settings: ModelSettings | None) -> RunConfig:
    """Model, how it is asked, what it is asked of, and the hash of all pairs in their order."""
    asked = work.settings
    return RunConfig(
        command="values-contrast",
        arguments={
            "model": work.model.name,
            "model_fingerprint": work.model.fingerprint(),
            "settings": settings_of_run(settings),
            "n": None if asked.asked else asked.n,
            "threshold": work.threshold,
            "considerations": [one.written for one in asked.asked],
            "is_simulated": asked.is_simulated,
            "pairs_sha256": hashlib.sha256(json.dumps(list(work.pairs)).encode()).hexdigest(),
        },
        seed=asked.seed,
    )
