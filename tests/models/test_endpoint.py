"""The verbs against a server on loopback whose model is known."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import tiny
from models.fault_server import FaultServer, logprob, rival
from pluralign.episodes import Episode, Example
from pluralign.errors import DataError, MissingExtraError, ModelError, UsageError
from pluralign.models import ChatStyle, ModelSettings, open_template
from pluralign.models.cache import ResponseCache
from pluralign.models.endpoint import EndpointModel
from pluralign.models.endpoint_prompts import TextWriter, TokenWriter
from pluralign.models.endpoint_settings import choose_writer
from pluralign.models.opening import open_model
from pluralign.models.protocol import Query, SamplingSettings

EPISODE = Episode("warmth", (Example("yes", "31 degrees"), Example("no", "9 degrees")), "A rater.", ("yes", "not at all"))
BARE = Episode("coin", (Example("heads"), Example("tails"), Example("heads")), options=("heads", "tails"))


def model(server: FaultServer, cache: ResponseCache | None = None, **settings: Any) -> EndpointModel:
    settings = {"api": "completions", "timeout_s": 20.0, "max_retries": 3, **settings}
    made = EndpointModel.open("m", ModelSettings(base_url=server.url, **settings), cache)
    made.client.first_backoff_s = 0.002
    return made


@pytest.fixture
def tokenizer_folder(tmp_path: Path) -> str:
    tiny.instruct("chatml").save_pretrained(tmp_path / "tokenizer")
    return str(tmp_path / "tokenizer")


def total(tokens: list[str], start: int, stop: int) -> float:
    """The known model's log-probability of tokens start..stop."""
    return sum(logprob(tokens[n - 1], tokens[n]) for n in range(start, stop))


# scoring over completions


def test_options_as_text_are_scored_with_their_end() -> None:
    with FaultServer() as server:
        found = model(server).option_logprobs([Query(EPISODE, "20 degrees"), Query(BARE, options=("edge", "tails"))])
        before = "Description: A rater.\n\nInput: 31 degrees\n\nOutput: yes\n\nInput: 9 degrees\n\nOutput: no\n\n"
        before += "Input: 20 degrees\n\nOutput:"
        n = len(server.tokens(before))
        for option, value in zip(EPISODE.options or (), found[0].logprobs, strict=True):
            tokens = server.tokens(f"{before} {option}\n\n")
            assert value == pytest.approx(total(tokens, n, len(tokens)), abs=1e-12)
    assert [one.options for one in found] == [("yes", "not at all"), ("edge", "tails")]
    assert all(one.outcome == "ok" and one.elicitation == "logprobs" for one in found)
    assert {one.body["prompt"][-8:] for one in server.log} == {"t: yes\n\n", "at all\n\n", ": edge\n\n", " tails\n\n"}


def test_options_as_token_ids_are_exact(tokenizer_folder: str) -> None:
    with FaultServer() as server:
        asked = model(server, tokenizer=tokenizer_folder)
        [found] = asked.option_logprobs([Query(EPISODE, "20 degrees")])
        template = open_template("spectrum", tiny.instruct("chatml"))
        prompt = template.encode_prompts([EPISODE], ["20 degrees"])[0].tolist()
        for option, value in zip(template.encode_options(EPISODE.options or ()), found.logprobs, strict=True):
            ids = [str(number) for number in [*prompt, *option.tolist()]]
            assert value == pytest.approx(total(ids, len(prompt), len(ids)), abs=1e-12)
    assert all(isinstance(one.body["prompt"], list) for one in server.log)
    assert all(one.body["max_tokens"] == 1 for one in server.log)  # 0 is "unlimited" for llama.cpp's server


@pytest.mark.parametrize("episode", [EPISODE, BARE])
@pytest.mark.parametrize("by_ids", [False, True])
def test_outputs_of_an_episode_in_one_request(episode: Episode, by_ids: bool, tokenizer_folder: str) -> None:
    with FaultServer() as server:
        asked = model(server, tokenizer=tokenizer_folder if by_ids else None)
        [found] = asked.output_logprobs([episode])
        echo = asked.writer.episode_echoes([episode])[0]
        tokens = server.tokens(echo.prompt)
    assert len(server.log) == 1
    assert found.example_index.tolist() == ([0, 1] if episode is EPISODE else [1, 2])
    spans = list(echo.spans)
    if isinstance(echo.prompt, str):
        ends = list(itertools.accumulate(map(len, tokens)))
        spans = [(ends.index(start) + 1, ends.index(stop) + 1) for start, stop in spans]
    expected = [total(tokens, *span) for span in spans]
    np.testing.assert_allclose(found.logprobs, expected, atol=1e-12)
    assert found.n_tokens.tolist() == [stop - start for start, stop in spans]
    assert found.is_argmax.tolist() == [all(rival(t) < 0 for t in tokens[slice(*span)]) for span in spans]


