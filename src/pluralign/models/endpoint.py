"""Models behind an OpenAI-compatible server: openai/NAME, with the openai package (the extra `api`).

What is asked, and what each number includes:

scoring over completions    the prompt and what is scored are sent together with echo and log-probabilities, and those of the
                            scored tokens are added: log p(option and its end | prompt). One request an option, one an episode.
scoring over chat           options only, and only those of one token: log p(the reply's first token spells the option), from
                            the 20 most probable first tokens. The end is not included: a chat server says nothing of tokens
                            behind one that it did not draw. So this is an upper bound of log p(option and its end), and a reply
                            like "yes, but" counts as "yes". The reply that was drawn (two tokens) shows whether it went on; if
                            so, `detail` says it. Blanks around the token are not looked at, as in elicitation.
elicitation                 by sampling or verbalised: see `elicitation`; the end is included, since whole replies are read.

What a server does not give is an error that names these ways, or an outcome of its own, and never a number.

Each sample is a request of its own, with a seed of its own made of the run's seed, the request and the sample's number, so that
a run that stopped goes on where it was. Hosted servers charge the prompt for each; those with a prefix cache compute it once.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pluralign.episodes import Episode
from pluralign.errors import ModelError, UsageError
from pluralign.models.answers import request_key
from pluralign.models.elicitation import (
    Malformed,
    counted,
    output_room,
    parse_verbalised,
    stated,
    verbalised_messages,
    verbalised_room,
)
from pluralign.models.endpoint_client import Answer, Client, Job
from pluralign.models.endpoint_faults import OWN_DISTRIBUTION
from pluralign.models.endpoint_prompts import (
    Echo,
    Prompt,
    Writer,
    check_options,
    check_texts,
)
from pluralign.models.endpoint_replies import NoAnswer, Unreadable, read_echo, read_first_token, read_text
from pluralign.models.endpoint_settings import address, choose_writer, connector
from pluralign.models.opening import ModelSettings
from pluralign.models.protocol import Elicitation, OptionLogprobs, OutputLogprobs, Query, Sample, SamplingSettings, Usage

if TYPE_CHECKING:
    from pluralign.models.cache import ResponseCache

__all__ = ["EndpointModel"]

ASKING = 1
"""Raised when the same request may get another answer than before, so that remembered ones are not taken."""
TOP_TOKENS = 20
"""The most that OpenAI's interface allows."""
BATCH = 256
"""Queries that are tokenised together."""


