"""The explorer behind its real server, on a free port of loopback."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from pluralign.web.app import explorer
from pluralign.web.backend import Backend
from pluralign.web.serve import LOOPBACK, bound_socket, server_of


@contextlib.contextmanager
def running(backend: Backend, *, runs: Path | None = None, most_waiting: int = 64) -> Iterator[str]:
    """Its address while it runs."""
    server = server_of(explorer(backend, runs=runs, most_waiting=most_waiting))
    made = bound_socket(LOOPBACK, 0)
    port = made.getsockname()[1]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [made]}, daemon=True)
    thread.start()
    end = time.monotonic() + 20
    while not server.started and time.monotonic() < end:
        time.sleep(0.02)
    try:
        yield f"http://{LOOPBACK}:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        made.close()
