"""Two processes over gloo on this machine: a step's gradients are those of one process, under DDP and under `fully_shard`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing

from reference.plain_loss import gradients
from tuning.loss_cases import IS_LOSS, WEIGHTS, plain_total, worst_difference
from tuning.loss_ranks import CASES, N_RANKS, model_of, work

pytestmark = pytest.mark.slow

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Of each rank."""
    folder = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(work, args=(str(folder),), nprocs=N_RANKS)
    return [torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in range(N_RANKS)]


@pytest.mark.parametrize("how", ["ddp", "shards"])
@pytest.mark.parametrize("case", CASES)
def test_a_step_of_two_processes_is_that_of_one(found: list[dict[str, Any]], case: str, how: str) -> None:
    model = model_of(case)
    weight = sum(float(w[flags].sum()) for w, flags in zip(WEIGHTS, IS_LOSS, strict=True))
    expected = gradients(model, plain_total(model) / weight)
    for rank in range(N_RANKS):
        assert worst_difference(found[rank][f"{how} {case}"], expected) < TOLERANCE


def test_weights_are_not_rounded_where_parameters_are(found: list[dict[str, Any]]) -> None:
    for one in found:
        total, of_token, weights = one["rounded"]
        assert total.dtype == of_token.dtype == torch.float32
        exact = float((of_token.double() * weights.double()).sum())
        coarse = float((of_token.double() * weights.bfloat16().double()).sum())
        assert float(total) == pytest.approx(exact, rel=1e-6)
        assert coarse != pytest.approx(exact, rel=1e-5)


def test_an_output_layer_in_shards_is_an_error(found: list[dict[str, Any]]) -> None:
    assert all("not on the output layer" in one["refused"] for one in found)
