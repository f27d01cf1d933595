"""What servers reply, read strictly: numbers are taken only where it is certain which tokens they belong to.

Each reader returns a JSON value, which is what the cache keeps. A reply of another shape raises `Unreadable`, one without the
log-probabilities that were asked for `NoLogprobs`, one that declines `Refused`; none of them is ever turned into a number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pluralign.models.endpoint_prompts import Echo
from pluralign.models.protocol import FinishReason

__all__ = ["NoAnswer", "NoLogprobs", "Refused", "Unreadable", "read_echo", "read_first_token", "read_text", "read_usage"]

NEVER = -9999.0
"""What OpenAI's servers and vLLM write in place of a log-probability of minus infinity, or of one that they do not say."""
_FINISH: dict[str | None, FinishReason] = {
    "stop": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "content_filter": "refusal",
}
"""The last two names of an end are those of Text Generation Inference."""


class Unreadable(Exception):
    """The reply has another shape than the interface says."""


class NoAnswer(Exception):
    """The reply is as it should be, but holds no answer; another attempt would bring the same."""


class NoLogprobs(Unreadable):
    """A reply without the log-probabilities that were asked for."""


class Refused(Exception):
    """The model or a filter declined."""


class _Reply(BaseModel):
    model_config = ConfigDict(strict=True)  # "0.5" is no number


class _Usage(_Reply):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _TextLogprobs(_Reply):
    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None
    text_offset: list[int] | None = None


class _TextChoice(_Reply):
    text: str
    finish_reason: str | None = None
    logprobs: _TextLogprobs | None = None


class _Completion(_Reply):
    choices: list[_TextChoice]
    usage: _Usage | None = None


class _Top(_Reply):
    token: str
    logprob: float


class _TokenLogprob(_Top):
    top_logprobs: list[_Top]


class _ChatLogprobs(_Reply):
    content: list[_TokenLogprob] | None = None


class _Message(_Reply):
    content: str | None = None
    refusal: str | None = None


class _ChatChoice(_Reply):
    message: _Message
    finish_reason: str | None = None
    logprobs: _ChatLogprobs | None = None


class _ChatCompletion(_Reply):
    choices: list[_ChatChoice]
    usage: _Usage | None = None


class _AnyReply(_Reply):
    usage: _Usage | None = None


Choice = TypeVar("Choice")
Shape = TypeVar("Shape", bound=BaseModel)


def read_usage(content: bytes) -> tuple[int, int] | None:
    """Prompt and output tokens that the server counted; None where it does not say."""
    try:
        usage = _AnyReply.model_validate_json(content).usage
    except ValidationError:
        return None
    if usage is None or usage.prompt_tokens is None:
        return None
    return usage.prompt_tokens, usage.completion_tokens or 0


def read_text(content: bytes, *, is_chat: bool) -> list[Any]:
    """[text, finish reason, output tokens or None] of the one output in a reply."""
    if is_chat:
        chat_reply = _parsed(_ChatCompletion, content)
        chat_choice = _only(chat_reply.choices)
        text, reason, usage = _content(chat_choice), chat_choice.finish_reason, chat_reply.usage
    else:
        reply = _parsed(_Completion, content)
        choice = _only(reply.choices)
        text, reason, usage = choice.text, choice.finish_reason, reply.usage
    finish = _FINISH.get(reason)
    if finish == "refusal":
        raise Refused(f"finish_reason {reason!r}")
    if finish is None:
        raise Unreadable(f"finish_reason {reason!r} is neither 'stop' nor 'length'")
    if text is None and finish == "stop":
        raise Unreadable("a message without content")
    return [text or "", finish, None if usage is None else usage.completion_tokens]


def read_first_token(content: bytes) -> dict[str, Any]:
    """The most probable first tokens of a chat reply, [text, nats] each, and the beginning that was drawn."""
    choice = _only(_parsed(_ChatCompletion, content).choices)
    text = _content(choice)
    if choice.finish_reason == "content_filter":
        raise Refused("finish_reason 'content_filter'")
    if choice.logprobs is None or choice.logprobs.content is None:
        raise NoLogprobs("the reply has no logprobs")
    if not choice.logprobs.content:
        raise Unreadable("the reply that was drawn is empty, so that no token's log-probabilities came with it")
    top = choice.logprobs.content[0].top_logprobs
    if not top:
        raise NoLogprobs("the reply has no top_logprobs")
    for one in top:
        _checked(one.logprob)
    return {"top": [[one.token, one.logprob] for one in top if one.logprob > NEVER], "drawn": text or ""}


