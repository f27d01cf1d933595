"""What was found in situations, as lines of text for people and as JSON values."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from pluralign.scoring.totals import totals_lines
from pluralign.terminal import printable
from pluralign.values.considerations import KINDS
from pluralign.values.system import Surfaced

__all__ = ["situation_dicts", "situation_lines", "surfaced_lines"]

WIDTH = 100
_NOTHING = {
    "no consideration": "nothing that was generated names a value, right or duty",
    "not scored": "no candidate's relevance could be had",
    "nothing relevant": "none of the candidates is relevant enough",
    "no valence": "of what is kept, it could not be had which way it points",
}
_PLURAL = {"Value": "Values", "Right": "Rights", "Duty": "Duties"}


def surfaced_lines(found: Surfaced) -> list[str]:
    """Counts, thresholds and what it took; the notice comes first."""
    counts, setup = found.counts, found.setup
    kept = counts.fates.get("kept", 0)
    lines = [
        *textwrap.wrap(found.notice, WIDTH),
        "",
        f"{counts.n_situations:,} situations: {_listed(counts.outcomes)}",
        f"{counts.n_generated:,} outputs, {counts.n_considerations:,} different considerations, {kept:,} kept "
        f"({_listed(counts.fates)})",
    ]
    odd = {name: n for name, n in counts.output_outcomes.items() if name != "ok"}
    lines += [f"outputs that are no answer: {_listed(odd)}"] if odd else []
    lines += [f"situations that the model did not read to their end: {counts.n_cut:,}"] if counts.n_cut else []
    silent = {name: n for name, n in counts.explanation_outcomes.items() if name != "ok"}
    lines += [f"explanations: {_listed(counts.explanation_outcomes)}"] if silent else []
    lines.append(
        f"thresholds: relevance {_numbers(setup.relevance)}; words {_numbers(setup.ngram)}; vectors ({setup.embedding}) "
        f"{_numbers(setup.embed)}; {'all kinds compared' if setup.across_vrd else 'each kind by itself'}"
    )
    return [*lines, *(f"note: {note}" for note in setup.notes), *totals_lines(found.totals, found.prices)]


def situation_lines(found: Surfaced, *, most: int) -> Iterator[str]:
    """The first situations with what is kept, as a table each, and the decision."""
    for row in found.situations.head(most).collect().iter_rows(named=True):
        yield printable(row["action"])
        some = found.considerations.filter(pl.col("situation") == row["situation"]).collect()
        yield from _table(some.to_dicts())
        if row["outcome"] == "ok":
            shares = ", ".join(f"{name} {row[name]:.2f}" for name in ("supports", "opposes", "either"))
            yield f"  together: {shares}; entropy {row['entropy_nats']:.2f} of at most 1.10 nats"
        else:
            yield f"  no decision: {_NOTHING[row['outcome']]}"
        if row["is_cut"]:
            yield "  the model did not read the situation to its end"
        yield ""
    if (left := found.counts.n_situations - most) > 0:
        yield f"and {left:,} more situations"
        yield ""


def situation_dicts(found: Surfaced, *, most: int | None = None) -> list[dict[str, Any]]:
    """Each situation with decision, counts and considerations, JSON-ready."""
    situations = found.situations if most is None else found.situations.head(most)
    rows = situations.collect().to_dicts()
    considerations: dict[int, list[dict[str, Any]]] = {row["situation"]: [] for row in rows}
    for one in found.considerations.filter(pl.col("situation") < len(rows)).collect().to_dicts():
        considerations[one.pop("situation")].append({name: value for name, value in one.items() if name != "action"})
    return [{**row, "considerations": considerations[row["situation"]]} for row in rows]


def _table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    width = min(52, max(len(printable(row["text"])) for row in rows))
    yield f"  {'':{width}}  relevant  supports  opposes  either"
    for kind in KINDS:
        some = [row for row in rows if row["vrd"] == kind]
        if some:
            yield f" {_PLURAL[kind]}"
        for row in some:
            text = printable(row["text"])
            numbers = [("-" if row[n] is None else f"{row[n]:.2f}") for n in ("relevant", "supports", "opposes", "either")]
            columns = "  ".join(f"{number:>{w}}" for number, w in zip(numbers, (8, 8, 7, 6), strict=True))
            yield f"  {text:{width}}  {columns}  {row['label'] or ''}".rstrip()
            if row["explanation"]:
                yield from textwrap.wrap(printable(row["explanation"]), WIDTH, initial_indent="    ", subsequent_indent="    ")


def _listed(counts: Any) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in sorted(counts.items(), key=lambda pair: -pair[1])) or "none"


def _numbers(limits: Any) -> str:
    values = set(limits.values())
    return f"{values.pop():g}" if len(values) == 1 else ", ".join(f"{name} {limit:g}" for name, limit in limits.items())
