"""The three files of AmbiEnt, checked row by row: what the tasks of `sources/ambient.py` are made of.

Of a linguist's labels of one pair the first is kept (53 times a linguist has two).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pluralign.suite.card import Card, Repository
from pluralign.suite.reading import read_jsonl, unusable

__all__ = ["CARD", "CROWD", "FULL", "GOLD", "JOINED", "LABELS", "LINGUISTS", "AmbiEnt"]

FULL, CROWD, LINGUISTS = "ambient_full.jsonl", "crowdworker_annotations.jsonl", "linguist_annotations.jsonl"
LABELS = ("entailment", "neutral", "contradiction")
JOINED = (
    *LABELS,
    "entailment|neutral",
    "neutral|contradiction",
    "entailment|contradiction",
    "entailment|neutral|contradiction",
)
GOLD = ("q0_gold", "q1_gold", "q2_gold", "q3_gold")
"""Crowdworkers' labels of a pair, and of it with each of its three rewritings in place of the ambiguous sentence."""
CARD = Card(
    name="ambient",
    what="Pairs of a premise and a hypothesis with their readings, labelled by linguists and by crowdworkers.",
    citation="Liu et al. 2023, We're Afraid Language Models Aren't Modeling Ambiguity (EMNLP 2023)",
    licence="CC BY 4.0",
    access=Repository(
        "https://github.com/alisawuffles/ambient",
        "1fcb43effda068f3047d46b6f9ff0e50e0ee1c1b",
        (FULL, CROWD, LINGUISTS),
        below={FULL: f"AmbiEnt/{FULL}", CROWD: f"AmbiEnt/analysis/{CROWD}", LINGUISTS: f"AmbiEnt/{LINGUISTS}"},
    ),
    ran_on_real_file=True,
    rows=1645 + 542 + 2020,
    units=28,
    unit="linguist",
    chance={"ambient_ambiguity_detection": 1 / 4, "ambient_interpretation_labels": 1 / 3},
    problems=(
        "one linguist gave 1,599 of the 4,090 labels; three gave one each",
        "ambient_annotation_distributions pools labels of four different texts, one of them mostly a distractor",
        "the three files share most of their pairs, so the six tasks overlap",
    ),
)


class AmbiEnt:
    """The three files, each read when it is first asked for."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    @cached_property
    def full(self) -> list[dict[str, Any]]:
        """Pairs with what is ambiguous and their disambiguations."""
        fields = ("premise", "hypothesis", "premise_ambiguous", "hypothesis_ambiguous", "disambiguations")
        return self._read(FULL, fields, _full_faults)

    @cached_property
    def crowd(self) -> list[dict[str, Any]]:
        """Ambiguous pairs with three rewritings of one sentence and crowdworkers' labels."""
        return self._read(CROWD, ("premise", "hypothesis", "ambiguous_sent", "labels", "interpretations", *GOLD), _crowd_faults)

    @cached_property
    def linguists(self) -> dict[str, dict[tuple[str, str], str]]:
        """Linguist to pair to label; the first label where there are two."""
        given: dict[str, dict[tuple[str, str], str]] = {}
        for row in self._read(LINGUISTS, ("premise", "hypothesis", "worker_ids", "annotations"), _linguist_faults):
            for worker, label in zip(row["worker_ids"], row["annotations"], strict=True):
                given.setdefault(worker, {}).setdefault((row["premise"], row["hypothesis"]), label)
        return given

    def _read(
        self, file: str, fields: Sequence[str], faults_of: Callable[[Mapping[str, Any]], Iterable[str]]
    ) -> list[dict[str, Any]]:
        rows = read_jsonl(CARD, self.folder, file, fields)
        faults = [f"row {n}: {fault}" for n, row in enumerate(rows, 1) for fault in [*_pair_faults(row), *faults_of(row)]]
        if faults:
            raise unusable(CARD, self.folder, file, faults)
        return rows


# faults of a row


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _pair_faults(row: Mapping[str, Any], where: str = "") -> list[str]:
    return [f"{where}{name} must be a text" for name in ("premise", "hypothesis") if not _is_text(row.get(name))]


def _full_faults(row: Mapping[str, Any]) -> Iterator[str]:
    for name in ("premise_ambiguous", "hypothesis_ambiguous"):
        if not isinstance(row[name], bool):
            yield f"{name} must be true or false, not {row[name]!r:.40}"
    parts = row["disambiguations"]
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        yield "disambiguations must be a list of objects"
        return
    for part in parts:
        yield from _pair_faults(part, "disambiguations: ")
        if part.get("label") not in LABELS:
            yield f"disambiguations: label must be one of {', '.join(LABELS)}, not {part.get('label')!r:.40}"


def _crowd_faults(row: Mapping[str, Any]) -> Iterator[str]:
    if row["ambiguous_sent"] not in ("premise", "hypothesis"):
        yield f"ambiguous_sent must be premise or hypothesis, not {row['ambiguous_sent']!r:.40}"
    for name in GOLD:
        if not isinstance(row[name], list) or not row[name] or not all(label in LABELS for label in row[name]):
            yield f"{name} must be a list of {', '.join(LABELS)}, not {row[name]!r:.40}"
    labels, texts = row["labels"], row["interpretations"]
    if not isinstance(texts, list) or not all(map(_is_text, texts)):
        yield "interpretations must be a list of texts"
    elif not isinstance(labels, list) or len(labels) != len(texts):
        yield "labels must be a list as long as interpretations"
    elif unknown := [label for label in labels if label is not None and label not in LABELS]:
        yield f"labels must be null or one of {', '.join(LABELS)}, not {unknown[0]!r:.40}"


def _linguist_faults(row: Mapping[str, Any]) -> Iterator[str]:
    workers, given = row["worker_ids"], row["annotations"]
    if not isinstance(workers, list) or not all(map(_is_text, workers)):
        yield "worker_ids must be a list of texts"
    elif not isinstance(given, list) or len(given) != len(workers):
        yield "annotations must be a list as long as worker_ids"
    elif unknown := [label for label in given if label not in JOINED]:
        yield f"annotations must be among {', '.join(JOINED)}, not {unknown[0]!r:.40}"
