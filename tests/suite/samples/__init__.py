"""Made-up files in the shape of the sources' own: for each source a module with `write(folder)`, about ten rows.

`folder` is the source's own, `DATA_DIR/CARD.place`; it exists. The bytes are the same every time.
"""

from __future__ import annotations

import csv
import gzip
import importlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from pluralign.suite import source

Row = Mapping[str, Any]


def write_sample(name: str, data_dir: Path) -> Path:
    """The source's made-up files below this data folder; the source's folder comes back."""
    folder = data_dir / source(name).card.place
    folder.mkdir(parents=True, exist_ok=True)
    importlib.import_module(f"suite.samples.{name}").write(folder)
    return folder


def make_room(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_text(path: Path, text: str) -> None:
    make_room(path).write_bytes(text.encode())


def write_csv(path: Path, rows: Sequence[Row], *, delimiter: str = ",") -> None:
    """The keys of the first row are the header; None is an empty cell."""
    with make_room(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_json(path: Path, value: object) -> None:
    write_text(path, json.dumps(value, ensure_ascii=False))


def write_jsonl(path: Path, rows: Sequence[Row]) -> None:
    """Packed where the name ends in .gz."""
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    make_room(path).write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def write_parquet(path: Path, rows: Sequence[Row], schema: Mapping[str, Any] | None = None) -> None:
    pl.DataFrame(rows, schema_overrides=schema, infer_schema_length=None).write_parquet(make_room(path))


def write_zip(path: Path, members: Mapping[str, str | bytes]) -> None:
    with zipfile.ZipFile(make_room(path), "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
