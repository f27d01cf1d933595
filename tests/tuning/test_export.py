"""Exported folders: others load them with the same logits, tokens and ends of texts; they are there whole or not at all."""

from __future__ import annotations

import copy
import json
import re
import resource
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from jinja2.sandbox import ImmutableSandboxedEnvironment
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AttentionInterface, AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from models import tiny
from pluralign.errors import ModelError, RunError, UsageError
from pluralign.files import UNFINISHED
from pluralign.models import open_template, open_tokenizer
from pluralign.models.loading import load_model
from pluralign.tuning import export as module
from pluralign.tuning.export import export_adapter, export_model
from pluralign.tuning.export_check import PROBES, check_export, messages_of
from pluralign.tuning.lora import add_lora
from pluralign.tuning.segments import NAME, attend_in_segments
from pluralign.tuning.settings import LoraSettings
from tuning.loss_cases import adapted
from tuning.siblings import model as sibling_model
from tuning.siblings import tensors

KINDS = ("llama", "gemma2", "qwen3")
FAMILY = {"llama": "llama", "gemma2": "gemma", "qwen3": "chatml"}
IDS = (torch.arange(40) * 7919 % 470 + 3).view(2, 20)
CHATML = tiny.chatml(tiny.CHATML_CHAT)
END = CHATML.convert_tokens_to_ids("<|im_end|>")


def made(kind: str = "llama", *, tied: bool = False, dtype: torch.dtype = torch.float32, **config: Any) -> Any:
    settings = {"vocab_size": 800 if kind == "gemma2" else 480, "tie_word_embeddings": tied, **config}
    model = sibling_model(kind, dtype=dtype, **settings)
    model.set_attn_implementation("eager")
    return model.train()


def learnt(model: Any) -> Any:
    torch.manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.1)
    return model


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(input_ids=IDS, use_cache=False).logits.float()
    return found


def opened(folder: Path, **more: Any) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", **more)


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: one.clone() for name, one in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# weights


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_model_trained_whole(kind: str, *, tied: bool, tmp_path: Path) -> None:
    model = made(kind, tied=tied)
    before, config = state(model), copy.deepcopy(model.config.to_dict())
    done = export_model(model, tiny.instruct(FAMILY[kind]), tmp_path / "out")
    assert done.faults == ()
    assert (done.is_tied, done.is_merged, done.dtype) == (tied, False, "float32")
    loaded = opened(tmp_path / "out")
    assert torch.equal(logits(loaded), logits(model))
    assert loaded.config.tie_word_embeddings is tied
    assert ("lm_head.weight" in tensors(tmp_path / "out")) is not tied
    assert done.n_parameters == loaded.num_parameters()
    assert done.n_bytes == 4 * done.n_parameters
    assert "_from_model_config" not in (tmp_path / "out" / "generation_config.json").read_text()
    assert same(state(model), before)
    assert model.config.to_dict() == config


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("embeddings", [False, True])
@pytest.mark.parametrize("kind", [*KINDS, "gemma3_text", "gpt2"])
def test_adapters_are_merged_into_a_copy(kind: str, *, embeddings: bool, tied: bool, tmp_path: Path) -> None:
    targets = ("c_attn",) if kind == "gpt2" else ("q_proj", "v_proj")
    model = learnt(add_lora(made(kind, tied=tied), LoraSettings(targets=targets, embeddings=embeddings)))
    before, expected, config = state(model), logits(model), copy.deepcopy(model.config.to_dict())
    done = export_model(model, tiny.instruct(FAMILY.get(kind, "llama")), tmp_path / "out")
    assert done.faults == ()
    assert done.is_merged
    assert done.is_tied is (tied and not embeddings)
    loaded = opened(tmp_path / "out")
    with model.disable_adapter():
        without = logits(model)
    assert (expected - without).abs().max().item() > 0.1
    assert (logits(loaded) - expected).abs().max().item() < 1e-4
    assert loaded.config.tie_word_embeddings is done.is_tied
    assert not [name for name in tensors(tmp_path / "out") if "lora" in name or "base_layer" in name]
    assert same(state(model), before)
    assert torch.equal(logits(model), expected)
    assert model.config.to_dict() == config


