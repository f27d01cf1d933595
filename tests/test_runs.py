from __future__ import annotations

import hashlib
import json
import math
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pluralign import __version__, files, runs
from pluralign.errors import RunError
from pluralign.files import UNFINISHED
from pluralign.runs import (
    Run,
    RunConfig,
    atomic_write,
    hash_file,
    hash_folder,
    read_json,
    write_json_atomic,
    write_text_atomic,
)

CONFIG = RunConfig(command="study", arguments={"bins": 4, "attributes": ["age"]}, seed=3)


def _counted(value: Any, calls: list[Any]) -> Any:
    calls.append(value)
    return value


def _python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


# files


def test_a_write_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text_atomic(path, "old")
    write_text_atomic(path, "new – ü\r\n")
    assert path.read_bytes() == "new – ü\r\n".encode()
    assert [f.name for f in tmp_path.iterdir()] == ["a.txt"]


def test_a_failing_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text_atomic(path, "old")

    def fail() -> None:
        with atomic_write(path) as file:
            file.write(b"half of the n")
            raise KeyError("the caller's own fault")

    with pytest.raises(KeyError):
        fail()
    assert path.read_text() == "old"
    assert [f.name for f in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="the limit on file sizes is POSIX")
def test_a_disk_that_is_full_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    """The system itself refuses the write: the process may not make a file above 64 KB."""
    done = _python(
        """
        import resource, sys
        from pathlib import Path
        from pluralign.errors import RunError
        from pluralign.runs import Run, RunConfig
        import polars as pl
        run = Run.open(sys.argv[1], RunConfig(command="study"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
        for work in (lambda: run.step("long", lambda: "x" * 1_000_000),
                     lambda: run.step_table("wide", lambda: pl.DataFrame({"x": pl.int_range(500_000, eager=True).shuffle(1)}))):
            try:
                work()
            except RunError as error:
                print(error)
        """,
        tmp_path / "run",
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.strip().splitlines()
    assert "long.json: cannot be written: File too large" in first
    assert "wide.parquet: cannot be written" in second
    assert list((tmp_path / "run" / "steps").iterdir()) == []


def test_json_keeps_text_and_refuses_nan(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json_atomic(path, {"b": [1, 2.5, None], "a": "– ü \ud800"})
    assert read_json(path) == {"b": [1, 2.5, None], "a": "– ü \ud800"}
    for bad in (math.nan, math.inf, object()):
        with pytest.raises(RunError, match="this is not JSON"):
            write_json_atomic(path, {"x": bad})
    assert read_json(path)["b"] == [1, 2.5, None]


def test_hashes_are_those_of_the_content(tmp_path: Path) -> None:
    one = tmp_path / "one"
    (one / "sub").mkdir(parents=True)
    (one / "b.csv").write_bytes(b"2")
    (one / "sub" / "a.csv").write_bytes(b"1")
    assert hash_file(one / "b.csv") == hashlib.sha256(b"2").hexdigest()
    names = [("b.csv", b"2"), ("sub/a.csv", b"1")]  # sorted by name; the rule of hash_folder, written out
    spelled = "".join(f"{name}\0{hashlib.sha256(data).hexdigest()}\n" for name, data in names)
    assert hash_folder(one) == hashlib.sha256(spelled.encode()).hexdigest()


def test_a_large_file_is_read_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, n_read = tmp_path / "large", []
    real = files._digest
    monkeypatch.setattr(files, "_digest", lambda name: n_read.append(name) or real(name))
    for content in (b"a" * files.REMEMBERED_FROM, b"b" * files.REMEMBERED_FROM):
        path.write_bytes(content)
        assert {hash_file(path) for _ in range(3)} == {hashlib.sha256(content).hexdigest()}
    assert len(n_read) == 2


@pytest.mark.parametrize("change", ["content", "name", "new", "moved"])
def test_a_folder_hash_sees_every_change_but_not_where_it_lies(tmp_path: Path, change: str) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        (folder / "sub").mkdir(parents=True)
        (folder / "a").write_text("1")
        (folder / "sub" / "b").write_text("2")
    assert hash_folder(one) == hash_folder(two)
    changes = {
        "content": lambda: (two / "a").write_text("3"),
        "name": lambda: (two / "a").rename(two / "c"),
        "new": lambda: (two / "c").write_text(""),
        "moved": lambda: (two / "sub" / "b").rename(two / "b"),
    }
    changes[change]()
    assert hash_folder(one) != hash_folder(two)


# opening


def test_a_new_run_writes_what_was_asked_and_with_what(tmp_path: Path) -> None:
    votes = tmp_path / "votes.csv"
    votes.write_text("item,rater,rating\n")
    config = RunConfig(command="study", arguments={"bins": 4}, seed=3, inputs={"file": str(votes)})
    with Run.open(tmp_path / "out" / "run", config) as run:
        assert not run.resumed
        assert run.finished_steps() == []
    written = json.loads((tmp_path / "out" / "run" / "config.json").read_text())
    assert written["command"] == "study"
    assert written["arguments"] == {"bins": 4}
    assert written["seed"] == 3
    assert written["inputs_sha256"] == {"file": hashlib.sha256(b"item,rater,rating\n").hexdigest()}
    assert written["pluralign_version"] == __version__
    assert written["dependency_versions"]["numpy"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", written["started"])
    assert written["git_commit"] is None or re.fullmatch(r"[0-9a-f]{40,64}", written["git_commit"])


def test_the_git_commit_is_that_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "bare").mkdir()
    monkeypatch.chdir(tmp_path / "bare")
    with Run.open(tmp_path / "one", CONFIG) as run:
        assert run.config["git_commit"] is None
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    with Run.open(tmp_path / "two", CONFIG) as run:
        assert run.config["git_commit"] == commit


def test_the_same_configuration_resumes_and_finished_steps_are_free(tmp_path: Path) -> None:
    calls: list[Any] = []
    results = []
    for _ in range(2):
        with Run.open(tmp_path, CONFIG) as run:
            one = run.step("fit.1", lambda: _counted({"loss": (1.5, None), 3: "ü"}, calls))
            two = run.step_table("table", lambda: _counted(pl.DataFrame({"x": [1, 2]}), calls))
            results.append((one, two.to_dicts(), run.finished_steps()))
    assert len(calls) == 2
    assert results[0] == results[1]
    assert results[0][0] == {"loss": [1.5, None], "3": "ü"}  # through JSON the first time too
    assert results[0][2] == ["fit.1", "table"]


def test_inputs_may_be_moved_but_not_changed(tmp_path: Path) -> None:
    folder = tmp_path / "votes"
    folder.mkdir()
    (folder / "a.csv").write_text("1")

    def config(path: Path) -> RunConfig:
        return RunConfig(command="study", inputs={"file": str(path)})

    Run.open(tmp_path / "run", config(folder)).close()
    moved = folder.rename(tmp_path / "elsewhere")
    run = Run.open(tmp_path / "run", config(moved))
    assert run.resumed
    run.close()
    (moved / "a.csv").write_text("2")
    with pytest.raises(RunError, match=r"inputs_sha256\.file: there .* asked"):
        Run.open(tmp_path / "run", config(moved))
    with pytest.raises(RunError, match="the input 'file' cannot be read"):
        Run.open(tmp_path / "other", config(folder))


def test_another_configuration_is_refused_with_all_differences(tmp_path: Path) -> None:
    Run.open(tmp_path, CONFIG).close()
    other = RunConfig(command="study", arguments={"bins": 5, "attributes": ["age"], "scale": "ordinal"}, seed=4)
    with pytest.raises(RunError) as caught:
        Run.open(tmp_path, other)
    assert str(caught.value) == (
        f"{tmp_path} holds another run:\n"
        "  - arguments.bins: there 4, asked 5\n"
        '  - arguments.scale: there null, asked "ordinal"\n'
        "  - seed: there 3, asked 4\n"
        "Pass another --out, or remove the folder to start anew."
    )
    Run.open(tmp_path, CONFIG).close()  # and the lock was given back


def test_an_argument_that_is_null_is_one_that_is_missing(tmp_path: Path) -> None:
    Run.open(tmp_path, CONFIG).close()
    with Run.open(tmp_path, RunConfig(command="study", arguments={**CONFIG.arguments, "new": None}, seed=3)) as run:
        assert run.resumed


def test_results_of_another_version_are_not_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Run.open(tmp_path, CONFIG).close()
    monkeypatch.setattr(runs, "__version__", "99.0.0")
    with pytest.raises(RunError, match=r'compatible_version: there "0\.1", asked "99"'):
        Run.open(tmp_path, CONFIG)


def test_arguments_that_are_not_json_are_refused(tmp_path: Path) -> None:
    for bad in (math.nan, Path("x")):
        with pytest.raises(RunError, match="must be JSON values"):
            Run.open(tmp_path, RunConfig(command="study", arguments={"x": bad}))


# what else is in the folder


def test_unknown_files_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "draft.tmp").write_text("mine too")
    with Run.open(tmp_path, CONFIG) as run:
        run.step("a", lambda: 1)
        run.write_results({"x": 1})
        run.write_records(pl.DataFrame({"loss": [0.5]}))
        run.write_text("report.html", "<p>")
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "draft.tmp").read_text() == "mine too"
    names = {"notes.txt", "draft.tmp", "config.json", "steps", "results.json", "records.parquet", "report.html", ".lock"}
    assert {f.name for f in tmp_path.iterdir()} == names


