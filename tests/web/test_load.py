"""The service under load, over real connections: nobody gets an error, a full queue says so, the slow hold up nobody."""

from __future__ import annotations

import asyncio
import socket
import time
from urllib.parse import urlsplit

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")
pytest.importorskip("httpx")

import httpx

from web.made_up_backend import MadeUpBackend
from web.running import running

CLIENTS = 50


async def _load(address: str, n: int, *, clients: int = CLIENTS) -> tuple[list[int], list[float], list[str | None]]:
    """Statuses, seconds and Retry-After of n requests by so many clients at once."""
    left = iter(range(n))
    statuses: list[int] = []
    seconds: list[float] = []
    waits: list[str | None] = []

    async def one(client: httpx.AsyncClient) -> None:
        for k in left:
            start = time.perf_counter()
            found = await client.post("/api/values", json={"situation": f"Situation {k}"})
            seconds.append(time.perf_counter() - start)
            statuses.append(found.status_code)
            waits.append(found.headers.get("retry-after"))

    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=address, timeout=60, limits=limits) as client:
        await asyncio.gather(*(one(client) for _ in range(clients)))
    return statuses, seconds, waits


@pytest.mark.slow
def test_fifty_clients_and_two_thousand_requests_without_an_error() -> None:
    backend = MadeUpBackend(seconds=0.02)
    with running(backend) as address:
        statuses, seconds, _ = asyncio.run(_load(address, 2_000))
    assert statuses == [200] * 2_000
    assert sorted(seconds)[int(0.95 * len(seconds))] < 5
    assert max(backend.calls) > 1  # what waits is answered together


def test_beyond_the_queue_is_503_with_when_to_come_again() -> None:
    with running(MadeUpBackend(seconds=0.3), most_waiting=4) as address:
        statuses, _, waits = asyncio.run(_load(address, 200))
    assert set(statuses) == {200, 503}
    refused = [wait for status, wait in zip(statuses, waits, strict=True) if status == 503]
    assert all(wait is not None and int(wait) >= 1 for wait in refused)


def test_slow_clients_hold_up_nobody() -> None:
    with running(MadeUpBackend(seconds=0.01)) as address:
        where = urlsplit(address)
        slow = [socket.create_connection((where.hostname, where.port)) for _ in range(40)]
        for one in slow:
            one.sendall(
                b"POST /api/values HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n{"
            )
        statuses, seconds, _ = asyncio.run(_load(address, 100, clients=5))
        for one in slow:
            one.close()
    assert statuses == [200] * 100
    assert sorted(seconds)[95] < 2


def test_it_is_reached_on_loopback_alone() -> None:
    with running(MadeUpBackend()) as address:
        assert urlsplit(address).hostname == "127.0.0.1"
        where = urlsplit(address)
        others = {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
        for other in others:
            if not other.startswith("127."):
                with pytest.raises(OSError, match=r"refused|timed out"):
                    socket.create_connection((other, where.port), timeout=1)
