"""Files that are written whole or not at all, and what is in them as a hash; on disk, or as objects of a store."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pluralign.errors import RunError
from pluralign.stores import Place, Url, place

__all__ = [
    "UNFINISHED",
    "atomic_write",
    "hash_file",
    "hash_folder",
    "read_json",
    "sync_folder",
    "write_json_atomic",
    "write_text_atomic",
]

REMEMBERED_FROM = 1 << 20
"""Bytes of a file whose hash a process remembers."""
UNFINISHED = ".pluralign-*.tmp"
"""Names of files that are being written; one that is left over belongs to a process that was killed."""


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], *, keep_first: bool = False) -> Iterator[IO[bytes]]:
    """A binary file to write into, which becomes `path` when the block ends, whole, or not at all.

    What was at `path` before stays until then, and stays if anything fails; with `keep_first` it stays in any case, and what
    was written now goes away. Raises RunError where the disk or the store refuses.
    """
    target = place(path)
    try:
        with _stored(target, keep_first) if isinstance(target, Url) else _on_disk(target, keep_first) as file:
            yield file
    except OSError as error:
        raise RunError(
            f"{target}: cannot be written: {error.strerror or error}; what was there before is unchanged."
        ) from error


@contextlib.contextmanager
def _on_disk(target: Path, keep_first: bool) -> Iterator[IO[bytes]]:
    temporary = target.with_name(UNFINISHED.replace("*", secrets.token_hex(6)))
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if keep_first and target.exists():
            return
        os.replace(temporary, target)
        with contextlib.suppress(OSError):  # the file is whole under its name already
            sync_folder(target.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _stored(target: Url, keep_first: bool) -> Iterator[IO[bytes]]:
    """Put together on the disk, then sent; an object has its name only when it is whole."""
    with tempfile.TemporaryDirectory(prefix="pluralign-") as folder:
        whole = Path(folder) / target.name
        with whole.open("xb") as file:
            yield file
        target.upload(whole, create=keep_first)


def write_text_atomic(path: str | os.PathLike[str], text: str, *, keep_first: bool = False) -> None:
    """The text as UTF-8, line ends as they are."""
    data = text.encode()
    with atomic_write(path, keep_first=keep_first) as file:
        file.write(data)


def write_json_atomic(path: str | os.PathLike[str], value: Any, *, keep_first: bool = False) -> None:
    """The value as JSON, keys in their order. Raises RunError on NaN or infinity, which JSON does not have (write null)."""
    try:
        text = json.dumps(value, allow_nan=False, indent=1)  # in ASCII, which half a surrogate pair from the data cannot break
    except (ValueError, TypeError) as error:
        raise RunError(f"{path}: this is not JSON: {error}; an undefined number is written as null.") from error
    write_text_atomic(path, text + "\n", keep_first=keep_first)


def read_json(path: str | os.PathLike[str]) -> Any:
    """Raises RunError when the file cannot be read or is not JSON."""
    found = place(path)
    try:
        return json.loads(found.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise RunError(f"{found}: cannot be read as JSON: {why}; remove the file to have it made again.") from error


def hash_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of the content, as 64 hexadecimal digits; read in blocks, so size does not matter.

    A process reads a large file once for as long as its size and time of change, in nanoseconds, stay the same; an object of a
    store for as long as its size and ETag do. An ETag itself is no hash of the content where an object was sent in parts.
    """
    where = place(path)
    if isinstance(where, Url):
        size, tag = where.version()
        return _remembered_object(where, size, tag) if tag else _object_digest(where)
    found = os.stat(path)
    if found.st_size < REMEMBERED_FROM:
        return _digest(os.fspath(path))
    times = found.st_mtime_ns, found.st_ctime_ns
    return _remembered_digest(os.fspath(path), (found.st_dev, found.st_ino, found.st_size, *times))


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.lru_cache(maxsize=10_000)
def _remembered_digest(path: str, _: tuple[int, ...]) -> str:
    return _digest(path)


@functools.lru_cache(maxsize=10_000)
def _remembered_object(path: Url, *_: int | str) -> str:
    return _object_digest(path)


def _object_digest(path: Url) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(REMEMBERED_FROM):
            digest.update(block)
    return digest.hexdigest()


def hash_folder(path: str | os.PathLike[str]) -> str:
    """SHA-256 over the sorted relative names and contents of all files below; the folder's own name and times do not count.

    A link to a file counts as the file; a link to a folder as the name it points to, and is not followed. A folder of a store
    has the hash of its copy on disk.
    """
    root, whole = place(path), hashlib.sha256()
    for name, content in sorted(_entries(root)):
        whole.update(f"{name}\0{content}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _entries(root: Place) -> Iterator[tuple[str, str]]:
    if isinstance(root, Url):
        yield from ((name, hash_file(root / name)) for name in root.names())
        return
    for folder, subfolders, files in os.walk(root, onerror=_raise):
        here = Path(folder)
        for name in files:
            yield (here / name).relative_to(root).as_posix(), hash_file(here / name)
        for name in subfolders:
            if (here / name).is_symlink():
                yield (here / name).relative_to(root).as_posix(), f"-> {os.readlink(here / name)}"


def _raise(error: OSError) -> None:
    raise error


def sync_folder(folder: Path) -> None:
    """Makes renames in a folder last, or what a file holds; where the system opens no folders, as far as it goes.

    Raises OSError where the disk refuses.
    """
    with contextlib.suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
