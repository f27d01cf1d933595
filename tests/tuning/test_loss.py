"""The loss at supervised tokens: what one sequence at a time with whole logits gives, in nats and in every gradient."""

from __future__ import annotations

import copy
import math
import warnings
from typing import Any, cast

import pytest
import torch
from peft import PromptTuningConfig
from torch import Tensor, nn

from models.tiny_models import VOCAB
from pluralign.errors import ModelError, UsageError
from pluralign.tuning.chunked import Product, chunked_nats
from pluralign.tuning.loss import TARGETS_STEP, SparseLoss, Targets, open_loss
from pluralign.tuning.weights import shared_weights, step_loss, step_weight
from reference.plain_loss import gradients
from tuning.loss_cases import (
    KINDS,
    N_TARGETS,
    adapted,
    attention_of,
    lora_on,
    made,
    packed,
    plain_total,
    worst_difference,
)

TOLERANCE = 1e-5
"""Relative, float32."""
STATE_BYTES = 4 * VOCAB


def check(loss: SparseLoss, kind: str = "llama") -> None:
    """Nats and gradients are those of the reference."""
    ids, targets, positions = packed()
    expected = plain_total(loss.model)
    slopes = gradients(loss.model, expected)
    found = loss(ids, targets, position_ids=positions, attention=attention_of(kind, positions))
    assert abs(found.total.item() - expected.item()) < TOLERANCE * expected.item()
    assert torch.allclose((found.of_token * targets.weights).sum(), found.total.detach())
    assert not found.of_token.requires_grad
    assert worst_difference(gradients(loss.model, found.total), slopes) < TOLERANCE


RENAMED = pytest.mark.filterwarnings("ignore:.*gradient.?checkpointing.*:FutureWarning")
"""transformers has new names for it, which neither peft nor its older versions know."""


# by hand


def test_two_logits_by_hand() -> None:
    """Logits (0, ln 3) are probabilities (1/4, 3/4): id 0 costs ln 4 nats, id 1 ln(4/3)."""
    logits = torch.tensor([[0.0, math.log(3)], [0.0, math.log(3)]], requires_grad=True)
    product = Product(nn.Identity(), lambda raw: raw.float(), [], False)
    total, nats = chunked_nats(product, torch.tensor([0, 1]), torch.tensor([2.0, 4.0]), 2, logits, [])
    assert nats.tolist() == pytest.approx([math.log(4), math.log(4 / 3)], rel=1e-6)
    assert total.item() == pytest.approx(2 * math.log(4) + 4 * math.log(4 / 3), rel=1e-6)
    (total / 2).backward()
    assert logits.grad is not None
    # weight x (p - [target]) / 2: 2 (1/4 - 1) / 2, 2 (3/4) / 2; 4 (1/4) / 2, 4 (3/4 - 1) / 2
    assert logits.grad.flatten().tolist() == pytest.approx([-0.75, 0.75, 0.5, -0.5], rel=1e-6)


def test_parameters_that_share_a_gradient_each_get_their_own() -> None:
    """Autograd hands one and the same tensor to both biases of a sum."""

    class TwoBiases(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))

        def forward(self, hidden: Tensor) -> Tensor:
            return hidden + (self.one + self.other)

    layer = TwoBiases()
    hidden, ids = torch.zeros(3, 2), torch.tensor([0, 0, 1])
    product = Product(layer, lambda raw: raw, ["one", "other"], False)
    total, _ = chunked_nats(product, ids, torch.ones(3), 3, hidden, list(layer.parameters()))
    (2 * total).backward()
    for parameter in layer.parameters():
        assert parameter.grad is not None
        assert parameter.grad.tolist() == [-1.0, 1.0]  # 2 x (3 x 1/2 - 2), 2 x (3 x 1/2 - 1)


# against the reference


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_nats_and_gradients_are_those_of_one_sequence_at_a_time(kind: str, *, tied: bool) -> None:
    loss = open_loss(made(kind, tied=tied), chunk_bytes=7 * STATE_BYTES)
    assert loss.note is None
    check(loss, kind)


