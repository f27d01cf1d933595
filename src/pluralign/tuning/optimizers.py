"""The optimisers of a run: AdamW, or Muon for the matrices between embeddings and output layer with AdamW for the rest.

Muon replaces the momentum of a matrix by the nearest orthogonal one, so that directions in which gradients are small move as
fast as others. For models trained from the start it needs fewer tokens; for those that were pretrained with AdamW the published
recipe's AdamW is the default.

Source: Jordan et al. 2024 (kellerjordan.github.io/posts/muon); Liu et al. 2025, Muon is Scalable for LLM Training (arXiv
2502.16982), whose factor 0.2 sqrt(max(rows, columns)) lets both kinds of steps share a learning rate and a weight decay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from pluralign.errors import UsageError
from pluralign.tuning.checkpoint_tensors import is_sharded_model
from pluralign.tuning.settings import TuneSettings

__all__ = ["MuonWithAdamW", "open_optimizer"]


class MuonWithAdamW(torch.optim.Optimizer):
    """Two optimisers that look like one: their groups one after the other, one state."""

    def __init__(self, muon: torch.optim.Muon, adamw: torch.optim.AdamW) -> None:
        groups = [*muon.param_groups, *adamw.param_groups]
        super().__init__(groups, {})
        self.param_groups = groups  # the very same, since a learning rate is set in them
        self.parts = (muon, adamw)
        for part in self.parts:
            part.state = self.state

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of each. Takes no closure."""
        if closure is not None:
            raise NotImplementedError("a closure, which would be called by both parts")
        for part in self.parts:
            part.step()  # type: ignore[no-untyped-call]
        return None


def open_optimizer(model: nn.Module, settings: TuneSettings) -> torch.optim.Optimizer:
    """Of the model's parameters that require gradients. Raises UsageError for Muon on shards: it needs matrices whole."""
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    common: dict[str, Any] = {"lr": settings.lr, "weight_decay": settings.weight_decay}
    if settings.optimizer == "adamw":
        return torch.optim.AdamW([p for _, p in trained], betas=settings.betas, fused=True, **common)
    if is_sharded_model(model):
        raise UsageError("optimizer is muon, which needs whole matrices, and the model is in shards: use copies, or adamw.")
    ends = _ends(model)
    inner = [p for _, p in trained if p.ndim == 2 and id(p) not in ends]
    outer = [p for _, p in trained if p.ndim != 2 or id(p) in ends]
    muon = torch.optim.Muon(inner, adjust_lr_fn="match_rms_adamw", **common)
    return MuonWithAdamW(muon, torch.optim.AdamW(outer, betas=settings.betas, fused=True, **common))


def _ends(model: nn.Module) -> set[int]:
    """Ids of the weights of tables of embeddings and of the output layer: rows of tokens, which are no maps of one space."""
    found = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    for module in model.modules():
        output_of: Any = getattr(module, "get_output_embeddings", None)
        output = None if output_of is None else output_of()
        if output is not None:
            found |= {id(parameter) for parameter in output.parameters()}
    return found
