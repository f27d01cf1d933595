"""The bounded queue before the models: batches of one kind, nobody waits for another's fault, and it says when it is full."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from pluralign.web.work import Busy, Worker


class Answers:
    """Two functions that double numbers, and may be held up."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[Any]]] = []
        self.go = threading.Event()
        self.go.set()

    def a(self, questions: Sequence[Any]) -> list[Any]:
        return self._doubled("a", questions)

    def b(self, questions: Sequence[Any]) -> list[Any]:
        return self._doubled("b", questions)

    def _doubled(self, kind: str, questions: Sequence[Any]) -> list[Any]:
        self.go.wait(5)
        self.batches.append((kind, list(questions)))
        if "bad" in questions:
            raise ValueError("a bad question")
        return [2 * one for one in questions]


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def worker(answers: Answers) -> Iterator[Worker]:
    made = Worker(most_waiting=8, most_at_once=4)
    yield made
    answers.go.set()
    made.close()


async def _held_up(worker: Worker, answers: Answers) -> asyncio.Task[list[Any]]:
    """The thread is busy with a first question until `go` is set."""
    answers.go.clear()
    first = asyncio.create_task(worker.ask(answers.a, 0))
    while worker.stats.n_waiting or not first:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    return first


def test_answers_come_back_in_order(worker: Worker, answers: Answers) -> None:
    assert asyncio.run(worker.ask(answers.a, 1, 2, 3)) == [2, 4, 6]


def test_what_waits_for_one_function_is_answered_together(worker: Worker, answers: Answers) -> None:
    async def play() -> None:
        first = await _held_up(worker, answers)
        others = [asyncio.create_task(worker.ask(getattr(answers, kind), n)) for n, kind in enumerate("aabaaa")]
        await asyncio.sleep(0.05)
        answers.go.set()
        await asyncio.gather(first, *others)

    asyncio.run(play())
    assert answers.batches == [("a", [0]), ("a", [0, 1, 3, 4]), ("b", [2]), ("a", [5])]
    assert worker.stats.n_batches == 4
    assert worker.stats.n_answered == 7


def test_a_full_queue_turns_away_at_once_and_all_or_none(worker: Worker, answers: Answers) -> None:
    async def play() -> None:
        first = await _held_up(worker, answers)
        waiting = asyncio.create_task(worker.ask(answers.a, *range(6)))
        await asyncio.sleep(0.02)
        start = time.perf_counter()
        with pytest.raises(Busy) as caught:
            await worker.ask(answers.a, 7, 8, 9)
        assert time.perf_counter() - start < 0.5
        assert caught.value.retry_after_s >= 1
        two = asyncio.create_task(worker.ask(answers.a, 7, 8))
        answers.go.set()
        assert await two == [14, 16]
        await asyncio.gather(first, waiting)

    asyncio.run(play())
    assert worker.stats.n_turned_away == 3


def test_one_question_s_fault_is_not_its_neighbours(worker: Worker, answers: Answers) -> None:
    async def play() -> list[Any]:
        first = await _held_up(worker, answers)
        tasks = [asyncio.create_task(worker.ask(answers.a, one)) for one in (1, "bad", 3)]
        await asyncio.sleep(0.05)
        answers.go.set()
        await first
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(play())
    assert [found[0], found[2]] == [[2], [6]]
    assert isinstance(found[1], ValueError)
    assert worker.stats.n_failed == 1


def test_who_gave_up_is_not_worked_for(worker: Worker, answers: Answers) -> None:
    async def play() -> None:
        first = await _held_up(worker, answers)
        gone = asyncio.create_task(worker.ask(answers.a, 99))
        await asyncio.sleep(0.02)
        gone.cancel()
        await asyncio.sleep(0.02)
        answers.go.set()
        await first
        assert await worker.ask(answers.a, 1) == [2]

    asyncio.run(play())
    assert all(99 not in questions for _, questions in answers.batches)


def test_closing_turns_away_who_waits(answers: Answers) -> None:
    worker = Worker()

    async def play() -> None:
        first = await _held_up(worker, answers)
        waiting = asyncio.create_task(worker.ask(answers.a, 1))
        await asyncio.sleep(0.02)
        closing = threading.Thread(target=worker.close)
        closing.start()
        with pytest.raises(Busy):
            await waiting
        answers.go.set()
        assert await first == [0]
        closing.join()
        with pytest.raises(Busy):
            await worker.ask(answers.a, 1)

    asyncio.run(play())
