from __future__ import annotations

import numpy as np
import polars as pl
from sklearn.feature_extraction.text import TfidfVectorizer

from pluralign.raters.text_terms import MANY_ITEMS, TermCounts, Terms
from pluralign.ratings import Ratings, Scale

WORDS = np.array(["tea", "café", "rain", "sun", "über", "moon", "cat", "dog", "red", "blue", "日本", "x"])


def lines(n: int = MANY_ITEMS + 60, *, seed: int = 0) -> Ratings:
    """Two texts an item, the second often missing; one rater."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        first, second = (" ".join(rng.choice(WORDS, rng.integers(1, 6))) for _ in range(2))
        rows.append((f"i{i:03}", "r", str(rng.integers(0, 2)), first, second if rng.random() < 0.5 else None))
    schema = ["item_id", "rater_id", "rating", "item_post", "item_reply"]
    return Ratings.from_long(pl.DataFrame(rows, schema=schema, orient="row"), Scale("nominal", ("0", "1")))


def test_a_part_of_the_items_is_weighed_as_scikit_learn_does() -> None:
    ratings = lines()
    part = np.arange(0, ratings.n_items - 20)
    counts = TermCounts(ratings).of(ratings.items)
    ours = Terms.learned(counts, part, 10_000).weigh(counts, ratings.n_items).toarray()
    blocks = []
    for column in ratings.text_columns:
        texts = ratings.items[column].fill_null("").to_list()
        for kind in ({"token_pattern": r"(?u)\b\w+\b", "ngram_range": (1, 2)}, {"analyzer": "char_wb", "ngram_range": (2, 5)}):
            vector = TfidfVectorizer(sublinear_tf=True, min_df=2, **kind).fit([texts[i] for i in part])
            blocks.append(vector.transform(texts).toarray())
    theirs = np.hstack(blocks)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_only_the_most_frequent_terms_are_kept() -> None:
    ratings = lines()
    counts = TermCounts(ratings).of(ratings.items)
    terms = Terms.learned(counts, np.arange(ratings.n_items), 5)
    assert [len(kept) for kept in terms.kept] == [5] * 4
    n_times = np.asarray(counts[0].sum(axis=0)).ravel()
    assert n_times[terms.kept[0]].min() >= np.sort(n_times)[-5]


def test_items_without_any_text_have_no_terms() -> None:
    ratings = lines()
    silent = Ratings(
        ratings.items.select("item_id", item_text=pl.lit(" ")), ratings.raters, ratings.item_index, ratings.rater_index,
        ratings.rating_index, ratings.scale,
    )  # fmt: skip
    counts = TermCounts(silent).of(silent.items)
    assert Terms.learned(counts, np.arange(silent.n_items), 5).weigh(counts, silent.n_items).shape == (silent.n_items, 0)
