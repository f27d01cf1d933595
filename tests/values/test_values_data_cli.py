"""The command that makes data: its plan, what it refuses, one small run with the embedded model."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from cyclopts import App

from pluralign.cli import values_data
from pluralign.errors import UsageError


def _run(*tokens: str) -> None:
    app = App("pluralign", result_action="return_value")
    app.command(values_data.prism, name="values-data")
    app(["values-data", *tokens], exit_on_error=False, print_error=False)


def test_a_plan_asks_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "situations.txt"
    file.write_text("Biking to work\nResting\nBiking to work\n")
    _run(str(file), "--model", "scripted", "--out", str(tmp_path / "out"), "--dry-run")
    assert "2 situations" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_a_file_or_a_sample() -> None:
    with pytest.raises(UsageError, match="one of the two"):
        _run("--model", "scripted")
    with pytest.raises(UsageError, match="one of the two"):
        _run("situations.txt", "--sample", "2", "--model", "scripted")


def test_the_embedded_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    out = tmp_path / "out"
    _run(
        *("--sample", "3", "--n-pieces", "8", "--model", "embedded", "--dtype", "float32", "--no-cache"),
        *("--out", str(out), "--json"),
    )
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["n_situations"] == 3
    assert sum(found["outcomes"].values()) == 24
    assert set(found["scores"]) == {"precision", "recall", "valence_accuracy"}
    assert "not a verdict" in said.err
    assert pl.read_parquet(out / "prism.parquet").columns == ["situation", "vrd", "text", "explanation", "valence"]
