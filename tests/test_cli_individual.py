"""`pluralign predict` and `pluralign adapt`, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from pluralign import cli
from pluralign.cli.individual import AdaptFlags, PredictFlags
from pluralign.cli.tune_flags import LoraFlags, PlaceFlags
from pluralign.raters.individual_adapt import ADAPT_SETTINGS
from pluralign.raters.individual_layout import RATER_FILE, Layout
from pluralign.raters.individual_results import PredictSettings
from raters.made_people import new_pairs, people
from tuning.tune_runs import make_model

NAMES = {"item_id": "comment", "item_text": "text", "rater_id": "worker", "rater_age": "age", "rating": "label"}


@pytest.fixture(autouse=True)
def _own_cache_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLURALIGN_CACHE", str(tmp_path / "cache.sqlite"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> str:
    people().to_long().rename(NAMES).write_csv(tmp_path / "votes.csv")
    new_pairs().rename(NAMES).write_csv(tmp_path / "later.csv")
    new_pairs(4, known=False).drop("rating").rename({k: v for k, v in NAMES.items() if k != "rating"}).write_csv(
        tmp_path / "asked.csv"
    )
    return str(tmp_path / "votes.csv")


# flags


def test_the_defaults_are_those_of_the_settings() -> None:
    assert PredictFlags().to_settings(seed=0) == PredictSettings()
    assert AdaptFlags().to_layout() == Layout()
    assert AdaptFlags().to_settings(LoraFlags(), PlaceFlags(), seed=0) == ADAPT_SETTINGS
    given = PredictFlags(stack=("mixed",), loss="mode", recalibrate=False, n_apart=9, most_tokens=8, by="item")
    settings = PredictSettings(stack=("mixed",), loss="mode", recalibrate=False, n_apart=9, most_tokens=8, by="item", seed=3)
    assert given.to_settings(seed=3) == settings


# predict


def test_known_ratings_judge_what_is_filled_in(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["predict", file, "--model", "scripted", "--scale", "ordinal", "--dev", "later.csv", "--stack", "per-rater"]
    assert cli.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "20 ratings filled in by scripted, told: attributes+examples:all; answers are the median option" in printed
    assert "on the true ratings that were given:" in printed
    assert "Written to runs/votes-predict-scripted: predictions.parquet" in printed
    assert pl.read_csv("runs/votes-predict-scripted/predictions.csv").height == 20
    assert cli.main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["scores"]) == {"scripted", "per-rater", "pooled", "marginal"}
    assert found["kinds"] == {"known raters, new items": 20}


def test_a_file_of_pairs_is_asked(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", file, "--model", "mixed", "--scale", "ordinal", "--ask", "asked.csv", "--out", "out"]) == 0
    assert "new raters, new items: 8" in capsys.readouterr().out
    assert pl.read_parquet("out/predictions.parquet")["rater_id"].unique().sort().to_list() == [f"cold{n}" for n in range(4)]


def test_missing_pairs_are_asked_by_default_and_limited(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    shared = ["predict", file, "--model", "scripted", "--scale", "ordinal", "--limit", "5", "--json"]
    assert cli.main([*shared, "--seed", "1", "--out", "one"]) == 0
    assert cli.main([*shared, "--seed", "2", "--out", "two"]) == 0
    assert capsys.readouterr().out.count('"n_asked": 5') == 2
    one, two = (pl.read_parquet(f"{name}/predictions.parquet").select("item_id", "rater_id").rows() for name in ("one", "two"))
    assert one != two


def test_a_dry_run_asks_and_writes_nothing(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    shared = ["predict", file, "--scale", "ordinal", "--dev", "later.csv", "--dry-run"]
    assert cli.main([*shared, "--model", "embedded", "--price-in", "10", "--price-out", "0"]) == 0
    printed = capsys.readouterr().out
    assert "would fill in 20 (known raters, new items: 20)" in printed
    assert "cost: about" in printed
    assert "Nothing was asked and nothing was written (--dry-run)." in printed
    assert cli.main([*shared, "--model", "mixed", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["n_questions"] == 0
    assert plan["n_asked"] == 20
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_exit_codes(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    shared = ["predict", file, "--scale", "ordinal", "--out", "x"]
    assert cli.main([*shared, "--model", "scripted", "--dev", file]) == 1
    assert "pairs are among the ratings" in capsys.readouterr().err
    assert cli.main([*shared, "--model", "scripted", "--stack", "mxied"]) == 2
    assert "did you mean 'mixed'" in capsys.readouterr().err
    assert cli.main([*shared, "--model", "scripted", "--limit", "0"]) == 2
    assert "--limit 0" in capsys.readouterr().err
    assert cli.main([*shared, "--model", "scripted", "--ask", "none.csv"]) == 1
    assert "no such file" in capsys.readouterr().err
    assert not Path("x").exists()


# adapt


def test_a_model_is_adapted_and_then_asked_as_it_was_told(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_model(tmp_path / "model")
    few = [
        "--max-tokens",
        "300",
        "--max-steps",
        "2",
        "--device",
        "cpu",
        "--dtype",
        "float32",
        "--cache",
        str(tmp_path / "encoded"),
    ]
    shared = ["adapt", file, "--model", model, "--scale", "ordinal", "--representation", "attributes+examples:4", *few]
    assert cli.main([*shared, "--held-out", "0.3", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "told: attributes+examples:4" in printed
    assert "Nothing was trained (--dry-run)." in printed
    assert not Path("runs").exists()
    assert cli.main([*shared, "--held-out", "0.3"]) == 0
    printed = capsys.readouterr().out
    assert "raters held out, behind 1 to 4 ratings of theirs" in printed
    folder = "runs/votes-adapt-model/tuned/model"
    assert f"--model hf/{folder}" in printed
    assert json.loads(Path(folder, RATER_FILE).read_text())["representation"] == "attributes+examples:4"
    asked = ["predict", file, "--model", f"hf/{folder}", "--scale", "ordinal", "--limit", "3", "--no-recalibrate"]
    assert cli.main([*asked, "--model-format", "spectrum", "--dtype", "float32", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["representation"] == "attributes+examples:4"
    other = [*asked, "--representation", "nothing", "--dtype", "float32", "--json", "--out", "other"]
    assert cli.main(other) == 0
    assert json.loads(capsys.readouterr().out)["representation"] == "nothing"


def test_adapting_to_what_is_not_there_is_refused(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = make_model(tmp_path / "model")
    assert cli.main(["adapt", file, "--model", model, "--representation", "profile"]) == 1
    assert "no rater has a profile; give a file with --profiles" in capsys.readouterr().err
    assert cli.main(["adapt", file, "--model", model, "--held-out", "1.5"]) == 2
    assert "held out is a share of 0 up to 1, not 1.5" in capsys.readouterr().err
