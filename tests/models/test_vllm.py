"""vllm/...: against a stand-in with vLLM's documented interface, and, with vLLM and an accelerator, against transformers."""

from __future__ import annotations

import importlib.util
import itertools
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from models import tiny
from models.fault_server import logprob, rival
from pluralign.episodes import Episode, Example
from pluralign.errors import DataError, MissingExtraError, ModelError
from pluralign.models import ModelSettings, open_template
from pluralign.models.opening import open_model
from pluralign.models.protocol import Query, SamplingSettings

EPISODE = Episode("warmth", (Example("yes", "31 degrees"), Example("no", "9 degrees")), "A rater.", ("yes", "not at all"))
LONGEST = 400


@dataclass
class SamplingParams:
    """The fields that are used, with vLLM's names and defaults."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    stop: list[str] | None = None
    stop_token_ids: list[int] | None = None
    max_tokens: int = 16
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    detokenize: bool = True


@dataclass
class Logprob:
    logprob: float
    rank: int


@dataclass
class CompletionOutput:
    token_ids: list[int]
    finish_reason: str
    stop_reason: int | str | None = None
    cumulative_logprob: float | None = None


@dataclass
class RequestOutput:
    prompt_token_ids: list[int]
    outputs: list[CompletionOutput]
    prompt_logprobs: list[dict[int, Logprob] | None] | None


@dataclass
class LLM:
    """Draws "yes" or "no" and their end; its log-probabilities are those of the server's model."""

    model: str
    tokenizer: str | None
    revision: str | None
    tokenizer_revision: str | None
    dtype: str
    trust_remote_code: bool
    enable_prefix_caching: bool
    logprobs_mode: str
    asked: list[SamplingParams] = field(default_factory=list)

    def generate(self, prompts: list[Any], params: list[SamplingParams], *, use_tqdm: bool) -> list[RequestOutput]:
        assert len(prompts) == len(params)
        return [self._one(prompt["prompt_token_ids"], one) for prompt, one in zip(prompts, params, strict=True)]

    def _one(self, ids: list[int], params: SamplingParams) -> RequestOutput:
        self.asked.append(params)
        if len(ids) + params.max_tokens > LONGEST:
            raise ValueError(f"The decoder prompt (length {len(ids)}) is longer than the maximum model length of {LONGEST}.")
        scored: list[dict[int, Logprob] | None] | None = None
        if params.prompt_logprobs is not None:
            pairs = itertools.pairwise(ids)
            scored = [
                None,
                *({b: Logprob(logprob(str(a), str(b)), 1 if rival(str(b)) < 0 else 2), -1: Logprob(0, 1)} for a, b in pairs),
            ]
        return RequestOutput(ids, [self._drawn(params)], scored)

    def _drawn(self, params: SamplingParams) -> CompletionOutput:
        template = open_template("spectrum", tiny.instruct("chatml"))
        option = random.Random(params.seed).choice(["yes", "no"])
        ids = template.encode_options([option])[0].tolist()
        if len(ids) > params.max_tokens:
            return CompletionOutput(ids[: params.max_tokens], "length", None, -1.0)
        # the end of ChatML is also the end of the text, which vLLM gives no reason for
        return CompletionOutput(ids, "stop", None, -1.5)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    module = ModuleType("vllm")
    module.LLM, module.SamplingParams, module.__version__ = LLM, SamplingParams, "0.0"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    tiny.instruct("chatml").save_pretrained(tmp_path)
    return open_model(f"vllm/{tmp_path}")


def test_options_and_outputs_are_sums_over_their_tokens(opened: Any) -> None:
    template = open_template("spectrum", tiny.instruct("chatml"))
    prompt = template.encode_prompts([EPISODE], ["20 degrees"])[0].tolist()
    [found] = opened.option_logprobs([Query(EPISODE, "20 degrees")])
    for option, value in zip(template.encode_options(EPISODE.options or ()), found.logprobs, strict=True):
        ids = [*prompt, *option.tolist()]
        assert value == pytest.approx(_total(ids, len(prompt), len(ids)), abs=1e-12)
    [outputs] = opened.output_logprobs([EPISODE])
    encoded = template.encode([EPISODE])[0]
    places = [np.flatnonzero(encoded.is_loss & (encoded.example_index == n)) for n in (0, 1)]
    expected = [_total(encoded.ids.tolist(), some[0], some[-1] + 1) for some in places]
    np.testing.assert_allclose(outputs.logprobs, expected, atol=1e-12)
    assert outputs.n_tokens.tolist() == [len(some) for some in places]
    assert outputs.is_argmax.tolist() == [all(rival(str(i)) < 0 for i in encoded.ids[some].tolist()) for some in places]


