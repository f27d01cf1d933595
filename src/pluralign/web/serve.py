"""Runs the explorer on a port of this machine."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from pluralign.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

__all__ = ["LOOPBACK", "bound_socket", "server_of"]

LOOPBACK = "127.0.0.1"
_SECONDS_TO_SHUT = 10


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that listens nowhere yet; port 0 takes a free one. Raises UsageError where it cannot be had."""
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError as error:
        raise UsageError(f"--host {host!r}: write an address of this machine, such as {LOOPBACK} or ::1.") from error
    made = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((str(address), port))
    except OSError as error:
        made.close()
        raise UsageError(f"--host {host} --port {port}: {error.strerror}; take another --port, or 0 for a free one.") from error
    return made


def server_of(app: FastAPI) -> uvicorn.Server:
    """A server of the app, to be run with sockets of its own; addresses that are asked for are not logged, for they hold
    people's texts."""
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise MissingExtraError("uvicorn", extra="serve") from error

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=_SECONDS_TO_SHUT,
        h11_max_incomplete_event_size=64 * 1024,
        ws="none",
    )
    return uvicorn.Server(config)
