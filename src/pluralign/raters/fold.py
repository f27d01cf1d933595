"""One fold of a study: fit on some raters, predict the held-out ratings of the others under every representation.

    representation      what is known of a test rater beside the item
    marginal            nothing, and not the item either: the scale's shares
    nothing             nothing
    attribute:NAME      one attribute
    attributes          all of them
    examples:N          the first min(N, |fit|) of her given ratings
    clusters:K          which of K groups of raters she belongs to, judged from her given ratings

All are the mixed-effects model (`mixed`) with another belief about the rater, so their losses differ by what was known only.
Test raters' ratings are split into given ("fit") and held-out ("eval") ones (`splits.split_fit_eval`).

Source: Sorensen et al. 2025, Value Profiles (arXiv 2503.15484), sections 3 and 5.
Departures: every representation has the same statistical decoder instead of one language model each; the groups' predictions
are learned from training raters' held-out ratings, while the groups were formed on their given ones, as it will be for test
raters (learning both from the same ratings overstates what groups tell); Algorithm 2's clusters are refined by alternating
between the predictions for a cluster's members and the members' assignment.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.estimates import unit_sums
from pluralign.raters.attributes import CodedAttribute, membership_of
from pluralign.raters.baselines import Marginal
from pluralign.raters.clusters import Clusters, cluster_by_swaps
from pluralign.raters.features import ItemFeatures
from pluralign.raters.fit_jackknife import SCHEMA
from pluralign.raters.group_effects import GroupEffects, Membership, fit_group_effects
from pluralign.raters.group_tables import GroupTable
from pluralign.raters.mixed import MixedModel, MixedSettings
from pluralign.raters.variational import Beliefs
from pluralign.ratings import Ratings
from pluralign.ratings.splits import FitEvalSplit

__all__ = ["FoldResult", "FoldTask", "Progress", "evaluate_fold", "example_counts", "records_of"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

MAX_REFINEMENTS = 30
"""Most rounds of predicting for clusters and assigning raters again; it settles in far fewer."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class FoldTask:
    ratings: Ratings
    is_train: BoolArray
    """[raters] the others are test raters."""
    split: FitEvalSplit
    attributes: Sequence[CodedAttribute]
    n_examples: Sequence[int]
    cluster_counts: Sequence[int]
    n_candidates: int
    settings: MixedSettings
    seed: int
    features: ItemFeatures | None = None
    """Item features instead of those of the text."""
    left_out: IntArray | None = None
    """[raters] groups of raters without each of which attributes and clusters are learned once more (`fit_jackknife`)."""


@dataclass(frozen=True, kw_only=True)
class FoldResult:
    rows: IntArray
    """[evaluated] positions in the ratings."""
    probabilities: dict[str, npt.NDArray[np.float32]]
    """Representation -> [evaluated, options]."""
    tables: list[GroupTable]
    without: pl.DataFrame
    """`fit_jackknife.SCHEMA`: the held-out loss when a group of training raters was left out; empty if none was to be."""
    n_factors: int = 0
    """How many item factors the model was fitted with."""
    cluster_of_rater: dict[int, IntArray] = field(default_factory=dict)
    """K -> [raters] every rater's cluster judged from all her ratings, for describing the groups; -1 without ratings."""
    cluster_predictions: dict[int, FloatArray] = field(default_factory=dict)
    """K -> [clusters, items, options]"""


def example_counts(split: FitEvalSplit, rater_index: IntArray, *, most: int) -> list[int]:
    """1, 2, 4, ... as long as a tenth of the raters have that many given ratings, at most `most`."""
    n_fit = np.bincount(rater_index[split.is_fit])
    n_fit = n_fit[n_fit > 0]
    counts = []
    n = 1
    while n <= most and len(n_fit) and (n_fit >= n).mean() >= 0.1:
        counts.append(n)
        n *= 2
    return counts


def evaluate_fold(task: FoldTask, on_progress: Progress | None = None) -> FoldResult:
    """Everything that one fold measures. `on_progress` is told (what, done, of how many)."""
    tell = on_progress or (lambda what, done, total: None)
    ratings = task.ratings
    in_train = task.is_train[ratings.rater_index]
    train = ratings.take(in_train)
    model = MixedModel(task.settings, features=task.features, seed=task.seed).fit(
        train, on_progress=lambda i, n: tell("fitting", i, n)
    )
    work = _Work(task, model, np.flatnonzero(task.split.is_eval & ~in_train))
    work.keep("marginal", Marginal().fit(train).predict_proba(work.queries))
    work.keep("nothing", model.predict_proba(work.queries))
    n_steps = len(task.attributes) + 1 + len(task.n_examples) + len(task.cluster_counts) + 1
    for step, measure in enumerate(_measures(work)):
        tell("predicting", step, n_steps)
        measure()
    tell("predicting", n_steps, n_steps)
    return FoldResult(
        rows=work.rows,
        probabilities=work.probabilities,
        tables=work.tables,
        without=pl.DataFrame(work.without, schema=SCHEMA, orient="row"),
        n_factors=model.factors_.n_,
        cluster_of_rater=work.cluster_of_rater,
        cluster_predictions=work.cluster_predictions,
    )


