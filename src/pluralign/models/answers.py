"""What models answered, as JSON values that a cache can hold, and the keys under which they are held.

Numbers come back exactly: JSON's decimals of a float64 are those that name it alone. A failure has no JSON value, because it
is never kept. Minus infinity, which JSON does not have, is written as null.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pluralign.models.protocol import OptionLogprobs, OutputLogprobs, Sample

__all__ = [
    "options_from_json",
    "options_to_json",
    "outputs_from_json",
    "outputs_to_json",
    "request_key",
    "sample_from_json",
    "sample_to_json",
]

KEYS = "pluralign 1"
"""Raised when what is kept under a key changes its form."""


def request_key(fingerprint: str, verb: str, request: bytes, parameters: Mapping[str, Any] | None = None) -> bytes:
    """SHA-256 of all that an answer depends on: the model, the verb, what the model reads, and the verb's parameters.

    >>> request_key("m", "sample", b"ab", {"seed": 1}) == request_key("m", "sample", b"ab", {"seed": 2})
    False
    """
    written = json.dumps(dict(parameters or {}), sort_keys=True, separators=(",", ":"))
    whole = hashlib.sha256()
    for part in (KEYS.encode(), fingerprint.encode(), verb.encode(), request, written.encode()):
        whole.update(len(part).to_bytes(8, "little") + part)  # lengths, so that no text can move from one part to the next
    return whole.digest()


def options_to_json(answer: OptionLogprobs) -> dict[str, Any] | None:
    """None for a failure. The options themselves are those of the request."""
    if answer.outcome != "ok" or np.isnan(answer.logprobs).any():
        return None
    return {
        "logprobs": _to_list(answer.logprobs.tolist()),
        "elicitation": answer.elicitation,
        "counts": None if answer.counts is None else answer.counts.tolist(),
        "n_samples": answer.n_samples,
    }


def options_from_json(options: tuple[str, ...], value: Mapping[str, Any]) -> OptionLogprobs:
    """The answer, over the options that were asked for."""
    counts = value["counts"]
    return OptionLogprobs(
        options,
        np.array(_from_list(value["logprobs"]), dtype=np.float64),
        elicitation=value["elicitation"],
        counts=None if counts is None else np.array(counts, dtype=np.int64),
        n_samples=value["n_samples"],
    )


def outputs_to_json(answer: OutputLogprobs) -> dict[str, Any] | None:
    """None for a failure."""
    if answer.outcome != "ok" or np.isnan(answer.logprobs).any():
        return None
    return {
        "example_index": answer.example_index.tolist(),
        "logprobs": _to_list(answer.logprobs.tolist()),
        "n_tokens": answer.n_tokens.tolist(),
        "is_argmax": answer.is_argmax.tolist(),
    }


def outputs_from_json(value: Mapping[str, Any]) -> OutputLogprobs:
    """The answer."""
    return OutputLogprobs(
        example_index=np.array(value["example_index"], dtype=np.int64),
        logprobs=np.array(_from_list(value["logprobs"]), dtype=np.float64),
        n_tokens=np.array(value["n_tokens"], dtype=np.int64),
        is_argmax=np.array(value["is_argmax"], dtype=np.bool_),
    )


def sample_to_json(sample: Sample) -> list[Any] | None:
    """None for a failure. A refusal is one too: another attempt may bring another."""
    if sample.finish_reason not in ("stop", "length"):
        return None
    logprob = None if sample.logprob is None or not math.isfinite(sample.logprob) else sample.logprob
    return [sample.text, sample.finish_reason, sample.n_tokens, logprob]


def sample_from_json(value: Sequence[Any]) -> Sample:
    """The sample."""
    text, finish_reason, n_tokens, logprob = value
    return Sample(text, finish_reason, n_tokens, logprob)


def _to_list(logprobs: Sequence[float]) -> list[float | None]:
    return [None if value == -math.inf else value for value in logprobs]


def _from_list(logprobs: Sequence[float | None]) -> list[float]:
    return [-math.inf if value is None else value for value in logprobs]
