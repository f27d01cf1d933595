"""Whole runs on tiny models: what is written, what is learned, and what settings do to it."""

from __future__ import annotations

import json
import math
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pluralign.episodes import Episode, Example, write_episodes
from pluralign.errors import RunError, UsageError
from pluralign.files import read_json
from pluralign.models.loading import from_pretrained
from pluralign.tuning import spectrum
from pluralign.tuning.run_log import RunLog, open_tracker, read_log
from pluralign.tuning.settings import LoraSettings
from pluralign.tuning.spectrum import TunePlaces, tune
from pluralign.tuning.work import StepWork
from tuning.tune_runs import curve, losses, make_file, make_model, make_suite, run, small, weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tune")


@pytest.fixture(scope="module")
def model(folder: Path) -> str:
    return make_model(folder / "model")


@pytest.fixture(scope="module")
def data(folder: Path) -> Path:
    return make_file(folder / "coin.parquet", 20)


@pytest.fixture(scope="module")
def held(folder: Path) -> Path:
    return make_file(folder / "held.parquet", 10, seed=5)


@pytest.fixture(scope="module")
def whole(folder: Path, model: str, data: Path, held: Path) -> Path:
    """A run of seven steps, measured at three of them and at the beginning and end."""
    run(model, [data], folder / "whole", held_out=[held], max_steps=7, epochs=9, save_every=2, measure_every=3)
    return folder / "whole"


# what is written


def test_a_run_leaves_its_metrics_model_checkpoints_and_results(whole: Path, model: str) -> None:
    lines = curve(whole)
    assert [line["step"] for line in lines] == [0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 7]
    assert ["held_out" in line for line in lines] == [bool(n) for n in (1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1)]
    results, steps = read_json(whole / "results.json"), [line for line in lines if "loss" in line]
    assert results["step"] == 7
    assert results["tokens"] == sum(line["tokens"] for line in steps)
    assert results["loss_tokens"] == sum(line["loss_tokens"] for line in steps)
    assert results["held_out"] == lines[-1]["held_out"]
    assert (results["attention"], results["products"]) == ("loop", "float32")
    assert sorted(path.name for path in (whole / "checkpoints").iterdir()) == ["step-0000006", "step-0000007"]
    raw = read_log(whole / "metrics.jsonl")
    assert all(line["tokens_per_second"] > 0 and 0 <= line["waited_for_data"] <= 1 for line in raw if "loss" in line)
    tuned = from_pretrained(str(whole / "model"), torch.float32, None)
    start = from_pretrained(model, torch.float32, None)
    assert not torch.equal(tuned.get_input_embeddings().weight, start.get_input_embeddings().weight)
    assert not (whole / "adapter").exists()
    assert "learning rate 0.01" in (whole / "model" / "README.md").read_text()


def test_the_rate_is_linear_to_0_behind_the_last_step_with_a_warm_up_before(folder: Path, model: str, data: Path) -> None:
    run(model, [data], folder / "warm", max_steps=6, epochs=9, warmup_steps=2, lr=0.03)
    rates = [line["lr"] for line in curve(folder / "warm")]
    assert rates == pytest.approx([0.015, 0.03, 0.03, 0.0225, 0.015, 0.0075])


def test_rates_without_a_warm_up(whole: Path) -> None:
    assert [line["lr"] for line in curve(whole) if "lr" in line] == pytest.approx([0.01 * (7 - n) / 7 for n in range(7)])


