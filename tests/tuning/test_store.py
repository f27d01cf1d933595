"""Encoded once: the same sequences as without a store, found again wherever the files lie, whole or not there."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import tiny
from models.strategies import template
from pluralign.episodes import Episode, Example, write_episodes
from pluralign.errors import DataError, RunError
from pluralign.models import open_template
from pluralign.tuning import cut_to, encode_files, encode_once, open_store, store

LONG = Episode("t", (Example("x" * 500),), description="nothing of this fits")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = []
    for number in range(3):
        episodes = [
            Episode("t", tuple(Example(f"{number} {i} {k}", "?" if i % 2 else None) for k in range(i % 5 + 1)), f"unit {i}")
            for i in range(7)
        ]
        path = tmp_path / f"{number}.parquet"
        write_episodes(path, [*episodes, LONG, Episode("t", (), description="no example")])
        made.append(path)
    return made


def _folder(cache: Path) -> Path:
    [folder] = cache.iterdir()
    return folder


def test_the_store_has_every_sequence_that_fits(files: list[Path], tmp_path: Path) -> None:
    opened = template("spectrum-chatml")
    found = encode_once(files, opened, max_tokens=120, cache=tmp_path / "cache")
    cuts = [cut for file in files for cut in encode_files([file], opened, max_tokens=120)]
    flat = [
        (cut.sequences.ids[a:b].tolist(), cut.sequences.is_loss[a:b].tolist(), cut.sequences.example_index[a:b].tolist())
        for cut in cuts
        for a, b in zip(cut.sequences.starts[:-1], cut.sequences.starts[1:], strict=True)
        if b > a
    ]
    assert len(found) == len(flat) == 21
    for number, (ids, is_loss, example_index) in enumerate(flat):
        one = found.sequence(number)
        assert (one.ids.tolist(), one.is_loss.tolist(), one.example_index.tolist()) == (ids, is_loss, example_index)
        assert (one.ids.dtype, one.example_index.dtype, one.is_loss.dtype) == (np.int32, np.int32, np.bool_)
    assert found.lengths.tolist() == [len(ids) for ids, *_ in flat]
    assert found.n_loss.tolist() == [sum(is_loss) for _, is_loss, _ in flat]
    assert found.counts["episodes"] == 27
    assert found.counts["examples"] == sum(cut.n_examples for cut in cuts)
    assert found.counts["examples_kept"] == sum(cut.n_kept for cut in cuts)
    together = found.gather([20, 0, 5])
    assert together.ids.tolist() == flat[20][0] + flat[0][0] + flat[5][0]
    assert together.starts.tolist() == np.cumsum([0, *(len(flat[n][0]) for n in (20, 0, 5))]).tolist()
    assert len(found.gather([])) == 0


def test_it_is_made_once_wherever_the_files_lie(files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, cache = template("spectrum-chatml"), tmp_path / "cache"
    first = encode_once(files, opened, max_tokens=120, cache=cache)
    (tmp_path / "moved").mkdir()
    moved = [Path(shutil.copy(file, tmp_path / "moved" / f"other-{file.name}")) for file in files]
    monkeypatch.setattr(store, "encode_files", lambda *a, **k: [][0])
    again = encode_once(moved, open_template("spectrum", tiny.spectrum_checkpoint("chatml")), max_tokens=120, cache=cache)
    assert again.folder == first.folder
    assert again.lengths.tolist() == first.lengths.tolist()
    assert str(tmp_path) not in (_folder(cache) / "config.json").read_text()


def test_whatever_the_tokens_depend_on_makes_another_store(files: list[Path], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    makers = [
        (files, template("spectrum-chatml"), 120),
        (files, template("spectrum-chatml"), 121),
        (files, template("spectrum-llama"), 120),
        (files, template("colon-chatml"), 120),
        (files[::-1], template("spectrum-chatml"), 120),
        (files[:2], template("spectrum-chatml"), 120),
    ]
    folders = {encode_once(f, opened, max_tokens=n, cache=cache).folder for f, opened, n in makers}
    assert len(folders) == len(makers)
    write_episodes(files[0], [Episode("t", (Example("changed"),), "d")])
    assert encode_once(files, template("spectrum-chatml"), max_tokens=120, cache=cache).folder not in folders


def test_what_was_stopped_goes_on_with_the_next_shard(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pluralign.episodes.columns._ROWS", 4)
    opened = template("spectrum-chatml")
    whole = encode_once(files, opened, max_tokens=120, cache=tmp_path / "whole")
    real, n_written = store.atomic_write, 0

    def full(path: Path) -> Any:
        nonlocal n_written
        n_written += path.suffix == ".npy"
        if n_written == 5:
            raise RunError(f"{path}: cannot be written: {os.strerror(errno.ENOSPC)}")
        return real(path)

    monkeypatch.setattr(store, "atomic_write", full)
    with pytest.raises(RunError, match="No space left"):
        encode_once(files, opened, max_tokens=120, cache=tmp_path / "cache")
    folder = _folder(tmp_path / "cache")
    with pytest.raises(RunError, match=r"results\.json"):
        open_store(folder)
    kept = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.npy")}
    assert len(kept) == 4
    monkeypatch.setattr(store, "atomic_write", real)
    found = encode_once(files, opened, max_tokens=120, cache=tmp_path / "cache")
    assert kept.items() <= {path.name: path.stat().st_mtime_ns for path in folder.glob("*.npy")}.items()
    assert [found.sequence(n).ids.tolist() for n in range(len(found))] == [
        whole.sequence(n).ids.tolist() for n in range(len(whole))
    ]


def test_two_processes_do_not_make_the_same_store(files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = template("spectrum-chatml")
    real = store._encode_file

    def meanwhile(*arguments: Any) -> None:
        monkeypatch.setattr(store, "_encode_file", real)
        with pytest.raises(RunError, match="another process"):
            encode_once(files, opened, max_tokens=120, cache=tmp_path / "cache")
        real(*arguments)

    monkeypatch.setattr(store, "_encode_file", meanwhile)
    assert len(encode_once(files, opened, max_tokens=120, cache=tmp_path / "cache")) == 21


def test_nothing_that_fits_is_an_error(tmp_path: Path) -> None:
    write_episodes(tmp_path / "e.parquet", [LONG])
    with pytest.raises(DataError, match="none of 1 episodes has an output within the window"):
        encode_once([tmp_path / "e.parquet"], template("spectrum-chatml"), max_tokens=50, cache=tmp_path / "cache")


def test_a_shard_that_is_damaged_says_what_to_do(files: list[Path], tmp_path: Path) -> None:
    found = encode_once(files, template("spectrum-chatml"), max_tokens=119, cache=tmp_path / "cache")
    path = _folder(tmp_path / "cache") / "00000-000.npy"
    path.write_bytes(path.read_bytes()[:100])
    store._mapped.cache_clear()
    with pytest.raises(DataError, match="remove its folder"):
        found.sequence(0)
    assert json.loads((_folder(tmp_path / "cache") / "results.json").read_text())["shards"][0] == "00000-000"


def test_cut_to_is_what_the_store_uses(files: list[Path], tmp_path: Path) -> None:
    found = encode_once(files, template("spectrum-chatml"), max_tokens=60, cache=tmp_path / "cache")
    assert found.lengths.max() <= 60
    assert cut_to(found.gather(range(len(found))), 60).n_kept == found.counts["examples_kept"]
