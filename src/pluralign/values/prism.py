"""Making data in the form of ValuePrism: situations in, a language model asked, a table of values, rights and duties out.

    1. ask      by a prompt (`prism_prompt`), or in pieces: considerations drawn one by one, then the valence of each and an
                explanation, as Kaleido's own tasks ask; the embedded model knows the latter only
    2. read     strictly; refused, cut-off and unparsed replies are counted by outcome
    3. deduplicate within a situation, first named first kept (`dedup`)
    4. split by situation, draw contrastive negatives for relevance, write the mixture of four tasks as episodes

Into a run folder, in parts, so that it goes on where it was stopped: `records.parquet` (what came of every request),
`prism.parquet` (the published columns), `relevance.parquet`, `splits.parquet`, `episodes-SPLIT.parquet`, `quality.csv` (rows
for people to check) and `results.json`.

Source: Sorensen et al. 2024, Value Kaleidoscope (arXiv 2309.00779): 218,000 considerations of 31,000 situations; people judged
91 % good. Departures: the prompts are ours, since theirs are unknown.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl

from pluralign.episodes import write_episodes
from pluralign.errors import DataError, UsageError
from pluralign.estimates import Estimate, estimate_ratio
from pluralign.models.cache import ResponseCache
from pluralign.models.opening import ModelSettings
from pluralign.models.protocol import LanguageModel, SamplingSettings
from pluralign.progress import Tell
from pluralign.runs import Run, RunConfig
from pluralign.scoring.job import held_model, opened_model
from pluralign.scoring.totals import Totals
from pluralign.scoring.units import ModelEngine, Unit, run_units
from pluralign.values.considerations import VALENCES, Consideration
from pluralign.values.dedup import rouge_keep
from pluralign.values.episodes import EpisodeKaleido
from pluralign.values.notice import notice
from pluralign.values.prism_data import (
    COLUMNS,
    SPLITS,
    Split,
    prism_episodes,
    quality_csv,
    relevance_rows,
    splits_of,
)
from pluralign.values.prism_prompt import PROMPT_VERSION, prism_query, read_reply
from pluralign.values.situations import checked_situations

__all__ = ["PrismMade", "PrismSettings", "deduplicated", "make_prism"]

PART_SITUATIONS = 64
_SCHEMA = {
    "situation": pl.String,
    "outcome": pl.String,
    "n_replies": pl.Int64,
    "vrd": pl.String,
    "text": pl.String,
    "explanation": pl.String,
    "valence": pl.String,
    "reply": pl.String,
    "detail": pl.String,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PrismSettings:
    """How data are made."""

    way: Literal["prompt", "pieces"] | None = None
    """Default: pieces for the embedded model, prompt for all others."""
    n_pieces: int = 20
    """Pieces: considerations that are drawn for a situation, equal ones included."""
    max_tokens: int = 1024
    """Prompt: after which a reply is cut off."""
    temperature: float = 1.0
    dedup_threshold: float = 0.75
    """ROUGE-L (F) over which a consideration says what an earlier one of its kind says; 1 keeps all."""
    shares: Mapping[Split, float] = field(default_factory=lambda: dict(SPLITS))
    per_task: int | None = None
    """Episodes of each task and split, at most."""
    n_quality: int = 100
    """Rows for people to check."""
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.n_pieces, self.max_tokens, self.n_quality) < 1:
            raise UsageError("n_pieces, max_tokens and n_quality must be at least 1.")

    def way_of(self, model: LanguageModel) -> Literal["prompt", "pieces"]:
        return self.way or ("pieces" if model.name.partition("/")[0] == "embedded" else "prompt")


@dataclass(frozen=True, kw_only=True)
class PrismMade:
    """What was made."""

    model: str
    way: str
    n_situations: int
    n_without: int
    """Situations of which no reply could be read."""
    outcomes: Mapping[str, int]
    """Replies by outcome, most frequent first."""
    parsed: Estimate
    """The share of replies that could be read, situations resampled."""
    n_dropped: int
    """Considerations that said what another one of their situation said."""
    n_without_valence: int
    """Pieces: considerations left out since their valence could not be had."""
    table: pl.DataFrame
    """The published columns."""
    relevance: pl.DataFrame
    splits: Mapping[str, Split]
    n_episodes: Mapping[str, int]
    totals: Totals

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without the tables."""
        labels = Counter(self.relevance["label"].to_list())
        return {
            "notice": notice(self.model),
            "model": self.model,
            "way": self.way,
            "prompt_version": PROMPT_VERSION if self.way == "prompt" else None,
            "n_situations": self.n_situations,
            "n_situations_without": self.n_without,
            "outcomes": dict(self.outcomes),
            "parsed_share": self.parsed.to_dict(),
            "n_considerations": self.table.height,
            "n_duplicates_dropped": self.n_dropped,
            "n_without_valence": self.n_without_valence,
            "vrd": dict(Counter(self.table["vrd"].to_list()).most_common()),
            "valence": dict(Counter(self.table["valence"].to_list()).most_common()),
            "relevance_labels": dict(labels),
            "situations_by_split": dict(Counter(self.splits.values())),
            "episodes": dict(self.n_episodes),
            "totals": self.totals.to_step(),
        }