def _total(ids: list[int], start: int, stop: int) -> float:
    return sum(logprob(str(ids[n - 1]), str(ids[n])) for n in range(start, stop))


def test_samples_have_seeds_of_their_own_and_are_not_truncated(opened: Any) -> None:
    found = opened.sample([Query(EPISODE, "a"), Query(EPISODE, "b")], SamplingSettings(n=20, max_tokens=6))
    assert {one.text for one in found[0]} == {"yes", "no"}
    assert {(one.finish_reason, one.logprob) for one in found[0]} == {("stop", -1.5)}
    asked = opened._engine.asked
    assert len({one.seed for one in asked}) == 40
    assert {(one.top_k, one.min_p, one.top_p, one.temperature, one.detokenize) for one in asked} == {(0, 0.0, 1.0, 1.0, False)}
    assert found[1] == opened.sample([Query(EPISODE, "b")], SamplingSettings(n=20, max_tokens=6))[0]


def test_a_cut_output_is_that_and_a_bent_distribution_has_no_logprob(opened: Any) -> None:
    [[cut]] = opened.sample([Query(EPISODE, "a")], SamplingSettings(max_tokens=1))
    assert cut.finish_reason == "length"
    [[bent]] = opened.sample([Query(EPISODE, "a")], SamplingSettings(temperature=0.5))
    assert bent.logprob is None


def test_opening_leaves_nothing_to_defaults(opened: Any) -> None:
    engine = opened._engine
    assert (engine.trust_remote_code, engine.enable_prefix_caching, engine.logprobs_mode) == (False, True, "raw_logprobs")
    assert len(opened.fingerprint()) == 64


def test_a_long_prompt_is_an_error_in_vllms_words(opened: Any) -> None:
    with pytest.raises(DataError, match=r"longer than the maximum model length of 400.; leave out examples"):
        opened.option_logprobs([Query(EPISODE, "20 degrees " * 200)])


def test_requests_are_told_apart(opened: Any) -> None:
    asked = [Query(EPISODE, "a"), Query(EPISODE, "b"), Query(EPISODE, "a", ("c",)), EPISODE]
    assert len(set(opened.request_bytes(asked))) == 4


def test_missing_log_probabilities_are_an_error(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened._engine, "_one", lambda ids, params: RequestOutput(ids, [CompletionOutput([1], "length")], None))
    with pytest.raises(ModelError, match="log-probabilities of 0 tokens"):
        opened.output_logprobs([EPISODE])


def test_without_vllm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingExtraError, match=r"pluralign\[vllm\]"):
        open_model("vllm/x")


@pytest.mark.gpu
@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vllm is not installed")
def test_parity_with_a_plain_forward(tmp_path: Path) -> None:
    """A small Llama with random weights, float32: both within 1e-3 nats a token, for options of one and several tokens."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no accelerator")
    from models.gguf_file import small_llama

    tokenizer = tiny.instruct("llama")
    small_llama(tokenizer).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    settings = ModelSettings(dtype="float32", device="cuda")
    ours, plain = open_model(f"vllm/{tmp_path}", settings), open_model(f"hf/{tmp_path}", settings)
    queries = [Query(EPISODE, f"{n} degrees") for n in range(8)]
    for a, b in zip(ours.option_logprobs(queries), plain.option_logprobs(queries), strict=True):
        np.testing.assert_allclose(a.logprobs, b.logprobs, atol=1e-2)
    [a], [b] = ours.output_logprobs([EPISODE]), plain.output_logprobs([EPISODE])
    np.testing.assert_allclose(a.logprobs, b.logprobs, atol=1e-2)
    assert a.n_tokens.tolist() == b.n_tokens.tolist()
    [drawn] = ours.sample(queries[:1], SamplingSettings(n=4, max_tokens=8))
    assert all(one.finish_reason in ("stop", "length") for one in drawn)