def test_text_is_what_the_template_writes() -> None:
    """Both ways of the format colon have the same events."""
    template = open_template("colon", tiny.plain())
    writer = TextWriter()
    for query in (Query(EPISODE, "20 degrees"), Query(BARE), Query(Episode("t", ()), "x"), Query(Episode("t", (), "d"))):
        ids = template.encode_prompts([query.episode], [query.input])[0]
        assert writer.prompts([query])[0] == template.content.decode(ids)
    for episode in (EPISODE, BARE):
        encoded = template.encode([episode])[0]
        [text], [ids_echo] = writer.episode_echoes([episode]), TokenWriter(template).episode_echoes([episode])
        assert text.prompt == template.content.decode(encoded.ids)
        assert text.examples == ids_echo.examples
        said = [text.prompt[slice(*span)] for span in text.spans]
        assert said == [template.content.decode(encoded.ids[slice(*span)]) for span in ids_echo.spans]


def test_an_episode_without_a_scored_output_is_empty_and_asks_nothing_of_it() -> None:
    with FaultServer() as server:
        found = model(server).output_logprobs([Episode("t", (Example("a"),)), BARE])
    assert found[0].outcome == "ok"
    assert len(found[0].logprobs) == 0
    assert len(found[1].logprobs) == 2


def test_a_token_across_the_border_is_an_outcome() -> None:
    with FaultServer(pieces=r"\n\n|Output: yes|[^\s:]+:?| |\n") as server:
        found = model(server).option_logprobs([Query(BARE, options=("yes", "no")), Query(BARE)])
    assert [one.outcome for one in found] == ["malformed", "ok"]
    assert np.isnan(found[0].logprobs).all()
    assert "--tokenizer" in found[0].detail


# scoring over chat


def test_one_token_options_of_a_chat_are_the_first_tokens() -> None:
    answers = {"yes": 0.6, " yes": 0.1, "no": 0.2, "Yes": 0.06, "perhaps": 0.04}
    with FaultServer(answers=answers, says="yes") as server:
        [found] = model(server, api="chat").option_logprobs([Query(EPISODE, "20 degrees", ("yes", "no"))])
    # "yes" and " yes": 0.6 + 0.1
    np.testing.assert_allclose(np.exp(found.logprobs), [0.7, 0.2], atol=1e-12)
    assert found.outside_mass == pytest.approx(0.1, abs=1e-12)
    assert found.detail == ""
    [sent] = server.log
    assert [m["role"] for m in sent.body["messages"]] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert (sent.body["max_tokens"], sent.body["top_logprobs"], sent.body["temperature"]) == (2, 20, 1.0)


def test_a_chat_reply_that_goes_on_is_said() -> None:
    with FaultServer(answers={"yes": 0.9, "no": 0.1}, says="yes, but") as server:
        [found] = model(server, api="chat").option_logprobs([Query(EPISODE, "x", ("yes", "no"))])
    assert "the end is not included" in found.detail
    assert "'yes, but'" in found.detail


def test_options_that_are_no_first_token_name_the_ways_round() -> None:
    with FaultServer() as server, pytest.raises(ModelError, match=r"1 of 2 options.*'not at all'.*--elicit sampling"):
        model(server, api="chat").option_logprobs([Query(EPISODE, "x")])


def test_a_chat_server_scores_no_outputs() -> None:
    with FaultServer() as server, pytest.raises(ModelError, match="--api completions"):
        model(server, api="chat").output_logprobs([EPISODE])


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_a_server_without_logprobs_fails_loudly(api: str) -> None:
    """Of 100 queries it is asked three times, and then no more."""
    queries = [Query(EPISODE, f"{n} degrees", ("yes", "no")) for n in range(100)]
    with (
        FaultServer(drops=("logprobs",)) as server,
        pytest.raises(ModelError, match=r"replied 200, but .* no logprobs.*--elicit"),
    ):
        model(server, api=api).option_logprobs(queries)
    assert len(server.log) == 3


def test_a_server_that_does_not_echo_fails_loudly(tokenizer_folder: str) -> None:
    for tokenizer in (None, tokenizer_folder):
        with FaultServer(drops=("echo",)) as server, pytest.raises(ModelError, match="does not echo"):
            model(server, tokenizer=tokenizer).option_logprobs([Query(BARE)])


