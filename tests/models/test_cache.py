from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralign.episodes import Episode, Example
from pluralign.errors import ModelError, RunError, UsageError
from pluralign.models import Query, SamplingSettings, open_model
from pluralign.models.answers import (
    options_from_json,
    options_to_json,
    outputs_from_json,
    outputs_to_json,
    request_key,
    sample_from_json,
    sample_to_json,
)
from pluralign.models.cache import CachedModel, ResponseCache, default_cache_path
from pluralign.models.protocol import OptionLogprobs, OutputLogprobs, Sample
from pluralign.models.scripted import ScriptedModel

COIN = Episode("coin", (Example("heads"), Example("heads"), Example("tails")), options=("heads", "tails"))


@pytest.fixture
def cache(tmp_path: Path) -> ResponseCache:
    return ResponseCache(tmp_path / "deep" / "responses.sqlite")


def _coins(n: int) -> list[Query]:
    return [Query(Episode("coin", (), description=f"Coin {i}.", options=("heads", "tails"))) for i in range(n)]


# the file


def test_what_was_put_is_there_and_stays_as_it_was(cache: ResponseCache) -> None:
    cache.put_many({b"a": [1, "zwei"], b"b": None}, model="m")
    cache.put_many({b"a": "later", b"c": {"x": 0.1}})
    assert cache.get_many([b"c", b"a", b"nothing", b"b", b"a"]) == {b"a": [1, "zwei"], b"b": None, b"c": {"x": 0.1}}
    assert cache.get_many([]) == {}
    cache.close()
    cache.close()
    with ResponseCache(cache.path) as again:
        assert again.get_many([b"a"]) == {b"a": [1, "zwei"]}


def test_many_keys_at_once(cache: ResponseCache) -> None:
    pairs = {n.to_bytes(4, "big"): n for n in range(3000)}
    cache.put_many(pairs)
    assert cache.get_many([*pairs, b"none"]) == pairs


def test_floats_come_back_exactly(cache: ResponseCache) -> None:
    values = [0.1, -1 / 3, 5e-324, 1.7976931348623157e308, -0.0, 2.0**-1074 * 3]
    cache.put_many({b"k": values})
    [again] = cache.get_many([b"k"]).values()
    assert [value.hex() for value in again] == [value.hex() for value in values]


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"bytes"])
def test_only_json_is_kept_and_nothing_of_a_call_with_something_else(cache: ResponseCache, value: object) -> None:
    with pytest.raises(UsageError, match="must be JSON"):
        cache.put_many({b"good": 1, b"bad": value})
    assert cache.get_many([b"good", b"bad"]) == {}


def test_stats_and_clear_by_model(cache: ResponseCache) -> None:
    before = time.time()
    cache.put_many({b"1": "é", b"2": 12}, model="hf/one")
    cache.put_many({b"3": 1}, model="hf/two")
    found = cache.stats()
    assert (found.path, found.entries) == (str(cache.path), 3)
    one, two = found.models
    assert (one.model, one.entries, one.bytes) == ("hf/one", 2, len(json.dumps("é")) + 2)
    assert (two.model, two.entries) == ("hf/two", 1)
    assert before - 1 <= one.oldest <= one.newest <= two.newest <= time.time()
    assert found.bytes >= cache.path.stat().st_size > 0
    with pytest.raises(UsageError, match="no answers of the model 'hf/on' is unknown; did you mean 'hf/one'"):
        cache.clear("hf/on")
    assert cache.clear("hf/one") == 2
    assert cache.get_many([b"1", b"3"]) == {b"3": 1}
    assert cache.clear() == 1
    assert cache.stats().models == ()
    assert cache.clear() == 0


def test_cleared_space_is_given_back(cache: ResponseCache) -> None:
    cache.put_many({n.to_bytes(4, "big"): "x" * 10_000 for n in range(200)}, model="m")
    full = cache.stats().bytes
    cache.clear()
    assert cache.stats().bytes < full / 10


