"""Sequences of one batch as if each were alone, whatever the architecture; and wrong settings are noticed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from models import tiny_models
from pluralign.errors import ModelError
from pluralign.tuning.attention import How, SegmentAttention, hidden_states, segment_attention
from pluralign.tuning.batches import Batch
from pluralign.tuning.isolation import assert_isolated, isolation_fault, sliding_window_of, states_of
from pluralign.tuning.segments import NAME
from tuning.packed_models import (
    ATTENTION,
    CPU,
    LENGTHS,
    alone,
    encoded,
    gradient,
    model,
    nats_of,
    off,
    packed,
    padded,
    place_of,
)

LONGEST = 20
EXACT = 1e-5
"""Of the size of what is wanted, in float32."""
CONTAMINATED = 0.1
RENAMED = pytest.mark.filterwarnings("ignore:.*gradient.?checkpointing.*:FutureWarning")
"""transformers has new names for it, which neither peft nor its older versions know."""
NEVER_PACKED = ["bloom", "lfm2", "mamba"]


def _states(made: Any, **given: Any) -> Tensor:
    return states_of(made.get_decoder()(**given))


# the right ways


@pytest.mark.parametrize("how", ["loop", "mask", "padded"])
@pytest.mark.parametrize("kind", ATTENTION)
def test_states_and_gradients_are_those_of_each_sequence_alone(kind: str, how: How) -> None:
    made, several = model(kind), encoded()
    wanted, wanted_nats = alone(made, several)
    wanted_gradient = gradient(made, wanted_nats)
    attention = segment_attention(made, CPU, longest=LONGEST, ways=[how])
    assert attention.how == how
    for batch in [padded(several)] if how == "padded" else [packed(several), padded(several)]:
        found = hidden_states(made, attention, batch)
        assert off(found[place_of(batch)], wanted) < EXACT
        assert off(gradient(made, nats_of(made, found, batch))[None], wanted_gradient[None]) < EXACT


@pytest.mark.parametrize("how", ["loop", "mask"])
@pytest.mark.parametrize("kind", ATTENTION)
def test_another_token_moves_its_own_sequence_only(kind: str, how: How) -> None:
    made = model(kind)
    attention = segment_attention(made, CPU, longest=LONGEST, ways=[how])
    before = packed(encoded())
    after = packed(encoded())
    after.input_ids[0, 16] += 1  # the third token of the second sequence in its row
    assert before.segment_ids[0, 16] == 1
    with torch.no_grad():
        moved = (hidden_states(made, attention, before) - hidden_states(made, attention, after)).abs().amax(1)
    own = torch.from_numpy(before.segment_ids.ravel() == 1)
    assert moved[~own].max() < 1e-6  # zero, but for rounding in products over all tokens
    assert (moved[own] > 1e-2).tolist() == [False] * 2 + [True] * 7, "what comes before it in its sequence stays too"


@pytest.mark.parametrize("kind", NEVER_PACKED)
def test_what_cannot_be_packed_is_padded(kind: str) -> None:
    made, several = model(kind), encoded()
    attention = segment_attention(made, CPU, longest=LONGEST)
    assert attention.how == "padded"
    why = {"bloom": "BloomForCausalLM has an attention of its own", "lfm2": "it has layers of another kind: conv"}
    assert attention.notes[0].startswith(f"loop (pluralign_segments): {why.get(kind, 'it has layers of another kind')}")
    wanted, nats = alone(made, several)
    expected = gradient(made, nats)
    made.set_attn_implementation(attention.implementation)
    batch = padded(several)
    found = hidden_states(made, attention, batch)
    assert off(found[place_of(batch)], wanted) < EXACT
    assert off(gradient(made, nats_of(made, found, batch))[None], expected[None]) < EXACT
    with pytest.raises(ModelError, match=r"one sequence each \(padded_batches\), but this batch is packed; other ways"):
        attention.inputs(packed(several))


def test_the_quickest_way_is_taken() -> None:
    assert segment_attention(model("gemma2"), CPU, longest=LONGEST).how == "loop"
    made = model("llama")
    assert segment_attention(made, CPU, longest=LONGEST, ways=["varlen", "mask"]).notes == (
        "varlen (flash_attention_2): it takes a GPU and the package flash_attn",
    )
    with pytest.raises(ModelError, match="llama: sequences of one batch cannot be kept apart: varlen"):
        segment_attention(made, CPU, longest=LONGEST, ways=["varlen"])


def test_layers_of_a_kind_that_the_probe_is_too_short_for_are_not_packed() -> None:
    made = model("llama")
    made.config.layer_types = ["chunked_attention"] * 3
    assert segment_attention(made, CPU, longest=LONGEST).how == "padded"


def test_masks_by_hand() -> None:
    """The drawing at the top of `segments`, with a window of 3 too; padding looks at itself, so that no line is empty."""
    batch = packed(encoded(0, (3, 4, 2)), ((0, 2), (1,)))
    windows = {"full_attention": None, "sliding_attention": 3}
    for implementation in ("sdpa", "eager"):
        attention = SegmentAttention(
            how="mask", implementation=implementation, device=CPU, dtype=torch.float32, windows=windows
        )
        masks = attention.inputs(batch)["attention_mask"]
        drawn = {
            "full_attention": ["1....", "11...", "111..", "...1.", "...11", "1....", "11...", "111..", "1111.", "....1"],
            "sliding_attention": ["1....", "11...", "111..", "...1.", "...11", "1....", "11...", "111..", ".111.", "....1"],
        }
        for kind, lines in drawn.items():
            assert masks[kind].shape == (2, 1, 5, 5)
            shown = masks[kind] if implementation == "sdpa" else masks[kind] == 0
            assert ["".join(".1"[cell] for cell in line) for line in shown.view(10, 5).int().tolist()] == lines


@pytest.mark.parametrize("how", ["loop", "varlen", "mask", "padded"])
def test_no_way_keeps_a_cache_or_has_a_mask_that_it_does_not_need(how: How) -> None:
    attention = SegmentAttention(how=how, implementation="sdpa", device=CPU, dtype=torch.float32, windows={"": None})
    for batch in (packed(encoded()), padded(encoded())):
        if how == "padded" and batch.is_packed:
            continue
        given = attention.inputs(batch)
        assert given["use_cache"] is False
        assert (given["attention_mask"] is None) == (how != "mask" or not batch.is_packed)
        assert ("position_ids" in given) == batch.is_packed


def test_the_probe_runs_as_training_does() -> None:
    made, found = model("llama"), []
    made.get_decoder().layers[0].register_forward_hook(lambda *_: found.append(torch.is_autocast_enabled("cpu")))
    for dtype in (None, torch.float32, torch.bfloat16):
        segment_attention(made, CPU, longest=LONGEST, dtype=dtype)
        assert set(found) == {dtype == torch.bfloat16}
        found.clear()


def test_in_sixteen_bits() -> None:
    """Weights of 16 bits, and autocast over 32."""
    several = encoded()
    for kind in ("llama", "gpt_oss"):
        wanted, _ = alone(model(kind), several)
        for made, dtype in ((model(kind).bfloat16(), None), (model(kind), torch.bfloat16)):
            attention = segment_attention(made, CPU, longest=LONGEST, dtype=dtype)
            assert attention.how == "loop"
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype is not None):
                found = hidden_states(made, attention, packed(several))
            assert 1e-3 < off(found[place_of(packed(several))].float(), wanted) < 0.3


@RENAMED
def test_gradient_checkpointing_computes_a_layer_again_within_the_same_segments() -> None:
    made, batch = model("gemma2"), packed(encoded())
    attention = segment_attention(made, CPU, longest=LONGEST)
    made.train()
    wanted = gradient(made, nats_of(made, hidden_states(made, attention, batch), batch))
    made.gradient_checkpointing_enable()
    calls = []
    made.get_decoder().layers[0].self_attn.register_forward_hook(lambda *_: calls.append(1))
    found = gradient(made, nats_of(made, hidden_states(made, attention, batch), batch))
    assert len(calls) == 2, "once forward and once again"
    torch.testing.assert_close(found, wanted)


@RENAMED
def test_adapters() -> None:
    from peft import LoraConfig, get_peft_model

    wrapped, several = get_peft_model(model("llama"), LoraConfig(r=2, target_modules=["q_proj", "v_proj"])), encoded()
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    wanted, _ = alone(wrapped, several)
    assert off(wanted, alone(model("llama"), several)[0]) > 0.01
    attention = segment_attention(wrapped, CPU, longest=LONGEST)
    assert attention.how == "loop"
    batch = packed(several)
    assert off(hidden_states(wrapped, attention, batch)[place_of(batch)], wanted) < EXACT


def test_a_saved_model_knows_nothing_of_it(tmp_path: Path) -> None:
    made = model("llama")
    segment_attention(made, CPU, longest=LONGEST)
    assert made.config._attn_implementation == NAME
    made.save_pretrained(tmp_path)
    assert NAME not in json.dumps(json.loads((tmp_path / "config.json").read_text()))


# kernels for lists of segments: transformers hands them edges, which a stand-in reads here


def _by_edges(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: None, **given: Any) -> tuple[Tensor, None]:
    """What `flash_attention_2` does with these arguments, one stretch of the only row after another."""
    edges = given["cu_seq_lens_q"]
    assert mask is None
    assert edges.dtype == torch.int32
    assert torch.equal(edges, given["cu_seq_lens_k"])
    assert given["max_length_q"] == given["max_length_k"] == int(edges.diff().max())
    assert query.shape[0] == 1
    assert edges[-1] == query.shape[2]
    parts = [x.split(edges.diff().tolist(), dim=2) for x in (query, key, value)]
    attend = nn.functional.scaled_dot_product_attention
    found = [attend(*three, is_causal=True, enable_gqa=True, scale=given["scaling"]) for three in zip(*parts, strict=True)]
    return torch.cat(found, dim=2).transpose(1, 2), None


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gpt2"])
def test_kernels_are_handed_the_edges_of_all_rows_laid_end_to_end(kind: str) -> None:
    AttentionInterface.register("stand_in", _by_edges)
    made, several = model(kind), encoded()
    wanted, _ = alone(made, several)
    attention = SegmentAttention(how="varlen", implementation="stand_in", device=CPU, dtype=torch.float32, windows={"": None})
    made.set_attn_implementation("stand_in")
    batch = packed(several)
    given = attention.inputs(batch)
    # 14 9 9 | 1 20 and 11 of padding | 5 5 3 and 19 of padding
    assert given["cu_seq_lens_q"].tolist() == [0, 14, 23, 32, 33, 53, 64, 69, 74, 77, 96]
    assert off(hidden_states(made, attention, batch)[place_of(batch)], wanted) < EXACT


@pytest.mark.gpu
def test_flash_attention_on_a_gpu() -> None:
    made = model("llama").to("cuda", torch.bfloat16)
    attention = segment_attention(made, torch.device("cuda"), longest=LONGEST)
    assert attention.how == "varlen", attention.notes
    several, batch = encoded(), packed(encoded())
    found = hidden_states(made, attention, batch).cpu().float()[place_of(batch)]
    assert off(found, alone(model("llama"), several)[0]) < 0.3


# the wrong ways, which change nothing but the states


def _wrong(given: dict[str, Any], fault: str) -> dict[str, Any]:
    """What training might hand a model by mistake."""
    if fault == "a cache":
        return {name: value for name, value in given.items() if name not in ("use_cache", "attention_mask")}
    if fault == "a mask of ones":
        return given | {"attention_mask": torch.ones_like(given["input_ids"])}
    return {name: value for name, value in given.items() if name not in ("attention_mask", "position_ids")}


def _plain_inputs(batch: Batch) -> dict[str, Any]:
    """Positions that begin anew, no mask, no cache: transformers then keeps most models' segments apart by itself."""
    ids, positions = torch.from_numpy(batch.input_ids), torch.from_numpy(batch.position_ids)
    return {"input_ids": ids, "position_ids": positions, "attention_mask": None, "use_cache": False}


