"""Outputs drawn from a local model: the prompt is computed once for all samples of it, and each row pays for its own tokens.

Every sample has random numbers of its own, keyed by seed, prompt and sample number: neither the other prompts nor the number
of samples changes which output it is (up to float rounding, which depends on the rows computed together). A token is drawn by
inverting the distribution's cumulative sum, in float64. Nothing is truncated unless asked, and no model's own defaults are
taken over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pluralign.models.attention import Layers, View
from pluralign.models.content import IdArray
from pluralign.models.protocol import FinishReason, Sample, SamplingSettings
from pluralign.models.scorer import TokenScorer
from pluralign.models.templates import Template

__all__ = ["choose", "draw_outputs", "stream", "truncated"]

FEW = 4
"""Up to this many samples a prompt, several prompts are drawn from together, each row with a copy of its prompt's cache."""
BLOCK = 1024


def draw_outputs(
    scorer: TokenScorer, template: Template, prompts: Sequence[IdArray], settings: SamplingSettings, *, stop_ids: frozenset[int]
) -> list[list[Sample]]:
    """`settings.n` outputs for each prompt [tokens]; `stop_ids` end an output as the format's own end does."""
    found: list[list[Sample]] = [[] for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda n: prompts[n].astype(">u4").tobytes())
    if not scorer.forward.shares_prefixes:
        for n in order:
            found[n] = _Drawing(scorer, template, settings, stop_ids, [prompts[n]]).plain()
    elif settings.n > FEW:
        prefix = Layers()
        previous = np.empty(0, dtype=np.int32)
        for n in order:
            found[n] = _Drawing(scorer, template, settings, stop_ids, [prompts[n]]).behind(prefix, previous)
            previous = prompts[n]
    else:
        for group in _groups(order, prompts, scorer, settings):
            drawn = _Drawing(scorer, template, settings, stop_ids, [prompts[n] for n in group]).side_by_side()
            for place, n in enumerate(group):
                found[n] = drawn[place * settings.n : (place + 1) * settings.n]
    return found


def stream(seed: int, prompt: IdArray, number: int) -> np.random.Generator:
    """The random numbers of one sample."""
    key = hashlib.sha256(f"{seed} {number} ".encode() + prompt.astype("<i4").tobytes()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16], "little")))


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


@dataclass(slots=True, eq=False)
class _Output:
    """A sample in the making."""

    prompt: IdArray
    random: np.random.Generator
    ids: list[int] = field(default_factory=list)
    logprob: float = 0.0
    finish_reason: FinishReason | None = None


