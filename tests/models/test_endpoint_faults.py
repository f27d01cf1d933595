"""Faults of servers and networks, kills and interrupts: nothing lost, nothing counted twice, nothing made up."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.fault_server import TRANSIENT, FaultServer, logprob
from pluralign.episodes import Episode, Example
from pluralign.errors import DataError, ModelError
from pluralign.models import ModelSettings
from pluralign.models.cache import ResponseCache
from pluralign.models.endpoint import EndpointModel
from pluralign.models.endpoint_client import WINDOW, Job
from pluralign.models.endpoint_faults import Dialect, backoff_s, retry_after_s
from pluralign.models.protocol import Query, SamplingSettings

OPTIONS = ("yes", "no")
EPISODE = Episode("t", (Example("yes", "first"),), options=OPTIONS)


def queries(n: int) -> list[Query]:
    return [Query(EPISODE, f"item {number}") for number in range(n)]


def model(server: FaultServer | str, cache: ResponseCache | None = None, **settings: Any) -> EndpointModel:
    url = server if isinstance(server, str) else server.url
    settings = {"api": "completions", "timeout_s": 20.0, "max_retries": 3, **settings}
    made = EndpointModel.open("m", ModelSettings(base_url=url, **settings), cache)
    made.client.first_backoff_s = 0.002
    return made


def expected(server: FaultServer, query: Query) -> list[float]:
    """Of each option and its end, from the known model."""
    values = []
    for option in OPTIONS:
        tokens = server.tokens(f"Input: first\n\nOutput: yes\n\nInput: {query.input}\n\nOutput: {option}\n\n")
        values.append(logprob(tokens[-3], tokens[-2]) + logprob(tokens[-2], tokens[-1]))
    return values


# many requests, some faulty


@pytest.mark.parametrize(("n", "hangs"), [(120, False), pytest.param(1000, True, marks=pytest.mark.slow)])
def test_of_many_requests_nothing_is_lost_or_counted_twice(n: int, hangs: bool) -> None:
    asked = queries(n // 2)
    faults = (*(one for one in TRANSIENT if hangs or one != "hang"), "refusal")
    with FaultServer(faults=faults, share=0.2, hang_s=2.5) as server:
        made = model(server, timeout_s=2.0 if hangs else 20.0)
        found = made.option_logprobs(asked)
        served, usage = server.log, made.usage
        for query, one in zip(asked, found, strict=True):
            assert one.outcome in ("ok", "refusal")
            if one.outcome == "ok":
                np.testing.assert_allclose(one.logprobs, expected(server, query), atol=1e-12)
    kinds, answered = server.kinds(), Counter(one.digest for one in served if one.kind in ("ok", "refusal"))
    assert sum(kinds[kind] for kind in (*TRANSIENT, "refusal")) > 0.1 * n
    assert len(answered) == n
    assert set(answered.values()) == {1}  # each got its answer once
    assert sum(one.outcome == "refusal" for one in found) <= kinds["refusal"] <= 2 * sum(o.outcome == "refusal" for o in found)
    assert usage.requests == len(served)
    assert usage.retries == len(served) - n
    # what was sent whole is counted, whether it could be read or not
    assert (usage.prompt_tokens, usage.output_tokens) == (server.prompt_tokens, server.output_tokens)


@pytest.mark.parametrize("fault", TRANSIENT)
def test_behind_each_fault_comes_the_answer(fault: str) -> None:
    """Also where the first request of all is faulty."""
    with FaultServer(faults=(fault,), share=1.0, hang_s=1.2) as server:
        made = model(server, timeout_s=0.8 if fault == "hang" else 20.0)
        [found] = made.option_logprobs(queries(1))
        np.testing.assert_allclose(found.logprobs, expected(server, queries(1)[0]), atol=1e-12)
    assert server.kinds() == {fault: 2, "ok": 2}
    assert (made.usage.requests, made.usage.retries) == (4, 2)


@pytest.mark.parametrize(
    ("fault", "outcome", "attempts"),
    [
        ("500", "failed", 4),
        ("reset", "failed", 4),
        ("wrong shape", "malformed", 3),
        ("cut json", "malformed", 3),
        ("refusal", "refusal", 1),
    ],
)
def test_a_fault_that_stays_is_an_outcome_and_is_not_kept(fault: str, outcome: str, attempts: int, tmp_path: Path) -> None:
    with FaultServer() as server, ResponseCache(tmp_path / "c") as cache:
        made = model(server, cache)
        assert made.option_logprobs(queries(1))[0].outcome == "ok"
        server.always = fault
        found = made.option_logprobs(queries(2))[1]
        assert (found.outcome, np.isnan(found.logprobs).all()) == (outcome, True)
        assert found.detail
        assert Counter(one.kind for one in server.log) == {"ok": 2, fault: 2 * attempts}
        server.always = None
        assert made.option_logprobs(queries(2))[1].outcome == "ok"


def test_samples_that_failed_or_were_refused_are_that() -> None:
    with FaultServer() as server:
        made = model(server, max_retries=1)
        server.always = "refusal"
        [[refused]] = made.sample(queries(1), SamplingSettings())
        server.always = "503"
        [[failed]] = made.sample(queries(1), SamplingSettings())
    assert (refused.finish_reason, refused.text) == ("refusal", "")
    assert failed.finish_reason == "failed"
    assert failed.detail == "2 attempts, the last: status 503: not now"


def test_logprobs_that_are_missing_from_one_reply_of_many_are_an_outcome() -> None:
    with FaultServer() as server:
        made = model(server)
        assert made.option_logprobs(queries(1))[0].outcome == "ok"  # so the server does give them
        server.faults, server.share, server.attempts = ("no logprobs",), 0.2, 9
        found = made.option_logprobs(queries(40))
    assert Counter(one.outcome for one in found).keys() == {"ok", "malformed"}


# waiting


def test_a_server_that_says_when_is_waited_for_by_all() -> None:
    with FaultServer(faults=("429 wait",), share=0.004, retry_after="1.0") as server:
        model(server, concurrency=4).option_logprobs(queries(60))
        times = sorted(one.at for one in server.log)
        told = next(one.at for one in server.log if one.kind == "429 wait")
    under_way = [at for at in times if told < at < told + 0.95]
    assert len(under_way) <= 12  # those that were on their way before the client had read it
    assert [at for at in times if at > told + 0.95]


def test_retry_after_in_all_its_forms() -> None:
    assert retry_after_s({"retry-after": "7"}) == 7.0
    assert retry_after_s({"retry-after": "0.25"}) == 0.25
    assert retry_after_s({"retry-after-ms": "1500", "retry-after": "9"}) == 1.5
    assert retry_after_s({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}, now=1445412500.0) == 10.0
    assert retry_after_s({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}) == 0.0
    assert [retry_after_s({"retry-after": text}) for text in ("", "soon", "-1", "nan", "inf")] == [None] * 5
    assert retry_after_s({}) is None


def test_backoff_grows_to_a_limit_with_full_jitter() -> None:
    randomness = random.Random(0)
    for attempt, most in ((0, 0.5), (1, 1.0), (3, 4.0), (10, 30.0), (1000, 30.0)):
        drawn = [backoff_s(attempt, 0.5, randomness) for _ in range(300)]
        assert 0 <= min(drawn) < 0.1 * most
        assert 0.9 * most < max(drawn) <= most


def test_a_wait_of_an_hour_stops_the_run() -> None:
    with FaultServer(always="429 wait", retry_after="3600") as server, pytest.raises(ModelError, match="asks to wait 3,600 s"):
        model(server).option_logprobs(queries(50))
    assert len(server.log) == 1


# what no attempt can change


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("401", "401: not now. Set OPENAI_API_KEY"),
        ("403", "403: not now. Set OPENAI_API_KEY"),
        ("404", "404: not now. Check the name 'm'"),
        ("402", "402: not now"),
        ("429 quota", "429: not now. The account has no money left"),
    ],
)
def test_a_request_that_cannot_succeed_stops_the_run_at_once(fault: str, said: str) -> None:
    with FaultServer(always=fault) as server, pytest.raises(ModelError, match=said):
        model(server).sample(queries(50), SamplingSettings())
    assert len(server.log) == 1


def test_no_server_at_all() -> None:
    with FaultServer() as server:
        url = server.url
    with pytest.raises(ModelError, match=r"no server replies at http://127.*Check --base-url"):
        model(url).option_logprobs(queries(50))


def test_a_server_that_went_away_stops_the_run() -> None:
    with FaultServer() as server:
        made = model(server, max_retries=0, concurrency=2)
        made.option_logprobs(queries(1))
        server.always = "500"
        with pytest.raises(ModelError, match=r"20 requests in a row failed.*status 500"):
            made.option_logprobs(queries(100))
        assert len(server.log) < 30


def test_a_context_that_is_too_long_says_how_long() -> None:
    with (
        FaultServer(max_context=30) as server,
        pytest.raises(DataError, match=r"request 2 \(t, 1 examples\).*length is 30 tokens"),
    ):
        model(server).option_logprobs([*queries(1), Query(EPISODE, "many words " * 20)])


def test_fields_are_left_out_only_where_the_server_named_them() -> None:
    dialect, none = Dialect(), frozenset[str]()
    body = {"max_tokens": 5, "top_k": 0, "min_p": 0.0, "response_format": {}}
    assert not dialect.learn(body, none, "something else")
    assert dialect.learn(body, none, "top_k must be -1 (disable), or at least 1")
    assert dialect.written(body, none)["top_k"] == -1
    assert dialect.written({"top_k": 7}, frozenset({"top_k"})) == {"top_k": 7}
    assert dialect.learn(dialect.written(body, none), none, "Unknown parameter: top_k")
    assert "top_k" not in dialect.written(body, none)
    assert dialect.learn(body, none, "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.")
    assert dialect.written(body, none) == {"max_completion_tokens": 5, "min_p": 0.0, "response_format": {}}
    assert not dialect.learn(dialect.written(body, none), none, "max_completion_tokens is too large")


# limits of the client


def test_no_more_requests_at_once_than_allowed_and_none_prepared_far_ahead() -> None:
    taken = 0

    def jobs() -> Iterator[Job]:
        nonlocal taken
        for number in range(100_000):
            taken += 1
            body = {"prompt": f"{number}", "max_tokens": 1}
            yield Job(str(number).encode(), "completions", body, len, "job", 10)

    with FaultServer(latency_s=0.005) as server:
        made = model(server, concurrency=5, max_tokens_total=1_000)
        with pytest.raises(ModelError, match="budget of 1,000 tokens"):
            made.client.answer(jobs())
        assert 300 <= len(server.log) <= 500  # two tokens each
        assert taken <= len(server.log) + 2 * WINDOW
        assert 1 < server.most_at_once <= 5


def test_a_budget_is_never_exceeded_and_what_is_finished_is_kept(tmp_path: Path) -> None:
    with FaultServer(latency_s=0.002) as server, ResponseCache(tmp_path / "c") as cache:
        made = model(server, cache, max_tokens_total=2_000)
        with pytest.raises(ModelError, match=r"budget of 2,000 tokens.*raise max_tokens_total"):
            made.option_logprobs(queries(200))
        spent = server.prompt_tokens + server.output_tokens
        assert 1_800 < spent <= 2_000
        assert spent == made.usage.prompt_tokens + made.usage.output_tokens
        served = len(server.log)
        assert cache.stats().entries == served
        more = model(server, cache)
        assert all(one.outcome == "ok" for one in more.option_logprobs(queries(200)))
        assert len(server.log) == 400  # none twice
        assert more.usage.cached == served


def test_replies_that_were_lost_count_as_paid() -> None:
    with FaultServer() as server:
        made = model(server, max_tokens_total=400, max_retries=0, concurrency=1)
        made.option_logprobs(queries(1))
        server.always = "half-sent"
        with pytest.raises(ModelError, match="budget of 400 tokens"):
            made.option_logprobs(queries(100))
    assert 3 < len(server.log) < 12  # at most 60 tokens each, by their bytes


def test_a_reply_that_drips_is_not_waited_for() -> None:
    """Each byte comes in time; the whole would take a quarter of a minute."""
    with FaultServer(faults=("drip",), share=1.0, hang_s=15.0) as server:
        started = time.monotonic()
        [[sample]] = model(server, timeout_s=0.6).sample(queries(1), SamplingSettings())
        assert sample.finish_reason == "stop"
        assert time.monotonic() - started < 8


def test_a_server_that_does_not_count_is_counted_from_above() -> None:
    with FaultServer(drops=("usage",)) as server:
        made = model(server, max_tokens_total=1_000)
        with pytest.raises(ModelError, match="budget"):
            made.option_logprobs(queries(100))
        assert server.prompt_tokens + server.output_tokens <= 1_000
        assert made.usage.prompt_tokens == 0


# threads, loops, interrupts, kills


def test_works_inside_a_loop_that_is_running_and_leaves_no_thread() -> None:
    async def notebook() -> str:
        return model(server).option_logprobs(queries(3))[2].outcome

    with FaultServer() as server:
        assert asyncio.run(notebook()) == "ok"
        assert not [one for one in threading.enumerate() if one.name == "pluralign-endpoint"]


def test_one_model_in_several_threads() -> None:
    with FaultServer() as server:
        made, found = model(server), []
        threads = [threading.Thread(target=lambda: found.extend(made.option_logprobs(queries(10)))) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert len(found) == 40
        assert made.usage.requests == len(server.log) == 80


SCRIPT = textwrap.dedent(
    """
    import sys
    from pluralign.episodes import Episode, Example
    from pluralign.models import ModelSettings
    from pluralign.models.cache import ResponseCache
    from pluralign.models.endpoint import EndpointModel
    from pluralign.models.protocol import Query

    url, cache, n = sys.argv[1:]
    made = EndpointModel.open("m", ModelSettings(base_url=url, api="completions", concurrency=8), ResponseCache(cache))
    episode = Episode("t", (Example("yes", "first"),), options=("yes", "no"))
    found = made.option_logprobs([Query(episode, f"item {number}") for number in range(int(n))])
    print(sum(one.outcome == "ok" for one in found), made.usage.requests, made.usage.cached)
    """
)


def _stopped_midway(server: FaultServer, cache: Path, signal_number: int) -> tuple[int, float, str]:
    """Runs the script until a third of 300 requests were served; how many were, how long it took to end, what it said."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, server.url, str(cache), "150"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while len(server.served) < 100:
        assert process.poll() is None
        time.sleep(0.002)
    stopped = time.monotonic()
    process.send_signal(signal_number)
    _, said = process.communicate(timeout=20)
    assert process.returncode != 0
    return len(server.log), time.monotonic() - stopped, said


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_stopped_goes_on_where_it_was(signal_number: int, tmp_path: Path) -> None:
    """No finished request is sent again but those on their way (8) and of the last moments."""
    with FaultServer(latency_s=0.02) as server:
        served, took_s, said = _stopped_midway(server, tmp_path / "c", signal_number)
        assert 100 <= served < 300
        if signal_number == signal.SIGINT:
            assert took_s < 6
            assert said.rstrip().endswith("KeyboardInterrupt")
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, server.url, str(tmp_path / "c"), "150"], capture_output=True, text=True, check=True
        )
        ok, requests, cached = map(int, done.stdout.split())
        times = Counter(one.digest for one in server.log)
    assert ok == 150
    assert requests + cached == 300
    assert len(times) == 300
    again = sum(count - 1 for count in times.values())
    assert again <= 16
    assert len(server.log) == served + requests
