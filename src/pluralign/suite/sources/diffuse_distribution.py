"""Finite lists in random order: names, countries, dates, fruits, numbers, occupations, invented people.

Departure: the published suite deleted braces together with line ends, which ran the fields of the invented people into one
another; here a semicolon stands between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pluralign.episodes import Example
from pluralign.suite.card import Card, Repository, Source
from pluralign.suite.reading import read_json, unusable
from pluralign.suite.task import Strand, Task

__all__ = ["FILES", "SOURCE", "load"]

FILES = (
    "baby-names/train.json",
    *(f"continent-countries/{name}.json" for name in ("africa", "asia", "europe", "north-america", "oceania", "south-america")),
    *(f"day-date/{name}-{n}.json" for name in ("day", "december", "june") for n in (0, 1)),
    "ficticious-people/ficticious-people-train.json",
    *(f"fruits/fruit-{n}.json" for n in (0, 1)),
    *(f"numbers/{name}-{n}.json" for name in ("even", "odd", "prime", "rng") for n in (0, 1)),
    *(f"occupations/occupations-{n}.json" for n in (0, 1, 2)),
)
CARD = Card(
    name="diffuse_distribution",
    what="27 finite lists, each with a request for a random element of it.",
    citation="Zhang et al. 2024, Forcing Diffuse Distributions out of Language Models (arXiv 2404.10859)",
    licence="MIT",
    access=Repository(
        "https://github.com/y0mingzhang/diffuse-distributions",
        "7170ab056d790fb3f209a3f5cca2dffe59266996",
        tuple(f"prompts/{file}" for file in FILES),
    ),
    ran_on_real_file=True,
    units=len(FILES),
    unit="list",
    problems=("weekdays, primes below 100 and the integers to 10 and to 100 are also evaluation tasks (diverse and valid)",),
    folder="diffuse_distributions",
)


def load(folder: Path | None) -> dict[str, tuple[str, list[str]]]:
    """List name to the request and the elements."""
    return {file.removesuffix(".json"): _list(folder, f"prompts/{file}") for file in FILES}


def _list(folder: Path | None, file: str) -> tuple[str, list[str]]:
    record = read_json(CARD, folder, file)
    request, targets = (record.get(name) if isinstance(record, dict) else None for name in ("request", "targets"))
    if not isinstance(request, str) or not isinstance(targets, list) or not targets or not all(map(_is_text, targets)):
        raise unusable(CARD, folder, file, "an object with a text 'request' and a list of texts 'targets' is needed")
    return request, list(dict.fromkeys(_plain(target) for target in targets))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(_plain(value))


def _plain(target: str) -> str:
    """Without the braces around each field and without zero-width spaces."""
    fields = (re.sub("[{}\u200b\ufeff]", "", line).strip() for line in target.split("\n"))
    return "; ".join(field for field in fields if field)


def _strands(data: dict[str, tuple[str, list[str]]], seed: int) -> Iterator[Strand]:
    for name, (request, elements) in data.items():
        sentence = re.split(r"(?<=[.?!])\s", request, maxsplit=1)[0]
        yield Strand(
            unit=name,
            examples=[Example(element) for element in elements],
            descriptions=(f"{sentence} Nothing comes twice: drawn without replacement.",),
            n_episodes=10,
        )


SOURCE = Source(
    CARD, load, (Task(name=CARD.name, kind="synthetic", split="train", strands=_strands, about="an element of a list"),)
)
