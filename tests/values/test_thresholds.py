"""The tuner: counts by hand, the shared walk against walks of their own, recovery of a threshold that is known."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pluralign.errors import DataError, UsageError
from pluralign.values.considerations import Consideration
from pluralign.values.dedup import ROUGE_SCORES, cosine_keep, rouge_keep
from pluralign.values.thresholds import Candidates, ThresholdGrid, candidates_of, tune_thresholds

WORDS = ("care", "truth", "rest", "fame", "order", "custom", "pleasure", "safety", "justice", "travel")


def _situations(n: int, *, seed: int = 0) -> tuple[list[Candidates], dict[str, list[Consideration]]]:
    """What is true has a relevance above .6, what is not one below; each true one comes a second time in other words."""
    rng = np.random.default_rng(seed)
    found, reference = [], {}
    for number in range(n):
        true = rng.random(len(WORDS)) < 0.4
        relevance = np.where(true, rng.uniform(0.61, 1, len(WORDS)), rng.uniform(0, 0.59, len(WORDS)))
        plain = [Consideration("Value", word) for word in WORDS]
        again = [Consideration("Value", f"{word} of others") for word in WORDS]
        situation = f"Situation {number}"
        vectors = np.eye(len(WORDS)).repeat(2, axis=0).reshape(len(WORDS), 2, -1).transpose(1, 0, 2).reshape(2 * len(WORDS), -1)
        found.append(
            Candidates(
                situation=situation,
                considerations=(*plain, *again),
                relevance=np.concatenate([relevance, relevance - 0.005]),
                vectors=vectors,
            )
        )
        reference[situation] = [one for one, is_true in zip(plain, true, strict=True) if is_true]
    return found, reference


def test_by_hand() -> None:
    """Two situations. At 0.5: kept 2 + 1, hits 1 + 1, reference 2 + 1, so F = 2 * 2 / (3 + 3)."""
    a, b, c = (Consideration("Value", word) for word in ("care", "truth", "rest"))
    candidates = [
        Candidates(situation="s", considerations=(a, b), relevance=np.array([0.9, 0.5])),
        Candidates(situation="t", considerations=(a, b), relevance=np.array([0.8, 0.1])),
    ]
    reference = {"s": [a, c], "t": [Consideration("Value", "Caring"), Consideration("Value", "cares")]}  # one, not two
    grid = ThresholdGrid(relevance=(0.0, 0.5), ngram=(1.0,), embed=(0.5, 1.0))
    found = tune_thresholds(candidates, reference, grid=grid, n_folds=2)
    assert found.table.select("relevance", "embed", "hits", "kept", "reference").rows() == [
        (0.0, 1.0, 2, 4, 3),
        (0.5, 1.0, 2, 3, 3),
    ]
    assert found.table["f"].to_list() == pytest.approx([4 / 7, 4 / 6], abs=1e-12)
    assert found.thresholds.relevance == 0.5
    assert found.unfiltered.value == pytest.approx(4 / 7, abs=1e-12)
    assert found.held_out_recall.value == pytest.approx(2 / 3, abs=1e-12)


def test_one_walk_serves_all_relevance_thresholds() -> None:
    candidates, reference = _situations(4)
    rng = np.random.default_rng(1)
    candidates = [
        Candidates(
            situation=c.situation, considerations=c.considerations, relevance=rng.random(20), vectors=rng.normal(size=(20, 3))
        )
        for c in candidates
    ]
    grid = ThresholdGrid(relevance=(0.0, 0.3, 0.7), ngram=(0.4, 1.0), embed=(0.2, 1.0))
    table = tune_thresholds(candidates, reference, grid=grid, n_folds=2).table
    for row in table.iter_rows(named=True):
        n_kept = 0
        for one in candidates:
            some = np.flatnonzero(one.relevance >= row["relevance"])
            listed = [one.considerations[i] for i in some]
            left = rouge_keep(listed, one.relevance[some], threshold=dict.fromkeys(ROUGE_SCORES, row["ngram"]))
            vectors = one.vectors
            assert vectors is not None
            n_kept += len(
                cosine_keep(vectors[some][left], [listed[i] for i in left], one.relevance[some][left], threshold=row["embed"])
            )
        assert row["kept"] == n_kept, row


def test_recovers_the_threshold_and_drops_the_second_wording() -> None:
    candidates, reference = _situations(40)
    found = tune_thresholds(candidates, reference)
    assert found.thresholds.relevance == 0.6
    assert min(found.thresholds.ngram, found.thresholds.embed) < 1
    assert found.held_out.value == pytest.approx(1.0)
    assert found.unfiltered.value < 0.7
    assert {one.relevance for one in found.by_fold} == {0.6}
    assert found.held_out.unit == "situation"
    assert found.held_out.n == 40


def test_held_out_is_not_what_was_chosen_on() -> None:
    """Relevance that tells nothing: the best of a fine grid looks better on the situations that it was chosen by."""
    rng = np.random.default_rng(3)
    values = [Consideration("Value", word) for word in WORDS]
    candidates, reference = [], {}
    for number in range(12):
        candidates.append(Candidates(situation=str(number), considerations=tuple(values), relevance=rng.random(len(values))))
        reference[str(number)] = [one for one in values if rng.random() < 0.3]
    found = tune_thresholds(candidates, reference, grid=ThresholdGrid(relevance=tuple(np.arange(0, 1, 0.01).tolist())))
    assert found.held_out.value < found.table["f"].max()


def test_order_and_unscored() -> None:
    candidates, reference = _situations(10)
    first = tune_thresholds(candidates, reference, n_folds=3)
    again = tune_thresholds(candidates[::-1], reference, n_folds=3)
    assert first.held_out.value == again.held_out.value
    one = candidates[0]
    relevance = one.relevance.copy()
    relevance[[0, 3]] = np.nan
    changed = Candidates(situation=one.situation, considerations=one.considerations, relevance=relevance, vectors=one.vectors)
    assert tune_thresholds([changed, *candidates[1:]], reference, n_folds=3).n_unscored == 2


def test_candidates_of_a_table() -> None:
    table = pl.DataFrame(
        {"action": ["s", "t", "s"], "vrd": ["Value", "Duty", "Right"], "text": ["a", "b", "c"], "relevant": [0.5, 0.25, None]}
    )
    found = candidates_of(table, np.array([[1.0], [2.0], [3.0]]))
    assert [one.situation for one in found] == ["s", "t"]
    assert found[0].considerations == (Consideration("Value", "a"), Consideration("Right", "c"))
    assert found[0].vectors is not None
    assert found[0].vectors.ravel().tolist() == [1.0, 3.0]
    assert np.isnan(found[0].relevance[1])
    with pytest.raises(DataError, match="no column relevant"):
        candidates_of(table.drop("relevant"))


def test_outputs_that_could_not_be_read_are_no_candidates() -> None:
    """A situation without a candidate is one of which all is missed: recall 1 / 2."""
    table = pl.DataFrame(
        {"action": ["s", "s", "t"], "vrd": ["Value", None, None], "text": ["care", None, None], "relevant": [0.9, None, None]}
    )
    care = [Consideration("Value", "care")]
    for vectors in (None, np.ones((3, 2))):
        candidates = candidates_of(table, vectors)
        assert [len(one.considerations) for one in candidates] == [1, 0]
        found = tune_thresholds(candidates, {"s": care, "t": care}, n_folds=2)
        assert found.held_out_recall.value == 0.5
        assert found.n_unscored == 0


def test_dropped_as_in_the_system() -> None:
    """Two words of three in common: F is 0.8 and precision 1, so at 0.9 the system drops it, and F alone does not."""
    pair = (Consideration("Value", "care of others"), Consideration("Value", "care of"))
    candidates = [Candidates(situation=s, considerations=pair, relevance=np.array([0.9, 0.8])) for s in ("s", "t")]
    reference = {"s": [pair[0]], "t": [pair[0]]}
    grid = ThresholdGrid(relevance=(0.0,), ngram=(0.9,), embed=(1.0,))
    assert tune_thresholds(candidates, reference, grid=grid, n_folds=2).table["kept"].to_list() == [2]
    assert tune_thresholds(candidates, reference, grid=grid, n_folds=2, scores=["f"]).table["kept"].to_list() == [4]


def test_what_is_refused() -> None:
    candidates, reference = _situations(3)
    with pytest.raises(DataError, match="no reference"):
        tune_thresholds(candidates, {}, n_folds=2)
    with pytest.raises(DataError, match="comes twice"):
        tune_thresholds([*candidates, candidates[0]], reference, n_folds=2)
    with pytest.raises(UsageError, match="n_folds is 5"):
        tune_thresholds(candidates, reference)
    with pytest.raises(UsageError, match="beta"):
        tune_thresholds(candidates, reference, n_folds=2, beta=0)
