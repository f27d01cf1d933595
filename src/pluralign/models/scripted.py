"""A model whose distribution is known: for tests, of this package and of yours, and to try a command without any model.

Its distribution is a function from a query to the probabilities of some texts; what is missing to 1 lies outside them, on
texts that are spelled character by character. All three verbs follow it exactly. A text's tokens are its characters and its
end. Faults can be injected; `seed` and the request alone decide which requests they befall, so every run has the same.
"""

from __future__ import annotations

import hashlib
import json
import math
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from pluralign.episodes import Episode
from pluralign.errors import DataError, ModelError, UsageError, nearest_name
from pluralign.models.protocol import (
    OptionLogprobs,
    OutputLogprobs,
    Query,
    Sample,
    SamplingSettings,
    Usage,
)
from pluralign.models.queries import queries_of

__all__ = ["Distribution", "Fault", "ScriptedModel", "learned_shares", "spelled_logprob"]

Distribution = Callable[[Query], Mapping[str, float]]
"""Probabilities of some texts; together at most 1."""
Fault = Literal["refusal", "malformed", "failed"]

OUTSIDE = 0.1
"""Probability that `learned_shares` leaves outside the options."""
_END = 1 / 8
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_LETTER = (1 - _END) * 31 / 32 / len(_LETTERS)
_SURROGATES = range(0xD800, 0xE000)
_N_OTHERS = 0x110000 - len(_SURROGATES) - 1 - len(_LETTERS)
_OTHER = (1 - _END) / 32 / _N_OTHERS


def learned_shares(query: Query) -> dict[str, float]:
    """What was seen so far, smoothed: the default distribution.

    With K options and n examples, of which c gave this option: 0.9 (c + 1) / (n + K), and 0.1 for all other texts. Without
    options each output so far has c / (n + 1), and 1 / (n + 1) is for what has not been seen. Inputs are not looked at.

    >>> from pluralign.episodes import Example
    >>> learned_shares(Query(Episode("coin", (Example("heads"), Example("heads")), options=("heads", "tails"))))
    {'heads': 0.675, 'tails': 0.225}
    """
    seen = Counter(example.output for example in query.episode.examples)
    options = query.given_options
    if not options:
        return {text: count / (seen.total() + 1) for text, count in seen.items()}
    n = sum(seen[option] for option in options) + len(options)
    return {option: (1 - OUTSIDE) * (seen[option] + 1) / n for option in options}


def spelled_logprob(text: str) -> float:
    """log p of a text that is spelled, nats: any text has one.

    At each place comes the end with probability 1/8, else with 31/32 one of the small Latin letters, else any other
    character (of Unicode, without NUL and surrogates), each as probable as the other.
    """
    n_letters = sum(character in _LETTERS for character in text)
    return math.log(_END) + n_letters * math.log(_LETTER) + (len(text) - n_letters) * math.log(_OTHER)