@pytest.mark.parametrize("chunk_bytes", [1, 2 * STATE_BYTES, N_TARGETS * STATE_BYTES - 1, N_TARGETS * STATE_BYTES, 1 << 26])
def test_the_size_of_chunks_changes_nothing(chunk_bytes: int) -> None:
    check(open_loss(made("gemma2", tied=True), chunk_bytes=chunk_bytes), "gemma2")


@pytest.mark.parametrize("kind", ["cohere", "granite"])
def test_factors_of_logits_are_known(kind: str) -> None:
    loss = open_loss(made(kind))
    assert loss.note is None
    check(loss)


def test_what_is_not_known_is_found_out_and_makes_whole_logits() -> None:
    """This architecture multiplies by what others divide by."""
    loss = open_loss(made("hyperclovax"), chunk_bytes=3 * STATE_BYTES)
    assert loss.note is not None
    assert "would differ by" in loss.note
    check(loss)


@pytest.mark.parametrize("product", [False, True])
@pytest.mark.parametrize(
    "settings",
    [{"tied": False}, {"tied": True}, {"tied": True, "ensure_weight_tying": True}],
    ids=["untied", "tied", "tied-ensured"],
)
@pytest.mark.parametrize("kind", ["llama", "gemma2"])
def test_adapters_on_embeddings_and_output_layer(kind: str, settings: dict[str, bool], *, product: bool) -> None:
    loss = open_loss(lora_on(kind, **settings), chunk_bytes=5 * STATE_BYTES, float32_product=product)
    assert loss.note is None
    check(loss, kind)


@pytest.mark.parametrize("tied", [False, True])
def test_embeddings_and_output_layer_trained_whole_beside_adapters(*, tied: bool) -> None:
    settings = {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]}
    loss = open_loss(lora_on("llama", tied=tied, **settings), chunk_bytes=5 * STATE_BYTES)
    check(loss)
    assert {type(loss.model.get_output_embeddings()).__name__} == {"ModulesToSaveWrapper"}


def test_a_bias_and_only_the_output_layer_trained() -> None:
    model = made("llama").requires_grad_(False)
    model.set_output_embeddings(nn.Linear(32, VOCAB, bias=True))
    loss = open_loss(model, chunk_bytes=3 * STATE_BYTES)
    check(loss)
    assert len([p for p in model.parameters() if p.requires_grad]) == 2


def test_only_the_decoder_trained() -> None:
    model = made("llama")
    model.get_output_embeddings().requires_grad_(False)
    check(open_loss(model, chunk_bytes=3 * STATE_BYTES))


@RENAMED
def test_layers_that_compute_their_activations_again() -> None:
    model = made("llama")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the name changes with transformers 6
        model.gradient_checkpointing_enable()
    check(open_loss(model, chunk_bytes=3 * STATE_BYTES))


# what is computed