def test_a_server_that_refuses_echo_names_the_ways_round() -> None:
    with (
        FaultServer(rejects=("echo",)) as server,
        pytest.raises(ModelError, match=r"400: Unrecognized.*echo.*--elicit sampling"),
    ):
        model(server).option_logprobs([Query(BARE)])


# elicitation


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_elicited_by_samples(api: str) -> None:
    options = ("yes", "no", "never")
    with FaultServer() as server:
        [found] = model(server, api=api, elicit="sampling", n_elicit=60).option_logprobs([Query(EPISODE, "x", options)])
        drawn = [server._draw(one.body) for one in server.log]
    assert found.counts is not None
    assert found.counts.tolist() == [drawn.count("yes"), drawn.count("no"), 0]
    assert found.n_samples == 60
    assert found.logprobs[2] == -math.inf
    assert found.counts.sum() < 60  # "perhaps so" came and is outside
    # yes has 0.7: 42 of 60, standard error 3.5
    assert 28 < found.counts[0] < 56
    assert len({one.body["seed"] for one in server.log}) == 60


def test_more_samples_keep_the_ones_that_were_drawn(tmp_path: Path) -> None:
    query = Query(EPISODE, "x", ("yes", "no"))
    with FaultServer() as server, ResponseCache(tmp_path / "c") as cache:
        model(server, cache, elicit="sampling", n_elicit=20).option_logprobs([query])
        more = model(server, cache, elicit="sampling", n_elicit=30)
        more.option_logprobs([query])
    assert more.usage.cached == 20
    assert len(server.log) == 30


def test_verbalised_and_malformed() -> None:
    query = Query(EPISODE, "x")
    with FaultServer(says='{"not at all": 0.25, "yes": 0.75}') as server:
        [found] = model(server, api="chat", elicit="verbalised").option_logprobs([query])
    np.testing.assert_allclose(np.exp(found.logprobs), [0.75, 0.25], atol=1e-12)
    assert server.log[0].body["response_format"] == {"type": "json_object"}
    with FaultServer(says="I would say yes") as server:
        [found] = model(server, api="chat", elicit="verbalised").option_logprobs([query])
    assert found.elicitation == "verbalised"
    assert found.outcome == "malformed"
    assert "I would say yes" in found.detail
    assert len(server.log) == 1  # it would say the same again


def test_fields_that_a_server_does_not_know_are_left_out() -> None:
    said = '{"not at all": 0.25, "yes": 0.75}'
    with FaultServer(says=said, rejects=("response_format", "max_tokens")) as server:
        server.rejects = ("response_format",)
        asked = model(server, api="chat", elicit="verbalised")
        assert [one.outcome for one in asked.option_logprobs([Query(EPISODE, str(n)) for n in range(5)])] == ["ok"] * 5
    assert server.kinds() == {"ok": 5, "400 fatal": 1}
    assert asked.usage.retries == 1
    assert asked.usage.requests == 6


def test_verbalised_needs_a_chat() -> None:
    with pytest.raises(UsageError, match="--api chat"):
        choose_writer(ModelSettings(base_url="http://x", api="completions", elicit="verbalised"))


# samples


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_samples_are_drawn_each_with_its_seed(api: str) -> None:
    settings = SamplingSettings(n=40, max_tokens=8, temperature=0.5, top_p=0.9, seed=3)
    queries = [Query(EPISODE, "x"), Query(BARE), Query(EPISODE, "x")]
    answers = {"yes": 0.5, "no": 0.3, "perhaps so": 0.2}
    with FaultServer(answers=answers) as server:
        found = model(server, api=api).sample(queries, settings)
    assert [len(one) for one in found] == [40, 40, 40]
    assert found[0] == found[2]
    assert found[0] != found[1]
    assert {sample.text for sample in found[0]} == {"yes", "no", "perhaps so"}
    assert {sample.finish_reason for sample in found[0]} == {"stop"}
    assert {(one.body["temperature"], one.body["top_p"], one.body["max_tokens"]) for one in server.log} == {(0.5, 0.9, 8)}
    assert len(server.log) == 80  # equal queries are one request
    with FaultServer(answers=answers) as server:
        again = model(server, api=api).sample(queries[1:2], settings)
    assert again[0] == found[1]  # whatever else is asked


