"""What is read of replies: numbers only where it is certain which tokens they belong to."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from pluralign.models.endpoint_prompts import Echo
from pluralign.models.endpoint_replies import (
    NoAnswer,
    NoLogprobs,
    Refused,
    Unreadable,
    read_echo,
    read_first_token,
    read_text,
    read_usage,
)


def _completion(
    tokens: list[str], values: list[float | None], *, drawn: int = 1, offsets: list[int] | None = None, **choice: Any
) -> bytes:
    tops = [None if value is None else {"a": value} for value in values]
    logprobs = {"tokens": tokens, "token_logprobs": values, "top_logprobs": tops, "text_offset": offsets}
    fields = {"text": "".join(tokens), "finish_reason": "length", "logprobs": logprobs, **choice}
    return json.dumps({"choices": [fields], "usage": {"prompt_tokens": 9, "completion_tokens": drawn}}).encode()


TEXT = "Output: yes\n\n"
TOKENS = ["Output", ":", " yes", "\n\n", " x"]
VALUES = [None, -1.0, -0.5, -0.25, -7.0]


def test_the_tokens_of_the_span_are_added_and_what_was_drawn_is_not() -> None:
    # " yes" and the blank line: -0.5 - 0.25
    assert read_echo(_completion(TOKENS, VALUES), Echo(TEXT, ((7, 13),))) == [[-0.75, 2, True]]


def test_token_ids_need_no_text() -> None:
    echo = Echo([5, 6, 7, 8], ((2, 4), (1, 2)))
    assert read_echo(_completion([""] * 5, VALUES), echo) == [[-0.75, 2, True], [-1.0, 1, True]]


@pytest.mark.parametrize("drawn", [0, 1])
def test_a_server_may_list_what_it_drew_or_not(drawn: int) -> None:
    listed = 4 + drawn
    reply = _completion(TOKENS[:listed], VALUES[:listed], drawn=drawn)
    assert read_echo(reply, Echo(TEXT, ((7, 13),))) == [[-0.75, 2, True]]
    assert read_echo(reply, Echo([1, 2, 3, 4], ((2, 4),))) == [[-0.75, 2, True]]


def test_a_bos_that_is_listed_shifts_nothing() -> None:
    reply = _completion(["<s>", *TOKENS], [None, -3.0, *VALUES[1:]], offsets=[0, 3, 9, 10, 14, 16])
    assert read_echo(reply, Echo(TEXT, ((7, 13),))) == [[-0.75, 2, True]]


def test_pieces_of_a_character_are_placed_by_their_offsets() -> None:
    # "é" is two tokens, of which neither can be written; the offsets are those of llama.cpp's server
    text = "Output: é yes\n\n"
    tokens = ["Output", ": ", "", "", " yes", "\n\n", " x"]
    reply = _completion(tokens, [None, -9.0, -1.0, -2.0, -4.0, -8.0, 0.0], offsets=[0, 6, 8, 8, 9, 13, 15])
    assert read_echo(reply, Echo(text, ((8, 15),))) == [[-15.0, 4, True]]
    assert read_echo(reply, Echo(text, ((9, 15),))) == [[-12.0, 2, True]]


@pytest.mark.parametrize(
    "tokens",
    [["Output", ": yes", "\n\n", " x"], ["Output", ":", " yes", "\n", "\n x"]],
    ids=["into the option", "out of the end"],
)
def test_a_token_that_straddles_a_border_is_no_number(tokens: list[str]) -> None:
    values = [None, *[-1.0] * (len(tokens) - 1)]
    with pytest.raises(NoAnswer, match=r"straddles the border.*--tokenizer"):
        read_echo(_completion(tokens, values), Echo(TEXT, ((7, 13),)))


def test_other_words_than_were_sent_are_no_number() -> None:
    reply = _completion(["Output", ":", " yea", "\n\n", " x"], VALUES)
    with pytest.raises(Unreadable, match=r"' yea\\n\\n' where ' yes\\n\\n' was sent"):
        read_echo(reply, Echo(TEXT, ((7, 13),)))


def test_minus_9999_is_minus_infinity() -> None:
    reply = _completion(TOKENS, [None, -1.0, -9999.0, -0.25, -7.0])
    assert read_echo(reply, Echo(TEXT, ((7, 13),)))[0][:2] == [None, 2]


def test_whether_a_token_was_the_most_probable() -> None:
    fields = json.loads(_completion(TOKENS, VALUES))
    logprobs = fields["choices"][0]["logprobs"]
    logprobs["top_logprobs"][2] = {" no": -0.4, " yes": -0.5}
    assert read_echo(json.dumps(fields).encode(), Echo(TEXT, ((7, 13),)))[0][2] is False
    logprobs["top_logprobs"] = None
    assert read_echo(json.dumps(fields).encode(), Echo(TEXT, ((7, 13),)))[0][2] is None


@pytest.mark.parametrize("echo", [Echo(TEXT, ((7, 13),)), Echo([1, 2, 3, 4], ((2, 4),))], ids=["text", "ids"])
@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        (_completion(TOKENS, VALUES, logprobs=None), NoLogprobs),
        (_completion([" x"], [-7.0]), NoLogprobs),  # the server ignores echo
        (_completion(TOKENS[1:], VALUES[1:]), Unreadable),
        (_completion([*TOKENS[:3], *TOKENS[4:]], VALUES[:4]), Unreadable),
        (_completion(TOKENS, [None, -1.0, None, -0.25, -7.0]), Unreadable),
        (_completion(TOKENS, [None, -1.0, math.nan, -0.25, -7.0]), Unreadable),
        (_completion(TOKENS, [None, -1.0, 0.5, -0.25, -7.0]), Unreadable),
        (_completion(TOKENS, ["0", "-1", "-2", "-3", "-4"]), Unreadable),  # type: ignore[list-item]
        (_completion(TOKENS, VALUES)[:-20], Unreadable),
        (b"<html>", Unreadable),
        (b'{"choices": []}', Unreadable),
        (b'{"error": {"message": "no"}}', Unreadable),
        (_completion(TOKENS, VALUES, finish_reason="content_filter"), Refused),
    ],
)
def test_any_other_reply_is_no_number(echo: Echo, reply: bytes, fault: type[Exception]) -> None:
    with pytest.raises(fault):
        read_echo(reply, echo)


def _chat(content: str | None = "yes", finish: str | None = "stop", **fields: Any) -> dict[str, Any]:
    message = {"content": content, "refusal": fields.pop("refusal", None)}
    return {"choices": [{"message": message, "finish_reason": finish, **fields}], "usage": {"prompt_tokens": 3}}


def test_first_tokens_and_the_reply_that_was_drawn() -> None:
    top = [{"token": "yes", "logprob": -0.5}, {"token": "no", "logprob": -9999.0}]
    reply = _chat("yes,", logprobs={"content": [{"token": "yes", "logprob": -0.5, "top_logprobs": top}]})
    assert read_first_token(json.dumps(reply).encode()) == {"top": [["yes", -0.5]], "drawn": "yes,"}


@pytest.mark.parametrize(
    ("reply", "fault", "said"),
    [
        (_chat(), NoLogprobs, "no logprobs"),
        (_chat(logprobs={"content": None}), NoLogprobs, "no logprobs"),
        (_chat(logprobs={"content": []}), Unreadable, "empty"),
        (_chat(logprobs={"content": [{"token": "a", "logprob": -1, "top_logprobs": []}]}), NoLogprobs, "top_logprobs"),
        (_chat(refusal="I cannot"), Refused, "I cannot"),
    ],
)
def test_a_chat_reply_without_first_tokens(reply: dict[str, Any], fault: type[Exception], said: str) -> None:
    with pytest.raises(fault, match=said):
        read_first_token(json.dumps(reply).encode())


def test_texts_keep_why_they_ended() -> None:
    assert read_text(json.dumps(_chat("a", "length")).encode(), is_chat=True) == ["a", "length", None]
    assert read_text(json.dumps(_chat(None, "length")).encode(), is_chat=True) == ["", "length", None]
    assert read_text(_completion(["a", "b"], [-1.0, -1.0], drawn=2, finish_reason="stop"), is_chat=False) == ["ab", "stop", 2]


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        (_chat("a", None), Unreadable),
        (_chat("a", "tool_calls"), Unreadable),
        (_chat(None, "stop"), Unreadable),
        (_chat("a", "content_filter"), Refused),
        (_chat(None, "stop", refusal="no"), Refused),
    ],
)
def test_other_ends_are_no_text(reply: dict[str, Any], fault: type[Exception]) -> None:
    with pytest.raises(fault):
        read_text(json.dumps(reply).encode(), is_chat=True)


def test_half_a_surrogate_pair_in_a_reply_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        read_text(json.dumps(_chat("a\ud800")).encode(), is_chat=True)


def test_usage_is_read_or_unknown() -> None:
    assert read_usage(_completion(TOKENS, VALUES)) == (9, 1)
    assert read_usage(b'{"usage": {"prompt_tokens": 4}}') == (4, 0)
    assert read_usage(b'{"usage": null}') is None
    assert read_usage(b"half of {") is None
