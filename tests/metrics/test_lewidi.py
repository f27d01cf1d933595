from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pluralign.errors import UsageError
from pluralign.metrics import (
    csc_perspectivist_loss,
    csc_soft_distance,
    mp_perspectivist_loss,
    mp_soft_distance,
    par_perspectivist_loss,
    par_soft_distance,
    ven_perspectivist_loss,
    ven_soft_distance,
)

ITEMS = np.array([0, 0, 0, 2])


def test_perspectivist_by_hand() -> None:
    # item 0 has three annotators, item 1 none, item 2 one
    mp = mp_perspectivist_loss(np.array([1, 1, 0, 0]), np.array([1, 0, 0, 1]), ITEMS, n_items=3)
    np.testing.assert_allclose(mp, [1 / 3, np.nan, 1], atol=1e-12)
    csc = csc_perspectivist_loss(np.array([1, 6, 3, 4]), np.array([6, 6, 5, 4]), ITEMS, n_items=3)
    np.testing.assert_allclose(csc, [(5 + 0 + 2) / 6 / 3, np.nan, 0], atol=1e-12)
    par = par_perspectivist_loss(np.array([-5, 0, 3, 4]), np.array([5, 0, 2, 4]), ITEMS, n_items=3)
    np.testing.assert_allclose(par, [(10 + 0 + 1) / 11 / 3, np.nan, 0], atol=1e-12)


def test_ven_perspectivist_by_hand() -> None:
    predicted = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]])
    given = np.array([[1, 0, 1], [0, 0, 1], [0, 0, 1]])
    # annotator 1 errs on 1 of 3 labels, annotator 2 on 3 of 3: item 0 has 4/6; item 1 none
    ven = ven_perspectivist_loss(predicted, given, np.array([0, 0, 1]), n_items=2)
    np.testing.assert_allclose(ven, [4 / 6, 0], atol=1e-12)


def test_soft_by_hand() -> None:
    assert mp_soft_distance(np.array([[0.4, 0.6]]), np.array([[0.5, 0.5]]))[0] == pytest.approx(0.2, abs=1e-12)
    p = np.array([[[0.5, 0.5], [1.0, 0.0], [0.25, 0.75]]])
    q = np.array([[[0.5, 0.5], [0.0, 1.0], [0.5, 0.5]]])
    assert ven_soft_distance(p, q)[0] == pytest.approx((0 + 2 + 0.5) / 3, abs=1e-12)
    one, six = np.eye(6)[0], np.eye(6)[5]
    assert csc_soft_distance(one, six)[0] == pytest.approx(5, abs=1e-12)
    # half of the mass from -5 to -3: one label unit
    split = np.eye(11)[0] / 2 + np.eye(11)[2] / 2
    assert par_soft_distance(np.eye(11)[0], split)[0] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("loss", "outside"), [(mp_perspectivist_loss, 2), (csc_perspectivist_loss, 0), (par_perspectivist_loss, -6)]
)
def test_answers_outside_the_scale(loss: object, outside: int) -> None:
    good = np.ones(2, dtype=int)
    with pytest.raises(UsageError, match=f"given: row 1 is {outside}; allowed are the answers"):
        loss(good, np.array([1, outside]), np.array([0, 0]), n_items=1)


def test_shapes() -> None:
    with pytest.raises(UsageError, match=r"need two arrays \[ratings, 3\]"):
        ven_perspectivist_loss(np.ones((2, 2), dtype=int), np.ones((2, 2), dtype=int), np.array([0, 0]), n_items=1)
    with pytest.raises(UsageError, match=r"need two arrays \[ratings\]"):
        mp_perspectivist_loss(np.ones(2, dtype=int), np.ones(3, dtype=int), np.array([0, 0]), n_items=1)
    with pytest.raises(UsageError, match="11 options"):
        par_soft_distance(np.eye(6)[0], np.eye(6)[0])
    with pytest.raises(UsageError, match="VEN soft labels"):
        ven_soft_distance(np.full((2, 2), 0.5), np.full((2, 2), 0.5))
    with pytest.raises(UsageError, match="item_index: position 1 holds 4"):
        mp_perspectivist_loss(np.ones(2, dtype=int), np.ones(2, dtype=int), np.array([0, 4]), n_items=1)


@pytest.mark.data
def test_the_most_frequent_answer_on_public_labels(data_dir: Path) -> None:
    """The shared task's constant: everybody answers 0 for irony; its soft distance is 2 * share of 1, error the share of 1."""
    entries = json.loads((data_dir / "lewidi2025" / "MP_dev.json").read_text(encoding="utf-8")).values()
    answers = [[int(a) for a in entry["annotations"].values()] for entry in entries]
    soft = np.array([[entry["soft_label"]["0.0"], entry["soft_label"]["1.0"]] for entry in entries])
    items = np.repeat(np.arange(len(answers)), [len(a) for a in answers])
    given = np.concatenate([np.array(a) for a in answers])
    errors = mp_perspectivist_loss(np.zeros(len(given), dtype=int), given, items, n_items=len(answers))
    distances = mp_soft_distance(soft / soft.sum(axis=1, keepdims=True), np.array([1.0, 0.0]))
    np.testing.assert_allclose(distances, 2 * errors, atol=0.011)  # the files round soft labels to two digits