class _Drawing:
    """The outputs of some prompts, drawn together."""

    def __init__(
        self,
        scorer: TokenScorer,
        template: Template,
        settings: SamplingSettings,
        stop_ids: frozenset[int],
        prompts: Sequence[IdArray],
    ) -> None:
        self.scorer, self.forward, self.template, self.settings = scorer, scorer.forward, template, settings
        self.stop_ids = stop_ids
        self.prompts = prompts
        self.outputs = [_Output(p, stream(settings.seed, p, i)) for p in prompts for i in range(settings.n)]

    def behind(self, prefix: Layers, previous: IdArray) -> list[Sample]:
        """One prompt, computed into `prefix`, which still holds the prompt before it."""
        [prompt] = self.prompts
        shared = min(_common(previous, prompt), len(prompt) - 1, prefix.length)
        prefix.length = shared
        states = torch.empty(0)
        for start in range(shared, len(prompt), self.scorer.limits.batch_tokens):
            part = prompt[None, start : start + self.scorer.limits.batch_tokens]
            position = torch.arange(start, start + part.shape[1], device=self.forward.device)[None]
            states = self._states(_tensor(part, self.forward.device), View(position, prefix=prefix, keep=prefix))
        first = states[:, -1].expand(len(self.outputs), -1)
        start_at = torch.full((len(self.outputs),), len(prompt), device=self.forward.device)
        past = torch.empty(len(self.outputs), 0, dtype=torch.int64, device=self.forward.device)
        return self._decode(first, start_at, past, Layers(), prefix)

    def side_by_side(self) -> list[Sample]:
        """Several prompts, each row with its own prompt's cache."""
        device, n = self.forward.device, self.settings.n
        lengths = torch.tensor([len(prompt) for prompt in self.prompts], device=device)
        size = int(lengths.max())
        ids = np.zeros((len(self.prompts), size), dtype=np.int64)
        for row, prompt in zip(ids, self.prompts, strict=True):
            row[: len(prompt)] = prompt
        position = torch.arange(size, device=device).expand(len(ids), size)
        rows = Layers()
        states = self._states(torch.from_numpy(ids).to(device), View(position, keep=rows))
        last = states[torch.arange(len(ids), device=device), lengths - 1]
        past = torch.where(position < lengths[:, None], position, -1)
        copies = torch.arange(len(ids), device=device).repeat_interleave(n)
        if n > 1:
            rows.take(copies)
        return self._decode(last[copies], lengths[copies], past[copies], rows, None)

    def plain(self) -> list[Sample]:
        """For models whose prefixes cannot be shared: every step computes every row from its beginning."""
        active = self.outputs
        while active:
            rows = [np.concatenate([one.prompt, np.array(one.ids, dtype=np.int32)]) for one in active]
            ids = _tensor(np.stack(rows), self.forward.device)  # rows of one prompt have equal lengths
            position = torch.arange(ids.shape[1], device=self.forward.device).expand(ids.shape)
            self._draw(active, self._states(ids, View(position))[:, -1])
            active = [one for one in active if one.finish_reason is None]
        return self._finished()

    def _decode(self, states: Tensor, position: Tensor, past: Tensor, rows: Layers, prefix: Layers | None) -> list[Sample]:
        """Draws until every output has ended; `past` [rows, kept] are the positions of what `rows` holds."""
        active = self.outputs
        while True:
            drawn = self._draw(active, states)
            going = [n for n, one in enumerate(active) if one.finish_reason is None]
            if not going:
                return self._finished()
            if len(going) < len(active):
                kept = torch.tensor(going, device=position.device)
                active, drawn, position, past = [active[n] for n in going], drawn[kept], position[kept], past[kept]
                rows.take(kept)
            view = View(position[:, None], prefix=prefix, keep=rows, past_position=past)
            states = self._states(drawn[:, None], view)[:, -1]
            past = torch.cat([past, position[:, None]], dim=1)
            position = position + 1

    def _draw(self, active: list[_Output], states: Tensor) -> Tensor:
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
        self.scorer.usage.tokens_needed += ids.numel() if view.past_position is not None else sum(map(len, self.prompts))
        return self.forward.states(ids, view)

    def _finished(self) -> list[Sample]:
        texts = [self.template.read_output(one.ids, self.stop_ids) for one in self.outputs]
        return [
            Sample(text, one.finish_reason or "length", n_tokens=len(one.ids), logprob=one.logprob)
            for text, one in zip(texts, self.outputs, strict=True)
        ]


def _groups(
    order: list[int], prompts: Sequence[IdArray], scorer: TokenScorer, settings: SamplingSettings
) -> Iterator[list[int]]:
    """Prompts of like lengths, as many as there is room for."""
    group: list[int] = []
    for n in sorted(order, key=lambda n: -len(prompts[n])):
        longest = len(prompts[group[0]]) if group else 0
        if group and longest * (len(group) + 1) * settings.n > scorer.limits.batch_tokens:
            yield group
            group = []
        group.append(n)
    if group:
        yield group


def _common(one: IdArray, other: IdArray) -> int:
    size = min(len(one), len(other))
    differ = one[:size] != other[:size]
    return int(differ.argmax()) if differ.any() else size


def _tensor(array: npt.NDArray[Any], device: torch.device) -> Tensor:
    return torch.from_numpy(array.astype(np.int64)).to(device)
