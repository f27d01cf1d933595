"""Answers of an encoder-decoder that are kept: the same as asked anew, asked for once, by model, task and request."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pluralign.models.cache import ResponseCache
from pluralign.values.considerations import Consideration
from pluralign.values.kaleido import Decoding, Judged, Pair, open_values_model
from pluralign.values.remembering import RememberingKaleido
from tiny_kaleido import CONSIDERATIONS, SITUATIONS
from values.fake_values_model import FakeValuesModel

PAIRS: list[Pair] = [(SITUATIONS[0], one) for one in CONSIDERATIONS]


def _same(one: Judged, other: Judged) -> bool:
    return (
        np.array_equal(one.values, other.values) and one.outcomes == other.outcomes and np.array_equal(one.is_cut, other.is_cut)
    )


def test_a_checkpoint_is_asked_once(checkpoint: Path, tmp_path: Path) -> None:
    with ResponseCache(tmp_path / "cache.sqlite") as cache:
        plain = open_values_model(f"hf/{checkpoint}")
        first, again = (open_values_model(f"hf/{checkpoint}", cache=cache) for _ in range(2))
        assert isinstance(first, RememberingKaleido)
        assert first.fingerprint() == plain.fingerprint()
        for model in (first, again):
            assert model.generate(SITUATIONS, n=4, seed=0) == plain.generate(SITUATIONS, n=4, seed=0)
            assert _same(model.relevance(PAIRS), plain.relevance(PAIRS))
            assert _same(model.valence(PAIRS), plain.valence(PAIRS))
            assert model.explain(PAIRS) == plain.explain(PAIRS)
        assert first.usage.cached == 0
        assert again.usage.tokens_computed == 0
        assert again.usage.cached == len(SITUATIONS) + 3 * len(PAIRS)
        assert cache.stats().models[0].model == f"hf/{checkpoint}"
        # Beams follow from no seed; other numbers of them, and other decoding, are other requests.
        again.generate(SITUATIONS, n=4, seed=1)
        assert again.usage.tokens_computed == 0
        again.generate(SITUATIONS[:1], n=3, seed=0)
        assert again.usage.tokens_computed > 0
        drawn = open_values_model(f"hf/{checkpoint}", cache=cache, decoding=Decoding(way="samples"))
        assert drawn.generate(SITUATIONS[:1], n=4, seed=0) != plain.generate(SITUATIONS[:1], n=4, seed=0)
        before = drawn.usage.tokens_computed
        drawn.generate(SITUATIONS[:1], n=4, seed=1)
        assert drawn.usage.tokens_computed > before
        drawn.generate(SITUATIONS[:1], n=4, seed=1)
        assert drawn.usage.cached == 1


def test_failures_are_asked_for_again(tmp_path: Path) -> None:
    said = {"care": (float("nan"), 1.0, 0.0, 0.0), "rest": (0.25, 0.5, 0.25, 0.25)}
    model = FakeValuesModel(lambda _, one: said[one.text])
    pairs = [("a", Consideration("Value", "care")), ("a", Consideration("Value", "rest"))]
    with ResponseCache(tmp_path / "cache.sqlite") as cache:
        kept = RememberingKaleido(model, cache, by_seed=True)
        assert kept.relevance(pairs).outcomes == ("failed", "ok")
        assert model.n_asked == 2
        found = kept.relevance([*pairs, pairs[1]])
        assert model.n_asked == 3  # the one that failed
        assert found.outcomes == ("failed", "ok", "ok")
        assert found.values[1:].tolist() == [0.25, 0.25]
        assert kept.valence([]).values.shape == (0, 3)
        # The parts of a request cannot be taken for one another.
        kept.relevance([("a Value", Consideration("Value", "rest"))])
        assert model.n_asked == 4


@pytest.mark.parametrize("text", ["Value: care", "nothing of the kind"])
def test_outputs_are_read_as_they_were(tmp_path: Path, text: str) -> None:
    from pluralign.values.kaleido import Generated, generated

    class Writes(FakeValuesModel):
        def generate(self, situations: object, *, n: int, seed: int) -> list[list[Generated]]:
            self.n_asked += 1
            return [[generated(text, "ok", logprob=-0.1), generated(text, "length", is_cut=True)]]

    model = Writes(lambda *_: (1, 1, 0, 0))
    with ResponseCache(tmp_path / "cache.sqlite") as cache:
        kept = RememberingKaleido(model, cache, by_seed=False)
        assert kept.generate(["a"], n=2, seed=0) == kept.generate(["a"], n=2, seed=5)
    assert model.n_asked == 1
