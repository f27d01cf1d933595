"""Situations to the values, rights and duties that a model sees in them, and to a decision, in a run folder or in memory.

    records.parquet      every different output, with what became of it (`surfacing.RECORDS_SCHEMA`)
    values.parquet       what is kept, most relevant first, in the published columns and the number of the situation
    situations.parquet   a row each: decision and entropy, or why there is none (`surfacing.SITUATIONS_SCHEMA`)
    results.json         counts, thresholds and where each is from, what it took

Situations are worked on in parts; a run that is killed goes on behind its last finished part. Tables are put together from the
parts on the disk, so memory does not grow with the number of situations beyond their texts.

>>> from pluralign.values.system import surface
>>> surface(["Biking to work instead of driving"], "hf/kaleido").table()  # doctest: +SKIP
"""

from __future__ import annotations

import functools
import hashlib
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import polars as pl

from pluralign.errors import UsageError
from pluralign.models.cache import ResponseCache
from pluralign.models.opening import ModelSettings
from pluralign.models.protocol import Usage
from pluralign.progress import Tell
from pluralign.runs import Run, RunConfig
from pluralign.scoring.job import opened_alike, settings_of_run
from pluralign.scoring.totals import Prices, Totals, rate
from pluralign.scoring.units import Engine, ModelEngine, Unit, finish_elsewhere, held, run_unit
from pluralign.values.embedding import Embed, open_embedding
from pluralign.values.kaleido import Decoding, ValuesModel, open_values_model
from pluralign.values.notice import notice
from pluralign.values.setup import Setup, SystemSettings, set_up
from pluralign.values.situations import checked_situations
from pluralign.values.surfacing import situations_of, surfaced_part

__all__ = ["PUBLISHED_COLUMNS", "Counts", "Surfaced", "opened_values_model", "surface"]

PUBLISHED_COLUMNS = ("action", "vrd", "text", "relevant", "supports", "opposes", "either", "explanation", "label")
PART_SITUATIONS = 32
"""Of a part, which is lost when a run is killed in the middle of it."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of what; counts add up."""

    n_situations: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """Of situations: "ok", or at which step nothing was left."""
    n_generated: int = 0
    n_considerations: int = 0
    """Different ones, by situation."""
    fates: Mapping[str, int] = field(default_factory=dict)
    """What became of the different outputs."""
    output_outcomes: Mapping[str, int] = field(default_factory=dict)
    """Of the different outputs: of generation, or of relevance where generation went well."""
    valence_outcomes: Mapping[str, int] = field(default_factory=dict)
    explanation_outcomes: Mapping[str, int] = field(default_factory=dict)
    n_cut: int = 0
    """Situations of which the model read less than the whole."""

    @classmethod
    def of(cls, records: pl.DataFrame, situations: pl.DataFrame) -> Counts:
        """Those of some situations."""
        return cls(
            n_situations=situations.height,
            outcomes=_counted(situations["outcome"]),
            n_generated=int(records["n_generated"].sum()),
            n_considerations=int(records["vrd"].is_not_null().sum()),
            fates=_counted(records["fate"]),
            output_outcomes=_counted(records["outcome"]),
            valence_outcomes=_counted(records["valence_outcome"]),
            explanation_outcomes=_counted(records["explanation_outcome"]),
            n_cut=int(situations["is_cut"].sum()),
        )

    def __add__(self, other: Counts) -> Counts:
        sums: dict[str, Any] = {}
        for one in fields(self):
            mine, others = getattr(self, one.name), getattr(other, one.name)
            sums[one.name] = mine + others if isinstance(mine, int) else dict(Counter(mine) + Counter(others))
        return Counts(**sums)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surfaced:
    """What a model sees in some situations; the tables are read when they are asked for."""

    model: str
    notice: str
    """What the answers are, and whose data the model learned from; to be shown with them."""
    setup: Setup
    records: pl.LazyFrame
    """`surfacing.RECORDS_SCHEMA`: all outputs."""
    considerations: pl.LazyFrame
    """What is kept: `situation`, and the published columns."""
    situations: pl.LazyFrame
    """`surfacing.SITUATIONS_SCHEMA`."""
    counts: Counts
    totals: Totals
    prices: Prices | None = None

    def table(self) -> pl.DataFrame:
        """What is kept, in the published columns; by situation, most relevant first."""
        return self.considerations.select(PUBLISHED_COLUMNS).collect()

    def to_dict(self) -> dict[str, Any]:
        """For results.json."""
        return {
            "model": self.model,
            "notice": self.notice,
            **asdict(self.counts),
            "setup": self.setup.to_dict(),
            "notes": self.setup.notes,
            "totals": self.totals.to_dict(self.prices),
        }


def surface(
    situations: Sequence[str],
    model: str | ValuesModel,
    settings: SystemSettings | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    decoding: Decoding | None = None,
    model_settings: ModelSettings | None = None,
    cache: ResponseCache | None = None,
    prices: Prices | None = None,
    engine: ModelEngine | None = None,
    on_progress: Tell | None = None,
) -> Surfaced:
    """What the model sees in each situation; with `out`, in a run folder.

    `decoding`, `model_settings` and `cache` are for a model that is opened by its name. An `engine` asks the model elsewhere,
    with the same records, and needs a run folder. Raises DataError for situations without text and for those that the model
    cannot know, all of them at once; else what the model raises.
    """
    if engine is not None and out is None:
        raise UsageError("--engine keeps what is finished in a run folder, and there is none: pass --out.")
    texts = checked_situations(list(situations))
    opened = opened_values_model(model, model_settings, cache, decoding=decoding)
    opened.check(texts)
    setup = set_up(settings or SystemSettings(), opened)
    work = _Work(texts, _System(opened, open_embedding(setup.embedding, opened)), setup, on_progress)
    if out is None:
        tables, counts, totals = work.in_memory()
    else:
        opening = functools.partial(
            _opened_system, opened.name, model_settings, decoding, setup.embedding, opened.fingerprint()
        )
        config = _config(texts, opened, setup, model_settings)
        with Run.open(out, config) as run, held(engine, model, opened, opening, model_settings) as at_work:
            tables, counts, totals = work.in_folder(run, at_work)
            found = _surfaced(opened, setup, tables, counts, totals, prices)
            run.write_results(found.to_dict())
        return found
    return _surfaced(opened, setup, tables, counts, totals, prices)


