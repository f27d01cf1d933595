"""A lock file: one process at a time works in a folder of this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

from pluralign.errors import RunError

__all__ = ["locked_file"]


def locked_file(path: Path) -> IO[bytes]:
    """The lock file, open and locked; the system lets go of it when the process ends, however it ends."""
    file = path.open("a+b")
    try:
        _lock_file(file)
    except OSError as error:
        if not isinstance(error, BlockingIOError | PermissionError):
            file.close()
            raise  # a file system without locks: not another process
        file.seek(0)
        holder = file.read(32).decode(errors="replace").strip()
        file.close()
        raise RunError(
            f"{path.parent}: another process{f' ({holder})' if holder else ''} works in this folder; "
            "wait for it, stop it, or pass another --out."
        ) from error
    file.truncate(0)
    file.write(f"pid {os.getpid()}".encode())
    file.flush()
    return file


if sys.platform == "win32":
    import msvcrt

    def _lock_file(file: IO[bytes]) -> None:
        file.seek(1 << 30)  # far behind the text, which others may then still read
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock_file(file: IO[bytes]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
