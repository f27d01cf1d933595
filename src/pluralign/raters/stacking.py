"""Several rating models made one: a pool of their distributions, weighted by how well each predicts what it has not seen.

    log-linear    p ~ prod_m p_m^(w_m)             w_m >= 0; 1 / sum w is a temperature
    linear        p ~ (sum_m w_m p_m)^(1 / T)      w_m >= 0, sum w = 1

The weights make most probable the ratings of raters or items that no member was fitted on: every member is fitted again without
each fold of the training ratings and predicts it. On these ratings no pool is worse than its best member, since either kind
can be that member alone.

Sources: Wolpert 1992, Stacked generalization; Breiman 1996, Stacked regressions (weights at least 0); Genest & Zidek 1986
(the two pools); Yao, Vehtari, Simpson & Gelman 2018 (stacking of distributions by log score).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from pluralign.errors import DataError, NotFittedError, UsageError, nearest_name
from pluralign.models.protocol import renormalised
from pluralign.raters.baselines import RatingModel
from pluralign.raters.individual_scores import rating_nats
from pluralign.raters.recalibration import LEAST
from pluralign.ratings import Ratings
from pluralign.ratings.splits import item_folds, rater_folds, split_fit_eval

__all__ = ["CrossFitted", "NewUnit", "Pool", "PoolKind", "Stacked", "cross_fitted", "fit_pool"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

PoolKind = Literal["log-linear", "linear", "best"]
NewUnit = Literal["items", "raters"]
LOG_TEMPERATURES = (-2.0, 2.0)


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    kind: Literal["log-linear", "linear"]
    weights: FloatArray
    """[members], at least 0; in a linear pool they sum to 1."""
    temperature: float
    """Above 1 the pool is flatter than its weighted members. Of a log-linear pool, 1 / sum of the weights."""
    loss: float
    """Nats per rating on what it was fitted on."""
    n: int
    """Ratings that it was fitted on."""

    def combine(self, members: Sequence[FloatArray]) -> FloatArray:
        """[rows, options] rows sum to 1, from each member's probabilities [rows, options] in the order of the weights."""
        stacked = _checked(members)
        if len(stacked) != len(self.weights):
            raise UsageError(f"the pool has {len(self.weights)} members, got the probabilities of {len(stacked)}.")
        if self.kind == "log-linear":
            return renormalised(np.tensordot(self.weights, np.log(stacked), axes=1))
        return renormalised(np.log(np.tensordot(self.weights, stacked, axes=1)) / self.temperature)


def fit_pool(members: Sequence[FloatArray], chosen: IntArray, *, kind: PoolKind = "best") -> Pool:
    """The pool of members' probabilities [rows, options] under which the chosen options [rows] are most probable.

    No member may have been fitted on these rows. "best" fits both kinds and keeps the one with the lower loss. Raises
    UsageError for shapes that do not match, and DataError where a member has a NaN: leave that row, or that member, out.
    """
    stacked = _checked(members)
    if chosen.shape != stacked.shape[1:2] or not len(chosen):
        raise UsageError(f"need chosen [rows] for {stacked.shape[1]:,} rows, at least one; got {chosen.shape}.")
    if kind not in get_args(PoolKind):
        raise UsageError(f"kind of pool: {nearest_name(str(kind), get_args(PoolKind))}")
    pools = [fit(stacked, chosen) for name, fit in _FITS.items() if kind in (name, "best")]
    return min(pools, key=lambda pool: pool.loss)


def _log_linear(stacked: FloatArray, chosen: IntArray) -> Pool:
    from scipy.optimize import minimize

    logs, rows = np.log(stacked), np.arange(len(chosen))
    of_chosen = logs[:, rows, chosen]

    def loss(weights: FloatArray) -> tuple[float, FloatArray]:
        scores = np.tensordot(weights, logs, axes=1)
        p = renormalised(scores)
        slope = np.einsum("ro,mro->m", p, logs) - of_chosen.sum(axis=1)
        return -float(np.log(np.maximum(p[rows, chosen], 1e-300)).mean()), slope / len(rows)

    starts = [*np.eye(len(logs)), np.full(len(logs), 1 / len(logs))]
    best = min(starts, key=lambda w: loss(w)[0])
    found = minimize(loss, best, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(logs), options={"ftol": 1e-12})
    weights = found.x if found.fun <= loss(best)[0] and found.x.sum() > 0 else best
    return Pool("log-linear", weights, 1 / float(weights.sum()), loss(weights)[0], len(rows))


def _linear(stacked: FloatArray, chosen: IntArray) -> Pool:
    """Weights by expectation maximisation, which cannot leave the simplex nor get worse; then the temperature."""
    from scipy.optimize import minimize_scalar

    rows, of_chosen = np.arange(len(chosen)), stacked[:, np.arange(len(chosen)), chosen]
    weights = np.full(len(stacked), 1 / len(stacked))
    before = math.inf
    for _ in range(1000):
        mixed = weights @ of_chosen
        loss = -float(np.log(mixed).mean())
        if before - loss < 1e-10:
            break
        before, weights = loss, weights * (of_chosen / mixed).mean(axis=1)
    alone = -np.log(of_chosen).mean(axis=1)
    if alone.min() < loss:
        weights = np.eye(len(stacked))[alone.argmin()]
    logs = np.log(np.tensordot(weights, stacked, axes=1))

    def at(log_temperature: float) -> float:
        return -float(np.log(np.maximum(renormalised(logs / np.exp(log_temperature))[rows, chosen], 1e-300)).mean())

    found = minimize_scalar(at, bounds=LOG_TEMPERATURES, method="bounded", options={"xatol": 1e-5})
    temperature = float(np.exp(found.x)) if found.fun < at(0.0) else 1.0
    return Pool("linear", weights, temperature, min(float(found.fun), at(0.0)), len(rows))


