"""Models run by vLLM in this process: vllm/FOLDER_OR_ID, with the extra `vllm` and an accelerator.

Written against vLLM's documented offline interface (`LLM.generate` with token ids, `SamplingParams`), versions 0.10 to 0.20. It
has not been run against vLLM itself: no machine with it was at hand. The tests run it against a stand-in with that interface;
tests/models/test_vllm.py has the parity test (`pytest -m gpu`), which is to be run before results are relied on.

Log-probabilities are those of `prompt_logprobs` in the mode `raw_logprobs`: before temperature and truncation. vLLM computes a
prompt whose log-probabilities are asked for whole, whatever its prefix cache holds, so that scoring many options behind one
long prompt is slower here than with hf/...; sampling many outputs from one prompt uses the cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.episodes import Episode
from pluralign.errors import DataError, MissingExtraError, ModelError
from pluralign.models.content import IdArray
from pluralign.models.opening import ModelSettings
from pluralign.models.protocol import OptionLogprobs, OutputLogprobs, Query, Sample, SamplingSettings, Usage
from pluralign.models.templates import Template, open_template
from pluralign.models.token_requests import prompt_ids, request_bytes, sum_by_output, weights_hash
from pluralign.models.turns import open_tokenizer

__all__ = ["VllmModel"]

SCORING = 1
"""Raised when the same request may get another answer than before."""
SEQUENCES = 1024
"""Given to vLLM at once; it makes its own batches of them."""


class VllmModel:
    """A causal model in a vLLM engine, with a template. Made by `open_model("vllm/...")`."""

    def __init__(self, name: str, engine: Any, params: Any, template: Template, identity: str) -> None:
        self.name = f"vllm/{name}"
        self.template = template
        self.usage = Usage()
        self._engine, self._params, self._identity = engine, params, identity

    @classmethod
    def open(cls, name: str, settings: ModelSettings) -> VllmModel:
        """Raises MissingExtraError without vLLM, ModelError where it cannot load the model."""
        try:
            import vllm
        except ImportError as error:
            raise MissingExtraError("vllm", extra="vllm") from error
        tokenizer = open_tokenizer(settings.tokenizer or name, settings.revision)
        template = open_template(settings.format or "spectrum", tokenizer, chat=settings.chat)
        try:
            engine = vllm.LLM(
                model=name,
                tokenizer=settings.tokenizer,
                revision=settings.revision,
                tokenizer_revision=settings.revision,
                dtype=settings.dtype,
                trust_remote_code=False,
                enable_prefix_caching=True,
                logprobs_mode="raw_logprobs",
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelError(f"{name}: vLLM cannot load this model: {error}") from error
        identity = [SCORING, weights_hash(name, settings.revision), settings.dtype, vllm.__version__, template.end_ids]
        return cls(name, engine, vllm.SamplingParams, template, hashlib.sha256(repr(identity).encode()).hexdigest())

    def fingerprint(self) -> str:
        """Weights, precision, vLLM's version, and what of the template is not in the tokens."""
        return self._identity

    def request_bytes(self, asked: Sequence[Query | Episode]) -> list[bytes]:
        """The token ids of each: prompt and options, or the episode and where it is scored."""
        return request_bytes(self.template, asked)

    def option_logprobs(self, queries: Sequence[Query]) -> list[OptionLogprobs]:
        """log p(option and its end | prompt) of every option, in nats."""
        prompts = prompt_ids(self.template, queries)
        behind = [self.template.encode_options(query.asked_options) for query in queries]
        sequences = [np.concatenate([p, ids]) for p, options in zip(prompts, behind, strict=True) for ids in options]
        starts = [len(prompt) for prompt, options in zip(prompts, behind, strict=True) for _ in options]
        totals = (float(values[start:].sum()) for start, (values, _) in zip(starts, self._scored(sequences), strict=True))
        return [OptionLogprobs(q.asked_options, np.array([next(totals) for _ in q.asked_options])) for q in queries]

    def output_logprobs(self, episodes: Sequence[Episode]) -> list[OutputLogprobs]:
        """log p(output and its end | all before it) of every scored output, in nats; one pass for all k."""
        encoded = self.template.encode(episodes)
        scored = self._scored([one.ids for one in encoded])
        return [
            sum_by_output(one, logprobs[one.is_loss], is_argmax[one.is_loss])
            for one, (logprobs, is_argmax) in zip(encoded, scored, strict=True)
        ]

    def sample(self, queries: Sequence[Query], settings: SamplingSettings) -> list[list[Sample]]:
        """Each output has a seed of its own, made of the seed, the prompt and its number."""
        prompts = prompt_ids(self.template, queries)
        asked = [(prompt, i) for prompt in prompts for i in range(settings.n)]
        drawn: list[Sample] = []
        for start in range(0, len(asked), SEQUENCES):
            some = asked[start : start + SEQUENCES]
            params = [self._sampling(settings, prompt, i) for prompt, i in some]
            drawn += [self._read(output, settings) for output in self._generate([prompt for prompt, _ in some], params)]
        return [drawn[n * settings.n : (n + 1) * settings.n] for n in range(len(queries))]

    def _scored(self, sequences: Sequence[IdArray]) -> Iterator[tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]]:
        """Log-probability of every token and whether it was the most probable, both [tokens]; the first token has NaN."""
        params = self._params(max_tokens=1, temperature=1.0, prompt_logprobs=1, detokenize=False)
        for start in range(0, len(sequences), SEQUENCES):
            some = sequences[start : start + SEQUENCES]
            for ids, output in zip(some, self._generate(some, [params] * len(some)), strict=True):
                yield _of_prompt(ids, output.prompt_logprobs)

    def _generate(self, sequences: Sequence[IdArray], params: list[Any]) -> list[Any]:
        prompts = [{"prompt_token_ids": ids.tolist()} for ids in sequences]
        try:
            outputs: list[Any] = self._engine.generate(prompts, params, use_tqdm=False)
        except ValueError as error:  # vLLM's way to refuse a prompt, above all a long one
            raise DataError("a prompt for vLLM", f"{error}; leave out examples or shorten its texts.") from error
        self.usage.tokens_computed += sum(map(len, sequences))
        self.usage.output_tokens += sum(len(output.outputs[0].token_ids) for output in outputs)
        return outputs

    def _sampling(self, settings: SamplingSettings, prompt: IdArray, number: int) -> Any:
        """No truncation unless asked for. An end that is plain text is looked for in the text."""
        end = self.template.end_ids
        is_control = self.template.content.control_ids.issuperset(end)
        digest = hashlib.sha256(f"{settings.seed} {number} ".encode() + prompt.tobytes()).digest()
        return self._params(
            max_tokens=settings.max_tokens,
            temperature=settings.temperature,
            top_p=settings.top_p,
            top_k=settings.top_k or 0,
            min_p=0.0,
            seed=int.from_bytes(digest[:4], "big") >> 1,
            logprobs=0,
            stop_token_ids=list(end) if is_control else None,
            stop=None if is_control else [self.template.content.decode(end)],
            detokenize=not is_control,
        )

    def _read(self, output: Any, settings: SamplingSettings) -> Sample:
        one = output.outputs[0]
        if one.finish_reason not in ("stop", "length"):
            return Sample("", "failed", detail=f"vLLM ended with {one.finish_reason!r}")
        ids = list(one.token_ids)
        stopped = one.finish_reason == "stop"
        text = self.template.read_output(ids, (ids[-1],) if stopped and one.stop_reason is None and ids else ())
        is_plain = settings.temperature == 1 and settings.top_p == 1 and settings.top_k is None
        return Sample(text, one.finish_reason, len(ids), one.cumulative_logprob if is_plain else None)


def _of_prompt(ids: IdArray, found: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """vLLM gives None for the first token, then for each token the most probable ones and itself, by id."""
    if found is None or len(found) != len(ids):
        raise ModelError(
            f"vLLM gave log-probabilities of {0 if found is None else len(found)} tokens for a prompt of {len(ids)}."
        )
    logprobs, is_argmax = np.full(len(ids), np.nan), np.zeros(len(ids), dtype=np.bool_)
    for n, number in enumerate(ids.tolist()[1:], 1):
        one = found[n][number]
        logprobs[n], is_argmax[n] = one.logprob, one.rank == 1
    return logprobs, is_argmax
