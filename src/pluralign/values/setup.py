"""Thresholds of the system: what is given, else what the checkpoint brings, else defaults; and where each is from.

The published names in a checkpoint's `config.system_params`: relevance_threshold, ngram_threshold, embed_threshold (each a
number; the first and the last also one for each of Value, Right, Duty; the second also one for each of precision, recall,
fmeasure), dedup_across_vrd.

The published code drops a candidate where *any* of precision, recall and F is over `ngram_threshold`, and so does this. There,
precision is the share of the kept item's words, recall that of the candidate's; `dedup` has them the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pluralign.errors import UsageError
from pluralign.values.considerations import KINDS
from pluralign.values.dedup import RougeScore
from pluralign.values.embedding import default_embedding
from pluralign.values.kaleido import ValuesModel

__all__ = ["Setup", "SystemSettings", "set_up"]

ByKind = float | Mapping[str, float]

_DEFAULTS: Mapping[str, Any] = {
    "relevance_threshold": 0.5,
    "ngram_threshold": 0.5,
    "embed_threshold": 0.9,
    "dedup_across_vrd": False,
}
"""More probably relevant than not; most words shared; nearly the same vector. Not tuned: `thresholds` does that."""
_ACROSS = "dedup_across_vrd"
_ROUGE: Mapping[str, RougeScore] = {"precision": "recall", "recall": "precision", "fmeasure": "f", "f1": "f"}
"""Published name to the one in `dedup`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemSettings:
    """What may be asked of the system; None is the checkpoint's own value, or else the default."""

    n: int = 100
    """Candidates that are generated for a situation."""
    relevance_threshold: ByKind | None = None
    """Kept is what is at least so relevant; a number, or one for each of Value, Right, Duty."""
    ngram_threshold: float | Mapping[str, float] | None = None
    """Dropped is what shares more words with a kept one: a number, or one for each of precision, recall, fmeasure; 1: off."""
    embed_threshold: ByKind | None = None
    """Dropped is what has a cosine above this with a kept one; 1: off."""
    dedup_across_vrd: bool | None = None
    """Compare values, rights and duties with one another too."""
    embedding: str | None = None
    """Vectors for the cosine: encoder, tfidf, none or hf/NAME (see `embedding`)."""
    explain: bool = True
    """Ask why each of what is kept bears on the situation."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n < 1:
            raise UsageError(f"n is {self.n}; it is a number of candidates, at least 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """All that decides what is kept, and where each threshold is from."""

    n: int
    relevance: Mapping[str, float]
    """Of Value, Right, Duty."""
    ngram: Mapping[RougeScore, float]
    embed: Mapping[str, float]
    """Of Value, Right, Duty."""
    across_vrd: bool
    embedding: str
    explain: bool
    seed: int
    sources: Mapping[str, str]
    """Of each threshold by its published name: "given", "checkpoint" or "default"."""

    @property
    def notes(self) -> list[str]:
        """What a reader should know before trusting the thresholds."""
        notes = []
        if names := ", ".join(name for name, source in self.sources.items() if source == "default" and name != _ACROSS):
            notes.append(f"not tuned to this model, defaults: {names}")
        if (
            self.sources["embed_threshold"] == "checkpoint"
            and not self.embedding.startswith("hf/")
            and self.embedding != "none"
        ):
            notes.append(
                f"the checkpoint's embed_threshold is used with vectors of another kind ({self.embedding}); published ones "
                "were found with --embedding hf/sentence-transformers/all-mpnet-base-v2"
            )
        return notes

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def set_up(settings: SystemSettings, model: ValuesModel) -> Setup:
    """The settings with every threshold filled in. Raises UsageError for one that is no number in its range."""
    values, sources = {}, {}
    for name, default in _DEFAULTS.items():
        given, own = getattr(settings, name), model.system_params.get(name)
        values[name] = given if given is not None else default if own is None else own
        sources[name] = "given" if given is not None else "default" if own is None else "checkpoint"
    return Setup(
        n=settings.n,
        relevance=_by_kind("relevance_threshold", values["relevance_threshold"], lowest=0.0),
        ngram=_by_score(values["ngram_threshold"]),
        embed=_by_kind("embed_threshold", values["embed_threshold"], lowest=-1.0),
        across_vrd=bool(values["dedup_across_vrd"]),
        embedding=settings.embedding or default_embedding(model),
        explain=settings.explain,
        seed=settings.seed,
        sources=sources,
    )


def _by_kind(name: str, given: Any, *, lowest: float) -> dict[str, float]:
    numbers = dict(given) if isinstance(given, Mapping) else dict.fromkeys(KINDS, given)
    if set(numbers) != set(KINDS):
        raise UsageError(f"{name} is {numbers}; give a number, or one for each of {', '.join(KINDS)}.")
    return {kind: _number(name, numbers[kind], lowest) for kind in KINDS}


def _by_score(given: Any) -> dict[RougeScore, float]:
    name = "ngram_threshold"
    numbers = dict(given) if isinstance(given, Mapping) else {"precision": given, "recall": given, "fmeasure": given}
    if not numbers or not set(numbers) <= set(_ROUGE):
        raise UsageError(f"{name} is {numbers}; give a number, or one for some of {', '.join(_ROUGE)}.")
    return {_ROUGE[score]: _number(name, value, 0.0) for score, value in numbers.items()}


def _number(name: str, value: Any, lowest: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= 1:
        raise UsageError(f"{name} is {value!r}; it is a number of {lowest:g}..1.")
    return float(value)
