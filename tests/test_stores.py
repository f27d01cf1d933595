"""Data and run folders on object stores: an S3 server of moto's on loopback, and fsspec's store in memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import fsspec
import polars as pl
import pytest
from moto.server import ThreadedMotoServer

from pluralign import scoring, stores
from pluralign.cli import main
from pluralign.episodes import read_episodes, write_episodes
from pluralign.errors import DataError, MissingExtraError, RunError, UsageError
from pluralign.files import atomic_write, hash_file, hash_folder, read_json, write_json_atomic
from pluralign.models import ScriptedModel
from pluralign.partitions import parts_of
from pluralign.ratings.readers import ReadOptions, read_ratings
from pluralign.runs import Run, RunConfig
from pluralign.stored_files import on_disk, read_parquet, scan_parquet
from pluralign.stores import Url, folder_here, is_store, place
from pluralign.values.situations import read_situation_file
from scoring.made_episodes import coins, written

CONFIG = RunConfig(command="test", arguments={"n": 3}, seed=1)
KEY, SECRET = "AKIAMADEUPFORTESTS00", "made/up/secret/for/tests"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an S3 server."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    yield "http://{}:{}".format(*moto.get_host_and_port())
    moto.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty bucket, with credentials and the address in the environment."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "FSSPEC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("PLURALIGN_CACHE", str(tmp_path / "cache.sqlite"))
    _post(server, "/moto-api/reset")
    _client(server).create_bucket(Bucket="made-up")
    _forget_clients()
    yield "s3://made-up"
    _post(server, "/moto-api/reset-auth", b"1000000")
    _forget_clients()


def _post(server: str, path: str, data: bytes = b"") -> None:
    headers = {"Content-Type": "text/plain"}
    urllib.request.urlopen(urllib.request.Request(server + path, data, headers, method="POST"), timeout=10).close()


def _client(server: str, service: str = "s3") -> Any:
    return boto3.client(
        service, endpoint_url=server, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1"
    )


def _forget_clients() -> None:
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def _keys(server: str) -> dict[str, str]:
    """Objects of the bucket and their ETags."""
    return {one["Key"]: one["ETag"] for one in _client(server).list_objects_v2(Bucket="made-up").get("Contents", [])}


# names


@pytest.mark.parametrize("written", ["s3://b/a/c", "s3://b/a/c/", Path("s3://b/a/c"), Url("s3://b/a/c")])
def test_a_url_is_itself_however_it_came(written: str | Path) -> None:
    found = place(written)
    assert isinstance(found, Url)
    assert str(found) == os.fspath(found) == "s3://b/a/c"
    assert (found / "d.parquet").suffix == ".parquet"
    assert (found.name, found.stem, str(found.parent), str(found.parent.parent.parent)) == ("c", "c", "s3://b/a", "s3://b")


@pytest.mark.parametrize("written", ["runs/mine", "./s3", "/a/b:c", "C:/a", "c:\\a", "x=y/part-0.parquet"])
def test_what_is_no_url_stays_a_path(written: str) -> None:
    assert place(written) == Path(written)
    assert not is_store(written)


def test_a_file_url_is_a_path() -> None:
    assert place("file:///tmp/a") == Path("/tmp/a")


def test_a_url_with_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="without a password") as error:
        place("ftp://me:hunter2@host/a")
    assert "hunter2" not in str(error.value)


def test_what_needs_a_folder_here_says_so() -> None:
    assert folder_here("runs/mine", "tune") == Path("runs/mine")
    with pytest.raises(UsageError, match=r"s3://b/run: tune needs a folder on this machine"):
        folder_here("s3://b/run", "tune")


def test_a_missing_extra_prints_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match=r"'s3fs'.*pip install 'pluralign\[s3\]'"):
        place("s3://b/a").exists()


def test_other_schemes_say_what_they_need() -> None:
    with pytest.raises(DataError, match="no such file system is known"):
        place("nonsense://b/a").exists()


# objects


def test_what_is_written_is_read(bucket: str, server: str) -> None:
    write_json_atomic(f"{bucket}/a/one.json", {"x": 1})
    with atomic_write(place(bucket) / "a" / "two.bin") as file:
        file.write(b"abc" * 100_000)
    folder = place(f"{bucket}/a")
    assert sorted(_keys(server)) == ["a/one.json", "a/two.bin"]
    assert read_json(f"{bucket}/a/one.json") == {"x": 1}
    assert (folder.is_dir(), folder.is_file(), (folder / "one.json").is_file()) == (True, False, True)
    assert not (folder / "three").exists()
    assert list(folder.iterdir()) == [folder / "one.json", folder / "two.bin"]
    assert list(place(bucket).glob("*/*.json")) == [folder / "one.json"]
    with (folder / "two.bin").open() as stream:
        assert stream.read(5) == b"abcab"
        stream.seek(-3, 2)
        assert stream.read() == b"abc"


def test_a_failing_write_leaves_what_was_there(bucket: str) -> None:
    write_json_atomic(f"{bucket}/one.json", 1)

    def fail() -> None:
        with atomic_write(f"{bucket}/one.json") as file:
            file.write(b"half")
            raise KeyError("the caller's own fault")

    with pytest.raises(KeyError):
        fail()
    assert read_json(f"{bucket}/one.json") == 1


def test_the_first_of_two_writers_has_the_object(bucket: str) -> None:
    """The store itself decides: both saw that there was none."""
    path, names = place(f"{bucket}/step.json"), []
    with atomic_write(path, keep_first=True) as late:
        late.write(b"2")
        with atomic_write(path, keep_first=True) as early:
            early.write(b"1")
        names.append(path.read_bytes())
    assert (names, path.read_bytes()) == ([b"1"], b"1")
    write_json_atomic(path, 3)
    assert read_json(path) == 3


def test_large_objects_go_in_parts_and_still_only_once(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs.core

    monkeypatch.setattr(s3fs.core, "calculate_chunksize", lambda *_, **__: 5 << 20)
    path = place(f"{bucket}/large.bin")
    for content in (b"a", b"b"):
        with atomic_write(path, keep_first=True) as file:
            file.write(content * (12 << 20))
    assert path.read_bytes() == b"a" * (12 << 20)


def test_hashes_are_those_of_the_copy_on_disk(bucket: str, tmp_path: Path) -> None:
    for folder in (tmp_path / "here", place(f"{bucket}/there")):
        for name, text in (("b.csv", "2" * 2_000_000), ("a.csv", "1")):
            (folder / "sub").mkdir(parents=True, exist_ok=True)
            with atomic_write(folder / "sub" / name) as file:
                file.write(text.encode())
    assert hash_folder(f"{bucket}/there") == hash_folder(tmp_path / "here")
    assert hash_file(f"{bucket}/there/sub/b.csv") == hash_file(tmp_path / "here" / "sub" / "b.csv")
    before = hash_folder(f"{bucket}/there")
    write_json_atomic(f"{bucket}/there/sub/a.csv", 3)
    assert hash_folder(f"{bucket}/there") != before


def test_tables_are_read_and_scanned(bucket: str) -> None:
    for number in (0, 1):
        with atomic_write(f"{bucket}/part-{number}.parquet") as file:
            pl.DataFrame({"n": [number, number]}).write_parquet(file)
    assert read_parquet(f"{bucket}/part-1.parquet")["n"].to_list() == [1, 1]
    both = scan_parquet(f"{bucket}/part-0.parquet", f"{bucket}/part-1.parquet")
    assert both.collect()["n"].to_list() == [0, 0, 1, 1]
    copy = on_disk(f"{bucket}/part-0.parquet")
    with atomic_write(f"{bucket}/part-0.parquet") as file:
        pl.DataFrame({"n": [7]}).write_parquet(file)
    assert on_disk(f"{bucket}/part-0.parquet") != copy
    assert scan_parquet(f"{bucket}/part-0.parquet").collect()["n"].to_list() == [7]


# runs


@pytest.mark.parametrize("scheme", ["s3", "memory"])
def test_a_run_in_a_store_is_one_on_disk(scheme: str, bucket: str, tmp_path: Path) -> None:
    calls: list[str] = []

    def compute(name: str) -> dict[str, Any]:
        calls.append(name)
        return {"pair": (1, 2)}

    for folder in (tmp_path / "run", f"{bucket}/run" if scheme == "s3" else f"memory://{tmp_path.name}/run"):
        calls.clear()
        for is_resumed in (False, True):
            with Run.open(folder, CONFIG) as run:
                assert run.resumed == is_resumed
                assert run.step("a.usage", lambda: compute("a")) == {"pair": [1, 2]}
                assert run.step_table("b", lambda: pl.DataFrame({"x": [len(calls)]}))["x"].to_list() == [1]
                assert run.finished_steps() == ["a.usage", "b"]
                run.write_records(pl.DataFrame({"x": [1]}))
                assert run.sink_table("both.parquet", run.scan_steps(["b", "b"])).collect()["x"].to_list() == [1, 1]
                run.write_results({"x": 1})
                run.write_text("page.html", "é")
        assert calls == ["a"]
        with pytest.raises(RunError, match=r"holds another run:\n  - seed: there 1, asked 2"):
            Run.open(folder, RunConfig(command="test", arguments={"n": 3}, seed=2))
        assert (place(folder) / "page.html").read_text(encoding="utf-8") == "é"
    fsspec.filesystem("memory").store.clear()


def test_two_processes_at_one_run_have_each_step_once(bucket: str) -> None:
    with Run.open(f"{bucket}/run", CONFIG) as one, Run.open(f"{bucket}/run", CONFIG) as two:

        def meanwhile() -> pl.DataFrame:
            two.step_table("a", lambda: pl.DataFrame({"by": ["two"]}))
            return pl.DataFrame({"by": ["one"]})

        assert one.step_table("a", meanwhile)["by"].to_list() == ["two"]
        assert one.scan_steps(one.finished_steps()).collect()["by"].to_list() == ["two"]


def test_files_of_others_are_not_overwritten(bucket: str) -> None:
    write_json_atomic(f"{bucket}/run/results.json", {})
    with pytest.raises(
        RunError, match=r"s3://made-up/run: there is no config\.json, but files that a run would write: results"
    ):
        Run.open(f"{bucket}/run", CONFIG)


def test_the_inputs_of_a_run_may_move_into_a_store(bucket: str, tmp_path: Path) -> None:
    here, there = str(written(tmp_path, coins(5))), f"{bucket}/coins.jsonl"
    write_episodes(there, coins(5))
    for folder in (tmp_path / "run", f"{bucket}/run"):
        Run.open(folder, RunConfig(command="test", inputs={"episodes": here})).close()
        with Run.open(folder, RunConfig(command="test", inputs={"episodes": there})) as run:
            assert run.resumed


# data in parts


def _dataset(root: str | Path) -> None:
    """Episodes in three parts of two endings, below folders that name the task, beside what is no data."""
    for name, some in (
        ("task=die/part-1.parquet", "die"),
        ("task=coin/part-0.jsonl", "coin"),
        ("task=coin/part-2.parquet", "x"),
    ):
        path = place(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = coins(20) if some == "x" else coins(12, seed=1)
        write_episodes(path, [episode for episode in kept if episode.task == ("coin" if some == "x" else some)])
    for name in ("_SUCCESS", "task=die/.part-1.parquet.crc", "README.md"):
        with atomic_write(place(root) / name) as file:
            file.write(b"no data")


def test_a_folder_of_parts_is_one_file(bucket: str, tmp_path: Path) -> None:
    for root in (tmp_path / "episodes", f"{bucket}/episodes"):
        _dataset(root)
        names = [part.name for part in parts_of(root, (".jsonl", ".parquet"))]
        assert names == ["task=coin/part-0.jsonl", "task=coin/part-2.parquet", "task=die/part-1.parquet"]
        assert read_episodes(root) == [episode for name in names for episode in read_episodes(place(root) / name)]


def test_parts_without_a_task_have_that_of_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "task=my%20coin"
    folder.mkdir()
    line = {"examples": [{"output": "a", "input": None}, {"output": "b", "input": None}]}
    (folder / "part-0.jsonl").write_text(json.dumps(line))
    assert [episode.task for episode in read_episodes(tmp_path)] == ["my coin"]
    (folder / "part-1.jsonl").write_text(json.dumps({"task": "die", **line}))
    with pytest.raises(DataError, match=r"task=my%20coin/part-1\.jsonl, line 1: task is 'die', but 'my coin' by the folder"):
        read_episodes(tmp_path)


def test_no_part_is_left_out_unsaid(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no file that ends in \.jsonl or \.parquet"):
        read_episodes(tmp_path)
    written(tmp_path, coins(3))
    (tmp_path / "more.jsonl.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"more\.jsonl\.gz: parts end in \.jsonl or \.parquet; unpack it"):
        read_episodes(tmp_path)


def _ratings_in_parts(root: str | Path) -> pl.DataFrame:
    rows = [
        {"item_id": f"i{i}", "rater_id": f"r{r}", "rating": "ab"[(i + r) % 2], "country": "dk"}
        for r in range(4)
        for i in range(6)
    ]
    whole = pl.DataFrame(rows)
    for number, name in enumerate(["a.parquet", "b.csv", "country=dk/c.parquet"]):
        part, path = whole.slice(number * 8, 8), place(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            if path.suffix == ".csv":
                part.write_csv(file)
            else:
                (part.drop("country") if "=" in name else part).write_parquet(file)
    return whole


def test_ratings_in_parts_are_one_table(bucket: str, tmp_path: Path) -> None:
    options = ReadOptions(attributes=("country",))
    for root in (tmp_path / "ratings", f"{bucket}/ratings"):
        whole = _ratings_in_parts(root)
        found = read_ratings(root, options)
        whole.write_csv(tmp_path / "whole.csv")
        assert found.content_hash() == read_ratings(tmp_path / "whole.csv", options).content_hash()
        assert found.name == "ratings"
        assert "parts were read, a.parquet first" in str(found.notes)


def test_parts_of_different_columns_are_refused(tmp_path: Path) -> None:
    _ratings_in_parts(tmp_path)
    pl.DataFrame({"item_id": ["i9"], "rater_id": ["r9"], "rating": ["a"], "more": ["x"]}).write_csv(tmp_path / "d.csv")
    with pytest.raises(DataError, match=r"d\.csv: no column 'country', which a\.parquet has\n.*d\.csv: columns 'more'"):
        read_ratings(tmp_path)
    pl.DataFrame({"item_id": ["i9"], "rater_id": ["r9"], "rating": ["a"], "country": ["se"]}).write_csv(
        tmp_path / "country=dk" / "d.csv"
    )
    (tmp_path / "d.csv").unlink()
    with pytest.raises(DataError, match=r"country=dk/d\.csv: column 'country' is not everywhere 'dk'"):
        read_ratings(tmp_path)


def test_situations_come_from_a_store(bucket: str) -> None:
    for name, text in (("a.txt", "Biking to work\nTelling a lie\n"), ("a.csv", "situation\nBiking to work\nTelling a lie\n")):
        with atomic_write(f"{bucket}/{name}") as file:
            file.write(text.encode())
        assert read_situation_file(f"{bucket}/{name}") == ["Biking to work", "Telling a lie"]


# verbs


def test_score_and_sample_from_and_to_a_store(bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _dataset(f"{bucket}/episodes")
    _dataset(tmp_path / "episodes")
    for verb in ("score", "sample"):
        for data, out in ((f"{bucket}/episodes/", f"{bucket}/{verb}"), (tmp_path / "episodes", tmp_path / verb)):
            assert main([verb, str(data), "--model", "scripted", "--out", str(out), "--no-cache"]) == 0
            assert f"{out}: results.json" in capsys.readouterr().out
        there = read_parquet(f"{bucket}/{verb}/records.parquet")
        assert there.equals(pl.read_parquet(tmp_path / verb / "records.parquet"))
        assert read_json(f"{bucket}/{verb}/results.json")["name"] == "episodes"
    assert not (Path.cwd() / "s3:").exists()


def test_a_run_that_was_killed_goes_on_in_the_store(bucket: str, server: str, tmp_path: Path) -> None:
    """Finished units are not asked again and their objects not written again; the records are those of a run in one go."""
    write_episodes(f"{bucket}/coins.parquet", coins(800))
    code = """
        import os, signal, sys
        from pluralign import scoring
        from pluralign.models import ScriptedModel
        def tell(what, done, total, *rest):
            if done >= 300:
                os.kill(os.getpid(), signal.SIGKILL)
        scoring.score(sys.argv[1], sys.argv[2], model=ScriptedModel(), on_progress=tell)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), f"{bucket}/coins.parquet", f"{bucket}/run"]
    assert subprocess.run(command, timeout=60, check=False).returncode == -signal.SIGKILL
    before = _keys(server)
    n_units = sum(name.endswith(".parquet") for name in before) - 1
    assert 0 < n_units < 4
    model = ScriptedModel()
    found = scoring.score(f"{bucket}/coins.parquet", f"{bucket}/run", model=model)
    whole = scoring.score(f"{bucket}/coins.parquet", tmp_path / "whole", model=ScriptedModel())
    assert 0 < model.usage.requests < 800 - 200
    assert read_parquet(f"{bucket}/run/records.parquet").equals(pl.read_parquet(tmp_path / "whole" / "records.parquet"))
    assert found.overall == whole.overall
    after = _keys(server)
    assert {name: after[name] for name in before} == before