@pytest.mark.parametrize("fault", ["a cache", "a mask of ones", "no positions"])
@pytest.mark.parametrize("kind", [k for k in ATTENTION if k != "gpt_oss"])
def test_wrong_settings_contaminate_and_are_noticed(kind: str, fault: str) -> None:
    made, several = model(kind), encoded()
    batch = packed(several)
    wanted, _ = alone(made, several)
    assert off(_states(made, **_plain_inputs(batch))[place_of(batch)], wanted) < EXACT, "the right settings are right"
    assert isolation_fault(made, lambda one: _states(made, **_plain_inputs(one)), longest=LONGEST) is None

    def states(one: Batch) -> Tensor:
        return _states(made, **_wrong(_plain_inputs(one), fault))

    assert off(states(batch)[place_of(batch)], wanted) > CONTAMINATED
    with pytest.raises(
        ModelError, match=rf"^{made.config.model_type}: sequences of one batch change each other's hidden states"
    ):
        assert_isolated(made, states, longest=LONGEST)


def test_gpt_oss_takes_no_notice_of_positions() -> None:
    """The settings that are right for the others: its masks are made without positions, and so it needs one that is given."""
    made = model("gpt_oss")
    fault = isolation_fault(made, lambda one: _states(made, **_plain_inputs(one)), longest=LONGEST)
    assert fault is not None
    assert "change each other" in fault


