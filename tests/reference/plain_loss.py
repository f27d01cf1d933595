"""Cross-entropy the slow way: one sequence at a time by itself, logits of every token, torch's own cross-entropy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["gradients", "plain_nats"]


def plain_nats(model: Any, sequences: Sequence[Tensor], is_loss: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """Weighted sum of -log p of the tokens that carry loss; of each sequence three tensors [tokens]."""
    total = torch.zeros(())
    for ids, carries, weight in zip(sequences, is_loss, weights, strict=True):
        logits = model(input_ids=ids[None], use_cache=False).logits[0].float()
        nats = F.cross_entropy(logits[:-1], ids[1:], reduction="none")
        total = total + (nats * weight[1:])[carries[1:]].sum()
    return total


def gradients(model: torch.nn.Module, total: Tensor) -> dict[str, Tensor]:
    """Of a number by each parameter that is trained, by name; the model keeps none."""
    model.zero_grad()
    total.backward()  # type: ignore[no-untyped-call]
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    assert set(found) == {name for name, p in model.named_parameters() if p.requires_grad}
    model.zero_grad()
    return found
