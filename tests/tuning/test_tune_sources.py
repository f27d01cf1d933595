"""What a run is trained on: files, JSON lines, suites' folders; and what is refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from pluralign.episodes import read_episodes, write_episodes
from pluralign.errors import DataError, UsageError
from pluralign.files import read_json, write_json_atomic
from pluralign.suite import parts
from pluralign.suite.build import build
from pluralign.tuning.sources import find_files
from tuning.tune_runs import coins, make_file, make_suite


def test_a_file_is_trained_on_under_the_name_of_its_task(tmp_path: Path) -> None:
    one, other = make_file(tmp_path / "one.parquet", task="coin"), make_file(tmp_path / "more" / "other.parquet", seed=1)
    several = tmp_path / "several.parquet"
    write_episodes(several, [*coins(3, seed=2, task="a"), *coins(3, seed=3, task="b")])
    found = find_files([other, str(one), several], cache=tmp_path / "cache")
    assert [(file.path, file.task) for file in found.train] == [(other, "other"), (one, "coin"), (several, "several")]
    assert found.held_out == ()
    assert not (tmp_path / "cache").exists()


def test_json_lines_are_written_as_parquet_once_by_content(tmp_path: Path) -> None:
    path, cache = make_file(tmp_path / "coin.jsonl", 6), tmp_path / "cache"
    [file] = find_files([path], cache=cache).train
    assert file.task == "coin"
    assert file.path.parent == cache
    assert [e.to_dict() for e in read_episodes(file.path)] == [e.to_dict() for e in coins(6, seed=0)]
    written = file.path.stat().st_mtime_ns
    moved = Path(shutil.move(path, tmp_path / "moved.jsonl"))
    [again] = find_files([moved], cache=cache).train
    assert (again.path, again.task) == (file.path, "coin")
    assert again.path.stat().st_mtime_ns == written
    make_file(moved, 7, task="coin")
    [changed] = find_files([moved], cache=cache).train
    assert changed.path != file.path
    assert len(read_episodes(changed.path)) == 7


def test_long_json_lines_become_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, cache = make_file(tmp_path / "coin.jsonl", 6), tmp_path / "cache"
    monkeypatch.setattr(parts, "LARGEST", 150)
    files = find_files([path], cache=cache).train
    assert len(files) > 2
    assert {file.task for file in files} == {"coin"}
    episodes = [e.to_dict() for file in files for e in read_episodes(file.path)]
    assert episodes == [e.to_dict() for e in coins(6, seed=0)]
    files[1].path.unlink()
    assert [file.path.exists() for file in find_files([path], cache=cache).train] == [True] * len(files)


def test_of_a_suite_tasks_of_the_split_test_are_held_out(tmp_path: Path) -> None:
    suite = make_suite(tmp_path / "suite", {"a": "train", "b": "test", "c": "train"})
    found = find_files([suite], cache=tmp_path / "cache")
    assert [file.task for file in found.train] == ["a", "c"]
    assert [file.task for file in found.held_out] == ["b"]
    other = make_suite(tmp_path / "other", {"x": "train", "y": "test"})
    make_file(other / "x" / "0-000.parquet", seed=7)
    make_file(other / "y" / "0-000.parquet", seed=8)
    more = make_file(tmp_path / "more.parquet", seed=9)
    found = find_files([suite], [other, more], cache=tmp_path / "cache")
    assert [file.task for file in found.train] == ["a", "c"]
    assert [file.task for file in found.held_out] == ["b", "x", "y", "more"]


def test_what_suite_build_makes_is_found(tmp_path: Path) -> None:
    build(["coinflip"], tmp_path / "suite", seed=1)
    manifest = read_json(tmp_path / "suite" / "manifest.json")["tasks"]
    found = find_files([tmp_path / "suite"], cache=tmp_path / "cache")
    assert {file.task for file in found.train} == {"coinflip"}
    assert len(found.train) == len(manifest["coinflip"]["parts"])


def test_nothing_to_train_on_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--data"):
        find_files([], cache=tmp_path)
    suite = make_suite(tmp_path / "suite", {"a": "test", "b": "test"})
    with pytest.raises(DataError, match=r"suite: all its tasks are of the split 'test', which is held out"):
        find_files([suite], cache=tmp_path)


def test_what_is_held_out_is_not_trained_on(tmp_path: Path) -> None:
    train, held = make_file(tmp_path / "a.parquet"), make_file(tmp_path / "b.parquet", seed=1)
    assert find_files([train], [held], cache=tmp_path).held_out[0].path == held
    copied = Path(shutil.copy(train, tmp_path / "copy.parquet"))
    with pytest.raises(DataError, match=r"copy\.parquet: it is held out, and its content is also trained on \(.*a\.parquet\)"):
        find_files([held, train], [copied], cache=tmp_path)
    suite = make_suite(tmp_path / "suite", {"a": "train", "b": "test"})
    with pytest.raises(DataError, match="leave one out"):
        find_files([suite, suite / "b" / "0-000.parquet"], cache=tmp_path)


def test_folders_that_are_no_finished_suites_are_refused(tmp_path: Path) -> None:
    suite = make_suite(tmp_path / "suite", {"a": "train", "b": "train"})
    (suite / "b" / "0-000.parquet").unlink()
    with pytest.raises(DataError, match=r"1 files of its manifest are missing, e\.g\. .*b.0-000\.parquet; build it again"):
        find_files([suite], cache=tmp_path)
    (suite / "manifest.json").unlink()
    with pytest.raises(DataError, match="no finished suite"):
        find_files([suite], cache=tmp_path)


@pytest.mark.parametrize(
    "content",
    ["[]", "{}", '{"tasks": []}', '{"tasks": {"a": {"split": "train"}}}', '{"tasks": {"a": {"parts": [{"file": "a"}]}}}'],
)
def test_a_manifest_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(DataError, match=r"its manifest\.json is not that of a suite"):
        find_files([tmp_path], cache=tmp_path)


def test_files_that_are_missing_or_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.parquet: there is no such file or folder"):
        find_files([tmp_path / "nowhere.parquet"], cache=tmp_path)
    (tmp_path / "a.csv").write_text("a,b\n")
    with pytest.raises(UsageError, match=r"\.jsonl or \.parquet"):
        find_files([tmp_path / "a.csv"], cache=tmp_path)
    bad = tmp_path / "bad.jsonl"
    bad.write_text(json.dumps({"task": "t", "examples": [{"output": 3}]}) + "\nnot json\n")
    with pytest.raises(DataError, match="2 faults"):
        find_files([bad], cache=tmp_path / "cache")
    assert os.listdir(tmp_path / "cache") == []


def test_a_manifest_may_have_more_in_it(tmp_path: Path) -> None:
    suite = make_suite(tmp_path / "suite", {"a": "train"})
    manifest = read_json(suite / "manifest.json")
    write_json_atomic(suite / "manifest.json", manifest | {"seed": 3, "mixture": None})
    assert len(find_files([suite], cache=tmp_path).train) == 1
