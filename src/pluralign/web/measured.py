"""Counts and times of the service in the text format that Prometheus reads."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from pluralign.web.work import Worker

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Measured", "Measures"]

_BUCKETS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Measures:
    """A registry of this service alone."""

    def __init__(self, worker: Worker) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("pluralign_requests", "Requests", ["route", "status"], registry=self.registry)
        self.seconds = Histogram(
            "pluralign_request_seconds", "Seconds until the answer", ["route"], buckets=_BUCKETS, registry=self.registry
        )
        for name, about, read in (
            ("pluralign_questions_waiting", "Questions in the queue", lambda: worker.stats.n_waiting),
            ("pluralign_questions_answered", "Questions answered", lambda: worker.stats.n_answered),
            ("pluralign_questions_failed", "Questions whose answering failed", lambda: worker.stats.n_failed),
            ("pluralign_questions_turned_away", "Questions that found the queue full", lambda: worker.stats.n_turned_away),
            ("pluralign_batches", "Calls of the model", lambda: worker.stats.n_batches),
        ):
            Gauge(name, about, registry=self.registry).set_function(read)

    def text(self) -> bytes:
        return bytes(generate_latest(self.registry))


class Measured:
    """Counts each request under its route, never under the path that was asked for, of which there are endlessly many."""

    def __init__(self, app: ASGIApp, measures: Measures) -> None:
        self.app, self.measures = app, measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, start = "500", time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self.measures.requests.labels(route=route, status=status).inc()
            self.measures.seconds.labels(route=route).observe(time.perf_counter() - start)
