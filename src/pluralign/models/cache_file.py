"""The SQLite file behind the cache: its tables, how it is opened, and what may be done when it cannot be."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["advice", "connect", "transaction"]

VERSION = 1
"""Of the tables."""
APPLICATION = 0x706C7561
"""Written into the file, so that it can be told from other programs' ("plua")."""
BUSY_S = 60.0
"""How long one process waits for others that are writing."""
_TABLES = (
    "CREATE TABLE responses (key BLOB PRIMARY KEY, model TEXT NOT NULL, created REAL NOT NULL, value TEXT NOT NULL)",
    "CREATE INDEX responses_of_model ON responses (model)",
)


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is written in the block, or nothing."""
    connection.execute("BEGIN IMMEDIATE")  # the lock is waited for here, not in the middle
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def connect(path: Path) -> sqlite3.Connection:
    """The open file, made if missing. Raises ValueError for another program's, or another version's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        _make_tables(connection)
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _make_tables(connection: sqlite3.Connection) -> None:
    if _versions(connection) == (APPLICATION, VERSION):
        return
    with transaction(connection):  # from here on no other process can be making the tables
        application, version = _versions(connection)
        if (application, version) == (APPLICATION, VERSION):
            return
        if application == APPLICATION:
            raise ValueError(f"its tables are of version {version}, this pluralign writes version {VERSION}")
        if application or connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
            raise ValueError("it is a database of another program")
        for statement in (*_TABLES, f"PRAGMA application_id = {APPLICATION}", f"PRAGMA user_version = {VERSION}"):
            connection.execute(statement)


def _versions(connection: sqlite3.Connection) -> tuple[int, int]:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    return application, connection.execute("PRAGMA user_version").fetchone()[0]


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Readers and a writer do not wait for each other. Switching waits for no lock by itself, so this does."""
    until = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def advice(error: Exception) -> str:
    """The end of an error's message."""
    if isinstance(error, sqlite3.OperationalError | OSError):
        return "set PLURALIGN_CACHE to a path that can be written, or do without it (--no-cache)."
    return "remove the file, if its answers may be asked for again, or set PLURALIGN_CACHE to another path."
