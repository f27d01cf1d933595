"""Files that cannot be used: each error says which file, what is wrong, where to get it and where to put it."""

from __future__ import annotations

import dataclasses
import gzip
import re
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pluralign.errors import DataError
from pluralign.suite import reading
from pluralign.suite.card import Access, Card, Hub, Manual, OnRequest, Repository, Simulated, Source, Url
from pluralign.suite.reading import (
    files_there,
    is_available,
    missing_files,
    present_files,
    read_csv,
    read_json,
    read_jsonl,
    read_parquet,
    read_text,
    read_zip,
    require_file,
)
from pluralign.suite.task import Task

ADVICE = r"get it from https://example\.org/votes; put it at .*votes"


HERE = Url("https://example.org/votes", ("votes.csv",))


def _card(access: Access = HERE, folder: str | None = None) -> Card:
    return Card(
        name="votes",
        what="Votes.",
        citation="None",
        licence="CC0",
        access=access,
        ran_on_real_file=False,
        folder=folder,
    )


CARD = _card()


@pytest.mark.parametrize(
    ("access", "how"),
    [
        (Hub("a/b", ("f",), "0123"), "https://huggingface.co/datasets/a/b/resolve/0123/f"),
        (Hub("a/b", ("f",), "0123", gated=True), "accept its terms"),
        (Repository("https://example.org/r", "89ab", ("f",)), "the repository https://example.org/r, commit 89ab"),
        (Url("https://example.org/f", ("f",)), "https://example.org/f"),
        (Manual(("f",), "the form at example.org"), "the form at example.org"),
        (OnRequest(("f",), "its authors"), "its authors"),
    ],
)
def test_a_missing_file_says_where_to_get_it_and_where_to_put_it(tmp_path: Path, access: Access, how: str) -> None:
    with pytest.raises(DataError, match=rf"votes: f: no such file.*; get it from .*{re.escape(how)}.*; put it at {tmp_path}/f"):
        require_file(_card(access), tmp_path, "f")
    why = "the hub cannot be reached" if isinstance(access, Hub) else "no data folder was given; pass --data-dir"
    with pytest.raises(DataError, match=rf"{why} .* put it at DATA_DIR/elsewhere/f"):
        require_file(_card(access, "elsewhere"), None, "f")
    source = Source(_card(access, "elsewhere"), lambda folder: folder)
    assert missing_files(source, None) == missing_files(source, tmp_path) == ["elsewhere/f"]
    assert not is_available(source, tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "f").write_text("x")
    assert missing_files(source, tmp_path) == []
    assert present_files(source, tmp_path) == {"f": tmp_path / "elsewhere" / "f"}
    assert source.folder(tmp_path) == tmp_path / "elsewhere"
    assert source.folder(None) is None


def test_files_that_can_be_used_alone(tmp_path: Path) -> None:
    alone = dataclasses.replace(_card(Url("https://example.org/votes", ("a", "b"))), each_alone=True)
    source = Source(alone, lambda folder: files_there(alone, folder))
    with pytest.raises(DataError, match="votes: a: no such file"):
        present_files(source, tmp_path)
    with pytest.raises(DataError, match="votes: a: no such file"):
        source.load(tmp_path / "votes")
    (tmp_path / "votes").mkdir()
    (tmp_path / "votes" / "b").write_text("x")
    assert missing_files(source, tmp_path) == ["votes/a"]
    assert is_available(source, tmp_path)
    assert list(present_files(source, tmp_path)) == source.load(tmp_path / "votes") == ["b"]
    task = Task(name="t", kind="text", split="train", strands=lambda data, seed: [], files=("a",))
    assert not is_available(source, tmp_path, task)
    with pytest.raises(DataError, match="votes: a: no such file"):
        present_files(source, tmp_path, task)


def test_what_is_simulated_has_no_file() -> None:
    source = Source(_card(Simulated()), lambda folder: None)
    assert missing_files(source, None) == []
    assert is_available(source, None)
    assert "simulated" in source.card.access.how("f")


