"""Logistic regression on an item's words and its rater's habits: the model that most people would try first.

    rating of item i by rater r ~ softmax(b + W' x_i + o_r + A' a_r + v_i)
    x_i  TF-IDF of words and of character n-grams        a_r  her attributes, one-hot, if they are asked for
    o_r  her offset, fitted to her given ratings         v_i  the item's offset, where new raters are asked about known items
    loss + |W|^2 / (2 C) + (|o|^2 + |A|^2 + |v|^2) / (2 C_rater)

C and C_rater are chosen by cross-validation within the training ratings, grouped by what will be new: items, with x learned
anew in every fold, or raters, of whom some ratings are then given (`split_fit_eval`).
An offset is what makes a rater's given ratings most probable while everything else is fixed; for a training rater and her
training ratings that is the offset of the joint fit, and a rater of whom nothing is given has none.

Source: the objective is that of scikit-learn's `LogisticRegression` (multinomial, L2) on [x, one-hot rater] with the one-hot
columns scaled by sqrt(C_rater / C); a test compares the two.
Departure: texts that several raters share are multiplied once an item instead of once a rating, and a path of C starts each
fit where the last ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import DataError, NotFittedError, UsageError, nearest_name
from pluralign.models.protocol import renormalised
from pluralign.raters.attributes import CodedAttribute, code_attributes
from pluralign.raters.text_terms import TermCounts, Terms
from pluralign.ratings import Ratings
from pluralign.ratings.splits import item_folds, rater_folds, split_fit_eval

__all__ = ["TextLogistic", "TextLogisticSettings"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
NEWTON_STEPS = 30


@dataclass(frozen=True, kw_only=True)
class TextLogisticSettings:
    new: Literal["items", "raters"] = "items"
    """What will be asked about; for new raters items have offsets of their own."""
    c_text: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
    """Rising; the search starts at the fourth and goes downhill. A single value is taken as it is."""
    c_rater: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
    n_folds: int = 4
    attributes: tuple[str, ...] = ()
    """Attributes of raters ("rater_age") that get weights."""
    max_terms: int = 30_000
    """Of words and of character n-grams each."""
    max_iterations: int = 200
    tolerance: float = 1e-5
    """Of the loss, relative, at which a fit stops."""


class TextLogistic:
    """See the module. After `fit`: `c_text_`, `c_rater_`, `losses_` {(C, C_rater): cross-validated nats}."""

    def __init__(self, settings: TextLogisticSettings | None = None, *, seed: int = 0) -> None:
        self.settings = settings or TextLogisticSettings()
        self.seed = seed
        self._kept: tuple[pl.DataFrame, list[Any]] | None = None

    def fit(self, ratings: Ratings) -> Self:
        if len(ratings) == 0:
            raise DataError(ratings.name, "no ratings to fit a model on.")
        s = self.settings
        self.options_, self.item_ids_ = ratings.scale.options, ratings.items.select("item_id").with_row_index("row")
        self.attributes_ = _chosen_attributes(ratings, s.attributes)
        self.counter_ = TermCounts(ratings)
        counts = self.counter_.of(ratings.items)
        self._kept = (ratings.items, counts)
        self.losses_: dict[tuple[float, float], float] = {}
        self.c_text_, self.c_rater_ = self._chosen(ratings, counts)
        self.whole_, problem = self._part(ratings, counts)
        weights = problem.solve(self.c_text_, self.c_rater_, s)
        self.whole_ = replace(self.whole_, weights=weights)
        return self

    def predict_proba(self, queries: Ratings, *, given: Ratings | None = None) -> FloatArray:
        """[queries, options], rows sum to 1. Tables of raters must be shared (take all from one Ratings)."""
        scores = self._scores(queries)
        if given is not None and len(given):
            offsets = _offsets(self._scores(given), given, self.c_rater_)
            scores = scores + offsets[queries.rater_index]
        return renormalised(scores)

    def item_logits(self, items: pl.DataFrame) -> FloatArray:
        """b + W' x + v [items, options] of any items, each row less its mean: what a rater without habits would answer."""
        logits = self.whole_.logits(self._counts(items), items.height)
        if self.settings.new == "items":
            return logits
        rows = items.select("item_id").join(self.item_ids_, on="item_id", how="left", maintain_order="left")["row"]
        own = self.whole_.weights.items[rows.fill_null(0).to_numpy()] * rows.is_not_null().to_numpy()[:, None]
        return np.asarray(logits + own - own.mean(axis=1, keepdims=True))

    def held_out_item_logits(self, items: pl.DataFrame) -> FloatArray:
        """As `item_logits`, but of an item of the training ratings by the fit without the fold that it is in.

        Of other items the mean over the folds' fits, so that both are as good as a prediction of something new. Raises
        UsageError for a fit whose folds were raters.
        """
        self._check_fitted()
        if self.settings.new != "items":
            raise UsageError("TextLogistic: with new='raters' no fit leaves an item out; use new='items'.")
        counts = self._counts(items)
        rows = items.select("item_id").join(self.item_ids_, on="item_id", how="left", maintain_order="left")["row"]
        fold = np.where(rows.is_not_null().to_numpy(), self.fold_of_item_[rows.fill_null(0).to_numpy()], -1)
        parts = self.folds_ or [self.whole_]
        level = np.mean([part.centre for part in parts], axis=0)  # so that an item's fold alone says nothing
        each = np.stack([part.logits(counts, items.height) - part.centre + level for part in parts])
        known = fold >= 0
        out: FloatArray = each.mean(axis=0)
        out[known] = each[fold[known], np.flatnonzero(known)]
        return out

    def _counts(self, items: pl.DataFrame) -> list[Any]:
        """Kept for the next call about the same table."""
        self._check_fitted()
        if self._kept is None or self._kept[0] is not items:
            self._kept = (items, self.counter_.of(items))
        return self._kept[1]

    def _part(self, ratings: Ratings, counts: list[Any]) -> tuple[_Part, _Problem]:
        terms = Terms.learned(counts, np.unique(ratings.item_index), self.settings.max_terms)
        problem = _Problem(
            ratings, terms.weigh(counts, ratings.n_items), self.attributes_, with_items=self.settings.new == "raters"
        )
        return _Part(terms, problem.start(), np.zeros(ratings.n_options)), problem

    def _scores(self, ratings: Ratings) -> FloatArray:
        """Without the offset of the rater [ratings, options]."""
        self._check_fitted()
        if ratings.scale.options != self.options_:
            raise DataError(
                ratings.name, f"the options are {list(ratings.scale.options)}, but fitted were {list(self.options_)}."
            )
        of_raters = self.attributes_.transform(ratings) @ self.whole_.weights.attributes
        return np.asarray(self.item_logits(ratings.items)[ratings.item_index] + of_raters[ratings.rater_index])

    def _chosen(self, ratings: Ratings, counts: list[Any]) -> tuple[float, float]:
        """The pair with the lowest loss on what was left out, downhill on the grid; the fits of the folds are kept."""
        s = self.settings
        text, rater = min(3, len(s.c_text) - 1), min(3, len(s.c_rater) - 1)
        self.folds_: list[_Part] = []
        self.fold_of_item_ = np.full(ratings.n_items, -1, dtype=np.int64)
        by_items = s.new == "items"
        unit = ratings.item_index if by_items else ratings.rater_index
        n_folds = min(s.n_folds, len(np.unique(unit)))
        if n_folds < 2:
            return s.c_text[text], s.c_rater[rater]
        fold_of = (item_folds if by_items else rater_folds)(ratings, seed=self.seed, n_folds=n_folds)
        self.fold_of_item_ = fold_of if by_items else self.fold_of_item_
        fold = fold_of[unit]
        parts, problems = zip(*(self._part(ratings.take(fold != k), counts) for k in range(n_folds)), strict=True)
        halves = split_fit_eval(ratings, seed=self.seed)
        asked, given = (True, fold < 0) if by_items else (halves.is_eval, halves.is_fit)
        tests = [(ratings.take((fold == k) & given), ratings.take((fold == k) & asked)) for k in range(n_folds)]
        if not sum(len(test) for _, test in tests):
            return s.c_text[text], s.c_rater[rater]
        weights = [part.weights for part in parts]

        def loss(c_text: float, c_rater: float) -> float:
            if (c_text, c_rater) not in self.losses_:
                self.losses_[c_text, c_rater] = _held_out_loss(problems, tests, weights, (c_text, c_rater), s)
            return self.losses_[c_text, c_rater]

        at = _lowest((text, rater), (len(s.c_text), len(s.c_rater)), lambda i, j: loss(s.c_text[i], s.c_rater[j]))
        chosen = (s.c_text[at[0]], s.c_rater[at[1]])
        self.losses_[chosen] = _held_out_loss(problems, tests, weights, chosen, s)
        fitted = [replace(part, weights=w) for part, w in zip(parts, weights, strict=True)]
        rated = np.unique(ratings.item_index)
        self.folds_ = [replace(p, centre=p.logits(counts, ratings.n_items)[rated].mean(axis=0)) for p in fitted]
        return chosen

    def _check_fitted(self) -> None:
        if not hasattr(self, "whole_"):
            raise NotFittedError("TextLogistic: call fit(ratings) first.")


