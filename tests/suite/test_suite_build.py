"""A built suite: the same bytes however the work is shared, nothing that looks whole unless it is, finished parts kept."""

from __future__ import annotations

import errno
import gzip
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pluralign.episodes import Episode, Example, read_episodes
from pluralign.errors import DataError, RunError, UsageError
from pluralign.files import hash_file
from pluralign.suite import build as build_module
from pluralign.suite import draw, parts, registry, task
from pluralign.suite.build import build
from pluralign.suite.parts import write_parts
from pluralign.suite.shards import N_SHARDS
from suite.samples import write_sample
from suite.suite_data import write_all

SMALL = ["cards", "flight", "coinflip"]


def _files(folder: Path) -> dict[str, str]:
    """What was built, by hash; without what tells when and by which process."""
    return {
        str(path.relative_to(folder)): hash_file(path)
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("config.json", ".lock")
    }


def _read(folder: Path, name: str) -> list[Episode]:
    manifest = json.loads((folder / "manifest.json").read_text())
    return [episode for part in manifest["tasks"][name]["parts"] for episode in read_episodes(folder / part["file"])]


def test_what_was_drawn_is_in_the_files_and_counted(tmp_path: Path) -> None:
    manifest = build(["cards", "flight"], tmp_path / "suite", seed=3)
    assert manifest == json.loads((tmp_path / "suite" / "manifest.json").read_text())
    assert manifest["seed"] == 3
    for name in ("cards", "flight"):
        entry, drawn = manifest["tasks"][name], list(draw(name, seed=3))
        built = _read(tmp_path / "suite", name)
        shards = [drawn[i::N_SHARDS] for i in range(N_SHARDS)] if name != "cards" else [drawn]
        assert built == list(itertools.chain(*shards)), "strand i lies in shard i modulo their number"
        assert (entry["split"], entry["kind"]) == (task(name).split, "synthetic")
        assert entry["episodes"] == len(drawn)
        assert entry["outputs"] == sum(len(episode.examples) for episode in drawn)
        texts = [text for episode in drawn for e in episode.examples for text in (e.output, e.input or "")]
        assert entry["characters"] == sum(map(len, texts))
        for part in entry["parts"]:
            assert part["sha256"] == hash_file(tmp_path / "suite" / part["file"])
    assert manifest["tasks"]["flight"]["outputs"] == 4000


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    data = write_all(tmp_path / "data")
    names = ["cards", "flight", "helpsteer"]
    build(names, tmp_path / "one", data_dir=data, tell=lambda *what: told.append(what))
    build(names, tmp_path / "two", data_dir=data, n_processes=2)
    assert _files(tmp_path / "one") == _files(tmp_path / "two")
    assert [done for _, done, _ in told] == list(range(1, N_SHARDS + 3))
    assert {total for *_, total in told} == {N_SHARDS + 2}


def test_finished_parts_are_kept_and_lost_ones_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "suite"
    build(SMALL, folder)
    before = _files(folder)
    (folder / "coinflip" / "3-000.parquet").unlink()
    (folder / "flight" / "0-000.parquet").write_bytes(b"PAR1")
    (folder / "steps" / "flight.1.json").unlink()
    (folder / "flight" / ".pluralign-0.tmp").write_bytes(b"half")
    made = []
    real = build_module.episodes_below
    monkeypatch.setattr(build_module, "episodes_below", lambda shard, below: made.append(shard.step) or real(shard, below))
    build(SMALL, folder)
    assert made == ["flight.0", "flight.1", "coinflip.3"]
    assert _files(folder) == before


def test_a_failure_leaves_nothing_that_looks_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "suite"
    build(["flight"], tmp_path / "whole")
    real = parts.atomic_write

    def full(path: Path) -> Any:
        if path.name.startswith("2-"):
            raise RunError(f"{path}: cannot be written: {os.strerror(errno.ENOSPC)}; what was there before is unchanged.")
        return real(path)

    monkeypatch.setattr(parts, "atomic_write", full)
    with pytest.raises(RunError, match=r"2-000.*No space left"):
        build(["flight"], folder)
    assert not (folder / "manifest.json").exists()
    assert len(list((folder / "steps").iterdir())) == 2
    monkeypatch.undo()
    build(["flight"], folder)
    assert _files(folder) == _files(tmp_path / "whole")


def test_a_manifest_is_gone_while_its_folder_is_being_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "suite"
    build(["flight"], folder)
    (folder / "flight" / "3-000.parquet").unlink()
    monkeypatch.setattr(build_module, "episodes_below", lambda shard, below: [][0])
    with pytest.raises(IndexError):
        build(["flight"], folder)
    assert not (folder / "manifest.json").exists()