def _ratings(bucket: str) -> str:
    """Some of the ratings of 12 raters, in three parts."""
    rows = [{"item_id": f"i{i}", "rater_id": f"r{r}", "rating": "ab"[(i * r) % 3 % 2]} for r in range(12) for i in range(8)]
    for number in range(3):
        with atomic_write(f"{bucket}/ratings/part-{number}.parquet") as file:
            pl.DataFrame(rows[number * 32 : number * 32 + 30]).write_parquet(file)
    return f"{bucket}/ratings"


@pytest.mark.slow
def test_predict_and_evaluate_write_to_a_store(bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", _ratings(bucket), "--model", "marginal", "--out", f"{bucket}/predict"]) == 0
    predicted = read_parquet(f"{bucket}/predict/predictions.parquet")
    assert predicted.height == 6
    assert (place(bucket) / "predict" / "predictions.csv").read_text().count("\n") == 7
    for out in (f"{bucket}/card", f"{bucket}/card-2"):
        assert main(["evaluate", "scripted", "--tasks", "urn", "--limit", "4", "--out", out, "--no-cache"]) == 0
    page = place(f"{bucket}/card/report.html").read_bytes()
    assert main(["rescore", f"{bucket}/card"]) == 0
    assert place(f"{bucket}/card/report.html").read_bytes() == page
    assert main(["compare", f"{bucket}/card", f"{bucket}/card-2", "--out", str(tmp_path / "page.html")]) == 0
    assert b"card-2" in (tmp_path / "page.html").read_bytes()
    capsys.readouterr()


@pytest.mark.slow
def test_study_and_values_write_to_a_store(bucket: str) -> None:
    few = ["--permutations", "19", "--resamples", "100", "--clusters", "2"]
    assert main(["study", _ratings(bucket), "--out", f"{bucket}/study", *few]) == 0
    situations = ["--sample", "2", "--model", "embedded", "--n", "5", "--no-cache"]
    assert main(["values", *situations, "--out", f"{bucket}/values"]) == 0
    for name in ("study/report.html", "study/records.parquet", "values/situations.parquet"):
        assert place(f"{bucket}/{name}").is_file(), name
    kept = read_parquet(f"{bucket}/values/records.parquet").filter(pl.col("fate") == "kept").height
    assert read_parquet(f"{bucket}/values/values.parquet").height == kept


def test_commands_that_need_a_folder_here_say_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for command in (["tune", "hf/x", "--data", "s3://b/a"], ["suite", "build", "urn", "--out=s3://b/suite"]):
        assert main(command) == 2
        assert f"pluralign {command[0]} needs a folder on this machine" in capsys.readouterr().err


# bad input


def _said(path: str) -> list[str]:
    """What reading and writing there says."""
    said = []
    for work in (
        lambda: read_episodes(f"{path}/a.parquet"),
        lambda: read_episodes(f"{path}/folder"),
        lambda: read_ratings(f"{path}/ratings"),
        lambda: Run.open(f"{path}/run", CONFIG),
        lambda: write_json_atomic(f"{path}/a.json", 1),
    ):
        with pytest.raises((DataError, RunError)) as error:
            work()
        said.append(str(error.value))
        assert path in said[-1]
        assert KEY not in said[-1]
        assert SECRET not in said[-1]
    return said


def test_no_such_bucket(bucket: str) -> None:
    for text in _said("s3://another"):
        assert "there is no bucket s3://another, or these credentials may not see it; create it, or correct the name" in text


def test_no_such_object(bucket: str) -> None:
    write_json_atomic(f"{bucket}/a.json", 1)
    for name in ("a.parquet", "folder"):
        with pytest.raises(DataError, match=rf"s3://made-up/{name}: cannot be read: no such object or folder"):
            read_episodes(f"{bucket}/{name}")
    with pytest.raises(RunError, match="the input 'file' cannot be read: no such object or folder"):
        Run.open(f"{bucket}/run", RunConfig(command="test", inputs={"file": f"{bucket}/none.csv"}))


def test_no_permission_and_wrong_credentials(bucket: str, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """moto enforces IAM from here on: first a key that nobody has, then a user who may do nothing."""
    iam = _client(server, "iam")
    iam.create_user(UserName="nobody")
    key = iam.create_access_key(UserName="nobody")["AccessKey"]
    _post(server, "/moto-api/reset-auth", b"0")
    _forget_clients()
    wrong = _said(bucket)
    assert all("these credentials may not" in text and "check AWS_PROFILE or AWS_ACCESS_KEY_ID" in text for text in wrong)
    assert all("(InvalidAccessKeyId)" in text for text in wrong)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    _forget_clients()
    refused = _said(bucket)
    assert all("it (AccessDenied): check" in text and "what the bucket's policy allows" in text for text in refused)
    assert key["AccessKeyId"] not in str(refused)
    assert key["SecretAccessKey"] not in str(refused)


def test_no_credentials(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    _forget_clients()
    for text in _said(bucket):
        assert "no credentials were found: set AWS_ACCESS_KEY_ID" in text


def test_no_store_answers(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    _forget_clients()
    fs = stores._filesystem("s3")
    monkeypatch.setattr(fs, "retries", 1)
    with pytest.raises(RunError, match="the store does not answer: check AWS_ENDPOINT_URL"):
        Run.open(f"{bucket}/run", CONFIG)
