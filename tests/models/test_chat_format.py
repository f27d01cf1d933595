"""The format chat: any chat template, never shown a text."""

from __future__ import annotations

import pytest

from models import tiny
from models.strategies import template
from pluralign.episodes import Episode, Example
from pluralign.errors import UsageError
from pluralign.models import ChatStyle, Template, chat_messages, open_template

STYLE = ChatStyle(system_prompt="Reply.", request="Next:")
EPISODE = Episode("t", (Example("yes", "How warm?"), Example(" no ")), "A rater.")


def _text(opened: Template, episode: Episode) -> str:
    return opened.content.decode(opened.encode([episode])[0].ids)


def test_dialogue() -> None:
    opened = open_template("chat", tiny.instruct("llama"), chat=STYLE)
    turns = [
        ("system", "Reply.\n\nA rater."),
        ("user", "How warm?"),
        ("assistant", "yes"),
        ("user", "Next:"),
        ("assistant", " no "),
    ]
    expected = "".join(f"<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>" for role, text in turns)
    assert _text(opened, EPISODE) == f"<|begin_of_text|>{expected}"


def test_ids_are_those_of_the_chat_template_where_it_changes_no_text() -> None:
    tokenizer = tiny.instruct("llama")
    opened = open_template("chat", tokenizer, chat=STYLE)
    messages = chat_messages(EPISODE, "And now?", STYLE)
    theirs = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False, add_generation_prompt=True)
    assert opened.encode_prompts([EPISODE], ["And now?"])[0].tolist() == theirs


def test_a_template_that_refuses_a_system_prompt_gets_it_in_the_first_question_and_trims_nothing() -> None:
    opened = open_template("chat", tiny.instruct("gemma"), chat=STYLE)
    text = _text(opened, EPISODE)
    assert text.startswith(
        "<bos><start_of_turn>user\nReply.\n\nA rater.\n\nHow warm?<end_of_turn>\n<start_of_turn>model\nyes<end_of_turn>"
    )
    assert "model\n no <end_of_turn>" in text  # the template itself would trim the blanks


def test_a_template_that_drops_the_system_prompt_gets_it_in_the_first_question_too() -> None:
    tokenizer = tiny.llama(tiny.LLAMA_CHAT.replace("in messages %}", "in messages if m['role'] != 'system' %}"))
    opened = open_template("chat", tokenizer, chat=STYLE)
    assert "user<|end_header_id|>\n\nReply.\n\nA rater.\n\nHow warm?<|eot_id|>" in _text(opened, EPISODE)


def test_thoughts_are_switched_off_and_carry_no_loss() -> None:
    opened = open_template("chat", tiny.instruct("chatml"), chat=STYLE)
    [prompt] = opened.encode_prompts([EPISODE], [None])
    assert opened.content.decode(prompt).endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    [encoded] = opened.encode([EPISODE])
    assert opened.content.decode(encoded.ids[encoded.is_loss]) == "yes<|im_end|> no <|im_end|>"


def test_all_examples_in_the_prompt() -> None:
    style = ChatStyle(system_prompt="", request="Next:", examples_in_prompt=True)
    opened = open_template("chat", tiny.instruct("llama"), chat=style)
    three = Episode("t", (*EPISODE.examples, Example("maybe", "And now?")))
    [encoded] = opened.encode([three])
    asked = "Input: How warm?\nOutput: yes\n\nOutput:  no \n\nInput: And now?\nOutput:"
    assert f"user<|end_header_id|>\n\n{asked}<|eot_id|>" in opened.content.decode(encoded.ids)
    assert opened.content.decode(encoded.ids[encoded.is_loss]) == "maybe<|eot_id|>"
    assert set(encoded.example_index[encoded.is_loss].tolist()) == {2}
    [prompt] = opened.encode_prompts([Episode("t", EPISODE.examples)], ["And now?"])
    assert prompt.tolist() == encoded.ids[: len(prompt)].tolist()
    first = Episode("t", EPISODE.examples[:1])
    assert not opened.encode([first])[0].is_loss.any()  # nothing is said before the first output
    assert opened.encode([Episode("t", first.examples, "A rater.")])[0].is_loss.any()


@pytest.mark.parametrize("in_prompt", [False, True])
def test_no_examples(in_prompt: bool) -> None:
    style = ChatStyle(system_prompt="", request="Next:", examples_in_prompt=in_prompt)
    opened = open_template("chat", tiny.instruct("gemma"), chat=style)
    assert _text(opened, Episode("t", ())) == "<bos><start_of_turn>user\nNext:<end_of_turn>\n"
    assert chat_messages(Episode("t", ()), None, style) == [{"role": "user", "content": "Next:"}]


def test_the_template_never_sees_a_text() -> None:
    """Code of templates, and what looks like a slot, is only text."""
    opened = template("chat-gemma")
    text = "{{ bos_token }}{% raw %}pluralignmark0pluralignmark"
    assert _text(opened, Episode("t", (Example("yes", text),))).count(text) == 1


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (None, "no chat template"),
        ("{{ raise_exception('never') }}", "no dialogue"),
        ("{{ messages[0]['content'] }}", "no dialogue"),  # leaves texts out
        ("{% for m in messages %}{{ m['content'] }}\n{% endfor %}", "no control token behind a reply"),
        (
            "{% for m in messages %}{{ m['content'] + ('<|eot_id|>' if loop.last else '<|end_of_text|>') }}{% endfor %}",
            "ends its last reply in another way",
        ),
    ],
)
def test_templates_that_cannot_be_used(written: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_template("chat", tiny.llama(written))


def test_a_template_that_refuses_a_longer_dialogue() -> None:
    limit = "{% if messages | length > 4 %}{{ raise_exception('too long') }}{% endif %}"
    opened = open_template("chat", tiny.llama(limit + tiny.LLAMA_CHAT), chat=ChatStyle(system_prompt=""))
    with pytest.raises(UsageError, match="refuses turns of user, assistant, user"):
        opened.encode([Episode("t", EPISODE.examples * 2)])


def test_a_bos_that_the_template_leaves_out_is_there_once() -> None:
    tokenizer = tiny.llama(tiny.LLAMA_CHAT.replace("{{ bos_token }}", ""))
    [encoded] = open_template("chat", tokenizer).encode([EPISODE])
    assert encoded.ids.tolist().count(tokenizer.bos_token_id) == 1
    assert encoded.ids[0] == tokenizer.bos_token_id
