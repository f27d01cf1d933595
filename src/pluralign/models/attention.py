"""Attention to a prefix that is shared by all rows, and to a row's own tokens under a tree-shaped mask.

It takes the place of a model's attention function through transformers' registry, so that it serves every architecture that
calls the registry, and so that keys and values are kept here: no cache class is involved. The scores of a prefix are one
product for all rows, nothing is copied per row; the two parts are put together by their maxima and sums:

    softmax over [prefix, own] = (e^(m_p - m) sum_p, e^(m_o - m) sum_o) / total,   m = max(m_p, m_o)

Scores and softmax are float32. Grouped queries, sliding windows, soft-capped scores and attention sinks are taken as the
model passes them; what is not known here raises, and the model is then run the plain way (`forward`).

Source: the split of attention over a shared prefix is that of Juravsky et al. 2024, Hydragen (arXiv 2402.05099).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["NAME", "Layers", "View", "looking", "prefix_attention"]

NAME = "pluralign_prefix"
"""The name in transformers' registry."""
SCORES_IN_CACHE = 1 << 20
"""Scores computed at once on a CPU: 4 MiB."""
SCORES_ON_DEVICE = 1 << 28


class Layers:
    """Keys and values of every layer [rows, heads, tokens, width], with room to grow."""

    def __init__(self) -> None:
        self._kept: dict[Any, tuple[Tensor, Tensor]] = {}
        self.length = 0
        """Tokens that are kept; what lies behind them is room."""

    def of(self, module: Any) -> tuple[Tensor, Tensor] | None:
        """Keys and values that this layer has kept; None before the first."""
        if not self.length or module not in self._kept:
            return None
        keys, values = self._kept[module]
        return keys[:, :, : self.length], values[:, :, : self.length]

    def write(self, module: Any, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Puts these behind what is kept; all of it. They count once `length` says so, after the last layer."""
        end = self.length + keys.shape[2]
        room = self._kept.get(module)
        if room is None or room[0].shape[2] < end:
            grown = tuple(
                torch.empty(*t.shape[:2], _room(end), t.shape[3], dtype=t.dtype, device=t.device) for t in (keys, values)
            )
            if room is not None:
                for new, old in zip(grown, room, strict=True):
                    new[:, :, : self.length] = old[:, :, : self.length]
            room = self._kept[module] = (grown[0], grown[1])
        for kept, new in zip(room, (keys, values), strict=True):
            kept[:, :, self.length : end] = new
        return room[0][:, :, :end], room[1][:, :, :end]

    def take(self, rows: Tensor) -> None:
        """Keeps these rows only, in this order."""
        self._kept = {m: (k[:, :, : self.length][rows], v[:, :, : self.length][rows]) for m, (k, v) in self._kept.items()}


def _room(n: int) -> int:
    """A quarter more than is needed now, so that adding token after token copies seldom."""
    return n + max(32, n // 4)


@dataclass(eq=False)
class View:
    """What the tokens of one call may look at."""

    position: Tensor
    """Of each token on its path [rows, tokens]."""
    stop: Tensor | None = None
    """Tree-shaped rows: see `plan` [rows, tokens]; None where every token may look at all before it in its row."""
    prefix: Layers | None = None
    attach: Tensor | None = None
    """How much of the prefix each token may look at [rows, tokens]; None for all of it."""
    keep: Layers | None = None
    """Where the call's own keys and values go: the prefix, or the rows' own past."""
    past_position: Tensor | None = None
    """Rows with a past of their own: position of each kept token [rows, kept]; -1 for one that is no token."""
    windows: set[int] = field(default_factory=set)
    """Sliding windows that layers named."""
    _own_masks: dict[int | None, Tensor | None] = field(default_factory=dict)
    _prefix_masks: dict[int | None, Tensor | None] = field(default_factory=dict)

    @property
    def is_plain(self) -> bool:
        """One causal row each, and nothing before it."""
        return self.stop is None and self.past_position is None and (self.prefix is None or not self.prefix.length)

    @functools.cached_property
    def last_position(self) -> int:
        """The largest."""
        return int(self.position.max())

    def own_mask(self, window: int | None) -> Tensor | None:
        """Which tokens of its row, past ones first, a token may look at [rows, tokens, past and own]; None for all."""
        if window not in self._own_masks:
            self._own_masks[window] = self._own_mask(window)
        return self._own_masks[window]

    def prefix_mask(self, window: int | None) -> Tensor | None:
        """Which tokens of the prefix a token may look at [rows, tokens, prefix]; None for all."""
        if window not in self._prefix_masks:
            self._prefix_masks[window] = self._prefix_mask(window)
        return self._prefix_masks[window]

    def _own_mask(self, window: int | None) -> Tensor | None:
        n = self.position.shape[1]
        place = torch.arange(n, device=self.position.device)
        mask = (place[None, :] <= place[:, None]).expand(len(self.position), n, n)
        if self.stop is not None:
            mask = mask & (place[None, :, None] < self.stop[:, None, :])
        position = self.position
        if self.past_position is not None:
            mask = torch.cat([(self.past_position >= 0)[:, None, :].expand(-1, n, -1), mask], dim=2)
            position = torch.cat([self.past_position, position], dim=1)
        if window is not None:
            mask = mask & (self.position[:, :, None] - position[:, None, :] < window)
        return None if bool(mask.all()) else mask

    def _prefix_mask(self, window: int | None) -> Tensor | None:
        assert self.prefix is not None
        place = torch.arange(self.prefix.length, device=self.position.device)
        mask = None if self.attach is None else place < self.attach[:, :, None]
        if window is not None:
            near = self.position[:, :, None] - place < window
            mask = near if mask is None else mask & near
        return None if mask is None or bool(mask.all()) else mask


_VIEW: ContextVar[View | None] = ContextVar("view", default=None)


@contextlib.contextmanager
def looking(view: View) -> Iterator[None]:
    """Within the block the model's attention is that of the view."""
    token = _VIEW.set(view)
    try:
        yield
    finally:
        _VIEW.reset(token)


def prefix_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """The attention function that models call: query [rows, heads, tokens, width] -> [rows, tokens, heads, width].

    The mask that the model made is not looked at. Raises NotImplementedError for a kind of attention that is not known here.
    """
    view = _VIEW.get()
    if view is None or others.get("position_bias") is not None or dropout:
        raise NotImplementedError("attention with a position bias or dropout, or outside of a view")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if view.keep is not None:
        all_keys, all_values = view.keep.write(module, key, value)
        if view.past_position is not None:
            key, value = all_keys, all_values
    if sliding_window is not None:
        view.windows.add(sliding_window)
    window = None if sliding_window is None or view.last_position < sliding_window else sliding_window
    if view.is_plain and window is None and softcap is None and s_aux is None:
        grouped = query.shape[1] != key.shape[1]
        out = F.scaled_dot_product_attention(query, key, value, is_causal=query.shape[2] > 1, scale=scale, enable_gqa=grouped)
        return out.transpose(1, 2).contiguous(), None
    prefix = None if view.prefix is None else view.prefix.of(module)
    masks = view.own_mask(window), None if prefix is None else view.prefix_mask(window)
    out = torch.empty_like(query)
    for rows, tokens in _blocks(query, key.shape[2] + (0 if prefix is None else prefix[0].shape[2])):
        _attend(out, query, key, value, prefix, masks, rows, tokens, scale=scale, softcap=softcap, sinks=s_aux)
    return out.transpose(1, 2).contiguous(), None


def _blocks(query: Tensor, n_keys: int) -> Iterator[tuple[slice, slice]]:
    """Rows and tokens to compute at once."""
    n_rows, n_heads, n_tokens, _ = query.shape
    most = SCORES_IN_CACHE if query.device.type == "cpu" else SCORES_ON_DEVICE
    tokens_at_once = max(1, min(n_tokens, most // (n_heads * n_keys)))
    rows_at_once = max(1, most // (n_heads * n_keys * n_tokens)) if tokens_at_once == n_tokens else 1
    for row in range(0, n_rows, rows_at_once):
        for token in range(0, n_tokens, tokens_at_once):
            yield slice(row, row + rows_at_once), slice(token, token + tokens_at_once)


def _attend(
    out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    prefix: tuple[Tensor, Tensor] | None,
    masks: tuple[Tensor | None, Tensor | None],
    rows: slice,
    tokens: slice,
    *,
    scale: float,
    softcap: float | None,
    sinks: Tensor | None,
) -> None:
    """Fills `out` [rows, heads, tokens, width] for these rows and tokens. Inside, heads are [groups, heads in a group]."""
    n_groups, width = key.shape[1], query.shape[3]
    q = query[rows, :, tokens] * scale
    n_rows, n_heads, n_tokens, _ = q.shape
    shape = (n_rows, n_groups, n_heads // n_groups, n_tokens)
    own = _scores(q.reshape(n_rows, n_groups, -1, width), key[rows], softcap).view(*shape, -1)
    _hide(own, masks[0], rows, tokens)
    top = own.amax(-1)
    far = None
    if prefix is not None:
        turned = q.view(*shape, width).permute(1, 0, 2, 3, 4)  # groups first: the prefix is the same for all rows
        far = _scores(turned.reshape(n_groups, -1, width), prefix[0][0], softcap).view(n_groups, *turned.shape[1:4], -1)
        far = far.permute(1, 0, 2, 3, 4)
        _hide(far, masks[1], rows, tokens)
        top = torch.maximum(top, far.amax(-1))
    sink = None if sinks is None else sinks.float().view(1, n_groups, -1, 1).expand(shape)
    if sink is not None:
        top = torch.maximum(top, sink)
    weight = own.sub_(top[..., None]).exp_()
    total = weight.sum(-1)
    mixed = torch.matmul(weight.to(value.dtype).view(n_rows, n_groups, -1, weight.shape[-1]), value[rows])
    mixed = mixed.view(*shape, -1).float()
    if far is not None and prefix is not None:
        weight = far.sub_(top[..., None]).exp_()
        total += weight.sum(-1)
        turned = weight.permute(1, 0, 2, 3, 4).to(value.dtype).reshape(n_groups, -1, weight.shape[-1])
        mixed += torch.matmul(turned, prefix[1][0]).view(n_groups, n_rows, *shape[2:], -1).permute(1, 0, 2, 3, 4)
    if sink is not None:
        total += (sink - top).exp()
    out[rows, :, tokens] = (mixed / total[..., None]).view(n_rows, n_heads, n_tokens, -1)


def _scores(query: Tensor, key: Tensor, softcap: float | None) -> Tensor:
    scores = torch.matmul(query, key.transpose(-1, -2)).float()
    return scores if softcap is None else torch.tanh(scores / softcap) * softcap


def _hide(scores: Tensor, mask: Tensor | None, rows: slice, tokens: slice) -> None:
    if mask is not None:
        scores.masked_fill_(~mask[rows, None, None, tokens], -torch.inf)
