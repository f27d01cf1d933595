"""The three thresholds of the system (relevance, n-grams, embedding), tuned against considerations that people accepted.

All candidates of a situation are scored once; what a setting of the thresholds keeps is then a matter of two walks, without
any model. The walks go down by relevance, so the relevance threshold only cuts their tail off: one walk for each pair of the
other two serves all of its values.

A kept candidate is a hit where the situation's reference holds the same consideration (same kind, same stemmed words), each
one once: a second wording of it is no second hit. Over situations s with hits h, kept k, reference r,

    F_beta = (1 + beta^2) sum_s h_s / (sum_s k_s + beta^2 sum_s r_s),

which is a ratio of sums, so that situations are what the intervals resample. What the thresholds are worth is measured by
cross-validation: chosen without a fold of situations, measured on it.

Source: Sorensen et al. 2024, Value Kaleidoscope (arXiv 2309.00779) has such thresholds and does not say how they were found;
the tuner is the project's own. Not in the interval: that other situations would have led to other thresholds; see `by_fold`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import DataError, UsageError
from pluralign.estimates import Estimate, estimate_ratio
from pluralign.streams import stream
from pluralign.values.considerations import KINDS, Consideration
from pluralign.values.dedup import ROUGE_SCORES, RougeScore, cosine_keep, rouge_keep, same_wording

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Candidates", "ThresholdGrid", "Thresholds", "TunedThresholds", "candidates_of", "tune_thresholds"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidates:
    """All that was generated for one situation, with its scores."""

    situation: str
    considerations: tuple[Consideration, ...]
    relevance: FloatArray
    """[considerations] 0..1; NaN for one that was not scored, which is left out and counted."""
    vectors: FloatArray | None = None
    """[considerations, dimensions]; without them the embedding threshold is not tuned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Kept is what is at least so relevant, and not more similar than this to a kept one; 1 = not used."""

    relevance: float
    ngram: float
    embed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdGrid:
    """The values that are tried."""

    relevance: tuple[float, ...] = tuple(round(0.05 * step, 2) for step in range(20))
    ngram: tuple[float, ...] = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)
    embed: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

    def __post_init__(self) -> None:
        if not (self.relevance and self.ngram and self.embed):
            raise UsageError("a grid needs at least one value of relevance, ngram and embed; 1.0 switches a walk off.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedThresholds:
    """The best setting, and what it is worth on situations that it was not chosen by."""

    thresholds: Thresholds
    """Chosen on all situations; of equally good ones the least strict."""
    beta: float
    held_out: Estimate
    """F_beta on the folds, each with the thresholds of the others."""
    held_out_precision: Estimate
    held_out_recall: Estimate
    unfiltered: Estimate
    """F_beta of keeping every candidate."""
    by_fold: tuple[Thresholds, ...]
    table: pl.DataFrame
    """Of each setting: relevance, ngram, embed, hits, kept, reference, f (NaN where nothing is kept and nothing expected)."""
    n_unscored: int
    """Candidates left out since they have no relevance."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without the table."""
        named = ("held_out", "held_out_precision", "held_out_recall", "unfiltered")
        return {
            "thresholds": asdict(self.thresholds),
            "beta": self.beta,
            **{name: getattr(self, name).to_dict() for name in named},
            "by_fold": [asdict(one) for one in self.by_fold],
            "n_unscored": self.n_unscored,
        }


