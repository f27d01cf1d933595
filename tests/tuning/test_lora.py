"""Adapters: what they are put on, that they change nothing at first, and that untying makes two matrices of one."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from pluralign.errors import ModelError, UsageError
from pluralign.tuning.lora import add_lora, untie
from pluralign.tuning.loss import open_loss
from pluralign.tuning.settings import LoraSettings
from reference.plain_loss import gradients
from tuning.loss_cases import SEQUENCES, attention_of, made, packed, plain_total, worst_difference
from tuning.siblings import model as sibling_model

IDS = SEQUENCES[0][None]


def learnt(model: Any) -> Any:
    """Adapters that change something: fresh ones have gradients of 0 in half of their parameters."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.1)
    return model


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=IDS, use_cache=False).logits
    return found


# untying


@pytest.mark.parametrize("kind", ["llama", "gemma2", "qwen3", "gpt2"])
def test_an_untied_model_is_the_same_and_comes_back_from_disk_as_two_matrices(kind: str, tmp_path: Path) -> None:
    model = made(kind, tied=True)
    expected = logits(model)
    assert untie(model)
    embedding, output = model.get_input_embeddings(), model.get_output_embeddings()
    assert torch.equal(embedding.weight, output.weight)
    assert embedding.weight.data_ptr() != output.weight.data_ptr()
    assert torch.equal(logits(model), expected)
    model.tie_weights(recompute_mapping=False)  # as transformers does inside of its own calls
    with torch.no_grad():
        model.get_output_embeddings().weight[:, 0] += 1.0
    assert not torch.equal(embedding.weight, output.weight)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager")
    assert loaded.config.tie_word_embeddings is False
    assert torch.equal(loaded.get_input_embeddings().weight, embedding.weight)
    assert torch.equal(loaded.get_output_embeddings().weight, output.weight)
    assert torch.equal(logits(loaded), logits(model))
    assert json.loads((tmp_path / "config.json").read_text())["tie_word_embeddings"] is False
    assert not untie(loaded)


def test_a_model_with_a_nested_configuration_is_untied(tmp_path: Path) -> None:
    model = sibling_model("gemma3")
    assert untie(model)
    with torch.no_grad():
        model.get_output_embeddings().weight[:, 0] += 1.0
    model.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(loaded.get_output_embeddings().weight, model.get_output_embeddings().weight)
    assert not torch.equal(loaded.get_output_embeddings().weight, loaded.get_input_embeddings().weight)
    assert loaded.config.get_text_config().tie_word_embeddings is False


def test_a_model_that_was_never_tied_keeps_its_output_layer() -> None:
    model = made("llama")
    before = model.lm_head.weight
    assert not untie(model)
    assert model.lm_head.weight is before


def test_an_architecture_that_always_ties_is_refused() -> None:
    model = made("llama", tied=True)
    model.tie_weights = lambda: setattr(model.lm_head, "weight", model.model.embed_tokens.weight)
    with pytest.raises(ModelError, match="LlamaForCausalLM ties its embedding and its output layer whatever"):
        untie(model)


