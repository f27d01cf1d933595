"""Thresholds tuned on files, and quality.csv read back: the commands."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from pluralign.cli import main
from pluralign.errors import DataError, UsageError
from pluralign.values.considerations import Consideration
from pluralign.values.threshold_files import read_reference, tune_on_files


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Ten situations: what is over .5 was accepted. Two are in one of the tables only."""
    rows = [
        (f"s{n}", "Value", f"word{k}", relevant)
        for n in range(11)
        for k, relevant in enumerate((0.9, 0.6, 0.4, 0.2 if n else None))
    ]
    scores = tmp_path / "scores.parquet"
    pl.DataFrame(rows, schema=["action", "vrd", "text", "relevant"], orient="row").write_parquet(scores)
    accepted = [(f" s{n}", "Value", f"word{k}") for n in range(10) for k in range(2)]
    reference = tmp_path / "reference.csv"
    pl.DataFrame([*accepted, ("s99", "", "")], schema=["situation", "vrd", "text"], orient="row").write_csv(reference)
    return scores, reference


def test_by_hand(files: tuple[Path, Path]) -> None:
    found = tune_on_files(*files, embedding="none", n_folds=2)
    assert found.tuned.held_out.value == 1.0
    assert 0.4 < found.tuned.thresholds.relevance <= 0.6
    assert (found.n_situations, found.n_without_reference, found.n_without_candidates) == (10, 1, 1)
    assert found.tuned.n_unscored == 1
    assert found.tuned.unfiltered.value == pytest.approx(2 * 20 / (40 + 20))
    assert found.system_params["relevance_threshold"] == found.tuned.thresholds.relevance
    assert json.dumps(found.to_dict(), allow_nan=False)
    text = "\n".join(found.lines())
    assert "1 situations have no reference, left out" in text
    assert '"ngram_threshold": 1.0' in text


def test_vectors_are_used(files: tuple[Path, Path]) -> None:
    assert tune_on_files(*files, n_folds=2).embedding == "tfidf"
    with pytest.raises(UsageError, match="name it with --model"):
        tune_on_files(*files, n_folds=2, embedding="encoder")


def test_a_run_is_tuned_with_its_own_vectors(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cases.txt").write_text("Saving half of every wage\nFeeding birds in the park\n")
    run, model = tmp_path / "run", f"hf/{checkpoint}"
    asked = ["--input", str(tmp_path / "cases.txt"), "--out", str(run), "--n", "6", "--no-explain", "--no-cache"]
    assert main(["values", *asked, "--model", model]) == 0
    kept = pl.read_parquet(run / "values.parquet").select("action", "vrd", "text")
    kept.write_csv(tmp_path / "reference.csv")
    capsys.readouterr()
    arguments = ["values-thresholds", str(run), str(tmp_path / "reference.csv"), "--n-folds", "2"]
    out = tmp_path / "tuned"
    assert main([*arguments, "--json", "--out", str(out), "--checkpoint", str(checkpoint)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["embedding"] == "encoder"
    own, copied = (json.loads((folder / "config.json").read_text()) for folder in (checkpoint, out))
    assert copied["system_params"] == found["system_params"] == json.loads((out / "system_params.json").read_text())
    assert own["system_params"] != copied["system_params"]
    assert {name: value for name, value in own.items() if name != "system_params"}.items() <= copied.items()
    assert pl.read_parquet(out / "grid.parquet").height > 100
    assert main([*arguments, "--checkpoint", str(checkpoint)]) == 2
    assert main(["values-thresholds", str(checkpoint), str(tmp_path / "reference.csv")]) == 1
    assert "no finished run" in capsys.readouterr().err


def test_references(tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    file.write_text("action,vrd,text\na,Value,care  of  all\na,Duty,Duty to x\nb,,\n")
    assert read_reference(file) == {
        "a": [Consideration("Value", "care of all"), Consideration("Duty", "Duty to x")],
        "b": [],
    }
    file.write_text("situation,vrd,text\na,Virtue,care\nb,Value,\n")
    with pytest.raises(DataError, match="row 1") as caught:
        read_reference(file)
    assert "row 2" in str(caught.value)
    file.write_text("situation,text\na,care\n")
    with pytest.raises(DataError, match="need the columns"):
        read_reference(file)


def test_too_little_in_common(files: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("situation,vrd,text\ns1,Value,word0\n")
    with pytest.raises(DataError, match="shares 1 situations"):
        tune_on_files(files[0], tmp_path / "other.csv")


def test_quality_is_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pluralign.values.prism_data import quality_csv

    table = pl.DataFrame(
        {
            "situation": ["a", "b", "c"],
            "vrd": ["Value"] * 3,
            "text": ["x"] * 3,
            "explanation": [""] * 3,
            "valence": ["Either"] * 3,
        }
    )
    blank = quality_csv(table, n=3, seed=0)
    (tmp_path / "quality.csv").write_text(blank)
    assert main(["values-quality", str(tmp_path)]) == 0
    assert "undefined (no rows)" in capsys.readouterr().out
    filled = pl.read_csv(tmp_path / "quality.csv", infer_schema=False)
    columns = [name for name in filled.columns if name.startswith("is_")]
    filled.with_columns(pl.lit("yes").alias(name) for name in columns).write_csv(tmp_path / "quality.csv")
    assert main(["values-quality", str(tmp_path / "quality.csv"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["is_good"]["value"] == 1.0
    assert found["is_good"]["n"] == 3
