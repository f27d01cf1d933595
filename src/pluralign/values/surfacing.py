"""The system on some situations: generate, score, drop, explain. One row comes back for each different output of a situation.

What is dropped is not asked about any more: valence and explanation are asked of kept considerations only, since nothing that
is dropped enters the decision.

Source: Sorensen et al. 2024, Value Kaleidoscope (arXiv 2309.00779), the system's six steps. Departure: an output that comes
several times is scored once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from pluralign.values.considerations import Consideration
from pluralign.values.decision import decide
from pluralign.values.dedup import cosine_keep, rouge_keep
from pluralign.values.embedding import Embed
from pluralign.values.kaleido import Generated, Pair, ValuesModel, ValuesOutcome
from pluralign.values.setup import Setup

__all__ = ["RECORDS_SCHEMA", "SITUATIONS_SCHEMA", "Fate", "situations_of", "surfaced_part"]

Fate = Literal["kept", "irrelevant", "same words", "same meaning", "not scored", "no consideration"]
"""What became of an output, in the order of the steps from the last to the first."""
_ORDER: Sequence[Fate] = ("kept", "same meaning", "same words", "irrelevant", "not scored", "no consideration")
_LABELS = ("supports", "opposes", "either")

RECORDS_SCHEMA: dict[str, Any] = {
    "situation": pl.Int64,
    "action": pl.String,
    "vrd": pl.String,
    "text": pl.String,
    "relevant": pl.Float64,
    "supports": pl.Float64,
    "opposes": pl.Float64,
    "either": pl.Float64,
    "explanation": pl.String,
    "label": pl.String,
    "fate": pl.String,
    "outcome": pl.String,
    "valence_outcome": pl.String,
    "explanation_outcome": pl.String,
    "generated": pl.String,
    "n_generated": pl.Int64,
    "logprob": pl.Float64,
    "is_cut": pl.Boolean,
}
"""`situation` is a number from 0; `outcome` that of generation, or of relevance where generation went well; `generated` the
output as it came, `n_generated` how often; `logprob` in nats; `is_cut`: the model read less than the whole situation."""
SITUATIONS_SCHEMA: dict[str, Any] = {
    "situation": pl.Int64,
    "action": pl.String,
    "outcome": pl.String,
    "supports": pl.Float64,
    "opposes": pl.Float64,
    "either": pl.Float64,
    "entropy_nats": pl.Float64,
    "label": pl.String,
    "n_generated": pl.Int64,
    "n_considerations": pl.Int64,
    "n_kept": pl.Int64,
    "is_cut": pl.Boolean,
}


@dataclass(slots=True, eq=False)
class _Candidate:
    """An output in the making."""

    situation: int
    first: Generated
    n: int = 1
    relevance: float = np.nan
    valence: tuple[float, ...] | None = None
    fate: Fate = "no consideration"
    outcome: ValuesOutcome = "ok"
    valence_outcome: str | None = None
    explanation: str | None = None
    explanation_outcome: str | None = None
    is_cut: bool = False

    @property
    def consideration(self) -> Consideration:
        assert self.first.consideration is not None
        return self.first.consideration


def surfaced_part(situations: Sequence[str], first: int, model: ValuesModel, setup: Setup, embed: Embed | None) -> pl.DataFrame:
    """Rows of `RECORDS_SCHEMA` for these situations, whose numbers begin with `first`; kept ones first, by relevance."""
    generated = model.generate(situations, n=setup.n, seed=setup.seed)
    by_situation = [_different(n, outputs) for n, outputs in enumerate(generated)]
    named = [one for some in by_situation for one in some if one.first.consideration is not None]
    _score(named, situations, model)
    for some in by_situation:
        _drop([one for one in some if one.first.consideration is not None], setup, embed)
    kept = [one for one in named if one.fate == "kept"]
    judged = model.valence(_pairs(kept, situations))
    for one, values, outcome, is_cut in zip(kept, judged.values.tolist(), judged.outcomes, judged.is_cut.tolist(), strict=True):
        one.valence, one.valence_outcome = tuple(values) if outcome == "ok" else None, outcome
        one.is_cut |= is_cut
    if setup.explain:
        for one, explained in zip(kept, model.explain(_pairs(kept, situations)), strict=True):
            one.explanation, one.explanation_outcome = explained.text, explained.outcome
    rows = [_row(one, first, situations) for some in by_situation for one in sorted(some, key=_place)]
    return pl.DataFrame(rows, schema=RECORDS_SCHEMA, orient="row")


def situations_of(records: pl.DataFrame) -> pl.DataFrame:
    """One row of `SITUATIONS_SCHEMA` for each situation of the records, in their order; the decision is null where there is
    none."""
    rows = []
    for (number, action), some in records.group_by("situation", "action", maintain_order=True):
        kept = some.filter(pl.col("fate") == "kept")
        valence = kept.select(_LABELS).fill_null(np.nan).to_numpy()
        decision = decide(kept["relevant"].to_numpy(), valence)
        shares = (
            (None,) * 5
            if decision is None
            else (*(getattr(decision, name) for name in _LABELS), decision.entropy_nats, decision.label)
        )
        counts = some["n_generated"].sum(), some["vrd"].is_not_null().sum(), kept.height
        rows.append(
            (number, action, _outcome(some, kept, is_decided=decision is not None), *shares, *counts, some["is_cut"].any())
        )
    return pl.DataFrame(rows, schema=SITUATIONS_SCHEMA, orient="row")


def _outcome(some: pl.DataFrame, kept: pl.DataFrame, *, is_decided: bool) -> str:
    """ "ok", or at which step nothing was left."""
    if is_decided:
        return "ok"
    if kept.height:
        return "no valence"
    if not some["vrd"].is_not_null().any():
        return "no consideration"
    return "not scored" if not some["relevant"].is_not_null().any() else "nothing relevant"


def _different(situation: int, outputs: Sequence[Generated]) -> list[_Candidate]:
    """One for each consideration, and for each other output by text and outcome."""
    found: dict[Any, _Candidate] = {}
    for one in outputs:
        key = one.consideration or (one.outcome, one.text)
        if key in found:
            found[key].n += 1
        else:
            found[key] = _Candidate(situation, one, outcome=one.outcome, is_cut=one.is_cut)
    return list(found.values())


def _pairs(candidates: Sequence[_Candidate], situations: Sequence[str]) -> list[Pair]:
    return [(situations[one.situation], one.consideration) for one in candidates]


def _score(candidates: Sequence[_Candidate], situations: Sequence[str], model: ValuesModel) -> None:
    judged = model.relevance(_pairs(candidates, situations))
    for one, value, outcome, is_cut in zip(
        candidates, judged.values.tolist(), judged.outcomes, judged.is_cut.tolist(), strict=True
    ):
        one.relevance, one.outcome = value, outcome
        one.is_cut |= is_cut


def _drop(candidates: Sequence[_Candidate], setup: Setup, embed: Embed | None) -> None:
    """Says of each of a situation's candidates what becomes of it."""
    left = []
    for one in candidates:
        one.fate = "not scored" if np.isnan(one.relevance) else "irrelevant"
        if one.relevance >= setup.relevance[one.consideration.vrd]:
            left.append(one)
    left = _walked(
        left,
        "same words",
        lambda some, relevance: rouge_keep(some, relevance, threshold=setup.ngram, across_vrd=setup.across_vrd),
    )
    if embed is not None and len(left) > 1 and min(setup.embed.values()) < 1:
        vectors = embed([one.consideration.text for one in left])
        left = _walked(
            left,
            "same meaning",
            lambda some, relevance: cosine_keep(vectors, some, relevance, threshold=setup.embed, across_vrd=setup.across_vrd),
        )
    for one in left:
        one.fate = "kept"