def test_betas_and_decay_and_clip_reach_the_optimiser(
    folder: Path, model: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, clips = [], []
    real, clip = torch.optim.AdamW, torch.nn.utils.clip_grad_norm_

    def adamw(parameters: Any, **settings: Any) -> Any:
        made.append(settings)
        return real(parameters, **settings)

    def clipped(parameters: Any, most: float) -> Any:
        clips.append(most)
        return clip(parameters, most)

    monkeypatch.setattr(torch.optim, "AdamW", adamw)
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", clipped)
    run(model, [data], folder / "adamw", betas=(0.8, 0.95), weight_decay=0.25, clip=0.125, lr=0.5, max_steps=2)
    assert [(one["betas"], one["weight_decay"], one["lr"]) for one in made] == [((0.8, 0.95), 0.25, 0.5)]
    assert clips == [0.125, 0.125]


def test_equal_seeds_give_equal_runs_and_others_other_ones(whole: Path, folder: Path, model: str, data: Path) -> None:
    run(model, [data], folder / "again", max_steps=7, epochs=9)
    assert losses(folder / "again") == losses(whole)
    run(model, [data], folder / "other", max_steps=7, epochs=9, seed=1)
    assert losses(folder / "other") != losses(whole)


def test_the_way_sequences_go_through_the_model_changes_rounding_only(
    whole: Path, folder: Path, model: str, data: Path
) -> None:
    for name, settings in {"padded": {"pack": "padded"}, "small": {"micro_tokens": 100}}.items():
        run(model, [data], folder / name, max_steps=7, epochs=9, **settings)
        assert losses(folder / name) == pytest.approx(losses(whole), rel=1e-4)
    assert read_json(folder / "padded" / "results.json")["attention"] == "padded"


# methods


def test_methods_differ_in_format_and_in_what_carries_loss(folder: Path, model: str, data: Path) -> None:
    lines = {}
    for method in ("spectrum", "sft", "pretrain"):
        run(model, [data], folder / method, method=method, max_steps=None, sequences_a_step=100)
        [lines[method]] = curve(folder / method)
    counts = {method: read_json(folder / method / "results.json")["counts"] for method in lines}
    assert counts["spectrum"] == counts["sft"]
    assert lines["spectrum"]["loss_tokens"] == counts["spectrum"]["loss_tokens"]
    for method in ("sft", "pretrain"):  # all but the first token of each sequence
        assert lines[method]["loss_tokens"] == counts[method]["tokens"] - counts[method]["sequences"]
    assert lines["pretrain"]["tokens"] != lines["sft"]["tokens"]


def test_a_budget_is_a_number_of_tokens_of_whatever_format(folder: Path, model: str, data: Path) -> None:
    for method in ("spectrum", "pretrain"):
        out = folder / f"budget {method}"
        results = run(model, [data], out, method=method, budget_tokens=3000, max_steps=None)
        assert 3000 <= results["tokens"] < 3000 + 96


def test_weights_of_tasks_pull_the_loss_towards_them(folder: Path, model: str) -> None:
    """One task always says yes, the other no; both share a description."""
    for word in ("yes", "no"):
        write_episodes(
            folder / f"{word}.parquet", [Episode(word, (Example(word),), f"Say {'it' * (n % 3)}.") for n in range(16)]
        )
    tuned = {}
    for heavy in ("yes", "no"):
        out = folder / f"heavy {heavy}"
        both = [folder / "yes.parquet", folder / "no.parquet"]
        run(model, both, out, task_weights={heavy: 30.0}, epochs=20, max_steps=20, sequences_a_step=16, save_every=99)
        evaluated = {}
        for word in ("yes", "no"):
            measured = folder / f"{heavy} {word}"
            run(str(out / "model"), [folder / f"{word}.parquet"], measured, max_steps=1, lr=1e-12, sequences_a_step=16)
            [evaluated[word]] = losses(measured)
        tuned[heavy] = evaluated
    assert tuned["yes"]["yes"] < tuned["no"]["yes"] - 0.5
    assert tuned["no"]["no"] < tuned["yes"]["no"] - 0.5


def test_adapters_leave_the_base_as_it_is_and_are_merged(folder: Path, model: str, data: Path) -> None:
    run(model, [data], folder / "lora", lora=LoraSettings(rank=2, targets=("q_proj",), embeddings=False), max_steps=2)
    start = from_pretrained(model, torch.float32, None).state_dict()
    tuned = weights(folder / "lora")
    changed = {name for name, tensor in tuned.items() if not torch.allclose(tensor, start[name], atol=1e-7)}
    assert changed == {"model.layers.0.self_attn.q_proj.weight"}
    assert (folder / "lora" / "adapter" / "adapter_model.safetensors").is_file()
    assert curve(folder / "lora")[0]["loss"] > 0


# what is held out


def test_held_out_are_the_test_tasks_of_suites_and_what_is_named(folder: Path, model: str, held: Path) -> None:
    suite = make_suite(folder / "suite", {"learned": "train", "unseen": "test"})
    results = run(model, [suite], folder / "on suite", held_out=[held], max_steps=1, max_held_out=4)
    assert set(results["held_out"]) == {"unseen", "held"}
    assert all(found["n_sequences"] == 4 for found in results["held_out"].values())
    assert results["counts"]["episodes"] == 12


def test_measuring_changes_nothing_of_what_is_trained(whole: Path, folder: Path, model: str, data: Path) -> None:
    run(model, [data], folder / "unmeasured", max_steps=7, epochs=9)
    assert losses(folder / "unmeasured") == losses(whole)
    assert read_json(folder / "unmeasured" / "results.json")["held_out"] is None
    one, other = (weights(out) for out in (whole, folder / "unmeasured"))
    assert all(torch.equal(one[name], other[name]) for name in one)


# it learns


def test_a_few_hundred_steps_bring_the_loss_of_a_coin_near_its_entropy(folder: Path) -> None:
    """Coins that fall on one side 9 times of 10: .325 nats an output, and the end of a turn is certain."""
    rng = np.random.default_rng(0)

    def episodes(n: int) -> list[Episode]:
        return [Episode("coin", tuple(Example("yes" if x < 0.9 else "no") for x in rng.random(6)), "coin") for _ in range(n)]

    write_episodes(folder / "biased.parquet", episodes(400))
    write_episodes(folder / "biased held.parquet", episodes(100))
    name = make_model(folder / "fresh", num_hidden_layers=1, tie_word_embeddings=True)
    results = run(
        name,
        [folder / "biased.parquet"],
        folder / "learned",
        held_out=[folder / "biased held.parquet"],
        max_steps=150,
        epochs=10,
        sequences_a_step=16,
        micro_tokens=4096,
        measure_every=1000,
        save_every=1000,
        max_held_out=100,
        lr=2e-2,
    )
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert losses(folder / "learned")[0] > 3
    assert results["held_out"]["coin"]["k_star"] == 5
    assert results["held_out"]["coin"]["nats"]["value"] == pytest.approx(entropy, abs=0.07)
    assert results["held_out"]["coin"]["accuracy"]["value"] == pytest.approx(0.9, abs=0.04)
    assert results["held_out"]["coin"]["token_ece"] < 0.04


# started again


def test_a_run_that_has_ended_trains_no_more(whole: Path, folder: Path, model: str, data: Path, held: Path) -> None:
    out = folder / "ended"
    shutil.copytree(whole, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.name != ".lock"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StepWork, "step", lambda *_: 1 / 0)
        again = run(model, [data], out, held_out=[held], max_steps=7, epochs=9, save_every=2, measure_every=3)
    assert again == read_json(out / "results.json") == read_json(whole / "results.json")
    after = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.name != ".lock"}
    assert after.keys() == before.keys()
    assert [path.name for path in before if before[path] != after[path] and path.name != "README.md"] == []


