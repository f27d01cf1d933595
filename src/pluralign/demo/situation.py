"""Values, rights and duties of situations: asked one by one, generated, and for one minimal pair of sentences from near by.

The truths are the formulas of `suite.embedded_values`. A minimal pair is a sentence and the same one with a modifier; the pair
that is shown is, of some that the seed draws, the one whose true answers the modifier changes most.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.demo.asking import Asker, Questions, Which
from pluralign.episodes import Episode
from pluralign.models import Query, SamplingSettings
from pluralign.ratings.situations import MinimalPair, minimal_pairs
from pluralign.streams import stream
from pluralign.suite.embedded_values import (
    BEARINGS,
    RELEVANCE,
    VALENCE,
    ValuesKind,
    generation_probabilities,
    kaleido_input,
    relevance_probabilities,
    valence_probabilities,
    values_description,
)
from pluralign.suite.embedded_world import embedded_world, situation_texts

__all__ = ["KINDS", "N_DRAWS", "drawn_pair", "generated", "pair_questions", "values_questions"]

FloatArray = npt.NDArray[np.float64]

KINDS: tuple[ValuesKind, ...] = ("relevance", "valence", "generate")
N_DRAWS = 100
"""Values, rights and duties that are drawn for each sentence of the pair."""
_CANDIDATES = 40
"""Pairs of which one is shown."""
_BEARINGS_EACH = 6
"""Of each situation, those that relevance and valence are asked of."""
_OPTIONS = {"relevance": RELEVANCE, "valence": VALENCE, "generate": tuple(one.written for one in BEARINGS)}


def values_questions(kind: ValuesKind, n: int, *, seed: int) -> Questions:
    """Questions of this kind about n situations that the seed draws, some values, rights and duties of each."""
    rng = stream(seed, "demo", "situations", kind)
    items = rng.choice(len(situation_texts()), size=n, replace=False).tolist()
    if kind == "generate":
        return _questions(kind, kind, [(item, None) for item in items])
    bearings = np.argsort(rng.random((n, len(BEARINGS))), axis=1)[:, :_BEARINGS_EACH].tolist()
    return _questions(kind, kind, [(item, one) for item, some in zip(items, bearings, strict=True) for one in some])


def drawn_pair(seed: int) -> MinimalPair:
    """The pair that is shown."""
    pairs = minimal_pairs(embedded_world().situations)
    some = [pairs[n] for n in stream(seed, "demo", "pair").choice(len(pairs), size=_CANDIDATES, replace=False).tolist()]
    features = embedded_world().features
    relevance, valence = relevance_probabilities(features), valence_probabilities(features)

    def change(pair: MinimalPair) -> float:
        a, b = pair.without, pair.modified
        return float(np.abs(relevance[a] - relevance[b]).sum() + np.abs(valence[a] - valence[b]).sum() / 2)

    best: MinimalPair = max(some, key=change)
    return best


def pair_questions(kind: ValuesKind, pair: MinimalPair) -> Questions:
    """Of both sentences: every value, right and duty, first all of the bare one; or, for "generate", one question each."""
    both = (pair.without, pair.modified)
    if kind == "generate":
        return _questions("pair-generate", kind, [(item, None) for item in both])
    return _questions(f"pair-{kind}", kind, [(item, one) for item in both for one in range(len(BEARINGS))])


def generated(asker: Asker, which: Which, pair: MinimalPair) -> list[list[str]]:
    """What the model draws for the bare and for the modified sentence; what was cut off is an empty text [2][draws]."""

    def draw() -> pl.DataFrame:
        settings = SamplingSettings(n=N_DRAWS, max_tokens=32, seed=asker.seed)
        drawn = asker.models[which].sample(pair_questions("generate", pair).queries, settings)
        rows = [(side, one.text if one.finish_reason == "stop" else "") for side, some in enumerate(drawn) for one in some]
        return pl.DataFrame(rows, schema=["side", "text"], orient="row")

    table = asker.run.step_table(f"generated-{which}", draw)
    return [table.filter(pl.col("side") == side)["text"].to_list() for side in (0, 1)]


def _questions(part: str, kind: ValuesKind, about: Sequence[tuple[int, int | None]]) -> Questions:
    opening = Episode(f"embedded_values_{kind}", (), values_description(kind), _OPTIONS[kind])
    texts = situation_texts()
    return Questions(
        part=part,
        unit="situation",
        queries=[
            Query(opening, kaleido_input(kind, texts[item], None if one is None else BEARINGS[one])) for item, one in about
        ],
        known=np.array([kind] * len(about)),
        units=np.array([item for item, _ in about]),
        limit=_truth(kind, about),
    )


def _truth(kind: ValuesKind, about: Sequence[tuple[int, int | None]]) -> FloatArray:
    """[questions, options]."""
    features = embedded_world().features[[item for item, _ in about]]
    if kind == "generate":
        return np.asarray(generation_probabilities(features))
    rows, bearings = np.arange(len(about)), np.array([one for _, one in about])
    if kind == "valence":
        return np.asarray(valence_probabilities(features)[rows, bearings])
    yes = relevance_probabilities(features)[rows, bearings]
    return np.stack([yes, 1 - yes], axis=1)