SCRIPT = """
import sys
from pluralign.suite.build import build
if __name__ == "__main__":
    build(["flight", "coinflip", "normal"], sys.argv[1], n_processes=int(sys.argv[2]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("n_processes", [1, 2])
def test_a_killed_build_goes_on_to_the_same_bytes(tmp_path: Path, n_processes: int) -> None:
    names = ["flight", "coinflip", "normal"]
    build(names, tmp_path / "whole")
    (tmp_path / "script.py").write_text(SCRIPT)
    folder = tmp_path / "suite"
    kept = 0
    for after in range(1, 6):
        process = subprocess.Popen(
            [sys.executable, tmp_path / "script.py", folder, str(n_processes)],
            start_new_session=True,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if len(list(folder.glob("steps/*.json"))) >= 2 * after:
                break
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kept = max(kept, len(list(folder.glob("steps/*.json"))))
        if (folder / "manifest.json").exists():
            assert _files(folder) == _files(tmp_path / "whole")
    assert kept >= 2
    build(names, folder)
    assert _files(folder) == _files(tmp_path / "whole")


# what is refused


def test_another_build_is_refused(tmp_path: Path) -> None:
    build(["flight"], tmp_path)
    for arguments in ({"seed": 1, "tasks": ["flight"]}, {"tasks": ["flight", "cards"]}):
        with pytest.raises(RunError, match="holds another run"):
            build(arguments["tasks"], tmp_path, seed=arguments.get("seed", 0))  # type: ignore[arg-type]


def test_changed_data_are_another_build(tmp_path: Path) -> None:
    data = write_all(tmp_path / "data")
    build(["helpsteer"], tmp_path / "suite", data_dir=data)
    (data / "helpsteer" / "notes.txt").write_text("no file of the source")
    build(["helpsteer"], tmp_path / "suite", data_dir=data)
    path = data / "helpsteer" / "train.jsonl.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=1))
    with pytest.raises(RunError, match=r"inputs_sha256\.helpsteer/train"):
        build(["helpsteer"], tmp_path / "suite", data_dir=data)


def test_data_are_read_anew_by_the_next_build(tmp_path: Path) -> None:
    data = write_all(tmp_path / "data")
    build(["helpsteer"], tmp_path / "first", data_dir=data)
    (data / "helpsteer" / "train.jsonl.gz").write_bytes(b"")
    with pytest.raises(DataError, match="it is empty"):
        build(["helpsteer"], tmp_path / "second", data_dir=data)
    write_sample("helpsteer", data)
    build(["helpsteer"], tmp_path / "third", data_dir=data)
    assert _files(tmp_path / "first") == _files(tmp_path / "third")


def test_missing_data_are_found_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"helpsteer: train\.jsonl\.gz: no such file"):
        build(["cards", "helpsteer"], tmp_path / "suite", data_dir=tmp_path)
    assert not (tmp_path / "suite").exists()


def test_errors_of_other_processes_arrive_whole(tmp_path: Path) -> None:
    data = write_all(tmp_path / "data")
    (data / "helpsteer" / "train.jsonl.gz").write_bytes(b"<html>")
    with pytest.raises(DataError, match="a page of HTML") as caught:
        build(["helpsteer", "flight"], tmp_path / "suite", data_dir=data, n_processes=2)
    assert caught.value.where == "helpsteer: train.jsonl.gz"
    assert len(caught.value.faults) == 1
    assert not (tmp_path / "suite" / "manifest.json").exists()


@pytest.mark.parametrize("names", [[], ["cards", "cards"], ["card"]])
def test_names_that_cannot_be_built(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(UsageError, match=r"one task or more, each once|did you mean 'cards'"):
        build(names, tmp_path / "suite")
    assert not (tmp_path / "suite").exists()


# parts


def _episodes(n: int, size: int) -> Iterator[Episode]:
    for i in range(n):
        yield Episode("t", tuple(Example(f"{i}" * size, "?" if i % 2 else None) for _ in range(1 + i % 3)), unit=str(i))


def test_parts_are_as_large_as_allowed_and_hold_every_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "LARGEST", 300)
    full = Episode("t", (Example("é\n", "ü"), Example("b")), "d", ("é\n", "b"), "u", {"a": 1, "b": None, "c": "ö"})
    given = [*_episodes(9, 20), full]
    (tmp_path / "t").mkdir()
    written = write_parts(tmp_path / "t", "0", given)
    assert [part["file"] for part in written] == [f"t/0-{n:03}.parquet" for n in range(len(written))]
    assert len(written) > 2
    assert [episode for part in written for episode in read_episodes(tmp_path / part["file"])] == given
    assert sum(part["episodes"] for part in written) == 10
    assert write_parts(tmp_path / "t", "1", iter(())) == []


def test_an_episode_without_examples_is_no_episode(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="task t, unit u: there is nothing to draw an episode from"):
        write_parts(tmp_path, "0", [Episode("t", (), unit="u")])


def test_sources_are_looked_up_by_name_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A source that was added is built like any other."""
    (tmp_path / "flights_again.py").write_text("from pluralign.suite.sources.cards import SOURCE\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "SOURCES", {"cards": "flights_again"})
    assert build(["cards"], tmp_path / "suite")["tasks"]["cards"]["outputs"] == 5200
