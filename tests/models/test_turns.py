"""Turn tokens and BOS are found in what the tokenizer says of itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

from models import tiny
from pluralign.errors import MissingExtraError, UsageError
from pluralign.models import open_template, open_tokenizer
from pluralign.models.turns import FAMILIES, Turns, control_pattern, control_tokens, find_bos, find_turns


def _with_tokens(tokenizer: PreTrainedTokenizerFast, *texts: str) -> PreTrainedTokenizerFast:
    tokenizer.backend_tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in texts])
    return tokenizer


@pytest.mark.parametrize("family", tiny.TURNS)
def test_families_by_tokens_and_by_template(family: str) -> None:
    bare = {"gemma": tiny.gemma, "chatml": tiny.chatml, "llama": tiny.llama}[family]()
    for tokenizer in (bare, tiny.instruct(family), tiny.spectrum_checkpoint(family)):
        assert find_turns(tokenizer) == FAMILIES[family]


def test_a_family_nobody_has_heard_of_is_read_off_its_template() -> None:
    tokenizer = _with_tokens(tiny.plain(), "<|turn>", "<turn|>", "<|sep|>")
    tokenizer.chat_template = (
        "{% for m in messages %}<|turn>{{ m['role'] }}<|sep|>{{ m['content'] }}<turn|>{{ '\n' }}{% endfor %}"
    )
    assert find_turns(tokenizer) == Turns("<|turn>", "<|sep|>", "", "<turn|>", "\n")
    opened = open_template("spectrum", tokenizer)
    assert opened.end_ids == (tokenizer.convert_tokens_to_ids("<turn|>"),)


def test_several_families_are_decided_by_the_template_or_not_at_all() -> None:
    both = _with_tokens(tiny.chatml(), *tiny.TURNS["gemma"])
    with pytest.raises(UsageError, match=r"gemma and chatml .*give the tokenizer a chat template"):
        find_turns(both)
    both.chat_template = tiny.GEMMA_CHAT
    assert find_turns(both) == FAMILIES["gemma"]
    both.chat_template = tiny.CHATML_CHAT
    assert find_turns(both) == FAMILIES["chatml"]
    refuses = "{% if messages | length > 1 %}{{ raise_exception('one at a time') }}{% endif %}"
    both.chat_template = refuses + tiny.GEMMA_CHAT  # shows no two turns, but which tokens it uses
    assert find_turns(both) == FAMILIES["gemma"]


@pytest.mark.parametrize(
    "template",
    [
        None,
        "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}",  # no control tokens
        "{{ raise_exception('never') }}",
        "{{ messages[7]['role'].nothing }}",
        "{{ messages | length + 'x' }}",
    ],
)
def test_no_turn_tokens_is_an_error_that_names_colon(template: str | None) -> None:
    tokenizer = tiny.plain()
    tokenizer.chat_template = template
    with pytest.raises(UsageError, match=r"no turn tokens.*use the format 'colon'"):
        open_template("spectrum", tokenizer)
    assert open_template("colon", tokenizer).name == "colon"


def test_a_name_that_only_looks_like_a_turn_token_does_not_count() -> None:
    """Its letters are in the vocabulary, the token is not."""
    tokenizer = tiny.plain()
    assert tokenizer.encode("<|im_start|>", add_special_tokens=False)
    with pytest.raises(UsageError, match="colon"):
        find_turns(tokenizer)


def test_the_place_of_a_tokenizer_says_nothing(tmp_path: Path) -> None:
    tiny.llama().save_pretrained(tmp_path / "gemma-3-qwen")
    assert find_turns(open_tokenizer(str(tmp_path / "gemma-3-qwen"))) == FAMILIES["llama"]


def test_where_a_bos_counts() -> None:
    def declared(tokenizer: PreTrainedTokenizerFast, bos: str, template: str | None = None) -> int | None:
        tokenizer.bos_token = bos
        tokenizer.chat_template = template
        return find_bos(tokenizer)

    gemma = tiny.gemma()
    bos = gemma.convert_tokens_to_ids("<bos>")
    assert find_bos(gemma) == bos  # the tokenizer puts it in front
    assert find_bos(tiny.chatml()) is None  # none is declared
    assert find_bos(tiny.plain()) is None  # declared, but it is the end of text
    assert declared(_with_tokens(tiny.chatml(), "<b>"), "<b>") is not None  # declared and nothing speaks against it
    assert declared(_with_tokens(tiny.chatml(), "<b>"), "<b>", tiny.CHATML_CHAT) is None  # the template writes none
    assert declared(_with_tokens(tiny.chatml(), "<b>"), "<b>", "<b>" + tiny.CHATML_CHAT) is not None
    assert declared(tiny.chatml(), "<|im_start|>", tiny.CHATML_CHAT) is None  # two turns' starts in a row otherwise
    assert declared(tiny.chatml(), "<|im_start|>") is None


def test_control_tokens() -> None:
    controls = control_tokens(tiny.gemma())
    assert set(controls) == {"<unk>", "<bos>", "<eos>", "<pad>", *tiny.TURNS["gemma"]}
    assert "<think>" in control_tokens(tiny.instruct("chatml"))
    assert "<think>" not in control_tokens(tiny.chatml())  # no template writes it
    assert control_pattern([]).search("anything") is None
    assert control_pattern(["<a", "<a>"]).findall("<a><a") == ["<a>", "<a"]  # the longest first


def test_slow_tokenizers_are_refused() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(UsageError, match=r"tokenizer\.json"):
        open_template("colon", Slow())


def test_opening_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no tokenizer can be opened"):
        open_tokenizer(str(tmp_path))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pluralign\[local\]'"):
        open_tokenizer("anything")
