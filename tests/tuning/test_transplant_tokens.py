"""Whose tokenizer a transplant takes, what it writes as a chat template, and what ends a text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from models import tiny
from pluralign.episodes import Episode, Example
from pluralign.errors import UsageError
from pluralign.models import open_template, open_tokenizer
from pluralign.models.loading import load_model
from pluralign.models.turns import find_bos
from pluralign.tuning.transplant import transplant
from tuning.siblings import BARE, assert_refused, model, pair, save, sibling

END = tiny.chatml().convert_tokens_to_ids("<|im_end|>")
EPISODE = Episode("t", (Example("yes", "How warm?"), Example("no")), "A rater of water.")


# templates and ends


@pytest.mark.parametrize("family", BARE)
def test_others_write_episodes_as_we_do(family: str, tmp_path: Path) -> None:
    base, instruct = pair(tmp_path, family=family, vocab_size=800)
    transplant(base, instruct, tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    messages = [
        {"role": "description", "content": "A rater of water."},
        {"role": "input", "content": "How warm?"},
        {"role": "output", "content": "yes"},
        {"role": "output", "content": "no"},
    ]
    template = open_template("spectrum", tokenizer)
    theirs = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False)
    assert template.encode([EPISODE])[0].ids.tolist() == theirs
    assert theirs == open_template("spectrum", tiny.spectrum_checkpoint(family)).encode([EPISODE])[0].ids.tolist()
    asked = [*messages, {"role": "input", "content": "And now?"}]
    theirs = tokenizer.apply_chat_template(asked, tokenize=True, return_dict=False, add_generation_prompt=True)
    assert template.encode_prompts([EPISODE], ["And now?"])[0].tolist() == theirs
    published = tiny.spectrum_checkpoint(family).apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    assert tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True) == published
    with pytest.raises(Exception, match="roles are description, input and output, not user"):
        tokenizer.apply_chat_template([{"role": "user", "content": "Hello"}])


def test_a_bos_is_written_as_the_sibling_s_template_says(tmp_path: Path) -> None:
    """The base declares one and no more than that."""
    declared = tiny.chatml()
    declared.add_special_tokens({"bos_token": "<b>"})
    assert find_bos(declared) is not None
    base = save(model(), tmp_path / "base", declared)
    for name, template, has_bos in (("without", tiny.CHATML_CHAT, False), ("with", "{{ bos_token }}" + tiny.CHATML_CHAT, True)):
        chat = tiny.chatml(template)
        chat.add_special_tokens({"bos_token": "<b>"})
        transplant(base, save(sibling(model()), tmp_path / name, chat), tmp_path / f"out {name}")
        assert (find_bos(open_tokenizer(str(tmp_path / f"out {name}"))) is not None) == has_bos


@pytest.mark.parametrize("chat_in_settings", [False, True])
def test_the_base_s_tokenizer_stays_if_it_has_the_tokens(chat_in_settings: bool, tmp_path: Path) -> None:
    base, instruct = pair(tmp_path)
    settings = json.loads((base / "tokenizer_config.json").read_text())
    if chat_in_settings:
        (base / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": tiny.CHATML_CHAT}))
    done = transplant(base, instruct, tmp_path / "out")
    assert done.tokenizer == "base"
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()
    assert json.loads((tmp_path / "out" / "tokenizer_config.json").read_text()) == settings


def test_the_sibling_s_tokenizer_is_taken_if_it_only_adds_the_tokens(tmp_path: Path) -> None:
    _, instruct = pair(tmp_path)
    base = save(model(), tmp_path / "plain", tiny.plain())
    done = transplant(base, instruct, tmp_path / "out")
    assert done.tokenizer == "instruct"
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == (instruct / "tokenizer.json").read_bytes()


def test_ends_of_text_include_the_end_of_a_turn(tmp_path: Path) -> None:
    base, instruct = pair(tmp_path)
    given = json.loads((base / "generation_config.json").read_text())
    cases: list[tuple[dict[str, Any] | None, list[int]]] = [
        (given, [END, 2]),
        (given | {"eos_token_id": [7, END], "top_k": 9}, [END, 7]),
        ({"top_k": 5}, [END, 2]),  # then those of config.json
        (None, [END, 2]),
    ]
    for n, (settings, ends) in enumerate(cases):
        (base / "generation_config.json").unlink(missing_ok=True)
        if settings is not None:
            (base / "generation_config.json").write_text(json.dumps(settings))
        done = transplant(base, instruct, tmp_path / f"out{n}")
        assert "_from_model_config" not in json.loads((tmp_path / f"out{n}" / "generation_config.json").read_text())
        loaded = load_model(str(tmp_path / f"out{n}"), dtype="float32", device="cpu")
        assert list(done.end_ids) == ends == loaded.model.generation_config.eos_token_id
        assert loaded.model.generation_config.top_k == (settings or {}).get("top_k")
        assert END in loaded.end_of_text_ids


# tokenizers that do not go together


def _with_specials(*texts: str, **names: str) -> PreTrainedTokenizerFast:
    tokenizer = tiny._byte_level()
    tokenizer.add_special_tokens([tiny._special(text) for text in texts])
    return tiny._fast(tokenizer, **names)


def _without_piece(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """The last piece is another text."""
    fields = json.loads(tokenizer.backend_tokenizer.to_str())
    last = max(fields["model"]["vocab"], key=fields["model"]["vocab"].get)
    fields["model"]["vocab"]["zqzq"] = fields["model"]["vocab"].pop(last)
    fields["model"]["merges"] = [m for m in fields["model"]["merges"] if "".join(m) != last]
    return tiny._fast(Tokenizer.from_str(json.dumps(fields)))


def _cutting_otherwise() -> PreTrainedTokenizerFast:
    tokenizer = tiny.plain()
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    return tokenizer


TOGETHER: dict[str, tuple[Callable[[], PreTrainedTokenizerFast], Callable[[], PreTrainedTokenizerFast], str]] = {
    "another family": (
        tiny.plain,
        lambda: tiny.instruct("llama"),
        r"the token '<\|endoftext\|>' has id (\d+) in the base's and none in the instruct model's",
    ),
    "another piece, though the turn tokens agree": (
        lambda: _without_piece(tiny.chatml()),
        lambda: tiny.instruct("chatml"),
        r"the token 'zqzq' has id (\d+) in the base's and none",
    ),
    "pieces cut otherwise": (
        _cutting_otherwise,
        lambda: tiny.instruct("chatml"),
        r"cut texts into pieces in different ways \(pre_tokenizer of tokenizer.json\)",
    ),
    "turn tokens in the place of the end of text": (
        lambda: _with_specials("<|endoftext|>", "<a>", "<b>", eos_token="<b>"),
        lambda: tiny.instruct("chatml"),
        rf"the token '<b>' has id {END} in the base's and none",
    ),
    "turn tokens in another order": (
        lambda: _with_specials("<|endoftext|>", "<|im_end|>", "<|im_start|>"),
        lambda: tiny.instruct("chatml"),
        rf"the token '<\|im_end\|>' has id {END - 1} in the base's and {END} in",
    ),
}


@pytest.mark.parametrize("case", TOGETHER)
def test_tokenizers_that_do_not_go_together(case: str, tmp_path: Path) -> None:
    own, other, message = TOGETHER[case]
    base = save(model(), tmp_path / "base", own())
    instruct = save(sibling(model()), tmp_path / "instruct", other())
    both = re.escape(f"{base} and {instruct}")
    assert_refused(base, instruct, tmp_path / "out", f"{both}: the tokenizers do not go together: .*{message}")


def test_slots_kept_free_may_have_had_another_name(tmp_path: Path) -> None:
    _, instruct = pair(tmp_path)
    free = _with_specials("<|endoftext|>", "<free 0>", "<free 1>", eos_token="<|endoftext|>")
    done = transplant(save(model(), tmp_path / "free", free), instruct, tmp_path / "out")
    assert done.tokenizer == "instruct"


def test_tokens_that_the_base_would_decode_are_taken_from_the_sibling(tmp_path: Path) -> None:
    """Not special in the base, so that its turns would show in what it says."""
    _, instruct = pair(tmp_path)
    tokenizer = tiny._byte_level()
    tokenizer.add_special_tokens([tiny._special("<|endoftext|>")])
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in tiny.TURNS["chatml"]])
    seen = save(model(), tmp_path / "seen", tiny._fast(tokenizer))
    assert transplant(seen, instruct, tmp_path / "out").tokenizer == "instruct"


def test_a_sibling_without_turn_tokens(tmp_path: Path) -> None:
    base, _ = pair(tmp_path)
    plain = save(model(), tmp_path / "plain", tiny.plain())
    assert_refused(base, plain, tmp_path / "out", f"{re.escape(str(plain))}: this tokenizer has no turn tokens", UsageError)
