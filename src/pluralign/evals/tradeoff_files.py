"""What trade-offs are asked about, from files of one's own.

tradeoff:PROMPTS.jsonl?objectives=OBJECTIVES.jsonl&judge=MODEL&steps=4
tradeoff:SCORES.jsonl?objectives=brief,kind&reference=0,0                                  or .parquet: nothing is asked

PROMPTS      {"prompt": "...", "id": "q1", "unit": "topic 1"}        a line each; the last two may be left out
OBJECTIVES   episodes: `unit` is the objective's name, the description says what is wanted, examples show ratings, options
             are the scale from the worst to the best; `judge` rates every response on each (`jurors`)
SCORES       {"item": "q1", "system": "a", "brief": 0.3, "kind": 0.9, "unit": "topic 1", "weights": {"brief": 1, "kind": 0}}
             a line each. `weights`: what the system was told, if anything; null is a score that is missing
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pluralign.episodes import Episode, read_episodes
from pluralign.episodes.checks import capped
from pluralign.errors import DataError, UsageError, nearest_name
from pluralign.evals.judge_models import Judge
from pluralign.evals.jurors import checked_people
from pluralign.evals.jury_files import Panel
from pluralign.evals.kinds import Material
from pluralign.evals.named_files import NamedFile, json_lines, named_file, whole_number
from pluralign.evals.tradeoff_scores import simplex_weights

__all__ = ["MOST_VARIANTS", "TradeoffQuestion", "tradeoff_material"]

FLAGS = ("judge", "objectives", "reference", "steps")
STEPS = 4
"""Weights are multiples of 1/4: 5 functions of two objectives, 15 of three, 35 of four."""
MOST_VARIANTS = 200
_KEYS = ("item", "system", "unit", "weights")


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeoffQuestion:
    """One item: a prompt that is answered under every weighting, or scores that are there already."""

    task: str
    item: str
    unit: str
    objectives: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...] = ()
    """What the model is told, one weighting after the other, as objectives."""
    reference: tuple[float, ...] | None = None
    """From which a hypervolume counts, as objectives."""
    prompt: str | None = None
    panel: Panel | None = None
    """The objectives as episodes."""
    judge: str | None = None
    scored: tuple[tuple[str, tuple[float, ...] | None, tuple[float, ...]], ...] = ()
    """System, what it was told, and its scores; NaN where one is missing."""


def tradeoff_material(
    name: str, *, objectives: Sequence[str] = (), reference: Sequence[float] | None = None, limit: int | None = None
) -> Material:
    """The questions of a task `tradeoff:FILE?...`; the first `limit` of them. `objectives`: those of a scorer that is there.

    Raises UsageError for a name that does not say what it must, DataError with all that is wrong with the files.
    """
    named = named_file(name, "tradeoff", FLAGS)
    rows = _rows(named.path)
    if any("prompt" in row for _, row in rows if isinstance(row, Mapping)):
        questions = _prompts(named, rows, tuple(objectives), None if reference is None else tuple(reference))
    else:
        questions = _scores(named, rows)
    asked = questions[:limit]
    each = max(1, len(asked[0].weights) + 1) * (1 + len(asked[0].objectives)) if asked[0].prompt is not None else 1
    judges = [Judge(name) for name in dict.fromkeys(one.judge for one in asked) if name is not None]
    return Material(task=named.task, questions=asked, unit="item", requests_each=each, judges=judges)


def _rows(path: Path) -> list[tuple[str, Any]]:
    """Where in the file, and what stands there. Raises DataError for a file that cannot be read, or is empty."""
    if path.suffix == ".parquet":
        try:
            table = pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise DataError(str(path), f"not a parquet file that can be read: {str(error).splitlines()[0]}") from error
        rows: list[tuple[str, Any]] = [(f"row {n}", row) for n, row in enumerate(table.iter_rows(named=True), 1)]
    else:
        rows = [(f"line {n}", value) for n, value in json_lines(path)]
    if not rows:
        raise DataError(
            str(path), 'is empty; a line is {"prompt": "..."} or {"item": "...", "system": "...", "OBJECTIVE": 0.5}'
        )
    return rows


# prompts


def _prompts(
    named: NamedFile, rows: Sequence[tuple[str, Any]], known: tuple[str, ...], low: tuple[float, ...] | None
) -> list[TradeoffQuestion]:
    panel, judge = None, named.given.get("judge")
    if not known:
        if "objectives" not in named.given or judge is None:
            raise UsageError(f"{named.name}: prompts need objectives=FILE of episodes and judge=MODEL, which rates by them")
        panel = Panel(_objectives(Path(named.given["objectives"])))
        known, low = tuple(str(one.unit) for one in panel.people), (0.0,) * len(panel.people)
    elif judge is not None or "objectives" in named.given:
        raise UsageError(f"{named.name}: the objectives {', '.join(known)} are there already; leave out objectives and judge")
    weights = simplex_weights(len(known), whole_number(named, "steps", STEPS))
    if len(weights) > MOST_VARIANTS:
        raise UsageError(f"{named.name}: {len(weights)} weightings of {len(known)} objectives are too many; lower steps")
    faults, found, ids = [], [], set[str]()
    for n, (where, row) in enumerate(rows, 1):
        here = _prompt_faults(row)
        item = str(row.get("id", f"line {n}")) if not here else ""
        if item in ids and not here:
            here = [f"id {item!r} came before"]
        ids.add(item)
        faults += [f"{where}: {fault}" for fault in here]
        if not here:
            found.append(
                TradeoffQuestion(
                    task=named.task,
                    item=item,
                    unit=row.get("unit", item),
                    objectives=known,
                    weights=tuple(tuple(float(w) for w in one) for one in weights),
                    reference=_reference(named, known) or low,
                    prompt=row["prompt"],
                    panel=panel,
                    judge=judge,
                )
            )
    if faults:
        raise DataError(str(named.path), capped(faults, len(faults)))
    return found


def _objectives(path: Path) -> tuple[Episode, ...]:
    found = tuple(read_episodes(path))
    try:
        checked_people(found)
    except DataError as error:
        raise DataError(str(path), error.faults) from error
    if len(found) < 2:
        raise DataError(str(path), "there is one objective; a trade-off needs two")
    return found


def _prompt_faults(row: Any) -> list[str]:
    if isinstance(row, ValueError):
        return [str(row)]
    if not isinstance(row, Mapping):
        return [f"a prompt is an object with the fields prompt, id, unit; this is {row!r:.60}"]
    faults = [
        f"field {nearest_name(str(name), ('prompt', 'id', 'unit'))}" for name in row if name not in ("prompt", "id", "unit")
    ]
    for name in ("prompt", "id", "unit"):
        if (name == "prompt" or name in row) and not (isinstance(row.get(name), str) and str(row[name]).strip()):
            faults.append(f"{name} must be a text, not {row.get(name)!r:.60}")
    return faults


# scores


def _scores(named: NamedFile, rows: Sequence[tuple[str, Any]]) -> list[TradeoffQuestion]:
    if "judge" in named.given or "steps" in named.given:
        raise UsageError(f"{named.name}: scores are there already; judge and steps are for files of prompts")
    names = _objective_names(named, rows)
    faults: list[str] = []
    by_item: dict[str, list[tuple[str, tuple[float, ...] | None, tuple[float, ...]]]] = {}
    units: dict[str, str] = {}
    for where, row in rows:
        here = _score_faults(row, names)
        if not here:
            item = str(row["item"])
            told = row.get("weights")
            weights = None if told is None else tuple(float(told[name] or 0) for name in names)
            scores = tuple(math.nan if row.get(name) is None else float(row[name]) for name in names)
            unit = str(row.get("unit") if row.get("unit") is not None else item)
            if units.setdefault(item, unit) != unit:
                here = [f"unit {unit!r}, but {units[item]!r} in another row of item {item!r}"]
            if any(one[:2] == (str(row["system"]), weights) for one in by_item.get(item, ())):
                here = [f"system {row['system']!r} has another row with item {item!r} and the same weights"]
            by_item.setdefault(item, []).append((str(row["system"]), weights, scores))
        faults += [f"{where}: {fault}" for fault in here]
    if faults:
        raise DataError(str(named.path), capped(faults, len(faults)))
    reference = _reference(named, names)
    return [
        TradeoffQuestion(
            task=named.task, item=item, unit=units[item], objectives=names, reference=reference, scored=tuple(some)
        )
        for item, some in by_item.items()
    ]


def _objective_names(named: NamedFile, rows: Sequence[tuple[str, Any]]) -> tuple[str, ...]:
    """As asked for, or every column of numbers."""
    columns = list(dict.fromkeys(name for _, row in rows if isinstance(row, Mapping) for name in row if name not in _KEYS))
    if "objectives" in named.given:
        names = tuple(name.strip() for name in named.given["objectives"].split(","))
        for name in names:
            if name not in columns:
                raise UsageError(f"{named.name}: objective {nearest_name(name, columns)}")
    else:
        numeric = [c for c in columns if any(_is_number(row.get(c)) for _, row in rows if isinstance(row, Mapping))]
        names = tuple(str(name) for name in numeric)
    if len(set(names)) < max(2, len(names)):
        raise DataError(
            str(named.path), f"a trade-off needs two different objectives, columns of numbers; there are {list(names)}"
        )
    return names


def _score_faults(row: Any, names: Sequence[str]) -> list[str]:
    if isinstance(row, ValueError):
        return [str(row)]
    if not isinstance(row, Mapping):
        return [f"a row is an object with item, system and {', '.join(names)}; this is {row!r:.60}"]
    faults = [f"no {name}" for name in ("item", "system") if row.get(name) is None]
    faults += [
        f"{name} must be a finite number, or null where it is missing, not {row[name]!r:.60}"
        for name in names
        if row.get(name) is not None and not _is_number(row[name])
    ]
    told = row.get("weights")
    if told is not None and not _are_weights(told, names):
        faults.append(f"weights must be numbers of at least 0 for {', '.join(names)} that sum to 1, not {told!r:.80}")
    return faults


def _are_weights(told: Any, names: Sequence[str]) -> bool:
    if not isinstance(told, Mapping) or not set(told) <= set(names):
        return False
    values = [told.get(name) or 0 for name in names]
    return all(_is_number(w) and w >= 0 for w in values) and abs(sum(values) - 1) < 1e-6


def _reference(named: NamedFile, names: Sequence[str]) -> tuple[float, ...] | None:
    text = named.given.get("reference")
    if text is None:
        return None
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != len(names) or not all(map(math.isfinite, values)):
        raise UsageError(f"{named.name}: reference must be {len(names)} numbers, for {', '.join(names)}, not {text!r}")
    return values


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
