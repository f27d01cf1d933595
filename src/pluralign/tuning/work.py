"""What one step of training computes, and one measure on held-out sequences, on this process's share of the batches."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from pluralign.errors import RunError
from pluralign.tuning.attention import SegmentAttention
from pluralign.tuning.batches import Batch
from pluralign.tuning.held_out import TokenMeasures
from pluralign.tuning.loss import Measures, Nats, Targets
from pluralign.tuning.ranks import Ranks
from pluralign.tuning.settings import TuneSettings
from pluralign.tuning.sources import TrainingFiles
from pluralign.tuning.steps import BatchMaker, Schedule, target_weights
from pluralign.tuning.store import EncodedStore
from pluralign.tuning.weights import step_loss, step_weight

__all__ = ["StepWork", "WeightedBatch", "default_micro_tokens"]

MICRO_TOKENS, MICRO_TOKENS_ON_DEVICE, LARGE_VOCABULARY = 2048, 16_384, 65_536

WeightedBatch = tuple[Batch, Tensor]
"""A batch, and the weights of its targets."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class StepWork:
    """What steps and measures are computed with."""

    settings: TuneSettings
    store: EncodedStore
    files: TrainingFiles
    attention: SegmentAttention
    wrapped: nn.Module
    """The loss as it is called: inside of DDP or in shards where there are several processes."""
    products: torch.dtype
    ranks: Ranks

    def maker(self, store: EncodedStore, *, alone: bool = False) -> BatchMaker:
        """`alone`: all batches on each rank."""
        loss: Any = self.wrapped.module if isinstance(self.wrapped, nn.parallel.DistributedDataParallel) else self.wrapped
        vocabulary = loss.model.config.get_text_config().vocab_size
        micro = self.settings.micro_tokens or default_micro_tokens(self.ranks.device, vocabulary)
        # a mask is a square of the row's tokens, so its rows are short; other ways want one long row
        row = {"padded": None, "mask": self.settings.max_tokens}.get(self.attention.how, micro)
        rank, n_ranks = (0, 1) if alone else (self.ranks.rank, self.ranks.n_ranks)
        loss_on = "outputs" if alone else self.settings.supervised
        return BatchMaker(store=store, loss_on=loss_on, micro_tokens=micro, row_tokens=row, rank=rank, n_ranks=n_ranks)

    def prepared(self, schedule: Schedule, step: int) -> list[WeightedBatch]:
        """This rank's batches, with the weights of their targets."""
        names = [file.task for file in self.files.train]
        weights = {n: self.settings.task_weights[task] for n, task in enumerate(names) if task in self.settings.task_weights}
        made = self.maker(self.store).batches(schedule.numbers(step))
        file_of = self.store.file_of if weights else np.zeros(0, dtype=np.int64)
        return [(batch, torch.from_numpy(target_weights(batch, file_of, self.settings, weights))) for batch in made]

    def step(self, step: int, batches: Sequence[WeightedBatch], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """One step of the optimiser; the mean nats of its supervised tokens, unweighted, and what else is of interest."""
        device = self.ranks.device
        weight = step_weight([weights.to(device) for _, weights in batches])
        totals = torch.zeros(3, dtype=torch.float64, device=device)
        sums = []
        for number, (batch, weights) in enumerate(batches):
            with self._without_sync(is_last=number + 1 == len(batches)):
                nats = cast(Nats, self._call(batch, weights))
                torch.autograd.backward(step_loss(nats.total, weight, n_averaged=self.ranks.n_ranks))
            sums.append(nats.total.detach())
            counts = torch.tensor([len(weights), batch.n_tokens if len(weights) else 0], dtype=torch.float64, device=device)
            totals += torch.cat([nats.of_token.double().sum()[None], counts])
        norm = nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], self.settings.clip)
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
        if not bool(torch.isfinite(norm)):
            raise RunError(self._fault(step, batches, sums))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss, loss_tokens, tokens = self.ranks.total(totals).tolist()
        return {
            "loss": loss / loss_tokens,
            "grad_norm": norm.item(),
            "loss_tokens": int(loss_tokens),
            "tokens": int(tokens),
        }

    def measures(self, batch: Batch) -> TokenMeasures:
        """Of each target of a batch, without gradient."""
        found = cast(Measures, self._call(batch, torch.ones(len(batch.target_ids)), measure=True))
        nats, top, is_top = (part.cpu().numpy() for part in found)
        return nats.astype(np.float64), top.astype(np.float64), is_top

    def _call(self, batch: Batch, weights: Tensor, **more: Any) -> Nats | Measures:
        device = self.ranks.device
        given = self.attention.inputs(batch)
        targets = Targets(
            torch.from_numpy(batch.before).to(device), torch.from_numpy(batch.target_ids).to(device), weights.to(device)
        )
        with torch.autocast(device.type, self.products, enabled=self.products != torch.float32):
            found: Nats | Measures = self.wrapped(given.pop("input_ids"), targets, attention=given, **more)
        return found

    def _without_sync(self, *, is_last: bool) -> contextlib.AbstractContextManager[Any]:
        """Copies of a model exchange gradients once a step."""
        if is_last or not isinstance(self.wrapped, nn.parallel.DistributedDataParallel):
            return contextlib.nullcontext()
        return self.wrapped.no_sync()

    def _fault(self, step: int, batches: Sequence[WeightedBatch], sums: Sequence[Tensor]) -> str:
        """Which batch, and of what, where a loss or a gradient is no number."""
        bad = [batch for (batch, _), total in zip(batches, sums, strict=True) if not bool(torch.isfinite(total))]
        kept = "the weights before it are in the last checkpoint, which is kept"
        way_out = "look at these sequences, lower lr or use dtype float32; the same command goes on from that checkpoint"
        if not bad:
            what = "the loss is a number here, its gradient is not (or another process's is not)"
            return f"step {step + 1}: {what}; {kept}; {way_out}."
        numbers = bad[0].sequences
        files = sorted({str(self.files.train[int(n)].path) for n in self.store.file_of[numbers]})
        listed = ", ".join(map(str, sorted(numbers.tolist())[:8]))
        what = f"the loss of a batch is no number. It holds {len(numbers)} sequences, e.g. {listed}, of {', '.join(files[:3])}"
        return f"step {step + 1}: {what}; {kept}; {way_out}."


def default_micro_tokens(device: torch.device, vocabulary: int) -> int:
    """Tokens that go through the model at once.

    On a CPU few, since memory near the core is small; fewer still where the output layer and its gradients take much of it all.
    """
    if device.type != "cpu":
        return MICRO_TOKENS_ON_DEVICE
    return MICRO_TOKENS if vocabulary < LARGE_VOCABULARY else MICRO_TOKENS // 2
