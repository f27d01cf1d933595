"""Three templates with two topics each, over two files; one prompt has its topic in another spelling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pluralign.suite.sources import issuebench
from suite.samples import write_parquet


def row(template: str, topic: str, prompt: str) -> dict[str, Any]:
    return {"template_id": template, "topic_id": 1, "topic_text": topic, "topic_polarity": "neutral", "prompt_text": prompt}


FIRST = [
    row("chat-1", "tram fares", "Write a poem, in two lines,\nabout tram fares"),
    row("chat-1", "free trams being a good thing", "Write a poem, in two lines,\nabout free trams being a good thing"),
    row("chat-2", "tram fares", "Tram fares: discuss"),
]
SECOND = [
    row("chat-2", "free trams being a good thing", "free trams being a good thing: discuss"),
    row("chat-3", "tram fares", "Ein Aufsatz über tram fares und noch einmal tram fares"),
    row("chat-3", "free trams being a good thing", "Ein Aufsatz über free trams being a good thing und noch einmal mehr"),
]


def write(folder: Path) -> None:
    for file, rows in zip(issuebench.FILES, (FIRST, SECOND), strict=True):
        write_parquet(folder / file, rows)
