"""Rows of turn tokens are copied, and nothing else of the base changes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from models import tiny
from pluralign import cli
from pluralign.episodes import Episode, Example
from pluralign.models import Query, open_model
from pluralign.tuning.transplant import Transplanted, transplant
from pluralign.tuning.transplant_rows import decode, encode
from tuning.siblings import VOCAB, change, model, pair, save, sibling, tensors

IDS = list(tiny.chatml().convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"]))
EPISODE = Episode("t", (Example("yes", "How warm?"), Example("no")), "A rater of water.")

# kind -> the tensors with rows for tokens, as the files call them
NAMES = {
    "llama": {"input": "model.embed_tokens.weight", "output": "lm_head.weight"},
    "qwen3": {"input": "model.embed_tokens.weight", "output": "lm_head.weight"},
    "gemma3_text": {"input": "model.embed_tokens.weight"},
    "gemma3": {"input": "language_model.model.embed_tokens.weight"},
    "gpt2": {"input": "transformer.wte.weight"},
    "bloom": {"input": "transformer.word_embeddings.weight"},
    "phi": {"input": "model.embed_tokens.weight", "output": "lm_head.weight", "output bias": "lm_head.bias"},
}


def _logits(made: Any) -> torch.Tensor:
    ids = torch.tensor([[3, IDS[0], 50, 60, IDS[1], 70, *IDS]])
    with torch.inference_mode():
        return made(ids).logits


@pytest.mark.parametrize("kind", NAMES)
def test_only_the_turn_tokens_rows_change(kind: str, tmp_path: Path) -> None:
    base, instruct = pair(tmp_path, kind)
    done = transplant(base, instruct, tmp_path / "out")
    assert {copied.matrix: copied.tensor for copied in done.rows} == NAMES[kind]
    assert done.is_tied == ("output" not in NAMES[kind])
    own, other, new = tensors(base), tensors(instruct), tensors(tmp_path / "out")
    assert own.keys() == new.keys()
    for name, tensor in new.items():
        expected = own[name].clone()
        if name in NAMES[kind].values():
            assert not torch.equal(expected[IDS], other[name][IDS])  # there is something to copy
            expected[IDS] = other[name][IDS]
        assert torch.equal(tensor.view(torch.uint8), expected.view(torch.uint8)), name


@pytest.mark.parametrize("kind", NAMES)
def test_the_model_is_what_one_makes_by_hand_in_memory(kind: str, tmp_path: Path) -> None:
    base, instruct = pair(tmp_path, kind)
    transplant(base, instruct, tmp_path / "out")
    by_hand, other = (AutoModelForCausalLM.from_pretrained(one, dtype=torch.float32).eval() for one in (base, instruct))
    before = _logits(by_hand)
    with torch.no_grad():
        for layer, source in (
            (by_hand.get_input_embeddings(), other.get_input_embeddings()),
            (by_hand.get_output_embeddings(), other.get_output_embeddings()),
        ):
            layer.weight[IDS] = source.weight[IDS]
            if getattr(layer, "bias", None) is not None:
                layer.bias[IDS] = source.bias[IDS]
    made = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32).eval()
    assert torch.equal(_logits(made), _logits(by_hand))
    assert not torch.equal(_logits(made), before)


def test_bytes_of_the_file_differ_in_the_rows_alone(tmp_path: Path) -> None:
    base, instruct = pair(tmp_path, dtype=torch.bfloat16)
    transplant(base, instruct, tmp_path / "out")
    a, b = (np.frombuffer((folder / "model.safetensors").read_bytes(), np.uint8) for folder in (base, tmp_path / "out"))
    assert len(a) == len(b)
    assert 0 < (a != b).sum() <= 2 * len(IDS) * 32 * 2  # two matrices, rows of 32 numbers of two bytes


def test_several_files(tmp_path: Path) -> None:
    base, instruct = pair(tmp_path, max_shard_size="30KB")
    shards = sorted(path.name for path in base.glob("*.safetensors"))
    assert len(shards) > 4
    done = transplant(base, instruct, tmp_path / "out")
    index = "model.safetensors.index.json"
    assert (tmp_path / "out" / index).read_bytes() == (base / index).read_bytes()
    touched = {copied.file for copied in done.rows}
    assert len(touched) == 2
    for name in shards:
        same = (tmp_path / "out" / name).read_bytes() == (base / name).read_bytes()
        assert same == (name not in touched)
    new, other = tensors(tmp_path / "out"), tensors(instruct)
    for copied in done.rows:
        assert torch.equal(new[copied.tensor][IDS], other[copied.tensor][IDS])
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out").num_parameters() > 0


def test_one_file_beside_an_index_is_what_counts(tmp_path: Path) -> None:
    """As transformers has it; the index of other files is not copied."""
    base, instruct = pair(tmp_path)
    (base / "model.safetensors.index.json").write_text('{"weight_map": {"x": "other.safetensors"}}')
    transplant(base, instruct, tmp_path / "out")
    assert not (tmp_path / "out" / "model.safetensors.index.json").exists()


@pytest.mark.parametrize("base_rows", [VOCAB, VOCAB + 32])
def test_vocabularies_may_be_padded_differently(base_rows: int, tmp_path: Path) -> None:
    base, instruct = pair(tmp_path, vocab_size=base_rows)
    save(sibling(model()), instruct, tiny.instruct("chatml"))
    done = transplant(base, instruct, tmp_path / "out")
    new, other = tensors(tmp_path / "out"), tensors(instruct)
    assert new["lm_head.weight"].shape[0] == base_rows
    assert all(torch.equal(new[copied.tensor][IDS], other[copied.tensor][IDS]) for copied in done.rows)


def test_an_embedding_that_is_in_the_files_twice(tmp_path: Path) -> None:
    base, instruct = pair(tmp_path, "gpt2")
    change(base, lambda found: found.update({"lm_head.weight": found["transformer.wte.weight"].clone()}))
    done = transplant(base, instruct, tmp_path / "out")
    assert [copied.matrix for copied in done.rows] == ["input", "output"]
    new, rows = tensors(tmp_path / "out"), tensors(instruct)["transformer.wte.weight"][IDS]
    assert torch.equal(new["lm_head.weight"], new["transformer.wte.weight"])
    assert torch.equal(new["lm_head.weight"][IDS], rows)
    change(instruct, lambda found: found.update({"lm_head.weight": found["transformer.wte.weight"].clone()}))
    assert len(transplant(base, instruct, tmp_path / "again").rows) == 2


# numbers


@pytest.mark.parametrize("own", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("theirs", [torch.bfloat16, torch.float32])
def test_rows_come_in_the_base_s_kind_of_number(own: torch.dtype, theirs: torch.dtype, tmp_path: Path) -> None:
    base, instruct = pair(tmp_path, dtype=own)
    save(sibling(model()).to(theirs), instruct, tiny.instruct("chatml"))
    done = transplant(base, instruct, tmp_path / "out")
    new, other = tensors(tmp_path / "out"), tensors(instruct)
    for copied in done.rows:
        assert new[copied.tensor].dtype == own
        assert torch.equal(new[copied.tensor][IDS], other[copied.tensor][IDS].to(own))
        kinds = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}
        assert (copied.dtype, copied.from_dtype) == (kinds[own], kinds[theirs])
    assert (f"{done.rows[0].from_dtype} to {done.rows[0].dtype}" in "\n".join(done.lines())) == (own != theirs)


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=30))
def test_numbers_are_rounded_as_torch_rounds_them(values: list[float]) -> None:
    numbers = torch.tensor([values], dtype=torch.float32)
    for name, dtype in (("BF16", torch.bfloat16), ("F16", torch.float16), ("F32", torch.float32), ("F64", torch.float64)):
        theirs = numbers.to(dtype)
        ours = encode(numbers.double().numpy(), name)
        assert ours.tobytes() == theirs.view(torch.uint8).numpy().tobytes()
        assert np.array_equal(decode(ours, name), theirs.double().numpy())


def test_what_is_half_way_between_two_numbers_goes_to_the_even_one() -> None:
    """1 + 1/256 is between 1 and 1 + 1/128, the next bfloat16; 1 + 3/256 between that and 1 + 2/128."""
    found = decode(encode(np.array([[1 + 1 / 256, 1 + 3 / 256, 1 + 1 / 256 + 1e-6]]), "BF16"), "BF16")
    assert found.tolist() == [[1, 1 + 2 / 128, 1 + 1 / 128]]


def test_what_was_done_is_said(tmp_path: Path) -> None:
    base, instruct = pair(tmp_path)
    own, other = tensors(base), tensors(instruct)
    done = transplant(base, instruct, tmp_path / "out")
    assert done.tokens == dict(zip(("<|im_start|>", "<|im_end|>"), IDS, strict=True))
    for copied in done.rows:
        assert copied.norms_before == pytest.approx(own[copied.tensor][IDS].norm(dim=1).tolist())
        assert copied.norms_after == pytest.approx(other[copied.tensor][IDS].norm(dim=1).tolist())
    text = "\n".join(done.lines())
    assert f"<|im_end|> ({IDS[1]}): norm {own['lm_head.weight'][IDS[1]].norm():.3g} -> " in text
    assert "tokenizer: base's" in text
    assert "sibling" not in text
    record = json.loads((tmp_path / "out" / "transplant.json").read_text())
    assert record == json.loads(json.dumps(done.to_dict())) | {"base": "base", "instruct": "instruct", "out": "out"}


def test_likeness_tells_siblings_from_strangers(tmp_path: Path) -> None:
    """By hand: mean cosine of the embeddings of 256 tokens at even distances, the turn tokens left out."""
    base, instruct = pair(tmp_path)
    done = transplant(base, instruct, tmp_path / "out")
    ids = sorted({int(n) for n in np.linspace(0, VOCAB - 1, 256)} - {*IDS})
    own, other = (tensors(folder)["model.embed_tokens.weight"][ids].double() for folder in (base, instruct))
    assert done.likeness == pytest.approx(torch.cosine_similarity(own, other).mean().item(), abs=1e-12)
    stranger = save(model(seed=9), tmp_path / "stranger", tiny.instruct("chatml"))
    far = transplant(base, stranger, tmp_path / "far")
    assert far.likeness is not None
    assert abs(far.likeness) < 0.1
    assert "Is " in far.lines()[-1]
    assert f"mean cosine of {far.likeness:.2f}" in far.lines()[-1]
    change(base, lambda found: found["model.embed_tokens.weight"].zero_())
    assert transplant(base, instruct, tmp_path / "zero").likeness is None


def test_a_base_whose_rows_are_not_finite_gets_finite_ones(tmp_path: Path) -> None:
    base, instruct = pair(tmp_path)
    change(base, lambda found: found["lm_head.weight"][IDS[0]].fill_(math.nan))
    done = transplant(base, instruct, tmp_path / "out")
    assert done.rows[1].norms_before[0] is None
    assert "norm not finite -> " in "\n".join(done.lines())
    assert tensors(tmp_path / "out")["lm_head.weight"].isfinite().all()


# as it is typed


def test_from_the_command_line_to_probabilities(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, instruct = pair(tmp_path)
    typed = ["transplant", str(base), "--from", str(instruct), "--out", str(tmp_path / "out")]
    assert cli.main(typed) == 0
    printed = capsys.readouterr()
    assert "input rows: model.embed_tokens.weight in model.safetensors" in printed.out
    assert printed.out.endswith(f"Written to {tmp_path / 'out'}\n")
    assert cli.main([*typed, "--json", "--overwrite"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["tokens"] == dict(zip(("<|im_start|>", "<|im_end|>"), IDS, strict=True))
    assert "Written to" in printed.err
    [found] = open_model(f"hf/{tmp_path / 'out'}").option_logprobs([Query(Episode("coin", (), "A coin.", ("heads", "tails")))])
    assert (found.logprobs < 0).all()
    assert cli.main(typed) == 1
    assert "holds a transplant already; give a new folder, or replace it with --overwrite" in capsys.readouterr().err


def test_settings_may_come_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, instruct = pair(tmp_path)
    (tmp_path / "s.json").write_text(json.dumps({"from": str(instruct), "out": str(tmp_path / "out")}))
    assert cli.main(["transplant", str(base), "--config", str(tmp_path / "s.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["instruct"] == str(instruct)
    assert cli.main(["transplant", str(base)]) == 2
    assert "pluralign transplant --help" in capsys.readouterr().err


def test_progress_ends_with_all_files(tmp_path: Path) -> None:
    base, instruct = pair(tmp_path, max_shard_size="30KB")
    told: list[tuple[int, int]] = []
    done = transplant(base, instruct, tmp_path / "out", on_progress=lambda what, n, total: told.append((n, total)))
    assert isinstance(done, Transplanted)
    n = len(list(base.glob("*.safetensors")))
    assert told == [(k, n) for k in range(n + 1)]
