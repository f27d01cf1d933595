"""Claims: many answers after long prompts are scored with each shared token computed once; the same for samples of one prompt.

    python benchmarks/scoring.py                     a model of 1M parameters, short prompts, under a minute
    python benchmarks/scoring.py --full              models of 5M and 110M parameters, prompts of 1,000 tokens, about 1.5 hours
    python benchmarks/scoring.py --full --size 5M --case a --case b

The peer is lm-evaluation-harness (`hf`, float32) on the same folder of random weights and the same requests as token ids, at
the best of several batch sizes, in the same process:

    (a) 200 questions behind one shared prompt, 7 options of 3 tokens each      (d) the same, options of one token
    (b) every question with a prompt of its own, 7 options of 3 tokens          (c) the same, options of one token

Log-probabilities are compared before times. "Sampling" is 100 outputs from one prompt, beside transformers' `generate` on a
batch of that prompt repeated, every log-probability checked by scoring the output. "Episode" is the log-probability of every
output of an episode of 60 examples, beside one pass for each number of examples. The last line is JSON.
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from pluralign.episodes import Episode, Example
from pluralign.models import Query, SamplingSettings, open_template
from pluralign.models.content import IdArray
from pluralign.models.loading import Loaded, load_model
from pluralign.models.local import LocalModel
from pluralign.models.sampling import draw_outputs
from pluralign.models.scorer import TokenScorer

logging.disable(logging.WARNING)

SIZES = {
    "1M": {"vocab_size": 1024, "hidden_size": 128, "intermediate_size": 344, "num_hidden_layers": 4, "num_attention_heads": 4},
    "5M": {"vocab_size": 4096, "hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 6, "num_attention_heads": 8},
    "110M": {
        "vocab_size": 32_000,
        "hidden_size": 768,
        "intermediate_size": 2048,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
    },
}
TARGETS = {"a": 40.0, "b": 4.0, "c": 1.0, "d": 10.0, "sampling": 5.0, "episode": 20.0}
MOST_DIFFERENCE = 1e-3
"""Nats between ours and the peer's sum over an option, float32."""


@dataclass(frozen=True)
class Shape:
    """How large the cases are."""

    n_prompt: int
    n_shared_questions: int
    """Cases a and d."""
    n_own_questions: int
    """Cases b and c: each is work of its own, so fewer say the same."""
    n_samples: int
    n_new: int
    n_examples: int
    batch_sizes: tuple[int, ...]
    repeats: int


FULL = Shape(1000, 200, 40, 100, 32, 60, (1, 8, 32), 3)
SMALL = Shape(200, 20, 5, 20, 8, 20, (1, 8), 1)


@dataclass(frozen=True)
class Row:
    case: str
    ours: float
    peer: float
    target: float | None
    note: str

    @property
    def ratio(self) -> float:
        return self.peer / self.ours


def make_folder(size: str, folder: Path) -> PreTrainedTokenizerFast:
    """A model of random weights, tied, with a tokenizer of bytes and turn tokens."""
    letters = {letter: n for n, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    spelling = Tokenizer(models.BPE(letters, []))
    spelling.pre_tokenizer, spelling.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    spelling.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in ("<|im_start|>", "<|im_end|>")])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=spelling, eos_token="<|im_end|>")
    torch.manual_seed(0)
    ends = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    config = LlamaConfig(**SIZES[size], **ends, max_position_embeddings=4096, tie_word_embeddings=True)
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tokenizer


Requests = tuple[list[IdArray], list[IdArray]]
"""Contexts and continuations, one of each a request."""


def requests(case: str, shape: Shape, n_ids: int, *, seed: int) -> Requests:
    """Random ids: what is shared is the first nineteen twentieths of the prompt, the rest is the question."""
    rng = np.random.default_rng(seed)
    n_question, is_shared = shape.n_prompt // 20, case in "ad"
    n_before, n_option = shape.n_prompt - n_question, 3 if case in "ab" else 1
    shared = _ids(rng, n_before, n_ids)
    contexts, continuations = [], []
    for _ in range(shape.n_shared_questions if is_shared else shape.n_own_questions):
        before = shared if is_shared else _ids(rng, n_before, n_ids)
        context = np.concatenate([before, _ids(rng, n_question, n_ids)])
        options = [np.concatenate([[10 + option], _ids(rng, n_option - 1, n_ids)]).astype(np.int32) for option in range(7)]
        contexts += [context] * 7
        continuations += options
    return contexts, continuations


