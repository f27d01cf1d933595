"""The output layer and cross-entropy on some hidden states, a chunk at a time, with gradients.

A chunk's gradients are taken right behind its logits, which then are dropped. That makes three products a chunk, as with whole
logits; logits computed again in the backward pass would make four. The output layer may be made of anything: adapters, a bias.

    slope of the weighted sum by a logit = weight x (probability - [is the target])

Parameters' gradients are added up over chunks in float32, whatever the precision of the parameters.

Missing: float16 with loss scaling, where gradients would underflow before they are scaled; second derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call

__all__ = ["Product", "chunked_measures", "chunked_nats"]

ROWS = 8192
"""Of the output layer's gradient, added up at once: a sum of two precisions takes a copy of what is added."""


class Product(NamedTuple):
    """The output layer and what its architecture does behind it: float32 logits [n, vocabulary] of hidden states [n, width]."""

    layer: nn.Module
    after: Callable[[Tensor], Tensor]
    names: Sequence[str]
    """Of the parameters that it is called with."""
    is_float32: bool
    """Whether the product is taken in float32, with parameters that are so, under autocast too."""
    is_plain: bool = False
    """Whether it is a matrix product with one weight and nothing else: no bias, adapter, cap or scale."""

    def __call__(self, hidden: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        if not self.is_float32:
            return self.after(self.layer(hidden))
        with torch.autocast(hidden.device.type, enabled=False):
            named = dict(zip(self.names, parameters, strict=True))
            return self.after(functional_call(self.layer, named, (hidden.float(),)))


def chunked_nats(
    product: Product, ids: Tensor, weights: Tensor, n_chunks: int, hidden: Tensor, parameters: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Weighted sum of -log p(ids) in nats, with a gradient, and the same of each, unweighted and without [n]; float32.

    `hidden` is [n, width], `ids` and `weights` (float32) are [n]; `parameters` are what the product depends on besides.
    """
    if torch.is_grad_enabled():
        run: Any = _ChunkedNats.apply
        total, nats = run(product, ids, weights, n_chunks, hidden, *parameters)
        return total, nats
    nats, _ = _in_chunks(product, (ids, weights), n_chunks, [hidden, *parameters], [False] * (1 + len(parameters)))
    return (nats * weights).sum(), nats


@torch.no_grad()
def chunked_measures(
    product: Product, ids: Tensor, n_chunks: int, hidden: Tensor, parameters: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Of each token -log p in nats, the probability of the likeliest token, and whether that is it; three arrays [n]."""
    nats, tops, hits = [], [], []
    for some, wanted in zip(hidden.tensor_split(n_chunks), ids.tensor_split(n_chunks), strict=True):
        logprobs = torch.log_softmax(product(some, parameters), dim=1)
        nats.append(-logprobs.gather(1, wanted[:, None])[:, 0])
        top = logprobs.max(dim=1)
        tops.append(top.values.exp())
        hits.append(top.indices == wanted)
    return torch.cat(nats), torch.cat(tops), torch.cat(hits)


class _ChunkedNats(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, product: Product, ids: Tensor, weights: Tensor, n_chunks: int, *inputs: Tensor
    ) -> tuple[Tensor, Tensor]:
        nats, slopes = _in_chunks(product, (ids, weights), n_chunks, inputs, ctx.needs_input_grad[4:])
        ctx.save_for_backward(*slopes)
        ctx.mark_non_differentiable(nats)
        return (nats * weights).sum(), nats

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, None, *(None if saved is None else saved.mul_(slope) for saved in ctx.saved_tensors)


def _in_chunks(
    product: Product, targets: tuple[Tensor, Tensor], n_chunks: int, inputs: Sequence[Tensor], needed: Sequence[bool]
) -> tuple[Tensor, list[Tensor | None]]:
    """Nats of each token, and the weighted sum's slope by each input that needs one: hidden states, then parameters."""
    if product.is_plain and not product.is_float32:
        return _of_plain(targets, n_chunks, inputs, needed)
    hidden, parameters = inputs[0], inputs[1:]
    nats, of_hidden = [], []
    totals: list[Tensor | None] = [None] * len(parameters)
    parts = (whole.tensor_split(n_chunks) for whole in (hidden, *targets))
    for some, ids, weights in zip(*parts, strict=True):
        leaf = some.detach().requires_grad_(needed[0])
        with torch.set_grad_enabled(any(needed)):
            logits = product(leaf, parameters)
        logprobs = torch.log_softmax(logits.detach(), dim=1)
        nats.append(-logprobs.gather(1, ids[:, None])[:, 0])
        if not any(needed):
            continue
        wanted = [one for one, is_needed in zip([leaf, *parameters], needed, strict=True) if is_needed]
        found = iter(torch.autograd.grad(logits, wanted, _slopes(logprobs, ids, weights)))
        if needed[0]:
            of_hidden.append(next(found))
        totals = [_added(total, next(found)) if n else None for total, n in zip(totals, needed[1:], strict=True)]
    return torch.cat(nats), [torch.cat(of_hidden) if needed[0] else None, *totals]


def _of_plain(
    targets: tuple[Tensor, Tensor], n_chunks: int, inputs: Sequence[Tensor], needed: Sequence[bool]
) -> tuple[Tensor, list[Tensor | None]]:
    """The same by hand, in memory that is used again: what a fresh matrix costs on a CPU is mostly its pages."""
    (hidden, weight), (ids, weights) = inputs, targets
    kind = hidden.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
    states, low = hidden.detach().to(dtype), weight.detach().to(dtype)
    at_once = -(-len(ids) // n_chunks)
    rounded = torch.empty(at_once, len(low), dtype=dtype, device=low.device)
    logits = torch.empty_like(rounded, dtype=torch.float32)
    of_hidden = torch.empty_like(hidden) if needed[0] else None
    total = torch.empty_like(low, dtype=torch.float32) if needed[1] else None
    nats: list[Tensor] = []
    with torch.no_grad(), torch.autocast(kind, enabled=False):
        for some, wanted, share in zip(*(torch.split(whole, at_once) for whole in (states, ids, weights)), strict=True):
            part = slice(len(nats) * at_once, len(nats) * at_once + len(some))
            torch.mm(some, low.t(), out=rounded[: len(some)])
            x = logits[: len(some)].copy_(rounded[: len(some)])
            x.sub_(x.amax(1, keepdim=True))
            chosen = x.gather(1, wanted[:, None])[:, 0]
            sums = x.exp_().sum(1)
            nats.append(sums.log() - chosen)
            if not any(needed):
                continue
            x.mul_((share / sums)[:, None])
            x[torch.arange(len(some), device=x.device), wanted] -= share
            slopes = rounded[: len(some)].copy_(x)
            if of_hidden is not None:
                of_hidden[part] = slopes @ low
            if total is not None:
                for rows, of_rows in zip(torch.split(total, ROWS), torch.split(slopes, ROWS, dim=1), strict=True):
                    more = of_rows.t() @ some
                    rows.copy_(more) if len(nats) == 1 else rows.add_(more)
    return torch.cat(nats), [of_hidden, total]


def _slopes(logprobs: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
    """By the logits, in the place of the log-probabilities."""
    slopes = logprobs.exp_()
    slopes[torch.arange(len(ids), device=ids.device), ids] -= 1.0
    return slopes.mul_(weights[:, None])


def _added(total: Tensor | None, more: Tensor) -> Tensor:
    """The first is copied: autograd may have given the same memory to two parameters."""
    return more.to(torch.float32, copy=True) if total is None else total.add_(more)
