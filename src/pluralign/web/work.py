"""One thread that asks the models, a bounded queue before it, and the questions that wait answered together.

Models are not made for several threads, and answer many questions at once quicker than one after the other. So all requests
of the service put their questions here: the thread takes all that wait for the same function, up to a number, and answers them
in one call. Where too many wait, the next one is turned away at once, with a guess of when to come again.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

__all__ = ["Busy", "Worker", "WorkerStats"]

Q = TypeVar("Q")
A = TypeVar("A")

_SMOOTH = 0.2
"""Weight of the newest batch in the mean seconds a question takes."""


class Busy(Exception):
    """The queue is full."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many questions wait; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class WorkerStats:
    """Counts since the start."""

    n_answered: int = 0
    n_failed: int = 0
    n_turned_away: int = 0
    n_batches: int = 0
    n_waiting: int = 0
    seconds_a_question: float = 0.0


@dataclass(slots=True, eq=False)
class _Asked:
    answer: Callable[[Sequence[Any]], Sequence[Any]]
    question: Any
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any] = field(repr=False)


class Worker:
    """`most_waiting` questions wait at most, `most_at_once` are answered in one call."""

    def __init__(self, *, most_waiting: int = 64, most_at_once: int = 16) -> None:
        self._most_waiting, self._most_at_once = most_waiting, most_at_once
        self._waiting: deque[_Asked] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self.stats = WorkerStats()
        self._thread = threading.Thread(target=self._work, name="models", daemon=True)
        self._thread.start()

    async def ask(self, answer: Callable[[Sequence[Q]], Sequence[A]], *questions: Q) -> list[A]:
        """What `answer`, called in the thread, says to them. Raises Busy where not all find room, else what it raised.

        `answer` may get the questions of several callers at once, in any grouping.
        """
        loop = asyncio.get_running_loop()
        asked = [_Asked(answer, question, loop, loop.create_future()) for question in questions]
        with self._changed:
            if self._closed or len(self._waiting) + len(asked) > self._most_waiting:
                self.stats.n_turned_away += len(asked)
                raise Busy(self._retry_after())
            self._waiting.extend(asked)
            self.stats.n_waiting = len(self._waiting)
            self._changed.notify()
        try:
            return [await one.future for one in asked]
        finally:
            for one in asked:  # whoever gave up is not worked for
                one.future.cancel()

    def close(self) -> None:
        """Stops behind the call that is under way; who still waits is turned away."""
        with self._changed:
            self._closed = True
            left = list(self._waiting)
            self._waiting.clear()
            self._changed.notify()
        for one in left:
            _hand_over(one, Busy(1))
        self._thread.join(timeout=60)

    def _retry_after(self) -> int:
        return max(1, min(60, math.ceil(len(self._waiting) * self.stats.seconds_a_question)))

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            if batch:
                self._do(batch)

    def _next(self) -> list[_Asked] | None:
        """What waits for the function that is first in the queue; None when closed."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            answer, others = self._waiting[0].answer, deque[_Asked]()
            taken: list[_Asked] = []
            while self._waiting:
                one = self._waiting.popleft()
                if one.future.cancelled():
                    continue
                if one.answer == answer and len(taken) < self._most_at_once:
                    taken.append(one)
                else:
                    others.append(one)
            self._waiting = others
            self.stats.n_waiting = len(others)
            return taken

    def _do(self, batch: list[_Asked]) -> None:
        start = time.perf_counter()
        try:
            answers = batch[0].answer([one.question for one in batch])
        except Exception as error:
            if len(batch) == 1:
                self.stats.n_failed += 1
                _hand_over(batch[0], error)
                return
            for one in batch:  # one question's fault is not its neighbours'
                self._do([one])
            return
        took = (time.perf_counter() - start) / len(batch)
        stats = self.stats
        stats.seconds_a_question = took if not stats.n_batches else (1 - _SMOOTH) * stats.seconds_a_question + _SMOOTH * took
        stats.n_batches += 1
        stats.n_answered += len(batch)
        for one, found in zip(batch, answers, strict=True):
            _hand_over(one, found)


def _hand_over(one: _Asked, found: Any) -> None:
    def put() -> None:
        if one.future.done():
            return
        if isinstance(found, Exception):
            one.future.set_exception(found)
        else:
            one.future.set_result(found)

    if not one.loop.is_closed():
        one.loop.call_soon_threadsafe(put)
