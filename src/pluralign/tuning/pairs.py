"""Pairs of texts as token ids, and what one step of an encoder-decoder's training computes, and one measure on held-out pairs.

A batch holds pairs of like lengths. Padding is masked in the encoder and carries no loss in the decoder, which reads its start
token and then each target but for its end. A step's loss is one mean over the tokens of all its targets, on all processes.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pluralign.errors import ModelError, RunError
from pluralign.estimates import estimate_mean
from pluralign.models.content import IdArray
from pluralign.tuning.packing import IntArray, bucket
from pluralign.tuning.ranks import Ranks
from pluralign.tuning.settings import TuneSettings
from pluralign.tuning.weights import step_loss, step_weight
from pluralign.tuning.work import default_micro_tokens

__all__ = ["PairLoss", "PairWork", "Pairs"]

IGNORED = -100
"""Of a place in a row of targets that carries no loss."""
_SEED_OF_STEP = 1_000_003


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pairs:
    """Inputs and targets as token ids, each with its end."""

    inputs: Sequence[IdArray]
    targets: Sequence[IdArray]
    task_of: IntArray
    """Number in `tasks` of each pair's task [pairs]."""
    unit_of: IntArray
    """Number of what was sampled, such as a situation [pairs]."""
    tasks: tuple[str, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    """What else is to be said of them, such as inputs that were cut."""

    def __len__(self) -> int:
        return len(self.inputs)

    def lengths(self, numbers: IntArray) -> IntArray:
        """Tokens of input and target of these pairs [numbers]."""
        return np.array([len(self.inputs[n]) + len(self.targets[n]) for n in numbers.tolist()], dtype=np.int64)

    def fingerprint(self) -> str:
        """Of all of it, in order."""
        digest = hashlib.sha256(repr(self.tasks).encode())
        for several in (self.inputs, self.targets):
            for ids in several:
                digest.update(len(ids).to_bytes(4, "little"))
                digest.update(np.asarray(ids, dtype="<i4").tobytes())
        digest.update(self.task_of.astype("<i8").tobytes() + self.unit_of.astype("<i8").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Rows of padded ids; `labels` are `IGNORED` behind each target."""

    numbers: IntArray
    inputs: Tensor
    mask: Tensor
    decoder: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.inputs.to(device), self.mask.to(device), self.decoder.to(device), self.labels.to(device)


class PairLoss(nn.Module):
    """What DDP goes round: nats of the targets of a batch."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor, mask: Tensor, decoder: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Their sum, and of each place of `labels` its nats and whether the target is the likeliest there; 0, True for none."""
        logits = self.model(input_ids=inputs, attention_mask=mask, decoder_input_ids=decoder, use_cache=False).logits.float()
        nats = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none").view_as(labels)
        is_top = (logits.argmax(-1) == labels) | (labels == IGNORED)
        return nats.sum(), nats.detach(), is_top


class PairWork:
    """What steps and measures are computed with."""

    def __init__(self, trained: Any, settings: TuneSettings, ranks: Ranks, products: torch.dtype) -> None:
        self.settings, self.ranks, self.products = settings, ranks, products
        self.start = _start_id(trained)
        self.micro = settings.micro_tokens or default_micro_tokens(ranks.device, trained.config.vocab_size)
        self.loss = PairLoss(trained)
        devices = [ranks.device] if ranks.device.type == "cuda" else None
        self.wrapped: nn.Module = DistributedDataParallel(self.loss, device_ids=devices) if ranks.n_ranks > 1 else self.loss

    def step(self, step: int, data: Pairs, numbers: IntArray, optimizer: torch.optim.Optimizer, lr: float) -> dict[str, Any]:
        """One step of the optimiser; the mean nats of its tokens."""
        groups = self._groups(data, numbers)
        mine = groups[self.ranks.rank :: self.ranks.n_ranks]
        n_rounds = -(-len(groups) // self.ranks.n_ranks)
        batches = [self._batch(data, group) for group in mine]
        batches += [self._batch(data, groups[0], idle=True)] * (n_rounds - len(mine))
        counts = [(batch.labels != IGNORED).sum() for batch in batches]
        weight = step_weight([count[None].to(self.ranks.device) for count in counts])
        totals = torch.zeros(2, dtype=torch.float64, device=self.ranks.device)
        torch.manual_seed((self.settings.seed * _SEED_OF_STEP + step) * self.ranks.n_ranks + self.ranks.rank)  # of dropout
        for group in optimizer.param_groups:
            group["lr"] = lr
        for number, batch in enumerate(batches):
            with self._without_sync(is_last=number + 1 == len(batches)):
                total, _, _ = self._call(self.wrapped, batch)
                torch.autograd.backward(step_loss(total, weight, n_averaged=self.ranks.n_ranks))
            n_tokens = 0 if number >= len(mine) else int(batch.mask.sum()) + int(counts[number])
            totals += torch.stack([total.detach().double(), torch.tensor(float(n_tokens), device=self.ranks.device)])
        norm = nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], self.settings.clip)
        if not bool(torch.isfinite(norm)):
            raise RunError(
                f"step {step + 1}: the loss of its pairs, or its gradient, is no number, e.g. of pair {int(numbers[0])}; the "
                "last checkpoint is kept. Lower lr or use dtype float32 and start the same command again."
            )
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        nats, tokens = self.ranks.total(totals).tolist()
        return {"loss": nats / weight, "grad_norm": norm.item(), "loss_tokens": int(weight), "tokens": int(tokens)}

    @torch.no_grad()
    def measured(self, data: Pairs) -> dict[str, Any]:
        """Of each task nats and accuracy a target, units resampled; JSON-ready. A target is right if all its tokens are."""
        self.loss.eval()
        chosen = _chosen(data, self.settings.max_held_out, self.settings.seed)
        nats, is_right = np.zeros(len(data)), np.zeros(len(data))
        for group in self._groups(data, chosen):
            _, of_token, is_top = self._call(self.loss, self._batch(data, group))
            nats[group] = of_token.double().sum(1).cpu().numpy()
            is_right[group] = is_top.all(1).double().cpu().numpy()
        self.loss.train()
        found = {}
        for task in np.unique(data.task_of[chosen]).tolist():
            mine = chosen[data.task_of[chosen] == task]
            found[data.tasks[task]] = {
                name: estimate_mean(values[mine], data.unit_of[mine], seed=self.settings.seed, unit="situation").to_dict()
                for name, values in (("nats", nats), ("accuracy", is_right))
            }
        return found

    def _call(self, loss: nn.Module, batch: _Batch) -> tuple[Tensor, Tensor, Tensor]:
        with torch.autocast(self.ranks.device.type, self.products, enabled=self.products != torch.float32):
            found: tuple[Tensor, Tensor, Tensor] = loss(*batch.to(self.ranks.device))
        return found

    def _groups(self, data: Pairs, numbers: IntArray) -> list[IntArray]:
        lengths = data.lengths(numbers)
        return [numbers[group] for group in bucket(lengths, max(self.micro, int(lengths.max())))]

    def _batch(self, data: Pairs, numbers: IntArray, *, idle: bool = False) -> _Batch:
        inputs = [torch.from_numpy(np.asarray(data.inputs[n], dtype=np.int64)) for n in numbers.tolist()]
        targets = [torch.from_numpy(np.asarray(data.targets[n], dtype=np.int64)) for n in numbers.tolist()]
        pad = nn.utils.rnn.pad_sequence
        labels = pad(targets, batch_first=True, padding_value=IGNORED)
        decoder = F.pad(labels.clamp(min=0)[:, :-1], (1, 0), value=self.start)
        mask = pad([torch.ones_like(ids) for ids in inputs], batch_first=True)
        labels = torch.full_like(labels, IGNORED) if idle else labels
        return _Batch(numbers, pad(inputs, batch_first=True), mask, decoder, labels)

    def _without_sync(self, *, is_last: bool) -> contextlib.AbstractContextManager[Any]:
        if is_last or not isinstance(self.wrapped, DistributedDataParallel):
            return contextlib.nullcontext()
        return self.wrapped.no_sync()


def _chosen(data: Pairs, most: int, seed: int) -> IntArray:
    """At most so many pairs of each task, drawn by the seed, in order."""
    shuffled = np.random.default_rng([seed, 1]).permutation(len(data))
    chosen = [shuffled[data.task_of[shuffled] == task][:most] for task in range(len(data.tasks))]
    found: IntArray = np.sort(np.concatenate(chosen))
    return found


def _start_id(model: Any) -> int:
    start = getattr(model.config, "decoder_start_token_id", None)
    start = model.config.pad_token_id if start is None else start
    if start is None:
        raise ModelError(f"{type(model).__name__}: its configuration does not say what the decoder starts with.")
    return int(start)
