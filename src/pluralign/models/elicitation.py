"""Two ways to a distribution where a server gives no log-probabilities: counting samples, and asking for the numbers.

How a distribution is elicited changes it, so answers say which way was used (`OptionLogprobs.elicitation`).

sampling     n outputs are drawn; one is an option if it is that option's text, blanks around it aside, and nothing else. What
             matches no option is counted: it lies outside. log(count / n) is a maximum-likelihood estimate: an option that was
             never drawn has minus infinity, and at n = 30 a share of 0.5 has a standard error of 0.09.
verbalised   the model is asked to write down how probable each option is, as JSON. This measures what it says, not what it
             does: the two differ (Meister, Guestrin and Hashimoto 2024, arXiv 2411.05403; Tian et al. 2023, arXiv 2305.14975).

The wording of the request is ours.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from pluralign.models.protocol import OptionLogprobs, Sample

__all__ = [
    "Malformed",
    "counted",
    "output_room",
    "parse_verbalised",
    "stated",
    "verbalised_messages",
    "verbalised_request",
    "verbalised_room",
]

SUM_TOLERANCE = 0.02
"""By which stated probabilities may miss 1, as rounded ones do; they are divided by their sum. Further off is malformed."""
_SHARES = TypeAdapter(dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]])
_FENCE = re.compile(r"```(?:json)?\s*\n(.*)\n\s*```", re.DOTALL)


class Malformed(Exception):
    """What the model wrote is no distribution over the options."""


def output_room(options: Sequence[str]) -> int:
    """Tokens that the longest option fits in with its end: no tokenizer makes more tokens than there are bytes."""
    return max(16, max(len(option.encode()) for option in options) + 4)


def counted(options: tuple[str, ...], samples: Sequence[Sample]) -> OptionLogprobs:
    """Shares of the samples that are each option, with the counts.

    A refusal or another text is a sample that is no option; if all were refused the outcome is that, and if one never came
    there is no distribution, since what is missing need not be like the rest.
    """
    lost = [sample for sample in samples if sample.finish_reason == "failed"]
    if lost:
        detail = f"{len(lost)} of {len(samples)} samples never came: {lost[0].detail}"
        return _nothing(options, "sampling", "failed", detail)
    if all(sample.finish_reason == "refusal" for sample in samples):
        return _nothing(options, "sampling", "refusal", f"all {len(samples)} samples were refused: {samples[0].detail}")
    texts = [sample.text.strip() for sample in samples if sample.finish_reason == "stop"]
    counts = np.array([texts.count(option.strip()) for option in options], dtype=np.int64)
    with np.errstate(divide="ignore"):
        logprobs = np.log(counts / len(samples))
    refused = sum(sample.finish_reason == "refusal" for sample in samples)
    other = len(samples) - int(counts.sum()) - refused
    detail = ", ".join(f"{n} {what}" for n, what in ((other, "matched no option"), (refused, "were refused")) if n)
    return OptionLogprobs(options, logprobs, elicitation="sampling", detail=detail, counts=counts, n_samples=len(samples))


def verbalised_messages(messages: Sequence[Mapping[str, str]], options: Sequence[str]) -> list[dict[str, str]]:
    """The messages that ask for the next output, made into a request for the probabilities of the options."""
    *before, last = ({"role": message["role"], "content": message["content"]} for message in messages)
    return [*before, {"role": last["role"], "content": verbalised_request(last["content"], options)}]


def verbalised_request(asked: str, options: Sequence[str]) -> str:
    """What asks for the next output, made into a request for the probabilities of the options."""
    listed = json.dumps(list(options), ensure_ascii=False)
    return (
        f"{asked}\n\n---\nDo not give the output itself. Estimate how probable each of these texts is as the next "
        f"output: {listed}\nReply with one JSON object and nothing else. Its keys are exactly these texts, its values "
        "probabilities between 0 and 1 that sum to 1."
    )


def verbalised_room(options: Sequence[str]) -> int:
    """Tokens for the JSON object: every byte of the options may be one, escapes may double them."""
    return 64 + sum(2 * len(option.encode()) + 24 for option in options)


def parse_verbalised(text: str, options: Sequence[str]) -> list[float]:
    """The stated probabilities [options], summing to 1. Raises Malformed for all else than such an object.

    The object may stand in one Markdown code block, as chat models write JSON; nothing may stand beside it.

    >>> parse_verbalised('{"no": 0.25, "yes": 0.75}', ["yes", "no"])
    [0.75, 0.25]
    """
    whole = text.strip()
    if fenced := _FENCE.fullmatch(whole):
        whole = fenced.group(1)
    try:
        stated = json.loads(whole, object_pairs_hook=_without_doubles, parse_constant=_no_constant)
        shares = _SHARES.validate_python(stated, strict=True)
    except ValidationError as error:
        raise Malformed(f"not an object of probabilities: {error.errors(include_url=False)[0]['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from error
    unknown, missing = set(shares) - set(options), set(options) - set(shares)
    if unknown or missing:
        raise Malformed(
            f"keys are not the options: {len(missing)} missing {sorted(missing)[:3]}, unknown {sorted(unknown)[:3]}"
        )
    total = math.fsum(shares.values())
    if abs(total - 1) > SUM_TOLERANCE:
        raise Malformed(f"the probabilities sum to {total:.4g}")
    return [shares[option] / total for option in options]


def stated(options: tuple[str, ...], shares: Sequence[float]) -> OptionLogprobs:
    """A parsed distribution; it has no mass outside the options, since it was asked for over them."""
    with np.errstate(divide="ignore"):
        return OptionLogprobs(options, np.log(np.array(shares, dtype=np.float64)), elicitation="verbalised")


def _nothing(options: tuple[str, ...], elicitation: Any, outcome: Any, detail: str) -> OptionLogprobs:
    return OptionLogprobs(options, np.full(len(options), np.nan), elicitation, outcome, detail)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no probability")
