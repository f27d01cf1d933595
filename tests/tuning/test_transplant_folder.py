"""The folder of a transplant is there whole or not at all, and nothing else is ever replaced."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models import tiny
from pluralign.errors import RunError
from pluralign.files import UNFINISHED
from pluralign.tuning import transplant as module
from pluralign.tuning.transplant import transplant
from pluralign.tuning.transplant_source import Source
from tuning.siblings import assert_refused, pair


@pytest.fixture(scope="module")
def siblings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return pair(tmp_path_factory.mktemp("siblings"))


@pytest.fixture
def base(siblings: tuple[Path, Path], tmp_path: Path) -> Path:
    return shutil.copytree(siblings[0], tmp_path / "base")


@pytest.fixture
def instruct(siblings: tuple[Path, Path], tmp_path: Path) -> Path:
    return shutil.copytree(siblings[1], tmp_path / "instruct")


def test_a_place_that_is_taken(base: Path, instruct: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(RunError, match="out: is not empty and not what a transplant made; give a folder that is new or"):
            transplant(base, instruct, tmp_path / "out", overwrite=overwrite)
    assert_refused(base, instruct, tmp_path / "out" / "notes.txt", "is a file; give a folder that is new or empty", RunError)
    assert_refused(base, instruct, base, "is a model to be read; give another folder", RunError)
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    transplant(base, instruct, tmp_path / "empty")
    transplant(base, instruct, tmp_path / "new" / "below")
    assert (tmp_path / "empty" / "config.json").is_file()
    assert (tmp_path / "new" / "below" / "config.json").is_file()


def test_only_a_transplant_is_replaced_and_by_a_whole_one(
    base: Path, instruct: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transplant(base, instruct, tmp_path / "out")
    (tmp_path / "out" / "old").touch()
    with pytest.raises(RunError, match="holds a transplant already"):
        transplant(base, instruct, tmp_path / "out")
    rename, calls = os.rename, []

    def fails_once(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:  # the old one is out of the way, the new one not there yet
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fails_once)
    with pytest.raises(RunError, match="No space left on device"):
        transplant(base, instruct, tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "old").exists()
    transplant(base, instruct, tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out" / "old").exists()
    assert not list(tmp_path.glob(UNFINISHED))


def test_a_disk_that_refuses_leaves_nothing(base: Path, instruct: Path, tmp_path: Path) -> None:
    """Really: no file may become larger than this process is allowed to make one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        assert_refused(base, instruct, tmp_path / "out", "cannot be written: File too large; nothing was put there", RunError)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("step", ["write_rows", "write_tokenizer", "write_generation_config", "copy_files"])
def test_a_disk_that_is_full_at_any_step_leaves_nothing(
    step: str, base: Path, instruct: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **more: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"pluralign.tuning.transplant.{step}", full)
    assert_refused(base, instruct, tmp_path / "out", "cannot be written: No space left on device; nothing was", RunError)


def test_a_disk_without_room_is_told_before_anything_is_written(
    base: Path, instruct: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (base / "model.safetensors").stat().st_size
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=size - 1))
    monkeypatch.setattr("pluralign.tuning.transplant.new_folder", None)  # is not even tried
    assert_refused(base, instruct, tmp_path / "out", r"out: needs 0\.00 GB, its disk has 0\.00 GB left", RunError)


STEPS = ("write_rows", "write_tokenizer", "write_generation_config", "write_json", "copy_files", "_check_tokenizer")


def test_at_no_step_is_there_anything_that_looks_whole(
    base: Path, instruct: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it does not matter where a kill comes; only the last check finds a config.json, in a hidden folder."""
    seen = {}

    def watched(step: str) -> Callable[..., Any]:
        does = getattr(module, step)

        def does_and_tells(*given: Any) -> Any:
            [made] = tmp_path.glob(UNFINISHED)
            seen[step] = (tmp_path / "out").exists(), (made / "config.json").exists()
            return does(*given)

        return does_and_tells

    for step in STEPS:
        monkeypatch.setattr(module, step, watched(step))
    transplant(base, instruct, tmp_path / "out")
    assert seen == {step: (False, step == "_check_tokenizer") for step in STEPS}
    assert not list(tmp_path.glob(UNFINISHED))


@pytest.mark.slow
def test_a_kill_leaves_nothing_that_looks_whole(base: Path, instruct: Path, tmp_path: Path) -> None:
    code = (
        "import os, signal, pluralign.tuning.transplant as module\n"
        "module.write_generation_config = lambda *given: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"module.transplant({str(base)!r}, {str(instruct)!r}, {str(tmp_path / 'out')!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / "out").exists()
    [left] = tmp_path.glob(UNFINISHED)
    assert (left / "model.safetensors").is_file()
    assert not (left / "config.json").exists()
    transplant(base, instruct, tmp_path / "out")
    assert left.exists()  # might be another process's


def test_a_tokenizer_that_does_not_open_as_it_was_meant(
    base: Path, instruct: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_another(source: Source, folder: Path, chat_template: str) -> None:
        tiny.gemma().save_pretrained(folder)

    monkeypatch.setattr("pluralign.tuning.transplant.write_tokenizer", write_another)
    assert_refused(base, instruct, tmp_path / "out", "the base model's tokenizer cannot be copied; save it anew")


def test_what_goes_with_the_base_goes_with_the_copy(base: Path, instruct: Path, tmp_path: Path) -> None:
    for name in (
        "LICENSE",
        "NOTICE",
        "preprocessor_config.json",
        "README.md",
        "optimizer.pt",
        "pytorch_model.bin",
        "modeling.py",
    ):
        (base / name).write_text(name)
    (base / "model.safetensors").chmod(0o400)
    transplant(base, instruct, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("LICENSE", "NOTICE", "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors"),
        *("preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", "transplant.json"),
    ]
    assert (tmp_path / "out" / "config.json").read_bytes() == (base / "config.json").read_bytes()
