"""The explorer under load on loopback: many clients, many requests, over the embedded model.

    python benchmarks/serving.py [--full]

50 clients send 2,000 requests for the values of situations (--full; else 5 and 40), each its next one when the last is
answered. The claim: no error. Reported: seconds until the answer (median, 95th percentile) and requests a second. Half of the
requests are new situations, half repeat one, which is remembered. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
import time
from collections import Counter

import httpx

from pluralign.serving import model_backend
from pluralign.suite.embedded_world import situation_texts
from pluralign.values.setup import SystemSettings
from pluralign.web.app import explorer
from pluralign.web.serve import LOOPBACK, bound_socket, server_of

N_CANDIDATES = 30


async def load(address: str, situations: list[str], clients: int) -> tuple[Counter[int], list[float]]:
    left = iter(situations)
    statuses: Counter[int] = Counter()
    seconds: list[float] = []

    async def one(client: httpx.AsyncClient) -> None:
        for situation in left:
            start = time.perf_counter()
            found = await client.post("/api/values", json={"situation": situation})
            seconds.append(time.perf_counter() - start)
            statuses[found.status_code] += 1

    async with httpx.AsyncClient(base_url=address, timeout=600, limits=httpx.Limits(max_connections=clients)) as client:
        await asyncio.gather(*(one(client) for _ in range(clients)))
    return statuses, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    asked = parser.parse_args()
    clients, n = (50, 2_000) if asked.full else (5, 40)
    texts = situation_texts()
    situations = [texts[(k // 2 * 7) % len(texts)] for k in range(n)]  # each comes twice, one behind the other
    backend = model_backend("embedded", system=SystemSettings(n=N_CANDIDATES, explain=False))
    server = server_of(explorer(backend))
    made = bound_socket(LOOPBACK, 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [made]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    address = f"http://{LOOPBACK}:{made.getsockname()[1]}"
    asyncio.run(load(address, situations[:2], 1))
    start = time.perf_counter()
    statuses, seconds = asyncio.run(load(address, situations, clients))
    took = time.perf_counter() - start
    server.should_exit = True
    thread.join()
    made.close()
    seconds.sort()
    errors = sum(count for status, count in statuses.items() if status != 200)
    middle, late = (seconds[int(share * (len(seconds) - 1))] for share in (0.5, 0.95))
    case = f"{n:,} requests by {clients} clients"
    print(f"{case}: {errors} errors, median {middle:.2f} s, 95 % {late:.2f} s, {n / took:.0f} a second")
    rows = [
        {"case": f"{case}: errors", "ours": errors, "peer": None, "ratio": None, "unit": "", "target": 0},
        {"case": f"{case}: 95th percentile", "ours": round(late, 3), "peer": None, "ratio": None, "unit": "s", "target": None},
    ]
    print(json.dumps({"benchmark": "serving", "rows": rows}))
    if errors:
        raise SystemExit(f"answers other than 200: {dict(statuses)}")


if __name__ == "__main__":
    main()
