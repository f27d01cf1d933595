"""Whole files and tables of a place: read as they are from this disk, copied or fetched from a store."""

from __future__ import annotations

import atexit
import functools
import hashlib
import io
import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pluralign.stores import place

if TYPE_CHECKING:
    import polars as pl

__all__ = ["on_disk", "read_parquet", "scan_parquet"]


def on_disk(path: str | os.PathLike[str]) -> Path:
    """The file itself, or of an object a copy of it that lies on the disk until this process ends. Raises OSError."""
    found = place(path)
    if isinstance(found, Path):
        return found
    size, tag = found.version()
    key = hashlib.sha256(f"{found} {size} {tag}".encode()).hexdigest()[:24]
    copy = _copies() / f"{key}{found.suffix}"
    if not tag or not copy.exists():
        unfinished = copy.with_name(f"{secrets.token_hex(6)}.unfinished")
        found.download(unfinished)
        os.replace(unfinished, copy)
    return copy


def read_parquet(path: str | os.PathLike[str]) -> pl.DataFrame:
    """A parquet file or object. Raises OSError or what polars raises."""
    import polars as pl

    found = place(path)
    return pl.read_parquet(found, glob=False) if isinstance(found, Path) else pl.read_parquet(io.BytesIO(found.read_bytes()))


def scan_parquet(*paths: str | os.PathLike[str]) -> pl.LazyFrame:
    """Parquet files or objects one behind the other, read as far as they are asked for. Raises OSError.

    Objects are copied to the disk first, so that any file system of fsspec will do and memory holds none of them whole.
    """
    import polars as pl

    return pl.scan_parquet([on_disk(path) for path in paths], glob=False)


@functools.cache
def _copies() -> Path:
    """Goes away with the process."""
    folder = tempfile.mkdtemp(prefix="pluralign-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