def test_the_default_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PLURALIGN_CACHE", str(tmp_path / "mine.sqlite"))
    assert default_cache_path() == ResponseCache().path == tmp_path / "mine.sqlite"
    monkeypatch.delenv("PLURALIGN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_path() == tmp_path / "pluralign" / "responses.sqlite"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_path() == tmp_path / ".cache" / "pluralign" / "responses.sqlite"


# files that are none of ours


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Notes, long enough to be read as a header of something." * 20)
    with pytest.raises(RunError, match=r"notes\.txt: .*not a database; remove the file"):
        ResponseCache(path)
    assert path.read_text().startswith("Notes")


@pytest.mark.parametrize("marked", [False, True])
def test_a_database_of_another_program_is_left_alone(tmp_path: Path, marked: bool) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA application_id = 77" if marked else "CREATE TABLE mail (subject TEXT)")
        other.execute("PRAGMA user_version = 1")
    other.close()
    before = path.read_bytes()
    with pytest.raises(RunError, match="of another program; remove the file"):
        ResponseCache(path)
    assert path.read_bytes() == before


def test_another_version_is_refused(cache: ResponseCache) -> None:
    cache.close()
    with sqlite3.connect(cache.path) as later:
        later.execute("PRAGMA user_version = 9")
    later.close()
    with pytest.raises(RunError, match="of version 9, this pluralign writes version 1"):
        ResponseCache(cache.path)


def test_a_damaged_file_says_what_to_do(cache: ResponseCache) -> None:
    cache.put_many({n.to_bytes(4, "big"): "x" * 1000 for n in range(200)})
    cache.close()
    whole = cache.path.read_bytes()
    cache.path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(RunError, match="remove the file, if its answers may be asked for again"):
        ResponseCache(cache.path).get_many([n.to_bytes(4, "big") for n in range(200)])


def test_a_path_that_cannot_be_a_file(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="set PLURALIGN_CACHE to a path that can be written"):
        ResponseCache(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"--no-cache"):
        ResponseCache(tmp_path / "file" / "responses.sqlite")


# several at once, and killed


WRITER = """
import sys
from pluralign.models.cache import ResponseCache
path, name, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
with ResponseCache(path) as cache:
    for start in range(n):
        cache.put_many({f"{name} {start} {i}".encode(): [start, i, "x" * 500] for i in range(5)}, model=name)
        print(start, flush=True)
"""


def _write(path: Path, name: str, n: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path), name, str(n)], stdout=subprocess.PIPE, text=True)


def test_several_processes_open_and_write_the_same_new_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "responses.sqlite"
    writers = [_write(path, f"writer {w}", 20) for w in range(4)]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    found = ResponseCache(path).stats()
    assert [(m.model, m.entries) for m in found.models] == [(f"writer {w}", 100) for w in range(4)]


def test_a_kill_loses_nothing_that_was_returned_from(tmp_path: Path) -> None:
    """Killed at three different moments, each time somewhere in a write or between two."""
    path = tmp_path / "responses.sqlite"
    for attempt, n_seen in enumerate((1, 17, 60)):
        writer = _write(path, f"w{attempt}", 1_000_000)
        assert writer.stdout is not None
        for _ in range(n_seen):
            last = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        last = max([last, *(int(line) for line in writer.stdout.read().splitlines() if line)])  # what was said before the kill
        writer.wait()
        writer.stdout.close()
        keys = [f"w{attempt} {start} {i}".encode() for start in range(last + 1) for i in range(5)]
        with ResponseCache(path) as cache:
            assert len(cache.get_many(keys)) == len(keys)
            assert cache.stats().entries % 5 == 0  # a call's values are all there or none
    check = sqlite3.connect(path)
    assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    check.close()


def test_several_threads_share_one_cache(cache: ResponseCache) -> None:
    faults: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for n in range(50):
                cache.put_many({f"{name} {n}".encode(): n})
                assert cache.get_many([f"{name} {n}".encode()]) == {f"{name} {n}".encode(): n}
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(f"t{t}",)) for t in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert cache.stats().entries == 400


