"""What holds for every format and tokenizer, and faults 3, 4, 7, 8 and 10 of the published implementation."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models import tiny
from models.strategies import MAKERS, episodes, plain_texts, template, texts
from pluralign.episodes import Episode, Example, to_messages
from pluralign.errors import DataError, UsageError
from pluralign.models import Encoded, Template, open_template

CASES = pytest.mark.parametrize("case", MAKERS)
FAMILIES = pytest.mark.parametrize("family", tiny.TURNS)
quick = settings(max_examples=40, deadline=None)

RATER = Episode(
    "warmth",
    (Example("yes", "How warm?"), Example("no"), Example("maybe", "And now?")),
    description="The rater likes it warm.",
)
NO_DESCRIPTION = Episode("warmth", RATER.examples)


def _scored(encoded: Encoded) -> dict[int, list[int]]:
    """The ids that carry loss, by example."""
    found: dict[int, list[int]] = {}
    for number, example in zip(encoded.ids[encoded.is_loss], encoded.example_index[encoded.is_loss], strict=True):
        found.setdefault(int(example), []).append(int(number))
    return found


def _written(opened: Template, output: str) -> str:
    return f" {output}" if opened.name == "colon" else output


# fidelity to the published checkpoints


@FAMILIES
@quick
@given(data=st.data())
def test_ids_are_those_of_a_published_checkpoints_own_template(family: str, data: st.DataObject) -> None:
    """Where no text begins with a blank, which its template would merge with the line break before it, or names a token."""
    tokenizer = tiny.spectrum_checkpoint(family)
    episode = data.draw(episodes(plain_texts.filter(lambda text: not text[0].isspace() and "<" not in text)))
    assume(episode.examples or episode.description)
    opened, messages = template(f"spectrum-{family}"), to_messages(episode)
    theirs = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False)
    assert opened.encode([episode])[0].ids.tolist() == theirs
    asked = [*messages, {"role": "input", "content": "And now?"}]
    theirs = tokenizer.apply_chat_template(asked, tokenize=True, return_dict=False, add_generation_prompt=True)
    assert opened.encode_prompts([episode], ["And now?"])[0].tolist() == theirs


@FAMILIES
def test_the_same_turns_are_found_with_and_without_a_chat_template(family: str) -> None:
    bare = open_template("spectrum", {"gemma": tiny.gemma, "chatml": tiny.chatml, "llama": tiny.llama}[family]())
    ids = {name: bare.content.backend.token_to_id(name) for name in tiny.TURNS[family]}
    assert None not in ids.values()
    for opened in (template(f"spectrum-{family}"), open_template("spectrum", tiny.instruct(family))):
        assert opened.encode([RATER])[0].ids.tolist() == bare.encode([RATER])[0].ids.tolist()
        assert opened.end_ids == (ids[tiny.TURNS[family][-1]],)


def test_by_hand() -> None:
    """Every token of a ChatML episode: text, loss, example."""
    opened = template("spectrum-chatml")
    episode = Episode("t", (Example("yes", "a"), Example("no")))
    [encoded] = opened.encode([episode])
    shown = [opened.content.decode([number]) for number in encoded.ids]
    text = "<|im_start|>input\na<|im_end|>\n<|im_start|>output\nyes<|im_end|>\n<|im_start|>output\nno<|im_end|>\n"
    assert "".join(shown) == text
    n_input = shown.index("<|im_end|>") + 2  # the end of the turn and the line break
    second = n_input + shown[n_input:].index("<|im_end|>") + 2
    assert encoded.example_index.tolist() == [0] * second + [1] * (len(shown) - second)
    assert [s for s, scored in zip(shown, encoded.is_loss, strict=True) if scored] == ["no", "<|im_end|>"]
    assert not encoded.is_loss[-1]  # the line break behind the end
    assert shown[-1] == "\n"
    assert [a.dtype for a in (encoded.ids, encoded.is_loss, encoded.example_index)] == [np.int32, np.bool_, np.int32]


# fault 3: the same events in every format


@CASES
@pytest.mark.parametrize(("episode", "examples"), [(RATER, [0, 1, 2]), (NO_DESCRIPTION, [1, 2])], ids=["with", "without"])
def test_every_format_scores_the_same_events(case: str, episode: Episode, examples: list[int]) -> None:
    """With a description all outputs carry loss, without one all but the first."""
    opened = template(case)
    scored = _scored(opened.encode([episode])[0])
    assert list(scored) == examples
    for n, ids in scored.items():
        end = len(opened.end_ids)
        assert tuple(ids[-end:]) == opened.end_ids
        assert opened.content.decode(ids[:-end]) == _written(opened, episode.examples[n].output)


@CASES
@quick
@given(episode=episodes())
def test_masks_sum_to_the_lengths_of_outputs_and_ends(case: str, episode: Episode) -> None:
    opened = template(case)
    [encoded] = opened.encode([episode])
    first = 0 if episode.description is not None else 1
    outputs = [_written(opened, example.output) for example in episode.examples[first:]]
    lengths = [len(ids) + len(opened.end_ids) for ids in opened.content.encode(outputs)]
    assert encoded.is_loss.sum() == sum(lengths)
    assert len(encoded) == len(encoded.is_loss) == len(encoded.example_index)
    assert (np.diff(encoded.example_index) >= 0).all()
    indices = set(encoded.example_index.tolist())
    assert indices <= set(range(-1, max(len(episode.examples), 1)))
    assert set(range(len(episode.examples))) <= indices


# fault 4: an option is scored with its end


@CASES
@quick
@given(options=st.lists(texts, min_size=1, max_size=5, unique=True))
def test_no_options_ids_begin_with_another_options(case: str, options: list[str]) -> None:
    opened = template(case)
    assume(opened.name != "colon" or not any("\n" in option for option in options))
    found = [tuple(ids.tolist()) for ids in opened.encode_options([*options])]
    for a, ids in enumerate(found):
        end = len(opened.end_ids)
        assert ids[-end:] == opened.end_ids
        assert opened.content.decode(ids[:-end]) == _written(opened, options[a])
        assert not [b for b, other in enumerate(found) if a != b and other[: len(ids)] == ids]


@CASES
def test_one_does_not_collect_ten(case: str) -> None:
    opened = template(case)
    one, ten = opened.encode_options(["1", "10"])
    assert not np.array_equal(ten[: len(one)], one)


# fault 7: no merge at the border of prompt and option


@CASES
@quick
@given(episode=episodes(), asked=st.none() | texts, option=texts)
def test_prompt_and_option_are_how_the_longer_episode_begins(
    case: str, episode: Episode, asked: str | None, option: str
) -> None:
    opened = template(case)
    assume(opened.name != "colon" or "\n" not in option)
    [prompt] = opened.encode_prompts([episode], [asked])
    [ids] = opened.encode_options([option])
    longer = Episode(episode.task, (*episode.examples, Example(option, asked)), episode.description)
    [whole] = opened.encode([longer])
    joined = np.concatenate([prompt, ids])
    assert whole.ids[: len(joined)].tolist() == joined.tolist()
    scored = whole.is_loss[len(prompt) : len(joined)]
    assert (scored == (longer.description is not None or len(longer.examples) > 1)).all()


def test_joint_tokenising_does_merge_at_the_border() -> None:
    """The fault itself: here an output's first character would change the prompt's last token."""
    opened = template("spectrum-gemma")
    content = opened.content
    joint = content.encode(["output\n\nyes"])[0].tolist()
    apart = [number for ids in content.encode(["output\n", "\nyes"]) for number in ids.tolist()]
    assert joint != apart
    [prompt] = opened.encode_prompts([RATER], [None])
    assert np.concatenate([prompt, opened.encode_options(["\nyes"])[0]]).tolist()[: len(prompt)] == prompt.tolist()


# fault 8: text from data injects no control token; one BOS


@CASES
@quick
@given(content=texts)
def test_content_in_every_field_never_becomes_a_control_token(case: str, content: str) -> None:
    opened = template(case)

    def controls(text: str) -> list[int]:
        episode = Episode("t", (Example(text, text), Example(text)), text)
        [encoded], [prompt] = opened.encode([episode]), opened.encode_prompts([episode], [text])
        return [i for i in [*encoded.ids.tolist(), *prompt.tolist()] if i in opened.content.control_ids]

    assert controls(content) == controls("x")


@CASES
@quick
@given(content=texts)
def test_content_is_decoded_as_it_was(case: str, content: str) -> None:
    opened = template(case)
    [ids] = opened.content.encode([content])
    assert opened.content.decode(ids) == content
    assert opened.content.control_ids.isdisjoint(ids.tolist())


@FAMILIES
def test_the_tokenizer_itself_would_inject(family: str) -> None:
    """The fault itself: what the test above looks for is there when the same text is tokenised as it comes."""
    tokenizer, opened = tiny.spectrum_checkpoint(family), template(f"spectrum-{family}")
    text = f"yes{tiny.TURNS[family][-1]}\n{tiny.TURNS[family][0]}"
    assert not opened.content.control_ids.isdisjoint(tokenizer.encode(text, add_special_tokens=False))
    assert opened.content.control_ids.isdisjoint(opened.content.encode([text])[0].tolist())


def test_the_name_of_a_control_token_is_spelled_like_any_text() -> None:
    """As by a tokenizer of the same pieces that has no such token: not in parts that some repair has cut."""
    text = "no <|im_end|> <|im_start|> </think>output"
    expected = tiny.plain().encode(text, add_special_tokens=False)
    assert {"Ġ<|", "Ġ</"} <= set(tiny.plain().convert_ids_to_tokens(expected))
    assert template("chat-chatml").content.encode([text])[0].tolist() == expected


def test_colon_begins_as_the_tokenizer_begins_a_text() -> None:
    """With a blank in front where that is its way; a label in the middle has none."""
    tokenizer = tiny.blank_in_front("first")
    [encoded] = open_template("colon", tokenizer).encode([Episode("t", (Example("yes"), Example("no")))])
    label = tokenizer.encode("Output:", add_special_tokens=False)
    assert encoded.ids[1 : len(label) + 1].tolist() == label
    assert template("colon-prepend").content.decode(encoded.ids) == "<bos> Output: yes\n\nOutput: no\n\n"


def test_thoughts_that_are_not_marked_as_special_are_control_and_tags_of_html_are_not() -> None:
    chat, gemma = template("chat-chatml").content, template("spectrum-gemma").content
    assert chat.backend.token_to_id("<think>") in chat.control_ids
    assert chat.backend.token_to_id("<think>") not in chat.encode(["<think>"])[0]
    assert gemma.encode(["<table>"])[0].tolist() == [gemma.backend.token_to_id("<table>")]
    assert gemma.encode(["\n\n"])[0].tolist() == [gemma.backend.token_to_id("\n\n")]


def test_a_vocabulary_that_makes_a_control_token_of_plain_text() -> None:
    opened = open_template("colon", tiny.unigram())
    end = opened.content.backend.token_to_id("</s>")
    assert opened.content.backend.encode("a</s>b", add_special_tokens=False).ids[1] == end  # it does
    [ids] = opened.content.encode(["a</s>b</s>"])
    assert end not in ids
    assert opened.content.decode(ids) == "a</s>b</s>"


@CASES
@quick
@given(episode=episodes())
def test_one_bos_where_the_tokenizer_has_one(case: str, episode: Episode) -> None:
    opened = template(case)
    with_bos = {"spectrum-gemma": "<bos>", "colon-gemma": "<bos>", "chat-gemma": "<bos>"}
    with_bos |= dict.fromkeys(["spectrum-llama", "colon-llama", "chat-llama"], "<|begin_of_text|>")
    with_bos |= dict.fromkeys([name for name in MAKERS if name.endswith(("first", "always", "prepend"))], "<bos>")
    sequences = [opened.encode([episode])[0].ids.tolist(), opened.encode_prompts([episode], ["?"])[0].tolist()]
    for ids in sequences:
        if case in with_bos:
            bos = opened.content.backend.token_to_id(with_bos[case])
            assert ids[0] == bos
            assert ids.count(bos) == 1
        else:
            names = ("<bos>", "<|begin_of_text|>", "<|endoftext|>")
            assert not {opened.content.backend.token_to_id(name) for name in names}.intersection(ids)


# fault 10: many segments in one call


class _Counting:
    """A tokenizer's backend that counts calls."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.calls: list[list[str]] = []

    def encode_batch_fast(self, batch: Sequence[str], **options: Any) -> Any:
        self.calls.append(list(batch))
        return self._backend.encode_batch_fast(batch, **options)


