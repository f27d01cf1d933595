from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from pluralign.errors import DataError, NotFittedError
from pluralign.raters.baselines import Marginal, PerItem, PerRater, Uniform, dirichlet_strength
from pluralign.ratings import Ratings, Scale
from reference.baselines import best_strength

FloatArray = npt.NDArray[np.float64]
SCALE = Scale("nominal", ("no", "perhaps", "yes"))
ALL = (Uniform, Marginal, PerItem, PerRater)


def table(rows: list[tuple[str, str, str]]) -> Ratings:
    return Ratings.from_long(pl.DataFrame(rows, schema=["item_id", "rater_id", "rating"], orient="row"), SCALE)


@pytest.fixture(scope="module")
def toy() -> Ratings:
    """Two raters who mostly say yes, two who say no, of other items; rows in the order of the table."""
    return table(
        [("a", "w", "yes"), ("a", "x", "yes"), ("b", "w", "yes"), ("b", "x", "no"),
         ("c", "y", "no"), ("c", "z", "no"), ("d", "y", "no")]
    )  # fmt: skip


MARGINAL = np.array([4.5, 0.5, 3.5]) / 8.5  # half a rating added to each of 4 no, 0 perhaps, 3 yes


def test_uniform_loses_ln_k(toy: Ratings) -> None:
    p = Uniform().fit(toy).predict_proba(toy)
    np.testing.assert_allclose(-np.log(p[np.arange(7), toy.rating_index]), np.log(3), atol=1e-12)


def test_marginal_by_hand(toy: Ratings) -> None:
    model = Marginal().fit(toy)
    np.testing.assert_allclose(model.shares_, MARGINAL, atol=1e-12)
    np.testing.assert_allclose(model.predict_proba(toy.take(np.array([0, 3])), given=toy), [MARGINAL, MARGINAL], atol=1e-12)


def test_an_items_shares_are_shrunk_to_the_marginal(toy: Ratings) -> None:
    model = PerItem().fit(toy)
    s = model.strength_
    assert s < 10  # so that the shrinkage below is not all there is
    a, b = ([0, 0, 2] + s * MARGINAL) / (2 + s), ([1, 0, 1] + s * MARGINAL) / (2 + s)
    c, d = ([2, 0, 0] + s * MARGINAL) / (2 + s), ([1, 0, 0] + s * MARGINAL) / (1 + s)
    np.testing.assert_allclose(model.predict_proba(toy), [a, a, b, b, c, c, d], atol=1e-12)


def test_a_raters_shares_are_those_of_what_is_given(toy: Ratings) -> None:
    model = PerRater().fit(toy)
    s = model.strength_
    assert s < 10
    p = model.predict_proba(toy, given=toy.take(np.array([0, 2, 3, 4])))  # a-w yes, b-w yes, b-x no, c-y no
    w, xy = ([0, 0, 2] + s * MARGINAL) / (2 + s), ([1, 0, 0] + s * MARGINAL) / (1 + s)
    np.testing.assert_allclose(p, [w, xy, w, xy, xy, MARGINAL, xy], atol=1e-12)


def test_strangers_and_new_items_get_the_marginal(toy: Ratings) -> None:
    elsewhere = table([("e", "u", "yes"), ("c", "v", "no")])  # rows: c-v, e-u
    known, new = PerItem().fit(toy).predict_proba(elsewhere)
    np.testing.assert_allclose(new, MARGINAL, atol=1e-12)
    assert known[0] > MARGINAL[0] + 0.1
    nothing = elsewhere.take(np.zeros(0, dtype=np.int64))
    for given in (None, nothing):
        np.testing.assert_allclose(PerRater().fit(toy).predict_proba(elsewhere, given=given), [MARGINAL] * 2, atol=1e-12)


@pytest.mark.parametrize("model", ALL)
def test_probabilities_never_look_at_the_queries(model: type[Marginal], toy: Ratings) -> None:
    fitted = model().fit(toy)
    other = Ratings(toy.items, toy.raters, toy.item_index, toy.rater_index, 2 - toy.rating_index, toy.scale)
    p = fitted.predict_proba(toy, given=toy.take(np.array([1, 2])))
    np.testing.assert_array_equal(fitted.predict_proba(other, given=toy.take(np.array([1, 2]))), p)
    np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-12)
    assert (p > 0).all()


@pytest.mark.parametrize("model", [Marginal, PerItem, PerRater])
def test_fit_comes_first_and_needs_ratings(model: type[Marginal], toy: Ratings) -> None:
    with pytest.raises(NotFittedError, match=rf"{model.__name__}: call fit\(ratings\) first"):
        model().predict_proba(toy)
    with pytest.raises(DataError, match="no ratings to fit"):
        model().fit(toy.take(np.zeros(7, dtype=bool)))


# the strength of shrinkage


def counts_of(strength: float, n_units: int, n_each: int) -> tuple[FloatArray, FloatArray]:
    rng, shares = np.random.default_rng(0), np.array([0.1, 0.2, 0.4, 0.3])
    drawn = [rng.multinomial(n_each, p) for p in rng.dirichlet(strength * shares, size=n_units)]
    return np.array(drawn, dtype=np.float64), shares


@pytest.mark.parametrize("strength", [0.3, 2.0, 30.0, 200.0])
def test_strength_maximises_the_likelihood(strength: float) -> None:
    counts, shares = counts_of(strength, 60, 20)
    grid = np.geomspace(0.01, 10_000, 277)  # steps of 5 %
    found = dirichlet_strength(counts, shares)
    assert abs(np.log(found / best_strength(counts, shares, grid))) <= 0.05


@pytest.mark.parametrize("strength", [0.3, 2.0, 30.0])
def test_strength_is_recovered(strength: float) -> None:
    counts, shares = counts_of(strength, 2000, 30)
    assert dirichlet_strength(counts, shares) == pytest.approx(strength, rel=0.12)


def test_strength_at_the_ends() -> None:
    shares = np.array([0.25, 0.75])
    assert dirichlet_strength(np.tile([1.0, 3.0], (50, 1)), shares) == pytest.approx(10_000, rel=1e-3)  # all units alike
    assert dirichlet_strength(np.diag([2.0, 2.0]), shares) == pytest.approx(0.01, rel=1e-3)  # each knows one answer only
    assert dirichlet_strength(np.array([[1.0, 0.0], [0.0, 0.0]]), shares) == 1.0  # no unit has two ratings