def _open_together(paths: list[Path], name: str, together: Any) -> None:
    for path in paths:
        together.wait()
        with ResponseCache(path) as mine:
            mine.put_many({name.encode(): name})


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="the system has no fork")
def test_processes_make_a_new_file_in_the_same_moment(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    paths, together = [tmp_path / f"{n}.sqlite" for n in range(20)], fork.Barrier(4, timeout=30)
    children = [fork.Process(target=_open_together, args=(paths, f"c{c}", together)) for c in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 4
    for path in paths:
        with ResponseCache(path) as cache:
            assert cache.stats().entries == 4


def _in_child(cache: ResponseCache, name: str) -> None:
    inherited = cache._connection
    cache.put_many({f"{name} {n}".encode(): n for n in range(20)})
    assert cache._connection is not inherited


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="the system has no fork")
def test_a_forked_process_opens_the_file_anew(cache: ResponseCache) -> None:
    cache.put_many({b"before": 0})
    children = [multiprocessing.get_context("fork").Process(target=_in_child, args=(cache, f"c{c}")) for c in range(3)]
    for child in children:
        child.start()
    cache.put_many({b"meanwhile": 1})
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert cache.stats().entries == 62


# answers as values


NATS = st.floats(max_value=0.0, allow_nan=False)


@settings(deadline=None)
@given(st.lists(NATS, min_size=1), st.booleans())
def test_answers_come_back_as_they_were(logprobs: list[float], counted: bool) -> None:
    options = tuple(map(str, range(len(logprobs))))
    counts = np.arange(len(logprobs)) if counted else None
    value = OptionLogprobs(options, np.array(logprobs), elicitation="sampling", counts=counts, n_samples=9)
    again = options_from_json(options, json.loads(json.dumps(options_to_json(value), allow_nan=False)))
    assert (again.options, again.elicitation, again.n_samples, again.outcome) == (options, "sampling", 9, "ok")
    np.testing.assert_array_equal(again.logprobs, value.logprobs)
    assert (again.counts is None) == (counts is None)
    n = len(logprobs)
    scored = OutputLogprobs(np.arange(n), np.array(logprobs), np.arange(n) + 2, np.arange(n) % 2 == 0)
    back = outputs_from_json(json.loads(json.dumps(outputs_to_json(scored), allow_nan=False)))
    for name in ("example_index", "logprobs", "n_tokens", "is_argmax"):
        np.testing.assert_array_equal(getattr(back, name), getattr(scored, name))
        assert getattr(back, name).dtype == getattr(scored, name).dtype


def test_samples_come_back_and_failures_have_no_value() -> None:
    for sample in (Sample("a\nb", "stop", 4, -1 / 3), Sample("", "length"), Sample("ü", "stop", None, None)):
        value = sample_to_json(sample)
        assert value is not None
        assert sample_from_json(json.loads(json.dumps(value))) == sample
    assert sample_to_json(Sample("", "refusal")) is sample_to_json(Sample("", "failed")) is None
    nan = np.array([np.nan])
    assert options_to_json(OptionLogprobs(("a",), nan, outcome="malformed")) is None
    assert options_to_json(OptionLogprobs(("a",), nan)) is None
    assert outputs_to_json(OutputLogprobs(np.array([1]), nan, np.array([2]), np.array([False]))) is None
    assert outputs_to_json(OutputLogprobs(np.array([1]), -nan, np.array([2]), np.array([True]), outcome="failed")) is None


def test_keys_differ_wherever_anything_does() -> None:
    asked = [
        ("m", "sample", b"ab", {"seed": 1}),
        ("ms", "ample", b"ab", {"seed": 1}),
        ("m", "samplea", b"b", {"seed": 1}),
        ("m", "sample", b"ab", {"seed": 2}),
        ("m", "sample", b"ab", None),
        ("m", "option_logprobs", b"ab", {"seed": 1}),
    ]
    assert len({request_key(*one) for one in asked}) == len(asked)
    assert request_key("m", "v", b"", {"a": 1, "b": 2}) == request_key("m", "v", b"", {"b": 2, "a": 1})


# the model that looks there first


def test_what_is_kept_is_not_asked_for_again(cache: ResponseCache) -> None:
    asked = _coins(10)
    first = CachedModel(ScriptedModel(), cache)
    before = first.option_logprobs(asked)
    assert (first.usage.requests, first.usage.cached) == (10, 0)
    second = CachedModel(ScriptedModel(), cache)
    after = second.option_logprobs([*asked[5:], *_coins(12)[10:]])
    assert (second.usage.requests, second.usage.cached) == (2, 5)
    for one, other in zip(before[5:], after, strict=False):
        np.testing.assert_array_equal(one.logprobs, other.logprobs)
    assert cache.stats().models[0].model == "scripted"
    direct = ScriptedModel().output_logprobs([COIN])[0]
    for _ in range(2):
        [kept] = second.output_logprobs([COIN])
        np.testing.assert_array_equal(kept.logprobs, direct.logprobs)
    assert (second.usage.requests, second.usage.cached) == (3, 6)


def test_equal_requests_in_one_call_go_to_the_model_once(cache: ResponseCache) -> None:
    a, b = _coins(2)
    model = CachedModel(ScriptedModel(faults={"refusal": 1.0}), cache)  # failures too
    answers = model.option_logprobs([b, a, b, b])
    assert model.usage.requests == 2
    assert [answer.outcome for answer in answers] == ["refusal"] * 4
    assert model.sample([a, a], SamplingSettings(n=2))[1] == model.sample([a], SamplingSettings(n=2))[0]


def test_verbs_options_and_settings_do_not_share_answers(cache: ResponseCache) -> None:
    [query] = _coins(1)
    model = CachedModel(ScriptedModel(), cache)
    model.option_logprobs([query])
    model.option_logprobs([Query(query.episode, None, ("tails", "heads"))])
    model.option_logprobs([Query(query.episode, "now")])
    assert model.usage.requests == 3
    for drawing in (SamplingSettings(), SamplingSettings(seed=1), SamplingSettings(max_tokens=3)):
        model.sample([query], drawing)
    assert (model.usage.requests, model.usage.cached) == (6, 0)


def test_other_options_are_another_request_even_to_a_model_that_does_not_read_them(cache: ResponseCache) -> None:
    class Deaf(ScriptedModel):
        def request_bytes(self, asked: Sequence[Query | Episode]) -> list[bytes]:
            return [b"the same"] * len(asked)

    model = CachedModel(Deaf(), cache)
    for options in (("heads", "tails"), ("tails", "heads"), ("heads", "tails")):
        [answer] = model.option_logprobs([Query(Episode("coin", (), options=options, description="A coin."))])
        assert answer.options == options
    assert (model.usage.requests, model.usage.cached) == (2, 1)


def test_another_fingerprint_is_another_model(cache: ResponseCache) -> None:
    asked = _coins(3)
    CachedModel(ScriptedModel(lambda _: {"heads": 0.5}, revision="a"), cache).option_logprobs(asked)
    other = CachedModel(ScriptedModel(lambda _: {"heads": 0.9}, revision="b"), cache)
    assert other.option_logprobs(asked)[0].logprobs[0] == pytest.approx(np.log(0.9))


def test_failures_are_asked_for_again(cache: ResponseCache) -> None:
    asked = _coins(200)
    faulty = CachedModel(ScriptedModel(faults={"failed": 0.2, "refusal": 0.1}), cache)
    n_failed = sum(answer.outcome != "ok" for answer in faulty.option_logprobs(asked))
    assert 30 < n_failed < 90
    well = CachedModel(ScriptedModel(), cache)
    assert all(answer.outcome == "ok" for answer in well.option_logprobs(asked))
    assert well.usage.requests == n_failed
    assert CachedModel(ScriptedModel(faults={"failed": 1.0}), cache).output_logprobs([COIN])[0].outcome == "failed"
    assert well.output_logprobs([COIN])[0].outcome == "ok"
    assert CachedModel(ScriptedModel(faults={"failed": 1.0}), cache).output_logprobs([COIN])[0].outcome == "ok"


def test_fewer_samples_cost_nothing_and_those_that_are_kept_stay(cache: ResponseCache) -> None:
    asked = _coins(4)
    model = CachedModel(ScriptedModel(), cache)
    ten = model.sample(asked, SamplingSettings(n=10))
    assert model.sample(asked, SamplingSettings(n=4)) == [some[:4] for some in ten]
    assert (model.usage.requests, model.usage.cached) == (40, 4)
    other = CachedModel(ScriptedModel(lambda _: {"new": 1.0}, revision="learned_shares 1"), cache)
    more = other.sample(asked, SamplingSettings(n=12))
    assert [some[:10] for some in more] == ten
    assert [[sample.text for sample in some[10:]] for some in more] == [["new", "new"]] * 4
    assert other.sample(asked, SamplingSettings(n=12)) == more
    assert (other.usage.requests, other.usage.cached) == (48, 4)


def test_failed_samples_are_drawn_again_alone(cache: ResponseCache) -> None:
    asked = _coins(20)
    faulty = CachedModel(ScriptedModel(faults={"failed": 0.3}), cache)
    first = faulty.sample(asked, SamplingSettings(n=5))
    second = CachedModel(ScriptedModel(), cache).sample(asked, SamplingSettings(n=5))
    assert all(new.finish_reason == "stop" for some in second for new in some)
    kept = [(old, new) for a, b in zip(first, second, strict=True) for old, new in zip(a, b, strict=True)]
    assert all(old == new for old, new in kept if old.finish_reason == "stop")
    assert any(old.finish_reason == "failed" for old, _ in kept)


def test_answers_are_kept_while_a_call_goes_on(cache: ResponseCache) -> None:
    """600 requests in chunks of 256: the model goes away after 300, and the first chunk is kept."""
    asked = _coins(600)
    with pytest.raises(ModelError, match="gone after 300"):
        CachedModel(ScriptedModel(fail_after=300), cache).option_logprobs(asked)
    rest = CachedModel(ScriptedModel(), cache)
    assert len(rest.option_logprobs(asked)) == 600
    assert (rest.usage.requests, rest.usage.cached) == (344, 256)
    with pytest.raises(ModelError, match="gone after 300"):
        CachedModel(ScriptedModel(fail_after=300), cache).sample(asked[:3], SamplingSettings(n=150))
    rest.sample(asked[:3], SamplingSettings(n=150))
    assert rest.usage.requests == 344 + 150  # two queries of three were kept


def test_misses_go_to_the_model_in_the_order_of_asking(cache: ResponseCache) -> None:
    seen: list[str | None] = []

    class Watched(ScriptedModel):
        def option_logprobs(self, queries: Sequence[Query]) -> list[OptionLogprobs]:
            seen.extend(query.episode.description for query in queries)
            return super().option_logprobs(queries)

    CachedModel(Watched(), cache).option_logprobs(_coins(5))
    assert seen == [f"Coin {i}." for i in range(5)]


def test_usage_faults_come_before_anything_is_asked(cache: ResponseCache) -> None:
    model = CachedModel(ScriptedModel(), cache)
    with pytest.raises(UsageError, match="no options"):
        model.option_logprobs([*_coins(1), Query(Episode("t", ()))])
    assert model.usage.requests == 0


def test_a_model_is_opened_with_a_cache(cache: ResponseCache) -> None:
    for n_asked in (1, 0):
        model = open_model("scripted", cache=cache)
        model.option_logprobs(_coins(1))
        assert (model.name, model.usage.requests, model.usage.cached) == ("scripted", n_asked, 1 - n_asked)