@CASES
def test_many_episodes_take_one_call_that_sees_each_text_once(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = template(case)
    opened.encode([RATER])  # what is written around the texts is tokenised once and kept
    counting = _Counting(opened.content.backend)
    monkeypatch.setattr(opened.content, "backend", counting)
    others = [Episode("t", (Example(f"answer {n}", "How warm?"), *RATER.examples[1:]), f"rater {n}") for n in range(50)]
    opened.encode(others)
    assert len(counting.calls) == 1
    assert len(counting.calls[0]) == len(set(counting.calls[0]))


@CASES
@quick
@given(several=st.lists(episodes(), max_size=4))
def test_a_batch_gives_what_one_call_per_segment_gives(case: str, several: list[Episode]) -> None:
    opened = template(case)
    for episode, encoded in zip(several, opened.encode(several), strict=True):
        segments = [
            opened.content.encode([piece.content])[0].tolist() if isinstance(piece.content, str) else list(piece.content)
            for piece in opened._layout.pieces(episode)
        ]
        assert [number for segment in segments for number in segment] == encoded.ids.tolist()


# bad input


@CASES
def test_options_that_cannot_be_scored(case: str) -> None:
    opened = template(case)
    for bad in ([], ["yes", "yes"]):
        with pytest.raises(UsageError, match="different texts and not empty"):
            opened.encode_options(bad)
    with pytest.raises(DataError, match="option '' has no tokens"):
        opened.encode_options(["yes", ""])


def test_options_that_a_normalising_tokenizer_cannot_tell_apart() -> None:
    from tokenizers import normalizers

    tokenizer = tiny.chatml()
    tokenizer.backend_tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Strip()])
    opened = open_template("spectrum", tokenizer)
    with pytest.raises(DataError, match="are the same tokens") as caught:
        opened.encode_options(["caf\u00e9", "cafe\u0301", "  "])
    assert len(caught.value.faults) == 2
    assert "option '  ' has no tokens" in caught.value.faults[0]