def tune_thresholds(
    candidates: Sequence[Candidates],
    reference: Mapping[str, Iterable[Consideration]],
    *,
    grid: ThresholdGrid | None = None,
    beta: float = 1.0,
    n_gram: int | None = None,
    scores: Sequence[RougeScore] = ROUGE_SCORES,
    across_vrd: bool = False,
    n_folds: int = 5,
    seed: int = 0,
) -> TunedThresholds:
    """The thresholds with the highest F_beta over these situations; no model is asked.

    `reference` has for each situation what people accepted, which may be nothing. `beta` above 1 weighs recall higher. What
    is over the n-gram threshold by any of `scores` is dropped, as in the system. The folds depend on the situations' texts and
    the seed, not on their order. Raises DataError where a situation comes twice or
    has no reference, UsageError where there are fewer situations than folds.
    """
    _check(candidates, reference, n_folds, beta)
    grid = grid or ThresholdGrid()
    if any(one.vectors is None for one in candidates):
        grid = ThresholdGrid(relevance=grid.relevance, ngram=grid.ngram, embed=(1.0,))
    settings = [
        Thresholds(relevance=r, ngram=n, embed=e)
        for r in sorted(grid.relevance)
        for n in sorted(grid.ngram, reverse=True)
        for e in sorted(grid.embed, reverse=True)
    ]
    counted = [_counts(one, tuple(reference[one.situation]), grid, n_gram, scores, across_vrd=across_vrd) for one in candidates]
    hits, kept = (np.stack([one[part] for one in counted]) for part in (0, 1))
    expected = np.array([one[2] for one in counted], dtype=np.float64)
    fold = _folds([one.situation for one in candidates], n_folds, seed)
    chosen = [_best(hits[fold != k], kept[fold != k], expected[fold != k], beta) for k in range(n_folds)]
    own = np.array(chosen)[fold]
    rows = np.arange(len(candidates))
    h, k, every = hits[rows, own], kept[rows, own], [_all_of(one, tuple(reference[one.situation])) for one in candidates]
    all_hits, all_kept = np.array(every, dtype=np.float64).reshape(-1, 2).T
    best = _best(hits, kept, expected, beta)
    return TunedThresholds(
        thresholds=settings[best],
        beta=beta,
        held_out=_ratio((1 + beta**2) * h, k + beta**2 * expected, seed),
        held_out_precision=_ratio(h, k, seed),
        held_out_recall=_ratio(h, expected, seed),
        unfiltered=_ratio((1 + beta**2) * all_hits, all_kept + beta**2 * expected, seed),
        by_fold=tuple(settings[one] for one in chosen),
        table=_table(settings, hits, kept, expected, beta),
        n_unscored=sum(int(np.isnan(one.relevance).sum()) for one in candidates),
    )


def candidates_of(table: pl.DataFrame, vectors: npt.NDArray[Any] | None = None) -> list[Candidates]:
    """Candidates from a table of scores, one row each: columns action, vrd, text, relevant; `vectors` [rows, dimensions].

    Rows without a vrd, outputs that could not be read, are no candidates; their situation counts all the same. Raises
    DataError where a column is missing, or a row is something else than a Value, Right or Duty.
    """
    if missing := [name for name in ("action", "vrd", "text", "relevant") if name not in table.columns]:
        raise DataError("table of scores", f"no column {', '.join(missing)}; columns are {table.columns}")
    if unknown := sorted(set(table["vrd"].drop_nulls().to_list()) - set(KINDS)):
        raise DataError("table of scores", f"vrd has {unknown[:3]}; allowed are {', '.join(KINDS)}")
    found = []
    for (action,), outputs in table.with_row_index("_row").group_by("action", maintain_order=True):
        part = outputs.filter(pl.col("vrd").is_not_null())
        rows = part["_row"].to_numpy()
        found.append(
            Candidates(
                situation=str(action),
                considerations=tuple(Consideration(*row) for row in part.select("vrd", "text").iter_rows()),
                relevance=part["relevant"].cast(pl.Float64).fill_null(np.nan).to_numpy(),
                vectors=None if vectors is None else np.asarray(vectors, dtype=np.float64)[rows],
            )
        )
    return found


