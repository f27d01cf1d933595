"""Files that are written whole or not at all, and what is in them as a hash."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pluralign.errors import RunError

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
def atomic_write(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A binary file to write into, which becomes `path` when the block ends, whole, or not at all.

    What was at `path` before stays until then, and stays if anything fails. Raises RunError where the disk refuses.
    """
    target = Path(path)
    temporary = target.with_name(UNFINISHED.replace("*", secrets.token_hex(6)))
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        with contextlib.suppress(OSError):  # the file is whole under its name already
            sync_folder(target.parent)
    except OSError as error:
        raise RunError(
            f"{target}: cannot be written: {error.strerror or error}; what was there before is unchanged."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text_atomic(path: str | os.PathLike[str], text: str) -> None:
    """The text as UTF-8, line ends as they are."""
    data = text.encode()
    with atomic_write(path) as file:
        file.write(data)


def write_json_atomic(path: str | os.PathLike[str], value: Any) -> None:
    """The value as JSON, keys in their order. Raises RunError on NaN or infinity, which JSON does not have (write null)."""
    try:
        text = json.dumps(value, allow_nan=False, indent=1)  # in ASCII, which half a surrogate pair from the data cannot break
    except (ValueError, TypeError) as error:
        raise RunError(f"{path}: this is not JSON: {error}; an undefined number is written as null.") from error
    write_text_atomic(path, text + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Raises RunError when the file cannot be read or is not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read as JSON: {error}; remove the file to have it made again.") from error


def hash_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of the content, as 64 hexadecimal digits; read in blocks, so size does not matter.

    A process reads a large file once for as long as its size and time of change, in nanoseconds, stay the same.
    """
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


def hash_folder(path: str | os.PathLike[str]) -> str:
    """SHA-256 over the sorted relative names and contents of all files below; the folder's own name and times do not count.

    A link to a file counts as the file; a link to a folder as the name it points to, and is not followed.
    """
    root, whole = Path(path), hashlib.sha256()
    for name, content in sorted(_entries(root)):
        whole.update(f"{name}\0{content}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _entries(root: Path) -> Iterator[tuple[str, str]]:
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
