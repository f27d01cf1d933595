"""The order of a file's rows decides neither who is chosen nor what is shown of them: for sources of people's judgments."""

from __future__ import annotations

import csv
import io
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pluralign.suite import read, source
from pluralign.suite.card import Simulated
from pluralign.suite.registry import SOURCES
from suite.samples import write_sample

FIRST_COUNTS = {"habermas"}
"""Of several answers of one person to a question the first in the file counts, so that people alone are compared."""
IN_PAIRS = {"helpsteer"}
"""Rows that follow one another belong together."""
ONE_ARCHIVE = {"babynames", "wvs"}
"""Files whose rows are not turned round here."""
OF_PEOPLE = [
    name
    for name in SOURCES
    if name not in IN_PAIRS
    and not isinstance(source(name).card.access, Simulated)
    and any(task.kind in ("individual", "population", "synthetic") for task in source(name).tasks)
]


def _drawn_from(name: str, data_dir: Path) -> dict[tuple[str, str], Any]:
    """Task and unit to all that a strand holds but for its order; without tasks of texts and of knowledge."""
    found: dict[tuple[str, str], Any] = {}
    for task in source(name).tasks:
        if task.kind not in ("text", "knowledge"):
            for strand in task.strands(read(task.name, data_dir), 0):
                assert not callable(strand.examples)
                pool = Counter((example.input, example.output) for example in strand.examples)
                told = (strand.descriptions, dict(strand.attributes), strand.options, strand.n_outputs, strand.n_episodes)
                found[task.name, strand.unit] = None if name in FIRST_COUNTS else (pool, told)
    return found


def _turned(path: Path, content: bytes) -> bytes:
    """The file with its rows in another order; as it is if it has none."""
    mixed = random.Random(0)
    if path.suffix == ".csv" and path.name != "summary.csv":  # which has no header
        head, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
        mixed.shuffle(rows)
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([head, *rows])
        return out.getvalue().encode()
    if path.suffix == ".jsonl" or path.name == "toxicity_ratings.json":
        lines = content.decode().split("\n")
        mixed.shuffle(lines)
        return "\n".join(lines).encode()
    if path.suffix == ".parquet":
        table, out_bytes = pl.read_parquet(io.BytesIO(content)), io.BytesIO()
        table.sample(fraction=1, shuffle=True, seed=1).write_parquet(out_bytes)
        return out_bytes.getvalue()
    if path.suffix == ".json" and "meta" not in path.name:  # which end in a comma that no JSON has
        document = json.loads(content)
        rows = list(document.items()) if isinstance(document, dict) else document
        mixed.shuffle(rows)
        return json.dumps(dict(rows) if isinstance(document, dict) else rows).encode()
    return content


@pytest.mark.parametrize("name", OF_PEOPLE)
def test_rows_in_another_order_are_the_same_people(name: str, tmp_path: Path) -> None:
    folder = write_sample(name, tmp_path)
    before = _drawn_from(name, tmp_path)
    n_turned = 0
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        path.write_bytes(_turned(path, content))
        n_turned += path.read_bytes() != content
        assert _drawn_from(name, tmp_path) == before, path.name
        path.write_bytes(content)
    assert bool(n_turned) != (name in ONE_ARCHIVE)
