"""Opening models: what is loaded, what is refused, how they are run, and what tells two of them apart."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from models import tiny, tiny_models
from models.tiny_models import CONFIGS, TREE, VOCAB
from pluralign.episodes import Episode
from pluralign.errors import MissingExtraError, ModelError, UsageError
from pluralign.models import ModelSettings, Query, open_model
from pluralign.models.attention import NAME
from pluralign.models.forward import PlainForward, TreeForward
from pluralign.models.loading import load_model, prepare, quick_dtype, suitable_limits
from pluralign.models.local import LocalModel
from pluralign.models.scorer import TokenScorer

COIN = Query(Episode("coin", (), "A coin.", ("heads", "tails")))


def _saved(folder: Path, kind: str = "llama", *, vocab_size: int = 480, scale: float = 4.0) -> Path:
    torch.manual_seed(7)
    config = CONFIG_MAPPING[kind](**CONFIGS[kind] | {"vocab_size": vocab_size}, **tiny_models._IDS)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale)
    model.save_pretrained(folder)
    tiny.spectrum_checkpoint("chatml").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copied by tests that change it."""
    return _saved(tmp_path_factory.mktemp("models") / "tiny")


def _changed(folder: Path, to: Path, **config: Any) -> Path:
    shutil.copytree(folder, to)
    if config:
        old = json.loads((to / "config.json").read_text())
        (to / "config.json").write_text(json.dumps(old | config))
    return to


def _open(folder: Path, **settings: Any) -> LocalModel:
    model = open_model(f"hf/{folder}", ModelSettings(**{"dtype": "float32"} | settings))
    assert isinstance(model, LocalModel)
    return model


# how a model is run


@pytest.mark.parametrize("kind", CONFIGS)
def test_prefixes_are_shared_wherever_that_changes_nothing(kind: str) -> None:
    model = copy.deepcopy(tiny_models.model(kind))
    loaded = prepare(model, torch.float32)
    assert isinstance(loaded.forward, TreeForward if kind in TREE else PlainForward)
    assert (model.config._attn_implementation == NAME) == (kind in TREE)
    if kind in TREE:
        assert loaded.note is None
    else:
        assert loaded.note == "BloomForCausalLM has an attention of its own"


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_saved_model_is_the_same(kind: str, tmp_path: Path) -> None:
    """Tied weights are in no file of their own and still not missing."""
    saved = _saved(tmp_path / "model", kind, vocab_size=VOCAB)
    loaded = load_model(str(saved), dtype="float32", device="cpu")
    ids = np.arange(3, 40, dtype=np.int32)
    [found] = TokenScorer(loaded.forward, loaded.limits).score([ids], [np.arange(37) > 0])
    plain = AutoModelForCausalLM.from_pretrained(saved, dtype=torch.float32, attn_implementation="eager")
    with torch.inference_mode():
        logits = plain(torch.from_numpy(ids[None].astype(np.int64))).logits[0, :-1].log_softmax(-1)
    expected = logits[torch.arange(36), torch.from_numpy(ids[1:].astype(np.int64))].double().numpy()
    assert np.abs(found.logprobs - expected).max() < tiny_models.BETWEEN_KERNELS


WITHOUT_SHARING = {
    "of another kind: chunked_attention": ("llama4_text", {"attention_chunk_size": 8192, "num_local_experts": 2}),
    "of another kind: linear_attention": ("mamba", {"num_attention_heads": None, "hidden_size": 16}),
    "how far back they look": ("phimoe", {"sliding_window": 100, "num_local_experts": 2}),
    "by the length of the sequence": (
        "llama",
        {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}},
    ),
}


@pytest.mark.parametrize("why", WITHOUT_SHARING)
def test_what_the_probe_is_too_short_to_see_is_run_the_plain_way(why: str) -> None:
    kind, changes = WITHOUT_SHARING[why]
    options = {k: v for k, v in (CONFIGS["llama"] | changes).items() if v is not None}
    if kind == "mamba":
        options = {"vocab_size": VOCAB, "hidden_size": 16, "num_hidden_layers": 1}
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[kind](**options, **tiny_models._IDS), dtype=torch.float32).eval()
    loaded = prepare(model, torch.float32)
    assert isinstance(loaded.forward, PlainForward)
    assert why in (loaded.note or "")
    assert model.config._attn_implementation != NAME


