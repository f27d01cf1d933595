"""Simulated judges who weigh five rated qualities of two responses and prefer the one with the larger sum.

A judge's weights are in hundredths, as they are printed. Departure: the published suite reseeded a generator so that it
always showed them; here only one of three descriptions does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pluralign.episodes import Example
from pluralign.streams import stream
from pluralign.suite.card import Card, Hub, Source
from pluralign.suite.numbers import mapping_text
from pluralign.suite.reading import read_jsonl, unusable
from pluralign.suite.task import Strand, Task, json_text

__all__ = ["SOURCE", "Pairs", "load"]

FILE = "train.jsonl.gz"
QUALITIES = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
LESS = (5, 5, 5, 50, 50)
"""Taken off the weights, in hundredths."""
N_JUDGES = 500
CARD = Card(
    name="helpsteer",
    what="Prompts with two responses each, rated by people from 0 to 4 for five qualities.",
    citation="Wang et al. 2024, HelpSteer2 (arXiv 2406.08673)",
    licence="CC BY 4.0",
    access=Hub("nvidia/HelpSteer2", (FILE,), revision="cece6cab0b0e2851523fd3664220d36a63337b47"),
    ran_on_real_file=False,
    units=N_JUDGES,
    unit="simulated judge",
    chance={"helpsteer": 0.5},
    problems=("of two responses with equal sums the second is preferred",),
)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Prompts with two responses, and the ratings of each response [pairs, 2, qualities]."""

    texts: list[str]
    ratings: npt.NDArray[np.int64]


def load(folder: Path | None) -> Pairs:
    """Rows that follow one another and share a prompt are a pair; raises DataError where one has no partner."""
    rows = read_jsonl(CARD, folder, FILE, ("prompt", "response", *QUALITIES))
    faults = [f"row {n}: {fault}" for n, row in enumerate(rows, 1) for fault in _faults(row)]
    first, second = rows[::2], rows[1::2]
    faults += [
        f"row {2 * n}: its prompt is not that of the row before"
        for n, (a, b) in enumerate(zip(first, second, strict=False), 1)
        if a["prompt"] != b["prompt"]
    ]
    if len(rows) % 2:
        faults.append(f"{len(rows):,} rows, an odd number: rows come in pairs")
    if faults:
        raise unusable(CARD, folder, FILE, faults)
    texts = [
        json_text(prompt=a["prompt"], response1=a["response"], response2=b["response"])
        for a, b in zip(first, second, strict=True)
    ]
    return Pairs(texts, np.array([[[row[q] for q in QUALITIES] for row in pair] for pair in zip(first, second, strict=True)]))


def _faults(row: dict[str, Any]) -> list[str]:
    texts = [f"{name} must be text" for name in ("prompt", "response") if not isinstance(row[name], str)]
    return texts + [f"{name} must be 0 to 4, not {row[name]!r}" for name in QUALITIES if row[name] not in range(5)]


def _strands(data: Pairs, seed: int) -> Iterator[Strand]:
    for i in range(N_JUDGES):
        yield _judge(str(i), data, stream(seed, CARD.name, str(i), "parameters"))


def _judge(unit: str, data: Pairs, rng: np.random.Generator) -> Strand:
    weights = rng.integers(101, size=len(QUALITIES)) - LESS

    def law(rng: np.random.Generator, n: int) -> list[Example]:
        chosen = rng.permutation(len(data.texts))[:n]
        sums = data.ratings[chosen] @ weights
        labels = np.where(sums[:, 0] > sums[:, 1], 1, 2)
        return [Example(str(label), data.texts[pair]) for pair, label in zip(chosen.tolist(), labels.tolist(), strict=True)]

    shown = mapping_text(list(QUALITIES), (weights / 100).tolist())
    return Strand(
        unit=unit,
        examples=law,
        descriptions=(
            "Which of two responses to a prompt is preferred: 1 or 2.",
            "One judge's preferences between two responses to a prompt: 1 or 2. It is the same judge throughout.",
            "One judge's preferences between two responses to a prompt: 1 or 2. "
            f"The judge adds up ratings with these weights: {shown}",
        ),
        options=("1", "2"),
        n_outputs=40,
        attributes={f"weight_{name}": weight / 100 for name, weight in zip(QUALITIES, weights.tolist(), strict=True)},
    )


SOURCE = Source(
    CARD, load, (Task(name=CARD.name, kind="synthetic", split="train", strands=_strands, about="which response is preferred"),)
)
