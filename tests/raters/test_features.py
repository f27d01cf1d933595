from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from pluralign.errors import DataError, NotFittedError, UsageError
from pluralign.raters.features import GivenFeatures, NoFeatures, SentenceFeatures, TextFeatures
from pluralign.ratings import Ratings, Scale

ANIMALS = ["the old cat sleeps", "a cat and a dog play", "dogs bark at the cat", "my cat eats fish"]
LAWS = ["taxes on income rise", "the income tax law", "parliament passes the law", "a new tax on fuel"]


def rated(texts: list[str | None]) -> Ratings:
    n = len(texts)
    ids = [f"i{k:02}" for k in range(n)]
    table = pl.DataFrame(
        {"item_id": ids, "rater_id": ["r"] * n, "rating": ["1"] * n, "item_text": texts},
        schema_overrides={"item_text": pl.String},
    )
    return Ratings.from_long(table, Scale("nominal", ("1", "2")))


def items(*texts: str | None) -> pl.DataFrame:
    return pl.DataFrame(
        {"item_id": [f"q{k}" for k in range(len(texts))], "item_text": texts}, schema_overrides={"item_text": pl.String}
    )


def test_text_features_are_standardised_and_near_for_texts_alike() -> None:
    ratings = rated([*ANIMALS, *LAWS])
    z = TextFeatures(3).fit(ratings).transform(ratings.items)
    assert z.shape == (8, 3)
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(z.std(axis=0), 1.0, atol=1e-12)
    new = TextFeatures(3).fit(ratings).transform(items("the cat and the dog", "a law on income tax"))
    nearest = np.linalg.norm(new[:, None] - z[None], axis=2).argmin(axis=1)
    assert nearest[0] < 4 <= nearest[1]


def test_text_features_depend_on_texts_seed_and_rated_items_alone() -> None:
    ratings = rated([*ANIMALS, *LAWS])
    fitted = TextFeatures(4, seed=1).fit(ratings)
    z = fitted.transform(ratings.items)
    np.testing.assert_array_equal(TextFeatures(4, seed=1).fit(ratings).transform(ratings.items), z)
    backwards = fitted.transform(ratings.items.reverse())
    np.testing.assert_allclose(backwards[::-1], z, atol=1e-12)  # rows in the order of the items asked for
    part = ratings.take(np.arange(6))  # the last two items are in the table, but nobody rated them
    other = rated([*ANIMALS, *LAWS[:2], "something else", "altogether"]).take(np.arange(6))
    np.testing.assert_allclose(
        TextFeatures(2).fit(part).transform(part.items[:6]), TextFeatures(2).fit(other).transform(other.items[:6]), atol=1e-12
    )


def test_items_without_text_are_average() -> None:
    fitted = TextFeatures(3).fit(rated([*ANIMALS, None, "", "  ", *LAWS]))
    np.testing.assert_array_equal(fitted.transform(items(None, "", "  ")), 0.0)


@pytest.mark.parametrize(
    "texts",
    [
        ["!!!", "???", "...", "--"],
        ["😀", "😡", "👍🏽", "👎"],
        ["税金を上げる", "猫が寝る", "法律を作る", "犬"],
        ["a", "b", "c", "d"],
    ],
)
def test_texts_without_words_or_spaces_have_features(texts: list[str]) -> None:
    ratings = rated(list(texts))
    z = TextFeatures(8).fit(ratings).transform(ratings.items)
    assert np.isfinite(z).all()
    assert len(np.unique(z.round(6), axis=0)) == 4


@pytest.mark.parametrize("texts", [[None] * 4, ["the same words"] * 5, ["one", "two", "one"]])
def test_too_few_texts_give_no_features(texts: list[str | None]) -> None:
    ratings = rated(texts)
    assert TextFeatures(8).fit(ratings).transform(ratings.items).shape == (len(texts), 0)


def test_new_texts_stay_within_what_was_seen() -> None:
    ratings = rated(["tax law one", "tax law two", "tax law three", "tax law four"])
    fitted = TextFeatures(3).fit(ratings)
    z = fitted.transform(ratings.items)
    new = fitted.transform(items("unlike all others", "tax tax tax tax"))
    assert (new >= z.min(axis=0) - 1e-9).all()
    assert (new <= z.max(axis=0) + 1e-9).all()


def test_refitting_forgets() -> None:
    features = TextFeatures(2).fit(rated([*ANIMALS, *LAWS]))
    features.fit(rated([None, None, None]))
    assert features.transform(items("the cat")).shape == (1, 0)


def test_fit_comes_first() -> None:
    with pytest.raises(NotFittedError, match="TextFeatures"):
        TextFeatures().transform(items("x"))


# vectors of sentences


