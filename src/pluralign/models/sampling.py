"""Outputs drawn from a local model: the prompt is computed once for all samples of it, and each row pays for its own tokens.

Every sample has random numbers of its own, keyed by seed, prompt and sample number: neither the other prompts nor the number
of samples changes which output it is (up to float rounding, which depends on the rows computed together). A token is drawn by
inverting the distribution's cumulative sum, in float64. Nothing is truncated unless asked, and no model's own defaults are
taken over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pluralign.errors import ModelError
from pluralign.models.attention import Layers, View
from pluralign.models.content import IdArray
from pluralign.models.protocol import FinishReason, Sample, SamplingSettings
from pluralign.models.scorer import TokenScorer, is_out_of_memory
from pluralign.models.templates import Template
from pluralign.models.trie import common_length
from pluralign.streams import stream

__all__ = ["choose", "draw_outputs", "truncated"]

FEW = 4
"""Up to this many samples a prompt, several prompts are drawn from together, each row with a copy of its prompt's cache."""
BLOCK = 1024


def draw_outputs(
    scorer: TokenScorer, template: Template, prompts: Sequence[IdArray], settings: SamplingSettings, *, stop_ids: frozenset[int]
) -> list[list[Sample]]:
    """`settings.n` outputs for each prompt [tokens]; `stop_ids` end an output as the format's own end does.

    Raises ModelError when memory does not suffice for one output.
    """
    drawing = _Drawing(scorer, template, prompts, settings, stop_ids)
    for together in drawing.plan():
        drawing.draw(together)
    return [[drawing.found[n, i] for i in range(settings.n)] for n in range(len(prompts))]