@pytest.mark.parametrize("ensured", [False, True])
def test_adapters_on_a_tied_model_that_nobody_untied(*, ensured: bool, tmp_path: Path) -> None:
    """peft keeps one base matrix; apart from each other two adapters make two, together they make one."""
    settings = {"target_modules": ["embed_tokens", "lm_head", "q_proj"], "r": 4, "task_type": "CAUSAL_LM"}
    model = learnt(adapted(made(tied=True), LoraConfig(**settings, ensure_weight_tying=ensured)))
    done = export_model(model, CHATML, tmp_path / "out")
    assert done.faults == ()
    assert done.is_tied is ensured
    loaded = opened(tmp_path / "out")
    assert (logits(loaded) - logits(model)).abs().max().item() < 1e-4
    assert ("lm_head.weight" in tensors(tmp_path / "out")) is not ensured


def test_two_matrices_under_a_configuration_that_says_one(tmp_path: Path) -> None:
    model = made(tied=True)
    model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach() + 1.0)
    done = export_model(model, CHATML, tmp_path / "out")
    assert not done.is_tied
    assert torch.equal(logits(opened(tmp_path / "out")), logits(model))
    assert json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"] is False


def test_one_matrix_under_a_configuration_that_says_two(tmp_path: Path) -> None:
    model = made()
    model.lm_head.weight = model.model.embed_tokens.weight
    assert export_model(model, CHATML, tmp_path / "out").faults == ()
    assert torch.equal(logits(opened(tmp_path / "out")), logits(model))


def test_a_model_with_an_encoder_of_images(tmp_path: Path) -> None:
    model = learnt(add_lora(sibling_model("gemma3"), LoraSettings()))
    done = export_model(model, CHATML, tmp_path / "out")
    assert done.faults == ()
    assert (logits(opened(tmp_path / "out")) - logits(model)).abs().max().item() < 1e-4


def test_weights_have_the_names_that_transformers_itself_would_give_them(tmp_path: Path) -> None:
    """Those of the checkpoint: here one whose names lack the first word."""
    made().save_pretrained(tmp_path / "base")
    weights = tensors(tmp_path / "base")
    renamed = {name.removeprefix("model."): one for name, one in weights.items() if name != "lm_head.weight"}
    save_file(renamed, tmp_path / "base" / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((tmp_path / "base" / "config.json").read_text()) | {"tie_word_embeddings": True}
    (tmp_path / "base" / "config.json").write_text(json.dumps(config))
    model = opened(tmp_path / "base")
    model.save_pretrained(tmp_path / "theirs")
    assert export_model(model, CHATML, tmp_path / "out").faults == ()
    assert tensors(tmp_path / "out").keys() == tensors(tmp_path / "theirs").keys()
    assert torch.equal(logits(opened(tmp_path / "out")), logits(model))


def test_only_what_is_active_is_merged(tmp_path: Path) -> None:
    model = learnt(add_lora(made(), LoraSettings()))
    with model.disable_adapter():
        expected = logits(model)
        export_model(model, CHATML, tmp_path / "out")
    assert torch.equal(logits(opened(tmp_path / "out")), expected)


# precision and shards


def test_precision_is_that_of_the_checkpoint_whatever_training_s_is(tmp_path: Path) -> None:
    made(dtype=torch.bfloat16).save_pretrained(tmp_path / "base")
    model = learnt(add_lora(opened(tmp_path / "base", dtype=torch.float32), LoraSettings()))
    done = export_model(model, CHATML, tmp_path / "out")
    assert (done.dtype, done.faults, done.base) == ("bfloat16", (), str(tmp_path / "base"))
    assert {one.dtype for one in tensors(tmp_path / "out").values()} == {torch.bfloat16}
    assert opened(tmp_path / "out", dtype="auto").dtype == torch.bfloat16
    exact = export_model(model, CHATML, tmp_path / "exact", dtype=torch.float32)
    rounded, whole = tensors(tmp_path / "out"), tensors(tmp_path / "exact")
    assert exact.faults == ()
    assert all(torch.equal(rounded[name], one.bfloat16()) for name, one in whole.items())  # rounded once
    assert done.n_bytes * 2 == exact.n_bytes


def test_a_large_model_is_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD", "40KB")
    model = made()
    assert export_model(model, CHATML, tmp_path / "out").faults == ()
    assert len(list((tmp_path / "out").glob("*.safetensors"))) > 3
    assert torch.equal(logits(opened(tmp_path / "out")), logits(model))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e6])
