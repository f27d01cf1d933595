"""Against real servers: llama.cpp's (package llama-cpp-python[server], and gguf) and transformers serve (fastapi, uvicorn)."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import tiny
from pluralign.episodes import Episode, Example
from pluralign.errors import DataError, ModelError
from pluralign.models import ModelSettings
from pluralign.models.endpoint import EndpointModel
from pluralign.models.endpoint_prompts import Echo
from pluralign.models.protocol import Query, SamplingSettings

pytestmark = pytest.mark.slow

EPISODES = [
    Episode(
        "warmth",
        (Example("yes", "How warm is it?"), Example("no", "Is the café open — maybe?")),
        "The rater liked the second answer.",
        ("yes", "no", "not at all", "1", "10", "100", "very warm, 31 degrees"),
    ),
    Episode("coin", (Example("heads"), Example("tails"), Example("heads")), options=("heads", "tails")),
]
QUERIES = [Query(EPISODES[0], "Say what you would pay"), Query(EPISODES[0], "Naïve? 31"), Query(EPISODES[1])]


def _needs(*packages: str) -> None:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@contextmanager
def _serving(*arguments: str, path: str) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", *arguments, "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(process, f"http://127.0.0.1:{port}{path}")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(20)


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    for _ in range(600):
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError("the server did not start")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from models.gguf_file import small_llama

    made = tmp_path_factory.mktemp("llama")
    tokenizer = tiny.instruct("llama")
    small_llama(tokenizer).save_pretrained(made)
    tokenizer.save_pretrained(made)
    return made


@pytest.fixture(scope="module")
def llama_cpp(folder: Path) -> Iterator[str]:
    _needs("llama_cpp", "gguf", "uvicorn", "fastapi", "sse_starlette", "starlette_context", "pydantic_settings")
    from models.gguf_file import small_llama, write_gguf

    tokenizer = tiny.instruct("llama")
    write_gguf(small_llama(tokenizer), tokenizer, folder / "model.gguf")
    # type 0 is float32: with its default, float16, the cache alone makes a difference of .004 nats
    options = ("--logits_all", "true", "--n_ctx", "512", "--type_k", "0", "--type_v", "0", "--flash_attn", "false")
    with _serving("llama_cpp.server", "--model", str(folder / "model.gguf"), *options, path="/v1/models") as url:
        yield url


def _opened(url: str, name: str = "m", **settings: Any) -> EndpointModel:
    return EndpointModel.open(name, ModelSettings(base_url=url, timeout_s=60, **settings), None)


def _plain(echo: Echo, start: int, stop: int) -> float:
    """One forward over the text as the server reads it: its tokens between two characters."""
    import torch

    from models.gguf_file import small_llama

    tokenizer = tiny.instruct("llama")
    encoded = tokenizer(echo.prompt, return_offsets_mapping=True)
    ids = torch.tensor(encoded["input_ids"])
    with torch.inference_mode():
        logprobs = torch.log_softmax(small_llama(tokenizer)(ids[None]).logits[0], dim=-1)
    places = [n for n, (a, b) in enumerate(encoded["offset_mapping"]) if start <= a < b <= stop]
    return float(sum(logprobs[n - 1, ids[n]] for n in places))


def test_llama_cpp_scores_as_a_plain_forward_does(llama_cpp: str) -> None:
    """Within 1e-4 nats, for options of one to twenty tokens and texts outside of ASCII."""
    asked = _opened(llama_cpp, api="completions")
    differences = []
    for found, echoes in zip(asked.option_logprobs(QUERIES), asked.writer.option_echoes(QUERIES), strict=True):
        assert found.outcome == "ok", found.detail
        differences += [v - _plain(e, *e.spans[0]) for v, e in zip(found.logprobs, echoes, strict=True)]
    for outputs, echo in zip(asked.output_logprobs(EPISODES), asked.writer.episode_echoes(EPISODES), strict=True):
        assert outputs.outcome == "ok", outputs.detail
        differences += [v - _plain(echo, *span) for v, span in zip(outputs.logprobs, echo.spans, strict=True)]
    assert len(differences) == 7 + 7 + 2 + 2 + 2
    assert np.abs(differences).max() < 1e-4


def test_llama_cpp_draws_from_the_whole_distribution(llama_cpp: str) -> None:
    """Its own defaults keep the 40 most probable tokens; ours keep all, and some draws are none of the 40."""
    import torch

    from models.gguf_file import small_llama

    asked, tokenizer = _opened(llama_cpp, api="completions"), tiny.instruct("llama")
    with torch.inference_mode():
        prompt = torch.tensor(tokenizer(asked.writer.prompts(QUERIES[2:])[0])["input_ids"])
        top = small_llama(tokenizer)(prompt[None]).logits[0, -1].topk(40).indices.tolist()
    known = {tokenizer.decode([number]).removeprefix(" ") for number in top}

    def others(**settings: Any) -> set[str]:
        [found] = asked.sample(QUERIES[2:], SamplingSettings(n=200, max_tokens=1, **settings))
        # where a token ends within a character the server draws more than one
        return {one.text for one in found if one.n_tokens == 1 and one.text.isascii()} - known - {""}

    assert not others(top_k=40)
    assert len(others()) > 5


def test_llama_cpp_gives_first_tokens_of_a_chat(llama_cpp: str) -> None:
    """Options that are no first token are an error; those that are have a probability."""
    asked = _opened(llama_cpp, api="chat")
    with pytest.raises(ModelError, match="most probable first tokens"):
        asked.option_logprobs([Query(EPISODES[1], options=("not a token",))])


def test_llama_cpp_says_how_long_a_context_may_be(llama_cpp: str) -> None:
    with pytest.raises(DataError, match="maximum context length is 512 tokens"):
        _opened(llama_cpp, api="completions").option_logprobs([Query(EPISODES[1], "warm " * 600)])


def test_transformers_serve_gives_no_logprobs_and_that_is_said(folder: Path) -> None:
    _needs("fastapi", "uvicorn")
    with _serving("transformers.cli.transformers", "serve", path="/health") as url:
        with pytest.raises(ModelError, match=r"replied 200, but .*logprobs.*--elicit sampling|422|400"):
            _opened(url, str(folder), api="completions").option_logprobs(QUERIES[:1])
        with pytest.raises(ModelError, match=r"replied 200, but .*logprobs.*--elicit sampling|422|400"):
            _opened(url, str(folder), api="chat").option_logprobs(QUERIES[:1])
        [found] = _opened(url, str(folder), api="chat", elicit="sampling", n_elicit=3).option_logprobs(QUERIES[2:])
        assert found.n_samples == 3
