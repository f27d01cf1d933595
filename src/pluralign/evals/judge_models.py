"""Models that tasks name beside the one that is evaluated: judges, and models of entailment.

Each is opened once for a run, with the run's cache of answers and what the run's settings say of machine and server; how the
evaluated model is written to (format, chat, tokenizer, revision) is its own affair. What judges take is counted apart from
what the evaluated model takes, and name and fingerprint of each are part of what makes two runs the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from pluralign.evals.entailment import Entailment, open_entailment
from pluralign.models import LanguageModel, ModelSettings, Query, Sample, SamplingSettings, open_model
from pluralign.models.protocol import OptionLogprobs, OutputLogprobs, Usage
from pluralign.scoring.totals import Totals

if TYPE_CHECKING:
    from pluralign.episodes import Episode
    from pluralign.models.cache import ResponseCache

__all__ = ["Judge", "Judges", "judge_settings"]

_OF_MACHINE = ("dtype", "device", "memory_gib")
_OF_SERVER = ("base_url", "elicit", "n_elicit", "concurrency", "timeout_s", "max_retries", "max_tokens_total")

M = TypeVar("M", LanguageModel, Entailment)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Judge:
    """A model that a task names."""

    name: str
    """As it is opened."""
    is_entailment: bool = False
    """A classifier of sentence pairs; else a language model."""

    def __str__(self) -> str:
        return f"{self.name} (entailment)" if self.is_entailment else self.name


def judge_settings(settings: ModelSettings | None) -> ModelSettings:
    """What of the evaluated model's settings is true of judges too: machine, server, and how a server's distributions are had.

    >>> judge_settings(ModelSettings(format="colon", device="cpu")) == ModelSettings(device="cpu")
    True
    """
    if settings is None:
        return ModelSettings()
    return ModelSettings(**{name: getattr(settings, name) for name in (*_OF_MACHINE, *_OF_SERVER)})


class Judges:
    """The judges of a run. `settings` are theirs: `judge_settings` makes them of those of the evaluated model.

    `open_model` and `open_entailment` are for tests and for models of your own. What entailment models say is not cached.
    """

    def __init__(
        self,
        settings: ModelSettings | None = None,
        cache: ResponseCache | None = None,
        *,
        open_model: Callable[..., LanguageModel] = open_model,
        open_entailment: Callable[..., Entailment] = open_entailment,
    ) -> None:
        self.settings = settings or ModelSettings()
        self.cache = cache
        self._open_model, self._open_entailment = open_model, open_entailment
        self._models: dict[str, _TimedModel] = {}
        self._entailments: dict[str, _TimedEntailment] = {}

    def model(self, name: str) -> LanguageModel:
        """The language model of this name. Raises what `open_model` raises."""
        if name not in self._models:
            self._models[name] = _TimedModel(self._open_model(name, self.settings, cache=self.cache))
        return self._models[name]

    def entailment(self, name: str) -> Entailment:
        """The entailment model of this name. Raises what `open_entailment` raises."""
        if name not in self._entailments:
            self._entailments[name] = _TimedEntailment(self._open_entailment(name, device=self.settings.device))
        return self._entailments[name]

    def fingerprint(self, judge: Judge) -> str:
        """Equal for two judges only if they say the same of the same; opens it."""
        return (self.entailment(judge.name) if judge.is_entailment else self.model(judge.name)).fingerprint()

    def totals(self, judge: Judge) -> Totals:
        """What it has been asked for so far, by this object."""
        found = self._entailments.get(judge.name) if judge.is_entailment else self._models.get(judge.name)
        return Totals() if found is None else Totals(replace(found.usage), found.seconds)


class _Timed(Generic[M]):
    """A model, and the seconds spent in its calls."""

    def __init__(self, inner: M) -> None:
        self.inner: M = inner
        self.seconds = 0.0

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def usage(self) -> Usage:
        return self.inner.usage

    def fingerprint(self) -> str:
        return self.inner.fingerprint()

    def _timed(self, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        try:
            return work()
        finally:
            self.seconds += time.perf_counter() - start


class _TimedModel(_Timed[LanguageModel]):
    """See `LanguageModel`."""

    def request_bytes(self, asked: Sequence[Query | Episode]) -> list[bytes]:
        return self.inner.request_bytes(asked)

    def option_logprobs(self, queries: Sequence[Query]) -> list[OptionLogprobs]:
        return self._timed(lambda: self.inner.option_logprobs(queries))

    def output_logprobs(self, episodes: Sequence[Episode]) -> list[OutputLogprobs]:
        return self._timed(lambda: self.inner.output_logprobs(episodes))

    def sample(self, queries: Sequence[Query], settings: SamplingSettings) -> list[list[Sample]]:
        return self._timed(lambda: self.inner.sample(queries, settings))


class _TimedEntailment(_Timed[Entailment]):
    """See `Entailment`."""

    def p_entail(self, premises: Sequence[str], hypotheses: Sequence[str]) -> npt.NDArray[np.float64]:
        return self._timed(lambda: self.inner.p_entail(premises, hypotheses))