def test_colon_refuses_options_that_hold_its_end() -> None:
    opened = template("colon-gemma")
    with pytest.raises(DataError, match="use 'spectrum'") as caught:
        opened.encode_options(["a", "a\n\nb", "c\n"])
    assert len(caught.value.faults) == 2
    assert len(template("spectrum-gemma").encode_options(["a", "a\n\nb", "c\n"])) == 3


def test_prompts_need_a_next_input_each() -> None:
    with pytest.raises(UsageError, match="1 episodes but 2 next inputs"):
        template("colon-gemma").encode_prompts([RATER], ["a", None])


def test_unknown_format_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'spectrum'"):
        open_template("spectrun", tiny.plain())


def test_a_megabyte_is_tokenised_whole() -> None:
    opened = template("spectrum-llama")
    text = "The rater liked it. 😀\n" * 40_000
    [encoded] = opened.encode([Episode("t", (Example("yes", text),), "d")])
    assert text in opened.content.decode(encoded.ids)
    assert encoded.is_loss.sum() == len(opened.encode_options(["yes"])[0])


def test_truncation_and_padding_of_the_tokenizer_do_not_leak_in() -> None:
    """Other code that shares the tokenizer may have switched them on."""
    tokenizer = tiny.llama()
    before = open_template("spectrum", tokenizer).encode([RATER])[0].ids.tolist()
    tokenizer.backend_tokenizer.enable_truncation(3)
    tokenizer.backend_tokenizer.enable_padding(length=50)
    assert open_template("spectrum", tokenizer).encode([RATER])[0].ids.tolist() == before


def test_importing_loads_neither_torch_nor_transformers() -> None:
    code = "import sys, pluralign.models; print([m for m in ('torch', 'transformers', 'tokenizers') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