def opened_values_model(
    model: str | ValuesModel,
    settings: ModelSettings | None = None,
    cache: ResponseCache | None = None,
    *,
    decoding: Decoding | None = None,
) -> ValuesModel:
    """The model of this name, or the given one as it is. Raises UsageError for settings that could not count."""
    if isinstance(model, str):
        return open_values_model(model, settings, cache, decoding=decoding)
    if settings is not None or cache is not None or decoding is not None:
        raise UsageError("settings, cache and decoding are for a model that is opened by its name; this one is open already.")
    return model


_Tables = tuple[pl.LazyFrame, pl.LazyFrame]
"""Records and situations."""


@dataclass(frozen=True, slots=True, eq=False)
class _System:
    """A model, and vectors beside it."""

    model: ValuesModel
    embed: Embed | None

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def usage(self) -> Usage:
        return self.model.usage

    def fingerprint(self) -> str:
        return self.model.fingerprint()


def _opened_system(
    name: str, settings: ModelSettings | None, decoding: Decoding | None, embedding: str, fingerprint: str
) -> _System:
    model = opened_alike(functools.partial(open_values_model, name, decoding=decoding), settings, fingerprint)
    return _System(model, open_embedding(embedding, model))


def _part(setup: Setup, texts: Sequence[str], first: int, system: _System) -> pl.DataFrame:
    return surfaced_part(texts, first, system.model, setup, system.embed)


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """The situations, part by part."""

    texts: Sequence[str]
    model: _System
    setup: Setup
    tell: Tell | None

    def unit(self, number: int, first: int) -> Unit:
        texts = self.texts[first : first + PART_SITUATIONS]
        return Unit(f"part-{number:06d}", functools.partial(_part, self.setup, texts, first), len(texts))

    def say(self, done: int, totals: Totals) -> None:
        if self.tell is not None:
            self.tell(f"asking {self.model.name}", done, len(self.texts), rate(totals))

    def in_memory(self) -> tuple[_Tables, Counts, Totals]:
        before, start = replace(self.model.usage), time.perf_counter()
        records: list[pl.DataFrame] = []
        for number, first in enumerate(self._firsts):
            self.say(first, Totals())
            records.append(self.unit(number, first).compute(self.model))
        together = pl.concat(records)
        totals = Totals(self.model.usage - before, time.perf_counter() - start)
        self.say(len(self.texts), totals)
        situations = situations_of(together)
        return (together.lazy(), situations.lazy()), Counts.of(together, situations), totals

    def in_folder(self, run: Run, engine: Engine | None) -> tuple[_Tables, Counts, Totals]:
        counts, totals, now = Counts(), Totals(), Totals()
        units = [self.unit(number, first) for number, first in enumerate(self._firsts)]
        names = [unit.name for unit in units]
        finish_elsewhere(run, units, self.model, engine=engine, tell=self.tell)
        for unit, first in zip(units, self._firsts, strict=True):
            self.say(first, now)
            part, took, is_new = run_unit(run, unit, self.model)
            of_part = run.step_table(f"{unit.name}.situations", functools.partial(situations_of, part))
            counts, totals = counts + Counts.of(part, of_part), totals + took
            now += took if is_new else Totals()
        self.say(len(self.texts), now)
        records = run.sink_table("records.parquet", run.scan_steps(names))
        situations = run.sink_table("situations.parquet", run.scan_steps([f"{name}.situations" for name in names]))
        run.sink_table("values.parquet", _kept(records))
        return (records, situations), counts, totals

    @property
    def _firsts(self) -> range:
        return range(0, len(self.texts), PART_SITUATIONS)


def _kept(records: pl.LazyFrame) -> pl.LazyFrame:
    return records.filter(pl.col("fate") == "kept").select("situation", *PUBLISHED_COLUMNS)


def _surfaced(
    model: ValuesModel, setup: Setup, tables: _Tables, counts: Counts, totals: Totals, prices: Prices | None
) -> Surfaced:
    records, situations = tables
    return Surfaced(
        model=model.name,
        notice=notice(model.name),
        setup=setup,
        records=records,
        considerations=_kept(records),
        situations=situations,
        counts=counts,
        totals=totals,
        prices=prices,
    )


def _config(texts: Sequence[str], model: ValuesModel, setup: Setup, settings: ModelSettings | None) -> RunConfig:
    """Model, how it is asked, thresholds, and the hash of all situations in their order."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    return RunConfig(
        command="values",
        arguments={
            "model": model.name,
            "model_fingerprint": model.fingerprint(),
            "settings": settings_of_run(settings),
            "setup": {name: value for name, value in setup.to_dict().items() if name != "seed"},
            "situations_sha256": digest.hexdigest(),
        },
        seed=setup.seed,
    )


def _counted(column: pl.Series) -> dict[str, int]:
    """How often each value is there, nulls left out."""
    return dict(Counter(column.drop_nulls().to_list()))
