"""What does not fit is refused with its reason, and nothing that looks like a model is left behind."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import errors

from models import tiny
from models.tiny_models import VOCAB as FEW
from pluralign import cli
from pluralign.errors import MissingExtraError, ModelError, UsageError
from pluralign.tuning.transplant import transplant
from pluralign.tuning.transplant_source import Source, open_source
from tuning.siblings import assert_refused, change, configure, model, pair, save, tensors

END = tiny.chatml().convert_tokens_to_ids("<|im_end|>")


@pytest.fixture(scope="module")
def siblings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return pair(tmp_path_factory.mktemp("siblings"))


@pytest.fixture
def base(siblings: tuple[Path, Path], tmp_path: Path) -> Path:
    return shutil.copytree(siblings[0], tmp_path / "base")


@pytest.fixture
def instruct(siblings: tuple[Path, Path], tmp_path: Path) -> Path:
    return shutil.copytree(siblings[1], tmp_path / "instruct")


# models that do not go together


def test_all_that_does_not_fit_is_told_at_once(base: Path, tmp_path: Path) -> None:
    other = save(model("gemma3_text", hidden_size=64, vocab_size=FEW), tmp_path / "other", tiny.instruct("chatml"))
    with pytest.raises(ModelError) as caught:
        transplant(base, other, tmp_path / "out")
    assert str(caught.value).splitlines() == [
        f"{base} and {other} do not go together:",
        "  - a row has 32 numbers in the base and 64 in the instruct model; give its sibling.",
        "  - the output layer of the instruct model is its embedding, the base has one of its own; give its sibling.",
        f"  - turn tokens have ids up to {END}, but the instruct model has rows for 0 to 96 only; enlarge its embedding first.",
    ]


def test_a_tied_base_and_an_untied_sibling(instruct: Path, tmp_path: Path) -> None:
    tied = save(model("gemma3_text"), tmp_path / "tied", tiny.chatml())
    assert_refused(
        tied, instruct, tmp_path / "out", "the output layer of the base is its embedding, the instruct model has one of its"
    )


def test_rows_have_to_exist_for_all_turn_tokens(instruct: Path, tmp_path: Path) -> None:
    """The highest id of a turn token is that of its end; as many rows are one too few, one more are enough."""
    short = save(model(vocab_size=END), tmp_path / "short", tiny.chatml())
    assert_refused(short, instruct, tmp_path / "out", f"the base has rows for 0 to {END - 1} only")
    enough = save(model(vocab_size=END + 1), tmp_path / "enough", tiny.chatml())
    assert transplant(enough, instruct, tmp_path / "out").tokens["<|im_end|>"] == END


def test_a_bias_that_only_one_has(instruct: Path, tmp_path: Path) -> None:
    phi = save(model("phi"), tmp_path / "phi", tiny.chatml())
    assert_refused(phi, instruct, tmp_path / "out", "only one of them has a bias in its output layer")


# files that are not what they should be


def _cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _pickled(folder: Path) -> None:
    torch.save(tensors(folder), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def _indexed(folder: Path, **weight_map: Any) -> None:
    found = dict.fromkeys(tensors(folder), "a.safetensors") | weight_map.pop("more", {})
    (folder / "model.safetensors").rename(folder / "a.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": found} | weight_map))


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "pickle": (_pickled, r"no weights as safetensors .*others are never read"),
    "cut off": (_cut, r"model.safetensors: has [\d,]+ bytes where its header says [\d,]+; get it again"),
    "no safetensors": (lambda f: (f / "model.safetensors").write_bytes(b"x" * 1000), "is no safetensors file, or only a part"),
    "empty": (lambda f: (f / "model.safetensors").write_bytes(b""), "is no safetensors file, or only a part"),
    "no index": (lambda f: _indexed(f, weight_map=[]), "does not say which file holds which tensor"),
    "a file outside": (
        lambda f: _indexed(f, more={"x": "../other.safetensors"}),
        r"names the file '../other.safetensors'; allowed are names that end in .safetensors",
    ),
    "a file missing": (lambda f: _indexed(f, more={"x": "b.safetensors"}), "the file b.safetensors is missing"),
    "a tensor missing": (lambda f: _indexed(f, more={"x": "a.safetensors"}), "tensors that its files do not hold, e.g. x"),
    "no output layer": (
        lambda f: change(f, lambda found: found.pop("lm_head.weight")),
        "no tensor of its files is lm_head.weight, or several are; e.g. model.embed_tokens.weight",
    ),
    "two embeddings": (
        lambda f: change(f, lambda found: found.update({f"{n}.embed_tokens.weight": torch.ones(480, 32) for n in "ab"})
                         or found.pop("model.embed_tokens.weight")),
        "no tensor of its files is model.embed_tokens.weight, or several are",
    ),
    "another shape": (
        lambda f: change(f, lambda found: found.update({"lm_head.weight": torch.ones(470, 32)})),
        "lm_head.weight is 470 x 32 in model.safetensors but 480 x 32 by config.json",
    ),
    "packed numbers": (
        lambda f: change(f, lambda found: found.update({"lm_head.weight": torch.ones(480, 32, dtype=torch.int8)})),
        r"lm_head.weight is in I8; rows are copied in F64, F32, F16, BF16. Give a checkpoint that is not quantised",
    ),
    "unknown kind of model": (lambda f: configure(f, model_type="mine"), r"embedding and output layer cannot be told: .*\n.*"),
    "an adapter": (
        lambda f: (f / "config.json").rename(f / "adapter_config.json"), "this is an adapter; merge it into its model first",
    ),
    "no configuration": (lambda f: (f / "config.json").unlink(), "no config.json; give a model"),
}  # fmt: skip


@pytest.mark.parametrize("which", ["base", "instruct"])
@pytest.mark.parametrize("case", FILES)
def test_files_that_are_not_what_they_should_be(case: str, which: str, base: Path, instruct: Path, tmp_path: Path) -> None:
    """Of the sibling only the files with rows are looked at, so what others lack does not matter."""
    broken = {"base": base, "instruct": instruct}[which]
    FILES[case][0](broken)
    if which == "instruct" and case in ("a file missing", "a tensor missing"):
        assert transplant(base, instruct, tmp_path / "out").tokenizer == "base"
        return
    assert_refused(base, instruct, tmp_path / "out", f"{re.escape(str(broken))}.*{FILES[case][1]}")


def test_numbers_that_are_none_or_too_large(base: Path, instruct: Path, tmp_path: Path) -> None:
    change(base, lambda found: found.update({name: one.half() for name, one in found.items()}))
    change(instruct, lambda found: found["lm_head.weight"][END].fill_(1e6))
    assert_refused(base, instruct, tmp_path / "out", "lm_head.weight has a number that is too large for F16, which the base")
    change(instruct, lambda found: found["lm_head.weight"][END].fill_(torch.nan))
    assert_refused(base, instruct, tmp_path / "out", "lm_head.weight has a number that is not finite")


PER_TOKEN = {
    "model.embed_tokens_per_layer.weight": (450, 6),
    "model.layers.9.shared_head.weight": (480, 6),
    "model.layers.9.embed_tokens.weight": (480, 32),  # ends as the embedding does
}


@pytest.mark.parametrize("name", PER_TOKEN)
def test_rows_for_tokens_that_would_not_be_copied(name: str, base: Path, instruct: Path, tmp_path: Path) -> None:
    change(base, lambda found: found.update({name: torch.ones(PER_TOKEN[name])}))
    assert_refused(base, instruct, tmp_path / "out", f"{name} seem to have rows for tokens too, which would not be copied")


def test_an_embedding_said_to_be_tied_that_is_not(tmp_path: Path) -> None:
    base, instruct = pair(tmp_path, "gpt2")
    change(base, lambda found: found.update({"lm_head.weight": found["transformer.wte.weight"] + 1}))
    assert_refused(base, instruct, tmp_path / "out", "lm_head.weight is said to be transformer.wte.weight, yet the files")


def test_code_in_a_folder_is_never_run(base: Path, instruct: Path, tmp_path: Path) -> None:
    code = "import pathlib\npathlib.Path(__file__).with_suffix('.ran').touch()\nclass C: pass\nclass M: pass\n"
    configure(base, auto_map={"AutoConfig": "conf.C", "AutoModelForCausalLM": "mod.M"}, model_type="mine")
    for name in ("conf", "mod"):
        (base / f"{name}.py").write_text(code)
    assert_refused(base, instruct, tmp_path / "out", "code that comes with a model is never run")
    assert not list(tmp_path.rglob("*.ran"))


# names


def test_names_of_nothing(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_refused(base, tmp_path / "nowhere", tmp_path / "out", "there is no such folder")
    assert_refused(base, "some/model", tmp_path / "out", "some/model: no config.json in the hub's cache, and HF_HUB_OFFLINE")
    with pytest.raises(UsageError, match="is a folder, which has no revision 'main'"):
        transplant(base, base, tmp_path / "out", base_revision="main")
    monkeypatch.setitem(sys.modules, "pluralign.models.loading", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pluralign\[local\]'"):
        open_source(str(base), None)


def test_what_the_hub_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that it does not have is none; one that does not come is an error, or a copy would silently lack it."""
    answer: list[Exception] = [errors.EntryNotFoundError("404")]

    def download(*args: Any, **more: Any) -> str:
        raise answer[0]

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert Source("some/model", None).find("LICENSE") is None
    for answer[0] in (errors.LocalEntryNotFoundError("no network"), ConnectionError("no network"), OSError("no network")):
        with pytest.raises(ModelError, match="some/model: LICENSE cannot be had from the hub: no network"):
            Source("some/model", None).find("LICENSE")


def test_hub_ids_with_their_commits(
    siblings: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the hub's cache, as its client lays it out."""
    for digit, folder in zip("ab", siblings, strict=True):
        place = tmp_path / "hub" / f"models--org--{folder.name}"
        shutil.copytree(folder, place / "snapshots" / (digit * 40))
        (place / "refs").mkdir()
        (place / "refs" / "main").write_text(digit * 40)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    typed = ["transplant", "org/base", "--from", "org/instruct", "--from-revision", "b" * 40, "--out", "out", "--json"]
    assert cli.main(typed) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["base"], found["base_commit"]) == ("org/base", "a" * 40)
    assert (found["instruct"], found["instruct_commit"]) == ("org/instruct", "b" * 40)
    assert json.loads((tmp_path / "out" / "transplant.json").read_text())["base"] == "org/base"
    transplant(*siblings, tmp_path / "expected")
    for name in ("model.safetensors", "tokenizer.json", "chat_template.jinja", "generation_config.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "expected" / name).read_bytes()
    assert cli.main([*typed[:-1], "--revision", "c" * 40]) == 1
    assert "org/base: no config.json in the hub's cache" in capsys.readouterr().err