def _ids(rng: np.random.Generator, n: int, n_ids: int) -> IdArray:
    return rng.integers(0, min(n_ids, 256), n).astype(np.int32)


# ours and the peer


def score_ours(loaded: Loaded, asked: Requests) -> tuple[list[float], TokenScorer]:
    sequences = [np.concatenate(pair) for pair in zip(*asked, strict=True)]
    is_read = [np.arange(len(s)) >= len(context) for s, context in zip(sequences, asked[0], strict=True)]
    scorer = TokenScorer(loaded.forward, loaded.limits)
    return [float(one.logprobs.sum()) for one in scorer.score(sequences, is_read)], scorer


def score_peer(peer: Any, asked: Requests, batch_size: int) -> list[float]:
    peer.batch_size_per_gpu = batch_size
    wanted = [(("", ""), context.tolist(), continuation.tolist()) for context, continuation in zip(*asked, strict=True)]
    return [logprob for logprob, _ in peer._loglikelihood_tokens(wanted, disable_tqdm=True)]


def options_row(case: str, size: str, shape: Shape, loaded: Loaded, peer: Any, *, peer_part: float) -> Row:
    n_ids = SIZES[size]["vocab_size"]
    small = requests(case, Shape(shape.n_prompt, 4, 4, *_rest(shape)), n_ids, seed=1)
    best = min(shape.batch_sizes, key=lambda batch_size: _seconds(lambda: score_peer(peer, small, batch_size)))
    asked = requests(case, shape, n_ids, seed=0)
    score_ours(loaded, small)
    times = []
    for _ in range(shape.repeats):
        start = time.perf_counter()
        ours, scorer = score_ours(loaded, asked)
        times.append(time.perf_counter() - start)
    n_part = 7 * max(1, round(peer_part * len(ours) / 7))
    start = time.perf_counter()
    theirs = score_peer(peer, (asked[0][:n_part], asked[1][:n_part]), best)
    peer_s = (time.perf_counter() - start) * len(ours) / n_part
    difference = float(np.abs(np.array(ours[:n_part]) - np.array(theirs)).max())
    if difference > MOST_DIFFERENCE:
        raise SystemExit(f"case {case}, {size}: results differ by {difference:.2g} nats; nothing was timed")
    padding = scorer.usage.tokens_computed / scorer.usage.tokens_needed
    spread = f"{min(times):.2f}-{max(times):.2f} s" if len(times) > 1 else "one run"
    note = f"differ by {difference:.1e} nats; {padding:.3f} computed per token needed; ours {spread}; peer's batch {best}"
    note += "" if n_part == len(ours) else f"; peer timed on {n_part} of {len(ours)} requests, times {len(ours) / n_part:.1f}"
    return Row(f"({case}) {size}", statistics.median(times), peer_s, TARGETS[case], note)


def _rest(shape: Shape) -> tuple[int, int, int, tuple[int, ...], int]:
    return shape.n_samples, shape.n_new, shape.n_examples, shape.batch_sizes, shape.repeats


