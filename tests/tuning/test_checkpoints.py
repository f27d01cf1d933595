from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed
from safetensors.torch import load_file
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import pluralign
from pluralign.errors import RunError, UsageError
from pluralign.files import UNFINISHED
from pluralign.tuning import checkpoint_files
from pluralign.tuning.checkpoint_files import write_tensors
from pluralign.tuning.checkpoint_tensors import _state, plain_name
from pluralign.tuning.checkpoints import latest_checkpoint, save_checkpoint
from tuning.checkpoint_cases import Small, adamw, copies, same, train
from tuning.loss_cases import lora_on, made

TESTS = Path(__file__).parents[1]


def small(**settings: Any) -> tuple[Small, torch.optim.AdamW]:
    model = Small()
    return model, adamw(model, **settings)


def saved(root: Path, *steps: int, keep: int = 9) -> tuple[Small, torch.optim.AdamW]:
    model, optimizer = small()
    for step in steps:
        train(model, optimizer, [step])
        save_checkpoint(root, step, model, optimizer, {"seen": step}, keep=keep)
    return model, optimizer


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


# there and back


@pytest.mark.parametrize("settings", [{"foreach": True}, {"fused": True}, {"foreach": False, "amsgrad": True}])
def test_a_run_goes_on_bit_by_bit(tmp_path: Path, settings: dict[str, Any]) -> None:
    model, optimizer = small(**settings)
    train(model, optimizer, range(3))
    save_checkpoint(tmp_path, 3, model, optimizer, {"seconds": 0.1, "world": [1, None], "ü": "–"})
    expected = train(model, optimizer, range(3, 8))
    again, other = small(**settings)
    found = latest_checkpoint(tmp_path)
    assert found is not None
    assert (found.step, found.state) == (3, {"seconds": 0.1, "world": [1, None], "ü": "–"})
    found.restore(again, other)
    assert train(again, other, range(3, 8)) == expected
    assert same(copies(again), copies(model))
    assert len(set(expected)) == 5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_numbers_of_other_kinds_come_back_as_they_were(tmp_path: Path, dtype: torch.dtype) -> None:
    model = Small(dtype)
    optimizer = adamw(model, foreach=True)
    train(model, optimizer, range(2))
    with torch.no_grad():
        model.embed.weight[0, :4] = torch.tensor([float("nan"), float("-inf"), -0.0, 1e-40], dtype=dtype)
    save_checkpoint(tmp_path, 2, model, optimizer, {})
    again = Small(dtype)
    other = adamw(again, foreach=True)
    restored(tmp_path).restore(again, other)
    bits = {torch.bfloat16: torch.int16, torch.float64: torch.int64}[dtype]
    assert torch.equal(again.embed.weight.view(bits), model.embed.weight.view(bits))
    for one, two in zip(model.parameters(), again.parameters(), strict=True):
        for key, value in optimizer.state[one].items():
            kept = other.state[two][key]
            assert (kept.dtype, kept.shape) == (value.dtype, value.shape)
            assert torch.equal(kept, value)


def restored(root: Path) -> Any:
    found = latest_checkpoint(root)
    assert found is not None
    return found


