"""Sends requests to a server, so many at once, until each has an answer; nothing is lost, paid for twice, or made up.

A fixed number of workers take requests from one iterator, so that a million of them need the memory of a few. Each answer goes
into the cache at once: a process that is killed loses those on their way and of the last few milliseconds. The loop runs in a
thread of its own for each call, so that it works in a notebook, and Ctrl-C cancels it and returns within a second or so.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pluralign.errors import ModelError
from pluralign.models.background import all_of, wait_for
from pluralign.models.endpoint_faults import FIRST_BACKOFF_S, Dialect, Trouble, backoff_s, fatal_error, status_trouble
from pluralign.models.endpoint_prompts import Path
from pluralign.models.endpoint_replies import NoAnswer, NoLogprobs, Refused, Unreadable, read_usage
from pluralign.models.protocol import Outcome, Usage

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from pluralign.models.cache import ResponseCache

__all__ = ["Answer", "Budget", "Client", "Job", "Memory"]

UNREADABLE_TRIES = 3
"""Attempts at a reply that can be read, before it is what the server has to say."""
MOST_WAIT_S = 600.0
"""A server that asks to wait longer has run out of something: the run stops."""
WINDOW = 256
"""Requests whose answers are looked up together."""


@dataclass(frozen=True, slots=True)
class Job:
    """One request."""

    key: bytes
    path: Path
    body: dict[str, Any]
    read: Callable[[bytes], Any]
    """The answer in a reply, as JSON; raises Unreadable, NoLogprobs or Refused."""
    where: str
    """For errors."""
    most_tokens: int
    """Prompt and output tokens that it can cost."""
    asked: frozenset[str] = frozenset()
    """Fields of the body that the user asked for; the others may be left out where a server does not know them."""
    scoring: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request."""

    value: Any = None
    """None unless the outcome is "ok"."""
    outcome: Outcome = "ok"
    detail: str = ""


@dataclass(slots=True)
class Budget:
    """Tokens that may be used; requests under way count with all that they can cost."""

    limit: int | None
    used: int = 0
    reserved: int = 0

    def fits(self, most: int) -> bool:
        return self.limit is None or self.used + self.reserved + most <= self.limit

    def settle(self, most: int, used: int) -> None:
        self.reserved -= most
        self.used += used


@dataclass(slots=True)
class Memory:
    """What is known of the server, for as long as the model is open."""

    usage: Usage = field(default_factory=Usage)
    dialect: Dialect = field(default_factory=Dialect)
    has_replied: bool = False
    has_given_logprobs: bool = False
    is_probed: bool = False
    failed_in_a_row: int = 0
    not_before: float = 0.0
    """When requests may be sent again, by time.monotonic()."""


class Client:
    """Answers jobs. What it learns of the server, and what it used, stays from call to call."""

    def __init__(
        self,
        model: str,
        connect: Callable[[], AsyncOpenAI],
        cache: ResponseCache | None,
        *,
        concurrency: int,
        timeout_s: float,
        max_retries: int,
        max_tokens_total: int | None,
        first_backoff_s: float = FIRST_BACKOFF_S,
    ) -> None:
        self.model, self.cache = model, cache
        self.concurrency, self.timeout_s, self.max_retries = concurrency, timeout_s, max_retries
        self.first_backoff_s = first_backoff_s
        self.budget = Budget(max_tokens_total)
        self.memory = Memory()
        self._connect = connect
        self._randomness = random.Random()  # jitter only; no answer depends on it
        self._lock = threading.Lock()

    def answer(self, jobs: Iterable[Job]) -> dict[bytes, Answer]:
        """The answer to every job by its key; jobs with one key are one request. `jobs` is iterated in another thread.

        Raises ModelError or DataError for what no further attempt can change; answers so far are in the cache.
        """
        with self._lock:
            self.memory.failed_in_a_row = 0
            return wait_for(lambda: self._answer(jobs))

    async def _answer(self, jobs: Iterable[Job]) -> dict[bytes, Answer]:
        answers: dict[bytes, Answer] = {}
        missing = self._missing(jobs, answers)
        async with self._connect() as openai:
            keeper = _Keeper(self.cache, f"openai/{self.model}")
            session = _Session(self, openai, keeper, answers)
            try:
                if not self.memory.is_probed and (first := next(missing, None)) is not None:
                    await session.finish(first)  # alone, so that what is wrong for all is said once
                    self.memory.is_probed = True
                await all_of([session.work(missing) for _ in range(self.concurrency)])
            finally:
                await keeper.close()
        return answers

    def _missing(self, jobs: Iterable[Job], answers: dict[bytes, Answer]) -> Iterator[Job]:
        """Jobs that neither the cache nor an equal one before answers."""
        seen: set[bytes] = set()
        for window in _windows(jobs, WINDOW):
            kept = {} if self.cache is None else self.cache.get_many([job.key for job in window])
            for job in window:
                if job.key in kept:
                    answers[job.key] = Answer(kept[job.key])
                    self.memory.usage.cached += 1
                elif job.key not in seen:
                    seen.add(job.key)
                    yield job