def _counts(
    one: Candidates,
    reference: Sequence[Consideration],
    grid: ThresholdGrid,
    n_gram: int | None,
    scores: Sequence[RougeScore],
    *,
    across_vrd: bool,
) -> tuple[FloatArray, FloatArray, int]:
    """Hits and kept of every setting [settings], in the order of `tune_thresholds`, and the number expected."""
    scored = np.flatnonzero(~np.isnan(one.relevance))
    listed = [one.considerations[i] for i in scored]
    relevance = one.relevance[scored]
    vectors = None if one.vectors is None else one.vectors[scored]
    which, n_expected = _references(listed, reference)
    cuts = np.array(sorted(grid.relevance))
    hits, kept = (np.zeros((len(cuts), len(grid.ngram), len(grid.embed))) for _ in range(2))
    for i, ngram in enumerate(sorted(grid.ngram, reverse=True)):
        limits = dict.fromkeys(scores, ngram)
        words = rouge_keep(listed, relevance, threshold=limits, n_gram=n_gram, across_vrd=across_vrd)
        for j, embed in enumerate(sorted(grid.embed, reverse=True)):
            left = words
            if vectors is not None and embed < 1:
                some = [listed[k] for k in words]
                left = words[cosine_keep(vectors[words], some, relevance[words], threshold=embed, across_vrd=across_vrd)]
            first = np.zeros(len(left), dtype=np.bool_)  # only the first candidate of a reference is a hit
            first[np.unique(which[left], return_index=True)[1]] = True
            is_hit = first & (which[left] >= 0)
            n_kept = np.searchsorted(-relevance[left], -cuts, side="right")  # at least so relevant
            kept[:, i, j] = n_kept
            hits[:, i, j] = np.concatenate([[0], np.cumsum(is_hit)])[n_kept]
    return hits.ravel(), kept.ravel(), n_expected


def _references(listed: Sequence[Consideration], reference: Sequence[Consideration]) -> tuple[IntArray, int]:
    """The reference that each candidate is, -1 for none, and how many different ones there are."""
    numbers: dict[Any, int] = {}
    for one in reference:
        numbers.setdefault(same_wording(one), len(numbers))
    return np.array([numbers.get(same_wording(one), -1) for one in listed], dtype=np.int64), len(numbers)


def _all_of(one: Candidates, reference: Sequence[Consideration]) -> tuple[int, int]:
    """Hits and number of all candidates."""
    which, _ = _references(one.considerations, reference)
    return len(set(which.tolist()) - {-1}), len(which)


def _best(hits: FloatArray, kept: FloatArray, expected: FloatArray, beta: float) -> int:
    """The setting with the highest F, the first of equal ones."""
    f = _f(hits.sum(axis=0), kept.sum(axis=0), float(expected.sum()), beta)
    return int(np.argmax(np.where(np.isnan(f), -np.inf, f.round(12))))


def _f(hits: FloatArray, kept: FloatArray, expected: float, beta: float) -> FloatArray:
    below = kept + beta**2 * expected
    return np.asarray(np.divide((1 + beta**2) * hits, below, out=np.full(below.shape, np.nan), where=below > 0))


def _ratio(above: FloatArray, below: FloatArray, seed: int) -> Estimate:
    return estimate_ratio(above, below, unit="situation", why="nothing is kept, and nothing was expected", seed=seed)


def _folds(situations: Sequence[str], n_folds: int, seed: int) -> IntArray:
    """The fold of each situation, of nearly equal sizes."""
    draws = [stream(seed, "threshold folds", text).random() for text in situations]
    places = np.empty(len(draws), dtype=np.int64)
    places[np.argsort(draws, kind="stable")] = np.arange(len(draws))
    return places % n_folds


def _table(
    settings: Sequence[Thresholds], hits: FloatArray, kept: FloatArray, expected: FloatArray, beta: float
) -> pl.DataFrame:
    h, k = hits.sum(axis=0), kept.sum(axis=0)
    sums = {"hits": h.astype(np.int64), "kept": k.astype(np.int64), "reference": np.full(len(h), int(expected.sum()))}
    return pl.DataFrame([asdict(one) for one in settings]).with_columns(
        **{name: pl.Series(values) for name, values in sums.items()}, f=pl.Series(_f(h, k, float(expected.sum()), beta))
    )


def _check(
    candidates: Sequence[Candidates], reference: Mapping[str, Iterable[Consideration]], n_folds: int, beta: float
) -> None:
    texts = [one.situation for one in candidates]
    faults = [
        f"no reference for the situation {text!r:.80}; give an empty one if nothing was accepted"
        for text in texts
        if text not in reference
    ]
    faults += [f"the situation {text!r:.80} comes twice" for text in dict.fromkeys(texts) if texts.count(text) > 1]
    if faults:
        raise DataError("candidates", faults[:10])
    if not 2 <= n_folds <= len(candidates):
        raise UsageError(f"n_folds is {n_folds}, and there are {len(candidates)} situations: 2 folds or more, each with one.")
    if not beta > 0:
        raise UsageError(f"beta is {beta}; it is above 0: 1 weighs precision and recall alike, 2 recall higher.")