def test_what_is_saved_is_what_is_trained_once(tmp_path: Path) -> None:
    """Tied weights under one name; the running means of the norm; no buffer that the model itself does not save."""
    saved(tmp_path, 1)
    folder = tmp_path / "step-0000001"
    assert names(folder) == ["optimizer.safetensors", "state.json", "weights.safetensors"]
    buffers = {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"}
    assert load_file(folder / "weights.safetensors").keys() == {"embed.weight", "norm.weight", "norm.bias", "scale"} | buffers
    kept = load_file(folder / "optimizer.safetensors")
    parameters = ("embed.weight", "norm.weight", "norm.bias", "scale")
    assert kept.keys() == {f"{key}/{name}" for key in ("step", "exp_avg", "exp_avg_sq") for name in parameters}
    assert kept["step/scale"].shape == kept["exp_avg/scale"].shape == ()


@pytest.mark.parametrize("tied", [False, True])
def test_of_a_model_with_adapters_only_they_are_saved(tmp_path: Path, tied: bool) -> None:
    model = lora_on("llama", tied=tied)
    optimizer = adamw(model)
    train(model, optimizer, range(2))
    save_checkpoint(tmp_path, 2, model, optimizer, {})
    there = load_file(tmp_path / "step-0000002" / "weights.safetensors")
    assert there.keys() == {name for name, p in model.named_parameters() if p.requires_grad}
    assert all("lora_" in name for name in there)
    expected = train(model, optimizer, range(2, 5))
    again = lora_on("llama", tied=tied)
    other = adamw(again)
    restored(tmp_path).restore(again, other)
    assert train(again, other, range(2, 5)) == expected


def test_a_whole_tied_llama_goes_on(tmp_path: Path) -> None:
    model = made("llama", tied=True)
    optimizer = adamw(model)
    train(model, optimizer, range(2))
    save_checkpoint(tmp_path, 2, model, optimizer, {})
    there = load_file(tmp_path / "step-0000002" / "weights.safetensors")
    assert "model.embed_tokens.weight" in there
    assert "lm_head.weight" not in there
    again = made("llama", tied=True)
    other = adamw(again)
    restored(tmp_path).restore(again, other)
    assert train(again, other, [2]) == train(model, optimizer, [2])


def test_what_has_had_no_gradient_has_no_state_after_either(tmp_path: Path) -> None:
    model, optimizer = small()
    save_checkpoint(tmp_path, 0, model, optimizer, {})
    again, other = small()
    train(again, other, [5])
    restored(tmp_path).restore(again, other)
    assert len(other.state) == 0
    assert train(again, other, range(2)) == train(model, optimizer, range(2))


def test_restored_numbers_are_not_those_of_the_file(tmp_path: Path) -> None:
    """They go on when the checkpoint is gone, and training does not write into it."""
    saved(tmp_path, 1)
    again, other = small()
    restored(tmp_path).restore(again, other)
    train(again, other, [2])
    assert latest_checkpoint(tmp_path) is not None
    for path in (tmp_path / "step-0000001").iterdir():
        path.write_bytes(b"")
    train(again, other, [3])


@pytest.mark.parametrize(
    ("settings", "where"), [({"fused": True}, "meta"), ({"capturable": True}, "meta"), ({"foreach": True}, "cpu")]
)
def test_counts_of_steps_come_back_where_the_optimiser_has_them(settings: dict[str, bool], where: str) -> None:
    """Meta stands for a device other than the CPU."""
    parameter = torch.empty(2, device="meta")
    assert _state("step", torch.tensor(3.0), parameter, settings).device.type == where
    assert _state("exp_avg", torch.zeros(2), parameter, settings).device.type == "meta"
    assert _state("rows", torch.zeros(5), parameter, settings).device.type == "meta"


def test_large_tensors_are_written_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_files, "_BLOCK", 7)
    given = {
        "a": torch.arange(30).reshape(5, 6).T,  # not contiguous
        "b": torch.tensor(True),
        "c": torch.zeros(0, 4, dtype=torch.bfloat16),
        "d": torch.arange(5, dtype=torch.uint8),
        "e": torch.arange(3, dtype=torch.float16),
    }
    record = write_tensors(tmp_path / "x.safetensors", given)
    assert record.n_bytes == (tmp_path / "x.safetensors").stat().st_size
    back = load_file(tmp_path / "x.safetensors")
    assert back.keys() == given.keys()
    assert all(back[name].dtype == given[name].dtype and torch.equal(back[name], given[name]) for name in given)


# wrappers


def test_names_are_those_without_wrappers(tmp_path: Path) -> None:
    assert plain_name("module.model.module.weight") == "model.module.weight"
    model, _ = saved(tmp_path, 1)
    again, other = small()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch, about itself
        compiled: Any = torch.compile(again)
    restored(tmp_path).restore(compiled, other)
    assert same(copies(again), copies(model))
    save_checkpoint(tmp_path, 2, compiled, other, {})
    assert {*load_file(tmp_path / "step-0000002/weights.safetensors")} == {
        *load_file(tmp_path / "step-0000001/weights.safetensors")
    }


