"""What changes in minimal pairs, as lines of text for people and as JSON values."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import polars as pl

from pluralign.scoring.totals import totals_lines
from pluralign.terminal import printable
from pluralign.values.contrast import CHANGES, Contrasts
from pluralign.values.contrast_run import ContrastRun

__all__ = ["contrast_lines", "pair_dicts", "pair_lines"]

WIDTH = 100
_LABEL = 46


def pair_lines(found: Contrasts, *, most: int) -> Iterator[str]:
    """The first pairs with what enters, leaves or flips, as a table each."""
    for pair in range(min(most, found.n_pairs)):
        rows = found.table.filter(pl.col("pair") == pair)
        changed = found.changed(pair).to_dicts()
        if rows.height == 0:
            yield f"pair {pair + 1}: nothing that was generated names a value, right or duty"
            yield ""
            continue
        yield f"before  {printable(rows['before'][0])}"
        yield f"after   {printable(rows['after'][0])}"
        if changed:
            width = min(_LABEL, max(len(_written(row)) for row in changed))
            yield f"  {'':8}{'':{width}}  relevance     valence"
        for row in changed:
            numbers = f"{row['relevance_before']:.2f} > {row['relevance_after']:.2f}"
            yield f"  {row['change']:8}{_written(row):{width}}  {numbers}   {_valences(row)}"
        counts = {kind: rows.filter(pl.col("change") == kind).height for kind in ("stays", "unknown")}
        left = [f"{counts['stays']:,} {'stays' if counts['stays'] == 1 else 'stay'} as they were"] if counts["stays"] else []
        left += [f"of {counts['unknown']:,} an answer is missing"] if counts["unknown"] else []
        yield f"  {'' if changed else 'nothing enters, leaves or flips; '}{'; '.join(left)}".rstrip("; ")
        yield ""
    if (more := found.n_pairs - most) > 0:
        yield f"and {more:,} more {'pair' if more == 1 else 'pairs'}"
        yield ""


def contrast_lines(run: ContrastRun) -> list[str]:
    """Notice, shares of each kind of change, scores against the truth, what it took."""
    found = run.found
    lines = [
        *textwrap.wrap(found.notice, WIDTH),
        "",
        f"{found.n_pairs:,} {'pair' if found.n_pairs == 1 else 'pairs'}, {found.table.height:,} considerations judged in both "
        f"versions; relevant from {found.threshold:g}",
        *(f"  {kind:8}{run.shares[kind]}" for kind in CHANGES if run.shares[kind].value != 0),
    ]
    if (scores := run.scores) is not None:
        lines += [
            f"beside the truth of the simulated world ({scores.n_unchanged:,} pairs in which truly nothing changes left out):",
            f"  the right consideration enters, leaves or flips: {scores.right_is_flagged} "
            f"(considerations that do at all: {scores.flagged_share})",
            f"  the largest change is of the right basic value: {scores.right_is_largest}",
            f"  sizes of changes beside the true ones, rank correlation: {scores.change_correlation}",
        ]
    return [*lines, *totals_lines(run.totals, run.prices)]


def pair_dicts(found: Contrasts) -> list[dict[str, Any]]:
    """Each pair with all its considerations, JSON-ready, largest change first."""
    pairs: list[dict[str, Any]] = [{"pair": n, "considerations": []} for n in range(found.n_pairs)]
    for row in found.table.with_columns(pl.selectors.float().fill_nan(None)).iter_rows(named=True):
        into = pairs[row.pop("pair")]
        into.update(before=row.pop("before"), after=row.pop("after"))
        into["considerations"].append(row)
    return pairs


def _written(row: dict[str, Any]) -> str:
    text = printable(f"{row['vrd']}: {row['text']}")
    return text if len(text) <= _LABEL else f"{text[: _LABEL - 3]}..."


def _valences(row: dict[str, Any]) -> str:
    before, after = row["valence_before"], row["valence_after"]
    return before if before == after else f"{before} > {after}"