GZIPPED = gzip.compress(b"item,vote\na,1\n" * 100)
BAD = {
    "an empty file": (b"", "it is empty"),
    "a page": (
        b"\xef\xbb\xbf \n<!DOCTYPE html><html><body>Sign in</body></html>",
        "a page of HTML, saved in place of the file",
    ),
    "an older page": (b"<HTML>\n<p>gone", "a page of HTML"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a pointer of Git LFS"),
    "another encoding": ("item,vote\na,1\nstraße,1\n".encode("latin-1"), r"line 3: byte 0xdf is not utf-8"),
    "a renamed column": (b"item,votes\na,1\n", r"there is no such column: 'vote' is unknown; did you mean 'votes'\?"),
    "a row cut short": (b"item,vote,when\na,1,2\nb,1\n", r"line 3: 2 fields, the header has 3"),
    "a quote cut short": (b'item,vote\na,1\n"b,1\n', r"line 3"),
}


@pytest.mark.parametrize("what", BAD)
def test_tables_that_cannot_be_read(tmp_path: Path, what: str) -> None:
    content, message = BAD[what]
    (tmp_path / "votes.csv").write_bytes(content)
    with pytest.raises(DataError, match=rf"(?s)votes: votes\.csv: .*{message}.*{ADVICE}"):
        read_csv(CARD, tmp_path, "votes.csv", ["item", "vote"])


def test_a_packed_file_that_is_cut_short(tmp_path: Path) -> None:
    for content in (GZIPPED[:-12], b"item,vote\n", GZIPPED[:30] + b"\0\0" + GZIPPED[32:]):
        (tmp_path / "votes.csv.gz").write_bytes(content)
        with pytest.raises(DataError, match=rf"votes\.csv\.gz: it cannot be read: .*{ADVICE}"):
            read_csv(CARD, tmp_path, "votes.csv.gz", ["item", "vote"])
    (tmp_path / "votes.csv.gz").write_bytes(GZIPPED[:-2])
    with pytest.raises(DataError):
        read_text(CARD, tmp_path, "votes.csv.gz")


def test_tables_that_can_be_read(tmp_path: Path) -> None:
    wanted = {"vote": ["1", None], "item": ["a", "ü,\n"]}
    text = 'item,more,vote\na,x,1\n"ü,\n",y,\n'
    for name, content in {
        "v.csv": text.encode(),
        "bom.csv": b"\xef\xbb\xbf" + text.encode(),
        "v.csv.gz": gzip.compress(text.encode()),
    }.items():
        (tmp_path / name).write_bytes(content)
        assert read_csv(CARD, tmp_path, name, ["vote", "item"]).to_dict(as_series=False) == wanted
    (tmp_path / "old.csv").write_bytes(text.encode("latin-1"))
    assert read_csv(CARD, tmp_path, "old.csv", ["vote", "item"], encoding="latin-1").to_dict(as_series=False) == wanted


def test_rows_of_json(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    path.write_text('{"item": "a\u2028b", "vote": 1, "more": 2}\r\n\n{"item": "c", "vote": null}')
    assert read_jsonl(CARD, tmp_path, path.name, ["item", "vote"])[1] == {"item": "c", "vote": None}
    path.write_text('{"item": "a", "vote": 1}\n{"item": "b", "votes": 1}\n[1]\n{"item": ')
    with pytest.raises(
        DataError, match=rf"(?s)line 2: there is no such field: 'vote'.*line 3: an object.*line 4: not JSON.*{ADVICE}"
    ):
        read_jsonl(CARD, tmp_path, path.name, ["item", "vote"])
    path.write_text("\n \n")
    with pytest.raises(DataError, match="it holds no row"):
        read_jsonl(CARD, tmp_path, path.name, ["item"])
    path.write_text("{}\n" * 40)
    with pytest.raises(DataError, match="and 30 more"):
        read_jsonl(CARD, tmp_path, path.name, ["item"])


def test_one_document_of_json(tmp_path: Path) -> None:
    (tmp_path / "votes.json").write_text('{"a": [1]}')
    assert read_json(CARD, tmp_path, "votes.json") == {"a": [1]}
    (tmp_path / "votes.json").write_text('{"a": [1]')
    with pytest.raises(DataError, match=f"not JSON: .*{ADVICE}"):
        read_json(CARD, tmp_path, "votes.json")


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "votes.parquet"
    pl.DataFrame({"item": ["a"], "vote": [1], "more": [2.5]}).write_parquet(path)
    assert read_parquet(CARD, tmp_path, path.name, ["vote"]).to_dict(as_series=False) == {"vote": [1]}
    with pytest.raises(DataError, match=f"there is no such column: 'votes' is unknown; did you mean 'vote'.*{ADVICE}"):
        read_parquet(CARD, tmp_path, path.name, ["votes"])
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=f"it cannot be read: .*{ADVICE}"):
        read_parquet(CARD, tmp_path, path.name, ["vote"])
    path.write_bytes(b"<html>")
    with pytest.raises(DataError, match="a page of HTML"):
        read_parquet(CARD, tmp_path, path.name, ["vote"])


def test_archives(tmp_path: Path) -> None:
    path = tmp_path / "votes.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "ä")
        archive.writestr("bad.txt", b"\xff")
    assert list(read_zip(CARD, tmp_path, path.name, ["a.txt"])) == [("a.txt", "ä")]
    for members, message in ((["a.txt", "b.txt"], "the archive has no b.txt"), (["bad.txt"], "it cannot be read: .*utf-8")):
        with pytest.raises(DataError, match=rf"{message}.*{ADVICE}"):
            list(read_zip(CARD, tmp_path, path.name, members))
    for content in (path.read_bytes()[:-30], b"<html>"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=ADVICE):
            list(read_zip(CARD, tmp_path, path.name, ["a.txt"]))


def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "votes.csv").mkdir()
    readers: list[Any] = [
        read_text,
        read_json,
        lambda *where: read_parquet(*where, ["a"]),
        lambda *w: list(read_zip(*w, ["a"])),
    ]
    for read in readers:
        with pytest.raises(DataError, match=f"cannot be read: .*{ADVICE}"):
            read(CARD, tmp_path, "votes.csv")