class EndpointModel:
    """A model on a server. Made by `open_model("openai/...")`."""

    def __init__(self, name: str, writer: Writer, client: Client, settings: ModelSettings) -> None:
        self.name = f"openai/{name}"
        self.writer = writer
        self.client = client
        self.settings = settings

    @classmethod
    def open(cls, name: str, settings: ModelSettings, cache: ResponseCache | None) -> EndpointModel:
        """Nothing is sent yet. Raises MissingExtraError, or UsageError for settings that do not go together."""
        connect = connector(settings)
        client = Client(
            name,
            connect,
            cache,
            concurrency=settings.concurrency,
            timeout_s=settings.timeout_s,
            max_retries=settings.max_retries,
            max_tokens_total=settings.max_tokens_total,
        )
        return cls(name, choose_writer(settings), client, settings)

    @property
    def usage(self) -> Usage:
        """Requests, those sent again, answers from the cache, and tokens as the server counts them."""
        return replace(self.client.memory.usage)

    def fingerprint(self) -> str:
        """The server's address, the model's name, and how it is asked. What stands behind a name a server may change."""
        settings = self.settings
        parts = [ASKING, self.name, address(settings.base_url), self.writer.way, settings.format, settings.tokenizer]
        parts += [settings.revision, settings.elicit, settings.n_elicit]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def request_bytes(self, asked: Sequence[Query | Episode]) -> list[bytes]:
        """Token ids, text or messages of each as JSON, with the options."""
        found = []
        for one in asked:
            if isinstance(one, Query):
                written: Any = [self.writer.prompts([one])[0], one.given_options]
            else:
                echo = self.writer.episode_echoes([one])[0]
                written = [echo.prompt, echo.spans]
            found.append(_json(written))
        return found

    def option_logprobs(self, queries: Sequence[Query]) -> list[OptionLogprobs]:
        """Nats; what they include depends on the way, see the top of this file. The elicitation is that of the settings."""
        from_text = self.settings.elicit != "logprobs" or self.writer.path == "chat"
        check_options(queries, self.writer, read_from_text=from_text)
        check_texts(queries, self.writer)
        if self.settings.elicit == "sampling":
            return self._counted(queries)
        if self.settings.elicit == "verbalised":
            return self._verbalised(queries)
        return self._first_tokens(queries) if self.writer.path == "chat" else self._echoed_options(queries)

    def output_logprobs(self, episodes: Sequence[Episode]) -> list[OutputLogprobs]:
        """Nats, ends included; one request an episode. Raises ModelError for a chat server, which cannot do it."""
        check_texts(episodes, self.writer)
        echoes = _batched(episodes, self.writer.episode_echoes)
        keys, answers = self._ask(
            (n, self._echo_job("output_logprobs", echo, _where(n, episodes[n]), check_argmax=True))
            for n, echo in echoes
            if echo.spans
        )
        return [
            self._outputs(episode, answers[keys[n][0]]) if n in keys else _no_outputs() for n, episode in enumerate(episodes)
        ]

    def sample(self, queries: Sequence[Query], settings: SamplingSettings) -> list[list[Sample]]:
        """Outputs as the server drew them; `logprob` is None, since servers differ in what they count in.

        Servers are told to draw from the whole distribution (`OWN_DISTRIBUTION`) unless `settings` say otherwise. `top_k` is
        no part of OpenAI's interface: a server that does not know it either refuses it, which is an error, or, unlike those
        in docs/endpoints.md, ignores it.
        """
        check_texts(queries, self.writer)
        keys, answers = self._ask(self._sample_jobs(queries, settings))
        return [[_sample(answers[key]) for key in keys[n]] for n in range(len(queries))]

    # option log-probabilities

    def _echoed_options(self, queries: Sequence[Query]) -> list[OptionLogprobs]:
        jobs = (
            (n, self._echo_job("option_logprobs", echo, _where(n, queries[n].episode)))
            for n, echoes in _batched(queries, self.writer.option_echoes)
            for echo in echoes
        )
        keys, answers = self._ask(jobs)
        found = []
        for n, query in enumerate(queries):
            of_options = [answers[key] for key in keys[n]]
            bad = next((a for a in of_options if a.outcome != "ok"), None)
            if bad is None:
                values = [-np.inf if a.value[0][0] is None else a.value[0][0] for a in of_options]
                found.append(OptionLogprobs(query.asked_options, np.array(values, dtype=np.float64)))
            else:
                found.append(_no_options(query, bad))
        return found

    def _first_tokens(self, queries: Sequence[Query]) -> list[OptionLogprobs]:
        body = {"max_tokens": 2, "temperature": 1.0, "top_p": 1.0, "logprobs": True, "top_logprobs": TOP_TOKENS}
        jobs = (
            (n, self._job("first_token", prompt, body, read_first_token, _where(n, queries[n].episode), scoring=True))
            for n, prompt in _batched(queries, self.writer.prompts)
        )
        keys, answers = self._ask(jobs)
        return [self._read_first(query, n, answers[keys[n][0]]) for n, query in enumerate(queries)]

    def _read_first(self, query: Query, n: int, answer: Answer) -> OptionLogprobs:
        options = query.asked_options
        if answer.outcome != "ok":
            return _no_options(query, answer)
        found: dict[str, list[float]] = {option.strip(): [] for option in options}
        for token, logprob in answer.value["top"]:
            found.get(token.strip(), []).append(logprob)
        missing = [option for option in options if not found[option.strip()]]
        if missing:
            shown = ", ".join(repr(option[:40]) for option in missing[:5])
            raise ModelError(
                f"{self.name}, {_where(n, query.episode)}: {len(missing)} of {len(options)} options are not among the "
                f"{len(answer.value['top'])} most probable first tokens: {shown}. They have several tokens, or are too "
                "improbable to be listed. Ways round: options of one token (1, 2, 3), --elicit sampling, --elicit verbalised, "
                "--api completions where the server has it, or the model itself (hf/..., vllm/...)."
            )
        drawn = answer.value["drawn"]
        went_on = any(drawn.strip().startswith(o.strip()) and drawn.strip() != o.strip() for o in options)
        logprobs = [float(np.logaddexp.reduce(found[option.strip()])) for option in options]
        detail = f"the end is not included, and the reply that was drawn went on: {drawn[:40]!r}" if went_on else ""
        return OptionLogprobs(options, np.array(logprobs), detail=detail)

    def _counted(self, queries: Sequence[Query]) -> list[OptionLogprobs]:
        """Queries whose longest options have about the same length share the limit of tokens, so that requests are equal."""
        drawn: list[list[Sample]] = [[] for _ in queries]
        rooms = [output_room(query.asked_options) for query in queries]
        for room in sorted(set(rooms)):
            which = [n for n, one in enumerate(rooms) if one == room]
            settings = SamplingSettings(n=self.settings.n_elicit, max_tokens=room)
            for n, samples in zip(which, self.sample([queries[n] for n in which], settings), strict=True):
                drawn[n] = samples
        return [counted(query.asked_options, samples) for query, samples in zip(queries, drawn, strict=True)]

    def _verbalised(self, queries: Sequence[Query]) -> list[OptionLogprobs]:
        if self.writer.path != "chat":
            raise UsageError("--elicit verbalised asks a chat model in words; use --api chat, without --tokenizer.")

        def job(n: int, prompt: Any) -> Job:
            options = queries[n].asked_options
            body = {
                "max_tokens": verbalised_room(options),
                "temperature": 0.0,
                "response_format": {"type": "json_object"},
            }
            read = functools.partial(_read_verbalised, options)
            return self._job("verbalised", verbalised_messages(prompt, options), body, read, _where(n, queries[n].episode))

        keys, answers = self._ask((n, job(n, prompt)) for n, prompt in _batched(queries, self.writer.prompts))
        found = []
        for n, query in enumerate(queries):
            answer = answers[keys[n][0]]
            is_there = answer.outcome == "ok"
            found.append(stated(query.asked_options, answer.value) if is_there else _no_options(query, answer, "verbalised"))
        return found

    # requests

    def _ask(self, jobs: Iterable[tuple[int, Job]]) -> tuple[dict[int, list[bytes]], dict[bytes, Answer]]:
        """The keys of the jobs of each number, in order, and the answer of each key."""
        keys: dict[int, list[bytes]] = {}

        def noted() -> Iterator[Job]:
            for n, job in jobs:
                keys.setdefault(n, []).append(job.key)
                yield job

        answers = self.client.answer(noted())
        return keys, answers

    def _echo_job(self, verb: str, echo: Echo, where: str, *, check_argmax: bool = False) -> Job:
        body = {"max_tokens": 1, "temperature": 1.0, "echo": True, "logprobs": 1}
        read = functools.partial(_read_echo, echo, check_argmax)
        return self._job(verb, echo.prompt, body, read, where, scoring=True, note={"spans": echo.spans})

    def _sample_jobs(self, queries: Sequence[Query], settings: SamplingSettings) -> Iterator[tuple[int, Job]]:
        body = {**OWN_DISTRIBUTION, "temperature": settings.temperature, "top_p": settings.top_p}
        body |= {"max_tokens": settings.max_tokens, **self.writer.stop_fields()}
        asked: frozenset[str] = frozenset()
        if settings.top_k is not None:
            body, asked = {**body, "top_k": settings.top_k}, frozenset({"top_k"})
        read = functools.partial(_read_sample, self.writer)
        for n, prompt in _batched(queries, self.writer.prompts):
            for i in range(settings.n):
                seeded = {**body, "seed": _seed(settings.seed, prompt, i)}
                where = _where(n, queries[n].episode)
                yield n, self._job("sample", prompt, seeded, read, where, note={"sample": i}, asked=asked)

    def _job(
        self,
        verb: str,
        prompt: Prompt,
        fields: dict[str, Any],
        read: Callable[[bytes], Any],
        where: str,
        *,
        scoring: bool = False,
        note: dict[str, Any] | None = None,
        asked: frozenset[str] = frozenset(),
    ) -> Job:
        key = request_key(self._identity, verb, _json(prompt), {**fields, **(note or {})})
        body = {("messages" if self.writer.path == "chat" else "prompt"): prompt, **fields}
        most = self.writer.most_tokens(prompt) + fields["max_tokens"]
        return Job(key, self.writer.path, body, read, where, most, asked, scoring)

    @functools.cached_property
    def _identity(self) -> str:
        """What a request's answer depends on beside the request."""
        return repr([ASKING, self.name, address(self.settings.base_url)])

    def _outputs(self, episode: Episode, answer: Answer) -> OutputLogprobs:
        if answer.outcome != "ok":
            return replace(_no_outputs(), outcome=answer.outcome, detail=answer.detail)
        echo = self.writer.episode_echoes([episode])[0]
        logprobs, n_tokens, is_argmax = zip(*answer.value, strict=True)
        return OutputLogprobs(
            example_index=np.array(echo.examples, dtype=np.int64),
            logprobs=np.array([-np.inf if value is None else value for value in logprobs], dtype=np.float64),
            n_tokens=np.array(n_tokens, dtype=np.int64),
            is_argmax=np.array(is_argmax, dtype=np.bool_),
        )