@pytest.fixture
def one_rank(tmp_path: Path) -> Iterator[None]:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("one_rank")
def test_a_run_may_go_on_with_ddp_or_without(tmp_path: Path) -> None:
    model, optimizer = small()
    wrapped = DistributedDataParallel(model)
    train(wrapped, optimizer, range(2))
    save_checkpoint(tmp_path, 2, wrapped, optimizer, {})
    expected = train(wrapped, optimizer, range(2, 5))
    for wrap in (lambda model: model, DistributedDataParallel):
        again, other = small()
        wrapped = wrap(again)
        restored(tmp_path).restore(wrapped, other)
        assert train(wrapped, other, range(2, 5)) == expected


@pytest.mark.usefixtures("one_rank")
def test_whole_and_shards_go_on_with_each_other(tmp_path: Path) -> None:
    model = made("llama")
    fully_shard(model)
    optimizer = adamw(model)
    train(model, optimizer, [0])
    with torch.no_grad():
        model(input_ids=torch.tensor([[1, 2]]))  # leaves the parameters of the root whole
    with pytest.raises(UsageError, match="sharded is False, but the model is not so"):
        save_checkpoint(tmp_path / "a", 1, model, optimizer, {})
    save_checkpoint(tmp_path / "a", 1, model, optimizer, {}, sharded=True)
    plain = made("llama")
    restored(tmp_path / "a").restore(plain, other := adamw(plain))
    whole = {name: parameter.full_tensor().detach() for name, parameter in model.named_parameters()}
    assert same({name: parameter.detach() for name, parameter in plain.named_parameters()}, whole)
    expected = train(plain, other, [1])
    save_checkpoint(tmp_path / "b", 2, plain, other, {})
    restored(tmp_path / "b").restore(model, optimizer)
    assert train(model, optimizer, [2]) == pytest.approx(train(plain, other, [2]))
    restored(tmp_path / "a").restore(model, optimizer)
    assert train(model, optimizer, [1]) == pytest.approx(expected)


# which are kept


def test_the_newest_are_kept(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2, 10_000_000, keep=2)
    assert names(tmp_path) == ["step-0000002", "step-10000000"]
    assert restored(tmp_path).state == {"seen": 10_000_000}


def test_one_that_lacks_bytes_is_not_counted_among_those_to_keep(tmp_path: Path) -> None:
    model, optimizer = saved(tmp_path, 1, 2)
    os.truncate(tmp_path / "step-0000002" / "weights.safetensors", 50)
    save_checkpoint(tmp_path, 3, model, optimizer, {}, keep=2)
    assert names(tmp_path) == ["step-0000001", "step-0000002", "step-0000003"]


def test_a_step_is_saved_anew(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2)
    model, _ = saved(tmp_path, 2)
    assert names(tmp_path) == ["step-0000001", "step-0000002"]
    again, other = small()
    restored(tmp_path).restore(again, other)
    assert same(copies(again), copies(model))


def test_an_earlier_step_is_saved_only_if_later_ones_are_damaged(tmp_path: Path) -> None:
    model, optimizer = saved(tmp_path, 1, 5)
    with pytest.raises(RunError, match="step-0000005: is later than step 3, which is to be saved; go on from it"):
        save_checkpoint(tmp_path, 3, model, optimizer, {})
    flip(tmp_path / "step-0000005" / "weights.safetensors", -1)
    save_checkpoint(tmp_path, 3, model, optimizer, {})
    assert names(tmp_path) == ["step-0000001", "step-0000003"]


def test_other_files_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "step-notes").write_text("mine")
    (tmp_path / UNFINISHED.replace("*", "x")).write_text("of a killed process")
    saved(tmp_path, 1, 2, keep=1)
    assert names(tmp_path) == ["step-0000002", "step-notes"]


def test_none_at_all_is_none(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path / "missing") is None
    (tmp_path / UNFINISHED.replace("*", "x")).mkdir()
    assert latest_checkpoint(tmp_path) is None


# damaged ones

DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (lambda f: os.truncate(f / "optimizer.safetensors", 99), "optimizer.safetensors has 99 bytes where 7,"),
    "altered": (lambda f: flip(f / "weights.safetensors", -5), "weights.safetensors is damaged: its sha256"),
    "missing": (lambda f: (f / "weights.safetensors").unlink(), "weights.safetensors is missing"),
    "no state": (lambda f: (f / "state.json").unlink(), "state.json is missing"),
    "half a state": (lambda f: os.truncate(f / "state.json", 99), "state.json is damaged: it is not the JSON"),
    "empty state": (lambda f: (f / "state.json").write_text("[]"), "state.json is damaged: it is not the JSON"),
    "altered state": (lambda f: edit(f, '"seen": 2', '"seen": 3'), "state.json is damaged: its sha256"),
    "renamed": (lambda f: f.rename(f.with_name("step-0000007")), "state.json is of step 2: the folder was renamed"),
}


def edit(folder: Path, old: str, new: str) -> None:
    text = (folder / "state.json").read_text()
    assert old in text
    (folder / "state.json").write_text(text.replace(old, new))


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_one_is_passed_over_and_told(tmp_path: Path, how: str) -> None:
    saved(tmp_path, 1, 2)
    damage, why = DAMAGE[how]
    damage(tmp_path / "step-0000002")
    told: list[str] = []
    found = latest_checkpoint(tmp_path, tell=told.append)
    assert found is not None
    assert (found.step, found.state) == (1, {"seen": 1})
    (line,) = told
    assert f"/step-000000{7 if how == 'renamed' else 2}: {why}" in line
    assert line.endswith("passed over, the checkpoint of step 1 is taken instead.")
    assert "\n" not in line


def test_without_a_teller_it_is_a_warning(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2)
    flip(tmp_path / "step-0000002" / "weights.safetensors", 3)
    with pytest.warns(UserWarning, match="step-0000002: .*; passed over, the checkpoint of step 1 is taken"):
        latest_checkpoint(tmp_path)


