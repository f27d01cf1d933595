"""The two walks: by hand, against the plain loop over pairs, against the package rouge-score."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pluralign.errors import DataError, UsageError
from pluralign.values import dedup
from pluralign.values.dedup import cosine_keep, rouge_keep, stemmed_words
from reference.dedup import plain_cosine, plain_rouge, plain_walk

KINDS = ("Value", "Right", "Duty")
VOCABULARY = ("respect", "respecting", "autonomy", "to", "of", "others", "life", "lives", "care", "caring", "Right", "to")


def _one(vrd: str, text: str) -> Any:
    return SimpleNamespace(vrd=vrd, text=text)


listed = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.lists(st.sampled_from(VOCABULARY), max_size=7).map(" ".join),
        st.integers(0, 4).map(float),
    ),
    max_size=25,
)


def test_by_hand() -> None:
    ones = [
        _one("Right", "Right to life"),  # life
        _one("Right", "Right to a good life"),  # a good life: precision 1/3, recall 1, f 1/2 against the first
        _one("Duty", "Duty to life"),  # another kind
    ]
    relevance = np.array([0.9, 0.8, 0.7])
    assert rouge_keep(ones, relevance, threshold=0.49).tolist() == [0, 2]
    assert rouge_keep(ones, relevance, threshold=0.5).tolist() == [0, 1, 2]  # over the threshold, not at it
    assert rouge_keep(ones, relevance, threshold=0.34, score="precision").tolist() == [0, 1, 2]
    assert rouge_keep(ones, relevance, threshold=0.99, score="recall").tolist() == [0, 2]
    assert rouge_keep(ones, relevance, threshold=0.5, across_vrd=True).tolist() == [0, 1]
    # The other way round the long one is kept and the short one is the candidate: precision 1, recall 1/3.
    assert rouge_keep(ones, relevance[[1, 0, 2]], threshold=0.9, score="precision").tolist() == [1, 2]


@settings(max_examples=30, deadline=None)
@given(items=listed, precision=st.sampled_from([0.4, 0.6, 1.0]), recall=st.sampled_from([0.3, 0.7, 1.0]))
def test_any_of_several_scores_drops(items: list[tuple[str, str, float]], precision: float, recall: float) -> None:
    ones, relevance = [_one(kind, text) for kind, text, _ in items], [number for *_, number in items]
    words = [stemmed_words(one.text) for one in ones]

    def too_similar(a: int, b: int) -> bool:
        over = plain_rouge(words[a], words[b], None, "precision") > precision
        return over or plain_rouge(words[a], words[b], None, "recall") > recall

    limits: Any = {"precision": precision, "recall": recall}
    assert rouge_keep(ones, np.array(relevance), threshold=limits).tolist() == plain_walk(
        [one.vrd for one in ones], relevance, too_similar
    )


def test_what_is_dropped_drops_nothing() -> None:
    """b is near a and c, which are not near each other: b falls to a, and c stays."""
    ones = [_one("Value", text) for text in ("red green", "green blue", "blue black")]
    assert rouge_keep(ones, np.array([3.0, 2.0, 1.0]), threshold=0.4).tolist() == [0, 2]
    vectors = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]])
    assert cosine_keep(vectors, ones, np.array([3.0, 2.0, 1.0]), threshold=0.5).tolist() == [0, 2]


def test_order_of_words_counts_in_l_and_not_in_one() -> None:
    ones = [_one("Value", "care for truth"), _one("Value", "truth for care")]
    relevance = np.array([1.0, 1.0])
    assert rouge_keep(ones, relevance, threshold=0.5).tolist() == [0, 1]  # one word in order: 1/3
    assert rouge_keep(ones, relevance, threshold=0.5, n_gram=1).tolist() == [0]
    assert rouge_keep(ones, relevance, threshold=0.0, n_gram=2).tolist() == [0, 1]  # no pair of words is shared


def test_words() -> None:
    assert stemmed_words("duty  to Caring, Running & Ühren_2") == ("care", "run", "ühren", "2")
    assert stemmed_words("A right to rest") == ("a", "right", "to", "rest")
    assert stemmed_words("?!") == ()


@settings(max_examples=100, deadline=None)
@given(
    items=listed,
    threshold=st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 0.6, 2 / 3, 0.75, 0.8, 1.0]),
    n_gram=st.sampled_from([None, 1, 2]),
    score=st.sampled_from(["precision", "recall", "f"]),
    across=st.booleans(),
    cells=st.sampled_from([1, 50, 4_000_000]),
)
def test_rouge_survivors_are_those_of_the_loop(
    items: list[tuple[str, str, float]], threshold: float, n_gram: int | None, score: Any, across: bool, cells: int
) -> None:
    """Ties in relevance, repeated words, blocks of one rank and of all: the same positions in the same order."""
    ones, relevance = [_one(kind, text) for kind, text, _ in items], [number for *_, number in items]
    words = [stemmed_words(one.text) for one in ones]
    kinds = ["" if across else one.vrd for one in ones]
    plain = plain_walk(kinds, relevance, lambda a, b: plain_rouge(words[a], words[b], n_gram, score) > threshold)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dedup, "_CELLS", cells)
        fast = rouge_keep(ones, np.array(relevance), threshold=threshold, n_gram=n_gram, score=score, across_vrd=across)
    assert fast.tolist() == plain


@settings(max_examples=60, deadline=None)
@given(
    items=listed, seed=st.integers(0, 1000), threshold=st.floats(-1, 1), across=st.booleans(), cells=st.sampled_from([1, 60])
)
def test_cosine_survivors_are_those_of_the_loop(
    items: list[tuple[str, str, float]], seed: int, threshold: float, across: bool, cells: int
) -> None:
    ones, relevance = [_one(kind, text) for kind, text, _ in items], [number for *_, number in items]
    vectors = np.random.default_rng(seed).normal(size=(len(items), 3))
    cosines = np.array([[plain_cosine(a, b) for b in vectors] for a in vectors])
    assume(len(items) == 0 or np.abs(cosines - threshold).min() > 1e-9)
    kinds = ["" if across else one.vrd for one in ones]
    plain = plain_walk(kinds, relevance, lambda a, b: cosines[a, b] > threshold)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dedup, "_CELLS", cells)
        fast = cosine_keep(vectors, ones, np.array(relevance), threshold=threshold, across_vrd=across)
    assert fast.tolist() == plain


def test_scores_are_those_of_rouge_score() -> None:
    """Given the same words, every pair; so is nearly every word, though its stemmer is another."""
    scorer = pytest.importorskip("rouge_score.rouge_scorer")
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(VOCABULARY, size=rng.integers(1, 8))) for _ in range(20)]
    theirs = scorer.RougeScorer(
        ["rouge1", "rouge2", "rougeL"], tokenizer=SimpleNamespace(tokenize=lambda t: list(stemmed_words(t)))
    )
    for a in texts:
        for b in texts:
            found = theirs.score(a, b)
            for name, n_gram in (("rouge1", 1), ("rouge2", 2), ("rougeL", None)):
                ours = plain_rouge(stemmed_words(a), stemmed_words(b), n_gram, "precision")
                assert ours == pytest.approx(found[name].precision, abs=1e-12)
                ours = plain_rouge(stemmed_words(a), stemmed_words(b), n_gram, "f")
                assert ours == pytest.approx(found[name].fmeasure, abs=1e-12)


def test_thresholds_of_kinds() -> None:
    ones = [_one("Value", "a"), _one("Value", "b"), _one("Duty", "a"), _one("Duty", "b")]
    vectors: npt.NDArray[np.float64] = np.array([[1, 0], [1, 0.5], [1, 0], [1, 0.5]])  # cosine .894
    relevance = np.array([4.0, 3.0, 2.0, 1.0])
    assert cosine_keep(vectors, ones, relevance, threshold={"Value": 0.8, "Duty": 0.95}).tolist() == [0, 2, 3]
    with pytest.raises(UsageError, match="none is given for Duty"):
        cosine_keep(vectors, ones, relevance, threshold={"Value": 0.8})


def test_nothing_is_dropped_at_one() -> None:
    ones = [_one("Value", "care")] * 3
    assert rouge_keep(ones, np.ones(3), threshold=1.0).tolist() == [0, 1, 2]
    assert cosine_keep(np.full((3, 7), 0.1), ones, np.ones(3), threshold=1.0).tolist() == [0, 1, 2]
    assert rouge_keep([], np.zeros(0), threshold=0.5).tolist() == []


def test_what_is_refused() -> None:
    ones = [_one("Value", "care")] * 2
    with pytest.raises(UsageError, match=r"0\.\.1"):
        rouge_keep(ones, np.ones(2), threshold=1.5)
    with pytest.raises(UsageError, match="did you mean 'recall'"):
        rouge_keep(ones, np.ones(2), threshold=0.5, score="recal")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="one number for each of 2"):
        rouge_keep(ones, np.ones(3), threshold=0.5)
    with pytest.raises(DataError, match="consideration 2"):
        rouge_keep(ones, np.array([1.0, np.nan]), threshold=0.5)
    with pytest.raises(DataError, match="no direction"):
        cosine_keep(np.array([[1.0, 0.0], [0.0, 0.0]]), ones, np.ones(2), threshold=0.5)
