from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from pluralign.errors import DataError, NotFittedError, UsageError
from pluralign.raters.baselines import Marginal, PerRater
from pluralign.raters.mixed import MixedModel
from pluralign.raters.text_logistic import TextLogistic, TextLogisticSettings
from pluralign.raters.text_logistic_features import TextLogisticFeatures
from pluralign.ratings import Ratings, Scale
from pluralign.ratings.splits import split_items

GOOD, BAD = ("lovely", "kind", "warm", "gentle"), ("awful", "cruel", "cold", "rude")
PLAIN = ("table", "river", "window", "garden", "paper", "morning", "street", "music")
ONE = TextLogisticSettings(c_text=(1.0,), c_rater=(0.5,), tolerance=1e-10, max_iterations=2000)


def made_up(n_items: int = 120, n_raters: int = 20, *, seed: int = 0, spread: float = 1.0) -> Ratings:
    """Answers no, perhaps, yes: the more good words the more yes; raters lean to one side; the old lean to no."""
    rng = np.random.default_rng(seed)
    rows = []
    lean = rng.normal(0, spread, n_raters)
    for i in range(n_items):
        mood = int(rng.integers(0, 2))
        words = [*rng.choice((GOOD, BAD)[mood], 2), *rng.choice(PLAIN, 4)]
        for r in rng.choice(n_raters, 8, replace=False):
            score = 1.5 * (1 - 2 * mood) + lean[r] - (r % 2) + rng.logistic()
            answer = "yes" if score > 0.7 else "no" if score < -0.7 else "perhaps"
            rows.append((f"i{i:03}", f"r{r:02}", answer, " ".join(words), "old" if r % 2 else "young"))
    schema = ["item_id", "rater_id", "rating", "item_text", "rater_age"]
    return Ratings.from_long(pl.DataFrame(rows, schema=schema, orient="row"), Scale("ordinal", ("no", "perhaps", "yes")))


def loss(p: np.ndarray, asked: Ratings) -> float:
    return -float(np.log(p[np.arange(len(asked)), asked.rating_index]).mean())


@pytest.fixture(scope="module")
def ratings() -> Ratings:
    return made_up()


def test_it_is_the_logistic_regression_of_scikit_learn(ratings: Ratings) -> None:
    """The same features built with scikit-learn's own vectorisers, one-hot raters scaled by sqrt(C_rater / C)."""
    ours = TextLogistic(ONE).fit(ratings).predict_proba(ratings, given=ratings)
    texts = ratings.items["item_text"].to_list()
    shared = {"sublinear_tf": True, "min_df": 2, "max_features": ONE.max_terms}
    words = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b", ngram_range=(1, 2), **shared).fit_transform(texts).toarray()
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), **shared).fit_transform(texts).toarray()
    one_hot = np.eye(ratings.n_raters)[ratings.rater_index] * np.sqrt(0.5)
    x = np.hstack([words[ratings.item_index], characters[ratings.item_index], one_hot])
    theirs = LogisticRegression(C=1.0, tol=1e-8, max_iter=5000).fit(x, ratings.rating_index).predict_proba(x)
    np.testing.assert_allclose(ours, theirs, atol=2e-4)


def test_a_training_raters_offset_is_that_of_the_joint_fit(ratings: Ratings) -> None:
    model = TextLogistic(ONE).fit(ratings)
    joint = model.whole_.weights.raters
    scores = np.log(model.predict_proba(ratings, given=ratings)) - np.log(model.predict_proba(ratings))
    found = scores - scores.mean(axis=1, keepdims=True)
    # softmax scores are known up to a constant per row: compare what is left of them
    expected = joint[ratings.rater_index]
    np.testing.assert_allclose(found, expected - expected.mean(axis=1, keepdims=True), atol=2e-3)


def test_words_and_raters_both_help_on_new_items(ratings: Ratings) -> None:
    split = split_items(ratings, test_share=0.3, seed=0)
    train, asked = ratings.take(split.train), ratings.take(split.test)
    model = TextLogistic().fit(train)
    with_both, stranger = loss(model.predict_proba(asked, given=train), asked), loss(model.predict_proba(asked), asked)
    assert with_both < stranger - 0.01
    assert stranger < loss(Marginal().fit(train).predict_proba(asked), asked) - 0.05
    assert with_both < loss(PerRater().fit(train).predict_proba(asked, given=train), asked) - 0.05
    chosen = model.losses_[model.c_text_, model.c_rater_]
    assert chosen <= min(model.losses_.values()) + 1e-4
    assert len(model.losses_) > 3


def test_attributes_help_with_strangers(ratings: Ratings) -> None:
    is_new = ratings.rater_index >= 12
    train, asked = ratings.take(~is_new), ratings.take(is_new)
    without = TextLogistic(ONE).fit(train).predict_proba(asked)
    settings = TextLogisticSettings(c_text=(1.0,), c_rater=(0.5,), attributes=("rater_age",))
    with_age = TextLogistic(settings).fit(train).predict_proba(asked)
    assert not np.allclose(without, with_age)
    old = asked.rater_index % 2 == 1
    assert with_age[old, 0].mean() > without[old, 0].mean()
    with pytest.raises(DataError, match="rater_age"):
        TextLogistic(TextLogisticSettings(attributes=("rater_aeg",))).fit(train)