def test_weights_that_are_not_finite_are_not_exported(number: float, tmp_path: Path) -> None:
    model = made()
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[3, 4] = number
    with pytest.raises(
        ModelError, match=r"model\.layers\.1\.mlp\.up_proj\.weight: holds numbers that are not finite in float16"
    ):
        export_model(model, CHATML, tmp_path / "out", dtype=torch.float16)
    assert not list(tmp_path.iterdir())


# configurations


def test_nothing_of_ours_is_left_and_a_turn_s_end_ends_a_text(tmp_path: Path) -> None:
    model = made()
    AttentionInterface.register(NAME, attend_in_segments)
    model.set_attn_implementation(NAME)
    model.config.use_cache = False
    model.generation_config = GenerationConfig(eos_token_id=[7, 2], temperature=0.6, top_p=0.9, repetition_penalty=1.2)
    done = export_model(model, CHATML, tmp_path / "out", card="# A model\n")
    assert done.faults == ()
    assert done.end_ids == (END, 7, 2)
    assert model.config._attn_implementation == NAME
    assert model.config.use_cache is False
    assert json.loads((tmp_path / "out" / "config.json").read_text())["use_cache"] is True
    assert "pluralign" not in (tmp_path / "out" / "config.json").read_text()
    assert (tmp_path / "out" / "README.md").read_text() == "# A model\n"
    settings = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert settings["eos_token_id"] == [END, 7, 2]
    assert settings["pad_token_id"] == done.pad_id == CHATML.pad_token_id
    assert {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}.items() <= settings.items()
    assert "repetition_penalty" not in settings
    loaded = load_model(str(tmp_path / "out"), dtype="float32", device="cpu")
    assert END in loaded.end_of_text_ids
    assert loaded.model.generation_config.temperature == 1.0


def test_generated_texts_stop_at_a_turn_s_end_and_have_the_model_s_probabilities(tmp_path: Path) -> None:
    export_model(made(), CHATML, tmp_path / "out")
    model = opened(tmp_path / "out")
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.lm_head.weight[END] = 0.0
    torch.manual_seed(0)
    texts = model.generate(IDS[:1].repeat(200, 1), max_new_tokens=5, attention_mask=torch.ones(200, 20, dtype=torch.long))
    first = texts[:, 20]
    assert len(first.unique()) > 120  # of 480 equally likely ids; of the 50 most likely there would be 50
    assert all(set(text[n + 1 :].tolist()) <= {CHATML.pad_token_id} for text in texts for n in (text == END).nonzero()[:, 0])


