"""A model of values, rights and duties whose answers are looked up first, and kept: for models that keep no cache themselves.

A key is the model's fingerprint (weights, precision, templates, decoding), the task and what is asked. Draws are kept by seed;
what a beam search or a greedy decoder writes depends on no seed. Failures are not kept. Vectors are made anew: they are quick,
and large.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pluralign.models.answers import request_key
from pluralign.models.cache import ResponseCache, remembered
from pluralign.models.protocol import Usage
from pluralign.values.considerations import ValuesTask
from pluralign.values.kaleido import Explained, FloatArray, Generated, Judged, Pair, ValuesModel, generated

__all__ = ["RememberingKaleido"]

_AT_ONCE = 4096
"""Pairs that go to the model before its answers are kept: it orders them by length, so that many pad less."""
_SITUATIONS_AT_ONCE = 16
_Row = tuple[list[float], str, bool]
"""Numbers, outcome, whether the situation was cut."""


class RememberingKaleido:
    """Equal requests in one call go to the model once. `by_seed`: whether what it generates follows from the seed."""

    def __init__(self, model: ValuesModel, cache: ResponseCache, *, by_seed: bool) -> None:
        self.inner, self.cache, self._by_seed = model, cache, by_seed
        self._n_remembered = 0

    @property
    def name(self) -> str:
        """The inner model's."""
        return self.inner.name

    @property
    def usage(self) -> Usage:
        """The inner model's, and how many requests were answered from the cache."""
        return replace(self.inner.usage, cached=self.inner.usage.cached + self._n_remembered)

    @property
    def system_params(self) -> Mapping[str, Any]:
        """The inner model's."""
        return self.inner.system_params

    def fingerprint(self) -> str:
        """The inner model's."""
        return self.inner.fingerprint()

    def check(self, situations: Sequence[str]) -> None:
        """The inner model's."""
        self.inner.check(situations)

    def generate(self, situations: Sequence[str], *, n: int, seed: int) -> list[list[Generated]]:
        """See `ValuesModel`."""
        parameters = {"n": n, "seed": seed} if self._by_seed else {"n": n}
        found, n_known = remembered(
            self.cache,
            self._keys("generate", [[one] for one in situations], parameters),
            lambda places: self.inner.generate([situations[place] for place in places], n=n, seed=seed),
            _outputs_to_json,
            lambda _, value: [_output_from_json(one) for one in value],
            model=self.name,
            at_once=_SITUATIONS_AT_ONCE,
        )
        self._n_remembered += n_known
        return found

    def relevance(self, pairs: Sequence[Pair]) -> Judged:
        """See `ValuesModel`."""
        return self._judged("relevance", pairs, self.inner.relevance, ())

    def valence(self, pairs: Sequence[Pair]) -> Judged:
        """See `ValuesModel`."""
        return self._judged("valence", pairs, self.inner.valence, (3,))

    def explain(self, pairs: Sequence[Pair]) -> list[Explained]:
        """See `ValuesModel`."""
        found, n_known = remembered(
            self.cache,
            self._keys("explanation", _asked(pairs)),
            lambda places: self.inner.explain([pairs[place] for place in places]),
            lambda one: [one.text, one.outcome] if one.outcome in ("ok", "length") else None,
            lambda _, value: Explained(*value),
            model=self.name,
        )
        self._n_remembered += n_known
        return found

    def embed(self, texts: Sequence[str]) -> FloatArray | None:
        """The inner model's, each time."""
        return self.inner.embed(texts)

    def _judged(
        self, task: ValuesTask, pairs: Sequence[Pair], judge: Callable[[Sequence[Pair]], Judged], shape: tuple[int, ...]
    ) -> Judged:
        def ask(places: list[int]) -> list[_Row]:
            found = judge([pairs[place] for place in places])
            numbers = found.values.reshape(len(places), -1).tolist()
            return list(zip(numbers, found.outcomes, found.is_cut.tolist(), strict=True))

        rows, n_known = remembered(
            self.cache,
            self._keys(task, _asked(pairs)),
            ask,
            lambda row: list(row) if row[1] == "ok" and all(map(math.isfinite, row[0])) else None,
            lambda _, value: (value[0], value[1], value[2]),
            model=self.name,
            at_once=_AT_ONCE,
        )
        self._n_remembered += n_known
        values = np.array([numbers for numbers, _, _ in rows], dtype=np.float64).reshape(len(pairs), *shape)
        outcomes: Any = tuple(outcome for _, outcome, _ in rows)
        return Judged(values, outcomes, np.array([is_cut for _, _, is_cut in rows], dtype=np.bool_))

    def _keys(
        self, task: ValuesTask, asked: Sequence[Sequence[str]], parameters: Mapping[str, Any] | None = None
    ) -> list[bytes]:
        fingerprint = self.fingerprint()
        return [
            request_key(fingerprint, f"values {task}", b"", {**(parameters or {}), "asked": list(parts)}) for parts in asked
        ]


def _asked(pairs: Sequence[Pair]) -> list[list[str]]:
    return [[situation, one.vrd, one.text] for situation, one in pairs]


def _outputs_to_json(outputs: Sequence[Generated]) -> list[list[Any]] | None:
    """None where an output is missing, so that all are asked for again."""
    if any(one.outcome not in ("ok", "unparsed", "length") for one in outputs):
        return None
    return [[one.text, one.outcome, _finite(one.logprob), one.is_cut] for one in outputs]


def _output_from_json(value: Sequence[Any]) -> Generated:
    """Read as it was read when it came: an output that was not parsed is none."""
    text, outcome, logprob, is_cut = value
    return generated(text, "length" if outcome == "length" else "ok", logprob=logprob, is_cut=is_cut)


def _finite(logprob: float | None) -> float | None:
    return None if logprob is None or not math.isfinite(logprob) else logprob