def test_an_attention_that_gives_other_results_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the one that is registered is broken, as it would be for a model that needs more than it is told."""
    monkeypatch.setattr("pluralign.models.attention.View._prefix_mask", lambda view, window: None)
    loaded = prepare(copy.deepcopy(tiny_models.model("qwen3")), torch.float32)
    assert isinstance(loaded.forward, PlainForward)
    assert "results would differ by" in (loaded.note or "")


# what is loaded


def test_a_folder_is_opened(folder: Path) -> None:
    model = _open(folder)
    assert model.name == f"hf/{folder}"
    assert model.loaded.dtype == torch.float32
    assert model.loaded.note is None
    assert model.loaded.most_tokens == 512
    assert model.loaded.n_ids == 480
    assert model.loaded.end_of_text_ids == {2}
    [found] = model.option_logprobs([COIN])
    assert found.options == ("heads", "tails")
    assert (found.logprobs < 0).all()


def test_only_safetensors_are_read(folder: Path, tmp_path: Path) -> None:
    """A pickle can run code."""
    pickled = _changed(folder, tmp_path / "pickled")
    torch.save(AutoModelForCausalLM.from_pretrained(folder).state_dict(), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no file named model.safetensors .*\n.*weights as safetensors"):
        _open(pickled)


def test_code_in_the_folder_is_never_run(folder: Path, tmp_path: Path) -> None:
    """Of a kind of model that transformers has, its own code is used; of another, none."""
    code = "import pathlib\npathlib.Path(__file__).with_suffix('.ran').touch()\nclass C: pass\nclass M: pass\n"
    mapped = {"AutoConfig": "conf.C", "AutoModelForCausalLM": "mod.M", "AutoTokenizer": ["conf.C", "mod.M"]}
    known = _changed(folder, tmp_path / "known", auto_map=mapped)
    unknown = _changed(folder, tmp_path / "unknown", auto_map=mapped, model_type="mine", architectures=["M"])
    for place in (known, unknown):
        for name in ("conf", "mod"):
            (place / f"{name}.py").write_text(code)
    assert _open(known).fingerprint() != _open(folder).fingerprint()  # its configuration is another
    with pytest.raises(ModelError, match="code that comes with a model is never run"):
        _open(unknown)
    assert not list(tmp_path.rglob("*.ran"))


BROKEN = {
    "cut off": lambda weights: weights[: len(weights) // 2],
    "something else": lambda weights: b"not weights at all" * 100,
    "empty": lambda weights: b"",
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_is_an_error(folder: Path, tmp_path: Path, how: str) -> None:
    broken = _changed(folder, tmp_path / "broken")
    weights = broken / "model.safetensors"
    weights.write_bytes(BROKEN[how](weights.read_bytes()))
    with pytest.raises(ModelError, match="no causal model can be loaded: Error while deserializing header"):
        _open(broken)


def test_weights_that_are_missing_are_not_made_up(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"9 of the model's weights are in none .* model.layers.3.* would be random"):
        _open(_changed(folder, tmp_path / "larger", num_hidden_layers=4))
    with pytest.raises(ModelError, match=r"size mismatch|ignore_mismatched_sizes"):
        _open(_changed(folder, tmp_path / "wider", hidden_size=64))


def test_what_is_no_model_is_an_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such folder; give one, or a hub id"):
        open_model(f"hf/{tmp_path}/nowhere")
    with pytest.raises(ModelError, match="there is no such folder"):
        open_model("hf/./nowhere")
    without = _changed(folder, tmp_path / "without")
    (without / "config.json").unlink()
    with pytest.raises(ModelError, match="no causal model can be loaded"):
        _open(without)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no tokenizer can be opened"):
        open_model(f"hf/{tmp_path}/empty")


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_a_device_that_is_not_there_is_an_error(folder: Path, device: str) -> None:
    with pytest.raises(UsageError, match=f"device '{device}' cannot be used here: .*; try 'cpu' or 'auto'"):
        _open(folder, device=device)


def test_a_tokenizer_of_another_model_is_an_error(folder: Path, tmp_path: Path) -> None:
    small = _saved(tmp_path / "small", vocab_size=300)
    model = _open(small)
    message = r"writes '<\|im_(start|end)\|>' as id 41\d, but the model's ids go up to 299; the two do not go together"
    with pytest.raises(ModelError, match=message):
        model.option_logprobs([COIN])
    with pytest.raises(ModelError, match=message):
        model.output_logprobs([Episode("coin", (), "A coin.")])


def test_formats_that_a_tokenizer_cannot_write_are_an_error(tmp_path: Path, folder: Path) -> None:
    bare = _changed(folder, tmp_path / "bare")
    tiny.plain().save_pretrained(bare)
    (bare / "chat_template.jinja").unlink(missing_ok=True)
    with pytest.raises(UsageError, match="use the format 'colon'"):
        _open(bare)
    assert _open(bare, format="colon").template.name == "colon"


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_a_missing_package_names_the_line_that_installs_it(package: str) -> None:
    code = (
        f"import sys; sys.modules['{package}'] = None\n"
        "from pluralign.models import open_model\n"
        "from pluralign.errors import MissingExtraError\n"
        "try: open_model('hf/some/model')\n"
        "except MissingExtraError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == str(MissingExtraError(package, extra="local"))
    assert "pip install 'pluralign[local]'" in done.stdout


# precision, limits, fingerprint


def test_the_precision_is_the_quicker_one(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    seconds = {torch.float32: 3.0, torch.bfloat16: 1.9}
    monkeypatch.setattr("pluralign.models.loading._seconds", seconds.__getitem__)
    assert quick_dtype(torch.device("cpu")) == torch.bfloat16
    assert _open(folder, dtype="auto").loaded.dtype == torch.bfloat16
    assert next(_open(folder, dtype="auto").loaded.model.parameters()).dtype == torch.bfloat16
    seconds[torch.bfloat16] = 2.1
    assert quick_dtype(torch.device("cpu")) == torch.float32
    assert _open(folder, dtype="auto").loaded.dtype == torch.float32
    assert quick_dtype(torch.device("cuda")) == torch.bfloat16


def test_measuring_the_precision_is_quick() -> None:
    start = time.process_time()
    assert quick_dtype(torch.device("cpu")) in (torch.float32, torch.bfloat16)
    assert time.process_time() - start < 5


def test_limits_follow_the_memory() -> None:
    """Llama of width 32 and inner width 48 in float32: 8 x 32 + 3 x 48 = 400 numbers a token; 3 layers x 2 x 2 x 8 kept."""
    loaded = prepare(copy.deepcopy(tiny_models.model("llama")), torch.float32)
    half = 0.001 * 2**30 / 2
    limits = suitable_limits(loaded.model, loaded.forward, 0.001)
    assert limits.batch_tokens == int(half / (400 * 4))
    assert limits.cache_tokens == int(half / (3 * 2 * 2 * 8 * 4))
    assert suitable_limits(loaded.model, loaded.forward, 0.1).batch_tokens == 2048
    assert suitable_limits(loaded.model, loaded.forward, 1e-9).batch_tokens == 64


def test_the_fingerprint_is_that_of_the_answers(folder: Path, tmp_path: Path) -> None:
    """The same for another name; another one for other weights, precision, ends of outputs or of the text."""
    own = _open(folder).fingerprint()
    assert _open(_changed(folder, tmp_path / "another name")).fingerprint() == own
    assert _open(folder, dtype="bfloat16").fingerprint() != own
    assert _open(folder, format="colon").fingerprint() != own
    assert _open(_saved(tmp_path / "other weights", scale=5.0)).fingerprint() != own
    other_end = _changed(folder, tmp_path / "other end")
    generation = json.loads((other_end / "generation_config.json").read_text())
    (other_end / "generation_config.json").write_text(json.dumps(generation | {"eos_token_id": [2, 5]}))
    assert _open(other_end).loaded.end_of_text_ids == {2, 5}
    assert _open(other_end).fingerprint() != own


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_an_adapter_is_put_on_and_counts_with_what_it_is_put_on(folder: Path, tmp_path: Path) -> None:
    base = _changed(folder, tmp_path / "base")
    lora = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), lora).save_pretrained(tmp_path / "adapter")
    tiny.spectrum_checkpoint("chatml").save_pretrained(tmp_path / "adapter")
    adapted = _open(tmp_path / "adapter")
    assert isinstance(adapted.loaded.forward, TreeForward)
    own = _open(folder).option_logprobs([COIN])[0].logprobs
    assert np.abs(adapted.option_logprobs([COIN])[0].logprobs - own).max() > 0.1
    first = adapted.fingerprint()
    assert first != _open(base).fingerprint()
    other = _saved(tmp_path / "other", scale=5.0)
    shutil.copy(other / "model.safetensors", base / "model.safetensors")
    assert _open(tmp_path / "adapter").fingerprint() != first


def test_weights_in_several_files_count_all(folder: Path, tmp_path: Path) -> None:
    sharded = _changed(folder, tmp_path / "sharded")
    (sharded / "model.safetensors").unlink()
    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(sharded, max_shard_size="30KB")
    shards = sorted(sharded.glob("*.safetensors"))
    assert len(shards) > 1
    model, whole = _open(sharded), _open(folder)
    assert model.option_logprobs([COIN])[0].logprobs == pytest.approx(whole.option_logprobs([COIN])[0].logprobs, abs=1e-5)
    first = model.fingerprint()
    shards[-1].write_bytes(shards[-1].read_bytes()[:-4] + b"\0\0\0\0")
    assert _open(sharded).fingerprint() != first
