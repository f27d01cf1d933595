"""Minimal pairs as a run: parts change nothing, a killed run goes on, files are read or refused, and the command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from pluralign.cli import main
from pluralign.errors import DataError, UsageError
from pluralign.values import contrast_run as module
from pluralign.values.considerations import Consideration
from pluralign.values.contrast import contrast
from pluralign.values.contrast_lines import contrast_lines, pair_dicts, pair_lines
from pluralign.values.contrast_run import ContrastSettings, contrast_run, read_considerations, read_pair_file
from values.fake_values_model import FakeValuesModel

CARE, TRUTH = Consideration("Value", "care"), Consideration("Right", "Right to the truth")
PAIRS = [(f"a{n}", f"b{n}") for n in range(5)]


def _said(situation: str, one: Consideration) -> Sequence[float]:
    """Care enters in every pair by its own size; the truth stays."""
    if one == TRUTH:
        return (0.9, 1, 0, 0)
    return (0.1, 1, 0, 0) if situation[0] == "a" else (0.6 + int(situation[1:]) / 20, 0, 1, 0)


def test_parts_change_nothing_and_a_killed_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_PAIRS", 2)
    settings = ContrastSettings(considerations=(CARE, TRUTH))
    whole = contrast(FakeValuesModel(_said), PAIRS, considerations=[CARE, TRUTH])
    model = FakeValuesModel(_said)
    assert contrast_run(PAIRS, model, settings).found.table.equals(whole.table)
    fails = FakeValuesModel(lambda situation, one: 1 / 0 if situation == "b4" else _said(situation, one))  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        contrast_run(PAIRS, fails, settings, out=tmp_path / "run")
    model.n_asked = 0
    run = contrast_run(PAIRS, model, settings, out=tmp_path / "run")
    assert model.n_asked == 4  # the last pair alone
    assert run.found.table.equals(whole.table)
    assert pl.read_parquet(tmp_path / "run" / "contrasts.parquet").equals(whole.table)
    assert json.loads((tmp_path / "run" / "results.json").read_text())["shares"]["enters"]["value"] == pytest.approx(0.5)


def test_the_threshold_is_given_or_the_checkpoints_or_a_half() -> None:
    model = FakeValuesModel(_said)
    assert contrast_run(PAIRS, model).found.threshold == 0.5
    assert contrast_run(PAIRS, model, ContrastSettings(threshold=0.2)).found.threshold == 0.2
    model.system_params = {"relevance_threshold": {"Value": 0.3, "Right": 0.7, "Duty": 0.1}}
    assert contrast_run(PAIRS, model).found.threshold == 0.7
    for wrong in ({"n": 0}, {"threshold": 2.0}, {"is_simulated": True, "considerations": (CARE,)}):
        with pytest.raises(UsageError):
            ContrastSettings(**wrong)  # type: ignore[arg-type]


def test_nothing_generated_is_no_change() -> None:
    run = contrast_run(PAIRS[:1], FakeValuesModel(_said))
    assert run.shares["enters"].why_undefined == "no considerations"
    assert "nothing that was generated" in "\n".join(pair_lines(run.found, most=3))
    assert pair_dicts(run.found) == [{"pair": 0, "considerations": []}]
    assert json.dumps(run.to_dict(), allow_nan=False)


def test_lines() -> None:
    run = contrast_run(PAIRS, FakeValuesModel(_said), ContrastSettings(considerations=(CARE, TRUTH)))
    lines = "\n".join([*pair_lines(run.found, most=2), *contrast_lines(run)])
    assert "enters  Value: care  0.10 > 0.60   Supports > Opposes" in lines
    assert "1 stays as they were" in lines
    assert "and 3 more pairs" in lines
    assert "not a verdict" in lines
    first = pair_dicts(run.found)[0]
    assert (first["before"], first["after"]) == ("a0", "b0")
    assert [one["change"] for one in first["considerations"]] == ["enters", "stays"]


def test_files_of_pairs(tmp_path: Path) -> None:
    table = pl.DataFrame({"before": ["a ", "c"], "after": ["b", "d\te"], "other": ["x", "y"]})
    table.write_csv(tmp_path / "pairs.csv")
    table.write_ndjson(tmp_path / "pairs.jsonl")
    table.write_parquet(tmp_path / "pairs.parquet")
    for name in ("pairs.csv", "pairs.jsonl", "pairs.parquet"):
        assert read_pair_file(tmp_path / name) == [("a", "b"), ("c", "d e")]
    assert read_pair_file(tmp_path / "pairs.csv", columns=("other", "after"), limit=1) == [("x", "b")]
    with pytest.raises(DataError, match="no column nowhere"):
        read_pair_file(tmp_path / "pairs.csv", columns=("before", "nowhere"))
    table.with_columns(after=pl.lit("")).write_csv(tmp_path / "empty.csv")
    with pytest.raises(DataError, match="situation 2 has no text"):
        read_pair_file(tmp_path / "empty.csv")
    table.clear().write_csv(tmp_path / "none.csv")
    with pytest.raises(DataError, match="no pairs"):
        read_pair_file(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="'honesty' is no consideration"):
        read_considerations(["Value: care", "honesty"])


def test_the_command(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = ["Saving half of every wage", "Feeding birds in the park"]
    asked = ["--model", f"hf/{checkpoint}", "--consideration", "Value: health", "Duty: Duty to care for nature", "--no-cache"]
    assert main(["values-contrast", *pair, *asked, "--json"]) == 0
    said = capsys.readouterr()
    (found,) = json.loads(said.out)["pairs"]
    assert found["before"] == pair[0]
    assert {one["text"] for one in found["considerations"]} == {"health", "Duty to care for nature"}
    assert "not a verdict" in said.err
    out = tmp_path / "run"
    assert main(["values-contrast", *pair, *asked, "--out", str(out)]) == 0
    assert "Written to" in capsys.readouterr().out
    assert "Saving half of every wage" in (out / "report.html").read_text()
    assert (out / "contrast.svg").read_text().startswith("<svg")
    (tmp_path / "pairs.csv").write_text("before,after\na,b\nc,d\n")
    arguments = ["--input", str(tmp_path / "pairs.csv"), "--out", str(tmp_path / "none"), "--dry-run"]
    assert main(["values-contrast", *arguments]) == 0
    assert "2 pairs to embedded: 120 outputs" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()


def test_the_command_scores_the_simulated_world(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["values-contrast", "--sample", "2", "--no-cache", "--json", "--out", str(tmp_path / "run")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n_considerations"] == 60
    assert found["scores"]["change_correlation"]["value"] > 0
    assert "Beside the truth" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a"],
        ["a", "b", "--sample", "2"],
        ["a", "b", "--columns", "x", "y"],
        ["--sample", "2", "--consideration", "Value: care"],
        ["--sample", "2", "--limit", "0"],
        ["a", "b", "--threshold", "3"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["values-contrast", *arguments]) == 2
    assert "error:" in capsys.readouterr().err
