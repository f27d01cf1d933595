"""Two processes over gloo, started by torchrun: the losses of one process, and who can go on from what they saved."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tuning.tune_runs import curve, losses, make_file, make_model, run, weights

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
N_STEPS = 50
TOLERANCE = 1e-5
"""Relative, float32."""
SETTINGS = {"max_steps": N_STEPS, "epochs": 30, "save_every": 10, "measure_every": 25, "lr": 1e-3}


def torchrun(folder: Path, out: Path, *flags: str, n: int = 2) -> subprocess.CompletedProcess[str]:
    """The run of `SETTINGS` on so many processes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n)]
    asked = ["--data", f"{folder}/coin.parquet", "--held-out", f"{folder}/held.parquet", "--out", str(out)]
    settings = ["--max-tokens", "96", "--sequences-a-step", "6", "--dtype", "float32", "--micro-tokens", "256"]
    settings += ["--max-held-out", "20", "--max-steps", str(N_STEPS), "--epochs", "30", "--save-every", "10"]
    settings += ["--measure-every", "25", "--lr", "1e-3", "--device", "cpu", "--cache", f"{folder}/cache"]
    return subprocess.run(
        [*launcher, "-m", "pluralign", "tune", f"{folder}/model", *asked, *settings, *flags],
        cwd=TESTS,
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "TOKENIZERS_PARALLELISM": "false"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one process, and of two with copies and with shards."""
    place = tmp_path_factory.mktemp("tune_ranks")
    model = make_model(place / "model", num_hidden_layers=2, tie_word_embeddings=True)
    data, held = make_file(place / "coin.parquet", 25), make_file(place / "held.parquet", 8, seed=4)
    run(model, [data], place / "one", held_out=[held], **SETTINGS)
    for spread in ("copies", "shards"):
        done = torchrun(place, place / spread, "--spread", spread, "--json")
        assert done.returncode == 0, done.stderr[-3000:]
        assert json.loads(done.stdout)["step"] == N_STEPS
    return place


@pytest.mark.parametrize("spread", ["copies", "shards"])
def test_losses_measures_and_weights_of_two_processes_are_those_of_one(folder: Path, spread: str) -> None:
    one, two = curve(folder / "one"), curve(folder / spread)
    assert len(losses(folder / "one")) == N_STEPS
    assert losses(folder / spread) == pytest.approx(losses(folder / "one"), rel=TOLERANCE)
    for expected, found in zip(one, two, strict=True):
        assert found["step"] == expected["step"]
        if "loss" in expected:
            assert (found["tokens"], found["loss_tokens"]) == (expected["tokens"], expected["loss_tokens"])
            assert found["grad_norm"] == pytest.approx(expected["grad_norm"], rel=1e-4)
        else:
            nats = [line["held_out"]["held"]["nats"]["value"] for line in (expected, found)]
            assert nats[1] == pytest.approx(nats[0], rel=TOLERANCE)
    expected_weights, found_weights = weights(folder / "one"), weights(folder / spread)
    assert expected_weights.keys() == found_weights.keys()
    for name, tensor in expected_weights.items():
        assert torch.allclose(found_weights[name], tensor, rtol=1e-3, atol=1e-4), name


def _cut_back(folder: Path, source: str, name: str) -> Path:
    """The run as it was when its last step had not been saved."""
    out = folder / name
    shutil.copytree(folder / source, out)
    shutil.rmtree(out / "checkpoints" / f"step-{N_STEPS:07d}")
    (out / "results.json").unlink()
    return out


def test_one_process_goes_on_with_what_two_saved_with_copies(folder: Path) -> None:
    out = _cut_back(folder, "copies", "copies then one")
    told: list[str] = []
    model, data, held = str(folder / "model"), folder / "coin.parquet", folder / "held.parquet"
    run(model, [data], out, held_out=[held], tell=told.append, **SETTINGS)
    assert any(line.startswith("going on behind step 40") for line in told)
    assert losses(out) == pytest.approx(losses(folder / "one"), rel=TOLERANCE)


def test_one_process_goes_on_with_the_shards_of_two_and_back(folder: Path) -> None:
    out = _cut_back(folder, "shards", "shards then one")
    told: list[str] = []
    model, data, held = str(folder / "model"), folder / "coin.parquet", folder / "held.parquet"
    run(model, [data], out, held_out=[held], tell=told.append, **SETTINGS)
    assert any(line.startswith("going on behind step 40") for line in told)
    assert losses(out) == pytest.approx(losses(folder / "one"), rel=TOLERANCE)
    back = _cut_back(folder, "one", "one then shards")
    done = torchrun(folder, back, "--spread", "shards")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "going on behind step 40" in done.stdout + done.stderr
    assert losses(back) == pytest.approx(losses(folder / "one"), rel=TOLERANCE)


def test_shards_of_two_go_on_with_two(folder: Path) -> None:
    out = _cut_back(folder, "shards", "shards then shards")
    done = torchrun(folder, out, "--spread", "shards")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "going on behind step 40" in done.stdout + done.stderr
    assert losses(out) == losses(folder / "shards")


def test_an_error_ends_all_processes(folder: Path) -> None:
    done = torchrun(folder, folder / "copies", "--spread", "copies", "--seed", "5")
    assert done.returncode != 0
    assert "holds another run" in done.stderr
    assert losses(folder / "copies")
