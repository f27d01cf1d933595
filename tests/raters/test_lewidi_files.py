"""LeWiDi-2025: a test file is asked as it is, and what is handed in can be read back and measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pluralign.errors import DataError
from pluralign.metrics import lewidi
from pluralign.predicting import PredictSources, predict
from pluralign.raters.lewidi_files import (
    LABELS,
    SOFT_ANSWERS,
    is_lewidi_asked,
    read_lewidi_asked,
    read_submission,
    write_submission,
)
from pluralign.ratings.readers import ReadOptions, read_ratings

FIELDS = {
    "MP": ("post", "reply"),
    "CSC": ("context", "response"),
    "Paraphrase": ("Question1", "Question2"),
    "VariErrNLI": ("context", "statement"),
}
ANSWERS = {"MP": "01", "CSC": "123456", "Paraphrase": [str(n) for n in range(-5, 6)], "VariErrNLI": [*LABELS]}
N_RATERS = 6


def entries(dataset: str, n: int, *, seed: int, answered: bool = True) -> dict[str, Any]:
    """Items in the shape of the shared task; raters with an even number give the first answers, the others the last."""
    rng = np.random.default_rng(seed)
    made = {}
    for item in range(n):
        raters = [int(r) for r in rng.choice(N_RATERS, 4, replace=False)]
        answers = {f"Ann{r}": _answer(dataset, r, rng) for r in raters}
        made[str(item)] = {
            "annotation task": "made up",
            "text": {field: f"{field} {seed} {item}" for field in FIELDS[dataset]},
            "number of annotators": len(raters),
            "annotators": ",".join(answers),
            "annotations": answers if answered else {},
            "soft_label": {},
            "split": "train",
            "lang": "en",
            "other_info": {},
        }
    return made


def _answer(dataset: str, rater: int, rng: np.random.Generator) -> str:
    options = ANSWERS[dataset]
    low = int(rng.integers(max(1, len(options) // 3)))
    one = options[low] if rater % 2 == 0 else options[len(options) - 1 - low]
    return f"neutral,{one}" if dataset == "VariErrNLI" and rng.random() < 0.3 and one != "neutral" else one


def written(folder: Path, dataset: str) -> None:
    """A folder with the data set's train, dev and test files and its annotators' properties; the test file has no answers."""
    for seed, (split, n) in enumerate({"train": 60, "dev": 10, "test": 12}.items()):
        content = entries(dataset, n, seed=seed, answered=split != "test")
        (folder / f"{dataset}_{split}.json").write_text(json.dumps(content))
    meta = {f"Ann{r}": {"Age": str(20 + r), "Gender": "Male" if r % 2 else "Female"} for r in range(N_RATERS)}
    (folder / f"{dataset}_annotators_meta.json").write_text(json.dumps(meta))


@pytest.mark.parametrize("dataset", SOFT_ANSWERS)
def test_files_are_written_for_each_data_set_and_read_back(dataset: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    written(data, dataset)
    options = tuple(ANSWERS[dataset]) if dataset != "VariErrNLI" else None
    scale = None if dataset == "VariErrNLI" else "ordinal"
    hidden = tmp_path / "asked" / f"{dataset}_test.json"
    hidden.parent.mkdir()
    (data / hidden.name).rename(hidden)
    (tmp_path / "asked" / f"{dataset}_annotators_meta.json").write_bytes(
        (data / f"{dataset}_annotators_meta.json").read_bytes()
    )
    sources = PredictSources(data, ask=hidden, read=ReadOptions(options=options, scale=scale))
    predict(sources, tmp_path / "run", model="per-rater")
    soft = read_submission(tmp_path / "run" / "lewidi" / f"{dataset}_test_soft.tsv")
    single = read_submission(tmp_path / "run" / "lewidi" / f"{dataset}_test_pe.tsv")
    asked = json.loads(hidden.read_text())
    assert list(soft) == list(single) == list(asked)
    truth = entries(dataset, len(asked), seed=2)
    losses = _perspectivist_losses(dataset, single, truth)
    assert 0 <= losses < _chance(dataset)
    for label in soft.values():
        if dataset == "VariErrNLI":
            assert np.shape(label) == (3, 2)
            np.testing.assert_allclose(np.sum(label, axis=1), 1)
        else:
            assert len(label) == {"MP": 2, "CSC": 7, "Paraphrase": 11}[dataset]
            assert sum(label) == pytest.approx(1, abs=1e-9)
    if dataset == "CSC":
        assert {label[0] for label in soft.values()} == {0.0}


def _perspectivist_losses(dataset: str, single: dict[str, list[Any]], truth: dict[str, Any]) -> float:
    """The task's own measure, mean over items."""
    found = []
    for key, answers in single.items():
        given = list(truth[key]["annotations"].values())
        one = np.zeros(len(given), dtype=np.int64)
        if dataset == "VariErrNLI":
            assert np.shape(answers) == (3, len(given))
            sets = np.array([[int(label in text.split(",")) for label in LABELS] for text in given])
            found.append(lewidi.ven_perspectivist_loss(np.transpose(answers), sets, one, n_items=1)[0])
        else:
            loss = {
                "MP": lewidi.mp_perspectivist_loss,
                "CSC": lewidi.csc_perspectivist_loss,
                "Paraphrase": lewidi.par_perspectivist_loss,
            }[dataset]
            found.append(loss(np.array(answers), np.array(list(map(int, given))), one, n_items=1)[0])
    return float(np.mean(found))