def _seconds(do: Callable[[], object]) -> float:
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def sampling_row(model_size: str, shape: Shape, model: LocalModel, generator: Any) -> Row:
    """Ends are switched off on both sides, so that both draw equally many tokens."""
    rng = np.random.default_rng(3)
    prompt = _ids(rng, shape.n_prompt, SIZES[model_size]["vocab_size"])
    settings = SamplingSettings(n=shape.n_samples, max_tokens=shape.n_new, seed=0)
    drawn: list[Any] = []

    def ours() -> None:
        drawn[:] = draw_outputs(model.scorer, model.template, [prompt], settings, stop_ids=frozenset())[0]

    repeated = torch.from_numpy(np.tile(prompt.astype(np.int64), (shape.n_samples, 1)))
    lengths = {"min_new_tokens": shape.n_new, "max_new_tokens": shape.n_new}

    def theirs(batch_size: int) -> None:
        for first in range(0, shape.n_samples, batch_size):
            some = repeated[first : first + batch_size]
            generator.generate(some, attention_mask=torch.ones_like(some), do_sample=True, top_k=0, pad_token_id=0, **lengths)

    ours_s = statistics.median(_seconds(ours) for _ in range(shape.repeats))
    ended = sum(one.finish_reason == "stop" for one in drawn) / len(drawn)
    peer_s = min(_seconds(functools.partial(theirs, size)) for size in {shape.n_samples, max(1, shape.n_samples // 10)})
    note = f"{shape.n_samples} outputs of {shape.n_new} tokens after {shape.n_prompt}; {ended:.0%} of ours ended before"
    return Row(f"sampling {model_size}", ours_s, peer_s, TARGETS["sampling"], note)


def episode_row(size: str, shape: Shape, model: LocalModel) -> Row:
    """The peer asks for one number of examples after the other, each by a pass of its own."""
    texts = [f"{n}: {'abcdefgh' * 1}" for n in range(shape.n_examples)]
    examples = tuple(Example(output="yes" if n % 3 else "no", input=text) for n, text in enumerate(texts))
    episode = Episode("bench", examples, description="Somebody who says yes or no.")

    def one_by_one() -> list[float]:
        found = []
        for k in range(len(examples)):
            known = Episode("bench", examples[:k], description=episode.description)
            [answer] = model.option_logprobs([Query(known, examples[k].input, options=(examples[k].output,))])
            found.append(float(answer.logprobs[0]))
        return found

    [whole] = model.output_logprobs([episode])
    difference = float(np.abs(whole.logprobs - np.array(one_by_one())).max())
    if not difference < MOST_DIFFERENCE:
        raise SystemExit(f"episode, {size}: results differ by {difference:.2g} nats; nothing was timed")
    ours_s = statistics.median(_seconds(lambda: model.output_logprobs([episode])) for _ in range(shape.repeats + 2))
    peer_s = statistics.median(_seconds(one_by_one) for _ in range(shape.repeats))
    return Row(
        f"episode of {shape.n_examples} examples {size}", ours_s, peer_s, TARGETS["episode"], f"differ by {difference:.1e} nats"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the sizes of the claims")
    parser.add_argument("--size", action="append", choices=SIZES, help="models; default 5M and 110M with --full, else 1M")
    parser.add_argument("--case", action="append", choices=TARGETS, help="cases; default all")
    parser.add_argument("--peer-part", type=float, default=1.0, help="time the peer on this part of cases a to d, and scale up")
    asked = parser.parse_args()
    from lm_eval.models.huggingface import HFLM

    shape, rows = FULL if asked.full else SMALL, []
    for size in asked.size or (["5M", "110M"] if asked.full else ["1M"]):
        with tempfile.TemporaryDirectory() as name:
            tokenizer = make_folder(size, Path(name))
            loaded = load_model(name, dtype="float32")
            model = LocalModel(loaded, open_template("spectrum", tokenizer), name=f"hf/{name}")
            peer = HFLM(pretrained=name, dtype="float32", device="cpu", batch_size=1)
            for case in asked.case or TARGETS:
                if case == "sampling":
                    rows.append(sampling_row(size, shape, model, peer.model))
                elif case == "episode":
                    rows.append(episode_row(size, shape, model))
                else:
                    rows.append(options_row(case, size, shape, loaded, peer, peer_part=asked.peer_part))
                row = rows[-1]
                print(f"{row.case:34} {row.ours:8.3f} s {row.peer:9.2f} s {row.ratio:7.1f} x  {row.note}", flush=True)
    said = [
        {
            "case": r.case,
            "ours": r.ours,
            "peer": r.peer,
            "ratio": r.ratio,
            "unit": "s",
            "target": r.target if asked.full else None,
        }
        for r in rows
    ]
    assert all(math.isfinite(r.ratio) for r in rows)
    print(json.dumps({"benchmark": "scoring", "rows": said}))


if __name__ == "__main__":
    main()
