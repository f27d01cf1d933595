"""Cross-entropy at supervised tokens only: the output layer never sees the others, and no matrix of tokens x vocabulary is whole.

    tokens      <output>   Heads   <end>   \\n   <output>   Tails   <end>
    supervised              yes     yes                      yes     yes
    positions      0         1                      4         5             the hidden state that predicts a supervised token

    decoder -> hidden [rows, tokens, width] -> those at positions [n, width] -> in chunks: output layer -> nats, gradients

A chunk's gradients are taken right behind its logits, which then are dropped: three products a chunk, as with whole logits, where
recomputing the logits in the backward pass would take four. Gradients of the output layer are added up over chunks in float32.

`SparseLoss` is the module that DDP or `fully_shard` goes round, so that the output layer is used inside of what they wrap. With
`fully_shard` the output layer stays in the group of the `SparseLoss` itself: ranks have different numbers of chunks.

Departures from usual trainers: the sum is divided by the weight of the whole step (`step_weight`), over micro-batches and ranks.
Missing: auxiliary losses of experts; float16 with loss scaling, where a chunk's gradients would underflow before they are scaled.

Source: loss on outputs only is that of Sorensen et al. 2025, Spectrum Tuning (arXiv 2510.06084).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.distributed
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.distributed.tensor import DTensor
from torch.func import functional_call

from pluralign.errors import DataError, ModelError, UsageError
from pluralign.models.head import Head

__all__ = ["Nats", "SparseLoss", "Targets", "open_loss", "shared_weights", "step_loss", "step_weight"]

CHUNK_BYTES = 64 << 20
"""A chunk's logits in float32; two to four times as much is held at once."""
PROBE_TOLERANCE, PROBE_TOLERANCE_16_BIT = 1e-4, 1e-2
"""Of the largest logit."""


class Targets:
    """The supervised tokens of a batch of rows; the three tensors are [n].

    No dataclass: `fully_shard` rounds every float that it finds in an argument, dataclasses too, to its parameters' precision.
    """

    def __init__(self, positions: Tensor, ids: Tensor, weights: Tensor) -> None:
        """`positions`: of the token before each, in the rows laid end to end; `ids`: what is to be predicted there."""
        if not positions.shape == ids.shape == weights.shape == (len(ids),) or weights.dtype != torch.float32:
            raise UsageError(
                f"positions, ids and weights are {[*positions.shape]}, {[*ids.shape]} and {[*weights.shape]} {weights.dtype}; "
                "they must be of one length, and weights float32."
            )
        self.positions, self.ids, self.weights = positions, ids, weights

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, ids: Tensor, is_loss: Tensor, position_ids: Tensor, weights: Tensor | None = None) -> Targets:
        """From rows: `is_loss` of the token itself, `position_ids` 0 where a sequence begins; all are [rows, tokens].

        Without weights every token weighs 1. Raises DataError for a sequence whose first token carries loss.
        """
        orphans = is_loss & (position_ids == 0)
        orphans[:, 0] |= is_loss[:, 0]
        if n := int(orphans.sum()):
            raise DataError("batch", f"{n} sequences carry loss on their first token, which nothing predicts.")
        at = is_loss.flatten().nonzero()[:, 0]
        given = torch.ones(len(at), device=at.device) if weights is None else weights.flatten()[at].float()
        return cls(at - 1, ids.flatten()[at].long(), given)


class Nats(NamedTuple):
    """What a batch costs, in nats."""

    total: Tensor
    """Weighted sum, a float32 number with a gradient; 0 without supervised tokens. To be divided: see `step_loss`."""
    of_token: Tensor
    """Of each supervised token, unweighted and without gradient [n], float32."""