def make_prism(
    situations: Sequence[str],
    model: str | LanguageModel,
    out: str | os.PathLike[str],
    *,
    settings: PrismSettings | None = None,
    model_settings: ModelSettings | None = None,
    cache: ResponseCache | None = None,
    engine: ModelEngine | None = None,
    on_progress: Tell | None = None,
) -> PrismMade:
    """Data for these situations (equal ones once) into the run folder `out`; started again it goes on where it stopped.

    `model_settings` and `cache` are for a model that is opened by its name. An `engine` asks the model elsewhere, with the same
    records. Raises DataError for no situation, or where no reply at all could be read.
    """
    settings = settings or PrismSettings()
    asked = list(dict.fromkeys(checked_situations(list(situations))))
    opened = opened_model(model, model_settings, cache)
    way = settings.way_of(opened)
    if way == "pieces":
        EpisodeKaleido(opened).check(asked)
    config = _config(asked, opened, settings, way)
    with Run.open(out, config) as run, held_model(engine, model, opened, model_settings) as at_work:
        found = run_units(run, _units(asked, settings, way), opened, engine=at_work, tell=on_progress)
        records = pl.concat([one.table for one in found])
        run.write_records(records)
        table, n_dropped = deduplicated(_table_of(records), threshold=settings.dedup_threshold)
        splits = splits_of(asked, seed=settings.seed, shares=settings.shares)
        relevance = relevance_rows(table, splits, seed=settings.seed)
        run.write_table("prism.parquet", table)
        run.write_table("relevance.parquet", relevance)
        run.write_table("splits.parquet", pl.DataFrame({"situation": list(splits), "split": list(splits.values())}))
        made = PrismMade(
            model=opened.name,
            way=way,
            n_situations=len(asked),
            n_without=len(set(asked) - set(table["situation"].to_list())),
            outcomes=_outcomes(records),
            parsed=_parsed(records, settings.seed),
            n_dropped=n_dropped,
            n_without_valence=records.filter((pl.col("outcome") == "ok") & pl.col("valence").is_null()).height,
            table=table,
            relevance=relevance,
            splits=splits,
            n_episodes=_write_episodes(run, table, relevance, splits, settings),
            totals=sum((one.totals for one in found), Totals()),
        )
        run.write_text("quality.csv", quality_csv(table, n=settings.n_quality, seed=settings.seed))
        run.write_results(made.to_dict())
    return made


def deduplicated(table: pl.DataFrame, *, threshold: float) -> tuple[pl.DataFrame, int]:
    """Rows in the published columns without those that say what an earlier row of their situation says; how many fell."""
    if table.height == 0:
        return table, 0
    kept: list[int] = []
    rows = table.with_row_index("_row").partition_by("situation", maintain_order=True)
    for part in rows:
        listed = [Consideration(*row) for row in part.select("vrd", "text").iter_rows()]
        first = np.flatnonzero(part.select(pl.struct("vrd", "text").is_first_distinct()).to_series().to_numpy())
        some = [listed[i] for i in first]
        survive = rouge_keep(some, -np.arange(len(some), dtype=np.float64), threshold=threshold)
        kept += part["_row"].to_numpy()[first[np.sort(survive)]].tolist()
    return table[sorted(kept)], table.height - len(kept)


def _units(asked: Sequence[str], settings: PrismSettings, way: str) -> list[Unit]:
    ask = _by_prompt if way == "prompt" else _in_pieces
    parts = [asked[start : start + PART_SITUATIONS] for start in range(0, len(asked), PART_SITUATIONS)]
    return [
        Unit(f"part-{number:05d}", functools.partial(_part, ask, settings, part), len(part))
        for number, part in enumerate(parts)
    ]


def _part(
    ask: Callable[[Sequence[str], LanguageModel, PrismSettings], list[dict[str, Any]]],
    settings: PrismSettings,
    situations: Sequence[str],
    model: LanguageModel,
) -> pl.DataFrame:
    return pl.DataFrame(ask(situations, model, settings), schema=_SCHEMA)