def test_a_cut_output_is_no_complete_one() -> None:
    with FaultServer(answers={"one two three": 1.0}) as server:
        [[sample]] = model(server).sample([Query(BARE)], SamplingSettings(max_tokens=2))
    assert (sample.text, sample.finish_reason, sample.n_tokens) == ("one two", "length", 2)


def test_servers_are_told_not_to_truncate_and_one_that_knows_no_such_field_is_not() -> None:
    with FaultServer() as server:
        model(server).sample([Query(BARE)], SamplingSettings())
    assert (server.log[0].body["top_k"], server.log[0].body["min_p"], server.log[0].body["repetition_penalty"]) == (0, 0, 1)
    with FaultServer(rejects=("min_p", "top_k")) as server:
        [samples] = model(server).sample([Query(BARE)], SamplingSettings(n=3))
    assert [sample.finish_reason for sample in samples] == ["stop"] * 3
    assert server.kinds() == {"400 fatal": 2, "ok": 3}
    assert "top_k" not in server.log[-1].body


def test_fields_are_sent_again_where_leaving_them_out_did_not_help() -> None:
    with FaultServer(rejects=("top_k", "seed")) as server:
        asked = model(server)
        with pytest.raises(ModelError, match="supplied: seed"):
            asked.sample([Query(BARE)], SamplingSettings())
        server.rejects = ()
        asked.sample([Query(BARE)], SamplingSettings())
    assert ["top_k" in one.body for one in server.log] == [True, False, True]


def test_top_k_is_sent_or_refused() -> None:
    with FaultServer() as server:
        model(server).sample([Query(BARE)], SamplingSettings(top_k=5))
    assert server.log[0].body["top_k"] == 5
    with (
        FaultServer(rejects=("top_k",)) as server,
        pytest.raises(ModelError, match="Unrecognized request argument supplied: top_k"),
    ):
        model(server).sample([Query(BARE)], SamplingSettings(top_k=5))


@pytest.mark.parametrize(("form", "field"), [("spectrum", "stop_token_ids"), ("colon", "stop")])
def test_where_outputs_of_token_prompts_stop(form: str, field: str, tokenizer_folder: str) -> None:
    template = open_template(form, tiny.instruct("chatml"))
    with FaultServer() as server:
        [[sample]] = model(server, tokenizer=tokenizer_folder, format=form).sample([Query(EPISODE)], SamplingSettings())
    assert server.log[0].body[field] == (list(template.end_ids) if form == "spectrum" else ["\n\n"])
    assert sample.text.strip() in server.answers


def test_a_server_that_writes_on_behind_the_end_is_cut_there() -> None:
    writer = TextWriter()
    assert writer.read_output(" yes\n\nInput: 3", "length") == ("yes", "stop")
    assert writer.read_output(" yes", "length") == ("yes", "length")
    assert writer.read_output("  yes", "stop") == (" yes", "stop")


# bad input


def test_options_are_checked_before_anything_is_sent(tokenizer_folder: str) -> None:
    colon = {"tokenizer": tokenizer_folder, "format": "colon"}
    with FaultServer() as server:
        with pytest.raises(DataError, match="holds or ends in a line break"):
            model(server, **colon).option_logprobs([*[Query(BARE)] * 600, Query(BARE, options=("a", "b\n"))])
        for api in ("completions", "chat"):
            asked = model(server, api=api)
            with pytest.raises(UsageError, match="has no options"):
                asked.option_logprobs([Query(Episode("t", ()), "x")])
            with pytest.raises(UsageError, match="different texts"):
                asked.option_logprobs([Query(BARE, options=("a", "b", "a"))])
            with pytest.raises(DataError, match="only blank"):
                asked.option_logprobs([Query(BARE, options=("a", ""))])
            with pytest.raises(DataError, match="only blank"):
                asked.option_logprobs([Query(BARE, options=("a", "  "))])
        with pytest.raises(DataError, match="differ in blanks"):
            model(server, elicit="sampling").option_logprobs([Query(BARE, options=("a", " a"))])
        with pytest.raises(DataError, match="line break"):
            model(server).option_logprobs([Query(BARE, options=("a", "b\n"))])
    assert not server.log


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_half_a_surrogate_pair_is_an_error_that_says_where(api: str) -> None:
    halves = [Query(BARE, "a\ud800"), Query(Episode("t", (Example("\udfff"),))), Query(BARE, options=("a", "\ud83d"))]
    with FaultServer() as server:
        asked = model(server, api=api)
        for query in halves:
            with pytest.raises(DataError, match=r"2 \(.*half of a surrogate pair \(U\+D"):
                asked.sample([Query(BARE), query], SamplingSettings())
        with pytest.raises(DataError, match="surrogate"):
            asked.output_logprobs([Episode("t", (Example("a"), Example("\ud800")))])
        assert not server.log
        [[sample]] = asked.sample([Query(BARE, "a whole pair: \U0001f600")], SamplingSettings())
    assert sample.finish_reason == "stop"


