"""Answers as they were written, to the options of a scale.

Where every answer is a number, "1.0" and "1" are one option, written "1". Without a stated scale, numbers with at most 15
different values are ordinal, more are an interval scale, and words are nominal; a Note says what was inferred.
"""

from __future__ import annotations

import bisect
import itertools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from pluralign.errors import DataError
from pluralign.ratings.readers.options import ReadOptions
from pluralign.ratings.scale import Scale, ScaleKind
from pluralign.ratings.table import Note

__all__ = ["answers_as_options", "bin_edges", "bin_labels", "canonical_number", "inferred_kind"]

MOST_ORDINAL = 15
"""Different numbers up to which they are taken for an ordinal scale."""
MOST_WORDS = 50
"""Different answers, not all of them numbers, up to which a column is taken for ratings and not for free text."""
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.ASCII | re.IGNORECASE)
_LONGEST_NUMBER = 100
"""Characters; a longer run of digits is not a rating."""
_EXACT = 1e15
"""Whole numbers below this are exact as floats."""
_SHOWN = 12


@dataclass(frozen=True)
class _Answers:
    """The different answers of a table: raw text -> how the option is written, and how often the raw text was given."""

    written: dict[str, str]
    counts: dict[str, int]
    are_numbers: bool

    @property
    def options(self) -> list[str]:
        """The options that were given: numbers by size, words by alphabet."""
        return sorted(set(self.written.values()), key=float if self.are_numbers else None)


def answers_as_options(
    table: pl.DataFrame, options: ReadOptions, fixed: Sequence[str] | None, where: str
) -> tuple[pl.DataFrame, Scale, list[Note]]:
    """The table with `rating` rewritten to option texts, its scale, and what was inferred. `fixed`: the possible answers.

    Raises DataError: infinite numbers, free text, words where numbers are needed, fewer than two options.
    """
    answers = _read_answers(table, fixed, where)
    notes = _rewriting_notes(answers, where)
    if options.bins is not None:
        written, names, note = _binned(answers, options, where)
        return _renamed(table, written), _scale("ordinal", names, where), [*notes, note]
    if fixed is None and not answers.are_numbers and len(answers.options) > MOST_WORDS:
        raise DataError(where, _free_text_fault(answers, options))
    names = answers.options if fixed is None else _canonical(fixed, numbers=answers.are_numbers)
    kind = options.scale or inferred_kind(names, numbers=answers.are_numbers)
    if kind == "ordinal" and fixed is None and not answers.are_numbers:
        raise DataError(where, f"an ordinal scale of words needs --options in order; the answers are {_shown(names)}")
    notes += _inference_notes(answers, kind, names, where, stated=options.scale is not None, fixed=fixed is not None)
    return _renamed(table, answers.written), _scale(kind, names, where), notes


def canonical_number(text: str) -> str | None:
    """The one way in which this number is written; None when the text is not a finite number in ASCII digits.

    >>> canonical_number("1.0"), canonical_number("-0"), canonical_number("0.50"), canonical_number("1_000")
    ('1', '0', '0.5', None)
    """
    if len(text) > _LONGEST_NUMBER or _NUMBER.fullmatch(text) is None:
        return None
    value = float(text)
    if not math.isfinite(value):
        return None
    return str(int(value)) if value.is_integer() and abs(value) < _EXACT else repr(value)


def inferred_kind(names: Sequence[str], *, numbers: bool) -> ScaleKind:
    """The kind of a scale that nobody stated.

    >>> inferred_kind(["1", "2", "3"], numbers=True), inferred_kind(["no", "yes"], numbers=False)
    ('ordinal', 'nominal')
    """
    if not numbers:
        return "nominal"
    return "ordinal" if len(names) <= MOST_ORDINAL else "interval"


def bin_edges(low: float, high: float, bins: int) -> list[float]:
    """The `bins` + 1 ends of bins of equal width.

    >>> bin_edges(0, 100, 4)
    [0.0, 25.0, 50.0, 75.0, 100.0]
    """
    return [low + (high - low) * i / bins for i in range(bins)] + [float(high)]


def bin_labels(edges: Sequence[float]) -> list[str]:
    """A name for each bin.

    >>> bin_labels([0.0, 50.0, 100.0]), bin_labels([-1.0, 0.0, 1.0])
    (['0-50', '50-100'], ['-1 to 0', '0 to 1'])
    """
    joint = " to " if edges[0] < 0 else "-"
    return [f"{a:g}{joint}{b:g}" for a, b in itertools.pairwise(edges)]