def test_every_byte_counts(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    folder = tmp_path / "step-0000001"
    for name in names(folder):
        before = (folder / name).read_bytes()
        for at in range(0, len(before), 97):
            if not before[at : at + 1].isspace():  # between values of JSON
                flip(folder / name, at)
                with pytest.raises(RunError, match="no checkpoint is whole"):
                    latest_checkpoint(tmp_path)
                (folder / name).write_bytes(before)
    assert restored(tmp_path).step == 1


def test_none_whole_is_an_error_that_lists_them(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2)
    for step in (1, 2):
        os.truncate(tmp_path / f"step-000000{step}" / "weights.safetensors", step)
    with pytest.raises(
        RunError, match=r"no checkpoint is whole:\n.*0002: weights.* has 2 bytes .*\n.*0001: .* has 1 bytes .*\n.*anew"
    ):
        latest_checkpoint(tmp_path)


# what does not fit


def test_another_model_is_refused_and_not_changed(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    found = restored(tmp_path)
    wide, missing, frozen, coarse = Small(), Small(), Small(), Small(torch.bfloat16)
    wide.norm = nn.BatchNorm1d(9)
    missing.more = nn.Linear(2, 2)
    frozen.scale.requires_grad_(False)
    said = {
        wide: r"of another kind or shape is norm\.bias \(F32 \[8\], here F32 \[9\]\), .* and 1 more\.",
        missing: r"lacks more\.bias, more\.weight, which the model trains\. Start with the same model",
        frozen: "has scale, which the model does not train",
        coarse: r"embed\.weight \(F32 \[97, 8\], here BF16 \[97, 8\]\)",
    }
    for model, pattern in said.items():
        optimizer, before = adamw(model), copies(model)
        with pytest.raises(RunError, match=rf"weights\.safetensors: is not of this model: .*{pattern}"):
            found.restore(model, optimizer)
        assert same(copies(model), before)
        assert len(optimizer.state) == 0


def test_an_optimiser_of_fewer_parameters_is_refused_and_the_model_not_changed(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    model = Small()
    before = copies(model)
    with pytest.raises(RunError, match=r"has exp_avg/embed\.weight, .* and 6 more, which the optimiser does not have"):
        restored(tmp_path).restore(model, torch.optim.AdamW([model.scale]))
    assert same(copies(model), before)


def test_an_optimiser_of_another_model_is_refused(tmp_path: Path) -> None:
    model, _ = small()
    with pytest.raises(UsageError, match=r"has a parameter .* that is not one of the model's"):
        save_checkpoint(tmp_path, 1, model, small()[1], {})
    assert names(tmp_path) == []


def test_what_cannot_be_saved_is_refused(tmp_path: Path) -> None:
    model, optimizer = small()
    for bad in (float("nan"), object()):
        with pytest.raises(RunError, match="the state of a checkpoint must be JSON values"):
            save_checkpoint(tmp_path, 1, model, optimizer, {"x": bad})
    optimizer.state[model.scale]["rms"] = 0.5
    with pytest.raises(RunError, match="AdamW keeps 'rms' of scale as float"):
        save_checkpoint(tmp_path, 1, model, optimizer, {})
    odd = nn.Linear(2, 2, dtype=torch.complex64)
    with pytest.raises(RunError, match=r"weights\.safetensors: weight is torch\.complex64"):
        save_checkpoint(tmp_path, 1, odd, adamw(odd), {})
    with pytest.raises(UsageError, match="no parameter of the model requires gradients"):
        save_checkpoint(tmp_path, 1, Small().requires_grad_(False), torch.optim.SGD([torch.zeros(1)]), {})
    assert names(tmp_path) == []


@pytest.mark.parametrize("given", [{"keep": 0}, {"rank": 1}, {"rank": 0, "n_ranks": 2}, {"sharded": True}])
def test_calls_that_cannot_be_right_are_refused(tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"keep 0|rank 1 of 1|a group of 1|sharded is True"):
        save_checkpoint(tmp_path, 1, *small(), {}, **given)


def test_a_place_where_no_folder_can_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"step 1 cannot be written: .*; there is no earlier checkpoint\. Make room"):
        save_checkpoint(tmp_path / "file" / "checkpoints", 1, *small(), {})


# kills and full disks


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs the names of open files")
def test_all_lies_on_the_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    at_rename: list[list[str]] = []
    rename = os.rename
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(Path(f"/proc/self/fd/{handle}").readlink().name))
    monkeypatch.setattr(os, "rename", lambda old, new: (at_rename.append(synced[:]), rename(old, new)))
    saved(tmp_path, 1)
    (before,) = at_rename
    assert before[:2] == ["weights.safetensors", "optimizer.safetensors"]
    assert before[-2:] == ["state.json", ".pluralign-step-0000001.tmp"]
    assert synced[len(before) :] == [tmp_path.name]


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if sys.platform == "win32":
        pytest.skip("kill -9, fork and the limit on file sizes are POSIX")
    command = [sys.executable, "-m", "tuning.checkpoint_faults", str(tmp_path_factory.mktemp("faults"))]
    source = Path(pluralign.__file__).parents[1]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{TESTS}{os.pathsep}{source}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("step", [1, 2])
def test_a_kill_between_any_two_lines_leaves_a_checkpoint(faults: dict[str, Any], step: int) -> None:
    """Step 1 is there: it is saved anew, or a second is and the first removed. A third save then finds nothing in its way."""
    trials = faults[f"kills at step {step}"]
    assert len(trials) > 40
    for trial in trials:
        assert trial["end"] == -9
        assert trial["as saved"]
        assert trial["told"] == trial["damaged"] == []
        assert trial["left"] == ["step-0000003"]
    assert {trial["second"] for trial in trials} == {False, True}  # kills came both before and after it was there
    assert {trial["unfinished"] for trial in trials} == {0, 1}
    expected = {"step-0000001", "step-0000001.old"} if step == 1 else {"step-0000001", "step-0000002"}
    assert {trial["taken"] for trial in trials} == expected


def test_a_full_disk_leaves_the_last_good_one(faults: dict[str, Any]) -> None:
    """The weights are too much, or the optimiser's states are, or state.json."""
    assert len(faults["small disk"]) == 3
    for trial in faults["small disk"]:
        assert trial["end"] == 0
        assert "step 2 cannot be written: File too large; the last good checkpoint is step 1. Make room" in trial["said"]
        assert trial["left"] == ["step-0000001"]
