"""What a study found as a few lines of plain text, for the end of a command; the page says it at length."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from pluralign.estimates import Estimate
from pluralign.raters.findings import (
    Agreement,
    Clustering,
    Findings,
    Information,
    InformationRow,
    LanguageFindings,
    LanguageRow,
)

__all__ = ["summary"]

LABEL_WIDTH = 28
WIDTH = 100


def summary(findings: Findings) -> list[str]:
    """Agreement, what knowing the rater tells, and the groups; every number with its 95 % interval.

    Simulated people: beside each estimate stands the truth, and whether the interval holds it.
    """
    lines = [*_data(findings), "", *_information(findings.information), "", *_clusterings(findings.clusterings)]
    lines += ["", *_language(findings.language)] if findings.language else []
    return [piece for line in lines for piece in _wrapped(line)]


def _data(findings: Findings) -> list[str]:
    data, agreement = findings.data, findings.agreement
    return [
        f"{data.name}: {data.n_ratings:,} ratings by {data.n_raters:,} raters of {data.n_items:,} items, "
        f"{len(data.options)} {data.scale_kind} options",
        *(
            [f"Modelled: {data.n_raters_modelled:,} raters drawn by chance, with {data.n_ratings_modelled:,} ratings"]
            if data.n_ratings_modelled < data.n_ratings
            else []
        ),
        f"Krippendorff's alpha: {_alpha(agreement)}",
    ]


def _alpha(agreement: Agreement) -> str:
    items, raters = agreement.alpha_other_items, agreement.alpha_other_raters
    if not (items.is_defined and raters.is_defined):
        return f"{_text(items)} with other items; {_text(raters)} with other raters"
    within = [f"[{estimate.low:.3f}, {estimate.high:.3f}]" for estimate in (items, raters)]
    return f"{items.value:.3f}, {within[0]} with other items, {within[1]} with other raters"


def _information(information: Information) -> list[str]:
    nothing = [row.loss_nats for row in information.rows if row.kind == "nothing"]
    losses = [f"H(Y), knowing neither item nor rater: {_text(information.entropy_nats)} nats a held-out rating"]
    losses += [f"H(Y | item), knowing the item: {_text(loss)} nats" for loss in nothing]
    rows = [row for row in information.rows if row.kind != "nothing"]
    known = [row for row in rows if row.truth_nats is not None]
    heads = ["knowing also", "tells, nats", "kept", "p (Holm)", *(["truth", "in interval"] if known else [])]
    cells = [[_short(row.label), _interval(row.information_nats), _kept(row), _p(row.p_holm)] for row in rows]
    for row, line in zip(rows, cells, strict=True):
        line += _truth(row) if known else []
    closing = _held(known) if known else []
    reasons = {row.information_nats.why_undefined for row in rows} | {_why_not_kept(rows)}
    return [*losses, *_table([heads, *cells]), *closing, *(f"-: {why}" for why in sorted(w for w in reasons if w))]


def _clusterings(clusterings: Sequence[Clustering]) -> list[str]:
    lines = []
    for c in clusterings:
        sizes = ", ".join(f"{cluster.n_raters:,}" for cluster in c.clusters)
        planted = "" if c.truth_adjusted_rand is None else f", adjusted Rand {c.truth_adjusted_rand:.2f}"
        warning = "" if c.gains_beyond_chance else "  WARNING: cannot be told from chance"
        lines.append(f"{c.k} clusters ({sizes} raters): gain {_text(c.information_nats)} nats{planted}{warning}")
    if any(c.truth_adjusted_rand is not None for c in clusterings):
        lines.append("adjusted Rand: likeness to the planted groups, 1 = the same, 0 = as by chance")
    return lines or ["no clusters were looked for, or none could be formed"]


def _language(found: LanguageFindings) -> list[str]:
    """What a language model gains from what it is told, and the statistical models on the same ratings."""
    cells = [["told", "tells, nats", "kept", "loss, nats"]]
    for name, rows in ((found.model, found.rows), ("statistical models", found.statistical)):
        cells += [[_short(name), "", "", ""]] if rows else []
        cells += [
            [f"  {_short(row.label)}", _interval(row.information_nats), _kept(row), _interval(row.loss_nats)] for row in rows
        ]
    n_unanswered = sum(row.n_unanswered for row in found.rows)
    return [
        f"{found.model}, asked about {found.n_ratings:,} held-out ratings by {found.n_raters:,} raters",
        *_table(cells),
        *([f"{n_unanswered:,} questions got no answer; they count with the shares of all answers"] if n_unanswered else []),
        f"of what is uncertain, {found.known_label} tells: {_text(found.epistemic_share)}",
        f"which prediction belongs to whom is told right: {_text(found.matching.accuracy)}; by chance .5",
    ]


def _wrapped(line: str) -> list[str]:
    """A sentence in lines of at most WIDTH; rows of the table, which begin with a space, stay whole."""
    if not line or line.startswith(" "):
        return [line]
    return textwrap.wrap(line, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell, the first one to the left, the others to the right."""
    widths = [max(len(row[j]) for row in rows) for j in range(len(rows[0]))]
    made = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    return [f"  {line.rstrip()}" for line in made]


def _held(known: Sequence[InformationRow]) -> list[str]:
    """How many intervals hold the truth: one by one (95 % of them should), and those that all should."""
    held = sum(bool(row.holds_truth) for row in known)
    jointly = sum(bool(row.holds_truth_jointly) for row in known)
    return [
        f"{held} of {len(known)} intervals hold the true value",
        f"{jointly} of {len(known)} do of the wider ones, made for all rows together to hold in 95 of 100 studies",
    ]


def _truth(row: InformationRow) -> list[str]:
    return ["-", "-"] if row.truth_nats is None else [f"{row.truth_nats:.3f}", "yes" if row.holds_truth else "NO"]


def _interval(estimate: Estimate) -> str:
    if not estimate.is_defined:
        return "-"
    value, low, high = (f"{round(x, 3) + 0.0:.3f}" for x in (estimate.value, estimate.low, estimate.high))  # + 0.0: no -0
    return f"{value} [{low}, {high}]"


def _text(estimate: Estimate) -> str:
    return _interval(estimate) if estimate.is_defined else str(estimate)


def _kept(row: InformationRow | LanguageRow) -> str:
    return f"{round(100 * row.kept.value) + 0} %" if row.kept.is_defined else "-"


def _why_not_kept(rows: Sequence[InformationRow]) -> str | None:
    return next((f"no share kept: {row.kept.why_undefined}" for row in rows if not row.kept.is_defined), None)


def _p(p: float | None) -> str:
    return "" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def _short(label: str) -> str:
    line = " ".join(label.split())
    return line if len(line) <= LABEL_WIDTH else f"{line[: LABEL_WIDTH - 1]}…"
