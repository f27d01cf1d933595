"""Verbalized sampling, a baseline without training: ask for several outputs with their probabilities, and draw one of them.

    a prompt ──> a request for k outputs ──> k lines of JSON ──> one output, drawn by the probabilities that were written

Each output comes from a request of its own, so outputs are independent draws from one law, as those of direct sampling are, and
all measures and intervals hold for both. The prompt goes into the input as one JSON object, in which its texts are strings and
nothing else, so no text of the data can pass for a part of the request.

Source: Zhang et al. 2025, Verbalized Sampling (arXiv 2510.01171): k = 5. The wording is ours.
Departures: one output is drawn of each reply, where all k may be taken to save requests; a reply is parsed strictly, and one
that is not as asked is an outcome of its own, "malformed". What is missing: the multi-turn variant.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pluralign.episodes import Episode
from pluralign.errors import UsageError
from pluralign.models import LanguageModel, Query, Sample, SamplingSettings
from pluralign.models.elicitation import Malformed
from pluralign.streams import stream

__all__ = [
    "Candidate",
    "Generation",
    "GenerationOutcome",
    "drawn_candidate",
    "generation_of",
    "parse_candidates",
    "verbalized_generations",
    "verbalized_query",
    "verbalized_room",
]

GenerationOutcome = Literal["ok", "unfinished", "refusal", "malformed", "failed"]
"""A whole output; one that the limit cut off; the model declined; a reply in another form; no reply after all attempts."""

K = 5
SUM_TOLERANCE = 0.02
"""By which the probabilities may sum to more than 1, as rounded ones do; less than 1 is what is asked for."""
_FENCE = re.compile(r"```(?:jsonl?)?[ \t]*\n(.*)\n[ \t]*```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Generation:
    """One output, and what came of asking for it."""

    text: str
    outcome: GenerationOutcome
    finish_reason: str
    n_tokens: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An output that the model wrote down, and how probable it said that it is."""

    text: str
    probability: float


def generation_of(sample: Sample) -> Generation:
    """The generation that a sample is; one that reached the limit is unfinished, whatever it says."""
    outcomes: dict[str, GenerationOutcome] = {"stop": "ok", "length": "unfinished", "refusal": "refusal", "failed": "failed"}
    return Generation(sample.text, outcomes[sample.finish_reason], sample.finish_reason, sample.n_tokens, sample.detail)


def verbalized_query(query: Query, k: int = K) -> Query:
    """The request for k possible outputs in place of the next one. Raises UsageError for k below 1."""
    if k < 1:
        raise UsageError(f"verbalized sampling asks for at least 1 output in a reply, not {k}.")
    description = (
        "What comes in is one JSON object that says what is known of a process: its description, the outputs that it has given "
        f"so far, its next input. What goes out is {k} different outputs that the process might give next, one a line, and "
        'nothing else. Each line is one JSON object {"text": ..., "probability": ...}: the text of the output, exactly as the '
        "process would give it, and the probability, from 0 to 1, that the process gives it."
    )
    episode = query.episode
    known: dict[str, Any] = {
        "description": episode.description,
        "outputs": [
            one.output if one.input is None else {"input": one.input, "output": one.output} for one in episode.examples
        ],
        "input": query.input,
    }
    told = json.dumps({name: value for name, value in known.items() if value}, ensure_ascii=False)
    return Query(Episode(episode.task, (), description=description, unit=episode.unit), told)


def verbalized_room(max_tokens: int, k: int = K) -> int:
    """Tokens for a reply: k outputs of the given length, whose characters may need escapes, and what JSON puts around each."""
    return 32 + k * (2 * max_tokens + 32)


def parse_candidates(text: str, k: int = K) -> list[Candidate]:
    """The k outputs of a reply. Raises Malformed for all else than k lines with such an object each.

    The lines may stand in one Markdown code block, as chat models write JSON; nothing may stand beside it. Probabilities lie in
    0..1, and sum to more than 0 and at most 1.02.

    >>> parse_candidates('{"text": "heads", "probability": 0.5}', 1)
    [Candidate(text='heads', probability=0.5)]
    """
    whole = text.strip()
    if fenced := _FENCE.fullmatch(whole):
        whole = fenced.group(1)
    lines = [line for line in whole.split("\n") if line.strip()]
    if len(lines) != k:
        raise Malformed(f"{len(lines)} lines, where {k} were asked for")
    found = [_candidate(line, number) for number, line in enumerate(lines, 1)]
    total = math.fsum(one.probability for one in found)
    if not 0 < total <= 1 + SUM_TOLERANCE:
        raise Malformed(f"the probabilities sum to {total:.4g}")
    return found


def drawn_candidate(candidates: Sequence[Candidate], rng: np.random.Generator) -> str:
    """The text of one of them, by their probabilities over their sum."""
    ends = np.cumsum([one.probability for one in candidates])
    place = int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))
    return candidates[min(place, len(candidates) - 1)].text


def verbalized_generations(
    model: LanguageModel, queries: Sequence[Query], settings: SamplingSettings, *, k: int = K
) -> list[list[Generation]]:
    """`settings.n` outputs for each query, each drawn from a reply of its own [queries][n].

    `settings.max_tokens` is that of an output; replies get `verbalized_room`. Which candidate is drawn depends on seed, query
    and number alone.
    """
    asked = [verbalized_query(query, k) for query in queries]
    room = dataclasses.replace(settings, max_tokens=verbalized_room(settings.max_tokens, k))
    replies = model.sample(asked, room)
    return [
        [_generation(one, k, settings.seed, query, number) for number, one in enumerate(some)]
        for query, some in zip(asked, replies, strict=True)
    ]


def _generation(reply: Sample, k: int, seed: int, query: Query, number: int) -> Generation:
    if reply.finish_reason != "stop":
        return dataclasses.replace(generation_of(reply), text="")
    try:
        candidates = parse_candidates(reply.text, k)
    except Malformed as fault:
        return Generation("", "malformed", "stop", reply.n_tokens, f"{fault}; the reply begins {reply.text[:80]!r}")
    rng = stream(seed, "verbalized", query.episode.content_hash(), query.input or "", number)
    return Generation(drawn_candidate(candidates, rng), "ok", "stop", reply.n_tokens)


def _candidate(line: str, number: int) -> Candidate:
    try:
        fields = json.loads(line, object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"line {number} is not JSON: {error}") from error
    if not isinstance(fields, dict) or set(fields) != {"text", "probability"}:
        raise Malformed(f"line {number} is not an object with the keys text and probability")
    text, probability = fields["text"], fields["probability"]
    if not isinstance(text, str):
        raise Malformed(f"line {number}: the text is {text!r:.40}")
    if isinstance(probability, bool) or not isinstance(probability, int | float) or not 0 <= probability <= 1:
        raise Malformed(f"line {number}: the probability is {probability!r:.40}")
    return Candidate(text, float(probability))


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)
