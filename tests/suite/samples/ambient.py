"""Four pairs, two of them ambiguous; two of a crowd with three rewritings each; labels of three linguists, one of whom has two
labels of one pair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pluralign.suite.ambient_files import CROWD, FULL, LINGUISTS
from suite.samples import write_jsonl

BANK = "They met at the bank."
WATER = "They met beside water."
LATE = 'Ana, "as ever",\nmay be late.'
ROWS = "A boat was in the row."


def _full(number: object, premise: str, hypothesis: str, *parts: tuple[str, str, str], premise_is: bool = False) -> Any:
    return {
        "id": number,
        "premise": premise,
        "hypothesis": hypothesis,
        "premise_ambiguous": premise_is,
        "hypothesis_ambiguous": bool(parts) and not premise_is,
        "labels": "neutral",
        "meta": None,
        "disambiguations": [{"premise": p, "hypothesis": h, "label": label} for p, h, label in parts],
    }


FULL_ROWS = [
    _full(
        "0_c",
        BANK,
        WATER,
        ("They met on the river bank.", WATER, "entailment"),
        ("They met at the savings bank.", WATER, "neutral"),
        premise_is=True,
    ),
    _full(1, LATE, "Ana is late.", (LATE, "Ana – by now – is late.", "neutral"), (LATE, "Ana is dead.", "contradiction")),
    _full(2, "Lima is a city.", "Lima is a town or city."),
    _full(3, "Nobody came.", "Somebody came."),
]


def _crowd(number: object, premise: str, hypothesis: str, sentence: str, labels: list[str | None], *golds: str) -> Any:
    full = {"e": "entailment", "n": "neutral", "c": "contradiction"}
    return {
        "id": number,
        "premise": premise,
        "hypothesis": hypothesis,
        "ambiguous_sent": sentence,
        "distractor_idx": float(labels.index(None)) if None in labels else None,
        "labels": labels,
        "interpretations": [f"Reading {n} of {number}." for n in (1, 2, 3)],
        **{f"q{n}_gold": [full[letter] for letter in gold] for n, gold in enumerate(golds)},
        "d1_gold": [True, False],
    }


CROWD_ROWS = [
    _crowd("0_c", BANK, WATER, "premise", ["entailment", None, "neutral"], "een", "eee", "nnc", "nnn"),
    _crowd(1, LATE, "Ana is late.", "hypothesis", ["neutral", "contradiction", "neutral"], "nnn", "nnn", "nnn", "nnn"),
]
LINGUIST_ROWS = [
    {
        "id": 4,
        "worker_ids": ["AAA", "BBB"],
        "premise": BANK,
        "hypothesis": WATER,
        "annotations": ["entailment|neutral", "neutral"],
    },
    {
        "id": 5,
        "worker_ids": ["AAA", "BBB", "BBB"],
        "premise": LATE,
        "hypothesis": "Ana is late.",
        "annotations": ["neutral", "contradiction", "neutral"],
    },
    {"id": 6, "worker_ids": ["AAA", "CCC"], "premise": ROWS, "hypothesis": WATER, "annotations": ["neutral", "entailment"]},
]


def write(folder: Path) -> None:
    write_jsonl(folder / FULL, FULL_ROWS)
    write_jsonl(folder / CROWD, CROWD_ROWS)
    write_jsonl(folder / LINGUISTS, [row | {"disambiguations": {}} for row in LINGUIST_ROWS])