class Letters:
    """A stand-in for an encoder: how often each letter is there."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        self.asked += texts
        return np.array([[text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts], dtype=np.float64)


def test_sentence_features_are_standardised_and_encode_each_text_once() -> None:
    ratings, letters = rated([*ANIMALS, *LAWS, ANIMALS[0]]), Letters()
    features = SentenceFeatures(letters, 3)
    z = features.fit(ratings).transform(ratings.items)
    assert z.shape == (9, 3)
    np.testing.assert_allclose(z.std(axis=0), 1.0, atol=1e-12)
    np.testing.assert_array_equal(z[8], z[0])
    longer = features.fit(ratings).transform(items(ANIMALS[0] * 2))  # of a vector only its direction counts
    np.testing.assert_allclose(longer[0], z[0], atol=1e-12)
    assert sorted(letters.asked) == sorted([*ANIMALS, *LAWS, ANIMALS[0] * 2])


def test_sentence_features_learn_from_rated_items_alone() -> None:
    part = rated([*ANIMALS, *LAWS]).take(np.arange(6))
    other = rated([*ANIMALS, *LAWS[:2], "zzz", "qqq"]).take(np.arange(6))
    both = [SentenceFeatures(Letters(), 2).fit(one).transform(one.items[:6]) for one in (part, other)]
    np.testing.assert_allclose(*both, atol=1e-12)


def test_sentence_features_without_text() -> None:
    fitted = SentenceFeatures(Letters(), 3).fit(rated([*ANIMALS, None, *LAWS]))
    np.testing.assert_array_equal(fitted.transform(items(None, "", "  ")), 0.0)
    assert SentenceFeatures(Letters()).fit(rated([None, None, ""])).transform(items("a")).shape == (1, 0)
    with pytest.raises(UsageError, match="n_components is 0"):
        SentenceFeatures(Letters(), 0)


# features given by the user


def test_given_features_come_in_the_order_of_the_items() -> None:
    table = pl.DataFrame({"x": [1.0, 2.0, 3.0], "item_id": ["q1", "q2", "q0"], "y": [10, 20, 30]})
    assert GivenFeatures(table).transform(items("", "", "")).tolist() == [[3.0, 30.0], [1.0, 10.0], [2.0, 20.0]]
    numbered = GivenFeatures(pl.DataFrame({"item_id": [7, 8], "x": [1, 2]}))  # ids are compared as text
    assert numbered.transform(pl.DataFrame({"item_id": ["8"]})).tolist() == [[2.0]]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"id": ["q0"], "x": [1.0]}, "need a column 'item_id'"),
        ({"item_id": ["q0"]}, "columns of numbers; got"),
        ({"item_id": ["q0", "q1"], "x": ["1", "2"]}, "column 'x' is String, not numbers"),
        ({"item_id": ["q0", "q0", "q1"], "x": [1, 2, 3]}, "2 rows share their item_id .* 'q0'"),
    ],
)
def test_given_features_that_cannot_be(table: dict[str, list[object]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        GivenFeatures(pl.DataFrame(table))


@pytest.mark.parametrize("x", [[1.0, None], [1.0, float("nan")], [1.0, float("inf")]])
def test_items_without_a_given_number_are_refused(x: list[float | None]) -> None:
    given = GivenFeatures(pl.DataFrame({"item_id": ["q0", "q1"], "x": x}))
    with pytest.raises(DataError, match=r"1 items have no finite features, e\.g\. 'q1'"):
        given.transform(items("", ""))
    with pytest.raises(DataError, match=r"e\.g\. 'q2'"):
        GivenFeatures(pl.DataFrame({"item_id": ["q0", "q1"], "x": [1, 2]})).transform(items("", "", ""))


@pytest.mark.parametrize("n_columns", [3, 40])
def test_given_features_are_standardised_over_the_training_items(n_columns: int) -> None:
    rng = np.random.default_rng(0)
    ratings = rated(["x"] * 60)
    values = rng.normal(size=(60, n_columns)) * rng.choice([0.01, 1.0, 100.0], size=n_columns) + 5.0
    values[:, 1] = 7.0
    given = GivenFeatures(
        ratings.items.select("item_id").hstack(pl.DataFrame(values, schema=[f"c{k}" for k in range(n_columns)]))
    )
    trained = np.arange(50)
    z = given.fit(ratings.take(trained)).transform(ratings.items)
    assert z.shape == (60, min(n_columns - 1, 32))
    np.testing.assert_allclose(z[trained].mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(z[trained].std(axis=0), 1.0, atol=1e-9)
    if n_columns == 3:
        np.testing.assert_allclose(z[:, 1], (values[:, 2] - values[:50, 2].mean()) / values[:50, 2].std(), atol=1e-9)
    else:  # the principal axes are at right angles
        np.testing.assert_allclose(z[trained].T @ z[trained] / 50, np.eye(32), atol=1e-9)


def test_no_features() -> None:
    assert NoFeatures().fit(rated(["a"])).transform(items("a", "b")).shape == (2, 0)
