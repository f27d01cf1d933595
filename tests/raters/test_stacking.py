from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from pluralign.errors import DataError, NotFittedError, UsageError
from pluralign.raters.baselines import Marginal, PerItem, PerRater, Uniform
from pluralign.raters.stacking import PoolKind, Stacked, cross_fitted, fit_pool
from pluralign.ratings import Ratings, Scale

FloatArray = npt.NDArray[np.float64]
KINDS: tuple[PoolKind, ...] = ("log-linear", "linear", "best")


def nats(p: FloatArray, chosen: npt.NDArray[np.int64]) -> float:
    return -float(np.log(p[np.arange(len(chosen)), chosen]).mean())


def members(n: int = 4000) -> tuple[list[FloatArray], npt.NDArray[np.int64]]:
    """Two views of a truth, each sees one of two causes; the third is noise."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1.2, (n, 3)), rng.normal(0, 1.2, (n, 3))
    truth = np.exp(a + b) / np.exp(a + b).sum(axis=1, keepdims=True)
    chosen = (truth.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    views = [np.exp(x) / np.exp(x).sum(axis=1, keepdims=True) for x in (a, b)]
    return [*views, rng.dirichlet(np.ones(3), n)], chosen


def table(seed: int = 0, n_items: int = 60, n_raters: int = 30) -> Ratings:
    rng = np.random.default_rng(seed)
    lean, liked = rng.normal(0, 1.5, n_raters), rng.normal(0, 1.5, n_items)
    rows = [
        (f"i{i}", f"r{r}", "yes" if liked[i] + lean[r] + rng.logistic() > 0 else "no")
        for i in range(n_items)
        for r in rng.choice(n_raters, n_raters // 3, replace=False)
    ]
    schema = ["item_id", "rater_id", "rating"]
    return Ratings.from_long(pl.DataFrame(rows, schema=schema, orient="row"), Scale("ordinal", ("no", "yes")))


@pytest.mark.parametrize("kind", KINDS)
def test_a_pool_is_never_worse_than_its_best_member(kind: PoolKind) -> None:
    parts, chosen = members()
    for some in (parts, parts[::-1], parts[2:], [parts[0], parts[0]]):
        pool = fit_pool(some, chosen, kind=kind)
        combined = pool.combine(some)
        np.testing.assert_allclose(combined.sum(axis=1), 1, atol=1e-12)
        assert nats(combined, chosen) <= min(nats(p, chosen) for p in some) + 1e-6
        assert nats(combined, chosen) == pytest.approx(pool.loss, abs=1e-9)


def test_the_log_linear_weights_are_those_of_the_truth() -> None:
    """Truth is the product of two members: weights 1, 1 and nothing for noise, hence temperature 1 / 2."""
    parts, chosen = members(20_000)
    pool = fit_pool(parts, chosen, kind="log-linear")
    np.testing.assert_allclose(pool.weights, [1, 1, 0], atol=0.06)
    assert pool.temperature == pytest.approx(1 / pool.weights.sum())
    assert fit_pool(parts, chosen).kind == "log-linear"


def test_the_linear_weights_are_those_of_a_mixture() -> None:
    rng = np.random.default_rng(1)
    a, b = (rng.dirichlet(np.full(4, 0.3), 20_000) for _ in range(2))
    truth = 0.7 * a + 0.3 * b
    chosen = (truth.cumsum(axis=1) > rng.random((len(truth), 1))).argmax(axis=1)
    pool = fit_pool([a, b], chosen, kind="linear")
    np.testing.assert_allclose(pool.weights, [0.7, 0.3], atol=0.03)
    assert pool.temperature == pytest.approx(1, abs=0.1)
    assert fit_pool([a, b], chosen).kind == "linear"


def test_a_member_that_is_too_sure_is_cooled() -> None:
    parts, chosen = members()
    sharp = parts[0] ** 3 / (parts[0] ** 3).sum(axis=1, keepdims=True)
    for kind in ("log-linear", "linear"):
        pool = fit_pool([sharp], chosen, kind=kind)
        assert pool.temperature > 1.5
        assert pool.loss < nats(sharp, chosen)


def test_an_impossible_rating_does_not_break_it() -> None:
    sure = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    fair = np.full((3, 2), 0.5)
    for kind in KINDS:
        pool = fit_pool([sure, fair], np.array([0, 0, 1]), kind=kind)
        assert np.isfinite(pool.loss)
        assert pool.loss <= np.log(2) + 1e-6


class _Spy:
    """Predicts the marginal and remembers what it was shown."""

    def __init__(self) -> None:
        self.calls: list[tuple[Ratings, Ratings, Ratings | None]] = []

    def fit(self, ratings: Ratings) -> Self:
        self.train = ratings
        return self

    def predict_proba(self, queries: Ratings, *, given: Ratings | None = None) -> FloatArray:
        self.calls.append((self.train, queries, given))
        return np.full((len(queries), queries.n_options), 1 / queries.n_options)


def _pairs(ratings: Ratings) -> set[tuple[int, int]]:
    return set(zip(ratings.item_index.tolist(), ratings.rater_index.tolist(), strict=True))


def test_no_member_has_seen_what_it_predicts() -> None:
    ratings = table()
    spy = _Spy()
    found = cross_fitted(spy, ratings, new="items", n_folds=3)
    assert found.rows.tolist() == list(range(len(ratings)))
    for train, asked, given in spy.calls:
        assert not set(train.item_index) & set(asked.item_index)
        assert given is not None
        assert _pairs(given) <= _pairs(train)
    spy = _Spy()
    found = cross_fitted(spy, ratings, new="raters", n_folds=3)
    assert 0 < len(found.rows) < len(ratings)
    assert (np.diff(found.rows) > 0).all()
    for train, asked, given in spy.calls:
        assert not set(train.rater_index) & set(asked.rater_index)
        assert given is not None
        assert set(given.rater_index) >= set(asked.rater_index)
        assert not _pairs(given) & _pairs(asked)


def test_the_rows_of_folds_come_back_in_order() -> None:
    """A model that knows the item says so in its own row."""

    class _Echo(_Spy):
        def predict_proba(self, queries: Ratings, *, given: Ratings | None = None) -> FloatArray:
            p = (queries.item_index + 1.0) / (queries.n_items + 1.0)
            return np.stack([p, 1 - p], axis=1)

    ratings = table()
    found = cross_fitted(_Echo(), ratings, new="items")
    np.testing.assert_allclose(found.probabilities[:, 0], (ratings.item_index + 1.0) / (ratings.n_items + 1.0))


def test_raters_and_items_together_are_better_than_either_on_new_raters() -> None:
    ratings = table(n_items=40, n_raters=120)
    is_new = ratings.rater_index >= 80
    later = ratings.item_index % 2 == 1
    train, given, asked = ratings.take(~is_new), ratings.take(is_new & ~later), ratings.take(is_new & later)
    stack = Stacked({"rater": PerRater(), "item": PerItem(), "uniform": Uniform()}, new="raters").fit(train)
    each = {name: nats(p, asked.rating_index) for name, p in stack.predict_members(asked, given=given).items()}
    together = nats(stack.predict_proba(asked, given=given), asked.rating_index)
    assert together < min(each.values()) - 0.01
    assert stack.pool_.loss <= min(stack.losses_.values()) + 1e-6
    assert stack.weights_["item"] > 0.3
    assert set(stack.weights_) == {"rater", "item", "uniform"}


def test_what_cannot_be_pooled_is_refused() -> None:
    parts, chosen = members(20)
    with pytest.raises(UsageError, match="one shape"):
        fit_pool([parts[0], parts[1][:5]], chosen)
    with pytest.raises(UsageError, match="chosen"):
        fit_pool(parts, chosen[:5])
    with pytest.raises(DataError, match="1 rows"):
        fit_pool([np.where(np.arange(20)[:, None] == 3, np.nan, parts[0])], chosen)
    with pytest.raises(UsageError, match="log-linear"):
        fit_pool(parts, chosen, kind="log-liner")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="3 members"):
        fit_pool(parts, chosen).combine(parts[:2])
    with pytest.raises(UsageError, match="at least one model"):
        Stacked({})
    with pytest.raises(NotFittedError):
        Stacked({"m": Marginal()}).predict_proba(table())
