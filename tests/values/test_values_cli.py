from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from pluralign.cli import main


def test_the_first_command_of_the_page_prints_a_table(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["values", "Biking to work instead of driving", "--model", f"hf/{checkpoint}", "--n", "6"]) == 0
    printed = capsys.readouterr().out
    assert "relevant  supports  opposes  either" in printed
    assert "  health" in printed
    assert "not a verdict" in printed
    assert "together: supports" in printed


def test_json_is_one_document(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["Biking to work instead of driving", "Saving half of every wage", "--n", "6", "--no-explain", "--json"]
    assert main(["values", *arguments, "--model", f"hf/{checkpoint}"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert [one["action"] for one in found["situations"]] == ["Biking to work instead of driving", "Saving half of every wage"]
    assert found["situations"][0]["considerations"][0].keys() >= {"vrd", "text", "relevant", "supports", "label"}
    assert found["n_generated"] == 12
    assert "not a verdict" in found["notice"]
    assert "not a verdict" in captured.err


def test_the_embedded_model_says_that_it_knows_no_other_situation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["values", "Biking to work instead of driving"]) == 1
    assert "knows the 3,744 situations of its simulated world and no other" in capsys.readouterr().err
    assert main(["values", "--sample", "2", "--n", "20", "--no-cache"]) == 0
    assert "nobody's opinion" in capsys.readouterr().out


def test_a_file_becomes_a_run_folder(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cases.txt").write_text("Saving half of every wage\nFeeding birds in the park\n")
    arguments = ["values", "--input", str(tmp_path / "cases.txt"), "--out", str(tmp_path / "run"), "--n", "6"]
    assert main([*arguments, "--model", f"hf/{checkpoint}"]) == 0
    assert "Written to" in capsys.readouterr().out
    assert pl.read_parquet(tmp_path / "run" / "values.parquet")["situation"].unique().sort().to_list() == [0, 1]
    assert main([*arguments, "--model", f"hf/{checkpoint}", "--dry-run"]) == 0
    assert "2 situations" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a", "--sample", "2"],
        ["a", "--column", "b"],
        ["--sample", "0"],
        ["a", "--n", "0"],
        ["a", "--model", "scripted", "--decoding", "beams"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["values", *arguments]) == 2
    assert "error:" in capsys.readouterr().err