def _lowest(at: tuple[int, int], sizes: tuple[int, int], loss: Callable[[int, int], float]) -> tuple[int, int]:
    """Downhill on a grid, one axis after the other, until none of the four neighbours is lower."""
    while True:
        start = at
        for step in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            to = (at[0] + step[0], at[1] + step[1])
            while all(0 <= i < n for i, n in zip(to, sizes, strict=True)) and loss(*to) < loss(*at):
                at, to = to, (to[0] + step[0], to[1] + step[1])
        if at == start:
            return at


def _held_out_loss(
    problems: Sequence[_Problem],
    tests: Sequence[tuple[Ratings, Ratings]],
    weights: list[_Weights],
    pair: tuple[float, float],
    settings: TextLogisticSettings,
) -> float:
    """Mean nats of the ratings left out (`tests`: given, asked); each fold's fit starts at its `weights`, and replaces them."""
    total, n = 0.0, 0
    for fold, (problem, (given, test)) in enumerate(zip(problems, tests, strict=True)):
        weights[fold] = w = problem.solve(*pair, settings, weights[fold])
        offsets = _offsets(problem.scores(w, given), given, pair[1]) if len(given) else w.raters
        p = renormalised(problem.scores(w, test) + offsets[test.rater_index])
        total -= float(np.log(p[np.arange(len(test)), test.rating_index]).sum())
        n += len(test)
    return total / n