class SparseLoss(nn.Module):
    """A causal model, with or without adapters, and the cross-entropy of its supervised tokens. Made by `open_loss`."""

    def __init__(
        self, model: Any, *, chunk_bytes: int = CHUNK_BYTES, float32_product: bool = False, note: str | None = None
    ) -> None:
        super().__init__()
        if chunk_bytes < 1:
            raise UsageError(f"chunk_bytes is {chunk_bytes}, lowest is 1.")
        self.model = model
        self.note = note
        """Why the model makes whole logits; None where it does not."""
        config = model.config.get_text_config()
        self._after = Head(nn.Identity(), config if note is None else None).logits  # what comes behind the output layer
        self._states_a_chunk = max(1, chunk_bytes // (4 * config.vocab_size))
        self._float32_product = float32_product

    def forward(
        self,
        input_ids: Tensor,
        targets: Targets,
        *,
        position_ids: Tensor | None = None,
        attention: Mapping[str, Any] | None = None,
    ) -> Nats:
        """Nats of the targets in rows of ids [rows, tokens]; `attention` is handed to the model as it is.

        Rows of several sequences: restarting `position_ids` keep them apart only where `attention` has no 'attention_mask', or
        one of four axes that does. Without any target every gradient is 0, not missing: other ranks wait for it.
        """
        states = self.states(input_ids, position_ids, attention or {})
        n = len(targets)
        if not n:  # one state of weight 0
            none = torch.zeros(1, dtype=torch.long, device=states.device)
            targets = Targets(none, none, torch.zeros(1, device=states.device))
        total, of_token = self._nats(states[targets.positions], targets)
        return Nats(total, of_token[:n])

    def states(self, input_ids: Tensor, position_ids: Tensor | None, attention: Mapping[str, Any]) -> Tensor:
        """Hidden states, ready for the output layer [rows x tokens, width]; logits where the model makes whole ones."""
        inputs = {"input_ids": input_ids, "use_cache": False, **attention}
        if position_ids is not None:
            inputs["position_ids"] = position_ids
        found = self.model.get_decoder()(**inputs).last_hidden_state if self.note is None else self.model(**inputs).logits
        flat: Tensor = found.flatten(0, 1)
        return flat

    def logits(self, states: Tensor) -> Tensor:
        """float32 [n, vocabulary] of some states, all at once."""
        product, parameters = self._product()
        return product(states, parameters)

    def _product(self) -> tuple[_Product, list[Tensor]]:
        layer = self.model.get_output_embeddings() if self.note is None else nn.Identity()
        named = {name: p for name, p in layer.named_parameters() if p.is_floating_point()}
        if any(isinstance(parameter, DTensor) for parameter in named.values()):
            raise ModelError(
                "the output layer's weights are in shards where the loss needs them whole: call `fully_shard` on the decoder's "
                "layers and then on the SparseLoss itself, not on the output layer or the model inside."
            )
        parameters = [p.float() if self._float32_product else p for p in named.values()]
        return _Product(layer, list(named), self._after, self._float32_product), parameters

    def _nats(self, hidden: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
        product, parameters = self._product()
        n_chunks = math.ceil(len(targets) / self._states_a_chunk)
        if torch.is_grad_enabled():
            total, of_token = _ChunkedNats.apply(product, targets, n_chunks, hidden, *parameters)
            return total, of_token
        of_token, _ = _in_chunks(product, targets, n_chunks, [hidden, *parameters], [False] * (1 + len(parameters)))
        return (of_token * targets.weights).sum(), of_token


class _Product(NamedTuple):
    """The output layer and what its architecture does behind it."""

    layer: nn.Module
    names: list[str]
    after: Callable[[Tensor], Tensor]
    is_float32: bool

    def __call__(self, hidden: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        if not self.is_float32:
            return self.after(self.layer(hidden))
        with torch.autocast(hidden.device.type, enabled=False):
            weights = dict(zip(self.names, parameters, strict=True))
            return self.after(functional_call(self.layer, weights, (hidden.float(),)))


class _ChunkedNats(torch.autograd.Function):
    """(weighted sum, nats of each token) of hidden states and the output layer's parameters."""

    @staticmethod
    def forward(
        ctx: Any, product: _Product, targets: Targets, n_chunks: int, hidden: Tensor, *parameters: Tensor
    ) -> tuple[Tensor, Tensor]:
        of_token, slopes = _in_chunks(product, targets, n_chunks, [hidden, *parameters], ctx.needs_input_grad[3:])
        ctx.save_for_backward(*slopes)
        ctx.mark_non_differentiable(of_token)
        return (of_token * targets.weights).sum(), of_token

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, *(None if saved is None else saved.mul_(slope) for saved in ctx.saved_tensors)


def _in_chunks(
    product: _Product, targets: Targets, n_chunks: int, inputs: Sequence[Tensor], needed: Sequence[bool]
) -> tuple[Tensor, list[Tensor | None]]:
    """Nats of each token, and the weighted sum's gradient of each input that needs one: hidden states, then parameters."""
    hidden, parameters = inputs[0], inputs[1:]
    nats, of_hidden = [], []
    totals: list[Tensor | None] = [None] * len(parameters)
    parts = (t.tensor_split(n_chunks) for t in (hidden, targets.ids, targets.weights))
    for some, ids, weights in zip(*parts, strict=True):
        leaf = some.detach().requires_grad_(needed[0])
        with torch.set_grad_enabled(any(needed)):
            logits = product(leaf, parameters)
        logprobs = torch.log_softmax(logits.detach(), dim=1)
        nats.append(-logprobs.gather(1, ids[:, None])[:, 0])
        if not any(needed):
            continue
        wanted = [one for one, is_needed in zip([leaf, *parameters], needed, strict=True) if is_needed]
        found = iter(torch.autograd.grad(logits, wanted, _slopes(logprobs, ids, weights), allow_unused=True))
        if needed[0]:
            of_hidden.append(next(found))
        totals = [_added(total, next(found)) if n else None for total, n in zip(totals, needed[1:], strict=True)]
    return torch.cat(nats), [torch.cat(of_hidden) if needed[0] else None, *totals]


def _slopes(logprobs: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
    """Of the weighted sum by the logits, in the place of the log-probabilities: weight x (probability - [is the target])."""
    slopes = logprobs.exp_()
    slopes[torch.arange(len(ids), device=ids.device), ids] -= 1.0
    return slopes.mul_(weights[:, None])


def _added(total: Tensor | None, more: Tensor | None) -> Tensor | None:
    if total is None or more is None:
        return total if more is None else more.float()
    return total.add_(more)


def open_loss(model: Any, *, chunk_bytes: int = CHUNK_BYTES, float32_product: bool = False) -> SparseLoss:
    """The loss of a model in memory, before DDP or `fully_shard`: finds out whether the output layer can be used by itself.

    Where decoder and output layer do not make the model's own logits, the model makes whole ones, and `note` says why.
    `float32_product` takes the output layer's product in float32 under autocast too, and with weights of 16 bits.
    Raises ModelError for a model that does not make one row of logits a token, such as one with a trained prompt.
    """
    if any(config.is_prompt_learning for config in getattr(model, "peft_config", {}).values()):
        raise ModelError("an adapter that puts trained tokens before the prompt has no place in packed rows; use LoRA.")
    ids = (torch.arange(24, device=model.device) * 7919 % (model.config.get_text_config().vocab_size - 3) + 2).view(2, 12)
    with _calm(model):
        whole = model(input_ids=ids, use_cache=False).logits
        if whole.shape[:2] != ids.shape:
            raise ModelError(f"{type(model).__name__} makes logits {[*whole.shape]} of ids {[*ids.shape]}, not one row a token.")
        loss = SparseLoss(model, chunk_bytes=chunk_bytes, float32_product=float32_product)
        if note := _why_whole(loss, ids, whole.flatten(0, 1).float()):
            loss = SparseLoss(model, chunk_bytes=chunk_bytes, float32_product=float32_product, note=note)
    return loss


def _why_whole(loss: SparseLoss, ids: Tensor, expected: Tensor) -> str | None:
    """Why this model's output layer cannot be used by itself; None if it can."""
    try:
        logits = loss.logits(loss.states(ids, None, {}))
        difference = float((logits - expected).abs().max() / expected.abs().max())
    except (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    is_16_bit = loss.model.dtype in (torch.bfloat16, torch.float16)
    if difference <= (PROBE_TOLERANCE_16_BIT if is_16_bit else PROBE_TOLERANCE):
        return None
    return f"logits of decoder and output layer would differ by {difference:.2g} of the largest"


@contextlib.contextmanager
def _calm(model: nn.Module) -> Iterator[None]:
    """Without gradients and dropout."""
    was_training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in was_training:
            module.training = True


def shared_weights(owner: Tensor, weights: Tensor, n_tokens: Tensor | None = None) -> Tensor:
    """Weights of tokens [n]: those of their owners (outputs, tasks) [owners], each shared equally by its tokens.

    `owner` [n] is the number of each token's output or task; `n_tokens` [owners] counts an owner's tokens where not all of them
    are here, such as a task's in other micro-batches. Where each token is to weigh what its task does, take `weights[owner]`.

    >>> shared_weights(torch.tensor([0, 0, 1]), torch.tensor([1.0, 3.0]))
    tensor([0.5000, 0.5000, 3.0000])
    """
    counts = torch.bincount(owner, minlength=len(weights)) if n_tokens is None else n_tokens
    return (weights.double() / counts)[owner].float()


def step_weight(weights: Iterable[Tensor], *, group: torch.distributed.ProcessGroup | None = None) -> float:
    """The weight of a whole step: of all this rank's micro-batches, and of all ranks of the group where there are several.

    Every rank calls it once a step, before the first backward pass. Raises UsageError where nothing is supervised anywhere.
    """
    total = torch.stack([one.double().sum() for one in weights]).sum()
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(total, group=group)
    if not total > 0:
        raise UsageError(f"the step's targets weigh {float(total)} in all; a step needs at least one supervised token.")
    return float(total)


def step_loss(total: Tensor, weight: float, *, n_averaged: int = 1) -> Tensor:
    """A micro-batch's part in the step's mean nats, to be differentiated: gradients of all parts add up to that of the mean.

    `n_averaged` is the number of ranks over whose gradients DDP or `fully_shard` takes the mean: both do, where a sum is meant.
    """
    return total * (n_averaged / weight)