@pytest.mark.parametrize("scaling", [{"rope_type": "default"}, {"rope_type": "linear", "factor": 4.0}])
def test_positions_in_the_words_of_older_readers(scaling: dict[str, Any], tmp_path: Path) -> None:
    model = made(rope_parameters={"rope_theta": 500_000.0, **scaling})
    export_model(model, CHATML, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"] == 500_000.0
    assert ("rope_scaling" in config) is (len(scaling) > 1)
    assert AutoConfig.from_pretrained(tmp_path / "out").rope_parameters == model.config.rope_parameters
    assert torch.equal(logits(opened(tmp_path / "out")), logits(model))


# tokenizer and chat template


@pytest.mark.parametrize("family", ["llama", "gemma", "chatml"])
@pytest.mark.parametrize("has_chat", [False, True])
def test_others_write_episodes_as_we_do(family: str, *, has_chat: bool, tmp_path: Path) -> None:
    given = tiny.instruct(family) if has_chat else {"llama": tiny.llama, "gemma": tiny.gemma, "chatml": tiny.chatml}[family]()
    ours = open_template("spectrum", given)
    export_model(made(vocab_size=800), given, tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)  # as llama.cpp's and vLLM's wrappers have it
    rendered = env.from_string((tmp_path / "out" / "chat_template.jinja").read_text())
    for episode, encoded in zip(PROBES, ours.encode(PROBES), strict=True):
        messages = messages_of(episode)
        assert tokenizer.apply_chat_template(messages, return_dict=False) == encoded.ids.tolist()
        asked = [*messages, {"role": "input", "content": "Next?"}]
        [prompt] = ours.encode_prompts([episode], ["Next?"])
        assert tokenizer.apply_chat_template(asked, return_dict=False, add_generation_prompt=True) == prompt.tolist()
        text = rendered.render(messages=asked, add_generation_prompt=True, bos_token=tokenizer.bos_token)
        assert text == tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    assert [one.ids.tolist() for one in open_template("spectrum", open_tokenizer(str(tmp_path / "out"))).encode(PROBES)] == [
        one.ids.tolist() for one in ours.encode(PROBES)
    ]


def test_a_tokenizer_as_it_was_left_by_training(tmp_path: Path) -> None:
    """Cut to a length and padded, and without a pad token; it stays so, the exported one is not."""
    given = tiny.instruct("llama")
    assert given.pad_token is None
    given = copy.deepcopy(given)
    given.backend_tokenizer.enable_truncation(4)
    template = given.chat_template
    done = export_model(made(), given, tmp_path / "out")
    assert given.pad_token is None
    assert given.chat_template == template
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.backend_tokenizer.truncation is None
    assert tokenizer.pad_token_id == done.pad_id == given.eos_token_id
    assert tokenizer.pad_token == "<|end_of_text|>"  # not id 2, which the model's configuration says but is a piece of texts
    settings = json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"


def test_tokenizers_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no turn tokens"):
        export_model(made(), tiny.plain(), tmp_path / "out")
    with pytest.raises(ModelError, match=r"the tokenizer has ids up to \d+, the model only rows for 0\.\.99"):
        export_model(made(vocab_size=100), CHATML, tmp_path / "out")
    assert not list(tmp_path.iterdir())


# adapters by themselves


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("embeddings", [False, True])
def test_adapters_go_on_their_base_again(*, embeddings: bool, tied: bool, tmp_path: Path) -> None:
    made(tied=tied).save_pretrained(tmp_path / "base")
    model = learnt(add_lora(opened(tmp_path / "base"), LoraSettings(embeddings=embeddings)))
    place = export_adapter(model, tmp_path / "adapter", str(tmp_path / "base"))
    config = json.loads((place / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tmp_path / "base")
    assert (config["r"], config["lora_alpha"], config["inference_mode"]) == (16, 80, True)
    assert all("lora_" in name for name in load_file(place / "adapter_model.safetensors"))
    assert model.peft_config["default"].inference_mode is False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft's advice about tied layers
        loaded = PeftModel.from_pretrained(opened(tmp_path / "base"), place)
    assert torch.equal(logits(loaded), logits(model))
    with pytest.raises(RunError, match="holds an export already"):
        export_adapter(model, place, str(tmp_path / "base"))
    export_adapter(model, place, str(tmp_path / "base"), overwrite=True)


def test_without_adapters_there_are_none_to_write(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="LlamaForCausalLM has no adapters; use export_model"):
        export_adapter(made(), tmp_path / "adapter", "base")


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"use_dora": True}, "another kind than B A"),
        ({"lora_bias": True}, "another kind than B A"),
        ({"modules_to_save": ["lm_head"]}, r"lm_head: .*ModulesToSaveWrapper"),
    ],
)
def test_adapters_of_other_kinds_are_refused(settings: dict[str, Any], match: str, tmp_path: Path) -> None:
    model = adapted(made(), LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"], **settings))
    with pytest.raises(ModelError, match=match):
        export_model(model, CHATML, tmp_path / "out")


def test_adapters_that_are_merged_already_are_refused(tmp_path: Path) -> None:
    model = add_lora(made(), LoraSettings())
    model.merge_adapter()
    with pytest.raises(ModelError, match=r"call unmerge_adapter\(\) first"):
        export_model(model, CHATML, tmp_path / "out")


def test_layers_that_the_configuration_does_not_know_are_refused(tmp_path: Path) -> None:
    model = made()
    model.set_output_embeddings(nn.Linear(32, 480, bias=True))
    with pytest.raises(ModelError, match=r"1 weights are not those of LlamaForCausalLM.*lm_head\.bias: \[480\], not none"):
        export_model(model, CHATML, tmp_path / "out")


# the place


def test_a_place_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    made().save_pretrained(tmp_path / "base")
    model = opened(tmp_path / "base")
    for place, match in (
        ("notes", "is not empty and not an export"),
        ("notes/mine.txt", "is a file"),
        ("base", "is the model that this one was made of"),
    ):
        with pytest.raises(RunError, match=match):
            export_model(model, CHATML, tmp_path / place, overwrite=True)
    export_model(model, CHATML, tmp_path / "out", card="old")
    with pytest.raises(RunError, match="holds an export already"):
        export_model(model, CHATML, tmp_path / "out")
    export_model(model, CHATML, tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out" / "README.md").exists()
    assert (tmp_path / "notes" / "mine.txt").read_text() == "mine"
    assert not list(tmp_path.glob(UNFINISHED))


@pytest.mark.parametrize("most", [30_000, 200])
def test_a_disk_that_refuses_leaves_nothing(most: int, tmp_path: Path) -> None:
    """Really: no file may become larger than this process is allowed to make one."""
    model = made()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        with pytest.raises(RunError, match=r"cannot be written: .*File too large.*nothing was put there"):
            export_model(model, CHATML, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_a_disk_that_refuses_the_tokenizer_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package tokenizers raises plain exceptions."""
    does = module.write_ready_tokenizer

    def limited(tokenizer: Any, folder: Path) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
        try:
            does(tokenizer, folder)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    monkeypatch.setattr(module, "write_ready_tokenizer", limited)
    with pytest.raises(RunError, match="File too large"):
        export_model(made(), CHATML, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_is_told_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=1000))
    monkeypatch.setattr(module, "new_folder", None)  # is not even tried
    with pytest.raises(RunError, match=r"its disk has 0\.00 GB left"):
        export_model(made(), CHATML, tmp_path / "out")


# reading it again


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("exported") / "out"
    export_model(made(), CHATML, place)
    return place


def _weights(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    def does(place: Path) -> None:
        found = load_file(place / "model.safetensors")
        change(found)
        save_file(found, place / "model.safetensors", metadata={"format": "pt"})

    return does


def _json(name: str, **changes: Any) -> Callable[[Path], None]:
    def does(place: Path) -> None:
        settings = json.loads((place / name).read_text())
        (place / name).write_text(json.dumps(settings | changes))

    return does


def _cut(place: Path) -> None:
    data = (place / "model.safetensors").read_bytes()
    (place / "model.safetensors").write_bytes(data[:-100])


def _index(place: Path) -> None:
    names = dict.fromkeys(load_file(place / "model.safetensors"), "model.safetensors")
    del names["model.norm.weight"]
    index = {"metadata": {}, "weight_map": names | {"lm_head.bias": "model.safetensors"}}
    (place / "model.safetensors.index.json").write_text(json.dumps(index))


def _template(text: str) -> Callable[[Path], None]:
    return lambda place: (place / "chat_template.jinja").write_text(text) and None


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda place: (place / "config.json").unlink(), "config.json: is not in"),
        (_json("config.json", model_type="nothing"), "config.json, .*cannot be opened"),
        (_json("config.json", note="pluralign_segments"), "config.json: names something of 'pluralign'"),
        (_json("config.json", dtype="bfloat16"), r"says torch\.bfloat16, but there are weights of F32"),
        (_cut, "cannot be opened"),
        (lambda place: (place / "model.safetensors").unlink(), "cannot be opened"),
        (_weights(lambda one: one.pop("model.norm.weight")), "the architecture needs model.norm.weight, which no file has"),
        (_weights(lambda one: one.update(more=torch.zeros(2))), "more is no weight of the architecture"),
        (
            _weights(lambda one: one.update({"lm_head.weight": torch.zeros(3, 32)})),
            r"lm_head.weight is \[3, 32\], not \[480, 32\]",
        ),
        (_index, "index.json: model.norm.weight is in model.safetensors, not in the index"),
        (_json("generation_config.json", eos_token_id=2), f"eos_token_id is 2, without the end of a turn, {END}"),
        (_json("generation_config.json", pad_token_id=None), "pad_token_id is None"),
        (lambda place: (place / "generation_config.json").unlink(), "generation_config.json: cannot be read"),
        (lambda place: (place / "tokenizer.json").unlink(), "tokenizer.json: "),
        (_template("{{ messages[9]['content'] + 1 }}"), "chat_template.jinja: cannot be rendered"),
        (_template(tiny.SPECTRUM_TEMPLATES["chatml"].replace("+ '\n'", "+ '\n\n'", 1)), "writes probe 0"),
        (_template(tiny.CHATML_CHAT), "header in other ids than the format 'spectrum'"),
    ],
)
def test_what_is_wrong_is_found(change: Callable[[Path], None], match: str, exported: Path, tmp_path: Path) -> None:
    assert check_export(exported) == []
    place = shutil.copytree(exported, tmp_path / "copy")
    change(place)
    found = check_export(place)
    assert any(re.search(match, fault) for fault in found), found
