"""Two processes over gloo on this machine: what they save under `fully_shard` and DDP, and who can go on from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing

from pluralign.errors import RunError
from pluralign.tuning.checkpoints import Checkpoint, latest_checkpoint
from tuning.checkpoint_cases import adamw, copies, same
from tuning.checkpoint_ranks import CASES, N_RANKS, model_of, work
from tuning.loss_cases import made

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made_here = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(work, args=(str(made_here),), nprocs=N_RANKS)
    return made_here


@pytest.fixture(scope="module")
def found(folder: Path) -> list[dict[str, Any]]:
    """Of each rank."""
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(N_RANKS)]


def latest(root: Path) -> Checkpoint:
    checkpoint = latest_checkpoint(root)
    assert checkpoint is not None
    return checkpoint


@pytest.mark.parametrize("case", CASES)
def test_shards_go_on_bit_by_bit(found: list[dict[str, Any]], case: str) -> None:
    for one in found:
        assert one[case]["losses"] == one[case]["expected"]
        assert one[case]["same"]
        assert one[case]["state"] == {"case": case}
    assert found[0][case]["expected"] != found[1][case]["expected"]


def test_every_rank_has_its_files(folder: Path) -> None:
    names = {f"{what}-{rank}-of-2.safetensors" for what in ("weights", "optimizer") for rank in range(2)}
    assert {path.name for path in (folder / "adapters" / "step-0000003").iterdir()} == {*names, "state.json"}


@pytest.mark.parametrize("case", CASES)
def test_one_goes_on_with_the_shards_of_two(folder: Path, found: list[dict[str, Any]], case: str) -> None:
    model = model_of(case)
    optimizer = adamw(model, **CASES[case])
    latest(folder / case).restore(model, optimizer)
    assert same({name: p.detach() for name, p in model.named_parameters()}, found[0][case]["whole"])
    for parameter in (p for p in model.parameters() if p.requires_grad):
        assert optimizer.state[parameter]["exp_avg"].shape == parameter.shape
        assert optimizer.state[parameter]["step"] == 3


def test_shards_of_another_model_are_refused_by_one(folder: Path) -> None:
    model = made("llama")
    model.resize_token_embeddings(101, mean_resizing=False)
    before = copies(model)
    with pytest.raises(RunError, match=r"is not of this model: of another kind or shape is .*embed.*here F32 \[101, "):
        latest(folder / "whole model").restore(model, adamw(model))
    assert same(copies(model), before)


def test_two_go_on_in_shards_with_what_was_saved_whole(folder: Path, found: list[dict[str, Any]]) -> None:
    model = made("llama")
    optimizer = adamw(model)
    latest(folder / "ddp").restore(model, optimizer)
    for one in found:
        assert same(one["whole into shards"]["weights"], {name: p.detach() for name, p in model.named_parameters()})
        means = {name: optimizer.state[p]["exp_avg"] for name, p in model.named_parameters()}
        assert same(one["whole into shards"]["means"], means)


def test_other_shards_are_refused(found: list[dict[str, Any]]) -> None:
    for rank, one in enumerate(found):
        assert f"weights-{rank}-of-2.safetensors: is not of this model: of another kind or shape is" in one["other shards"]
        assert one["other shards"].endswith("Start with the same model, adapters and shards.")


def test_what_two_saved_with_ddp_one_goes_on_with(folder: Path, found: list[dict[str, Any]]) -> None:
    assert same(found[0]["ddp"], found[1]["ddp"])
    model = made("llama")
    assert not same(copies(model), found[0]["ddp"])
    latest(folder / "ddp").restore(model, adamw(model))
    assert same(copies(model), found[0]["ddp"])


def test_a_full_disk_of_one_stops_both(folder: Path, found: list[dict[str, Any]]) -> None:
    for one in found:
        assert one["one fails"].startswith("['step-0000003'] ")
        assert "the last good checkpoint is step 3" in one["one fails"]
    assert "1 of 2 ranks could not save step 4" in found[0]["one fails"]
    assert "step 4 cannot be written: No space left on device" in found[1]["one fails"]
    assert latest(folder / "whole model").step == 3


def test_shards_are_not_saved_as_a_whole(folder: Path, found: list[dict[str, Any]]) -> None:
    assert all("sharded is False, but the model is not so" in one["said to be whole"] for one in found)
    assert not (folder / "said to be whole").exists()
