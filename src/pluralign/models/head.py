"""From hidden states to log-probabilities, in float32 and in blocks, so that no matrix of tokens x vocabulary is ever whole."""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Head"]

IDS_AT_ONCE = 1 << 14
SCORES_AT_ONCE = 1 << 23
"""Logits in memory: 32 MiB."""


class Head:
    """A model's output layer, with what its architecture does to the logits behind it (soft cap, scale)."""

    def __init__(self, layer: nn.Module, config: Any) -> None:
        self.layer = layer
        self._softcap = getattr(config, "final_logit_softcapping", None)
        self._scale = (getattr(config, "logit_scale", None) or 1.0) / (getattr(config, "logits_scaling", None) or 1.0)

    @property
    def is_layer_alone(self) -> bool:
        """Whether nothing comes behind the output layer."""
        return self._scale == 1.0 and self._softcap is None

    def logits(self, hidden: Tensor) -> Tensor:
        """float32 [states, vocabulary] of hidden states [states, width]."""
        if type(self.layer) is nn.Linear:
            n_ids = self.layer.weight.shape[0]
            return torch.cat([self._block(hidden, i, i + IDS_AT_ONCE) for i in range(0, n_ids, IDS_AT_ONCE)], dim=1)
        return self._after(self.layer(hidden).float())

    def logprobs(self, hidden: Tensor, of_state: Tensor, next_id: Tensor) -> tuple[Tensor, Tensor]:
        """Of each read: log p(next_id | hidden[of_state]) in nats, and whether no id is more probable; both [reads].

        `of_state` [reads] ascends.
        """
        logprob = torch.empty(len(next_id), dtype=torch.float32, device=hidden.device)
        is_best = torch.empty(len(next_id), dtype=torch.bool, device=hidden.device)
        linear = self.layer if type(self.layer) is nn.Linear else None
        width = IDS_AT_ONCE if linear is not None else 1 << 18
        at_once = max(1, SCORES_AT_ONCE // width)
        bounds = torch.arange(0, len(hidden) + at_once, at_once, device=hidden.device)
        cuts = torch.searchsorted(of_state, bounds).tolist()
        for n, (start, stop) in enumerate(itertools.pairwise(cuts)):
            first = n * at_once
            some = hidden[first : first + at_once]
            row, ids = of_state[start:stop] - first, next_id[start:stop]
            if linear is None:
                logits = self.logits(some)
                total, best, chosen = logits.logsumexp(1), logits.amax(1), logits[row, ids]
            else:
                total, best, chosen = self._by_blocks(some, row, ids, linear.weight.shape[0])
            logprob[start:stop] = chosen - total[row]
            is_best[start:stop] = chosen >= best[row]
        return logprob, is_best

    def _by_blocks(self, hidden: Tensor, row: Tensor, ids: Tensor, n_ids: int) -> tuple[Tensor, Tensor, Tensor]:
        totals, bests = [], []
        chosen = torch.empty(len(ids), dtype=torch.float32, device=hidden.device)
        for first in range(0, n_ids, IDS_AT_ONCE):
            logits = self._block(hidden, first, first + IDS_AT_ONCE)
            totals.append(logits.logsumexp(1))
            bests.append(logits.amax(1))
            here = ((ids >= first) & (ids < first + IDS_AT_ONCE)).nonzero()[:, 0]
            chosen[here] = logits[row[here], ids[here] - first]
        return torch.stack(totals).logsumexp(0), torch.stack(bests).amax(0), chosen

    def _block(self, hidden: Tensor, first: int, stop: int) -> Tensor:
        assert isinstance(self.layer, nn.Linear)
        bias = None if self.layer.bias is None else self.layer.bias[first:stop].float()
        return self._after(F.linear(hidden.float(), self.layer.weight[first:stop].float(), bias))

    def _after(self, logits: Tensor) -> Tensor:
        if self._scale != 1.0:
            logits = logits * self._scale
        return logits if self._softcap is None else torch.tanh(logits / self._softcap) * self._softcap