def _by_prompt(situations: Sequence[str], model: LanguageModel, settings: PrismSettings) -> list[dict[str, Any]]:
    """A row a consideration; of a reply that could not be read, one."""
    drawing = SamplingSettings(max_tokens=settings.max_tokens, temperature=settings.temperature, seed=settings.seed)
    rows: list[dict[str, Any]] = []
    drawn = model.sample([prism_query(text) for text in situations], drawing)
    for situation, (sample,) in zip(situations, drawn, strict=True):
        reply = read_reply(sample)
        said = {"situation": situation, "outcome": reply.outcome, "reply": sample.text, "detail": reply.detail}
        if not reply.listed:
            rows.append({**said, "n_replies": 1})
        for place, one in enumerate(reply.listed):
            content: dict[str, Any] = {"vrd": one.consideration.vrd, "text": one.consideration.text}
            content |= {"valence": one.valence, "explanation": one.explanation}
            rows.append({**said, **content, "n_replies": int(place == 0), "reply": sample.text if place == 0 else None})
    return rows


def _in_pieces(situations: Sequence[str], model: LanguageModel, settings: PrismSettings) -> list[dict[str, Any]]:
    """A row for each different output, with how often it came; the valence is the most probable one."""
    kaleido = EpisodeKaleido(model)
    rows: list[dict[str, Any]] = []
    for situation, drawn in zip(situations, kaleido.generate(situations, n=settings.n_pieces, seed=settings.seed), strict=True):
        counts = Counter((one.outcome, one.consideration, one.text) for one in drawn)
        for (outcome, consideration, text), count in counts.items():
            content = {} if consideration is None else {"vrd": consideration.vrd, "text": consideration.text}
            rows.append({"situation": situation, "outcome": outcome, "n_replies": count, "reply": text, **content})
    named = [row for row in rows if "vrd" in row]
    pairs = [(row["situation"], Consideration(row["vrd"], row["text"])) for row in named]
    judged, explained = kaleido.valence(pairs), kaleido.explain(pairs)
    for row, shares, outcome, one in zip(named, judged.values, judged.outcomes, explained, strict=True):
        row["valence"] = VALENCES[int(shares.argmax())] if outcome == "ok" else None
        row["explanation"] = one.text if one.outcome == "ok" else None
        faults = [f"valence: {outcome}"] if outcome != "ok" else []
        row["detail"] = "; ".join([*faults, *([f"explanation: {one.outcome}"] if one.outcome != "ok" else [])])
    return rows


def _table_of(records: pl.DataFrame) -> pl.DataFrame:
    """The published columns of what could be read. Raises DataError where nothing could."""
    table = records.filter(pl.col("valence").is_not_null()).select(COLUMNS)
    if table.height == 0:
        came = ", ".join(f"{outcome} {n:,}" for outcome, n in _outcomes(records).items())
        raise DataError(
            "replies", f"none could be read ({came}); records.parquet has them. Ask a model that follows instructions."
        )
    return table


def _outcomes(records: pl.DataFrame) -> dict[str, int]:
    counts = records.group_by("outcome").agg(pl.col("n_replies").sum()).sort("n_replies", "outcome", descending=[True, False])
    return dict(counts.iter_rows())


def _parsed(records: pl.DataFrame, seed: int) -> Estimate:
    is_ok = pl.col("n_replies") * (pl.col("outcome") == "ok")
    sums = records.group_by("situation", maintain_order=True).agg(is_ok.sum().alias("ok"), pl.col("n_replies").sum())
    ok, n = (sums[name].to_numpy().astype(np.float64) for name in ("ok", "n_replies"))
    return estimate_ratio(ok, n, unit="situation", why="there is no reply", seed=seed)


def _write_episodes(
    run: Run, table: pl.DataFrame, relevance: pl.DataFrame, splits: Mapping[str, Split], settings: PrismSettings
) -> dict[str, int]:
    """One file a split; how many episodes each has."""
    found: dict[str, int] = {}
    for split in settings.shares:
        own = [text for text, one in splits.items() if one == split]
        part = table.filter(pl.col("situation").is_in(own))
        episodes = list(
            prism_episodes(part, relevance.filter(pl.col("split") == split), per_task=settings.per_task, seed=settings.seed)
        )
        write_episodes(run.folder / f"episodes-{split}.parquet", episodes)
        found[split] = len(episodes)
    return found


def _config(asked: Sequence[str], model: LanguageModel, settings: PrismSettings, way: str) -> RunConfig:
    return RunConfig(
        command="values-data",
        arguments={
            **dataclasses.asdict(settings),
            "way": way,
            "prompt_version": PROMPT_VERSION if way == "prompt" else None,
            "model": model.name,
            "model_fingerprint": model.fingerprint(),
            "situations_sha256": hashlib.sha256("\n".join(asked).encode()).hexdigest(),
        },
        seed=settings.seed,
    )
