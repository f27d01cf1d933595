"""AdamW for all, or Muon for the matrices inside and AdamW for the rest: which parameters, and that a run goes on as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pluralign.errors import UsageError
from pluralign.tuning import optimizers
from pluralign.tuning.checkpoints import latest_checkpoint, save_checkpoint
from pluralign.tuning.loss import open_loss
from pluralign.tuning.optimizers import MuonWithAdamW, open_optimizer
from pluralign.tuning.settings import LoraSettings, TuneSettings
from pluralign.tuning.spectrum import tune
from tuning.loss_cases import made, packed
from tuning.tune_runs import make_file, make_model

MUON = TuneSettings(optimizer="muon", lr=1e-2, weight_decay=0.1)


def names_of(model: nn.Module, group: dict[str, Any]) -> set[str]:
    chosen = {id(parameter) for parameter in group["params"]}
    return {name for name, parameter in model.named_parameters() if id(parameter) in chosen}


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("tied", [False, True])
def test_muon_has_the_matrices_between_embeddings_and_output_layer(kind: str, tied: bool) -> None:
    model = made(kind, tied=tied)
    optimizer = open_optimizer(open_loss(model), MUON)
    assert isinstance(optimizer, MuonWithAdamW)
    inner, outer = (names_of(model, group) for group in optimizer.param_groups)
    assert inner
    assert not inner & outer
    assert inner | outer == {name for name, _ in model.named_parameters()}
    ends = {id(model.get_input_embeddings().weight), id(model.get_output_embeddings().weight)}
    for name, parameter in model.named_parameters():
        is_table = id(parameter) in ends or "wpe" in name
        assert (name in inner) == (parameter.ndim == 2 and not is_table), name


def test_adamw_has_all() -> None:
    model = made("llama")
    (group,) = open_optimizer(open_loss(model), TuneSettings(lr=0.5, betas=(0.1, 0.2), weight_decay=0.3)).param_groups
    assert names_of(model, group) == {name for name, _ in model.named_parameters()}
    assert (group["lr"], group["betas"], group["weight_decay"]) == (0.5, (0.1, 0.2), 0.3)


def test_steps_are_those_of_the_two_parts() -> None:
    model, expected = made("llama"), made("llama")
    loss = open_loss(model)
    optimizer = open_optimizer(loss, MUON)
    inner = names_of(model, optimizer.param_groups[0])
    named = dict(expected.named_parameters())
    muon = torch.optim.Muon([named[n] for n in named if n in inner], lr=1e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW([named[n] for n in named if n not in inner], lr=1e-2, weight_decay=0.1, fused=True)
    other = open_loss(expected)
    ids, targets, positions = packed()
    for _ in range(3):
        loss(ids, targets, position_ids=positions).total.backward()
        other(ids, targets, position_ids=positions).total.backward()
        optimizer.step()
        optimizer.zero_grad()
        for part in (muon, adamw):
            part.step()
            part.zero_grad()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter, named[name], rtol=1e-4, atol=1e-6)
    assert not any(p.grad is not None for p in model.parameters())


def test_a_rate_that_is_set_in_the_groups_is_used() -> None:
    model = made("llama")
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    loss = open_loss(model)
    optimizer = open_optimizer(loss, MUON)
    ids, targets, positions = packed()
    loss(ids, targets, position_ids=positions).total.backward()
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    optimizer.step()
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())


def test_a_checkpoint_has_the_state_of_both(tmp_path: Path) -> None:
    ids, targets, positions = packed()

    def step(loss: Any, optimizer: torch.optim.Optimizer) -> None:
        loss(ids, targets, position_ids=positions).total.backward()
        optimizer.step()
        optimizer.zero_grad()

    loss = open_loss(made("llama"))
    optimizer = open_optimizer(loss, MUON)
    step(loss, optimizer)
    save_checkpoint(tmp_path, 1, loss, optimizer, {"step": 1})
    step(loss, optimizer)
    again = open_loss(made("llama"))
    other = open_optimizer(again, MUON)
    found = latest_checkpoint(tmp_path)
    assert found is not None
    found.restore(again, other)
    step(again, other)
    for name, parameter in loss.named_parameters():
        assert torch.equal(parameter, dict(again.named_parameters())[name]), name


def test_a_run_with_muon_learns_and_decides_by_its_settings(tmp_path: Path) -> None:
    model, data = make_model(tmp_path / "model"), make_file(tmp_path / "coin.parquet", 40)
    settings = TuneSettings(optimizer="muon", lr=1e-2, sequences_a_step=8, epochs=6, dtype="float32", max_tokens=96)
    first = tune(model, [data], tmp_path / "a", settings=settings)
    losses = [line for line in (tmp_path / "a" / "metrics.jsonl").read_text().splitlines() if '"loss"' in line]
    assert first["step"] == 30 == len(losses)

    values = [json.loads(line)["loss"] for line in losses]
    assert sum(values[-5:]) < 0.7 * sum(values[:5])


def test_muon_is_refused_where_matrices_are_not_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="muon with LoRA"):
        TuneSettings(optimizer="muon", lora=LoraSettings())
    monkeypatch.setattr(optimizers, "is_sharded_model", lambda model: True)
    with pytest.raises(UsageError, match="use copies, or adamw"):
        open_optimizer(open_loss(made("llama")), MUON)


def test_a_closure_is_refused() -> None:
    optimizer = open_optimizer(open_loss(made("llama")), MUON)
    with pytest.raises(NotImplementedError, match="closure"):
        optimizer.step(lambda: 0.0)
