"""Sensitivity by minimal pairs: a situation in two versions, and which considerations enter, leave or turn round.

Both versions are judged on the same considerations: given ones, or all that the model generates for either. Of each,

    enters, leaves   its relevance crosses the threshold, upwards or downwards
    flips            relevant in both versions, and the most probable valence is another one
    stays            none of these
    unknown          a request about it had no answer, in one of the versions or both

The size of a change is the total variation distance, 0..1, between what the model says before and after over four outcomes:
not relevant (1 - relevance), and relevant as Supports, Opposes, Either (relevance * valence). It counts relevance and valence
together, and is there for what stays, too.

Source: minimal pairs after Gardner et al. 2020, contrast sets (arXiv 2004.02709); Sorensen et al. 2024 (arXiv 2309.00779)
show single examples of such pairs. The size is the project's own.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import UsageError
from pluralign.estimates import Estimate, estimate_ratio
from pluralign.values.considerations import VALENCES, Consideration
from pluralign.values.kaleido import Pair, ValuesModel
from pluralign.values.notice import notice

__all__ = [
    "CHANGES",
    "Change",
    "Contrasts",
    "change_kinds",
    "change_sizes",
    "contrast",
    "contrast_svg",
    "judged_pairs",
    "outcome_shares",
]

FloatArray = npt.NDArray[np.float64]
Change = Literal["enters", "leaves", "flips", "stays", "unknown"]
CHANGES: tuple[Change, ...] = ("enters", "leaves", "flips", "stays", "unknown")
_COLOURS = {"Supports": "#0060a0", "Opposes": "#c04f00", "Either": "#59626b"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contrasts:
    """What changed in each pair."""

    model: str
    notice: str
    threshold: float
    n_pairs: int
    table: pl.DataFrame
    """A row for each pair and consideration, largest change first: pair, before, after (the situations), vrd, text, change,
    size, relevance_before, relevance_after, valence_before, valence_after; NaN and null where there was no answer."""

    def changed(self, pair: int) -> pl.DataFrame:
        """The rows of a pair that enter, leave or flip."""
        return self.table.filter((pl.col("pair") == pair) & pl.col("change").is_in(["enters", "leaves", "flips"]))

    def shares(self, *, seed: int = 0) -> dict[Change, Estimate]:
        """The share of considerations with each kind of change, pairs resampled."""
        units = self.table["pair"].to_numpy()
        n = np.bincount(units, minlength=self.n_pairs)
        kinds = self.table["change"].to_numpy()
        return {
            kind: estimate_ratio(
                np.bincount(units[kinds == kind], minlength=self.n_pairs), n, unit="pair", why="no considerations", seed=seed
            )
            for kind in CHANGES
        }


def contrast(
    model: ValuesModel,
    pairs: Sequence[tuple[str, str]],
    *,
    considerations: Sequence[Consideration] | None = None,
    threshold: float = 0.5,
    n: int = 30,
    seed: int = 0,
) -> Contrasts:
    """What changes from the first to the second version of each pair.

    Without `considerations` the model generates `n` for each version. Raises UsageError for no pair, or a
    threshold outside 0..1.
    """
    if not pairs or not 0 <= threshold <= 1:
        raise UsageError(f"contrast needs a pair or more and a threshold in 0..1; got {len(pairs)} and {threshold}.")
    texts = list(dict.fromkeys(text for pair in pairs for text in pair))
    model.check(texts)
    listed = [list(considerations)] * len(pairs) if considerations is not None else _generated(model, pairs, texts, n, seed)
    rows = [(number, one) for number, some in enumerate(listed) for one in dict.fromkeys(some)]
    asked: list[list[Pair]] = [[(pairs[number][side], one) for number, one in rows] for side in (0, 1)]
    judged = judged_pairs(model, [*asked[0], *asked[1]])
    before, after = judged[: len(rows)], judged[len(rows) :]
    table = pl.DataFrame(
        {
            "pair": pl.Series([number for number, _ in rows], dtype=pl.Int64),
            "before": pl.Series([pairs[number][0] for number, _ in rows], dtype=pl.String),
            "after": pl.Series([pairs[number][1] for number, _ in rows], dtype=pl.String),
            "vrd": pl.Series([one.vrd for _, one in rows], dtype=pl.String),
            "text": pl.Series([one.text for _, one in rows], dtype=pl.String),
            "change": pl.Series(change_kinds(before, after, threshold), dtype=pl.String),
            "size": change_sizes(before, after),
            "relevance_before": before[:, 0],
            "relevance_after": after[:, 0],
            "valence_before": pl.Series(_labels(before), dtype=pl.String),
            "valence_after": pl.Series(_labels(after), dtype=pl.String),
        }
    )
    order = pl.col("size").fill_nan(-1.0)
    table = table.sort("pair", order, descending=[False, True], maintain_order=True)
    return Contrasts(model=model.name, notice=notice(model.name), threshold=threshold, n_pairs=len(pairs), table=table)


def judged_pairs(model: ValuesModel, asked: Sequence[Pair]) -> FloatArray:
    """Relevance, then valence over `VALENCES` [asked, 4]; NaN where there was no answer. Equal questions are asked once."""
    if not asked:
        return np.empty((0, 4))
    different = list(dict.fromkeys(asked))
    place = {one: n for n, one in enumerate(different)}
    answers = np.concatenate([model.relevance(different).values[:, None], model.valence(different).values], axis=1)
    return np.asarray(answers[[place[one] for one in asked]], dtype=np.float64).reshape(-1, 4)


def change_sizes(before: FloatArray, after: FloatArray) -> FloatArray:
    """Total variation distance between before and after of each consideration [considerations], 0..1; see the top.

    Both arrays [considerations, 4]: relevance, then valence.
    """
    return np.asarray(0.5 * np.abs(outcome_shares(after) - outcome_shares(before)).sum(axis=1))


def outcome_shares(judged: FloatArray) -> FloatArray:
    """Not relevant, and relevant as Supports, Opposes, Either [considerations, 4]; rows sum to 1.

    `judged` [considerations, 4]: relevance, then valence.

    >>> outcome_shares(np.array([[0.5, 1.0, 0.0, 0.0]])).tolist()
    [[0.5, 0.5, 0.0, 0.0]]
    """
    return np.concatenate([1 - judged[:, :1], judged[:, :1] * judged[:, 1:]], axis=1)


def change_kinds(before: FloatArray, after: FloatArray, threshold: float) -> list[Change]:
    """The kind of change of each consideration; both arrays [considerations, 4]: relevance, then valence."""
    known = ~(np.isnan(before).any(axis=1) | np.isnan(after).any(axis=1))
    was, now = before[:, 0] >= threshold, after[:, 0] >= threshold
    flips = was & now & (before[:, 1:].argmax(axis=1) != after[:, 1:].argmax(axis=1))
    kinds: list[Change] = []
    for is_known, in_first, in_second, is_flip in np.stack([known, was, now, flips], axis=1).tolist():
        if not is_known:
            kinds.append("unknown")
        elif in_first != in_second:
            kinds.append("enters" if in_second else "leaves")
        else:
            kinds.append("flips" if is_flip else "stays")
    return kinds


def contrast_svg(found: Contrasts, pair: int, *, most: int = 8) -> str:
    """A picture of one pair: relevance before (ring) and after (dot) of what changes most, coloured by valence.

    An `<svg>` element for a page or a file of its own; all text from data is escaped. Raises UsageError for an unknown pair.
    """
    rows = found.table.filter((pl.col("pair") == pair) & (pl.col("change") != "unknown")).head(most)
    if rows.height == 0:
        raise UsageError(f"pair {pair} has nothing to show; there are pairs 0..{found.n_pairs - 1}.")
    height = 34 + 24 * rows.height
    label = f"What changes from {rows['before'][0]!r} to {rows['after'][0]!r}: relevance of {rows.height} considerations."
    root = ET.Element("svg", {"viewBox": f"0 0 640 {height}", "role": "img", "aria-label": label, "font-size": "12"})
    root.set("xmlns", "http://www.w3.org/2000/svg")
    for place, text in ((0.0, "not relevant"), (1.0, "relevant")):
        _text(root, _x(place), 14, text, anchor="middle")
    _line(root, _x(found.threshold), _x(found.threshold), 20, height - 4, "#c8ccd2")
    for number, row in enumerate(rows.iter_rows(named=True)):
        y = 38 + 24 * number
        colours = [_COLOURS[row[name]] for name in ("valence_before", "valence_after")]
        x = [_x(row[name]) for name in ("relevance_before", "relevance_after")]
        title = f"{row['change']}: {row['valence_before']} {row['relevance_before']:.2f} to {row['valence_after']} "
        group = ET.SubElement(root, "g")
        ET.SubElement(group, "title").text = f"{title}{row['relevance_after']:.2f}"
        _text(group, 226, y + 4, f"{row['vrd']}: {row['text']}"[:38], anchor="end")
        _line(group, x[0], x[1], y, y, colours[1])
        ring = {"cx": f"{x[0]:.1f}", "cy": str(y), "r": "5", "fill": "white", "stroke": colours[0], "stroke-width": "2"}
        ET.SubElement(group, "circle", ring)
        ET.SubElement(group, "circle", {"cx": f"{x[1]:.1f}", "cy": str(y), "r": "5", "fill": colours[1]})
        _text(group, 556, y + 4, row["change"], anchor="start")
    return ET.tostring(root, encoding="unicode")


def _generated(
    model: ValuesModel, pairs: Sequence[tuple[str, str]], texts: Sequence[str], n: int, seed: int
) -> list[list[Consideration]]:
    """Of each pair all that is generated for one of its versions."""
    drawn = dict(zip(texts, model.generate(texts, n=n, seed=seed), strict=True))
    return [[one.consideration for text in pair for one in drawn[text] if one.consideration is not None] for pair in pairs]


def _labels(judged: FloatArray) -> list[str | None]:
    return [None if np.isnan(row).any() else VALENCES[int(row.argmax())] for row in judged[:, 1:]]


def _x(relevance: float) -> float:
    return 240 + 300 * relevance


def _text(parent: ET.Element, x: float, y: float, text: str, *, anchor: str) -> None:
    ET.SubElement(parent, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}).text = _printable(text)


def _line(parent: ET.Element, x1: float, x2: float, y1: float, y2: float, colour: str) -> None:
    ends: dict[str, Any] = {"x1": x1, "x2": x2, "y1": y1, "y2": y2}
    ET.SubElement(parent, "line", {**{name: f"{at:.1f}" for name, at in ends.items()}, "stroke": colour, "stroke-width": "2"})


def _printable(text: str) -> str:
    """Without what XML has no form for."""
    return "".join(character for character in text if character.isprintable())
