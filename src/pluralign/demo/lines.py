"""What a demo found, in some thirty lines for the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from pluralign.demo.findings import DemoFindings, LossesRow
from pluralign.estimates import Estimate
from pluralign.report.demo_words import bearing_label, known_label
from pluralign.terminal import printable

__all__ = ["demo_lines"]

WIDTH = 100
_KS = (8, 32)
_KNOWN = ("examples:0", "attributes", "profile", "written", "examples:4", "examples:16", "examples:32", "everything")
_SHORT = {
    "written": "profile the model wrote",
    "everything": "everything",
    "profile": "true written profile",
}


def demo_lines(found: DemoFindings) -> list[str]:
    """For people; no line is longer than `WIDTH` but for long names of models."""
    laws = [(f"{law.name}, {row.k} seen", row) for law in found.laws for row in law.rows if row.k in _KS]
    people = [(_SHORT.get(known, known_label(known)), found.row(known)) for known in _KNOWN]
    person, pair = found.person, found.pair
    return [
        f"{found.model} (tuned) beside {found.base_model} (base), on held-out people ({found.n_people:,}), coins "
        f"({found.n_coins:,}), laws ({found.n_laws:,})",
        "nats per output, averaged over what may truly happen; beyond: distance to the best possible",
        "",
        *_table([("next output of", *_HEADS), *((label, *_cells(row)) for label, row in laws)]),
        *_table([("rating, knowing", *_HEADS), *((label, *_cells(row)) for label, row in people)]),
        "",
        f"gained of what 16 past ratings tell: tuned {_percent(found.row('examples:16').tuned_share)}, "
        f"base {_percent(found.row('examples:16').base_share)}",
        *_wrapped(f"person {person.number}, true profile: {person.true_profile}"),
        *_wrapped(f"written by the tuned model from {person.n_given} ratings: {printable(person.tuned_profile)[:200]}"),
        f"values named on the right side: tuned {_percent(found.written['tuned'].named_true)}, "
        f"base {_percent(found.written['base'].named_true)}",
        *(
            f"probability misplaced, {row.kind}: tuned {_percent(row.tuned_off)}, base {_percent(row.base_off)}"
            for row in found.values
        ),
        *_wrapped(f"“{pair.texts[0]}” tuned: {_most_named(found, 0)}; with “{pair.modifier}”: {_most_named(found, 1)}"),
        *(
            f"calibration error ({which}): {_percent(check.calibration.ece)}; on the five ratings: "
            f"{_percent(check.covered['ratings'])}"
            for which, check in found.checks.items()
        ),
    ]


def _most_named(found: DemoFindings, side: int) -> str:
    """The two that the tuned model names most, with their true shares."""
    most = sorted(found.pair.bearings, key=lambda one: -one.generated[side])[:2]
    return ", ".join(
        f"{bearing_label(one.text)} {100 * one.generated[side]:.0f} % (true {100 * one.generated_true[side]:.0f} %)"
        for one in most
    )


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(line, WIDTH, subsequent_indent="    ", break_on_hyphens=False)


_HEADS = ("tuned", "base", "best", "tuned beyond [95 %]", "base beyond [95 %]")


def _cells(row: LossesRow) -> tuple[str, ...]:
    losses = tuple(_value(one) for one in (row.tuned, row.base, row.limit))
    return (*losses, _interval(row.tuned_excess), _interval(row.base_excess))


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = (24, 6, 6, 6, 22, 22)
    made = [
        "  ".join(cell.ljust(w) if n == 0 else cell.rjust(w) for n, (cell, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    return [line.rstrip() for line in made]


def _value(estimate: Estimate | None) -> str:
    return "-" if estimate is None or not estimate.is_defined else f"{estimate.value:.3f}"


def _interval(estimate: Estimate | None) -> str:
    if estimate is None or not estimate.is_defined:
        return "-"
    value, low, high = (f"{x + 0.0:.4f}" for x in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"


def _percent(estimate: Estimate | None) -> str:
    if estimate is None or not estimate.is_defined:
        return "no value"
    value, low, high = (f"{round(100 * x, 1) + 0.0:.1f}" for x in (estimate.value, estimate.low, estimate.high))
    return f"{value} % [{low}, {high}]"
