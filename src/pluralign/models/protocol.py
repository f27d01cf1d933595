"""The seam to language models: three verbs over episodes, and what they give back.

    option_logprobs   log p(option and its end | the episode so far, the next input), for every option of every query
    output_logprobs   log p(output and its end | what stands before it), for every scored output of every episode, in one pass
    sample            n outputs for every query, each with the reason why it ended

A backend is one file with a class that has these methods; nothing is inherited. What a backend cannot do it refuses with a
`ModelError` that names the way round. All logarithms are natural, all probabilities are computed in float32 or better.

What came of a request is an outcome of its own: a reply that was refused, malformed or never came is kept as that, with NaN
where a number would be, and is never turned into an answer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from pluralign.episodes import Episode
from pluralign.errors import UsageError

__all__ = [
    "Elicitation",
    "FinishReason",
    "LanguageModel",
    "OptionLogprobs",
    "Outcome",
    "OutputLogprobs",
    "Query",
    "Sample",
    "SamplingSettings",
    "Usage",
    "renormalised",
]

Elicitation = Literal["logprobs", "sampling", "verbalised"]
"""Where a distribution came from: the model's own probabilities, counted samples, or a distribution that it wrote down."""
Outcome = Literal["ok", "refusal", "malformed", "failed"]
"""What came of a request: an answer; the model declined; it replied with something else; no reply after all attempts."""
FinishReason = Literal["stop", "length", "refusal", "failed"]
"""Why an output ended: its end was written; the limit cut it off; declined; no reply after all attempts."""

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def renormalised(logprobs: npt.NDArray[Any]) -> FloatArray:
    """Probabilities over the options alone, of log-probabilities [..., options]; NaN where none of them has any."""
    weights = np.exp(logprobs - np.max(logprobs, axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Query:
    """One question: what comes next in this episode.

    >>> coin = Episode("coin", (), description="A fair coin.", options=("heads", "tails"))
    >>> Query(coin).asked_options
    ('heads', 'tails')
    """

    episode: Episode
    """What is known: the description and the examples so far."""
    input: str | None = None
    """The next input; None where outputs answer nothing."""
    options: tuple[str, ...] | None = None
    """The closed set of answers, in place of the episode's own."""

    @property
    def given_options(self) -> tuple[str, ...] | None:
        """The query's own options, or else the episode's; None where it has a closed set neither here nor there."""
        return self.episode.options if self.options is None else self.options

    @property
    def asked_options(self) -> tuple[str, ...]:
        """The options that are asked for; raises UsageError where there are none."""
        options = self.given_options
        if not options:
            raise UsageError(
                f"a query about the episode {self.episode.task!r} has no options; give it a closed set of answers."
            )
        return options


@dataclass(frozen=True, slots=True, eq=False)
class OptionLogprobs:
    """The distribution over a query's options; all of it NaN unless the outcome is "ok"."""

    options: tuple[str, ...]
    logprobs: FloatArray
    """log p(option and its end), nats [options]; minus infinity for one that no sample gave."""
    elicitation: Elicitation = "logprobs"
    outcome: Outcome = "ok"
    detail: str = ""
    """What went wrong, for people."""
    counts: IntArray | None = None
    """Elicitation by sampling: samples that gave each option [options]."""
    n_samples: int | None = None
    """Elicitation by sampling: all samples, with those that gave no option."""

    @property
    def covered_mass(self) -> float:
        """The probability that the output is one of the options, 0..1; what is missing lies outside."""
        return float(np.exp(self.logprobs).sum())

    @property
    def outside_mass(self) -> float:
        """The probability of everything that is not an option."""
        return 1.0 - self.covered_mass

    @property
    def probabilities(self) -> FloatArray:
        """Renormalised over the options [options]; NaN where none has any probability."""
        return renormalised(self.logprobs)


@dataclass(frozen=True, slots=True, eq=False)
class OutputLogprobs:
    """The scored outputs of one episode, in order: all but the first, and that too where a description stands before it."""

    example_index: IntArray
    """Which example of the episode [scored]; it is also the number k of examples that stand before."""
    logprobs: FloatArray
    """log p(output and its end | all before it), nats [scored]."""
    n_tokens: IntArray
    """Tokens of the output, its end included [scored]."""
    is_argmax: BoolArray
    """Whether every token of the output was the most probable one [scored]."""
    outcome: Outcome = "ok"
    """For the episode as a whole; where it is another, the arrays are empty."""
    detail: str = ""
    """What went wrong, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingSettings:
    """How outputs are drawn. The defaults draw from the model's own distribution: no truncation, temperature 1."""

    n: int = 1
    max_tokens: int = 256
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n < 1 or self.max_tokens < 1:
            raise UsageError(f"n and max_tokens must be at least 1, not {self.n} and {self.max_tokens}.")
        if not self.temperature > 0:
            raise UsageError(f"temperature must be above 0, not {self.temperature}; for the mode, score the options.")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top_p must be in (0, 1], not {self.top_p}.")
        if self.top_k is not None and self.top_k < 1:
            raise UsageError(f"top_k must be at least 1, not {self.top_k}; leave it out for no truncation.")


@dataclass(frozen=True, slots=True)
class Sample:
    """One output that was drawn."""

    text: str
    finish_reason: FinishReason
    n_tokens: int | None = None
    """Tokens of the output with its end; None where the server does not say."""
    logprob: float | None = None
    """Nats, of text and end, under the distribution that was drawn from; None where the server does not say."""
    detail: str = ""


@dataclass(slots=True)
class Usage:
    """What a model was asked for so far; counts add up."""

    tokens_needed: int = 0
    """Local models: different tokens that some answer depends on, each counted once."""
    tokens_computed: int = 0
    """Local models: tokens that went through the model, padding included."""
    prompt_tokens: int = 0
    """Servers: as they say."""
    output_tokens: int = 0
    """Drawn tokens, or as servers say."""
    requests: int = 0
    """Servers: requests sent, with those sent again."""
    retries: int = 0
    cached: int = 0
    """Answers that were remembered."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, f.name) + getattr(other, f.name) for f in dataclasses.fields(self)))

    def __sub__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, f.name) - getattr(other, f.name) for f in dataclasses.fields(self)))


class LanguageModel(Protocol):
    """A conditional distribution over texts. Lists come back in the order of what was asked, one entry each."""

    @property
    def name(self) -> str:
        """As it was opened: "hf/folder"."""
        ...

    @property
    def usage(self) -> Usage:
        """What this object has been asked for so far."""
        ...

    def fingerprint(self) -> str:
        """Equal for two models only if equal requests may be given one another's answers: revision, precision, ..."""
        ...

    def request_bytes(self, asked: Sequence[Query | Episode]) -> list[bytes]:
        """What the model would read of each: token ids, or messages. Equal bytes get equal answers."""
        ...

    def option_logprobs(self, queries: Sequence[Query]) -> list[OptionLogprobs]:
        """Raises UsageError for a query without options, DataError for options that cannot be told apart."""
        ...

    def output_logprobs(self, episodes: Sequence[Episode]) -> list[OutputLogprobs]:
        """Teacher-forced: one pass gives every number of examples k = 0..n - 1."""
        ...

    def sample(self, queries: Sequence[Query], settings: SamplingSettings) -> list[list[Sample]]:
        """`settings.n` outputs a query; those of a query do not depend on what else is asked."""
        ...