def truncated(logits: Tensor, settings: SamplingSettings) -> Tensor:
    """log p under the settings, float32 [rows, vocabulary]: temperature, then top k, then the smallest set of mass top p."""
    scores = logits.float() / settings.temperature
    if settings.top_k is not None and settings.top_k < scores.shape[1]:
        least = scores.topk(settings.top_k, dim=1).values[:, -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    logprobs = scores.log_softmax(1)
    if settings.top_p < 1:
        ordered, place = logprobs.sort(dim=1, descending=True)
        before = ordered.exp().double().cumsum(1) - ordered.exp()
        beyond = torch.zeros_like(logprobs, dtype=torch.bool).scatter(1, place, before >= settings.top_p)
        logprobs = logprobs.masked_fill(beyond, -torch.inf).log_softmax(1)
    return logprobs


def choose(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """The ids [rows] at which the cumulative sums of `probabilities` [rows, vocabulary] pass `uniform` [rows] in [0, 1)."""
    n_rows, n_ids = probabilities.shape
    padded = torch.nn.functional.pad(probabilities, (0, -n_ids % BLOCK)).view(n_rows, -1, BLOCK)
    sums = padded.sum(2, dtype=torch.float64).cumsum(1)
    target = uniform.double()[:, None] * sums[:, -1:]
    block = (sums <= target).sum(1).clamp(max=sums.shape[1] - 1)
    rows = torch.arange(n_rows, device=probabilities.device)
    inside = padded[rows, block].double()
    before = torch.where(block > 0, sums[rows, (block - 1).clamp(min=0)], 0.0)
    place = (inside.cumsum(1) + before[:, None] <= target).sum(1)
    last = BLOCK - 1 - (inside > 0).flip(1).int().argmax(1)  # rounding may pass the last id that has any probability
    return block * BLOCK + torch.minimum(place, last)


_Which = tuple[int, int]
"""The prompt's number and the sample's."""


@dataclass(slots=True, eq=False)
class _Output:
    """A sample in the making."""

    which: _Which
    prompt: IdArray
    random: np.random.Generator
    ids: list[int] = field(default_factory=list)
    logprob: float = 0.0
    finish_reason: FinishReason | None = None


class _Drawing:
    """Outputs being drawn; `found` are those that are finished."""

    def __init__(
        self,
        scorer: TokenScorer,
        template: Template,
        prompts: Sequence[IdArray],
        settings: SamplingSettings,
        stop_ids: frozenset[int],
    ) -> None:
        self.scorer, self.forward, self.device = scorer, scorer.forward, scorer.forward.device
        self.template, self.prompts, self.settings, self.stop_ids = template, prompts, settings, stop_ids
        self.found: dict[_Which, Sample] = {}
        self.prefix, self.prefix_ids = Layers(), np.empty(0, dtype=np.int32)

    def plan(self) -> Iterator[list[_Which]]:
        """Which outputs are drawn together: all of a prompt that there is room for, or a few each of several prompts."""
        n = self.settings.n
        order = sorted(range(len(self.prompts)), key=lambda p: self.prompts[p].astype(">u4").tobytes())
        if n > FEW or not self.forward.shares_prefixes:
            for p in order:
                first = 0
                while first < n:
                    at_once = max(1, self.scorer.limits.cache_tokens // self.settings.max_tokens)
                    yield [(p, i) for i in range(first, min(first + at_once, n))]
                    first += at_once
            return
        together: list[_Which] = []
        longest = 0
        for p in sorted(order, key=lambda p: len(self.prompts[p])):
            longest, rows = len(self.prompts[p]), len(together) + n
            limits = self.scorer.limits
            full = rows * (longest + self.settings.max_tokens) > limits.cache_tokens or rows * longest > n * limits.batch_tokens
            if together and full:
                yield together
                together = []
            together += [(p, i) for i in range(n)]
        if together:
            yield together

    def draw(self, together: list[_Which]) -> None:
        """Draws these outputs; the halves one after the other if memory does not suffice."""
        outputs = [
            _Output((p, i), self.prompts[p], stream(self.settings.seed, "sample", i, self.prompts[p].astype("<i4").tobytes()))
            for p, i in together
        ]
        usage = self.scorer.usage
        counts = usage.tokens_needed, usage.output_tokens
        try:
            self._draw_all(outputs)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            self._shrink(error, outputs)
            usage.tokens_needed, usage.output_tokens = counts
        else:
            for one in outputs:
                text = self.template.read_output(one.ids, self.stop_ids)
                self.found[one.which] = Sample(text, one.finish_reason or "length", n_tokens=len(one.ids), logprob=one.logprob)
            return
        # the error has been let go of here, and with it what the call had in memory
        half = (len(together) + 1) // 2
        for some in (together[:half], together[half:]):
            if some:
                self.draw(some)

    def _shrink(self, error: RuntimeError, outputs: list[_Output]) -> None:
        """Lowers the limits: on rows that are drawn together, for one row alone on the tokens of a prompt in one call."""
        if not is_out_of_memory(error):
            raise error
        self.prefix, self.prefix_ids = Layers(), np.empty(0, dtype=np.int32)
        limits, n_prompt, n_most = self.scorer.limits, max(len(one.prompt) for one in outputs), self.settings.max_tokens
        if len(outputs) > 1:
            kept = len(outputs) * (n_most if self._has_one_prompt(outputs) else n_prompt + n_most)
            self.scorer.limits = replace(limits, cache_tokens=max(1, min(limits.cache_tokens, kept // 2)))
        elif self.forward.shares_prefixes and min(limits.batch_tokens, n_prompt) > 1:
            self.scorer.limits = replace(limits, batch_tokens=min(limits.batch_tokens, n_prompt) // 2)
        else:
            raise ModelError(
                f"memory does not suffice to draw one output of {n_most} tokens behind a prompt of {n_prompt} "
                f"on {self.device}; lower max_tokens or shorten the episode."
            ) from error

    def _has_one_prompt(self, outputs: list[_Output]) -> bool:
        return all(one.prompt is outputs[0].prompt for one in outputs)

    def _draw_all(self, outputs: list[_Output]) -> None:
        if not self.forward.shares_prefixes:
            self._plain(outputs)
        elif self._has_one_prompt(outputs):
            self._behind_one_prompt(outputs)
        else:
            self._side_by_side(outputs)

    def _behind_one_prompt(self, outputs: list[_Output]) -> None:
        """The prompt is computed into the prefix, of which what the prompt before it shares is kept."""
        prompt, rows = outputs[0].prompt, len(outputs)
        shared = min(self._count_prompt(prompt), len(prompt) - 1)
        self.prefix.length = shared
        states = torch.empty(0)
        for start in range(shared, len(prompt), self.scorer.limits.batch_tokens):
            part = prompt[None, start : start + self.scorer.limits.batch_tokens]
            position = torch.arange(start, start + part.shape[1], device=self.device)[None]
            states = self._states(self._tensor(part), View(position, prefix=self.prefix, keep=self.prefix))
        past = torch.empty(rows, 0, dtype=torch.int64, device=self.device)
        start_at = torch.full((rows,), len(prompt), device=self.device)
        self._decode(outputs, states[:, -1].expand(rows, -1), start_at, past, Layers(), self.prefix)

    def _count_prompt(self, prompt: IdArray) -> int:
        """How much the prompt shares with the one before it; the rest is needed."""
        shared, self.prefix_ids = common_length(self.prefix_ids, prompt), prompt
        self.scorer.usage.tokens_needed += len(prompt) - shared
        return shared

    def _side_by_side(self, outputs: list[_Output]) -> None:
        """Several prompts, each computed once; each row has a copy of its own prompt's cache."""
        numbers = list(dict.fromkeys(one.which[0] for one in outputs))
        prompts = [self.prompts[p] for p in numbers]
        lengths = self._tensor(np.array([len(prompt) for prompt in prompts]))
        ids = np.zeros((len(prompts), max(map(len, prompts))), dtype=np.int64)
        for row, prompt in zip(ids, prompts, strict=True):
            row[: len(prompt)] = prompt
        self.scorer.usage.tokens_needed += sum(map(len, prompts))
        position = torch.arange(ids.shape[1], device=self.device).expand(ids.shape)
        rows = Layers()
        states = self._states(self._tensor(ids), View(position, keep=rows))
        last = states[torch.arange(len(ids), device=self.device), lengths - 1]
        past = torch.where(position < lengths[:, None], position, -1)
        copies = self._tensor(np.array([numbers.index(one.which[0]) for one in outputs]))
        rows.take(copies)
        self._decode(outputs, last[copies], lengths[copies], past[copies], rows, None)

    def _plain(self, outputs: list[_Output]) -> None:
        """For models whose prefixes cannot be shared: every step computes every row from its beginning."""
        self._count_prompt(outputs[0].prompt)
        active = outputs
        while active:
            rows = [np.concatenate([one.prompt, np.array(one.ids, dtype=np.int32)]) for one in active]
            ids = self._tensor(np.stack(rows))  # rows of one prompt have equal lengths
            position = torch.arange(ids.shape[1], device=self.device).expand(ids.shape)
            self._draw_tokens(active, self._states(ids, View(position))[:, -1])
            active = [one for one in active if one.finish_reason is None]
            self.scorer.usage.tokens_needed += len(active)

    def _decode(
        self, outputs: list[_Output], states: Tensor, position: Tensor, past: Tensor, rows: Layers, prefix: Layers | None
    ) -> None:
        """Draws until every output has ended; `past` [rows, kept] are the positions of what `rows` holds."""
        active = outputs
        while True:
            drawn = self._draw_tokens(active, states)
            going = [n for n, one in enumerate(active) if one.finish_reason is None]
            if not going:
                return
            if len(going) < len(active):
                kept = self._tensor(np.array(going))
                active, drawn, position, past = [active[n] for n in going], drawn[kept], position[kept], past[kept]
                rows.take(kept)
            view = View(position[:, None], prefix=prefix, keep=rows, past_position=past)
            states = self._states(drawn[:, None], view)[:, -1]
            self.scorer.usage.tokens_needed += len(active)
            past = torch.cat([past, position[:, None]], dim=1)
            position = position + 1

    def _draw_tokens(self, active: list[_Output], states: Tensor) -> Tensor:
        """One token for each output, from the hidden states [rows, width]; the ids [rows]."""
        with torch.inference_mode():
            logprobs = truncated(self.forward.head.logits(states), self.settings)
            uniform = torch.tensor([one.random.random() for one in active], dtype=torch.float64, device=states.device)
            ids = choose(logprobs.exp(), uniform)
            chosen = logprobs.gather(1, ids[:, None])[:, 0]
        for one, number, logprob in zip(active, ids.tolist(), chosen.tolist(), strict=True):
            one.ids.append(number)
            one.logprob += logprob
            if self.template.has_ended(one.ids, self.stop_ids):
                one.finish_reason = "stop"
            elif len(one.ids) == self.settings.max_tokens:
                one.finish_reason = "length"
        self.scorer.usage.output_tokens += len(active)
        return ids

    def _states(self, ids: Tensor, view: View) -> Tensor:
        self.scorer.usage.tokens_computed += ids.numel()
        return self.forward.states(ids, view)

    def _tensor(self, array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array.astype(np.int64)).to(self.device)