def read_echo(content: bytes, echo: Echo) -> list[list[Any]]:
    """For each span [nats or None for minus infinity, tokens, whether all were the most probable (None: not said)]."""
    reply = _parsed(_Completion, content)
    choice = _only(reply.choices)
    if choice.finish_reason == "content_filter":
        raise Refused("finish_reason 'content_filter'")
    found = choice.logprobs
    if found is None or not found.token_logprobs:
        raise NoLogprobs("the reply has no logprobs")
    n_found = len(found.token_logprobs)
    n_drawn = 1 if reply.usage is None or reply.usage.completion_tokens is None else reply.usage.completion_tokens
    if n_found <= n_drawn < len(echo.prompt):
        raise NoLogprobs(f"log-probabilities of {n_found} tokens, of what was drawn only: the server does not echo")
    if isinstance(echo.prompt, list):
        if n_found != len(echo.prompt) + n_drawn:
            sent = f"where {len(echo.prompt)} were sent and {n_drawn} drawn"
            raise Unreadable(f"log-probabilities of {n_found} tokens, {sent}")
        spans = list(echo.spans)
    else:
        spans = _token_spans(found, echo.prompt, echo.spans)
    return [_span_value(found, start, stop) for start, stop in spans]


def _token_spans(found: _TextLogprobs, text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans of characters as spans of tokens; raises Unreadable where a border lies inside a token."""
    tokens, offsets = found.tokens or [], found.text_offset
    if len(tokens) != len(found.token_logprobs or []) or (offsets is not None and len(offsets) != len(tokens)):
        raise Unreadable("tokens, token_logprobs and text_offset have different lengths")
    if offsets is None:
        offsets = [0, *accumulate(map(len, tokens))][:-1]
    if not text.startswith(tokens[0].lstrip()):  # a BOS that is listed by its name
        offsets = [offset - len(tokens[0]) if n else -1 for n, offset in enumerate(offsets)]
    end = offsets[-1] + len(tokens[-1])
    if end < len(text):
        raise Unreadable(f"the tokens end at character {end} of {len(text)}")
    offsets = [*offsets, end]
    first = {offset: n for n, offset in reversed(list(enumerate(offsets)))}
    place = []
    for start, stop in spans:
        if start not in first or stop not in first:
            raise NoAnswer(
                "a token of the server straddles the border of what is scored; give the model's --tokenizer, so that token ids "
                "are sent, or reword the option"
            )
        written = "".join(tokens[first[start] : first[stop]])
        if text[start:stop].isascii() and written != text[start:stop]:
            raise Unreadable(f"the server's tokens say {written[:60]!r} where {text[start:stop][:60]!r} was sent")
        place.append((first[start], first[stop]))
    return place


def _span_value(found: _TextLogprobs, start: int, stop: int) -> list[Any]:
    logprobs = (found.token_logprobs or [])[start:stop]
    if len(logprobs) != stop - start or not logprobs or None in logprobs:
        raise Unreadable("a token that is scored has no log-probability")
    values = [-math.inf if value <= NEVER else _checked(value) for value in logprobs if value is not None]
    total = math.fsum(values) if -math.inf not in values else None
    return [total, len(values), _is_argmax(found, start, stop)]


def _is_argmax(found: _TextLogprobs, start: int, stop: int) -> bool | None:
    tops = (found.top_logprobs or [])[start:stop]
    if len(tops) != stop - start or not all(tops):
        return None
    chosen = (found.token_logprobs or [])[start:stop]
    return all(max(top.values()) <= value for top, value in zip(tops, chosen, strict=True) if top and value is not None)


def _checked(logprob: float) -> float:
    if not logprob <= 0.01:  # NaN too
        raise Unreadable(f"{logprob} is no log-probability")
    return logprob


def _content(choice: _ChatChoice) -> str | None:
    if choice.message.refusal:
        raise Refused(choice.message.refusal[:200])
    return choice.message.content


def _only(choices: list[Choice]) -> Choice:
    if len(choices) != 1:
        raise Unreadable(f"{len(choices)} choices where one was asked for")
    return choices[0]


def _parsed(shape: type[Shape], content: bytes) -> Shape:
    try:
        return shape.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Unreadable(f"the reply is not of the interface's shape: {where + ': ' if where else ''}{first['msg']}") from error
