"""The mixed-effects model of ratings: items differ, raters differ, and raters differ in how they see items.

    rating of item i by rater r ~ softmax(offset + C t),    t = b_i + a_r + W_r z_i
    b_i ~ Normal(B' x_i, spread of items)        what everybody thinks of i, expected from its text features x
    u_r = (a_r, W_r) ~ Normal(0, spread of raters)    r's habits with the scale, and r's slopes on item features z

C are contrasts of the options (`contrasts`): adjacent-category logits on an ordered scale, multinomial logits on a nominal one.
All is fitted by variational inference (`variational`) with the variances learned (`linear_prior`). Predictions average over the
beliefs about b and u: with no rating of a rater that is the population, with n ratings the rater's posterior.

Sources: Hartzel, Agresti & Caffo 2001 (multinomial logit random-effects models, both scales in one); Gelman & Hill 2007,
chapter 14 (partial pooling).
Departures: none of the sources averages over item texts; slopes on learned item factors (`RatingFactors`) are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.errors import DataError, NotFittedError, nearest_name
from pluralign.raters.attributes import code_attributes, membership_of
from pluralign.raters.contrasts import contrasts_for
from pluralign.raters.factors import RatingFactors
from pluralign.raters.features import ItemFeatures, TextFeatures
from pluralign.raters.group_effects import GroupEffects, Membership, fit_group_effects
from pluralign.raters.linear_prior import LinearPrior, learn_linear_prior
from pluralign.raters.messages import learn_population, messages_of
from pluralign.raters.variational import (
    Beliefs,
    Block,
    blocks_by_unit,
    expected_derivatives,
    expected_softmax,
    project,
    update_units,
)
from pluralign.ratings import Ratings

__all__ = ["MixedModel", "MixedSettings"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


MAX_GIVEN_SLOPES = 16
"""Features that a user brings all get slopes if they are no more than this; else the first `slope_components` do."""
CHECK_ITERATIONS = 15
"""Of the two models that are compared to see whether factors help."""
POPULATION_STEPS = 5
"""Steps of the cheap fixed point of the raters' mean and spread in each iteration over the ratings."""


@dataclass(frozen=True, kw_only=True)
class MixedSettings:
    """What the model may use, and how long it may take."""

    text_components: int = 32
    """Text features that an item's mean answer is expected from."""
    slope_components: int = 8
    """How many of the text features raters may differ on."""
    max_factors: int = 8
    """Most item factors learned from the training ratings that raters may differ on; how many is chosen on raters kept out."""
    n_factors: int | None = None
    """How many factors there are, if that is not to be chosen."""
    judge_factors: bool = True
    """Whether factors that were chosen have to help the whole model, which takes two more fits to find out."""
    max_iterations: int = 40
    tolerance: float = 2e-3
    """Stop when no learned variance changes by a larger share in an iteration."""
    posterior_iterations: int = 8


