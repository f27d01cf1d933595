"""What a supervised token weighs, and what the loss of a micro-batch is divided by.

The loss of a step is one weighted mean over all its tokens, however they are dealt out:

    loss = sum over ranks and micro-batches of (sum of weight x nats)  /  sum over ranks and micro-batches of (sum of weights)

A mean of micro-batches' means would let a token count for more where its batch has few, and ranks differ in how many they have.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed
from torch import Tensor

from pluralign.errors import UsageError

__all__ = ["shared_weights", "step_loss", "step_weight"]


def shared_weights(owner: Tensor, weights: Tensor, n_tokens: Tensor | None = None) -> Tensor:
    """Weights of tokens [n], float32: those of their owners (outputs, tasks) [owners], each shared equally by its tokens.

    `owner` [n] is the number of each token's output or task; `n_tokens` [owners] counts an owner's tokens where not all of them
    are here, such as a task's in other micro-batches. Where every token is to weigh what its task does, take `weights[owner]`.

    >>> shared_weights(torch.tensor([0, 0, 1]), torch.tensor([1.0, 3.0]))
    tensor([0.5000, 0.5000, 3.0000])
    """
    counts = torch.bincount(owner, minlength=len(weights)) if n_tokens is None else n_tokens
    return (weights.double() / counts)[owner].float()


def step_weight(weights: Iterable[Tensor], *, group: torch.distributed.ProcessGroup | None = None) -> float:
    """The weight of a whole step: of all this rank's micro-batches, and of all ranks of the group where there are several.

    Every rank calls it once a step, before the first backward pass, and with at least one tensor, which may be empty. Raises
    UsageError where nothing is supervised anywhere.
    """
    total = torch.stack([one.double().sum() for one in weights]).sum()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(total, group=group)
    if not total > 0:
        raise UsageError(f"the step's targets weigh {float(total)} in all; a step needs at least one supervised token.")
    return float(total)


def step_loss(total: Tensor, weight: float, *, n_averaged: int = 1) -> Tensor:
    """A micro-batch's part in the step's mean nats, to be differentiated: gradients of all parts add up to that of the mean.

    `n_averaged` is the number of ranks over whose gradients DDP or `fully_shard` takes the mean: both do, where a sum is meant.

    >>> step_loss(torch.tensor(6.0), 4.0, n_averaged=2)
    tensor(3.)
    """
    return total * (n_averaged / weight)
