"""Item factors: found where they are planted, absent where there are none, expected from text for new items."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from pluralign.errors import NotFittedError
from pluralign.raters.factors import RatingFactors
from pluralign.ratings import Ratings, Scale

FloatArray = npt.NDArray[np.float64]
N_ITEMS, N_RATERS, PER_RATER = 60, 300, 30


def planted(
    strength: float, *, seed: int = 0, options: tuple[str, ...] = ("1", "2", "3", "4", "5")
) -> tuple[Ratings, FloatArray]:
    """Ratings from one factor whose loadings are linear in two item features; the features with a leading 1."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(N_ITEMS), rng.standard_normal((N_ITEMS, 2))])
    loading = x[:, 1] - x[:, 2]
    taste = rng.standard_normal(N_RATERS)
    item = np.concatenate([rng.choice(N_ITEMS, PER_RATER, replace=False) for _ in range(N_RATERS)])
    rater = np.repeat(np.arange(N_RATERS), PER_RATER)
    lean = strength * loading[item] * taste[rater] + rng.logistic(size=len(item))
    rating = np.digitize(lean, np.linspace(-2, 2, len(options) - 1))
    table = pl.DataFrame(
        {
            "item_id": [f"i{j:03d}" for j in item],
            "rater_id": [f"r{j:03d}" for j in rater],
            "rating": [options[k] for k in rating],
        }
    )
    return Ratings.from_long(table, Scale("ordinal", options)), x


def test_a_planted_factor_is_found() -> None:
    ratings, x = planted(1.0)
    factors = RatingFactors(4).fit(ratings, x)
    assert factors.loadings_.shape[1] >= 1
    truth = x[:, 1] - x[:, 2]
    assert abs(np.corrcoef(factors.loadings_[:, 0], truth)[0, 1]) > 0.95


def test_noise_has_no_factors() -> None:
    ratings, x = planted(0.0)
    assert RatingFactors(8).fit(ratings, x).loadings_.shape == (N_ITEMS, 0)


def test_a_new_item_is_expected_from_its_features() -> None:
    ratings, x = planted(1.0)
    factors = RatingFactors(1).fit(ratings, x)
    new = np.array([[1.0, 2.0, 0.0], [1.0, 0.0, 2.0]])
    z = factors.transform(pl.DataFrame({"item_id": ["new-1", "new-2"]}), new)
    slope = factors.loadings_[:, 0] @ (x[:, 1] - x[:, 2])
    assert np.sign(z[0, 0]) == np.sign(slope)
    assert z[0, 0] == pytest.approx(-z[1, 0], rel=0.3)


def test_known_items_have_their_own_loadings_whatever_their_order() -> None:
    ratings, x = planted(1.0)
    factors = RatingFactors(2).fit(ratings, x)
    backwards = ratings.items.reverse()
    np.testing.assert_array_equal(factors.transform(backwards, x[::-1]), factors.loadings_[::-1])


def test_columns_have_mean_square_one_and_the_largest_loading_is_positive() -> None:
    ratings, x = planted(1.0)
    loadings = RatingFactors(4).fit(ratings, x).loadings_
    np.testing.assert_allclose((loadings**2).mean(axis=0), 1.0, rtol=1e-9)
    assert (loadings[np.abs(loadings).argmax(axis=0), np.arange(loadings.shape[1])] > 0).all()


def test_the_same_seed_gives_the_same_factors() -> None:
    ratings, x = planted(1.0)
    first, second = (RatingFactors(4, seed=3).fit(ratings, x).loadings_ for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_two_options_have_an_order_and_three_nominal_ones_have_not() -> None:
    ratings, x = planted(2.0, options=("no", "yes"))
    nominal = Ratings.from_long(ratings.to_long(), Scale("nominal", ("no", "yes")))
    assert RatingFactors(2).fit(nominal, x).loadings_.shape[1] >= 1
    three, x = planted(2.0, options=("a", "b", "c"))
    without_order = Ratings.from_long(three.to_long(), Scale("nominal", ("a", "b", "c")))
    assert RatingFactors(2).fit(without_order, x).loadings_.shape[1] == 0


@pytest.mark.parametrize("keep", [1, 2, 6])
def test_hardly_any_raters_mean_no_factors(keep: int) -> None:
    ratings, x = planted(1.0)
    assert RatingFactors(4).fit(ratings.take(ratings.rater_index < keep), x).loadings_.shape[1] == 0


def test_transform_comes_after_fit() -> None:
    with pytest.raises(NotFittedError, match="fit"):
        RatingFactors().transform(pl.DataFrame({"item_id": ["a"]}), np.ones((1, 1)))
