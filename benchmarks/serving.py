"""The explorer under load on loopback: many clients, many requests, over the embedded model.

    python benchmarks/serving.py [--full]

50 clients send 2,000 requests for the values of situations (--full; else 5 and 40), each its next one when the last is
answered. Half of the requests are new situations, half repeat one, which is remembered. Meanwhile as many slow clients hold
half-sent requests open. Then four times as many clients as the queue has places ask at once. The claims: the first get no
error, slow clients or not; beyond the queue the answer is 503 with Retry-After, and never more wait than there are places.
Reported: seconds until the answer (median, 95th percentile), requests a second. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import httpx

from pluralign.serving import model_backend
from pluralign.suite.embedded_world import situation_texts
from pluralign.values.setup import SystemSettings
from pluralign.web.app import explorer
from pluralign.web.serve import LOOPBACK, bound_socket, server_of

N_CANDIDATES = 30
PLACES = 64
"""In the queue, as `pluralign serve` has them."""
Answer = tuple[int, float, str | None]
"""Status, seconds, Retry-After."""


async def load(address: str, situations: Sequence[str], clients: int) -> list[Answer]:
    """Each client sends its next request when the last is answered."""
    left = iter(situations)
    found: list[Answer] = []

    async def one(client: httpx.AsyncClient) -> None:
        for situation in left:
            start = time.perf_counter()
            answer = await client.post("/api/values", json={"situation": situation})
            found.append((answer.status_code, time.perf_counter() - start, answer.headers.get("retry-after")))

    async with httpx.AsyncClient(base_url=address, timeout=600, limits=httpx.Limits(max_connections=clients)) as client:
        await asyncio.gather(*(one(client) for _ in range(clients)))
    return found


@contextlib.contextmanager
def running(backend: Any) -> Iterator[tuple[str, int, Any]]:
    """Address, port and the app's worker."""
    app = explorer(backend, most_waiting=PLACES)
    server, made = server_of(app), bound_socket(LOOPBACK, 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [made]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    port = made.getsockname()[1]
    try:
        yield f"http://{LOOPBACK}:{port}", port, app.state.worker
    finally:
        server.should_exit = True
        thread.join()
        made.close()


@contextlib.contextmanager
def slow_clients(port: int, n: int) -> Iterator[None]:
    """So many connections that send the head of a request and the first byte of its body, and no more."""
    head = "POST /api/values HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n{"
    opened = [socket.create_connection((LOOPBACK, port)) for _ in range(n)]
    for one in opened:
        one.sendall(head.encode())
    try:
        yield
    finally:
        for one in opened:
            one.close()


@contextlib.contextmanager
def watched(worker: Any) -> Iterator[list[int]]:
    """How many waited at most, looked at a thousand times a second."""
    most, ended = [0], threading.Event()

    def look() -> None:
        while not ended.wait(0.001):
            most[0] = max(most[0], worker.stats.n_waiting)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()


def row(case: str, ours: object, unit: str, target: object) -> dict[str, object]:
    return {"case": case, "ours": ours, "peer": None, "ratio": None, "unit": unit, "target": target}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    asked = parser.parse_args()
    clients, n = (50, 2_000) if asked.full else (5, 40)
    texts = situation_texts()
    situations = [texts[(k // 2 * 7) % len(texts)] for k in range(n)]  # each comes twice, one behind the other
    others = [texts[(k * 7 + 3) % len(texts)] for k in range(4 * PLACES)]  # none of them was asked before
    backend = model_backend("embedded", system=SystemSettings(n=N_CANDIDATES, explain=False))
    with running(backend) as (address, port, worker):
        asyncio.run(load(address, texts[1:2], 1))
        start = time.perf_counter()
        with slow_clients(port, clients):
            found = asyncio.run(load(address, situations, clients))
        took = time.perf_counter() - start
        with watched(worker) as most:
            crowd = asyncio.run(load(address, others, len(others)))
    seconds = sorted(one[1] for one in found)
    middle, late = (seconds[int(share * (len(seconds) - 1))] for share in (0.5, 0.95))
    errors = sum(status != 200 for status, _, _ in found)
    case = f"{n:,} requests by {clients} clients, beside {clients} that never finish theirs"
    print(f"{case}: {errors} errors, median {middle:.2f} s, 95 % {late:.2f} s, {n / took:.1f} a second")
    statuses = Counter(status for status, _, _ in crowd)
    told = sum(status == 503 and wait is not None and int(wait) >= 1 for status, _, wait in crowd)
    print(f"{len(others)} clients at once: {dict(statuses)}, {told} told when to come again; {most[0]} waited at most")
    is_as_said = set(statuses) == {200, 503} and told == statuses[503] and most[0] <= PLACES
    rows = [
        row(f"{case}: errors", errors, "", 0),
        row(f"{case}: median", round(middle, 3), "s", None),
        row(f"{case}: 95th percentile", round(late, 3), "s", None),
        row(f"{case}: answers a second", round(n / took, 2), "1/s", None),
        row(f"{len(others)} clients at once: turned away with 503", statuses[503], "", None),
        row(f"{len(others)} clients at once: of these told when to come again", told, "", statuses[503]),
        row(f"{len(others)} clients at once: waited at most", most[0], "", PLACES),
    ]
    print(json.dumps({"benchmark": "serving", "rows": rows}))
    if errors or not is_as_said:
        raise SystemExit(f"not as claimed: {errors} errors, {dict(statuses)}, {told} told, {most[0]} waited")


if __name__ == "__main__":
    main()
