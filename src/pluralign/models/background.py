"""Runs a coroutine to its end from code that is not asynchronous, also where a loop is already running, as in a notebook."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Any, TypeVar

__all__ = ["all_of", "wait_for"]

T = TypeVar("T")


def wait_for(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What the coroutine returns, run by a loop in a thread of its own; an interrupt cancels it first."""
    result: Future[T] = Future()
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[T]]] = []

    async def main() -> T:
        task = asyncio.ensure_future(make())
        running.append((asyncio.get_running_loop(), task))
        return await task

    def work() -> None:
        try:
            result.set_result(asyncio.run(main()))
        except BaseException as error:
            result.set_exception(error)

    thread = threading.Thread(target=work, name="pluralign-endpoint", daemon=True)
    thread.start()
    try:
        while True:
            with contextlib.suppress(NotYet):
                return result.result(timeout=0.5)  # in pieces, since some platforms do not interrupt a wait
            if result.done():
                return result.result()
    except BaseException:
        for loop, task in running:
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                loop.call_soon_threadsafe(task.cancel)
        raise
    finally:
        thread.join(timeout=10.0)


async def all_of(work: list[Coroutine[Any, Any, None]]) -> None:
    """All of it; the first error stops the rest."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