class ScriptedModel:
    """The three verbs over a known distribution.

    `revision` names the distribution for caches and run folders; without one, a distribution of your own is taken for
    another in every process. `faults` are probabilities: a refusal, a malformed reply (not of samples, where any text will
    do), no reply. `fail_after` requests comes a ModelError, as when a server goes away; `delay_s` is slept for each request.

    >>> from pluralign.episodes import Example
    >>> coin = Query(Episode("coin", (Example("heads"),), options=("heads", "tails")))
    >>> [answer] = ScriptedModel(lambda query: {"heads": 0.5, "tails": 0.25}).option_logprobs([coin])
    >>> np.exp(answer.logprobs).round(3).tolist(), answer.outside_mass
    ([0.5, 0.25], 0.25)
    """

    def __init__(
        self,
        distribution: Distribution = learned_shares,
        *,
        revision: str | None = None,
        faults: Mapping[Fault, float] | None = None,
        fail_after: int | None = None,
        delay_s: float = 0.0,
        seed: int = 0,
        name: str = "scripted",
    ) -> None:
        self.name = name
        self.distribution = distribution
        self.faults = _checked_faults(faults or {})
        self.fail_after = fail_after
        self.delay_s = delay_s
        self.seed = seed
        self.usage = Usage()
        own = "learned_shares 1" if distribution is learned_shares else secrets.token_hex(16)
        self._revision = revision or own

    @classmethod
    def open(cls, rest: str) -> ScriptedModel:
        """The model of a name like "scripted/refusal=0.1,delay_s=0.01": faults and settings behind the slash.

        Known are refusal, malformed, failed (probabilities), fail_after (requests), delay_s (seconds) and seed.
        """
        given = dict(_settings(rest))
        return cls(
            faults={fault: float(given[fault]) for fault in get_args(Fault) if fault in given},
            fail_after=int(given["fail_after"]) if "fail_after" in given else None,
            delay_s=float(given.get("delay_s", 0.0)),
            seed=int(given.get("seed", 0)),
            name=f"scripted/{rest}" if rest else "scripted",
        )

    def fingerprint(self) -> str:
        """Of the distribution; faults do not count, since no failure is an answer."""
        return f"scripted {self._revision}"

    def request_bytes(self, asked: Sequence[Query | Episode]) -> list[bytes]:
        """All that the distribution may look at, as JSON."""
        return [_written(one) for one in asked]

    def option_logprobs(self, queries: Sequence[Query]) -> list[OptionLogprobs]:
        """The function's own probabilities; see `LanguageModel`."""
        for query in queries:
            _check_options(query.asked_options)
        return [self._option_logprobs(query) for query in queries]

    def output_logprobs(self, episodes: Sequence[Episode]) -> list[OutputLogprobs]:
        """Every scored output by the distribution of the query that stands before it; see `LanguageModel`."""
        return [self._output_logprobs(episode) for episode in episodes]

    def sample(self, queries: Sequence[Query], settings: SamplingSettings) -> list[list[Sample]]:
        """Draws, each from random numbers of its own, keyed by seed, query and sample number.

        Raises ModelError for settings that would bend the distribution. A text that is cut off has no log-probability.
        """
        if (settings.temperature, settings.top_p, settings.top_k) != (1.0, 1.0, None):
            raise ModelError("the scripted model draws from its distribution as it is: leave out temperature, top_p and top_k.")
        return [[self._sample(query, settings, number) for number in range(settings.n)] for query in queries]

    def logprob(self, query: Query, text: str) -> float:
        """log p(text and its end | query), nats."""
        return _logprob(self._shares(query), text)

    def _option_logprobs(self, query: Query) -> OptionLogprobs:
        options = query.asked_options
        if fault := self._asked("options", query):
            return OptionLogprobs(options, np.full(len(options), np.nan), outcome=fault, detail="injected")
        shares = self._shares(query)
        return OptionLogprobs(options, np.array([_logprob(shares, option) for option in options]))

    def _output_logprobs(self, episode: Episode) -> OutputLogprobs:
        fault = self._asked("outputs", episode)
        asked = [] if fault else queries_of(episode, at="all")
        truths = [(one.true_output or "", self._shares(one.query)) for one in asked]
        return OutputLogprobs(
            example_index=np.array([one.example_index for one in asked], dtype=np.int64),
            logprobs=np.array([_logprob(shares, text) for text, shares in truths], dtype=np.float64),
            n_tokens=np.array([len(text) + 1 for text, _ in truths], dtype=np.int64),
            is_argmax=np.array([text == _mode(shares) for text, shares in truths], dtype=np.bool_),
            outcome=fault or "ok",
            detail="injected" if fault else "",
        )

    def _sample(self, query: Query, settings: SamplingSettings, number: int) -> Sample:
        fault = self._asked("sample", query, number)
        if fault == "refusal" or fault == "failed":
            return Sample("", fault, detail="injected")
        shares = self._shares(query)
        text = _drawn(shares, np.random.Generator(np.random.Philox(key=_number(f"draw {settings.seed} {number}", query))))
        self.usage.output_tokens += min(len(text) + 1, settings.max_tokens)
        if len(text) + 1 > settings.max_tokens:
            return Sample(text[: settings.max_tokens], "length", settings.max_tokens)
        return Sample(text, "stop", len(text) + 1, _logprob(shares, text))

    def _shares(self, query: Query) -> Mapping[str, float]:
        shares = self.distribution(query)
        if not all(p >= 0 for p in shares.values()) or sum(shares.values()) > 1 + 1e-9:
            raise UsageError(
                f"the scripted distribution gives {dict(shares)}: probabilities are at least 0, together at most 1."
            )
        return shares

    def _asked(self, verb: str, request: Query | Episode, number: int = 0) -> Fault | None:
        """Counts the request, and says what befalls it."""
        if self.fail_after is not None and self.usage.requests >= self.fail_after:
            raise ModelError(f"{self.name}: gone after {self.fail_after} requests (fail_after).")
        time.sleep(self.delay_s)
        self.usage.requests += 1
        self.usage.prompt_tokens += sum(map(len, _texts(request)))
        place = _number(f"fault {self.seed} {verb} {number}", request) / 2**128
        for fault, probability in self.faults.items():
            place -= probability
            if place < 0:
                return None if verb == "sample" and fault == "malformed" else fault
        return None


