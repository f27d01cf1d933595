"""What may go wrong with a run: kills, full disks, damaged checkpoints, losses that are no numbers, and bad input."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from models import tiny
from pluralign.episodes import Episode, Example, write_episodes
from pluralign.errors import DataError, ModelError, RunError, UsageError
from pluralign.tuning import spectrum, start
from pluralign.tuning.ranks import open_ranks
from pluralign.tuning.run_log import RunLog, read_log
from pluralign.tuning.spectrum import TunePlaces, tune
from pluralign.tuning.tune_plan import plan_tune
from tuning.tune_runs import N_KILLS, PLACES, curve, losses, make_file, make_model, run, small

TESTS = Path(__file__).parents[1]
not_windows = pytest.mark.skipif(sys.platform == "win32", reason="forks, and limits on the size of files, are POSIX")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tune_faults")


@pytest.fixture(scope="module")
def model(folder: Path) -> str:
    return make_model(folder / "model")


@pytest.fixture(scope="module")
def data(folder: Path) -> Path:
    return make_file(folder / "coin.parquet", 20)


LONG = {"max_steps": 6, "epochs": 9, "save_every": 2}


@pytest.fixture(scope="module")
def whole(folder: Path, model: str, data: Path) -> Path:
    run(model, [data], folder / "whole", **LONG)
    return folder / "whole"


# kills


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    place = tmp_path_factory.mktemp("kills")
    done = subprocess.run(
        [sys.executable, "-m", "tuning.tune_runs", str(place)],
        cwd=TESTS,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return place, json.loads(done.stdout)


@not_windows
def test_runs_that_were_killed_and_started_again_have_the_curve_and_weights_of_one_that_was_not(
    killed: tuple[Path, list[dict[str, Any]]],
) -> None:
    place, found = killed
    assert len(found) >= N_KILLS + len(PLACES) - 2
    expected = curve(place / "expected")
    assert [line["step"] for line in expected] == [0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 7]
    weights = (place / "expected" / "model" / "model.safetensors").read_bytes()
    for one in found:
        assert one["end"] == -9, one
        assert one["again"] == 0, one
        assert curve(place / one["out"]) == expected, one
        assert (place / one["out"] / "model" / "model.safetensors").read_bytes() == weights, one
        assert not list((place / one["out"]).glob("**/.pluralign-*.tmp/*")), one


@not_windows
def test_results_are_there_only_at_the_end(killed: tuple[Path, list[dict[str, Any]]]) -> None:
    place, found = killed
    had = {one["at"] for one in found if one["had results.json"]}
    assert had <= {"write_results", "wait", "tune", "write_json_atomic", "write_text_atomic", "atomic_write", "sync_folder"}
    assert all(one["had model"] for one in found if one["had results.json"])
    assert all((place / one["out"] / "results.json").exists() for one in found)


# disks


class _Limited:
    """No file may become larger than so many bytes."""

    def __init__(self, n_bytes: int) -> None:
        self.n_bytes = n_bytes

    def __enter__(self) -> None:
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.n_bytes, self.before[1]))

    def __exit__(self, *_: Any) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


@not_windows
def test_a_disk_that_is_full_when_a_checkpoint_is_saved_keeps_the_one_before(
    whole: Path, folder: Path, model: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, out = spectrum.save_checkpoint, folder / "full"

    def save(root: Path, step: int, *arguments: Any, **more: Any) -> None:
        if step < 4:
            return real(root, step, *arguments, **more)
        with _Limited(20_000):
            return real(root, step, *arguments, **more)

    monkeypatch.setattr(spectrum, "save_checkpoint", save)
    with pytest.raises(RunError, match="step 4 cannot be written: File too large; the last good checkpoint is step 2"):
        run(model, [data], out, **LONG)
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step-0000002"]
    assert not (out / "results.json").exists()
    monkeypatch.setattr(spectrum, "save_checkpoint", real)
    told: list[str] = []
    run(model, [data], out, tell=told.append, **LONG)
    assert "going on behind step 2 of 6" in told
    assert curve(out) == curve(whole)


@not_windows
def test_a_disk_that_is_full_when_metrics_are_written_is_told_and_half_a_line_is_none(
    whole: Path, folder: Path, model: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, out = RunLog.write, folder / "full metrics"

    def write(self: RunLog, step: int, values: Any) -> None:
        if step < 4:
            return real(self, step, values)
        with _Limited((out / "metrics.jsonl").stat().st_size + 30):
            return real(self, step, values)

    monkeypatch.setattr(RunLog, "write", write)
    with pytest.raises(RunError, match=r"metrics\.jsonl: step 4 cannot be written: File too large; checkpoints are kept"):
        run(model, [data], out, **LONG)
    assert len((out / "metrics.jsonl").read_text().split("\n")[-1]) == 30
    assert [line["step"] for line in read_log(out / "metrics.jsonl")] == [1, 2, 3]
    monkeypatch.setattr(RunLog, "write", real)
    run(model, [data], out, **LONG)
    assert curve(out) == curve(whole)


def test_a_checkpoint_that_is_cut_short_is_passed_over_and_told(whole: Path, folder: Path, model: str, data: Path) -> None:
    out = folder / "damaged"
    shutil.copytree(whole, out)
    (out / "results.json").unlink()
    path = out / "checkpoints" / "step-0000006" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    told: list[str] = []
    run(model, [data], out, tell=told.append, **LONG)
    assert any("step-0000006: weights.safetensors has " in line and "step 4 is taken instead" in line for line in told)
    assert "going on behind step 4 of 6" in told
    assert curve(out) == curve(whole)
    for path in (out / "checkpoints").glob("*/state.json"):
        path.write_text("{")
    (out / "results.json").unlink()
    with pytest.raises(RunError, match="no checkpoint is whole"):
        run(model, [data], out, **LONG)


# losses that are no numbers


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_checkpoint(folder: Path, model: str, data: Path) -> None:
    out = folder / "diverged"
    with pytest.raises(RunError, match=r"step [2-9]: .*(is no number|its gradient is not).*lower lr"):
        run(model, [data], out, lr=1e30, save_every=1, max_steps=9, epochs=9)
    steps = sorted(path.name for path in (out / "checkpoints").iterdir())
    assert steps[-1] == f"step-{len(losses(out)):07d}"
    assert not (out / "results.json").exists()
    assert not (out / "model").exists()


# data


def test_episodes_are_cut_at_whole_examples_and_those_of_which_nothing_fits_are_counted(folder: Path, model: str) -> None:
    """20 outputs of some 6 tokens in a window of 60; one whose first output alone has more."""
    made = [Episode("t", tuple(Example(f"a {n} {i}") for i in range(20)), "d") for n in range(6)]
    write_episodes(folder / "long.parquet", [*made, Episode("t", (Example("x" * 400),), "nothing fits")])
    results = run(model, [folder / "long.parquet"], folder / "cut", max_tokens=60, max_steps=None)
    counts = results["counts"]
    assert (counts["episodes"], counts["sequences"], counts["examples"]) == (7, 6, 121)
    assert 6 <= counts["examples_kept"] < 120
    assert results["tokens"] == counts["tokens"] <= 6 * 60
    plan = plan_tune(model, [folder / "long.parquet"], settings=small(max_tokens=60), cache=folder / "cache")
    ends = plan.template.end_ids
    assert tuple(plan.sample.ids[plan.sample.is_loss][-len(ends) :]) == ends


def test_episodes_without_a_supervised_token_are_refused(folder: Path, model: str) -> None:
    write_episodes(folder / "bare.parquet", [Episode("t", (Example("one"),)) for _ in range(3)])
    with pytest.raises(DataError, match="no sequence carries loss"):
        run(model, [folder / "bare.parquet"], folder / "bare")
    assert not (folder / "bare" / "metrics.jsonl").exists()


def test_what_is_held_out_and_trained_on_is_refused_before_a_folder_is_made(folder: Path, model: str, data: Path) -> None:
    with pytest.raises(DataError, match="it is held out, and its content is also trained on"):
        run(model, [data], folder / "overlap", held_out=[data])
    assert not (folder / "overlap").exists()


# models


def test_a_tokenizer_without_turn_tokens_names_transplant(folder: Path, data: Path) -> None:
    name = make_model(folder / "plain", tokenizer=tiny.plain())
    with pytest.raises(UsageError, match=r"plain: this tokenizer has no turn tokens.*pluralign transplant .*plain --from"):
        run(name, [data], folder / "plain run")
    assert not (folder / "plain run").exists()


def test_a_tokenizer_with_more_ids_than_embeddings_is_refused(folder: Path, data: Path) -> None:
    name = make_model(folder / "few", vocab_size=300)
    with pytest.raises(ModelError, match=r"few: the tokenizer has \d+ ids, the embeddings 300 rows"):
        run(name, [data], folder / "few run")


def test_sequences_longer_than_the_model_takes_are_refused(folder: Path, data: Path) -> None:
    name = make_model(folder / "short", "gpt2", n_embd=32, n_layer=1, n_head=2, max_position_embeddings=48)
    with pytest.raises(UsageError, match=r"short: takes 48 tokens, and sequences may have 96: --max-tokens 48"):
        run(name, [data], folder / "short run")
    assert run(name, [data], folder / "short enough", max_tokens=48, max_steps=1)["step"] == 1


def test_another_major_version_of_transformers_is_refused(
    folder: Path, model: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("4.57.1", "6.0.0.dev0"):
        monkeypatch.setattr(start.transformers, "__version__", version)
        with pytest.raises(ModelError, match=rf"transformers {version} is installed; .*pip install 'transformers==5\.\*'"):
            run(model, [data], folder / "version")
        with pytest.raises(ModelError, match="is installed"):
            plan_tune(model, [data], settings=small(), cache=folder / "cache")
    monkeypatch.setattr(start.transformers, "__version__", "5.99.1")
    assert plan_tune(model, [data], settings=small(), cache=folder / "cache").n_steps == 4


# processes


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"RANK": "1"}, "RANK is 1 and WORLD_SIZE 1"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK is 2 and WORLD_SIZE 2"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE is '0'"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two'"),
        ({"RANK": "-1", "WORLD_SIZE": "2"}, "RANK is '-1'"),
        ({"LOCAL_RANK": "x"}, "LOCAL_RANK is 'x'"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "MASTER_ADDR"),
    ],
)
def test_wrong_numbers_of_processes_are_refused(
    environment: pytest.MonkeyPatch, folder: Path, model: str, data: Path, given: dict[str, str], said: str
) -> None:
    for name, value in given.items():
        environment.setenv(name, value)
    with pytest.raises(UsageError, match=f"{said}.*torchrun"):
        run(model, [data], folder / "processes")
    assert not (folder / "processes").exists()


def test_a_device_that_is_not_there_is_refused(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="device 'nonsense' cannot be used here"), open_ranks("nonsense"):
        pass
    with open_ranks("cpu") as ranks:
        assert (ranks.rank, ranks.n_ranks, ranks.is_first, str(ranks.device)) == (0, 1, True, "cpu")
        ranks.wait()


def test_shards_of_one_process_are_the_whole_model(
    environment: pytest.MonkeyPatch, whole: Path, folder: Path, model: str, data: Path
) -> None:
    places = TunePlaces(device="cpu", cache=folder / "cache", spread="shards")
    tune(model, [data], folder / "shards of one", settings=small(**LONG), places=places)
    assert curve(folder / "shards of one") == curve(whole)
