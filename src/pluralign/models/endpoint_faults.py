"""What an error of a server means: try again, say what the user can do, or ask in other words.

Tried again are 408, 409, 425, 429 and 5xx, timeouts, connections that break, and replies that are cut off. Any other 4xx is a
`ModelError` with the server's own words, or a `DataError` where the prompt is too long.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from pluralign.errors import DataError, ModelError, PluralignError

if TYPE_CHECKING:
    from openai import APIStatusError

__all__ = ["OWN_DISTRIBUTION", "Dialect", "Trouble", "backoff_s", "fatal_error", "retry_after_s", "status_trouble"]

OWN_DISTRIBUTION: dict[str, Any] = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "repeat_penalty": 1.0}
"""Fields beyond OpenAI's by which servers cut off or bend the distribution unless told not to: vLLM takes them from the model's
generation_config.json, llama.cpp has top_k 40 and min_p 0.05 of its own. 0 is no truncation, 1 no penalty."""
FIRST_BACKOFF_S, MOST_BACKOFF_S = 0.5, 30.0
_TRANSIENT = frozenset({408, 409, 425, 429})
_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_TOO_LONG = re.compile(
    r"context_length_exceeded|maximum context length|context (?:window|size|length)|too many tokens|prompt is too long|"
    r"maximum model length|max_model_len|longer than the maximum",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A request that is to be sent again."""

    detail: str
    retry_after_s: float | None = None
    may_have_cost: bool = False
    """Whether the server may have done the work all the same."""


@dataclass(slots=True)
class Dialect:
    """Which optional fields a server has refused so far; what it does not know it cannot do either."""

    dropped: set[str] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    def written(self, body: Mapping[str, Any], asked: frozenset[str]) -> dict[str, Any]:
        """The body in this server's words; what was `asked` for by the user stays as it is."""
        kept = {name: value for name, value in body.items() if name in asked or name not in self.dropped}
        changed = {name: value if name in asked else self.values.get(name, value) for name, value in kept.items()}
        return {self.renamed.get(name, name): value for name, value in changed.items()}

    def learn(self, sent: Mapping[str, Any], asked: frozenset[str], message: str) -> bool:
        """Whether the request is to be sent again in other words, now that the server refused it with this message."""
        if "max_tokens" in sent and "max_completion_tokens" in message:
            self.renamed["max_tokens"] = "max_completion_tokens"
            return True
        named = [f for f in (*OWN_DISTRIBUTION, "response_format") if f in sent and f not in asked and f in message]
        for name in named:
            if name == "top_k" and sent["top_k"] == 0 and "-1" in message:
                self.values["top_k"] = -1  # how older vLLM and SGLang write "no truncation"
            else:
                self.dropped.add(name)
        return bool(named)


def backoff_s(attempt: int, first_s: float, randomness: random.Random) -> float:
    """Seconds before the next attempt, 0 for the first: exponential with full jitter.

    Source: Brooker 2015, Exponential backoff and jitter (AWS Architecture Blog), "full jitter".
    """
    return randomness.uniform(0.0, min(MOST_BACKOFF_S, first_s * 2.0 ** min(attempt, 20)))


def retry_after_s(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds that the server asks to wait: `retry-after-ms`, or `Retry-After` as seconds or an HTTP date; None for neither.

    >>> retry_after_s({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, now=50.0)
    10.0
    """
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        return seconds if 0 <= seconds < float("inf") else None
    try:
        date = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    return max(0.0, date.timestamp() - (time.time() if now is None else now))


def status_trouble(error: APIStatusError) -> Trouble | None:
    """What to wait for if this status is worth another attempt; None if it is not."""
    if error.status_code < 500 and (error.status_code not in _TRANSIENT or error.code in _MONEY):
        return None
    return Trouble(f"status {error.status_code}: {_said(error)}", retry_after_s(error.response.headers))


def fatal_error(error: APIStatusError, *, model: str, where: str, scoring: bool) -> PluralignError:
    """The error that a request ends the run with: the server's words, and what to do."""
    said, status = _said(error), error.status_code
    if status == 413 or (status in (400, 422) and _TOO_LONG.search(f"{error.code} {said}")):
        return DataError("context too long", f"{where}: the server says: {said}; leave out examples or shorten its texts.")
    ways = ""
    if status in (401, 403):
        ways = " Set OPENAI_API_KEY to a key that this server takes."
    elif error.code in _MONEY:
        ways = " The account has no money left; finished requests are kept."
    elif status == 404:
        ways = f" Check the name {model!r} (GET BASE_URL/models lists what is served) and --base-url, which often ends in /v1."
    elif scoring:
        ways = (
            " Not every server takes what scoring needs (echo, logprobs, token ids); ways round: --elicit sampling, --elicit "
            "verbalised, no --tokenizer for a server that takes no token ids, or the model itself (hf/..., vllm/...)."
        )
    return ModelError(f"openai/{model}, {where}: the server replied {status}: {said}.{ways}")


def _said(error: APIStatusError) -> str:
    body: Any = error.body
    for name in ("error", "message", "detail"):
        if isinstance(body, Mapping) and body.get(name):
            body = body[name]
    text = body if isinstance(body, str) and body else error.message
    return (text if len(text) <= 600 else text[:600] + "...").rstrip(".")
