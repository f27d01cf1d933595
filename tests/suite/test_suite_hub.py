"""Files of the hub with its real client against a server on this machine: what comes, what stands in the way, what stays.

`conftest.py` keeps this process from the network, so the client runs in processes of its own, which do not wait between tries.
"""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pluralign.errors import DataError
from pluralign.files import hash_file
from pluralign.suite import draw, source
from pluralign.suite.build import build
from pluralign.suite.card import Card, Hub
from pluralign.suite.hub import cached
from pluralign.suite.reading import require_file
from suite.hub_server import Fault, HubServer
from suite.samples import write_sample

huggingface_hub = pytest.importorskip("huggingface_hub")

COMMIT, LATER = "0123456789" * 4, "abcdef0123" * 4
CONTENT = b"item,vote\n" + b"a,1\n" * 30_000
REPO, FILE = "people/votes", "data/all votes.csv"

CLIENT = """
import json, sys, time
from pathlib import Path
from huggingface_hub import constants
from pluralign.errors import DataError
from pluralign.suite.card import Card, Hub, Source
from pluralign.suite.reading import find_file, is_available, require_file

time.sleep = lambda seconds: None  # between the client's tries
constants.DOWNLOAD_CHUNK_SIZE = 10_000  # of which only whole ones are written

def load(repo, revision, file, data_dir):
    access = Hub(repo, (file,), revision)
    card = Card(name="votes", what="", citation="", licence="", access=access, ran_on_real_file=False)
    source = Source(card, lambda folder: folder)
    where = None if data_dir is None else Path(data_dir)
    before = is_available(source, where)
    try:
        path, error = str(require_file(card, source.folder(where), file)), None
    except DataError as found:
        path, error = None, str(found)
    after = find_file(source, where, file)
    return {"before": before, "path": path, "error": error, "after": None if after is None else str(after)}

for line in sys.stdin:
    home, asked = json.loads(line)
    constants.HF_HUB_CACHE = f"{home}/hub"
    print(json.dumps([load(*one) for one in asked]), flush=True)
"""
LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n" + CLIENT
DRAW = """
import sys
from pluralign.suite import draw, source
from pluralign.suite.reading import find_file, is_available
helpsteer = source("helpsteer")
print(is_available(helpsteer, None), find_file(helpsteer, None, "train.jsonl.gz") is not None)
print(*draw("helpsteer"), sep="\\n")
"""
BUILD = """
import sys
from pluralign.suite.build import build
if __name__ == "__main__":
    print(build(["helpsteer", "cards"], sys.argv[1], n_processes=int(sys.argv[2]))["inputs_sha256"])
"""