def test_items_are_left_out_of_their_own_held_out_logits(ratings: Ratings) -> None:
    model = TextLogistic(ONE).fit(ratings)
    own, held_out = model.item_logits(ratings.items), model.held_out_item_logits(ratings.items)
    np.testing.assert_allclose(held_out.sum(axis=1), 0, atol=1e-9)
    assert not np.allclose(own, held_out)
    # turn all answers to one item around: the fit that leaves it out must not move
    answers = ratings.rating_index.copy()
    answers[ratings.item_index == 7] = 2 - answers[ratings.item_index == 7]
    turned = Ratings(ratings.items, ratings.raters, ratings.item_index, ratings.rater_index, answers, ratings.scale)
    again = TextLogistic(ONE).fit(turned)
    moved = np.abs(again.held_out_item_logits(ratings.items) - held_out).max(axis=1)
    assert moved[7] < 0.2 * np.abs(again.item_logits(ratings.items)[7] - own[7]).max()
    assert np.abs(again.item_logits(ratings.items)[7] - own[7]).max() > 1e-2


def test_learned_features_help_the_mixed_model(ratings: Ratings) -> None:
    split = split_items(made_up(200, seed=3), test_share=0.3, seed=1)
    more = made_up(200, seed=3)
    train, asked = more.take(split.train), more.take(split.test)
    features = TextLogisticFeatures(2).fit(train)
    z = features.transform(more.items)
    assert z.shape == (200, 2 + 2)
    assert np.isfinite(z).all()
    logistic = loss(features.logistic_.predict_proba(asked, given=train), asked)
    mixed = loss(MixedModel(features=TextLogisticFeatures(2)).fit(train).predict_proba(asked, given=train), asked)
    assert mixed < logistic + 0.01


def test_without_any_text_it_is_shares_and_raters(ratings: Ratings) -> None:
    bare = Ratings(
        ratings.items.select("item_id"), ratings.raters, ratings.item_index, ratings.rater_index, ratings.rating_index,
        ratings.scale,
    )  # fmt: skip
    p = TextLogistic().fit(bare).predict_proba(bare)
    np.testing.assert_allclose(p, np.broadcast_to(p[0], p.shape), atol=1e-12)
    assert TextLogisticFeatures(2).fit(bare).transform(bare.items).shape == (bare.n_items, 0)


def test_the_same_seed_gives_the_same_numbers(ratings: Ratings) -> None:
    first, second = (TextLogistic(ONE, seed=4).fit(ratings).predict_proba(ratings, given=ratings) for _ in range(2))
    assert np.array_equal(first, second)


def test_it_has_to_be_fitted_and_the_scale_to_be_the_same(ratings: Ratings) -> None:
    with pytest.raises(NotFittedError):
        TextLogistic().predict_proba(ratings)
    with pytest.raises(NotFittedError):
        TextLogisticFeatures().transform(ratings.items)
    with pytest.raises(DataError, match="no ratings"):
        TextLogistic().fit(ratings.take(np.zeros(0, dtype=np.int64)))
    other = Ratings(
        ratings.items, ratings.raters, ratings.item_index, ratings.rater_index, ratings.rating_index,
        Scale("nominal", ("a", "b", "c")),
    )  # fmt: skip
    with pytest.raises(DataError, match="fitted were"):
        TextLogistic(ONE).fit(ratings).predict_proba(other)


def test_for_new_raters_items_have_offsets_of_their_own() -> None:
    """Items of 40 raters whose texts say nothing: only an offset can tell them apart; a new rater has her own."""
    rng = np.random.default_rng(2)
    liked, lean = rng.normal(0, 1.5, 30), rng.normal(0, 1.5, 60)
    rows = [
        (f"i{i}", f"r{r}", "yes" if liked[i] + lean[r] + rng.logistic() > 0 else "no", "a line")
        for i in range(30)
        for r in rng.choice(60, 40, replace=False)
    ]
    schema = ["item_id", "rater_id", "rating", "item_text"]
    everything = Ratings.from_long(pl.DataFrame(rows, schema=schema, orient="row"), Scale("nominal", ("no", "yes")))
    is_new, later = everything.rater_index >= 40, everything.item_index % 2 == 1
    train, given, asked = (everything.take(rows) for rows in (~is_new, is_new & ~later, is_new & later))
    items, raters = (TextLogistic(TextLogisticSettings(new=new)).fit(train) for new in ("items", "raters"))
    found = loss(raters.predict_proba(asked, given=given), asked)
    assert found < loss(items.predict_proba(asked, given=given), asked) - 0.05
    assert found < loss(raters.predict_proba(asked), asked) - 0.05
    with pytest.raises(UsageError, match="new='items'"):
        raters.held_out_item_logits(everything.items)
