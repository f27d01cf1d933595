"""Training by hand whose every step is given by its number: what a run that was cut off has to repeat bit by bit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

VOCAB = 97


class Small(nn.Module):
    """A few hundred parameters, one tied, with a buffer that training changes and one that is not saved."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.embed = nn.Embedding(VOCAB, 8, dtype=dtype)
        self.norm = nn.BatchNorm1d(8, dtype=dtype)
        self.scale = nn.Parameter(torch.ones((), dtype=dtype))
        self.head = nn.Linear(8, VOCAB, bias=False, dtype=dtype)
        self.head.weight = self.embed.weight
        self.register_buffer("scratch", torch.zeros(5), persistent=False)

    def forward(self, input_ids: Tensor) -> Tensor:
        states = self.norm(self.embed(input_ids).flatten(0, 1)) * self.scale
        return nn.functional.cross_entropy(self.head(states[:-1]).float(), input_ids.flatten()[1:])


def ids_of(step: int) -> Tensor:
    return torch.randint(0, VOCAB, (2, 9), generator=torch.Generator().manual_seed(step))


def loss_of(model: Any, step: int) -> Tensor:
    ids = ids_of(step)
    plain = getattr(model, "module", model)  # of DDP
    loss: Tensor = model(ids) if isinstance(plain, Small) else model(input_ids=ids, labels=ids).loss
    return loss


def adamw(model: Any, **settings: Any) -> torch.optim.AdamW:
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], **settings)


def train(model: Any, optimizer: torch.optim.Optimizer, steps: Iterable[int]) -> list[float]:
    """The steps' losses."""
    losses = []
    for step in steps:
        for group in optimizer.param_groups:
            group["lr"] = 0.01 / (1 + step % 100)
        loss = loss_of(model, step)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return losses


def copies(model: Any) -> dict[str, Tensor]:
    """Parameters and buffers by their own names."""
    return {name: tensor.detach().clone() for name, tensor in [*model.named_parameters(), *model.named_buffers()]}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