def _surroundings(home: Path, address: str, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not re.match(r"(?i)hf_|hugging|.*_proxy$", name)}
    ours = {"HF_HOME": str(home), "HF_ENDPOINT": address, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    return kept | ours | more


def _run(script: str, home: Path, address: str, *arguments: object, **more: str) -> str:
    command = [sys.executable, *(("-c", script) if "\n" in script else (script,)), *map(str, arguments)]
    done = subprocess.run(command, env=_surroundings(home, address, **more), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


Asked = tuple[str, str | None, str, str | None]
"""Data set, revision, file, data folder."""


class Client:
    """A process that asks for files while its `with` block lasts; each time with a cache folder of its own."""

    def __init__(self, address: str, *, script: str = CLIENT, **more: str) -> None:
        command, surroundings = [sys.executable, "-c", script], _surroundings(Path("none"), address, **more)
        self.process = subprocess.Popen(command, env=surroundings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def ask(self, home: Path, *asked: Asked) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([str(home), asked]) + "\n")
        self.process.stdin.flush()

    def load(self, home: Path, *asked: Asked) -> list[dict[str, Any]]:
        """For each: was it there before; its path or the error; the path that is found afterwards."""
        assert self.process.stdout is not None
        self.ask(home, *asked)
        found: list[dict[str, Any]] = json.loads(self.process.stdout.readline())
        return found


@pytest.fixture(scope="module")
def server() -> Iterator[HubServer]:
    with HubServer() as found:
        yield found


@pytest.fixture(scope="module")
def client(server: HubServer) -> Iterator[Client]:
    with Client(server.address) as found:
        yield found


@pytest.fixture
def hub(server: HubServer) -> HubServer:
    """The server with one file, as if nothing had been asked yet."""
    server.reset()
    server.put(REPO, COMMIT, FILE, CONTENT)
    return server


def _holds_nothing_whole(home: Path) -> bool:
    """Nothing of the file is in the cache but, perhaps, what the client itself calls incomplete."""
    return all(path.name.endswith(".incomplete") for path in home.rglob("blobs/*")) and not list(home.rglob("*.csv"))


def _put_helpsteer(hub: HubServer, data_dir: Path) -> tuple[Path, str]:
    """Its made-up file, in the data folder and on the hub, and the commit."""
    access = source("helpsteer").card.access
    assert isinstance(access, Hub)
    assert access.revision is not None
    path = write_sample("helpsteer", data_dir) / "train.jsonl.gz"
    hub.put(access.repo, access.revision, path.name, path.read_bytes())
    return path, access.revision


# what comes


def test_a_file_comes_once_and_its_episodes_are_those_of_the_file(tmp_path: Path, hub: HubServer) -> None:
    _put_helpsteer(hub, tmp_path / "data")
    want = [str(episode) for episode in draw("helpsteer", data_dir=tmp_path / "data")]

    there, *drawn = _run(DRAW, tmp_path / "home", hub.address).splitlines()
    assert there == "False False"
    assert drawn == want
    n_requests = len(hub.requests)
    there, *again = _run(DRAW, tmp_path / "home", hub.address).splitlines()
    assert len(hub.requests) == n_requests, "what is in the cache is not asked for again"
    assert (there, again) == ("True True", want)
    assert _run(DRAW, tmp_path / "home", "http://127.0.0.1:1", HF_HUB_OFFLINE="1").splitlines() == [there, *want]


def test_a_file_in_the_data_folder_wins(tmp_path: Path, hub: HubServer, client: Client) -> None:
    place = tmp_path / "data" / "votes" / FILE
    place.parent.mkdir(parents=True)
    (fetched,) = client.load(tmp_path / "home", (REPO, COMMIT, FILE, str(tmp_path / "data")))
    assert Path(fetched["path"]).read_bytes() == CONTENT
    assert fetched["path"] == fetched["after"]
    assert fetched["path"].startswith(str(tmp_path / "home"))
    place.write_bytes(b"mine")
    n_requests = len(hub.requests)
    found = client.load(
        tmp_path / "home",
        (REPO, COMMIT, FILE, str(tmp_path / "data")),
        (REPO, LATER, FILE, str(tmp_path / "data")),
    )
    assert [one["path"] for one in found] == [one["after"] for one in found] == [str(place)] * 2
    assert len(hub.requests) == n_requests


def test_what_came_from_a_branch_stays(tmp_path: Path, hub: HubServer, client: Client) -> None:
    hub.branches = {(REPO, "main"): COMMIT, (REPO, "refs/convert/parquet"): COMMIT}
    asked: list[Asked] = [(REPO, branch, FILE, None) for branch in (None, "refs/convert/parquet", None)]
    first, other, second = client.load(tmp_path, *asked)
    assert [one["before"] for one in (first, other, second)] == [False, False, True]
    assert COMMIT in Path(first["path"]).parts, "the path, which a build records, names the commit"
    addresses = [asked.split(" ")[1] for asked in hub.requests if asked.startswith("HEAD")]
    assert addresses == [
        f"/datasets/people/votes/resolve/{branch}/data/all%20votes.csv" for branch in ("main", "refs%2Fconvert%2Fparquet")
    ]
    assert [f"https://huggingface.co{one}" for one in addresses] == [
        Hub(REPO, (FILE,), branch).how(FILE) for branch in (None, "refs/convert/parquet")
    ]
    hub.put(REPO, LATER, FILE, b"item,vote\nb,2\n")
    hub.branches = dict.fromkeys(hub.branches, LATER)
    again = client.load(tmp_path, *asked)
    assert {one["path"] for one in again} == {one["path"] for one in (first, other, second)} == {first["path"]}


# what stands in the way

WRONG = {
    "gated": (
        Fault(401, {"X-Error-Code": "GatedRepo"}),
        "gated: accept its terms at https://huggingface.co/datasets/people/gated, then log in (hf auth login, or HF_TOKEN);",
    ),
    "not-let-in": (
        Fault(403, {"X-Error-Code": "GatedRepo"}),
        "gated: accept its terms at https://huggingface.co/datasets/people/not-let-in, then log in",
    ),
    "unknown": (
        Fault(404, {"X-Error-Code": "RepoNotFound"}),
        "the hub has no data set people/unknown, or it is not for everyone",
    ),
    "private": (
        Fault(401, {"X-Error-Code": "RepoNotFound"}),
        "the hub has no data set people/private, or it is not for everyone",
    ),
    "disabled": (
        Fault(403, {"X-Error-Message": "Access to this resource is disabled."}),
        "the hub refuses it (403 Forbidden: Access to this resource is disabled)",
    ),
    "old-token": (
        Fault(401, {"X-Error-Message": "Invalid credentials in Authorization header"}),
        "the hub refuses it (401 Unauthorized: Invalid credentials in Authorization header); log in",
    ),
    "crowded": (Fault(429), "the hub did not give it (429 Too Many Requests); try again later"),
    "broken": (Fault(500), "the hub did not give it (500 Internal Server Error); try again later"),
    "mended": (
        Fault(503, {"X-Error-Message": "back at noon"}),
        "the hub did not give it (503 Service Unavailable: back at noon); try again later",
    ),
    "hangs-up": (Fault(0), "response"),
    "no-hub": (Fault(200), "no such file; what answers in place of the hub is not one (a proxy? HF_ENDPOINT?)"),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, server: HubServer, client: Client) -> dict[str, dict[str, Any]]:
    """What each data set that is at fault gave."""
    server.reset()
    server.faults = {f"people/{name}": fault for name, (fault, _) in WRONG.items()}
    asked: list[Asked] = [(f"people/{name}", COMMIT, FILE, "DATA") for name in WRONG]
    return dict(zip(WRONG, client.load(tmp_path_factory.mktemp("home"), *asked), strict=True))


def _check_error(found: dict[str, Any], repo: str, message: str, revision: str = COMMIT) -> None:
    """Which file, what stood in the way, from where, where to put it; and nothing seems to be there."""
    assert found["error"].startswith(f"votes: {FILE}: ")
    assert message in found["error"]
    how = f"get it from https://huggingface.co/datasets/{repo}/resolve/{revision}/data/all%20votes.csv"
    assert found["error"].endswith(f"; {how}; put it at DATA/votes/{FILE}")
    assert "\n" not in found["error"]
    assert (found["before"], found["path"], found["after"]) == (False, None, None)


@pytest.mark.parametrize("name", WRONG)
def test_a_data_set_that_is_not_given(told: dict[str, dict[str, Any]], name: str) -> None:
    _check_error(told[name], f"people/{name}", WRONG[name][1])


def test_what_is_not_there(tmp_path: Path, hub: HubServer, client: Client) -> None:
    hub.put(REPO, LATER, "another.csv", b"a")
    no_repo, no_commit, no_file = client.load(
        tmp_path,
        ("people/vote", COMMIT, FILE, "DATA"),
        (REPO, "f" * 40, FILE, "DATA"),
        (REPO, LATER, FILE, "DATA"),
    )
    _check_error(no_repo, "people/vote", "the hub has no data set people/vote, or it is not for everyone")
    _check_error(no_commit, REPO, f"the hub's data set {REPO} has no commit or branch {'f' * 40}", "f" * 40)
    _check_error(no_file, REPO, f"the hub's data set {REPO} has no file {FILE} at {LATER}", LATER)


def test_no_network(tmp_path: Path) -> None:
    with socket.socket() as deaf:  # bound, but nobody listens: every connection is refused
        deaf.bind(("127.0.0.1", 0))
        with Client(f"http://127.0.0.1:{deaf.getsockname()[1]}") as lonely:
            (found,) = lonely.load(tmp_path, (REPO, COMMIT, FILE, "DATA"))
    _check_error(found, REPO, "no such file; nor is it in the hub's cache, and the hub cannot be reached (no network? ")
    assert "refused" in found["error"]


def test_offline(tmp_path: Path, hub: HubServer) -> None:
    with Client(hub.address, HF_HUB_OFFLINE="1") as offline:
        (found,) = offline.load(tmp_path, (REPO, COMMIT, FILE, "DATA"))
    _check_error(found, REPO, "nor is it in the hub's cache, and the hub cannot be reached (HF_HUB_OFFLINE is set)")
    assert hub.requests == []


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert cached(Hub(REPO, (FILE,), COMMIT), FILE) is None
    with pytest.raises(
        DataError, match=r"no such file; with pip install 'pluralign\[hub\]' it is fetched .*; get it from .*; put"
    ):
        _require(tmp_path)


def _require(folder: Path) -> Path:
    access = Hub(REPO, (FILE,), COMMIT)
    card = Card(name="votes", what="", citation="", licence="", access=access, ran_on_real_file=False)
    return require_file(card, folder, FILE)


# what stays of a download that ends too early


def test_a_cut_download_is_made_whole(tmp_path: Path, hub: HubServer, client: Client) -> None:
    hub.cuts = [50_000, 20_000]
    tries = client.load(tmp_path, *[(REPO, COMMIT, FILE, None)] * 3)  # one, where the client goes on by itself
    n_cut = sum(found["before"] is False for found in tries) - 1
    assert [found["after"] is None for found in tries] == [True] * n_cut + [False] * (3 - n_cut)
    assert Path(tries[-1]["path"]).read_bytes() == CONTENT
    assert len(hub.downloads("votes.csv")) == 3


def test_a_download_that_is_always_cut_leaves_nothing_that_looks_whole(tmp_path: Path, hub: HubServer, client: Client) -> None:
    hub.cuts = [50_000] + [0] * 20
    (found,) = client.load(tmp_path, (REPO, COMMIT, FILE, "DATA"))
    _check_error(found, REPO, "it did not come whole from the hub: ")
    assert _holds_nothing_whole(tmp_path)
    hub.cuts = []
    (found,) = client.load(tmp_path, (REPO, COMMIT, FILE, "DATA"))
    assert (found["before"], Path(found["path"]).read_bytes()) == (False, CONTENT)


def test_a_process_that_is_killed_while_it_downloads(tmp_path: Path, hub: HubServer, client: Client) -> None:
    hub.cuts, hub.held = [50_000], threading.Event()
    with Client(hub.address) as killed:
        killed.ask(tmp_path, (REPO, COMMIT, FILE, None))
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not any(path.stat().st_size for path in tmp_path.rglob("*.incomplete")):
            time.sleep(0.01)
    hub.held.set()
    assert list(tmp_path.rglob("blobs/*")) != []
    assert _holds_nothing_whole(tmp_path)
    (found,) = client.load(tmp_path, (REPO, COMMIT, FILE, None))
    assert (found["before"], Path(found["path"]).read_bytes()) == (False, CONTENT)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_a_file_that_finds_no_room(tmp_path: Path, hub: HubServer, client: Client) -> None:
    with Client(hub.address, script=LIMITED) as limited:
        (found,) = limited.load(tmp_path, (REPO, COMMIT, FILE, "DATA"))
    _check_error(found, REPO, f"the hub's cache cannot be written: [Errno {errno.EFBIG}]")
    assert _holds_nothing_whole(tmp_path)
    (found,) = client.load(tmp_path, (REPO, COMMIT, FILE, "DATA"))
    assert Path(found["path"]).read_bytes() == CONTENT


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), RuntimeError("xet: No space left on device (28)")])
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def full(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", full)
    message = (
        r"the hub's cache cannot be written: .*No space left.*; make room there, or set HF_HOME to another folder; get it from"
    )
    with pytest.raises(DataError, match=message):
        _require(tmp_path)


def test_a_cache_that_is_no_folder(tmp_path: Path, hub: HubServer, client: Client) -> None:
    (tmp_path / "home").write_text("no folder")
    (found,) = client.load(tmp_path / "home", (REPO, COMMIT, FILE, "DATA"))
    _check_error(found, REPO, "the hub's cache cannot be written: ")
    storage = tmp_path / "other" / "hub" / "datasets--people--votes"
    storage.mkdir(parents=True)
    (storage / "snapshots").write_text("no folder")
    (found,) = client.load(tmp_path / "other", (REPO, COMMIT, FILE, "DATA"))
    _check_error(found, REPO, "the hub's cache cannot be written: ")


# a build


def _config(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return found


def _built(folder: Path) -> Sequence[str]:
    return sorted(hash_file(path) for path in folder.rglob("*.parquet"))


def test_a_build_of_what_only_the_cache_has(tmp_path: Path, hub: HubServer) -> None:
    path, commit = _put_helpsteer(hub, tmp_path / "data")
    script, home, out = tmp_path / "script.py", tmp_path / "home", tmp_path / "suite"
    script.write_text(BUILD)
    _run(str(script), home, hub.address, out, 1)
    assert hub.downloads("train.jsonl.gz") == [""]
    config, built = _config(out), _built(out)
    assert config["inputs_sha256"] == {"helpsteer/train.jsonl.gz": hash_file(path)}
    assert config["inputs"]["helpsteer/train.jsonl.gz"].startswith(str(home))
    assert commit in config["inputs"]["helpsteer/train.jsonl.gz"]
    assert json.loads((out / "manifest.json").read_text())["inputs_sha256"] == config["inputs_sha256"]

    (out / "manifest.json").unlink()
    for part in out.rglob("*.parquet"):
        part.unlink()
    n_requests = len(hub.requests)
    _run(str(script), home, hub.address, out, 2)
    assert len(hub.requests) == n_requests
    assert (_config(out), _built(out)) == (config, built)
    assert (out / "manifest.json").exists()
    build(["helpsteer", "cards"], out, data_dir=tmp_path / "data")  # the same bytes in another place: the same run
    assert (_config(out), _built(out)) == (config, built)