def _read_answers(table: pl.DataFrame, fixed: Sequence[str] | None, where: str) -> _Answers:
    counted = table["rating"].value_counts().drop_nulls("rating").sort("rating")
    counts: dict[str, int] = dict(counted.iter_rows())
    trimmed = {raw: raw.strip() for raw in counts}
    numbers = {raw: canonical_number(text) for raw, text in trimmed.items()}
    infinite = [raw for raw, text in trimmed.items() if numbers[raw] is None and _is_infinite(text)]
    if infinite and all(number is not None or raw in infinite for raw, number in numbers.items()):
        n = sum(counts[raw] for raw in infinite)
        raise DataError(where, f"{n:,} ratings are infinite ({_shown(infinite)}); remove them or name them with --missing")
    are_numbers = None not in numbers.values() and all(canonical_number(name.strip()) is not None for name in fixed or ())
    return _Answers({raw: str(numbers[raw]) if are_numbers else text for raw, text in trimmed.items()}, counts, are_numbers)


def _is_infinite(text: str) -> bool:
    if _INFINITE.fullmatch(text):
        return True
    return len(text) <= _LONGEST_NUMBER and _NUMBER.fullmatch(text) is not None  # a number, but beyond the largest float


def _canonical(names: Iterable[str], *, numbers: bool) -> list[str]:
    return [str(canonical_number(name.strip())) if numbers else name.strip() for name in names]


def _renamed(table: pl.DataFrame, written: dict[str, str]) -> pl.DataFrame:
    if all(raw == text for raw, text in written.items()):
        return table
    return table.with_columns(pl.col("rating").replace_strict(list(written), list(written.values()), return_dtype=pl.String))


def _scale(kind: ScaleKind, names: Sequence[str], where: str) -> Scale:
    try:
        return Scale(kind, tuple(names))
    except DataError as error:
        raise DataError(where, [f"scale: {fault}" for fault in error.faults]) from error


def _binned(answers: _Answers, options: ReadOptions, where: str) -> tuple[dict[str, str], list[str], Note]:
    if not answers.are_numbers:
        raise DataError(where, f"--bins groups numbers, but the answers are {_shown(answers.options)}")
    values = {raw: float(text) for raw, text in answers.written.items()}
    low, high = options.bin_range or (min(values.values()), max(values.values()))
    outside = [raw for raw, value in values.items() if not low <= value <= high]
    if outside:
        n = sum(answers.counts[raw] for raw in outside)
        raise DataError(where, f"{n:,} ratings lie outside --bin-range {low:g} {high:g}: {_shown(outside)}")
    edges = bin_edges(low, high, options.bins or 2)
    names = bin_labels(edges)
    if len(set(names)) < len(names):
        raise DataError(where, f"{options.bins} bins between {low:g} and {high:g} are too narrow to be told apart; use fewer")
    written = {raw: names[bisect.bisect_right(edges, value, 1, len(edges) - 1) - 1] for raw, value in values.items()}
    what = f"numbers were grouped into {len(names)} bins of equal width ({_shown(names)}); a number on an edge counts upwards"
    return written, names, Note(where, what, sum(answers.counts.values()))


def _rewriting_notes(answers: _Answers, where: str) -> list[Note]:
    changed = [raw for raw, text in answers.written.items() if raw != text]
    if not changed:
        return []
    n = sum(answers.counts[raw] for raw in changed)
    return [Note(where, f"ratings were written as options, e.g. {changed[0]!r} as {answers.written[changed[0]]!r}", n)]


def _inference_notes(
    answers: _Answers, kind: ScaleKind, names: list[str], where: str, *, stated: bool, fixed: bool
) -> list[Note]:
    total = sum(answers.counts.values())
    notes = [] if stated else [Note(where, f"the ratings are taken as {kind}: {_shown(names)}; --scale says otherwise", total)]
    if fixed:
        return notes
    if not answers.are_numbers:
        words = [raw for raw, text in answers.written.items() if canonical_number(text) is None]
        n = sum(answers.counts[raw] for raw in words)
        if 2 * n < total:
            what = f"most answers are numbers, but not {_shown(words)}; if these mean no value, name them with --missing"
            notes.append(Note(where, what, n))
    elif kind == "ordinal" and (gaps := _gaps(names)):
        notes.append(Note(where, f"nobody answered {_shown(gaps)}; if they could, name every option with --options", len(gaps)))
    return notes


def _gaps(names: Sequence[str]) -> list[str]:
    """Whole numbers that are missing between the smallest and the largest option."""
    if not names or not all(re.fullmatch(r"-?\d+", name) for name in names):
        return []
    low, high = int(names[0]), int(names[-1])
    return [] if high - low >= MOST_ORDINAL else [str(n) for n in range(low, high + 1) if str(n) not in names]


def _free_text_fault(answers: _Answers, options: ReadOptions) -> str:
    column = f" ('{options.rating}')" if options.rating else ""
    return (
        f"the rating column{column} holds {len(answers.options):,} different texts, e.g. {answers.options[0][:60]!r}: that is "
        "free text, not an answer set. Name the column of the ratings with --rating, or every option with --options."
    )


def _shown(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:60]) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown}, ... ({len(names):,} in all)"
