"""What each of two processes does in `test_loss_ranks`: a step of two micro-batches, under DDP and under `fully_shard`.

rank 0   sequences 0, 1, 2   then 3
rank 1   sequence 4          then the ids of 0, of which no token is supervised
"""

from __future__ import annotations

import contextlib
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from torch import Tensor
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from models.tiny_models import VOCAB
from pluralign.errors import ModelError
from pluralign.tuning.loss import Nats, SparseLoss, Targets, open_loss
from pluralign.tuning.weights import step_loss, step_weight
from tuning.loss_cases import attention_of, lora_on, made, packed

N_RANKS = 2
CASES = ("llama", "llama tied", "gemma2 tied", "gpt2 tied", "llama lora", "llama tied lora")
"""Kind of model, whether tied, whether with adapters; the same on every rank."""
BATCHES = (([[0, 1], [2]], [[3]]), ([[4]], [[0]]))


def model_of(case: str) -> Any:
    kind, *how = case.split()
    return lora_on(kind, tied="tied" in how) if "lora" in how else made(kind, tied="tied" in how)


def work(rank: int, folder: str) -> None:
    """Saves what was found to `folder`/RANK.pt."""
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=N_RANKS, timeout=timedelta(seconds=60)
    )
    found: dict[str, Any] = {f"{how} {case}": step(case, how, rank) for case in CASES for how in ("ddp", "shards")}
    found["rounded"] = rounded(rank)
    found["refused"] = refused()
    torch.save(found, Path(folder) / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def step(case: str, how: str, rank: int) -> dict[str, Tensor]:
    """Gradients of a step, whole."""
    model = model_of(case)
    loss: Any = open_loss(model, chunk_bytes=3 * 4 * VOCAB)
    loss = DistributedDataParallel(loss) if how == "ddp" else sharded(loss)
    batches = [packed(rows) for rows in BATCHES[rank]]
    if rank == 1:
        none = torch.zeros(0, dtype=torch.long)
        batches[1] = (batches[1][0], Targets(none, none, torch.zeros(0)), batches[1][2])
    weight = step_weight(targets.weights for _, targets, _ in batches)
    for n, (ids, targets, positions) in enumerate(batches):
        with loss.no_sync() if how == "ddp" and n == 0 else contextlib.nullcontext():
            nats: Nats = loss(ids, targets, position_ids=positions, attention=attention_of(case.split()[0], positions))
            step_loss(nats.total, weight, n_averaged=N_RANKS).backward()
    return {name: whole(p.grad) for name, p in model.named_parameters() if p.grad is not None}


def sharded(loss: SparseLoss, **settings: Any) -> SparseLoss:
    """The decoder's layers, then everything else."""
    decoder = loss.model.get_decoder()
    for layer in decoder.h if hasattr(decoder, "h") else decoder.layers:
        fully_shard(layer, **settings)
    fully_shard(loss, **settings)
    assert all(isinstance(parameter, DTensor) for parameter in loss.parameters())
    return loss


def whole(slopes: Tensor | None) -> Tensor:
    assert slopes is not None
    return slopes.full_tensor() if isinstance(slopes, DTensor) else slopes


def rounded(rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """Nats with parameters of 16 bits, and weights that 16 bits cannot hold."""
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    loss = sharded(open_loss(made("llama")), mp_policy=policy)
    ids, targets, positions = packed()
    nats = loss(ids, targets, position_ids=positions)
    nats.total.backward()
    return nats.total.detach(), nats.of_token, targets.weights


def refused() -> str:
    """What is said where the output layer is sharded by itself."""
    loss = open_loss(made("llama"))
    fully_shard(loss.model.get_output_embeddings())
    fully_shard(loss)
    ids, targets, positions = packed()
    try:
        loss(ids, targets, position_ids=positions)
    except ModelError as error:
        return str(error)
    return ""
