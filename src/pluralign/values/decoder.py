"""The decoder of an encoder-decoder: one step after another over rows that share inputs, and three ways to write texts with it.

What the decoder attends to in the encoder's states is computed once for each input, however many rows (words, beams, samples)
are read for it; rows that are finished are read no further.

Source: beam search as transformers does it with `early_stopping=False` and a length penalty of 1: outputs are ranked by their
log-probability a token.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pluralign.models.protocol import Usage
from pluralign.models.sampling import choose

__all__ = ["DecoderRun", "Written", "beam_search", "sampled", "written_greedily"]


@dataclass(frozen=True, slots=True)
class Written:
    """An output."""

    ids: tuple[int, ...]
    """Without the end."""
    logprob: float
    """Nats, with the end where there is one."""
    is_ended: bool
    """False: the limit cut it off."""


class DecoderRun:
    """Rows that are decoded together; at first one for each input."""

    def __init__(self, model: Any, encoded: Any, mask: Tensor, usage: Usage) -> None:
        """`encoded`: an encoder's output, states [inputs, tokens, width]; `mask` [inputs, tokens], 0 where they are padding."""
        self.model, self.mask, self.usage = model, mask, usage
        self._states = encoded[0]
        self._cache: Any = None
        self._cache_name = "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"

    def read(self, ids: Tensor) -> Tensor:
        """log p of every next token, float32 [rows, tokens, vocabulary], behind each of these ids [rows, tokens]."""
        out = self.model(
            encoder_outputs=(self._states,),
            attention_mask=self.mask,
            decoder_input_ids=ids,
            use_cache=True,
            return_dict=True,
            **{self._cache_name: self._cache},
        )
        if self._cache is None:
            # from now on keys and values are remembered, and only the shape of the states is looked at
            self._states = self._states[:, :1].expand(-1, self.mask.shape[1], -1)
        self._cache = out[self._cache_name]
        self.usage.tokens_computed += ids.numel()
        logits: Tensor = out.logits
        return logits.float().log_softmax(-1)

    def repeat(self, n: int) -> None:
        """Each row `n` times, one beside the other."""
        self._cache.batch_repeat_interleave(n)
        self._rows(torch.arange(len(self.mask), device=self.mask.device).repeat_interleave(n))

    def select(self, rows: Tensor) -> None:
        """Goes on with these rows [new rows]. As many as there are must be of the same inputs, in the same order."""
        if len(rows) == len(self.mask):
            self._cache.self_attention_cache.reorder_cache(rows)
            return
        self._cache.batch_select_indices(rows)
        self._rows(rows)

    def _rows(self, rows: Tensor) -> None:
        self.mask = self.mask[rows]
        self._states = self._states[:, :1][rows].expand(-1, self.mask.shape[1], -1)


def beam_search(run: DecoderRun, *, n: int, most: int, start: int, end: int) -> list[list[Written]]:
    """Of each input up to `n` outputs of at most `most` tokens, the end counted, those with the highest log p a token first."""
    n_inputs, device = len(run.mask), run.mask.device
    found: list[list[Written]] = [[] for _ in range(n_inputs)]
    inputs = torch.arange(n_inputs, device=device)
    beams = torch.empty((n_inputs, 1, 0), dtype=torch.long, device=device)
    total = torch.zeros((n_inputs, 1), device=device)
    done = torch.full((n_inputs, n), -torch.inf, device=device)  # log p a token of those that are finished
    done_ids = torch.full((n_inputs, n, most), -1, device=device)
    logprobs = run.read(torch.full((n_inputs, 1), start, device=device))[:, -1]
    for length in range(1, most + 1):
        n_ids, n_beams = logprobs.shape[-1], beams.shape[1]
        after = (logprobs.view(len(inputs), n_beams, n_ids) + total[:, :, None]).flatten(1)
        top, place = after.topk(min(2 * n, after.shape[1]))
        parent, token = place // n_ids, place % n_ids
        longer = torch.cat([_taken(beams, parent), token[:, :, None]], 2)
        is_end = token == end
        ends = (is_end | (length == most)) & (torch.arange(top.shape[1], device=device) < n)
        mean = torch.where(ends, top / length, -torch.inf)
        padded = torch.nn.functional.pad(longer, (0, most - length), value=-1)
        done, best = torch.cat([done, mean], 1).topk(n)
        done_ids = _taken(torch.cat([done_ids, padded], 1), best)
        total, kept = top.masked_fill(is_end, -torch.inf).topk(min(n, top.shape[1]))
        beams, parent = _taken(longer, kept), parent.gather(1, kept)
        is_open = (total[:, 0] / length > done[:, -1]) & (length < most)
        for row in (~is_open).nonzero()[:, 0].tolist():
            found[int(inputs[row])] = _read_beams(done[row], done_ids[row], end)
        if not is_open.any():
            break
        if length == 1:
            n_beams = beams.shape[1]
            run.repeat(n_beams)
        rows = parent + n_beams * torch.arange(len(inputs), device=device)[:, None]
        inputs, beams, total, done, done_ids = (part[is_open] for part in (inputs, beams, total, done, done_ids))
        run.select(rows[is_open].flatten())
        logprobs = run.read(beams[:, :, -1].reshape(-1, 1))[:, -1]
    return found


