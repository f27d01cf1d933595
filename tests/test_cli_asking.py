"""The commands over episodes and models, as they are typed."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args, get_type_hints

import polars as pl
import pytest

from models import tiny
from pluralign import cli
from pluralign.cli.asking import run_folder
from pluralign.episodes import Episode, Example
from pluralign.errors import DataError, UsageError
from pluralign.models import ChatStyle, ModelSettings, SamplingSettings
from pluralign.models.scripted import ScriptedModel
from pluralign.scoring import Prices
from scoring.made_episodes import HOSTILE, coins, written

START = [sys.executable, "-c", "import sys; from pluralign.cli import main; sys.exit(main())"]


@pytest.fixture(autouse=True)
def _own_cache_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLURALIGN_CACHE", str(tmp_path / "cache.sqlite"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(written(tmp_path, coins(40)))


# flags


def test_the_flags_of_models_are_the_settings_of_models() -> None:
    flags = {f.name: f for f in dataclasses.fields(cli.ModelFlags)}
    settings = {f.name: f for f in dataclasses.fields(ModelSettings)}
    style = {f.name for f in dataclasses.fields(ChatStyle)}
    assert set(flags) == (set(settings) - {"chat"}) | style
    assert cli.ModelFlags().to_settings() == ModelSettings()
    assert cli.TemplateFlags().to_settings() == ModelSettings()
    ours, theirs = get_type_hints(cli.ModelFlags), get_type_hints(ModelSettings)
    for name in ("dtype", "api", "elicit"):
        assert set(get_args(ours[name])) == set(get_args(theirs[name]))


def test_the_flags_of_sampling_are_its_settings() -> None:
    names = {f.name for f in dataclasses.fields(cli.SamplingFlags)}
    assert names == {f.name for f in dataclasses.fields(SamplingSettings)} - {"seed"}
    assert cli.SamplingFlags().to_sampling(seed=4) == SamplingSettings(seed=4)


def test_flags_become_settings() -> None:
    flags = cli.ModelFlags(format="chat", system_prompt="", examples_in_prompt=True, n_elicit=5, base_url="http://localhost:1")
    style = ChatStyle(system_prompt="", examples_in_prompt=True)
    assert flags.to_settings() == ModelSettings(format="chat", chat=style, n_elicit=5, base_url="http://localhost:1")
    assert cli.AskingFlags().prices() is None
    assert cli.AskingFlags(price_in=0.0, price_out=2.0).prices() == Prices(0.0, 2.0)
    with pytest.raises(UsageError, match="go together"):
        cli.AskingFlags(price_in=1.0).prices()


def test_the_default_folder_names_file_command_and_model() -> None:
    assert run_folder(Path("a/coins.jsonl"), "score", "scripted", unnamed="episodes") == Path("runs/coins-score-scripted")
    assert run_folder(Path("coins.parquet"), "sample", "hf/some/where/model-1b/", unnamed="episodes") == Path(
        "runs/coins-sample-model-1b"
    )
    assert run_folder(Path("x.jsonl"), "score", "openai/a b:c", unnamed="episodes") == Path("runs/x-score-a-b-c")
    assert run_folder(Path("x.jsonl"), "score", "openai/..", unnamed="episodes") == Path("runs/x-score-model")


# score and sample


def test_score_prints_a_summary_and_says_where_it_wrote(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["score", file, "--model", "scripted"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("coins: 40 episodes of 10 units; 140 outputs scored by scripted\n")
    assert "outcomes: ok 40" in printed.out
    assert "Written to runs/coins-score-scripted: results.json, records.parquet" in printed.out
    assert printed.err == "asking scripted\n"
    assert max(map(len, printed.out.splitlines())) <= 120
    assert pl.read_parquet("runs/coins-score-scripted/records.parquet").height == 140


def test_json_is_the_only_thing_on_stdout(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["score", file, "--ask", "options", "--at", "all"], ["sample", file, "--n", "3", "--max-tokens", "3"]):
        assert cli.main([*command, "--model", "scripted", "--json"]) == 0
        printed = capsys.readouterr()
        found = json.loads(printed.out)
        folder = next(Path("runs").glob(f"coins-{command[0]}-*"))
        assert found == json.loads((folder / "results.json").read_text())
        assert "Written to" in printed.err
    assert f"{found['finish_reasons']['length']} outputs were cut off at 3 tokens" in printed.err


def test_a_dry_run_asks_and_writes_nothing(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["score", file], ["sample", file, "--n", "7"]):
        assert cli.main([*command, "--model", "scripted", "--dry-run"]) == 0
        assert "Nothing was asked and nothing was written" in capsys.readouterr().out
        assert cli.main([*command, "--model", "scripted", "--dry-run", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["n_answers"] in (140, 280)
    assert not Path("runs").exists()
    assert not Path("cache.sqlite").exists()


def test_answers_are_remembered_unless_told_otherwise(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    def usage(*flags: str) -> tuple[int, int]:
        assert cli.main(["score", file, "--model", "scripted", "--json", *flags]) == 0
        found = json.loads(capsys.readouterr().out)["usage"]
        return found["requests"], found["cached"]

    first = usage("--out", "a")
    assert first == (40, 0)
    assert usage("--out", "b") == (0, 40)
    assert usage("--out", "c", "--no-cache") == (40, 0)


def test_a_config_file_has_the_names_of_the_flags(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("asked.toml").write_text(
        'model = "scripted"\ncache = false\nask = "options"\nlimit = 5\nprice_in = 1.0\nprice_out = 0.5\n'
    )
    assert cli.main(["score", file, "--config", "asked.toml", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ask"], found["n_episodes"], found["usage"]["price_out"]) == ("options", 5, 0.5)
    assert not Path("cache.sqlite").exists()


@pytest.mark.parametrize(
    ("line", "is_kept"), [("no_cache = true", False), ("no-cache = true", False), ("no_cache = false", True)]
)
def test_a_flag_that_says_no_does_so_in_a_config_file(file: str, line: str, is_kept: bool) -> None:
    Path("asked.toml").write_text(f'model = "scripted"\n{line}\n')
    assert cli.main(["score", file, "--config", "asked.toml"]) == 0
    assert Path("cache.sqlite").exists() == is_kept


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["score", "FILE"], "--model"),
        (["score", "FILE", "--model", "scripte"], "did you mean 'scripted'"),
        (["score", "FILE", "--model", "scripted/x=1"], "'x' is unknown"),
        (["score", "FILE", "--model", "scripted", "--ask", "option"], '"options"'),
        (["score", "FILE", "--model", "scripted", "--at", "next"], '"last"'),
        (["score", "FILE", "--model", "scripted", "--price-in", "1"], "go together"),
        (["score", "FILE", "--model", "scripted", "--limit", "0"], "at least 1"),
        (["score", "FILE", "--model", "scripted", "--engine", "spark"], "write local, ray, or ray://HOST:PORT"),
        (["score", "FILE", "--model", "scripted", "--actors", "2"], "are of --engine ray"),
        (["sample", "FILE", "--model", "scripted", "--temperature", "0"], "temperature must be above 0"),
        (["sample", "FILE", "--model", "scripted", "--n", "0"], "at least 1"),
        (["show", "FILE", "--model", "scripted"], "its tokenizer is not known"),
        (["score", "episodes.csv", "--model", "scripted"], ".jsonl or .parquet"),
        (["cache", "clear", "--model", "none"], "'none' is unknown"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], said: str, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([file if argument == "FILE" else argument for argument in arguments]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert f"See: pluralign {arguments[0]}" in printed.err
    assert printed.out == ""
    assert not Path("runs").exists()


def test_stated_errors_exit_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nothing = str(written(tmp_path, [Episode("t", (Example("a"),))]))
    assert cli.main(["score", nothing, "--model", "scripted"]) == 1
    assert "have nothing to score" in capsys.readouterr().err
    (tmp_path / "cache.sqlite").write_text("no database at all, but long enough to be looked at as one" * 30)
    assert cli.main(["score", str(written(tmp_path, coins(3))), "--model", "scripted"]) == 1
    assert "remove the file" in capsys.readouterr().err
    assert cli.main(["cache", "stats"]) == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ('"options": [], "examples": [{"output": "a"}, {"output": "a"}]', "options"),
        ('"options": ["a", "a"], "examples": [{"output": "a"}, {"output": "a"}]', "option 'a' is listed more than once"),
        ('"options": ["a", ""], "examples": [{"output": "a"}, {"output": "a"}]', "option 2 is empty"),
        ('"examples": [{"output": "\\ud800"}]', "half of a surrogate pair"),
        ('"examples": [{"output": "\\u0000"}]', "a NUL"),
    ],
)
def test_episodes_that_cannot_be_are_refused_before_anything_is_asked(
    fields: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.jsonl").write_text(f'{{"task": "t", {fields}}}\n')
    for command in ("score", "sample"):
        assert cli.main([command, "bad.jsonl", "--model", "scripted"]) == 1
        printed = capsys.readouterr()
        assert said in printed.err
        assert "bad.jsonl" in printed.err
    assert not Path("runs").exists()


def test_errors_that_quote_data_do_not_steer_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise DataError("context too long", [f"episode 1 ({HOSTILE}): too long", "and more"])

    monkeypatch.setattr(ScriptedModel, "output_logprobs", refuse)
    assert cli.main(["score", str(written(tmp_path, coins(3))), "--model", "scripted"]) == 1
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "\\x1b[31mred\\u202e" in said


def test_names_from_data_do_not_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = [dataclasses.replace(episode, task=f"{episode.task} {HOSTILE}") for episode in coins(6)]
    assert cli.main(["score", str(written(tmp_path, hostile)), "--model", "scripted"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "coin \\x1b[31mred" in out


def test_show_prints_tokens(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "model"
    tiny.spectrum_checkpoint("gemma").save_pretrained(folder)
    assert cli.main(["show", file, "--model", f"hf/{folder}", "--n", "2", "--start", "3"]) == 0
    out = capsys.readouterr().out
    assert "episode 3 (die, unit u3), format spectrum" in out
    assert "episode 4 (coin, unit u4), format spectrum" in out
    assert "⟦<end_of_turn>⟧" in out
    assert cli.main(["show", file, "--model", f"hf/{folder}", "--json", "--format", "colon"]) == 0
    [one] = json.loads(capsys.readouterr().out)
    assert one["n_loss_tokens"] == sum(one["is_loss"]) == sum(one["loss_tokens_of_example"])


# the cache


def test_cache_stats_and_clear(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (1, 2):
        assert cli.main(["sample", file, "--model", f"scripted/seed={seed}", "--limit", "9"]) == 0
    capsys.readouterr()
    assert cli.main(["cache", "stats"]) == 0
    out = capsys.readouterr().out
    assert "cache.sqlite: 9 answers" in out  # the seed is of faults; the model is the same
    assert "  scripted/seed=1: 9 answers" in out
    assert "seconds old" in out
    assert cli.main(["cache", "stats", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"][0]["entries"] == 9
    assert cli.main(["cache", "clear", "--model", "scripted/seed=1"]) == 0
    assert "9 answers removed" in capsys.readouterr().out
    assert cli.main(["cache", "clear", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] == 0


# interrupted and killed


def _start(file: str, *flags: str) -> subprocess.Popen[bytes]:
    command = [*START, "score", file, "--model", "scripted/delay_s=0.003", *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _wait_for(path: Path) -> None:
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["--cache", "--no-cache"])
def test_killed_and_started_again_it_is_as_if_it_had_not_been(tmp_path: Path, cache: str) -> None:
    """Killed twice, in the second and in the fourth part of six."""
    file, out = str(written(tmp_path, coins(1500))), tmp_path / "out"
    for part in (0, 2):
        process = _start(file, "--out", str(out), cache)
        _wait_for(out / "steps" / f"part-{part:05d}.usage.json")
        time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (out / "records.parquet").exists()
    before = {f.name: (f.stat().st_ino, f.stat().st_mtime_ns) for f in (out / "steps").iterdir() if "tmp" not in f.name}
    assert {"part-00000.parquet", "part-00002.parquet"} <= set(before)
    done = subprocess.run(
        [*START, "score", file, "--model", "scripted/delay_s=0.003", "--out", str(out), cache, "--json"],
        capture_output=True,
        check=True,
    )
    after = {f.name: (f.stat().st_ino, f.stat().st_mtime_ns) for f in (out / "steps").iterdir()}
    assert before.items() <= after.items()  # no finished part was computed again
    assert cli.main(["score", file, "--model", "scripted", "--out", str(tmp_path / "whole"), "--no-cache"]) == 0
    killed, whole = (pl.read_parquet(folder / "records.parquet") for folder in (out, tmp_path / "whole"))
    assert killed.equals(whole)
    ours, theirs = (json.loads((folder / "results.json").read_text()) for folder in (out, tmp_path / "whole"))
    assert {**ours, "model": None, "usage": None} == {**theirs, "model": None, "usage": None}
    usage = json.loads(done.stdout)["usage"]
    assert usage["n_unmeasured_parts"] == 0
    if cache == "--no-cache":  # with one, equal requests of different parts are asked once
        assert usage["requests"] == 1500


@pytest.mark.slow
def test_ctrl_c_exits_with_130_and_the_rest_can_follow(tmp_path: Path) -> None:
    file, out = str(written(tmp_path, coins(600))), tmp_path / "out"
    process = _start(file, "--out", str(out))
    _wait_for(out / "steps" / "part-00000.usage.json")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert b"the same command with the same --out goes on" in said
    assert b"Traceback" not in said
    process = _start(file, "--out", str(out), "--json")
    printed, _ = process.communicate()
    assert process.returncode == 0
    assert json.loads(printed)["outcomes"] == {"ok": 600}
    assert os.listdir(out / "steps").count("part-00000.parquet") == 1


# a model with weights


def test_a_local_model_from_the_command_line_is_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    from models.tiny_models import CONFIGS
    from pluralign.models import open_model

    tokenizer = tiny.spectrum_checkpoint("chatml")
    tokenizer.save_pretrained(tmp_path / "model")
    torch.manual_seed(1)
    config = CONFIG_MAPPING["llama"](**{**CONFIGS["llama"], "vocab_size": len(tokenizer)})
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "model")
    name, file = f"hf/{tmp_path / 'model'}", str(written(tmp_path, coins(12)))
    assert cli.main(["score", file, "--model", name, "--dtype", "float32", "--out", "a", "--json"]) == 0
    usage = json.loads(capsys.readouterr().out)["usage"]
    assert usage["tokens_needed"] > 0
    direct = open_model(name, ModelSettings(dtype="float32")).output_logprobs(coins(12))
    expected = [value for answer in direct for value in answer.logprobs]
    assert pl.read_parquet("a/records.parquet")["logprob"].to_list() == pytest.approx(expected, abs=1e-4)
    assert cli.main(["score", file, "--model", name, "--dtype", "float32", "--out", "b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["usage"]["cached"] == 12
    assert pl.read_parquet("b/records.parquet").equals(pl.read_parquet("a/records.parquet"))
    assert cli.main(["score", file, "--model", name, "--dtype", "float32", "--format", "colon", "--out", "a"]) == 1
    assert "holds another run" in capsys.readouterr().err