_FITS: dict[Literal["log-linear", "linear"], Callable[[FloatArray, IntArray], Pool]] = {
    "log-linear": _log_linear,
    "linear": _linear,
}


@dataclass(frozen=True, slots=True, eq=False)
class CrossFitted:
    """Predictions of training ratings by a model that was fitted without them."""

    rows: IntArray
    """[predicted] rising positions in the training ratings."""
    probabilities: FloatArray
    """[predicted, options]"""


def cross_fitted(model: RatingModel, ratings: Ratings, *, new: NewUnit, n_folds: int = 4, seed: int = 0) -> CrossFitted:
    """Every fold of items or raters predicted by the model fitted on the other folds; the model is left fitted on the last.

    items: given are the raters' ratings of the other folds' items. raters: of a fold's raters with 4 ratings or more, some are
    given and the others predicted (`split_fit_eval`); those with fewer are predicted by nobody.
    """
    if new not in get_args(NewUnit):
        raise UsageError(f"new: {nearest_name(str(new), get_args(NewUnit))}")
    by_items = new == "items"
    unit = ratings.item_index if by_items else ratings.rater_index
    fold = (item_folds if by_items else rater_folds)(ratings, seed=seed, n_folds=n_folds)[unit]
    split = split_fit_eval(ratings, seed=seed)
    rows, parts = [], []
    for k in range(n_folds):
        out = fold == k
        asked = np.flatnonzero(out if by_items else out & split.is_eval)
        if not len(asked):
            continue
        train = ratings.take(~out)
        given = train if by_items else ratings.take(out & split.is_fit)
        rows.append(asked)
        parts.append(model.fit(train).predict_proba(ratings.take(asked), given=given))
    if not rows:
        raise DataError(ratings.name, f"no rating could be kept out: {n_folds} folds of {new}; raters need 4 ratings.")
    order = np.argsort(np.concatenate(rows))
    return CrossFitted(np.concatenate(rows)[order], np.concatenate(parts)[order])


class Stacked:
    """A pool of rating models, itself one. After `fit`: `pool_`, `weights_` {member: weight}, `losses_` {member: nats}.

    `new` is what will be asked about: new items of known raters, or new raters. The losses are the members' on the ratings
    that the pool was fitted on; the members themselves are then fitted on all.
    """

    def __init__(
        self,
        models: Mapping[str, RatingModel],
        *,
        new: NewUnit = "items",
        kind: PoolKind = "best",
        n_folds: int = 4,
        seed: int = 0,
    ) -> None:
        if not models:
            raise UsageError("Stacked: give at least one model.")
        self.models = dict(models)
        self.new = new
        self.kind = kind
        self.n_folds = n_folds
        self.seed = seed

    def fit(self, ratings: Ratings) -> Self:
        found = [cross_fitted(m, ratings, new=self.new, n_folds=self.n_folds, seed=self.seed) for m in self.models.values()]
        chosen = ratings.rating_index[found[0].rows]
        members = [one.probabilities for one in found]
        self.pool_ = fit_pool(members, chosen, kind=self.kind)
        self.losses_ = {name: float(rating_nats(p, chosen).mean()) for name, p in zip(self.models, members, strict=True)}
        self.weights_ = dict(zip(self.models, self.pool_.weights.tolist(), strict=True))
        for model in self.models.values():
            model.fit(ratings)
        return self

    def predict_members(self, queries: Ratings, *, given: Ratings | None = None) -> dict[str, FloatArray]:
        """Each member alone: name -> [queries, options]."""
        if not hasattr(self, "pool_"):
            raise NotFittedError("Stacked: call fit(ratings) first.")
        return {name: model.predict_proba(queries, given=given) for name, model in self.models.items()}

    def predict_proba(self, queries: Ratings, *, given: Ratings | None = None) -> FloatArray:
        """[queries, options], rows sum to 1."""
        members = self.predict_members(queries, given=given)
        return self.pool_.combine(list(members.values()))


def _checked(members: Sequence[FloatArray]) -> FloatArray:
    """[members, rows, options], none below LEAST."""
    shapes = {np.shape(p) for p in members}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise UsageError(f"need each member's probabilities [rows, options], all of one shape; got {sorted(shapes)}.")
    stacked = np.stack([np.asarray(p, dtype=np.float64) for p in members])
    if bad := int(np.isnan(stacked).any(axis=(0, 2)).sum()):
        raise DataError(
            "members of a pool", f"{bad:,} rows have no probability from some member; leave the rows or the member out."
        )
    return np.maximum(stacked, LEAST)
