from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from pluralign import __version__, cli
from pluralign.errors import DataError
from pluralign.ratings.readers import ReadOptions
from pluralign.ratings.scale import ScaleKind

VOTES = "item_id,rater_id,rating,rater_age\n" + "".join(
    f"i{i},r{r},{'yes' if (i + r) % 3 else 'no'},{'old' if r > 2 else 'young'}\n" for i in range(4) for r in range(5)
)


@pytest.fixture
def votes(tmp_path: Path) -> Path:
    path = tmp_path / "votes.csv"
    path.write_text(VOTES)
    return path


def _raise(error: BaseException) -> None:
    raise error


def test_the_flags_of_reading_are_the_options_of_reading() -> None:
    flags = {f.name for f in dataclasses.fields(cli.ReadFlags)}
    assert flags == {f.name for f in dataclasses.fields(ReadOptions)}
    assert cli.ReadFlags().to_options() == ReadOptions()
    kinds = get_args(get_type_hints(cli.ReadFlags)["scale"])[:-1]
    assert {kind for k in kinds for kind in (get_args(k) or (k,))} == set(get_args(ScaleKind))


def test_flags_become_options() -> None:
    flags = cli.ReadFlags(item=("comment",), options=("-1", "0", "1"), bin_range=None, attributes=("age", "sex"))
    assert flags.to_options() == ReadOptions(item="comment", options=("-1", "0", "1"), attributes=("age", "sex"))
    assert cli.ReadFlags(item=("a", "b")).to_options().item_parts == ("a", "b")


def test_inspect_prints_lines_or_one_json_document(votes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ratings", "inspect", str(votes)]) == 0
    printed = capsys.readouterr()
    assert "20" in printed.out
    assert printed.err == ""
    assert cli.main(["ratings", "inspect", str(votes), "--json", "--options", "no", "yes", "unsure"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n_ratings"], found["n_items"], found["n_raters"]) == (20, 4, 5)
    assert list(found["option_counts"]) == ["no", "yes", "unsure"]


def test_inspect_of_a_file_that_cannot_be_read_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("item_id,rater_id,rating\na,b,\n")
    assert cli.main(["ratings", "inspect", str(path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["faults"]


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_a_config_file_has_the_names_of_the_flags_and_flags_win(
    votes: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / f"study{suffix}"
    texts = {
        ".toml": 'scale = "ordinal"\noptions = ["no", "yes"]\njson = true\n',
        ".json": '{"scale": "ordinal", "options": ["no", "yes"], "json": true}',
    }
    config.write_text(texts[suffix])
    assert cli.main(["ratings", "inspect", str(votes), "--config", str(config)]) == 0
    assert json.loads(capsys.readouterr().out)["scale_kind"] == "ordinal"
    assert cli.main(["ratings", "inspect", str(votes), f"--config={config}", "--scale", "nominal"]) == 0
    assert json.loads(capsys.readouterr().out)["scale_kind"] == "nominal"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stdy"], 'Did you mean "study"'),
        (["ratings", "inspect"], "FILE requires an argument"),
        (["ratings", "inspect", "x.csv", "--scale", "ordnal"], '"ordinal"'),
        (["ratings", "inspect", "x.csv", "--sede", "1"], "--sede"),
        (["ratings", "inspect", "x.csv", "--bins", "1"], "at least 2 bins"),
        (["demo", "--seed", "one"], "--seed"),
        (["study", "x.csv", "--config", "missing.toml"], "cannot be read"),
        (["study", "x.csv", "--config", "settings.yaml"], "has to end in .toml or .json"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_where_help_is(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert "See: pluralign" in printed.err
    assert "Traceback" not in printed.err


@pytest.mark.parametrize("text", ["sede = 1", "demo = 1", "seed = ", "[1]"])
def test_a_config_file_with_faults_is_wrong_usage(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / ("c.json" if text == "[1]" else "c.toml")
    config.write_text(text)
    assert cli.main(["study", "x.csv", "--config", str(config)]) == 2
    assert str(config) in capsys.readouterr().err


def test_a_stated_error_exits_with_1_without_a_trace(
    votes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = DataError("votes.csv", ["no column 'rating'", "row 7: no rater"])
    monkeypatch.setattr("pluralign.ratings.inspect.inspect_ratings", lambda *_: _raise(fault))
    assert cli.main(["ratings", "inspect", str(votes)]) == 1
    assert capsys.readouterr().err == "error: votes.csv: 2 faults\n  - no column 'rating'\n  - row 7: no rater\n"


def test_an_interrupt_exits_with_130_and_says_how_to_go_on(
    votes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pluralign.ratings.inspect.inspect_ratings", lambda *_: _raise(KeyboardInterrupt()))
    assert cli.main(["ratings", "inspect", str(votes)]) == 130
    assert "the same command with the same --out goes on" in capsys.readouterr().err


def test_a_fault_of_ours_keeps_its_trace(votes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pluralign.ratings.inspect.inspect_ratings", lambda *_: _raise(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.main(["ratings", "inspect", str(votes)])


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__
