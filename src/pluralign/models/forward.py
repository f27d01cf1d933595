"""One pass of a causal model: tokens in, hidden states out, either with shared prefixes and tree-shaped rows or the plain way.

`TreeForward` runs the model's body with `attention.prefix_attention` in place of its own. Whether an architecture can be run
so is found out, not looked up: when a model is opened, both ways score a small tree, and where they differ, or the first one
raises, the model is run by `PlainForward`, which is every sequence by itself.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from pluralign.models.attention import NAME, View, looking, prefix_attention
from pluralign.models.head import Head

__all__ = ["Forward", "PlainForward", "TreeForward", "register_attention"]


class Forward(Protocol):
    """How hidden states, ready for the head, are had."""

    model: Any
    head: Head
    device: torch.device
    shares_prefixes: bool

    def states(self, ids: Tensor, view: View) -> Tensor:
        """Hidden states [rows, tokens, width] of ids [rows, tokens]."""
        ...


class TreeForward:
    """The model's body under a view."""

    shares_prefixes = True

    def __init__(self, model: Any) -> None:
        self.model = model
        self.body = model.base_model
        self.head = Head(model.get_output_embeddings(), model.config.get_text_config())
        self.device = model.device
        self.windows: set[int] = set()
        """Sliding windows that its layers named so far."""

    def states(self, ids: Tensor, view: View) -> Tensor:
        unread = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=ids.device)  # four axes: models take such a mask as it is
        with torch.inference_mode(), looking(view):
            found = self.body(input_ids=ids, position_ids=view.position, attention_mask=unread, use_cache=False)
            self.windows |= view.windows
            if view.keep is not None:
                view.keep.length += ids.shape[1]
            states: Tensor = found.last_hidden_state
            return states


class PlainForward:
    """The whole model on causal rows; its own logits stand in for hidden states."""

    shares_prefixes = False

    def __init__(self, model: Any) -> None:
        self.model = model
        self.head = Head(torch.nn.Identity(), config=None)
        self.device = model.device

    def states(self, ids: Tensor, view: View) -> Tensor:
        assert view.is_plain, "plain rows have nothing before them"
        with torch.inference_mode():
            logits: Tensor = self.model(input_ids=ids, use_cache=False).logits
            return logits


def register_attention() -> None:
    """Makes `prefix_attention` known to transformers under its name."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, prefix_attention)
