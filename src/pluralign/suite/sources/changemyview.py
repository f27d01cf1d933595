"""Posts of r/changemyview: views that people hold and want to have challenged; two tasks.

10,000 of the usable threads are taken by chance, the ones with the smallest numbers keyed by seed and thread, in one pass over
a file that is larger than memory. Usable: title and text are neither empty nor deleted nor removed, and more than four comments
answer the post itself. The footnote that the moderators put below many posts is cut off. A thread that comes twice counts once.

Departure from the published suite: unusable threads are left out before the choice, not after it.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pluralign.episodes import Example
from pluralign.streams import stream
from pluralign.suite.card import Card, Manual, Source
from pluralign.suite.reading import iter_jsonl, unusable
from pluralign.suite.task import Around, Strand, Task, json_text

__all__ = ["SOURCE", "Thread", "Threads", "load"]

FILE = "threads.jsonl"
N_THREADS = 10_000
MORE_COMMENTS_THAN = 4
MAX_TOTAL = 500
SIZE = Around(16)
GONE = {"", "[deleted]", "[removed]", "[deleted by user]"}
FOOTNOTE = re.compile(
    r"(?:(?<!\s)\s+)?(?:^[ \t]*_{3,}\s*)?^[^\n]*\bfootnote from (?:your|the CMV) moderators\b[^\n]*",
    re.M | re.I,
)
CARD = Card(
    name="changemyview",
    what="Threads of r/changemyview from 2013 to 2017: posts with all comments.",
    citation="Al Khatib et al. 2020, Exploiting Personal Characteristics of Debaters for Predicting Persuasiveness (ACL 2020); "
    "the corpus is Webis-CMV-20",
    licence="CC BY 4.0",
    access=Manual(
        (FILE,), "https://zenodo.org/records/3778298: download threads.jsonl.bz2 (about 660 MB) and unpack it with bunzip2"
    ),
    ran_on_real_file=False,
    rows=65_169,
    units=N_THREADS,
    unit="thread",
    problems=(
        "texts are as Reddit stores them: Markdown, with &gt; and &amp; for > and &",
        "the score is that of the day of the crawl",
        "each seed reads the whole file and has threads of its own",
    ),
)


class Thread(NamedTuple):
    """The post that begins a thread."""

    title: str
    body: str
    score: int


class Threads:
    """The threads of the file, of which each seed has its own choice."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._chosen: dict[int, list[Thread]] = {}

    def chosen(self, seed: int) -> list[Thread]:
        """At most `N_THREADS`, by chance, the same ones in the same order whatever the order of the file."""
        if seed not in self._chosen:
            self._chosen[seed] = self._choice(seed)
        return self._chosen[seed]

    def _choice(self, seed: int) -> list[Thread]:
        kept: dict[str, tuple[float, Thread]] = {}
        heap: list[tuple[float, str]] = []  # the largest number first
        for name, thread in self._usable():
            number = float(stream(seed, CARD.name, name, "chosen").random())
            if name in kept or (len(heap) == N_THREADS and number >= -heap[0][0]):
                continue
            kept[name] = number, thread
            heapq.heappush(heap, (-number, name))
            if len(heap) > N_THREADS:
                del kept[heapq.heappop(heap)[1]]
        if not kept:
            why = f"no thread has a title, a selftext that is not deleted and more than {MORE_COMMENTS_THAN} comments"
            raise unusable(CARD, self.folder, FILE, why)
        return [thread for _, thread in sorted(kept.values())]

    def _usable(self) -> Iterator[tuple[str, Thread]]:
        for n, row in enumerate(iter_jsonl(CARD, self.folder, FILE, ("id", "title", "score", "comments")), 1):
            if faults := _faults(row):
                raise unusable(CARD, self.folder, FILE, [f"row {n}: {fault}" for fault in faults])
            title, body = row["title"], FOOTNOTE.sub("", row.get("selftext") or "")
            if title.strip() not in GONE and body.strip() not in GONE and len(row["comments"]) > MORE_COMMENTS_THAN:
                yield row["id"], Thread(title, body, row["score"])


def _faults(row: dict[str, Any]) -> list[str]:
    faults = [f"{name} must be text, not {row[name]!r:.40}" for name in ("id", "title") if not isinstance(row[name], str)]
    if not isinstance(row.get("selftext") or "", str):
        faults.append(f"selftext must be text, not {row['selftext']!r:.40}")
    if not isinstance(row["score"], int):
        faults.append(f"score must be a whole number, not {row['score']!r:.40}")
    if not isinstance(row["comments"], list):
        faults.append(f"comments must be a list, not {row['comments']!r:.40}")
    return faults


def load(folder: Path | None) -> Threads:
    """Reads nothing yet: which threads are kept depends on the seed."""
    return Threads(folder)


def _strand(unit: str, examples: list[Example], *descriptions: str, max_total: int | None = MAX_TOTAL) -> Strand:
    return Strand(
        unit=unit,
        examples=examples,
        descriptions=descriptions,
        n_outputs=SIZE,
        n_episodes=None,
        max_total=max_total,
    )


def _categories(data: Threads, seed: int) -> Iterator[Strand]:
    threads = data.chosen(seed)
    yield _strand(
        "post",
        [Example(thread.body) for thread in threads],
        "Things that one may change one's view on: posts by people who set out a view and ask to be argued out of it.",
        max_total=None,
    )
    yield _strand(
        "title",
        [Example(thread.title) for thread in threads],
        "Things that one may change one's view on, each in one line: titles of posts whose authors want to be argued with.",
        max_total=None,
    )


def _posts(data: Threads, seed: int) -> Iterator[Strand]:
    threads = data.chosen(seed)
    yield _strand(
        "body",
        [Example(thread.body, thread.title) for thread in threads],
        "The input is the title of a post on r/changemyview, the output the post, in which the author sets out the view.",
    )
    yield _strand(
        "title",
        [Example(thread.title, thread.body) for thread in threads],
        "The input is a post on r/changemyview in which someone sets out a view, the output the title that the author gave it.",
    )
    yield _strand(
        "score",
        [Example(str(thread.score), json_text(title=thread.title, body=thread.body)) for thread in threads],
        "What score did a post on r/changemyview get? Readers vote up or down; the output is a whole number.",
    )


SOURCE = Source(
    CARD,
    load,
    (
        Task(
            name="changemyview_categories",
            kind="text",
            split="train",
            strands=_categories,
            about="a post or a title that sets out a view to be changed",
        ),
        Task(
            name="changemyview_posts",
            kind="text",
            split="train",
            strands=_posts,
            about="a post from its title, a title from its post, or the score of both",
        ),
    ),
)
