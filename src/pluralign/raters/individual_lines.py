"""What was filled in, for people at the end of a command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from pluralign.estimates import Estimate
from pluralign.raters.individual_results import Predicted
from pluralign.raters.individual_scores import Judged
from pluralign.scoring.totals import totals_lines

__all__ = ["predicted_lines"]

_POINT = {"mode": "most probable", "median": "median", "mean": "nearest to the mean"}


def predicted_lines(found: Predicted) -> list[str]:
    """Counts, what was learned from ratings kept apart, how good it is where that is known, and what was odd."""
    kinds = Counter(found.table["kind"].to_list()).most_common()
    told = "all past ratings" if found.representation is None else found.representation
    lines = [
        f"{found.table.height:,} ratings filled in by {found.model}, told: {told}; answers are the {_POINT[found.loss]} option",
        "; ".join(f"{kind}: {n:,}" for kind, n in kinds),
        "outcomes: " + ", ".join(f"{outcome} {n:,}" for outcome, n in found.outcomes.items()),
    ]
    for kind, pool in found.pools.items():
        weights = ", ".join(f"{name} {w:.2f}" for name, w in zip(found.members, pool.weights.tolist(), strict=True))
        lines.append(f"pool ({pool.kind}) for {kind}: {weights}, from {pool.n:,} ratings kept apart")
    if found.apart:
        lines += ["", "each alone, on ratings kept apart:", *_table(found.apart)]
    if found.scores:
        lines += ["", "on the true ratings that were given:", *_table(found.scores)]
    if found.notes or found.privacy is not None:
        lines += ["", *found.notes, *([str(found.privacy)] if found.privacy is not None else [])]
    return lines if found.representation is None else [*lines, "", *totals_lines(found.totals, found.prices)]


def _table(rows: Mapping[str, Judged]) -> list[str]:
    has_gain = any(one.gain_nats.is_defined for one in rows.values())
    cells = [["", "nats", "accuracy", "distance", *(["gain on the marginal, nats"] if has_gain else [])]]
    for name, one in rows.items():
        gain = [_short(one.gain_nats)] if has_gain else []
        cells.append([name, _short(one.nats), _short(one.accuracy), _short(one.distance), *gain])
    widths = [max(len(row[n]) for row in cells) for n in range(len(cells[0]))]
    return ["  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _short(estimate: Estimate) -> str:
    return str(estimate) if estimate.is_defined else "-"