class _Session:
    """One call's work, within its loop."""

    def __init__(self, client: Client, openai: AsyncOpenAI, keeper: _Keeper, answers: dict[bytes, Answer]) -> None:
        self.client, self.openai, self.keeper, self.answers = client, openai, keeper, answers
        self.memory, self.budget = client.memory, client.budget
        self._settled = asyncio.Condition()

    async def work(self, jobs: Iterator[Job]) -> None:
        for job in jobs:
            await self.finish(job)

    async def finish(self, job: Job) -> None:
        """Attempts until there is an answer; it is kept at once."""
        answer = await self._attempts(job)
        self.answers[job.key] = answer
        self.memory.failed_in_a_row = self.memory.failed_in_a_row + 1 if answer.outcome == "failed" else 0
        if answer.outcome == "ok":
            self.keeper.keep(job.key, answer.value)
        elif answer.outcome == "failed":
            self._give_up_early(answer.detail)

    async def _attempts(self, job: Job) -> Answer:
        sent = tries = unreadable = 0
        while True:
            result = await self._attempt(job, is_again=sent > 0)
            sent += 1
            if isinstance(result, Answer):
                return result
            if result is None:  # in other words: no failure, and no reason to wait
                continue
            tries += 1
            if isinstance(result, Unreadable):
                unreadable += 1
                if unreadable >= UNREADABLE_TRIES or tries > self.client.max_retries:
                    return self._unreadable(job, result)
                result = Trouble(str(result))
            if tries > self.client.max_retries:
                return Answer(None, "failed", f"{tries} attempts, the last: {result.detail}")
            await self._pause(result, tries - 1)

    async def _attempt(self, job: Job, *, is_again: bool) -> Answer | Trouble | Unreadable | None:
        """One request; None where the server wants it in other words."""
        import openai

        await self._may_send(job)
        usage = self.memory.usage
        usage.requests += 1
        usage.retries += is_again
        used, body = 0, self.memory.dialect.written(job.body, job.asked)
        try:
            async with asyncio.timeout(self.client.timeout_s):
                content = await self._send(job.path, body)
            self.memory.has_replied = True
            counted = read_usage(content)
            used = job.most_tokens if counted is None else sum(counted)
            usage.prompt_tokens += 0 if counted is None else counted[0]
            usage.output_tokens += 0 if counted is None else counted[1]
            return self._read(job, content)
        except openai.APIStatusError as error:
            self.memory.has_replied = True
            trouble = status_trouble(error)
            if trouble is not None:
                return trouble
            if error.status_code in (400, 422) and self.memory.dialect.learn(body, job.asked, str(error.body or error.message)):
                return None
            self.memory.dialect = Dialect()  # what was left out may not have been the reason
            raise fatal_error(error, model=self.client.model, where=job.where, scoring=job.scoring) from error
        except (TimeoutError, openai.APIConnectionError) as error:
            trouble = _connection_trouble(error, self.client.timeout_s)
            used = job.most_tokens if trouble.may_have_cost else 0
            return trouble
        finally:
            self.budget.settle(job.most_tokens, used)
            async with self._settled:
                self._settled.notify_all()

    async def _send(self, path: Path, body: dict[str, Any]) -> bytes:
        if path == "chat":
            fields = {name: value for name, value in body.items() if name != "messages"}
            reply: Any = await self.openai.chat.completions.with_raw_response.create(
                model=self.client.model, messages=body["messages"], extra_body=fields
            )
        else:
            fields = {name: value for name, value in body.items() if name != "prompt"}
            reply = await self.openai.completions.with_raw_response.create(
                model=self.client.model, prompt=body["prompt"], extra_body=fields
            )
        content: bytes = reply.http_response.content
        return content

    def _read(self, job: Job, content: bytes) -> Answer | Unreadable:
        try:
            answer = Answer(job.read(content))
        except Refused as error:
            return Answer(None, "refusal", str(error))
        except NoAnswer as error:
            return Answer(None, "malformed", str(error))
        except Unreadable as error:
            return error
        self.memory.has_given_logprobs |= job.scoring
        return answer

    def _unreadable(self, job: Job, error: Unreadable) -> Answer:
        if isinstance(error, NoLogprobs) and not self.memory.has_given_logprobs:
            raise ModelError(
                f"openai/{self.client.model}, {job.where}: the server replied 200, but {error}. Ways round: --elicit "
                "sampling, --elicit verbalised, or the model itself (hf/..., vllm/...)."
            )
        return Answer(None, "malformed", str(error))

    async def _may_send(self, job: Job) -> None:
        """Waits until the server's time has come and the budget has room."""
        while (wait := self.memory.not_before - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        async with self._settled:
            while not self.budget.fits(job.most_tokens):
                if not self.budget.reserved:
                    raise ModelError(
                        f"the budget of {self.budget.limit:,} tokens does not suffice: {self.budget.used:,} are used and "
                        f"{job.where} may take {job.most_tokens:,}; raise max_tokens_total and run again: what is finished is "
                        "in the cache, if there is one."
                    )
                await self._settled.wait()
            self.budget.reserved += job.most_tokens

    async def _pause(self, trouble: Trouble, attempt: int) -> None:
        wait = backoff_s(attempt, self.client.first_backoff_s, self.client._randomness)
        if trouble.retry_after_s is not None:
            if trouble.retry_after_s > MOST_WAIT_S:
                raise ModelError(
                    f"openai/{self.client.model}: {trouble.detail}; it asks to wait {trouble.retry_after_s:,.0f} s. Run again "
                    "then: what is finished is in the cache, if there is one."
                )
            wait = trouble.retry_after_s + self.client._randomness.uniform(0.0, self.client.first_backoff_s)
            self.memory.not_before = max(self.memory.not_before, time.monotonic() + trouble.retry_after_s)
        await asyncio.sleep(wait)

    def _give_up_early(self, detail: str) -> None:
        """Rather than fail a million times."""
        if not self.memory.has_replied:
            raise ModelError(
                f"no server replies at {self.openai.base_url}: {detail}. Check --base-url and that the server is running."
            )
        if self.memory.failed_in_a_row >= max(20, 2 * self.client.concurrency):
            raise ModelError(
                f"openai/{self.client.model}: {self.memory.failed_in_a_row} requests in a row failed, the last with: {detail}. "
                "Run again later: what is finished is in the cache, if there is one."
            )


class _Keeper:
    """Puts answers into the cache from a thread; while one write is under way the next ones gather."""

    def __init__(self, cache: ResponseCache | None, model: str) -> None:
        self.cache, self.model = cache, model
        self._waiting: dict[bytes, Any] = {}
        self._writer: asyncio.Task[None] | None = None

    def keep(self, key: bytes, value: Any) -> None:
        if self.cache is None:
            return
        self._waiting[key] = value
        if self._writer is not None and self._writer.done():
            self._writer.result()  # a cache that cannot be written to stops the run
            self._writer = None
        if self._writer is None:
            self._writer = asyncio.create_task(self._write(self.cache))

    async def close(self) -> None:
        if self._writer is not None:
            await self._writer

    async def _write(self, cache: ResponseCache) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, {}
            await asyncio.to_thread(cache.put_many, batch, model=self.model)


def _connection_trouble(error: Exception, timeout_s: float) -> Trouble:
    import openai

    cause = error.__cause__
    if type(cause).__name__ in ("ConnectError", "ConnectTimeout"):
        return Trouble(f"no connection: {cause}")
    if isinstance(error, TimeoutError | openai.APITimeoutError):
        return Trouble(f"no reply within {timeout_s:g} s", may_have_cost=True)
    return Trouble(f"the connection broke: {cause or error}", may_have_cost=True)


def _windows(jobs: Iterable[Job], size: int) -> Iterator[list[Job]]:
    window: list[Job] = []
    for job in jobs:
        window.append(job)
        if len(window) == size:
            yield window
            window = []
    if window:
        yield window