def _measures(work: _Work) -> list[Callable[[], None]]:
    task = work.task
    one_each = [lambda a=a: work.by_attribute(a) for a in task.attributes]
    together = [work.by_all_attributes] if len(task.attributes) > 1 else []
    examples = [lambda n=n: work.by_examples(n) for n in task.n_examples]
    clusters = [work.judge_candidates] if task.cluster_counts else []
    by_cluster = [lambda k=k: work.by_clusters(k) for k in task.cluster_counts]
    return [*one_each, *together, *examples, *clusters, *by_cluster]


class _Work:
    """What the representations of one fold share."""

    def __init__(self, task: FoldTask, model: MixedModel, rows: IntArray) -> None:
        self.task, self.model, self.rows = task, model, rows
        self.ratings = task.ratings
        self.queries = task.ratings.take(rows)
        self.probabilities: dict[str, npt.NDArray[np.float32]] = {}
        self.tables: list[GroupTable] = []
        self.without: list[tuple[str, int, float]] = []
        self.cluster_of_rater: dict[int, IntArray] = {}
        self.cluster_predictions: dict[int, FloatArray] = {}

    def keep(self, representation: str, probabilities: FloatArray) -> None:
        self.probabilities[representation] = probabilities.astype(np.float32)

    def keep_without(self, representation: str, group: int, probabilities: FloatArray) -> None:
        given = probabilities[np.arange(len(self.queries)), self.queries.rating_index]
        self.without.append((representation, group, float(-np.log(given).sum())))

    def leaving_out(self, raters: IntArray) -> Iterator[tuple[int, IntArray]]:
        """Each group to be left out, and those of these training raters who stay; none if nobody or everybody would."""
        groups = self.task.left_out
        if groups is None:
            return
        for group in np.unique(groups[raters]):
            stay = raters[groups[raters] != group]
            if len(stay):
                yield int(group), stay

    def by_attribute(self, attribute: CodedAttribute) -> None:
        name, membership = f"attribute:{attribute.name}", membership_of([attribute])
        self._by_group(name, self.model.attribute_effects(membership), attribute.level)
        for group, raters in self.leaving_out(self.model.trained_):
            effects = self.model.attribute_effects(membership, raters=raters)
            self.keep_without(name, group, self._predicted(self._grid(effects, len(effects.mean)), attribute.level))

    def by_all_attributes(self) -> None:
        membership = membership_of(list(self.task.attributes))

        def predicted(raters: IntArray) -> FloatArray:
            beliefs = self.model.attribute_effects(membership, raters=raters).beliefs(membership)
            return self.model.predict_from_beliefs(self.queries, beliefs)

        self.keep("attributes", predicted(self.model.trained_))
        for group, raters in self.leaving_out(self.model.trained_):
            self.keep_without("attributes", group, predicted(raters))

    def by_examples(self, n: int) -> None:
        position = self.task.split.fit_position
        given = self.ratings.take((position >= 0) & (position < n) & ~self.task.is_train[self.ratings.rater_index])
        self.keep(f"examples:{n}", self.model.predict_proba(self.queries, given=given))

    def judge_candidates(self) -> None:
        """Loss of every rater's given ratings under the predictions made for each candidate, a training rater."""
        rng = np.random.default_rng(self.task.seed)
        n = min(self.task.n_candidates, len(self.model.trained_))
        candidates = np.sort(rng.choice(self.model.trained_, n, replace=False))
        beliefs = self.model.rater_beliefs_
        ratings, is_fit = self.ratings, self.task.split.is_fit
        self.losses = np.zeros((ratings.n_raters, n))
        for c, rater in enumerate(candidates[:, None]):
            self.losses[:, c] = self._losses_under(self.model.predict_grid(ratings.items, beliefs.take(rater)), is_fit)[:, 0]
        has_eval = np.bincount(ratings.rater_index[self.task.split.is_eval], minlength=ratings.n_raters) > 0
        self.split_train = np.flatnonzero(self.task.is_train & has_eval)
        in_train = self.task.is_train[ratings.rater_index]
        self.given_beliefs = self.model.beliefs_about_raters(ratings.take(is_fit & in_train))
        self.held_out_beliefs = self.model.beliefs_about_raters(ratings.take(self.task.split.is_eval & in_train))

    def _losses_under(self, grid: FloatArray, rows: BoolArray) -> FloatArray:
        """Sum of -log p of each rater's ratings among `rows` [raters, candidates]; `grid` is [candidates, items, options]."""
        item, rater, rating = (x[rows] for x in (self.ratings.item_index, self.ratings.rater_index, self.ratings.rating_index))
        columns = [np.bincount(rater, -np.log(table[item, rating]), self.ratings.n_raters) for table in grid]
        return np.stack(columns, axis=1)

    def by_clusters(self, k: int) -> None:
        if k > min(self.losses.shape[1], len(self.split_train)):
            return
        found = cluster_by_swaps(self.losses[self.split_train], k, seed=self.task.seed)
        assigned, grid = self._refined(found, k)
        effects = self._group_effects(self.held_out_beliefs, assigned, k)
        self._by_group(f"clusters:{k}", effects, assigned)
        for group, raters in self.leaving_out(self.split_train):
            again = self._group_effects(self.held_out_beliefs, assigned, k, raters=raters)
            self.keep_without(f"clusters:{k}", group, self._predicted(self._grid(again, k), assigned))
        rated = np.bincount(self.ratings.rater_index, minlength=self.ratings.n_raters) > 0
        everything = np.ones(len(self.ratings), dtype=bool)
        self.cluster_of_rater[k] = np.where(rated, self._losses_under(grid, everything).argmin(axis=1), -1)
        self.cluster_predictions[k] = self._grid(effects, k)

    def _refined(self, found: Clusters, k: int) -> tuple[IntArray, FloatArray]:
        """Every rater's cluster [raters] and the predictions [clusters, items, options] that it was chosen by.

        A candidate is one rater's view, with her noise; the view that a cluster's members share fits them better. So predict
        for the cluster, assign again, and go on while the training raters' loss falls.
        """
        assigned, best = found.assign(self.losses), math.inf
        kept = grid = self._grid(self._group_effects(self.given_beliefs, assigned, k, iterations=5), k)
        for _ in range(MAX_REFINEMENTS):
            losses = self._losses_under(grid, self.task.split.is_fit)
            total = float(losses[self.split_train].min(axis=1).sum())
            if total >= best * (1 - 1e-4):
                break
            best, assigned, kept = total, losses.argmin(axis=1), grid
            grid = self._grid(self._group_effects(self.given_beliefs, assigned, k, iterations=5), k)
        return assigned, kept

    def _group_effects(
        self, beliefs: Beliefs, assigned: IntArray, k: int, *, iterations: int = 20, raters: IntArray | None = None
    ) -> GroupEffects:
        used = self.split_train if raters is None else raters
        mine = Membership(assigned[used, None], (k,))
        return fit_group_effects(beliefs.take(used), self.model.spread_, mine, iterations=iterations)

    def _grid(self, effects: GroupEffects, n_groups: int) -> FloatArray:
        """[groups, items, options]"""
        return self.model.predict_grid(
            self.ratings.items, effects.beliefs(Membership(np.arange(n_groups)[:, None], (n_groups,)))
        )

    def _predicted(self, grid: FloatArray, group: IntArray) -> FloatArray:
        """Every query from its rater's group [evaluated, options]; a rater without one is a stranger."""
        item, rater = self.queries.item_index, self.queries.rater_index
        known = group[rater] >= 0
        probabilities = self.probabilities["nothing"].astype(np.float64)
        probabilities[known] = grid[group[rater[known]], item[known]]
        return probabilities

    def _by_group(self, representation: str, effects: GroupEffects, group: IntArray) -> None:
        """Keep the predictions from groups, and how well each group's fit each rater."""
        grid = self._grid(effects, len(effects.mean))
        self.keep(representation, self._predicted(grid, group))
        item, rater, rating = self.queries.item_index, self.queries.rater_index, self.queries.rating_index
        known = group[rater] >= 0
        raters, place = np.unique(rater[known], return_inverse=True)
        losses = -np.log(grid[:, item[known], rating[known]])
        sums = unit_sums(losses.T, place, len(raters))[0]
        self.tables.append(GroupTable(representation=representation, rater=raters, group=group[raters], losses=sums))


def records_of(result: FoldResult, ratings: Ratings, *, seed: int, fold: int) -> pl.DataFrame:
    """Every scored rating, a row for each representation: what is needed to recompute any metric without a model."""
    queries = ratings.take(result.rows)
    base = pl.DataFrame(
        {
            "seed": np.full(len(queries), seed, dtype=np.int32),
            "fold": np.full(len(queries), fold, dtype=np.int16),
            "item_index": queries.item_index.astype(np.uint32),
            "rater_index": queries.rater_index.astype(np.uint32),
            "rating_index": queries.rating_index.astype(np.uint16),
        }
    )
    parts = [
        base.with_columns(
            pl.lit(name, dtype=pl.Categorical).alias("representation"),
            pl.Series("probabilities", p, dtype=pl.Array(pl.Float32, ratings.n_options)),
        )
        for name, p in result.probabilities.items()
    ]
    return pl.concat(parts)