def _logprob(shares: Mapping[str, float], text: str) -> float:
    if text in shares:
        return math.log(shares[text]) if shares[text] > 0 else -math.inf
    outside = 1 - sum(shares.values())
    if outside <= 1e-12:
        return -math.inf
    spelled_but_listed = sum(math.exp(spelled_logprob(listed)) for listed in shares)  # is spelled again
    return math.log(outside) + spelled_logprob(text) - math.log(1 - spelled_but_listed)


def _mode(shares: Mapping[str, float]) -> str:
    """The most probable text, the first of equal ones; among spelled ones none is above the empty one and single letters."""
    texts: list[str] = [*shares, "", *_LETTERS]
    logprobs = [_logprob(shares, text) for text in texts]
    return texts[logprobs.index(max(logprobs))]


def _drawn(shares: Mapping[str, float], rng: np.random.Generator) -> str:
    place = rng.random()
    for text, probability in shares.items():
        place -= probability
        if place < 0:
            return text
    while (text := _spelled(rng)) in shares:
        pass
    return text


def _spelled(rng: np.random.Generator) -> str:
    characters: list[str] = []
    while rng.random() >= _END:
        if rng.random() < 31 / 32:
            characters.append(_LETTERS[int(rng.integers(len(_LETTERS)))])
        else:
            characters.append(_other(rng))
    return "".join(characters)


def _other(rng: np.random.Generator) -> str:
    while True:
        code = int(rng.integers(1, 0x110000))
        if code not in _SURROGATES and chr(code) not in _LETTERS:
            return chr(code)


def _number(purpose: str, request: Query | Episode) -> int:
    """128 bits of a hash."""
    digest = hashlib.sha256(purpose.encode() + b"\0" + _written(request)).digest()
    return int.from_bytes(digest[:16], "little")


def _written(one: Query | Episode) -> bytes:
    if isinstance(one, Episode):
        content: dict[str, Any] = {"episode": one.to_dict()}
    else:
        content = {"episode": one.episode.to_dict(), "input": one.input, "options": one.options}
    return json.dumps(content, sort_keys=True).encode()


def _texts(one: Query | Episode) -> Iterator[str]:
    episode = one if isinstance(one, Episode) else one.episode
    yield episode.description or ""
    for example in episode.examples:
        yield from (example.input or "", example.output)
    if isinstance(one, Query):
        yield one.input or ""


def _check_options(options: tuple[str, ...]) -> None:
    if len(set(options)) < len(options):
        raise UsageError(f"options must be a list of different texts, not {list(options)[:12]}")
    if "" in options:
        raise DataError("options", "option '' has no tokens in this tokenizer; reword it.")


def _checked_faults(faults: Mapping[Fault, float]) -> dict[Fault, float]:
    for fault in faults:
        if fault not in get_args(Fault):
            raise UsageError(f"fault {nearest_name(fault, get_args(Fault))}")
    if not all(0 <= p <= 1 for p in faults.values()) or sum(faults.values()) > 1:
        raise UsageError(f"faults have probabilities of 0..1, together at most 1, not {dict(faults)}.")
    return {fault: faults[fault] for fault in get_args(Fault) if fault in faults}


def _settings(rest: str) -> Iterator[tuple[str, str]]:
    known = {*get_args(Fault), "fail_after", "delay_s", "seed"}
    for part in rest.split(",") if rest else []:
        name, _, value = part.partition("=")
        if name not in known:
            raise UsageError(f"model 'scripted/{rest}': {nearest_name(name, known)}; write scripted/NAME=NUMBER,NAME=NUMBER")
        try:
            (int if name in ("fail_after", "seed") else float)(value)
        except ValueError:
            raise UsageError(f"model 'scripted/{rest}': {name} must be a number, not {value!r}") from None
        yield name, value
