"""What each of two processes does in `test_checkpoint_ranks`: trains, saves, goes on; then goes on from what it saved."""

from __future__ import annotations

import errno
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Shard
from torch.nn.parallel import DistributedDataParallel

from pluralign.errors import PluralignError
from pluralign.tuning import checkpoint_saving
from pluralign.tuning.checkpoints import latest_checkpoint, save_checkpoint
from tuning.checkpoint_cases import adamw, copies, ids_of, same, train
from tuning.loss_cases import lora_on, made

N_RANKS = 2
CASES = {
    "whole model": {"foreach": True},
    "tied, fused": {"fused": True},
    "adapters": {"foreach": True},
    "bfloat16": {"foreach": True},
}
"""Settings of AdamW. A vocabulary of 97 makes shards of 49 and 48 rows."""


def work(rank: int, folder: str) -> None:
    """Saves what was found to `folder`/RANK.pt."""
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=N_RANKS, timeout=timedelta(seconds=60)
    )
    root = Path(folder)
    found: dict[str, Any] = {case: sharded(case, rank, root / case) for case in CASES}
    found["ddp"] = ddp(rank, root / "ddp")
    found["one fails"] = one_fails(rank, root / "whole model")
    found["other shards"] = other_shards(rank, root / "whole model")
    found["whole into shards"] = whole_into_shards(rank, root / "ddp")
    found["said to be whole"] = said_to_be_whole(rank, root / "said to be whole")
    torch.save(found, root / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def model_of(case: str) -> Any:
    if case == "adapters":
        return lora_on("llama", tied=False)
    model = made("llama", tied="tied" in case)
    return model.bfloat16() if case == "bfloat16" else model


def in_shards(model: Any, **settings: Any) -> Any:
    for layer in model.get_decoder().layers:
        fully_shard(layer, **settings)
    return fully_shard(model, **settings)


def steps(rank: int, first: int) -> range:
    """Of this rank, which has other batches than the other one."""
    return range(first + 100 * rank, first + 100 * rank + 3)


def sharded(case: str, rank: int, root: Path) -> dict[str, Any]:
    model = in_shards(model_of(case))
    optimizer = adamw(model, **CASES[case])
    train(model, optimizer, steps(rank, 0))
    with torch.no_grad():
        model(input_ids=ids_of(0))  # an evaluation, which leaves the root's parameters whole
    save_checkpoint(root, 3, model, optimizer, {"case": case}, rank=rank, n_ranks=N_RANKS, sharded=True)
    whole = {name: p.full_tensor().detach().clone() for name, p in model.named_parameters()}
    expected = train(model, optimizer, steps(rank, 3))
    again = in_shards(model_of(case))
    other = adamw(again, **CASES[case])
    checkpoint = latest_checkpoint(root)
    assert checkpoint is not None
    checkpoint.restore(again, other, rank=rank)
    losses = train(again, other, steps(rank, 3))
    return {
        "expected": expected,
        "losses": losses,
        "same": same(shards(again), shards(model)),
        "state": checkpoint.state,
        "whole": whole,
    }


def shards(model: Any) -> dict[str, Any]:
    return {name: p.to_local().detach() for name, p in model.named_parameters()}


def ddp(rank: int, root: Path) -> dict[str, Any]:
    model = made("llama")
    wrapped = DistributedDataParallel(model)
    optimizer = adamw(wrapped)
    train(wrapped, optimizer, steps(rank, 0))
    save_checkpoint(root, 3, wrapped, optimizer, {}, rank=rank, n_ranks=N_RANKS)
    assert (root / "step-0000003" / "state.json").exists()  # also on the rank that did not write it
    return copies(model)


def whole_into_shards(rank: int, root: Path) -> dict[str, Any]:
    """What rank 0 saved of copies goes on in shards; the parameters and the means of their gradients, whole."""
    model = in_shards(made("llama"))
    optimizer = adamw(model)
    checkpoint = latest_checkpoint(root)
    assert checkpoint is not None
    checkpoint.restore(model, optimizer, rank=rank)
    means = {name: optimizer.state[p]["exp_avg"].full_tensor() for name, p in model.named_parameters()}
    return {"weights": {name: p.full_tensor().detach() for name, p in model.named_parameters()}, "means": means}


def one_fails(rank: int, root: Path) -> str:
    """Rank 1 finds its disk full."""
    model = in_shards(model_of("whole model"))
    optimizer = adamw(model)
    write = checkpoint_saving.write_tensors

    def full(path: Path, tensors: Any) -> Any:
        if rank == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, tensors)

    checkpoint_saving.write_tensors = full
    try:
        save_checkpoint(root, 4, model, optimizer, {}, rank=rank, n_ranks=N_RANKS, sharded=True)
    except PluralignError as error:
        torch.distributed.barrier()
        return f"{sorted(path.name for path in root.iterdir())} {error}"
    finally:
        checkpoint_saving.write_tensors = write
    return ""


def other_shards(rank: int, root: Path) -> str:
    """Matrices by columns."""
    model = in_shards(model_of("whole model"), shard_placement_fn=lambda p: Shard(p.ndim - 1))
    checkpoint = latest_checkpoint(root)
    assert checkpoint is not None
    try:
        checkpoint.restore(model, adamw(model), rank=rank)
    except PluralignError as error:
        return str(error)
    return ""


def said_to_be_whole(rank: int, root: Path) -> str:
    model = in_shards(model_of("whole model"))
    try:
        save_checkpoint(root, 1, model, adamw(model), {}, rank=rank, n_ranks=N_RANKS)
    except PluralignError as error:
        return str(error)
    return ""