class MixedModel:
    """Fit on some raters' ratings; predict any rater's, given some of hers.

    After `fit`: `offset_` [options], `item_prior_` and `item_beliefs_` (items of the training table), `spread_`
    [effects, effects] of the raters, `rater_beliefs_` of the training raters, `n_iterations_`.
    """

    def __init__(self, settings: MixedSettings | None = None, *, features: ItemFeatures | None = None, seed: int = 0) -> None:
        self.settings = settings or MixedSettings()
        self.features = features
        self.seed = seed
        self._kept: tuple[pl.DataFrame, FloatArray] | None = None

    def fit(self, ratings: Ratings, *, on_progress: Callable[[int, int], None] | None = None) -> MixedModel:
        """Learn all effects. `on_progress` is told (iteration, most iterations)."""
        if len(ratings) == 0:
            raise DataError(ratings.name, "no ratings to fit a model on.")
        s = self.settings
        text = (self.features or TextFeatures(s.text_components, seed=self.seed)).fit(ratings)
        return self._fit(ratings, text, on_progress)

    def _fit(self, ratings: Ratings, text: ItemFeatures, on_progress: Callable[[int, int], None] | None) -> MixedModel:
        s = self.settings
        self.scale_, self.contrasts_ = ratings.scale, contrasts_for(ratings.scale)
        self._kept, self.text_ = None, text
        self.factors_ = self._fit_factors(ratings)
        fitting = _Fitting(self, ratings)
        for iteration in range(s.max_iterations):
            moved = fitting.iterate()
            if on_progress:
                on_progress(iteration + 1, s.max_iterations)
            if moved < s.tolerance:
                break
        self.n_iterations_ = iteration + 1
        self.offset_, self.spread_ = fitting.offset, fitting.spread
        self.item_prior_, self.item_beliefs_ = fitting.item_prior, fitting.items
        self.rater_beliefs_ = fitting.raters
        self.item_ids_ = ratings.items.select("item_id").with_row_index("row")
        self.seen_ = np.bincount(ratings.item_index, minlength=ratings.n_items) > 0
        self.raters_, self.trained_ = ratings, np.unique(ratings.rater_index)
        return self

    def _fit_factors(self, ratings: Ratings) -> RatingFactors:
        s, x = self.settings, self.prior_features(ratings.items)
        factors = RatingFactors(s.max_factors, n=s.n_factors, seed=self.seed).fit(ratings, x)
        if s.judge_factors and s.n_factors is None and factors.n_ and not self._is_better_with(factors.n_, ratings):
            return RatingFactors(n=0).fit(ratings, x)
        return factors

    def _is_better_with(self, n_factors: int, ratings: Ratings) -> bool:
        """Do the factors help this very model to predict raters who were kept out of the fit, from half of their ratings?

        Loadings are learned from the ratings that then teach how much raters differ on them; where an item has few, that
        overstates it. What is judged is therefore the whole model, without and with factors; the gain has to be above one
        standard error over the raters kept out.
        """
        rng = np.random.default_rng(self.seed)
        raters = np.unique(ratings.rater_index)
        is_out = np.isin(ratings.rater_index, rng.permutation(raters)[: len(raters) // 5])
        is_given = rng.random(len(ratings)) < 0.5
        asked = ratings.take(is_out & ~is_given)
        losses = []
        for n in (0, n_factors):
            settings = replace(self.settings, n_factors=n, max_iterations=min(self.settings.max_iterations, CHECK_ITERATIONS))
            model = MixedModel(settings, features=self.features, seed=self.seed)._fit(ratings.take(~is_out), self.text_, None)
            p = model.predict_proba(asked, given=ratings.take(is_out & is_given))
            losses.append(-np.log(np.maximum(p[np.arange(len(asked)), asked.rating_index], 1e-300)))
        gain = np.bincount(asked.rater_index, losses[0] - losses[1])[np.unique(asked.rater_index)]
        return bool(gain.sum() > gain.std() * np.sqrt(len(gain)))

    def _text(self, items: pl.DataFrame) -> FloatArray:
        """Text features of a table of items, kept for the next call about the same table."""
        if self._kept is None or self._kept[0] is not items:
            self._kept = (items, self.text_.transform(items))
        return self._kept[1]

    def slope_features(self, items: pl.DataFrame) -> FloatArray:
        """z [items, features]: what raters may differ on."""
        text = self._text(items)
        few = self.features is not None and text.shape[1] <= MAX_GIVEN_SLOPES
        keep = text.shape[1] if few else self.settings.slope_components
        return np.hstack([text[:, :keep], self.factors_.transform(items, self.prior_features(items))])

    def prior_features(self, items: pl.DataFrame) -> FloatArray:
        """x [items, 1 + features]: what an item's mean answer is expected from."""
        return np.hstack([np.ones((items.height, 1)), self._text(items)])

    def beliefs_about_items(self, items: pl.DataFrame) -> Beliefs:
        """b of any items: posterior where rated in training, else what their text leads one to expect."""
        self._check_fitted()
        beliefs = self.item_prior_.beliefs(self.prior_features(items))
        rows = items.select("item_id").join(self.item_ids_, on="item_id", how="left", maintain_order="left")["row"]
        row = rows.fill_null(0).to_numpy()
        known = rows.is_not_null().to_numpy() & self.seen_[row]
        beliefs.mean[known] = self.item_beliefs_.mean[row[known]]
        beliefs.cov[known] = self.item_beliefs_.cov[row[known]]
        return beliefs

    def population(self, n_raters: int = 1) -> Beliefs:
        """u of raters of whom nothing is known."""
        self._check_fitted()
        d = len(self.spread_)
        return Beliefs(np.zeros((n_raters, d)), np.broadcast_to(self.spread_, (n_raters, d, d)).copy())

    def beliefs_about_raters(self, given: Ratings, *, prior: Beliefs | None = None) -> Beliefs:
        """u of every rater of the table, given these ratings of theirs; `prior` (default: the population) before them.

        The prior's covariance must be the same for all raters; those without a rating keep their prior.
        """
        self._check_fitted()
        self._check_scale(given)
        prior = prior or self.population(given.n_raters)
        beliefs = prior
        if len(given) == 0:
            return beliefs
        items = self.beliefs_about_items(given.items)
        z = self.slope_features(given.items)[given.item_index]
        blocks = blocks_by_unit(given.rater_index)
        precision = _inverse(prior.cov[0])
        for _ in range(self.settings.posterior_iterations):
            t = _sum(project(beliefs, blocks, z, self.contrasts_, len(given)), items, given.item_index)
            derivatives = expected_derivatives(t, given.rating_index, self.offset_, self.contrasts_)
            beliefs = update_units(beliefs, prior.mean, precision, derivatives, blocks, z, self.contrasts_)
        return beliefs

    def predict_from_beliefs(self, queries: Ratings, raters: Beliefs) -> FloatArray:
        """p(option) [queries, options] of each row's item by its rater, averaged over beliefs about all raters of the table."""
        items = self.beliefs_about_items(queries.items)
        z = self.slope_features(queries.items)[queries.item_index]
        blocks = blocks_by_unit(queries.rater_index)
        t = _sum(project(raters, blocks, z, self.contrasts_, len(queries)), items, queries.item_index)
        return expected_softmax(t.mean, t.cov, self.offset_, self.contrasts_)

    def predict_grid(self, items: pl.DataFrame, raters: Beliefs) -> FloatArray:
        """p(option) [raters, items, options] for every item by everyone of whom there are beliefs (a person or a group)."""
        about = self.beliefs_about_items(items)
        z, n_items = self.slope_features(items), items.height
        out = np.empty((len(raters.mean), n_items, len(self.offset_)))
        everyone = [Block(np.zeros(1, np.int64), np.arange(n_items)[None, :], np.ones((1, n_items), dtype=bool))]
        for r in range(len(raters.mean)):
            one = Beliefs(raters.mean[r : r + 1], raters.cov[r : r + 1])
            t = project(one, everyone, z, self.contrasts_, n_items)
            out[r] = expected_softmax(t.mean + about.mean, t.cov + about.cov, self.offset_, self.contrasts_)
        return out

    def predict_proba(self, queries: Ratings, *, given: Ratings | None = None, attributes: Sequence[str] = ()) -> FloatArray:
        """p(option) [queries, options] of each row's item by its rater; the rows' own ratings are not looked at.

        What is known of the raters: `given`, past ratings of theirs, and the named `attributes` ("rater_age", ...); with
        neither they are strangers. Tables of raters must be shared (take all from one Ratings).
        """
        self._check_fitted()
        self._check_scale(queries)
        _check_shared(queries, given)
        prior = self.beliefs_from_attributes(queries, attributes) if attributes else self.population(queries.n_raters)
        return self.predict_from_beliefs(queries, prior if given is None else self.beliefs_about_raters(given, prior=prior))

    def attribute_effects(self, membership: Membership, *, raters: IntArray | None = None) -> GroupEffects:
        """What the training raters' levels of attributes tell about u; `membership` has all raters of the training table.

        Learned from these training `raters` only, if they are given.
        """
        self._check_fitted()
        used = self.trained_ if raters is None else raters
        return fit_group_effects(self.rater_beliefs_.take(used), self.spread_, membership.take(used))

    def beliefs_from_attributes(self, queries: Ratings, attributes: Sequence[str]) -> Beliefs:
        """u of every rater of the table, given the named attributes of theirs; raters must be in the training table.

        Raises DataError for an attribute that is not there or cannot be used (one level, or a name for each rater).
        """
        self._check_fitted()
        _check_shared(queries, self.raters_)
        usable = {f"rater_{a.name}": a for a in code_attributes(self.raters_)[0]}
        for name in attributes:
            if name not in usable:
                raise DataError(queries.name, f"attribute {nearest_name(name, usable)}")
        membership = membership_of([usable[name] for name in attributes])
        effects = self.attribute_effects(membership)
        # one covariance for all raters, as posteriors need; the effects' own uncertainty is left out of it
        within = np.broadcast_to(effects.within, (queries.n_raters, *effects.within.shape))
        return Beliefs(effects.beliefs(membership).mean, within.copy())

    def _check_scale(self, ratings: Ratings) -> None:
        if ratings.scale.options != self.scale_.options:
            raise DataError(
                ratings.name,
                f"the options are {list(ratings.scale.options)}, but the model was fitted on {list(self.scale_.options)}; "
                "name the same --options for both.",
            )

    def _check_fitted(self) -> None:
        if not hasattr(self, "offset_"):
            raise NotFittedError("MixedModel: call fit(ratings) first.")


class _Fitting:
    """The state that one fit works on; `iterate` improves every part of it once."""

    def __init__(self, model: MixedModel, ratings: Ratings) -> None:
        self.ratings, self.contrasts = ratings, model.contrasts_
        z = model.slope_features(ratings.items)
        q, n_effects = self.contrasts.n, self.contrasts.n + self.contrasts.n_slopes * z.shape[1]
        self.z_of_items, self.z = z, z[ratings.item_index]
        self.no_z = np.zeros((len(ratings), 0))
        self.x = model.prior_features(ratings.items)
        self.by_rater: list[Block] = blocks_by_unit(ratings.rater_index)
        self.by_item: list[Block] = blocks_by_unit(ratings.item_index)
        self.rated_items = np.unique(ratings.item_index)
        self.rated_raters = np.unique(ratings.rater_index)
        counts = np.bincount(ratings.rating_index, minlength=ratings.n_options) + 0.5
        self.log_shares = np.log(counts / counts.sum())
        self.offset = self.log_shares.copy()
        self.item_prior = LinearPrior(np.zeros((self.x.shape[1], q)), np.eye(self.x.shape[1]), 0.1, 0.5 * np.eye(q))
        self.spread = np.diag(np.r_[np.full(q, 0.5), np.full(n_effects - q, 0.5 / max(1, z.shape[1]))])
        self.items = Beliefs(np.zeros((ratings.n_items, q)), np.broadcast_to(0.5 * np.eye(q), (ratings.n_items, q, q)).copy())
        self.raters = Beliefs(
            np.zeros((ratings.n_raters, n_effects)),
            np.broadcast_to(self.spread, (ratings.n_raters, n_effects, n_effects)).copy(),
        )

    def iterate(self) -> float:
        """Items given raters, raters given items, then the variances; returns the largest relative change of a variance."""
        ratings, contrasts = self.ratings, self.contrasts
        of_raters = project(self.raters, self.by_rater, self.z, contrasts, len(ratings))
        d = expected_derivatives(_sum(of_raters, self.items, ratings.item_index), ratings.rating_index, self.offset, contrasts)
        expected = self.x @ self.item_prior.coefficients
        self.items = update_units(self.items, expected, _inverse(self.item_prior.spread), d, self.by_item, self.no_z, contrasts)
        d = expected_derivatives(_sum(of_raters, self.items, ratings.item_index), ratings.rating_index, self.offset, contrasts)
        self._shift_offset(d.expected_counts)
        self.raters = update_units(
            self.raters, np.zeros_like(self.raters.mean), _inverse(self.spread), d, self.by_rater, self.z, contrasts
        )
        before = np.r_[np.diag(self.spread), np.diag(self.item_prior.spread)]
        self._learn_raters()
        self.item_prior = learn_linear_prior(self.item_prior, self.items.take(self.rated_items), self.x[self.rated_items])
        after = np.r_[np.diag(self.spread), np.diag(self.item_prior.spread)]
        return float(np.abs(after - before).max() / before.max())

    def _learn_raters(self) -> None:
        """The spread between raters, and their mean, which is moved to the items: b + X mean(u) says the same."""
        messages = messages_of(self.raters.take(self.rated_raters), self.spread)
        mean, self.spread = learn_population(messages, self.spread, steps=POPULATION_STEPS)
        posterior = messages.posterior(mean, self.spread)
        self.raters.mean[self.rated_raters] = posterior.mean - mean
        self.raters.cov[self.rated_raters] = posterior.cov
        q, slopes = self.contrasts.n, self.contrasts.n_slopes
        self.items.mean[:] += mean[:q]
        self.items.mean[:, :slopes] += self.z_of_items @ mean[q:].reshape(slopes, -1).T

    def _shift_offset(self, expected_counts: FloatArray) -> None:
        """Match the options' shares in the directions that no contrast covers (none on a short scale)."""
        basis = self.contrasts.basis
        move = self.log_shares - np.log(expected_counts / expected_counts.sum())
        self.offset = self.offset + move - move.mean() - basis @ (basis.T @ move)


def _check_shared(queries: Ratings, other: Ratings | None) -> None:
    if other is not None and other.raters is not queries.raters and other.rater_ids != queries.rater_ids:
        raise DataError(queries.name, "queries and what is known must share one table of raters (take both from one Ratings).")


def _sum(of_raters: Beliefs, items: Beliefs, item_index: IntArray) -> Beliefs:
    return Beliefs(of_raters.mean + items.mean[item_index], of_raters.cov + items.cov[item_index])


def _inverse(covariance: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.inv(covariance), dtype=np.float64)