# adapters


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", ["llama", "gemma2", "gemma3_text", "qwen3"])
def test_gradients_are_those_of_one_sequence_at_a_time(kind: str, *, tied: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = learnt(add_lora(made(kind, tied=tied), LoraSettings()))
    loss = open_loss(model, chunk_bytes=2000)
    assert loss.note is None
    ids, targets, positions = packed()
    expected = plain_total(model)
    slopes = gradients(model, expected)
    found = loss(ids, targets, position_ids=positions, attention=attention_of(kind, positions))
    assert abs(found.total.item() - expected.item()) < 1e-5 * expected.item()
    assert worst_difference(gradients(model, found.total), slopes) < 1e-5
    layers = {name.rpartition(".lora_")[0].rpartition(".")[2] for name in slopes}
    assert layers == {"q_proj", "v_proj", "embed_tokens", "lm_head"}
    assert len(slopes) == 2 * (3 * 2 + 2)
    assert min(float(one.norm()) for one in slopes.values()) > 0


def test_fresh_adapters_change_nothing_and_are_the_only_trained() -> None:
    plain = made("llama", tied=True)
    expected, before = logits(plain), {n: p.detach().clone() for n, p in plain.named_parameters()}
    model = add_lora(plain, LoraSettings(rank=3, alpha=6))
    assert torch.equal(logits(model), expected)
    assert all("lora_" in name for name, p in model.named_parameters() if p.requires_grad)
    kept = {n.replace(".base_layer", ""): p for n, p in plain.named_parameters() if "lora_" not in n}
    assert all(torch.equal(kept[name], one) for name, one in before.items())
    layer: Any = plain.model.layers[0].self_attn.q_proj
    assert layer.lora_A["default"].weight.shape == (3, 32)
    assert layer.scaling["default"] == 2.0


def test_adapters_are_float32_over_16_bits() -> None:
    model = learnt(add_lora(made("llama", tied=True).bfloat16(), LoraSettings()))
    kinds = {("lora_" in name, parameter.dtype) for name, parameter in model.named_parameters()}
    assert kinds == {(True, torch.float32), (False, torch.bfloat16)}
    loss = open_loss(model, float32_product=True)
    ids, targets, positions = packed()
    found = gradients(model, loss(ids, targets, position_ids=positions).total)
    assert {one.dtype for one in found.values()} == {torch.float32}


def test_equal_seeds_give_equal_adapters_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    found = []
    for seed in (0, 0, 1):
        plain = made("llama")
        torch.manual_seed(5)
        model = add_lora(plain, LoraSettings(), seed=seed)
        assert torch.equal(torch.rand(1), expected)
        found.append(torch.cat([p.detach().flatten() for n, p in model.named_parameters() if "lora_" in n]))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_without_embeddings_a_tied_model_stays_tied() -> None:
    plain = made("llama", tied=True)
    add_lora(plain, LoraSettings(targets=("q_proj", "up_proj"), embeddings=False))
    assert plain.lm_head.weight is plain.model.embed_tokens.weight
    assert plain.config.tie_word_embeddings
    assert {name.split(".")[-4] for name, _ in plain.named_parameters() if "lora_A" in name} == {"q_proj", "up_proj"}


def test_layers_whose_weights_lie_the_other_way_round() -> None:
    model = learnt(add_lora(made("gpt2", tied=True), LoraSettings(targets=("c_attn",))))
    names = {name.rpartition(".lora_")[0].rpartition(".")[2] for name, p in model.named_parameters() if p.requires_grad}
    assert names == {"c_attn", "wte", "lm_head"}


def test_an_encoder_of_images_gets_no_adapters() -> None:
    model = add_lora(sibling_model("gemma3"), LoraSettings())
    found = {name for name, p in model.named_parameters() if p.requires_grad}
    assert len(found) == 2 * (3 * 2 + 2)
    assert not [name for name in found if "vision" in name]
    assert [name for name, _ in model.named_parameters() if "vision" in name and "q_proj" in name]


# what is refused


def test_a_target_that_is_not_there_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"'v_prj'; those there are: down_proj, gate_proj, k_proj, .*, v_proj\.$"):
        add_lora(made("llama"), LoraSettings(targets=("q_proj", "v_prj")))


def test_a_refused_model_is_left_tied() -> None:
    plain = made("llama", tied=True)
    with pytest.raises(UsageError):
        add_lora(plain, LoraSettings(targets=("attn",)))
    assert plain.lm_head.weight is plain.model.embed_tokens.weight


def test_adapters_on_adapters_are_an_error() -> None:
    model = add_lora(made("llama"), LoraSettings())
    for call in (lambda: add_lora(model, LoraSettings()), lambda: untie(model)):
        with pytest.raises(ModelError, match="has adapters already"):
            call()


def test_an_output_layer_of_another_kind_is_an_error() -> None:
    model = made("llama")
    model.set_output_embeddings(nn.Identity())
    with pytest.raises(ModelError, match=r"Embedding for an embedding and Identity.*embeddings=False"):
        add_lora(model, LoraSettings())


@pytest.mark.parametrize("settings", [{"rank": 0}, {"alpha": 0}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_sizes_that_cannot_be(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(settings))} {next(iter(settings.values()))}"):
        LoraSettings(**settings)


def test_nothing_to_train_is_an_error() -> None:
    with pytest.raises(UsageError, match="nothing to train"):
        LoraSettings(targets=(), embeddings=False)
    assert add_lora(made("llama"), LoraSettings(targets=())).get_nb_trainable_parameters()[0] > 0