@pytest.mark.parametrize("kind", ["gemma2", "gemma3_both", "gpt_oss", "mistral"])
def test_one_mask_for_all_layers_takes_their_windows_away(kind: str) -> None:
    """Segments do stay apart then, so only the comparison with each sequence alone can tell, and only beyond the window."""
    made = model(kind)
    right = segment_attention(made, CPU, longest=LONGEST, ways=["mask"])
    wrong = SegmentAttention(
        how="mask", implementation=right.implementation, device=CPU, dtype=torch.float32, windows={"": None}
    )

    def fault(longest: int) -> str | None:
        return isolation_fault(made, lambda one: hidden_states(made, wrong, one), longest=longest)

    assert sliding_window_of(made) in right.windows.values()
    assert "beside each sequence alone" in str(fault(LONGEST))


def test_the_probe_is_longer_than_a_window_that_training_passes() -> None:
    """A window of 40 that nothing keeps to: no matter up to 40 tokens, wrong beyond."""
    made = model("mistral")
    made.config.sliding_window = 40
    for layer in made.get_decoder().layers:
        layer.self_attn.config.sliding_window = 40
    wrong = SegmentAttention(how="mask", implementation="eager", device=CPU, dtype=torch.float32, windows={"": None})
    made.set_attn_implementation("eager")

    def fault(longest: int) -> str | None:
        return isolation_fault(made, lambda one: hidden_states(made, wrong, one), longest=longest)

    assert fault(40) is None
    assert "beside each sequence alone" in str(fault(64))