def test_files_a_run_would_overwrite_are_refused(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(RunError, match=r"no config\.json, but files that a run would write: results\.json"):
        Run.open(tmp_path, CONFIG)
    assert (tmp_path / "results.json").read_text() == "{}"


@pytest.mark.parametrize("text", ["[1]", "{half"])
def test_a_config_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(RunError, match=r"config\.json"):
        Run.open(tmp_path, CONFIG)


def test_half_written_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    Run.open(tmp_path, CONFIG).close()
    left = [tmp_path / UNFINISHED.replace("*", "abc"), tmp_path / "steps" / UNFINISHED.replace("*", "def")]
    for path in left:
        path.write_text("ha")
    with Run.open(tmp_path, CONFIG) as run:
        assert run.finished_steps() == []
    assert not any(path.exists() for path in left)


def test_a_broken_step_file_says_what_to_do(tmp_path: Path) -> None:
    with Run.open(tmp_path, CONFIG) as run:
        (tmp_path / "steps" / "a.json").write_text("{")
        with pytest.raises(RunError, match=r"a\.json: cannot be read as JSON.*remove the file"):
            run.step("a", lambda: 1)
        (tmp_path / "steps" / "b.parquet").write_text("{")
        with pytest.raises(RunError, match=r"b\.parquet: cannot be read as parquet.*remove the file"):
            run.step_table("b", lambda: pl.DataFrame())


@pytest.mark.parametrize("name", ["", "A", "a/b", "../a", "..", ".lock", "a b", "ä", "a\n"])
def test_names_of_steps_are_plain(tmp_path: Path, name: str) -> None:
    with Run.open(tmp_path, CONFIG) as run, pytest.raises(RunError, match="is no name of a step"):
        run.step(name, lambda: 1)


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"no run folder can be made here: .*; pass another --out"):
        Run.open(tmp_path / "file" / "run", CONFIG)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_a_folder_that_cannot_be_written_to_says_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(RunError, match="Permission denied"):
            Run.open(tmp_path / "run", CONFIG)
    finally:
        tmp_path.chmod(0o700)