@dataclass(frozen=True, slots=True, eq=False)
class _Weights:
    intercept: FloatArray
    """[options]"""
    text: FloatArray
    """[terms, options]"""
    raters: FloatArray
    """[raters, options]"""
    attributes: FloatArray
    """[levels, options]"""

    items: FloatArray
    """[items, options], or one row of zeros for all"""

    def flat(self) -> FloatArray:
        return np.concatenate([w.ravel() for w in (self.intercept, self.text, self.raters, self.attributes, self.items)])


class _Problem:
    """One set of training ratings with the features of all items; minimises the loss for any C."""

    def __init__(self, ratings: Ratings, x: Any, attributes: _Attributes, *, with_items: bool) -> None:
        self.ratings, self.x = ratings, x
        self.rated = np.unique(ratings.item_index)
        self.x_rated = x[self.rated]
        self.x_rated_t = self.x_rated.T.tocsr()
        self.item = np.searchsorted(self.rated, ratings.item_index)
        self.a = attributes.transform(ratings)
        self.with_items = with_items
        self.n = (ratings.n_options, x.shape[1], ratings.n_raters, self.a.shape[1], ratings.n_items if with_items else 1)

    def unflat(self, flat: FloatArray) -> _Weights:
        k, *sizes = self.n
        b, *blocks = np.split(flat, np.cumsum([k, *(n * k for n in sizes[:-1])]))
        return _Weights(b, *(block.reshape(-1, k) for block in blocks))

    def start(self) -> _Weights:
        """The options' shares for everybody."""
        k = self.n[0]
        counts = np.bincount(self.ratings.rating_index, minlength=k) + 0.5
        return self.unflat(np.concatenate([np.log(counts / counts.sum()), np.zeros(k * sum(self.n[1:]))]))

    def scores(self, weights: _Weights, ratings: Ratings) -> FloatArray:
        """Without the raters' offsets [ratings, options]."""
        of_items = self.x @ weights.text + weights.items + weights.intercept
        return np.asarray(of_items[ratings.item_index] + (self.a @ weights.attributes)[ratings.rater_index])

    def solve(self, c_text: float, c_rater: float, s: TextLogisticSettings, start: _Weights | None = None) -> _Weights:
        from scipy.optimize import minimize

        y, rater = self.ratings.rating_index, self.ratings.rater_index
        rows, n_rated = np.arange(len(y)), len(self.rated)

        def loss(flat: FloatArray) -> tuple[float, FloatArray]:
            w = self.unflat(flat)
            of_items, of_raters = self.x_rated @ w.text + w.intercept, w.raters + self.a @ w.attributes
            of_items = of_items + (w.items[self.rated] if self.with_items else 0.0)
            p = renormalised(of_items[self.item] + of_raters[rater])
            nats = -np.log(np.maximum(p[rows, y], 1e-300)).sum()
            p[rows, y] -= 1.0
            by_item = _sums(self.item, p, n_rated)
            by_rater = _sums(rater, p, self.n[2])
            ridge = (w.text**2).sum() / c_text + sum((b**2).sum() for b in (w.raters, w.attributes, w.items)) / c_rater
            items = w.items / c_rater
            if self.with_items:
                items[self.rated] += by_item
            slope = _Weights(
                by_item.sum(axis=0),
                self.x_rated_t @ by_item + w.text / c_text,
                by_rater + w.raters / c_rater,
                self.a.T @ by_rater + w.attributes / c_rater,
                items,
            )
            return float(nats + ridge / 2) / len(y), slope.flat() / len(y)

        first = (start or self.start()).flat()
        found = minimize(loss, first, jac=True, method="L-BFGS-B", tol=s.tolerance, options={"maxiter": s.max_iterations})
        return self.unflat(np.asarray(found.x))


