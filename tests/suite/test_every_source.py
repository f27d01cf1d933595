"""What holds for every source with files, on its made-up rows (`samples/`): it draws, and no fault of a file passes.

A source is added to these tests by its module in `samples/`. `pytest tests/suite/test_every_source.py -k NAME` runs one.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pluralign.episodes import Episode
from pluralign.errors import DataError
from pluralign.suite import draw, read, source
from pluralign.suite.card import Simulated, Source
from pluralign.suite.check import check_episodes
from pluralign.suite.evaluation import Coverage, CoverageTask, TargetTask
from pluralign.suite.registry import SOURCES
from suite.samples import write_sample

WITH_FILES = [name for name in SOURCES if not isinstance(source(name).card.access, Simulated)]
TEXTS = (".csv", ".tsv", ".json", ".jsonl", ".txt")
MOST = 40
"""Episodes of a task that are looked at."""


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The data folder with the made-up files of one source."""
    write_sample(request.getfixturevalue("name"), tmp_path)
    return tmp_path


def _drawn(name: str, data_dir: Path) -> list[Episode]:
    return list(itertools.islice(draw(name, data_dir=data_dir, description_share=1.0), MOST))


def _all(found: Source, data_dir: Path) -> list[Any]:
    """Everything that the source makes of its files, for comparison."""
    made: list[Any] = [episode.to_dict() for task in found.tasks for episode in _drawn(task.name, data_dir)]
    for asked in found.evaluations:
        loaded = read(asked.name, data_dir)
        if isinstance(asked, TargetTask):
            made += itertools.islice(asked.rows(loaded, 0), MOST)
        else:
            spec = asked.make(loaded)
            made.append((spec.description, spec.examples, spec.closed))
    return made


def _data_files(found: Source, data_dir: Path) -> list[Path]:
    folder = found.folder(data_dir)
    assert folder is not None
    return sorted(path for path in folder.rglob("*") if path.is_file())


# what is drawn


@pytest.mark.parametrize("name", WITH_FILES)
def test_its_tasks_draw_without_a_fault_and_the_same_again(name: str, place: Path) -> None:
    found = source(name)
    assert found.tasks or found.evaluations
    for task in found.tasks:
        episodes = _drawn(task.name, place)
        checked = check_episodes(task.name, episodes)
        checked.faults.pop("an episode comes twice", None)  # of ten rows some sequences do
        assert not checked.faults, checked.lines()
        assert episodes == _drawn(task.name, place)
        assert {episode.task for episode in episodes} == {task.name}
        assert all(episode.description for episode in episodes), "each episode can be described"
        described = {str(episode.description) for episode in episodes}
        assert not any(re.search(r"\s{2,}|^\s|\s$", text) for text in described if "\n" not in text), described


@pytest.mark.parametrize("name", WITH_FILES)
def test_its_evaluations_are_whole(name: str, place: Path) -> None:
    for asked in source(name).evaluations:
        loaded = read(asked.name, place)
        if isinstance(asked, CoverageTask):
            whole_coverage(asked.make(loaded))
        else:
            whole_targets(asked, loaded)


def whole_coverage(spec: Coverage) -> None:
    assert len(spec.examples) == 3
    assert all(map(spec.is_valid, spec.examples)), [text for text in spec.examples if not spec.is_valid(text)]
    assert not spec.is_valid("")
    if spec.closed is not None:
        assert len(set(spec.closed)) == len(spec.closed)
        assert all(map(spec.is_valid, spec.closed))


def whole_targets(asked: TargetTask, loaded: Any) -> None:
    rows = list(itertools.islice(asked.rows(loaded, 0), 2000))
    assert rows
    assert rows == list(itertools.islice(asked.rows(loaded, 0), 2000))
    for row in rows:
        assert len(row.options) == len(row.shares) == len(set(row.options)) >= 2
        assert abs(sum(row.shares) - 1) < 1e-9
        assert min(row.shares) >= 0
        assert row.input.strip()


# what is refused


@pytest.mark.parametrize("name", WITH_FILES)
def test_a_missing_file_is_named_with_where_it_comes_from(name: str, tmp_path: Path) -> None:
    found = source(name)
    for task in (*found.tasks, *found.evaluations):
        with pytest.raises(DataError, match=rf"(?s)^{name}: .*get it from .*put it at {re.escape(str(tmp_path))}"):
            read(task.name, tmp_path)
        with pytest.raises(DataError, match="put it at DATA_DIR"):
            read(task.name, None)


def _is_refused(found: Source, data_dir: Path, path: Path) -> str:
    """The message about the file: of every task that reads it, and of one at least."""
    messages = []
    for task in (*found.tasks, *found.evaluations):
        try:
            if isinstance(asked := task, TargetTask | CoverageTask):
                loaded = read(asked.name, data_dir)
                _ = list(asked.rows(loaded, 0)) if isinstance(asked, TargetTask) else asked.make(loaded)
            else:
                _drawn(task.name, data_dir)
        except DataError as error:
            messages.append(str(error))
    assert messages, f"{path.name} was taken as it is"
    for message in messages:
        assert all(part in message for part in ("get it from", "put it at", path.name)), message
    return messages[0]


SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "html": lambda content: b"<!DOCTYPE html><html><body>Sign in to download</body></html>",
    "pointer": lambda content: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
}