def _chance(dataset: str) -> float:
    """Well below what answering without knowing the rater can reach, since the two kinds of raters lie at the two ends."""
    return {"MP": 0.1, "CSC": 0.2, "Paraphrase": 0.25, "VariErrNLI": 0.3}[dataset]


def test_an_item_by_hand(tmp_path: Path) -> None:
    """Two annotators of a rating 1..6: medians 2 and 5, soft label the mean of both."""
    import polars as pl

    (tmp_path / "CSC_test.json").write_text(json.dumps({"7": {"text": "t", "annotators": "A,B,A"}}))
    train = {"7": {"text": "another", "annotations": {"A": "1", "B": "6"}, "annotators": "A,B"}}
    (tmp_path / "CSC_train.json").write_text(json.dumps(train))
    options = ("1", "2", "3", "4", "5", "6")
    ratings = read_ratings(tmp_path / "CSC_train.json", ReadOptions(options=options))
    asked = read_lewidi_asked(tmp_path / "CSC_test.json", ratings)
    assert asked.item_ids == {"7": "test-7"}
    assert asked.annotators == {"7": ("A", "B")}
    p = [[0.4, 0.2, 0.1, 0.1, 0.1, 0.1], [0.0, 0.1, 0.1, 0.1, 0.4, 0.3]]
    table = pl.DataFrame({"item_id": ["test-7"] * 2, "rater_id": ["A", "B"]}).hstack(
        pl.DataFrame(p, schema=[f"p_{o}" for o in options], orient="row")
    )
    write_submission(tmp_path / "out", asked, table, options)
    assert read_submission(tmp_path / "out" / "CSC_test_pe.tsv") == {"7": [2, 5]}
    [label] = read_submission(tmp_path / "out" / "CSC_test_soft.tsv").values()
    np.testing.assert_allclose(label, [0, 0.2, 0.15, 0.1, 0.1, 0.25, 0.2])
    with pytest.raises(DataError, match=r"'yes'.* are none of"):
        write_submission(tmp_path / "out", asked, table.rename({"p_1": "p_yes"}), ("yes", *options[1:]))


def test_a_dev_file_that_is_known_is_refused_and_one_that_is_not_is_asked(tmp_path: Path) -> None:
    from pluralign.raters.individual_asked import joined

    written(tmp_path, "MP")
    (tmp_path / "MP_test.json").unlink()
    ratings = read_ratings(tmp_path, ReadOptions())
    with pytest.raises(DataError, match="pairs are among the ratings"):
        joined(ratings, read_lewidi_asked(tmp_path / "MP_dev.json", ratings).pairs)
    train = read_ratings(tmp_path / "MP_train.json", ReadOptions())
    pairs = read_lewidi_asked(tmp_path / "MP_dev.json", train).pairs
    assert len(joined(train, pairs).asked) == 40
    assert "rater_age" in pairs.columns


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "MP_test.json"
    assert is_lewidi_asked(path)
    assert not is_lewidi_asked(tmp_path / "pairs.json")
    written(tmp_path, "MP")
    ratings = read_ratings(tmp_path / "MP_train.json", ReadOptions())
    path.write_text(json.dumps({"1": {"text": {"post": "x"}, "annotators": ""}}))
    with pytest.raises(DataError, match="1 items have no annotators"):
        read_lewidi_asked(path, ratings)
    path.write_text(json.dumps({"1": {"text": {"post": "x"}}}))
    with pytest.raises(DataError, match="annotators"):
        read_lewidi_asked(path, ratings)
    (tmp_path / "bad.tsv").write_text("1\t[0, 1]\n1\t[0]\n")
    with pytest.raises(DataError, match="line 2: need a new id"):
        read_submission(tmp_path / "bad.tsv")