def test_convolutions_run_into_the_next_sequence() -> None:
    """Found out by the probe alone, without what the configuration says of its layers."""
    made = model("lfm2")
    fault = isolation_fault(made, lambda one: _states(made, **_plain_inputs(one)), longest=LONGEST)
    assert "change each other" in str(fault)


def test_states_that_are_no_numbers_are_a_fault() -> None:
    made = model("llama")
    assert "by inf" in str(isolation_fault(made, lambda one: _states(made, **_plain_inputs(one)) * torch.nan, longest=LONGEST))


@pytest.mark.parametrize(
    ("dtype", "n_off", "is_fault"), [(torch.float32, 1, True), (torch.bfloat16, 2, False), (torch.bfloat16, 3, True)]
)
def test_single_tokens_may_be_off_in_sixteen_bits(dtype: torch.dtype, n_off: int, is_fault: bool) -> None:
    """As where rounding sends them to another expert; contamination and windows move several in a row."""
    made = model("llama").to(dtype)

    def states(one: Batch) -> Tensor:
        found = _states(made, **_plain_inputs(one))
        found[12 : 12 + n_off] *= -1.0  # within the second sequence
        return found

    assert (isolation_fault(made, states, longest=LONGEST) is not None) == is_fault


def test_the_guard_leaves_the_model_as_it_was() -> None:
    made = model("gpt2")
    made.train()
    made.get_decoder().h[1].eval()
    modes = [module.training for module in made.modules()]
    segment_attention(made, CPU, longest=LONGEST)
    assert [module.training for module in made.modules()] == modes
    assert made.config._attn_implementation == NAME
    assert all(parameter.grad is None for parameter in made.parameters())


def test_a_model_that_cannot_be_trained_on_several_is_named() -> None:
    made = model("llama")
    made.config._name_or_path = "some/model"

    def states(one: Batch) -> Tensor:
        found = _states(made, input_ids=torch.from_numpy(one.input_ids), use_cache=False)
        return found + found.mean(0)

    with pytest.raises(ModelError, match=r"some/model: .* it cannot be trained on several at once\.$"):
        assert_isolated(made, states, longest=LONGEST, is_packed=False)


def test_kinds_are_all_covered() -> None:
    assert {*ATTENTION, *NEVER_PACKED} >= set(tiny_models.CONFIGS)
    assert max(LENGTHS) == LONGEST
