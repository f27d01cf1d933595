"""Log-probabilities of one sequence at a time: the model's own attention, no cache, no padding, log_softmax in float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def plain_logprobs(model: Any, ids: npt.NDArray[np.int32]) -> tuple[Floats, Flags]:
    """log p of every token but the first given all before it [tokens - 1], and whether it was the most probable one."""
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor(ids[None, :-1].astype(np.int64)), use_cache=False).logits[0].float()
    chosen = torch.tensor(ids[1:].astype(np.int64))[:, None]
    logprobs = logits.log_softmax(-1).gather(1, chosen)[:, 0]
    is_argmax = logits.gather(1, chosen)[:, 0] >= logits.amax(-1)
    return logprobs.double().numpy(), is_argmax.numpy()


def plain_scores(
    model: Any, sequences: Sequence[npt.NDArray[np.int32]], is_read: Sequence[Flags]
) -> tuple[list[Floats], list[Flags]]:
    """Of every sequence the log-probabilities of its read tokens and whether they were the most probable ones."""
    found = [plain_logprobs(model, ids) for ids in sequences]
    kept = [read[1:] for read in is_read]
    return (
        [logprobs[read] for (logprobs, _), read in zip(found, kept, strict=True)],
        [is_argmax[read] for (_, is_argmax), read in zip(found, kept, strict=True)],
    )


def plain_next(model: Any, ids: npt.NDArray[np.int32]) -> Floats:
    """p of every id behind these [vocabulary]."""
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor(ids[None].astype(np.int64)), use_cache=False).logits[0, -1].float()
    return logits.softmax(-1).double().numpy()