@pytest.mark.parametrize("how", SPOILED)
@pytest.mark.parametrize("name", WITH_FILES)
def test_a_file_that_is_something_else_is_refused(name: str, how: str, place: Path) -> None:
    found = source(name)
    for path in _few_of_a_kind(_data_files(found, place)):
        content = path.read_bytes()
        path.write_bytes(SPOILED[how](content))
        _is_refused(found, place, path)
        path.write_bytes(content)


@pytest.mark.parametrize("name", WITH_FILES)
def test_a_file_cut_short_is_refused(name: str, place: Path) -> None:
    found = source(name)
    for path in _few_of_a_kind(_data_files(found, place)):
        content = path.read_bytes()
        path.write_bytes(_cut(path, content))
        _is_refused(found, place, path)
        path.write_bytes(content)


@pytest.mark.parametrize("name", WITH_FILES)
def test_a_text_in_another_encoding_is_refused(name: str, place: Path) -> None:
    found = source(name)
    for path in _few_of_a_kind(_data_files(found, place)):
        if path.suffix in TEXTS:
            content = path.read_bytes()
            middle = len(content) // 2
            path.write_bytes(content[:middle] + b"\xff\xe9" + content[middle:])
            assert re.search("byte 0x(ff|e9)", _is_refused(found, place, path))
            path.write_bytes(content)


@pytest.mark.parametrize("name", WITH_FILES)
def test_a_renamed_column_is_refused_or_was_not_used(name: str, place: Path) -> None:
    """Nothing is lost in silence: without a column either all is as before, or the error names it."""
    found = source(name)
    whole = _all(found, place)
    n_named = n_columns = 0
    for path in _few_of_a_kind(_data_files(found, place)):
        content = path.read_bytes()
        for column, changed in _without_columns(path, content):
            n_columns += 1
            path.write_bytes(changed)
            message = ""
            try:
                drawn = _all(found, place)
            except DataError as error:
                message = str(error)
            if message:
                assert column in message, message
                assert path.name in message, message
                n_named += 1
            else:
                assert drawn == whole, f"{path.name}: without {column!r} something else is drawn"
        path.write_bytes(content)
    assert n_named or not n_columns


def _few_of_a_kind(paths: list[Path]) -> Iterator[Path]:
    """At most two files of each name's shape, so that 27 lists are not all spoiled one by one."""
    kinds: dict[str, int] = {}
    for path in paths:
        kind = re.sub(r"\d+", "0", path.name)
        kinds[kind] = kinds.get(kind, 0) + 1
        kinds[path.suffix] = kinds.get(path.suffix, 0) + 1
        if kinds[kind] <= 2 and kinds[path.suffix] <= 12:
            yield path


def _cut(path: Path, content: bytes) -> bytes:
    """Ends within the last record; for a table after the first field of its last row."""
    if path.suffix in (".csv", ".tsv"):
        text = content.decode()
        rows = list(csv.reader(io.StringIO(text), delimiter=_delimiter(text)))
        whole, first = text.rstrip("\n").rsplit("\n", 1)[0], rows[-1][0]
        return f'{whole}\n"{first}'.encode() if len(rows[-1]) > 1 else content[:-3] + b'"'
    if path.suffix == ".txt":
        return content.rstrip()[: len(content.rstrip()) - 1]
    return content[: int(len(content) * 0.6)]


def _delimiter(text: str) -> str:
    header = text.split("\n", 1)[0]
    return max(",\t;|", key=header.count)


def _without_columns(path: Path, content: bytes) -> Iterator[tuple[str, bytes]]:
    """Each column (or field of the top level), and the file in which it has another name."""
    if path.suffix in (".csv", ".tsv"):
        text = content.decode()
        header, body = text.split("\n", 1)
        names = next(csv.reader([header], delimiter=_delimiter(text)))
        for column in names:
            out = io.StringIO()
            renamed = [f"{name}_was" if name == column else name for name in names]
            csv.writer(out, delimiter=_delimiter(text), lineterminator="\n").writerow(renamed)
            yield column, (out.getvalue() + body).encode()
    elif path.name.endswith((".jsonl", ".jsonl.gz")):
        unpacked = gzip.decompress(content) if path.suffix == ".gz" else content
        rows = [json.loads(line) for line in unpacked.decode().split("\n") if line]
        for column in rows[0]:
            lines = [json.dumps({f"{k}_was" if k == column else k: v for k, v in row.items()}) for row in rows]
            packed = "\n".join(lines).encode()
            yield column, gzip.compress(packed) if path.suffix == ".gz" else packed
    elif path.suffix == ".parquet":
        table = pl.read_parquet(io.BytesIO(content))
        for column in table.columns:
            out_bytes = io.BytesIO()
            table.rename({column: f"{column}_was"}).write_parquet(out_bytes)
            yield column, out_bytes.getvalue()


def test_these_tests_can_fail(tmp_path: Path) -> None:
    """A loader that takes a missing column for empty cells is caught by the comparison above."""
    folder = write_sample("helpsteer", tmp_path)
    [path] = _data_files(source("helpsteer"), tmp_path)
    assert path.parent == folder
    changed = dict(_without_columns(path, path.read_bytes()))
    assert {"prompt", "response", "helpfulness"} <= set(changed)
    path.write_bytes(changed["helpfulness"])
    with pytest.raises(DataError, match="helpfulness"):
        _all(source("helpsteer"), tmp_path)
    shutil.rmtree(folder)
    with pytest.raises(DataError, match="no such file"):
        _all(source("helpsteer"), tmp_path)