def _offsets(scores: FloatArray, given: Ratings, c_rater: float) -> FloatArray:
    """The offsets [raters, options] that make the given ratings most probable, by Newton's method for all raters at once."""
    n, k = given.n_raters, given.n_options
    offsets = np.zeros((n, k))
    observed = np.zeros((n, k))
    np.add.at(observed, (given.rater_index, given.rating_index), 1.0)
    for _ in range(NEWTON_STEPS):
        p = renormalised(scores + offsets[given.rater_index])
        slope = observed - _sums(given.rater_index, p, n) - offsets / c_rater
        curve = np.einsum("nj,jk->njk", _sums(given.rater_index, p, n), np.eye(k))
        curve -= _sums(given.rater_index, (p[:, :, None] * p[:, None, :]).reshape(len(p), -1), n).reshape(n, k, k)
        step = np.linalg.solve(curve + np.eye(k) / c_rater, slope[:, :, None])[:, :, 0]
        offsets = offsets + np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-8:
            break
    return offsets


def _sums(index: IntArray, values: FloatArray, n: int) -> FloatArray:
    """Sum of the rows of `values` [rows, m] within each unit [n, m]."""
    return np.stack([np.bincount(index, values[:, j], n) for j in range(values.shape[1])], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """One fit, and what it takes to apply it to any items."""

    terms: Terms
    weights: _Weights
    centre: FloatArray
    """[options] mean of `logits` over the training items, those of all folds."""

    def logits(self, counts: list[Any], n_items: int) -> FloatArray:
        """[items, options], each row less its mean."""
        logits = np.asarray(self.terms.weigh(counts, n_items) @ self.weights.text + self.weights.intercept)
        return np.asarray(logits - logits.mean(axis=1, keepdims=True), dtype=np.float64)


@dataclass(frozen=True)
class _Attributes:
    coded: list[CodedAttribute]

    def transform(self, ratings: Ratings) -> FloatArray:
        """[raters, levels] one-hot."""
        parts = [(a.level[:, None] == np.arange(len(a.levels))).astype(np.float64) for a in self.coded]
        return np.hstack(parts) if parts else np.zeros((ratings.n_raters, 0))


def _chosen_attributes(ratings: Ratings, names: Sequence[str]) -> _Attributes:
    usable = {f"rater_{a.name}": a for a in code_attributes(ratings)[0]} if names else {}
    for name in names:
        if name not in usable:
            raise DataError(ratings.name, f"attribute {nearest_name(name, usable)}")
    return _Attributes([usable[name] for name in names])