def test_the_output_layer_sees_supervised_tokens_only_and_a_chunk_at_a_time() -> None:
    loss = open_loss(made("llama"), chunk_bytes=4 * STATE_BYTES + 1)
    sizes: list[int] = []
    loss.model.get_output_embeddings().register_forward_hook(lambda layer, given, made: sizes.append(len(given[0])))
    ids, targets, positions = packed()
    loss(ids, targets, position_ids=positions).total.backward()
    n = -(-N_TARGETS // TARGETS_STEP) * TARGETS_STEP
    assert sum(sizes) == n < ids.numel()
    assert max(sizes) <= 4
    assert len(sizes) == -(-n // 4)


def of_last_layer(model: Any, name: str) -> torch.nn.Module:
    return cast(torch.nn.Module, model.get_decoder().layers[-1].get_submodule(name))


@RENAMED
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_last_layer_computes_supervised_tokens_only(checkpointing: bool) -> None:
    model = made("llama")
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    loss = open_loss(model)
    sizes: dict[str, list[int]] = {name: [] for name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.o_proj", "mlp")}
    for name, seen in sizes.items():
        module = of_last_layer(model, name)
        kept = list(module._forward_pre_hooks.values())
        module.register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0].shape[0] * given[0].shape[1]))
        assert len(kept) == (name != "self_attn.k_proj")
    ids, targets, positions = packed()
    loss(ids, targets, position_ids=positions).total.backward()
    n = -(-N_TARGETS // TARGETS_STEP) * TARGETS_STEP
    times = 2 if checkpointing else 1
    wanted = {name: [ids.numel() if "k_proj" in name else n] * times for name in sizes}
    assert sizes == wanted


def test_a_model_with_such_a_layer_is_used_as_before() -> None:
    ids = packed()[0]
    before = made("llama")(input_ids=ids).logits
    model = made("llama")
    loss = open_loss(model)
    assert loss.last_layer is not None
    loss(*packed()[:2], position_ids=packed()[2])
    torch.testing.assert_close(model(input_ids=ids).logits, before)
    torch.testing.assert_close(copy.deepcopy(model)(input_ids=ids).logits, before)


class MixesTokens(torch.nn.Module):
    """In the place of an MLP: what no token may be left out of."""

    def forward(self, x: Tensor) -> Tensor:
        return x.cumsum(1)


def test_a_layer_that_needs_all_tokens_computes_them() -> None:
    model = made("llama")
    model.get_decoder().layers[-1].mlp = MixesTokens()
    loss = open_loss(model)
    assert loss.last_layer is None
    assert not of_last_layer(model, "mlp")._forward_hooks


@pytest.mark.parametrize("n", [0, 1, 15, 16, 17])
def test_targets_are_filled_up_at_other_places(n: int) -> None:
    before = torch.arange(n) * 2
    targets = Targets(before, torch.full((n,), 5), torch.ones(n)).filled_up(40)
    assert len(targets) == max(16, -(-n // 16) * 16)
    assert len(set(targets.before.tolist())) == len(targets)
    assert targets.before[:n].tolist() == before.tolist()
    assert float(targets.weights.sum()) == n
    assert int(targets.before.max()) < 40


def test_targets_are_not_filled_up_beyond_the_tokens() -> None:
    targets = Targets(torch.arange(3), torch.arange(3), torch.ones(3))
    assert targets.filled_up(3) is targets
    assert len(targets.filled_up(5)) == 5


@pytest.mark.parametrize("kind", ["llama", "hyperclovax"])
def test_without_gradients_nats_are_the_same(kind: str) -> None:
    loss = open_loss(made(kind), chunk_bytes=4 * STATE_BYTES)
    ids, targets, positions = packed()
    trained = loss(ids, targets, position_ids=positions)
    with torch.no_grad():
        found = loss(ids, targets, position_ids=positions)
    assert torch.equal(found.of_token, trained.of_token)
    assert not found.total.requires_grad
    loss.requires_grad_(False)
    assert not loss(ids, targets, position_ids=positions).total.requires_grad


@pytest.mark.parametrize("tied", [False, True])
def test_without_targets_the_sum_and_every_gradient_is_0(*, tied: bool) -> None:
    """Not missing: under DDP other ranks would wait for them."""
    loss = open_loss(lora_on("llama", tied=tied, modules_to_save=["norm"]))
    ids, _, positions = packed()
    none = torch.zeros(0, dtype=torch.long)
    found = loss(ids, Targets(none, none, torch.zeros(0)), position_ids=positions)
    assert found.total.item() == 0.0
    assert found.of_token.shape == (0,)
    assert all(not slopes.any() for slopes in gradients(loss.model, found.total).values())


def test_a_mask_of_ones_lets_packed_sequences_see_each_other() -> None:
    """transformers then does not look at positions: the check of this file would find it."""
    loss = open_loss(made("llama"))
    ids, targets, positions = packed()
    wrong = loss(ids, targets, position_ids=positions, attention={"attention_mask": torch.ones_like(ids)})
    right = loss(ids, targets, position_ids=positions)
    assert (wrong.of_token - right.of_token).abs().max().item() > 0.1


def test_gradients_are_taken_once() -> None:
    loss = open_loss(made("llama"))
    ids, targets, positions = packed()
    total = loss(ids, targets, position_ids=positions).total
    total.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


# precision


def test_gradients_of_a_16_bit_output_layer_are_added_up_in_float32() -> None:
    """A sum of 2000 in bfloat16 stops growing when it is 256 times as large as what is added."""
    torch.manual_seed(0)
    layer = nn.Linear(8, 3, bias=False, dtype=torch.bfloat16)
    hidden, ids = torch.rand(2000, 8, dtype=torch.bfloat16), torch.zeros(2000, dtype=torch.long)
    product = Product(layer, lambda raw: raw.float(), ["weight"], False)
    total, _ = chunked_nats(product, ids, torch.ones(2000), 2000, hidden, [layer.weight])
    [found] = torch.autograd.grad(total, [layer.weight])
    exact = layer.weight.detach().double().requires_grad_()
    expected_total = nn.functional.cross_entropy(hidden.double() @ exact.T, ids, reduction="sum")
    [expected] = torch.autograd.grad(expected_total, [exact])
    assert found.dtype == torch.bfloat16
    assert ((found - expected).norm() / expected.norm()).item() < 2**-8  # rounded once
    one_by_one = sum((nn.functional.cross_entropy(layer(h[None]).float(), i[None]) for h, i in zip(hidden, ids, strict=True)))
    [naive] = torch.autograd.grad(one_by_one, [layer.weight])
    assert ((naive - expected).norm() / expected.norm()).item() > 2**-5


def test_under_autocast_nats_are_float32_and_near_those_without() -> None:
    ids, targets, positions = packed()
    model = made("llama")
    exact = open_loss(model)(ids, targets, position_ids=positions)
    differences = {}
    for is_float32 in (False, True):
        loss = open_loss(model, chunk_bytes=5 * STATE_BYTES, float32_product=is_float32)
        with torch.autocast("cpu", torch.bfloat16):
            found = loss(ids, targets, position_ids=positions)
        assert found.total.dtype == found.of_token.dtype == torch.float32
        assert not torch.equal(found.of_token, found.of_token.bfloat16().float())
        slopes = gradients(model, found.total)
        assert {one.dtype for one in slopes.values()} == {torch.float32}
        differences[is_float32] = (found.of_token - exact.of_token).abs().max().item()
    assert 0 < differences[True] < 0.3
    assert 0 < differences[False] < 0.3
    assert differences[True] != differences[False]


def test_a_float32_product_does_not_round_logits() -> None:
    torch.manual_seed(0)
    layer, hidden, ids = nn.Linear(64, 50).bfloat16(), torch.randn(40, 64).bfloat16(), torch.arange(40)
    named = dict(layer.named_parameters())
    expected = -(hidden.double() @ layer.weight.double().T + layer.bias.double()).log_softmax(1)[ids, ids]
    errors = []
    for is_float32 in (False, True):
        product = Product(layer, lambda raw: raw.float(), list(named), is_float32)
        parameters = [p.float() if is_float32 else p for p in named.values()]
        with torch.autocast("cpu", torch.bfloat16):
            total, nats = chunked_nats(product, ids, torch.ones(40), 3, hidden, parameters)
        total.backward()
        assert all(p.grad is not None and p.grad.dtype == torch.bfloat16 for p in named.values())
        errors.append((nats - expected).abs().max().item())
    assert errors[0] > 1e-3
    assert errors[1] < 1e-5


def test_a_16_bit_model_with_a_float32_product() -> None:
    model = made("llama").bfloat16()
    loss = open_loss(model, chunk_bytes=3 * STATE_BYTES, float32_product=True)
    assert loss.note is None
    ids, targets, positions = packed()
    found = loss(ids, targets, position_ids=positions)
    hidden = loss.states(ids, positions, {})[targets.before].double()
    expected = -(hidden @ model.lm_head.weight.double().T).log_softmax(1).gather(1, targets.ids[:, None])[:, 0]
    assert (found.of_token - expected).abs().max().item() < 1e-5
    assert {one.dtype for one in gradients(model, found.total).values()} == {torch.bfloat16}


# weights and normalisation


def test_a_weight_of_0_is_no_target_and_one_of_2_is_two() -> None:
    loss = open_loss(made("llama"), chunk_bytes=4 * STATE_BYTES)
    ids, targets, positions = packed()
    n = torch.arange(len(targets)) % 3  # 0, 1 or 2 times each
    repeated = torch.arange(len(targets)).repeat_interleave(n)
    several = Targets(targets.before[repeated], targets.ids[repeated], torch.ones(len(repeated)))
    weighted = Targets(targets.before, targets.ids, n.float())
    slopes = [gradients(loss.model, loss(ids, some, position_ids=positions).total) for some in (several, weighted)]
    assert worst_difference(slopes[1], slopes[0]) < TOLERANCE


def test_micro_batches_add_up_to_one_batch_however_uneven() -> None:
    loss = open_loss(made("llama"), chunk_bytes=4 * STATE_BYTES)
    batches = [packed([[0, 1], [2, 3]]), packed([[4]])]
    weight = step_weight([targets.weights for _, targets, _ in batches])
    expected = gradients(loss.model, plain_total(loss.model) / weight)
    for ids, targets, positions in batches:
        step_loss(loss(ids, targets, position_ids=positions).total, weight).backward()
    found = {name: p.grad for name, p in loss.model.named_parameters() if p.grad is not None}
    assert worst_difference(found, expected) < TOLERANCE


def test_outputs_that_weigh_the_same_give_the_mean_of_their_means() -> None:
    loss = open_loss(made("llama"))
    ids, targets, positions = packed()
    owner = torch.arange(len(targets)) // 4
    weights = shared_weights(owner, torch.ones(int(owner[-1]) + 1))
    found = loss(ids, Targets(targets.before, targets.ids, weights), position_ids=positions)
    means = [found.of_token[owner == n].mean() for n in range(int(owner[-1]) + 1)]
    assert (found.total / step_weight([weights])).item() == pytest.approx(float(torch.stack(means).mean()), rel=1e-6)


def test_weights_by_hand() -> None:
    owner = torch.tensor([1, 0, 1, 1, 1])
    assert shared_weights(owner, torch.tensor([3.0, 2.0])).tolist() == [0.5, 3.0, 0.5, 0.5, 0.5]
    # the second owner has 8 tokens in all, 4 of them elsewhere
    found = shared_weights(owner, torch.tensor([3.0, 2.0]), torch.tensor([1, 8]))
    assert found.tolist() == [0.25, 3.0, 0.25, 0.25, 0.25]
    assert found.dtype == torch.float32
    assert step_weight([torch.tensor([0.5, 0.25]), torch.zeros(0), torch.tensor([1.25])]) == 2.0
    assert float(step_loss(torch.tensor(6.0), 4.0, n_averaged=2)) == 3.0


def test_a_step_without_targets_is_an_error() -> None:
    with pytest.raises(UsageError, match="at least one supervised token"):
        step_weight([torch.zeros(0), torch.zeros(3)])


# what is refused


def test_targets_of_other_lengths_or_precision_are_an_error() -> None:
    ids = torch.zeros(3, dtype=torch.long)
    with pytest.raises(UsageError, match=r"\[3\], \[3\] and \[2\]"):
        Targets(ids, ids, torch.ones(2))
    with pytest.raises(UsageError, match="bfloat16"):
        Targets(ids, ids, torch.ones(3, dtype=torch.bfloat16))
    with pytest.raises(UsageError, match="lowest is 1"):
        SparseLoss(made("llama"), chunk_bytes=0)


@RENAMED
def test_trained_prompts_are_an_error() -> None:
    model = adapted(made("llama"), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3))
    with pytest.raises(ModelError, match="use LoRA"):
        open_loss(model)


def test_opening_leaves_the_model_as_it_was() -> None:
    model = made("llama")
    frozen = model.get_decoder().layers[1].eval()
    loss = open_loss(model)
    training = {name for name, module in loss.named_modules() if module.training}
    assert len(training) == len(list(loss.modules())) - len(list(frozen.modules()))
    assert all(parameter.grad is None for parameter in model.parameters())
    assert {name.partition(".")[0] for name in loss.state_dict()} == {"model"}
