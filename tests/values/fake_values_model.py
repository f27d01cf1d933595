"""A values model that answers from a function: for tests that need to know what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pluralign.models.protocol import Usage
from pluralign.values.considerations import Consideration
from pluralign.values.kaleido import Explained, FloatArray, Generated, Judged, Pair

Answer = Callable[[str, Consideration], Sequence[float]]
"""Relevance, then the three valences; NaN for no answer."""


class FakeValuesModel:
    """Says what `answer` says; generates what `listed` has for a situation, over and over."""

    name = "scripted/fake"
    system_params: Mapping[str, Any] = {}

    def __init__(self, answer: Answer, listed: Mapping[str, Sequence[Consideration]] | None = None) -> None:
        self.answer, self.listed, self.usage = answer, listed or {}, Usage()
        self.n_asked = 0

    def fingerprint(self) -> str:
        return "fake"

    def check(self, situations: Sequence[str]) -> None:
        pass

    def generate(self, situations: Sequence[str], *, n: int, seed: int) -> list[list[Generated]]:
        return [[Generated(one.written, one) for one in (list(self.listed.get(text, ())) * n)[:n]] for text in situations]

    def relevance(self, pairs: Sequence[Pair]) -> Judged:
        self.n_asked += len(pairs)
        return self._judged(np.array([self.answer(*pair)[0] for pair in pairs]))

    def valence(self, pairs: Sequence[Pair]) -> Judged:
        return self._judged(np.array([self.answer(*pair)[1:] for pair in pairs]).reshape(-1, 3))

    def explain(self, pairs: Sequence[Pair]) -> list[Explained]:
        return [Explained("So it is.") for _ in pairs]

    def embed(self, texts: Sequence[str]) -> FloatArray | None:
        return None

    def _judged(self, values: FloatArray) -> Judged:
        known = ~np.isnan(values.reshape(len(values), -1)).any(axis=1)
        return Judged(values, tuple("ok" if one else "failed" for one in known), np.zeros(len(values), dtype=np.bool_))
