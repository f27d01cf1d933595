"""Six threads: usable ones with and without the moderators' footnote, a repeated one, deleted ones, one with four comments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pluralign.suite.sources import changemyview
from suite.samples import write_jsonl

FOOTNOTE = (
    "\n\n_____\n\n&gt; *Hello, users of CMV! This is a footnote from your moderators. Firstly, please read* ***[our "
    "rules](http://example.org)***. *Happy CMVing!*"
)
LATER = "\n\n_____\n\n> *This is a footnote from the CMV moderators. Happy CMVing!*\n\nEdit: thanks, all – I'm back."


def thread(name: str, title: str, selftext: str | None, *, score: object = 3, n_comments: int = 5) -> dict[str, Any]:
    comments = [{"id": f"c{n}", "body": "No.", "children": [{"id": f"d{n}", "body": "Yes."}]} for n in range(n_comments)]
    row = {"id": name, "title": title, "selftext": selftext, "score": score, "num_comments": 10, "comments": comments}
    return {field: value for field, value in row.items() if field != "selftext" or selftext is not None}


ROWS = [
    thread("t3_a", "CMV: Soup is a drink", "One can drink it,\n\nso it is." + FOOTNOTE),
    thread("t3_b", 'CMV: "Naïve" is a fine word', "It has two dots.", score=-2),
    thread("t3_c", "Tea before noon. CMV", "Coffee &amp; tea." + LATER, score=0),
    thread("t3_a", "CMV: Soup is a drink", "Again."),
    thread("t3_d", "CMV: gone", "[removed]"),
    thread("t3_e", "[deleted by user]", "What I wrote."),
    thread("t3_f", "CMV: only a note", FOOTNOTE),
    thread("t3_g", "CMV: four comments are few", "They are.", n_comments=4),
    thread("t3_h", "CMV: a link", None),
]


def write(folder: Path) -> None:
    write_jsonl(folder / changemyview.FILE, ROWS)
