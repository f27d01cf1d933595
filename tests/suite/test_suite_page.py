"""The page that lists all tasks and evaluations is what the registry says. It is made again with

PLURALIGN_WRITE_GOLDEN=1 pytest tests/suite/test_suite_page.py
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pluralign.suite import source
from pluralign.suite.card import Card, Simulated
from pluralign.suite.listing import Entry, entries
from pluralign.suite.registry import SOURCES

PAGE = Path(__file__).parents[2] / "docs" / "tasks.md"
TOP = """# All tasks and evaluations

Made from the cards by `tests/suite/test_suite_page.py`. *Real* says whether the loader has read the real files; where it has
not, it is written against their documented shape and tested on made-up rows. What an output is, citation, licence, chance level
and known problems: `pluralign suite show TASK`. How they are drawn: [suite.md](suite.md).
"""


def _page() -> str:
    lines = [TOP.rstrip()]
    by_source: dict[str, list[Entry]] = {}
    for entry in entries():
        by_source.setdefault(entry.source, []).append(entry)
    lines += ["", "| source | what | from | real | tasks |", "|---|---|---|---|---|"]
    for name in SOURCES:
        card = source(name).card
        lines.append(f"| {name} | {card.what} | {_access(card)} | {_real(card)} | {'<br>'.join(_tasks(by_source[name]))} |")
    return "\n".join(lines) + "\n"


def _tasks(several: list[Entry]) -> Iterator[str]:
    for entry in several:
        yield f"`{entry.name}` ({entry.kind}, {entry.split})"


def _access(card: Card) -> str:
    kind = type(card.access).__name__
    return {"Simulated": "-", "OnRequest": "its authors, on request", "Manual": "by hand", "Url": "download"}.get(
        kind, kind.lower()
    )


def _real(card: Card) -> str:
    return "-" if isinstance(card.access, Simulated) else "yes" if card.ran_on_real_file else "no"


def test_the_page_is_what_the_registry_says() -> None:
    if os.environ.get("PLURALIGN_WRITE_GOLDEN"):
        PAGE.write_text(_page())
    assert PAGE.read_text() == _page(), "the cards changed; see the top of this file for how to make the page again"