def written_greedily(run: DecoderRun, *, most: int, start: int, end: int) -> list[Written]:
    """Of each input the output whose every token is the most probable one."""
    return _one_by_one(run, lambda logprobs, _, __: logprobs.argmax(1), n=1, most=most, start=start, end=end)


def sampled(
    run: DecoderRun, random: Sequence[np.random.Generator], *, n: int, most: int, start: int, end: int
) -> list[Written]:
    """`n` draws of each input [inputs x n]; each takes its random numbers from a generator of its own, one a token."""
    uniform = torch.from_numpy(np.stack([one.random(most) for one in random])).to(run.mask.device)

    def choice(logprobs: Tensor, rows: Tensor, step: int) -> Tensor:
        return choose(logprobs.exp(), uniform[rows, step])

    return _one_by_one(run, choice, n=n, most=most, start=start, end=end)


def _one_by_one(
    run: DecoderRun, choice: Callable[[Tensor, Tensor, int], Tensor], *, n: int, most: int, start: int, end: int
) -> list[Written]:
    """Rows that are written without regard to one another; `choice` gives the next ids of some rows, at some step."""
    device, n_rows = run.mask.device, len(run.mask) * n
    rows = torch.arange(n_rows, device=device)
    ids = torch.full((n_rows, most), -1, device=device)
    total = torch.zeros(n_rows, dtype=torch.float64, device=device)
    is_ended = torch.zeros(n_rows, dtype=torch.bool, device=device)
    logprobs = run.read(torch.full((len(run.mask), 1), start, device=device))[:, -1].repeat_interleave(n, 0)
    if n > 1:
        run.repeat(n)
    for step in range(most):
        chosen = choice(logprobs, rows, step)
        total[rows] += logprobs.gather(1, chosen[:, None])[:, 0].double()
        ids[rows, step] = chosen
        is_ended[rows] = chosen == end
        is_open = chosen != end
        if step + 1 == most or not is_open.any():
            break
        if not is_open.all():
            run.select(is_open.nonzero()[:, 0])
        rows = rows[is_open]
        logprobs = run.read(chosen[is_open][:, None])[:, -1]
    lists = zip(ids.tolist(), total.tolist(), is_ended.tolist(), strict=True)
    return [Written(_before(row, end), logprob, ended) for row, logprob, ended in lists]


def _read_beams(means: Tensor, ids: Tensor, end: int) -> list[Written]:
    return list(_finished(means.double().tolist(), ids.tolist(), end))


def _finished(means: list[float], rows: list[list[int]], end: int) -> Iterator[Written]:
    for mean, row in zip(means, rows, strict=True):
        if mean > -np.inf:
            ids = _before(row, end)
            is_ended = end in row
            yield Written(ids, mean * (len(ids) + is_ended), is_ended)


def _before(row: list[int], end: int) -> tuple[int, ...]:
    """Up to the end or the padding (-1)."""
    stops = [row.index(stop) for stop in (end, -1) if stop in row]
    return tuple(row[: min(stops, default=len(row))])


def _taken(parts: Tensor, which: Tensor) -> Tensor:
    """parts [inputs, a, tokens] in the order of which [inputs, b]."""
    return parts.gather(1, which[:, :, None].expand(-1, -1, parts.shape[2]))