@pytest.mark.parametrize("name", ["<|im_end|>", "<start_of_turn>", "<|eot_id|>", "<|endoftext|>"])
def test_names_of_control_tokens(name: str, tokenizer_folder: str) -> None:
    """Refused as text; as ids they are text; in a chat they are content."""
    query = Query(BARE, f"so {name} there")
    with FaultServer() as server:
        with pytest.raises(DataError, match=r"control token.*--tokenizer"):
            model(server).sample([query], SamplingSettings())
        model(server, tokenizer=tokenizer_folder).sample([query], SamplingSettings())
        model(server, api="chat").sample([query], SamplingSettings())
    by_ids, by_chat = server.log
    control = tiny.instruct("chatml").convert_tokens_to_ids("<|im_end|>")
    assert by_ids.body["prompt"].count(control) == 4  # of three outputs and the input
    assert by_chat.body["messages"][-1] == {"role": "user", "content": f"so {name} there"}


def test_an_item_of_a_megabyte_arrives_whole() -> None:
    item = "ä b" * 262_144
    with FaultServer() as server:
        model(server, api="chat").sample([Query(BARE, item)], SamplingSettings())
        assert server.log[0].body["messages"][-1]["content"] == item
        server.max_context = 1000
        with pytest.raises(
            DataError, match=r"context too long: request 1 \(coin, 3 examples\).*1000 tokens.*leave out examples"
        ):
            model(server, api="chat").sample([Query(BARE, item)], SamplingSettings())


# opening


def test_the_way_is_chosen_from_the_settings(tokenizer_folder: str) -> None:
    def way(**settings: Any) -> str:
        return choose_writer(ModelSettings(base_url="http://x", **settings)).way

    assert way() == "messages"
    assert way(format="colon") == "text"
    assert way(api="completions") == "text"
    assert way(tokenizer=tokenizer_folder) == "tokens"
    with pytest.raises(UsageError, match="--tokenizer FOLDER_OR_ID"):
        way(format="spectrum")
    with pytest.raises(UsageError, match="leave out --tokenizer"):
        way(api="chat", tokenizer=tokenizer_folder)


def test_opening_asks_for_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(UsageError, match="OPENAI_API_KEY"):
        open_model("openai/m")
    with pytest.raises(UsageError, match="must begin with http"):
        open_model("openai/m", ModelSettings(base_url="localhost:8000"))
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtraError, match=r"pluralign\[api\]"):
        open_model("openai/m", ModelSettings(base_url="http://x"))


def test_a_key_goes_to_the_server_and_nowhere_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    with FaultServer() as server, ResponseCache(tmp_path / "c") as cache:
        asked = model(server, cache)
        asked.sample([Query(BARE)], SamplingSettings())
    assert b"secret-key" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert "secret-key" not in asked.fingerprint() + json.dumps([one.body for one in server.log])


def test_fingerprints_tell_servers_and_ways_apart() -> None:
    def made(url: str, **settings: Any) -> str:
        return EndpointModel.open("m", ModelSettings(base_url=url, **settings), None).fingerprint()

    same = made("http://a/v1")
    assert same == made("http://user:word@a/v1/") == made("http://a/v1", concurrency=2, timeout_s=9)
    others = [made("http://b/v1"), made("http://a/v1", format="colon"), made("http://a/v1", elicit="sampling")]
    assert len({same, *others}) == 4


def test_request_bytes_tell_requests_apart() -> None:
    with FaultServer() as server:
        asked = model(server, api="chat", chat=ChatStyle(system_prompt="s"))
        texts = asked.request_bytes([Query(EPISODE, "a"), Query(EPISODE, "b"), Query(EPISODE, "a", ("c",)), Query(BARE)])
        assert len(set(texts)) == 4
        assert texts[0] == asked.request_bytes([Query(EPISODE, "a")])[0]
        assert model(server).request_bytes([EPISODE, BARE])[0] != model(server).request_bytes([BARE])[0]
    assert not server.log


def test_importing_loads_neither_openai_nor_torch() -> None:
    code = (
        "import sys, pluralign.models.endpoint, pluralign.models.vllm; print('openai' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"