# tables that are larger than what is held


@pytest.mark.parametrize("what", [name for name in BAD if name != "an empty file"])
def test_large_tables_that_cannot_be_read(tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_HELD", 0)
    content, message = BAD[what]
    (tmp_path / "votes.csv").write_bytes(content)
    message = message.replace("line 3: byte", "byte").replace("a quote cut short", "line 3").replace("utf-8", "utf-8.*")
    with pytest.raises(DataError, match=rf"(?s)votes: votes\.csv: .*{message}.*{ADVICE}"):
        read_csv(CARD, tmp_path, "votes.csv", ["item", "vote"])


@pytest.mark.parametrize("name", ["votes.csv", "votes.csv.gz"])
def test_large_tables_are_read_as_small_ones(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    long = "z" * 200_000  # longer than the csv module likes
    rows = [f'"item {i}, ""so"" called\nü",{i % 3 or ""},{long if i == 7 else i}' for i in range(50)]
    content = ("\ufeffitem,vote,more\n" + "\n".join(rows) + "\n\n").encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    for columns in (["item", "vote"], ["more", "item"]):
        small = read_csv(CARD, tmp_path, name, columns)
        with monkeypatch.context() as patch:
            patch.setattr(reading, "_HELD", 0)
            patch.setattr(reading, "_ROWS", 7)
            large = read_csv(CARD, tmp_path, name, columns)
        assert large.equals(small)
        assert large.height == 50
        assert large.schema == small.schema
    tail = "\n".join([*rows[:3], "short,1"])
    (tmp_path / "votes.csv").write_text(f"item,vote,more\n{tail}\n")
    for held in (0, 2**30):
        monkeypatch.setattr(reading, "_HELD", held)
        with pytest.raises(DataError, match="2 fields, the header has 3"):
            read_csv(CARD, tmp_path, "votes.csv", ["item"])