# two processes, and killed ones


def test_a_second_opening_is_refused_until_the_first_is_closed(tmp_path: Path) -> None:
    run = Run.open(tmp_path, CONFIG)
    with pytest.raises(RunError, match=rf"another process \(pid {os.getpid()}\) works in this folder"):
        Run.open(tmp_path, CONFIG)
    run.close()
    run.close()
    Run.open(tmp_path, CONFIG).close()


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")
def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    """Five steps; the third process to try gets through, since the first two are killed inside a step, by -9."""
    code = textwrap.dedent(
        """
        import os, signal, sys
        from pluralign.files import atomic_write
        from pluralign.runs import Run, RunConfig

        folder, log, kill_at = sys.argv[1], sys.argv[2], int(sys.argv[3])

        def compute(i):
            with open(log, "a") as file:
                file.write(f"{i} ")
            if i == kill_at:  # in the middle of writing the step's file
                with atomic_write(f"{folder}/steps/step-{i}.json") as file:
                    file.write(b'{"half": ')
                    file.flush()
                    os.kill(os.getpid(), signal.SIGKILL)
            return {"i": i}

        with Run.open(folder, RunConfig(command="study", seed=1)) as run:
            print([run.step(f"step-{i}", lambda i=i: compute(i))["i"] for i in range(5)])
        """
    )
    folder, log = tmp_path / "run", tmp_path / "log"
    ends = [_python(code, folder, log, kill_at) for kill_at in (1, 3, -1)]
    assert [end.returncode for end in ends] == [-signal.SIGKILL, -signal.SIGKILL, 0], ends
    assert ends[2].stdout.strip() == "[0, 1, 2, 3, 4]"
    assert log.read_text().split() == ["0", "1", "1", "2", "3", "3", "4"]  # only the two that were cut off ran again
    assert sorted(f.name for f in (folder / "steps").iterdir()) == [f"step-{i}.json" for i in range(5)]


def test_importing_it_loads_no_polars() -> None:
    done = _python("import sys, pluralign.runs; print(sorted({'polars', 'numpy', 'torch'} & set(sys.modules)))")
    assert done.stdout.strip() == "[]", done.stderr