def test_another_run_in_the_same_folder_is_refused(whole: Path, model: str, data: Path, held: Path) -> None:
    with pytest.raises(RunError, match=r"holds another run:\n.*settings\.lr: there 0\.01, asked 0\.02"):
        run(model, [data], whole, held_out=[held], max_steps=7, epochs=9, save_every=2, measure_every=3, lr=0.02)


def test_lines_behind_the_checkpoint_are_dropped_and_those_of_a_run_that_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    text = "".join(json.dumps({"step": n, "loss": n}) + "\n" for n in (0, 1, 2, 2, 3)) + '{"step": 4, "lo'
    for from_step, kept in ((2, [0, 1, 2, 2]), (3, [0, 1, 2, 2, 3]), (0, [])):
        path.write_text(text)
        log = RunLog(path, from_step=from_step)
        assert [line["step"] for line in read_log(path)] == kept
        log.write(from_step + 1, {"loss": 0.5})
        assert read_log(path)[-1] == {"step": from_step + 1, "loss": 0.5}
    assert read_log(tmp_path / "missing") == []
    path.write_text("no JSON\n")
    with pytest.raises(RunError, match="no list of JSON lines"):
        read_log(path)


# trackers


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a module named trackio is told."""
    told: list[Any] = []
    fake: Any = types.ModuleType("trackio")
    fake.init = lambda **settings: told.append(("init", settings))
    fake.log = lambda values, step=None: told.append((step, values))
    fake.finish = lambda: told.append("finish")
    monkeypatch.setitem(sys.modules, "trackio", fake)
    return told


def test_a_tracker_that_is_installed_has_the_same_numbers(
    tracker: list[Any], folder: Path, model: str, data: Path, held: Path
) -> None:
    places = TunePlaces(device="cpu", cache=folder / "cache", tracker="trackio")
    tune(model, [data], folder / "tracked", settings=small(max_steps=2), held_out=[held], places=places)
    (what, given), *lines, last = tracker
    assert (what, last) == ("init", "finish")
    assert (given["project"], given["name"], given["config"]["lr"]) == ("pluralign", "tracked", 0.01)
    written = read_log(folder / "tracked" / "metrics.jsonl")
    assert [step for step, _ in lines] == [line["step"] for line in written]
    for (_, values), line in zip(lines, written, strict=True):
        if "loss" in line:
            assert values == {k: v for k, v in line.items() if k != "step"}
        else:
            found = line["held_out"]["held"]
            assert values["held_out/held/nats/value"] == found["nats"]["value"]
            assert values["held_out/held/token_ece"] == found["token_ece"]


@pytest.mark.parametrize("name", ["trackio", "wandb"])
def test_a_tracker_that_is_missing_says_how_it_is_installed(name: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=f"run: pip install {name}"):
        open_tracker(name, project="p", run="r", settings={})


def test_another_tracker_is_an_error() -> None:
    name: Any = "mlflow"
    with pytest.raises(UsageError, match="trackio and wandb are known"):
        open_tracker(name, project="p", run="r", settings={})


# progress


def test_progress_says_speed_share_and_time_left(folder: Path, model: str, data: Path) -> None:
    told: list[tuple[Any, ...]] = []

    def tell(*line: Any) -> None:
        told.append(line)

    places = TunePlaces(device="cpu", cache=folder / "cache")
    tune(model, [data], folder / "told", settings=small(max_steps=3), places=places, on_progress=tell)
    training = [line for line in told if line[0] == "training"]
    assert [line[1:3] for line in training] == [(1, 3), (2, 3), (3, 3)]
    assert all("tokens/s" in line[3] and "% supervised" in line[3] and " left" in line[3] for line in training)
    assert spectrum._time(7500) == "2 h 5 min"