def _read_echo(echo: Echo, check_argmax: bool, content: bytes) -> list[list[Any]]:
    value = read_echo(content, echo)
    if check_argmax and any(is_argmax is None for _, _, is_argmax in value):
        raise Unreadable("the reply has no top_logprobs, so that it is unknown which token was the most probable")
    return value


def _read_sample(writer: Writer, content: bytes) -> list[Any]:
    text, finish_reason, n_tokens = read_text(content, is_chat=writer.path == "chat")
    return [*writer.read_output(text, finish_reason), n_tokens]


def _read_verbalised(options: tuple[str, ...], content: bytes) -> list[float]:
    text, finish_reason, _ = read_text(content, is_chat=True)
    if finish_reason != "stop":
        raise NoAnswer(f"the reply was cut off: {text[:100]!r}")
    try:
        return parse_verbalised(text, options)
    except Malformed as error:
        raise NoAnswer(f"{error}: {text[:100]!r}") from error


def _sample(answer: Answer) -> Sample:
    if answer.outcome == "ok":
        text, finish_reason, n_tokens = answer.value
        return Sample(text, finish_reason, n_tokens)
    return Sample("", "refusal" if answer.outcome == "refusal" else "failed", detail=answer.detail)


def _no_options(query: Query, answer: Answer, elicitation: Elicitation = "logprobs") -> OptionLogprobs:
    options = query.asked_options
    return OptionLogprobs(options, np.full(len(options), np.nan), elicitation, answer.outcome, answer.detail)


def _no_outputs() -> OutputLogprobs:
    none: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)
    return OutputLogprobs(none, np.empty(0), none, np.empty(0, dtype=np.bool_))


def _batched(asked: Sequence[Any], write: Callable[[Sequence[Any]], Sequence[Any]]) -> Iterator[tuple[int, Any]]:
    """What is written of each, with its number; in batches, when they are needed."""
    for start in range(0, len(asked), BATCH):
        yield from enumerate(write(asked[start : start + BATCH]), start)


def _where(n: int, episode: Episode) -> str:
    return f"request {n + 1} ({episode.task}, {len(episode.examples)} examples)"


def _seed(seed: int, prompt: Prompt, sample: int) -> int:
    """31 bits, which all servers take."""
    digest = hashlib.sha256(_json([seed, sample, prompt])).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