def _walked(candidates: list[_Candidate], fate: Fate, walk: Any) -> list[_Candidate]:
    """Those that survive a walk, in their order; the others have met their fate."""
    if not candidates:
        return []
    relevance: npt.NDArray[np.float64] = np.array([one.relevance for one in candidates])
    kept = set(walk([one.consideration for one in candidates], relevance).tolist())
    for n, one in enumerate(candidates):
        if n not in kept:
            one.fate = fate
    return [one for n, one in enumerate(candidates) if n in kept]


def _place(one: _Candidate) -> tuple[int, float]:
    return _ORDER.index(one.fate), 0.0 if np.isnan(one.relevance) else -one.relevance


def _row(one: _Candidate, first: int, situations: Sequence[str]) -> tuple[Any, ...]:
    named = one.first.consideration
    valence = one.valence or (None,) * 3
    return (
        first + one.situation,
        situations[one.situation],
        None if named is None else named.vrd,
        None if named is None else named.text,
        None if np.isnan(one.relevance) else one.relevance,
        *valence,
        one.explanation,
        None if one.valence is None else _LABELS[int(np.argmax(one.valence))],
        one.fate,
        one.outcome,
        one.valence_outcome,
        one.explanation_outcome,
        one.first.text,
        one.n,
        one.first.logprob,
        one.is_cut,
    )
