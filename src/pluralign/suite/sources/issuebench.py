"""Political topics, and requests for help with writing that leave the topic open: one task with two lists.

Departure: a template is recovered from a prompt that was made of it, by putting X in place of the topic.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pluralign.episodes import Example
from pluralign.suite.card import Card, Hub, Source
from pluralign.suite.reading import read_parquet, unusable
from pluralign.suite.task import Strand, Task

__all__ = ["COLUMNS", "FILES", "SOURCE", "Lists", "load"]

FILES = tuple(f"prompts/prompts_full-0000{n}-of-00002.parquet" for n in (0, 1))
COLUMNS = ("template_id", "topic_text", "prompt_text")
SLOT = "X"

CARD = Card(
    name="issuebench",
    what="2.49 million prompts for help with writing: 3,916 templates, made of requests of real users, times 212 "
    "political issues in three framings.",
    citation="Röttger et al. 2025, IssueBench (arXiv 2502.08395)",
    licence="CC BY 4.0",
    access=Hub("Paul/IssueBench", FILES, revision="636e2da6ad80ef9ffcd67850d29fa5b068587f8b"),
    ran_on_real_file=False,
    units=2,
    unit="list",
)


class Lists(NamedTuple):
    """What the prompts are made of."""

    topics: list[str]
    templates: list[str]


def load(folder: Path | None) -> Lists:
    """Raises DataError for rows without one of the texts, and for templates none of whose prompts has its topic in it."""
    topics: dict[str, None] = {}
    templates: dict[str, str | None] = {}
    for file in FILES:
        _read(folder, file, topics, templates)
    if lost := [
        f"template {name!r}: no prompt has its topic_text in its prompt_text" for name, text in templates.items() if not text
    ]:
        raise unusable(CARD, folder, FILES[-1], lost)
    return Lists(list(topics), list(dict.fromkeys(text for text in templates.values() if text)))


def _read(folder: Path | None, file: str, topics: dict[str, None], templates: dict[str, str | None]) -> None:
    import polars as pl

    table = read_parquet(CARD, folder, file, COLUMNS).cast(pl.String)
    blank = table.with_row_index("number").filter(
        pl.any_horizontal(pl.col(name).is_null() | (pl.col(name).str.strip_chars() == "") for name in COLUMNS)
    )
    if blank.height or table.is_empty():
        rows = [f"row {number + 1}: {', '.join(COLUMNS)} must all be text" for number in blank["number"]]
        raise unusable(CARD, folder, file, rows or "it holds no row")
    topics |= dict.fromkeys(table["topic_text"].unique(maintain_order=True))
    found = table.filter(pl.col("prompt_text").str.contains(pl.col("topic_text"), literal=True))
    for name in table["template_id"].unique(maintain_order=True):
        templates.setdefault(name, None)
    for name, topic, prompt in found.unique("template_id", keep="first", maintain_order=True).iter_rows():
        templates[name] = templates[name] or prompt.replace(topic, SLOT)


def _strands(data: Lists, seed: int) -> Iterator[Strand]:
    told = {
        "topics": (data.topics, "Political topics to write about: neutral ones, and ones that take a side."),
        "templates": (
            data.templates,
            f"Requests to a language model for help with writing, with {SLOT} in place of the topic.",
        ),
    }
    for unit, (texts, description) in told.items():
        yield Strand(unit=unit, examples=[Example(text) for text in texts], descriptions=(description,), n_episodes=2)


SOURCE = Source(
    CARD,
    load,
    (
        Task(
            name=CARD.name,
            kind="text",
            split="train",
            strands=_strands,
            about="a political topic, or a request with a slot for one",
        ),
    ),
)
