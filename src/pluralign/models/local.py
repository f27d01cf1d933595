"""Models that run in this process: hf/FOLDER_OR_ID, with torch and transformers (the extra `local`).

An option is scored with its end; what is shared by prompts and options is computed once (`scorer`). Probabilities are float32
whatever the precision of the weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from pluralign.episodes import Episode
from pluralign.errors import DataError, ModelError
from pluralign.models.content import IdArray
from pluralign.models.loading import Loaded, check_folder, load_model
from pluralign.models.opening import ModelSettings
from pluralign.models.protocol import OptionLogprobs, OutputLogprobs, Query, Sample, SamplingSettings, Usage
from pluralign.models.sampling import draw_outputs
from pluralign.models.scorer import TokenScorer
from pluralign.models.templates import Encoded, Template, open_template
from pluralign.models.token_requests import prompt_ids, request_bytes, sum_by_output, weights_hash
from pluralign.models.turns import open_tokenizer

__all__ = ["LocalModel"]

SCORING = 1
"""Raised when the same request may get another answer than before, so that remembered ones are not taken."""
TOKENS_AT_ONCE = 1 << 22
"""Tokens of the sequences that are made into one tree, shared ones counted each time: 16 MiB."""


class LocalModel:
    """A causal model with a template. Made by `open_model("hf/...")`, or of parts that are already in memory."""

    def __init__(self, loaded: Loaded, template: Template, *, name: str, weights: str | None = None) -> None:
        self.name = name
        self.template = template
        self.loaded = loaded
        self.scorer = TokenScorer(loaded.forward, loaded.limits)
        self._weights = weights

    @classmethod
    def open(cls, name: str, settings: ModelSettings, *, known_as: str | None = None) -> LocalModel:
        """The weights in this folder or under this hub id; results call them `known_as`, or "hf/NAME".

        Raises ModelError or UsageError where weights, tokenizer or format do not go together.
        """
        check_folder(name)
        template = open_template(settings.format or "spectrum", open_tokenizer(name, settings.revision), chat=settings.chat)
        loaded = load_model(
            name,
            dtype=settings.dtype,
            device=settings.device,
            revision=settings.revision,
            memory_gib=settings.memory_gib,
        )
        if known_as is None:
            return cls(loaded, template, name=f"hf/{name}")
        return cls(loaded, template, name=known_as, weights=weights_hash(name, None))

    @property
    def usage(self) -> Usage:
        """Tokens needed, computed and drawn so far."""
        return self.scorer.usage

    def fingerprint(self) -> str:
        """Weights, precision, kind of device, and what of the template is not in the tokens."""
        if self._weights is None:
            self._weights = weights_hash(self.name.removeprefix("hf/"), getattr(self.loaded.model.config, "_commit_hash", None))
        ends = self.template.end_ids, sorted(self.loaded.end_of_text_ids)
        parts = [SCORING, self._weights, self.loaded.dtype, self.loaded.forward.device.type, *ends]
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def request_bytes(self, asked: Sequence[Query | Episode]) -> list[bytes]:
        """The token ids of each: prompt and options, or the episode and where it is scored."""
        return request_bytes(self.template, asked)

    def option_logprobs(self, queries: Sequence[Query]) -> list[OptionLogprobs]:
        """log p(option and its end | prompt) of every option of every query, in nats."""
        prompts = self._prompts(queries)
        written = {options: self._known(self.template.encode_options(options)) for options in _different_options(queries)}
        longest = [max(map(len, written[query.asked_options])) for query in queries]
        self._check_lengths(prompts, longest, queries, behind="of the longest option")
        found: list[OptionLogprobs | None] = [None] * len(queries)
        sizes = [len(p) * len(q.asked_options) for p, q in zip(prompts, queries, strict=True)]
        for window in _windows(prompts, sizes):
            sequences, is_read = [], []
            for n in window:
                for option in written[queries[n].asked_options]:
                    sequences.append(np.concatenate([prompts[n], option]))
                    is_read.append(np.arange(len(sequences[-1])) >= len(prompts[n]))
            scored = iter(self.scorer.score(sequences, is_read))
            for n in window:
                options = queries[n].asked_options
                found[n] = OptionLogprobs(options, np.array([next(scored).logprobs.sum() for _ in options]))
        return [one for one in found if one is not None]

    def output_logprobs(self, episodes: Sequence[Episode]) -> list[OutputLogprobs]:
        """log p(output and its end | all before it) of every scored output, in nats; one pass for all k."""
        encoded = self.template.encode(episodes)
        self._check_episodes(encoded, episodes)
        self._known([one.ids for one in encoded])
        found: list[OutputLogprobs | None] = [None] * len(episodes)
        for window in _windows([one.ids for one in encoded], [len(one) for one in encoded]):
            scored = self.scorer.score([encoded[n].ids for n in window], [encoded[n].is_loss for n in window])
            for n, tokens in zip(window, scored, strict=True):
                found[n] = sum_by_output(encoded[n], tokens.logprobs, tokens.is_argmax)
        return [one for one in found if one is not None]

    def sample(self, queries: Sequence[Query], settings: SamplingSettings) -> list[list[Sample]]:
        """Outputs, each from random numbers of its own, keyed by seed, prompt and sample number."""
        prompts = self._prompts(queries)
        self._check_lengths(prompts, [settings.max_tokens] * len(prompts), queries, behind="that may be drawn (max_tokens)")
        return draw_outputs(self.scorer, self.template, prompts, settings, stop_ids=self.loaded.end_of_text_ids)

    def _prompts(self, queries: Sequence[Query]) -> list[IdArray]:
        return self._known(prompt_ids(self.template, queries))

    def _known(self, sequences: list[IdArray]) -> list[IdArray]:
        """These, if the model knows all of their ids."""
        most = max((int(ids.max()) for ids in sequences if len(ids)), default=0)
        if most >= self.loaded.n_ids:
            token = self.template.content.decode([most])
            raise ModelError(
                f"{self.name}: the tokenizer writes {token!r} as id {most:,}, but the model's ids go up to "
                f"{self.loaded.n_ids - 1:,}; the two do not go together."
            )
        return sequences

    def _check_lengths(
        self, prompts: Sequence[IdArray], behind_prompt: Sequence[int], queries: Sequence[Query], *, behind: str
    ) -> None:
        self._refuse_long(
            [
                (len(prompt) + n, f"{len(prompt):,} of the prompt and {n:,} {behind}", query.episode)
                for prompt, n, query in zip(prompts, behind_prompt, queries, strict=True)
            ]
        )

    def _check_episodes(self, encoded: Sequence[Encoded], episodes: Sequence[Episode]) -> None:
        self._refuse_long([(len(e), f"{len(e):,} in all", episode) for e, episode in zip(encoded, episodes, strict=True)])

    def _refuse_long(self, lengths: Sequence[tuple[int, str, Episode]]) -> None:
        """The last token of a sequence is never read by the model, so one more fits."""
        most = self.loaded.most_tokens
        faults = [
            f"episode {n + 1} of {len(lengths)} ({episode.task[:60]}): {said}, in tokens; the model takes {most:,}; "
            f"leave out examples (it has {len(episode.examples)}) or shorten its texts."
            for n, (length, said, episode) in enumerate(lengths)
            if most is not None and length > most + 1
        ]
        if faults:
            raise DataError("context too long", [*faults[:20], *([f"and {len(faults) - 20} more"] if len(faults) > 20 else [])])


def _different_options(queries: Sequence[Query]) -> list[tuple[str, ...]]:
    return list(dict.fromkeys(query.asked_options for query in queries))


def _windows(keys: Sequence[IdArray], sizes: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of requests to make into one tree: neighbours in the order of their beginnings, so that they share much."""
    window: list[int] = []
    total = 0
    for n in sorted(range(len(keys)), key=lambda n: keys[n].astype(">u4").tobytes()):
        if window and total + sizes[n] > TOKENS_AT_ONCE:
            yield window
            window, total = [], 0
        window.append(n)
        total += sizes[n]
    if window:
        yield window
