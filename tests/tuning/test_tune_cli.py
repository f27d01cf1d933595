"""`pluralign tune`: flags become settings, a run, a plan of one that is not done, and exit codes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pluralign import cli
from pluralign.cli.tune_flags import LoraFlags, PlaceFlags, RecipeFlags, StepFlags, default_folder
from pluralign.errors import UsageError
from pluralign.tuning.settings import LoraSettings, TuneSettings
from pluralign.tuning.spectrum import TunePlaces
from pluralign.tuning.start import opened_model
from pluralign.tuning.tune_plan import plan_tune
from tuning.tune_runs import WIDTH, curve, make_file, make_model, make_suite, small


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tune_cli")


@pytest.fixture(scope="module")
def model(folder: Path) -> str:
    return make_model(folder / "model")


@pytest.fixture(scope="module")
def suite(folder: Path) -> Path:
    return make_suite(folder / "suite", {"heads": "train", "tails": "train", "unseen": "test"}, n=14)


def flags(folder: Path, out: str, *more: str) -> list[str]:
    usual = ["--max-tokens", str(WIDTH), "--sequences-a-step", "5", "--lr", "0.01", "--dtype", "float32", "--device", "cpu"]
    return [*usual, "--cache", str(folder / "cache"), "--out", str(folder / out), *more]


# flags


def settings_of(
    recipe: dict[str, Any] | None = None, lora: dict[str, Any] | None = None, place: dict[str, Any] | None = None, **steps: Any
) -> TuneSettings:
    return StepFlags(**steps).to_settings(RecipeFlags(**recipe or {}), LoraFlags(**lora or {}), PlaceFlags(**place or {}))


def test_the_defaults_are_those_of_the_settings_which_are_the_published_ones() -> None:
    assert settings_of() == TuneSettings()
    assert PlaceFlags().to_places() == TunePlaces()
    assert settings_of(lora={"lora": True}).lora == LoraSettings()
    made = TuneSettings()
    assert (made.lr, made.betas, made.weight_decay, made.clip) == (3e-6, (0.9, 0.999), 0.0, 1.0)
    assert (made.max_tokens, made.sequences_a_step, made.epochs, made.warmup_steps) == (1024, 1024, 1.0, 0)
    assert dataclasses.astuple(LoraSettings())[:3] == (16, 80.0, 0.0)
    assert LoraSettings().targets == ("q_proj", "v_proj")


def test_every_flag_becomes_a_setting() -> None:
    recipe = {"method": "sft", "loss_on": "last", "weigh": "outputs", "task_weight": ("a=b=2", "c=0.5")}
    recipe |= {"max_tokens": 7, "max_held_out": 3}
    place = {"pack": "padded", "micro_tokens": 9, "dtype": "bfloat16", "gradient_checkpointing": True}
    steps = {"lr": 0.5, "warmup_steps": 2, "betas": (0.1, 0.2), "weight_decay": 0.3, "clip": 4.0, "sequences_a_step": 6}
    steps |= {"epochs": 0.7, "budget_tokens": 99, "max_steps": 8, "save_every": 11, "measure_every": 12, "seed": 13}
    found = settings_of(recipe, {"lora": True, "rank": 3, "lora_on": ("k",), "lora_embeddings": False}, place, **steps)
    lora = LoraSettings(rank=3, targets=("k",), embeddings=False)
    expected = {**recipe, **place, **steps, "optimizer": "adamw", "lora": lora, "task_weights": {"a=b": 2.0, "c": 0.5}}
    del expected["task_weight"]
    assert found == TuneSettings(**expected)
    assert {f.name for f in dataclasses.fields(TuneSettings)} == set(expected)
    given = PlaceFlags(device="cpu", spread="shards", revision="r", cache=Path("c"), track="wandb").to_places()
    assert given == TunePlaces(device="cpu", spread="shards", revision="r", cache=Path("c"), tracker="wandb")


def test_muon_is_asked_for_by_a_flag() -> None:
    assert settings_of(optimizer="muon").optimizer == "muon"
    with pytest.raises(UsageError, match="muon with LoRA"):
        settings_of(None, {"lora": True}, optimizer="muon")


def test_flags_that_cannot_be_are_usage_errors(tmp_path: Path) -> None:
    for text in ("coin", "coin=much", "=", "coin=nan"):
        with pytest.raises(UsageError, match="write TASK=NUMBER"):
            settings_of({"task_weight": (text,)})
    with pytest.raises(UsageError, match="lr is 0"):
        settings_of(lr=0.0)
    with pytest.raises(UsageError, match="weight of task coin is -1"):
        settings_of({"task_weight": ("coin=-1",)})
    with pytest.raises(UsageError, match="give one"):
        settings_of(match=tmp_path, budget_tokens=5)
    assert default_folder("some/organisation/name", "sft") == Path("runs/name-sft")


@pytest.mark.parametrize(
    "changes",
    [{"max_tokens": 1}, {"seed": -1}, {"epochs": 0.0}, {"betas": (0.9, 1.0)}, {"weight_decay": -1.0}, {"lr": float("nan")}],
)
def test_settings_that_cannot_be_are_usage_errors(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(changes))):
        TuneSettings(**changes)


# a plan


def test_a_dry_run_says_what_the_run_then_does(
    model: str, suite: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = make_file(folder / "held.parquet", 6, seed=9)
    shared = [model, "--data", str(suite), "--held-out", str(held), "--epochs", "1.5"]
    for loss_on in ("outputs", "first", "all"):
        arguments = [*shared, *flags(folder, loss_on, "--loss-on", loss_on), "--json"]
        assert cli.main(["tune", *arguments, "--dry-run"]) == 0
        plan = json.loads(capsys.readouterr().out)
        assert not (folder / loss_on).exists()
        assert cli.main(["tune", *arguments]) == 0
        results = json.loads(capsys.readouterr().out)
        assert [task["task"] for task in plan["mixture"]] == ["heads", "tails"]
        for name in ("tokens", "loss_tokens"):
            steps = [line[name] for line in curve(folder / loss_on) if "loss" in line]
            assert sum(task[name] for task in plan["mixture"]) == sum(steps) == results[name]
        assert plan["n_steps"] == len(steps) == results["step"]
        assert plan["n_held_out"] == 14 + 6
        assert plan["counts"] == results["counts"]


def test_memory_is_the_sum_of_its_parts_and_sizes_are_those_of_the_model(suite: Path, folder: Path) -> None:
    plans, model = {}, make_model(folder / "deeper", num_hidden_layers=3)
    cases: dict[str, dict[str, Any]] = {"whole": {}, "adapters": {"lora": LoraSettings(rank=3)}}
    cases["dotted"] = {"lora": LoraSettings(targets=("self_attn.q_proj", "mlp.up_proj"))}
    for name, changes in (cases | {"again": {"gradient_checkpointing": True}}).items():
        settings = small(**changes)
        plan = plans[name] = plan_tune(model, [suite], settings=settings, cache=folder / "cache")
        parts = dataclasses.asdict(plan.memory)
        assert all(size > 0 for size in parts.values())
        assert plan.memory.total == sum(parts.values()) == plan.to_dict()["memory_bytes"]["total"]
        opened = opened_model(model, settings, torch.float32, None)
        assert plan.n_trained == sum(p.numel() for p in opened.parameters() if p.requires_grad)
        assert plan.n_parameters == sum(p.numel() for p in opened.parameters())
    assert plans["adapters"].memory.optimizer == 8 * plans["adapters"].n_trained < plans["whole"].memory.optimizer
    assert plans["again"].memory.activations < plans["whole"].memory.activations
    assert plans["whole"].memory.weights == 4 * plans["whole"].n_parameters


def test_a_dry_run_shows_the_mixture_a_sequence_and_writes_nothing_but_the_cache(
    model: str, suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cache = ["--cache", str(tmp_path / "cache"), "--max-tokens", "96", "--dtype", "float32"]
    assert cli.main(["tune", model, "--data", str(suite), "--dry-run", *cache]) == 0
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines()[:4]]
    assert [row[0] for row in rows] == ["task", "heads", "tails", "all"]
    assert sum(int(row[1]) for row in rows[1:3]) == int(rows[3][1])
    assert "memory, estimated" in printed
    assert "1 steps" in printed
    assert "Nothing was trained (--dry-run)." in printed
    assert "output" in printed.split("memory, estimated")[1]
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_what_is_cut_and_left_out_is_counted(model: str, tmp_path: Path) -> None:
    """20 outputs do not fit the window; of the first episode nothing does."""
    file = make_file(tmp_path / "long.parquet", 6, most=20)
    plan = plan_tune(model, [file], settings=small(max_tokens=40), cache=tmp_path / "cache")
    counts = plan.counts
    assert counts["examples_kept"] < counts["examples"]
    said = next(line for line in plan.lines() if line.startswith("left out"))
    assert f"{counts['examples'] - counts['examples_kept']} of {counts['examples']} examples" in said
    assert f"{counts['episodes'] - counts['sequences']} episodes of which nothing fits" in said
    assert f"{plan.n_unusable} sequences without a supervised token" in said


# a run


def test_a_run_prints_lines_and_matches_the_tokens_of_another(
    model: str, suite: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["tune", model, "--data", str(suite), *flags(folder, "lines", "--max-steps", "2")]) == 0
    printed = capsys.readouterr()
    assert "2 steps, " in printed.out
    assert "unseen, k* " in printed.out
    assert f"Written to {folder / 'lines'}" in printed.out
    assert "training" in printed.err
    more = flags(folder, "matched", "--method", "pretrain", "--match", str(folder / "lines"), "--json")
    assert cli.main(["tune", f"hf/{model}", "--data", str(suite), *more]) == 0
    tokens = json.loads((folder / "lines" / "results.json").read_text())["tokens"]
    assert 0 <= json.loads(capsys.readouterr().out)["tokens"] - tokens < WIDTH


def test_exit_codes(model: str, suite: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tune", model, "--data", str(suite), *flags(folder, "x", "--betas", "0.9", "2")]) == 2
    assert "betas are (0.9, 2.0)" in capsys.readouterr().err
    assert cli.main(["tune", model, "--data", str(tmp_path / "none.parquet"), *flags(folder, "x")]) == 1
    assert "there is no such file or folder" in capsys.readouterr().err
    assert cli.main(["tune", str(tmp_path / "none"), "--data", str(suite), *flags(folder, "x")]) == 1
    assert "there is no such folder" in capsys.readouterr().err
    assert cli.main(["tune", model, *flags(folder, "x")]) == 2
    assert cli.main(["tune", model, "--data", str(suite), *flags(folder, "x", "--match", str(tmp_path))]) == 1
    assert not (folder / "x").exists()


def test_weights_of_tasks_that_are_not_there_are_refused(
    model: str, suite: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for more in ([], ["--dry-run"]):
        arguments = flags(folder, "unknown", "--task-weight", "haeds=2", *more)
        assert cli.main(["tune", model, "--data", str(suite), *arguments]) == 2
        assert "'haeds' is unknown; did you mean 'heads'?" in capsys.readouterr().err
