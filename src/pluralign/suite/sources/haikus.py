"""Poems of three lines, most of them haiku, from several collections; one task of three kinds: a poem whose lines have given
numbers of syllables, the same with a word that it has to have, and any poem.

`haikus.csv` is the table of the published suite, with syllables. Each of two raw collections can be used beside it or without
it: poems without syllables come only where nothing is asked of a poem, and there each comes once, whatever files share it.
Poems with a blank line, and those of a raw collection with more or fewer than three lines, are left out; so are poems of
digits and signs alone, where a word is given.

Departures from the published suite: a line that can be spoken with different numbers of syllables says so ("2 or 3"). The word
is one of the poem's words, each as likely.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pluralign.episodes import Example
from pluralign.streams import stream
from pluralign.suite.card import Card, Repository, Source
from pluralign.suite.reading import files_there, read_csv, read_text, unusable
from pluralign.suite.rows import grouped
from pluralign.suite.task import Strand, Task, json_text

__all__ = ["SOURCE", "Poem", "load"]

COUNTED, GUTENBERG, SBALLAS = "haikus.csv", "gutenberg.csv", "sballas8.csv"
COLUMNS = ("0", "1", "2", "source", "0_syllables", "1_syllables", "2_syllables")
N_LINES = 3
N_OUTPUTS = 64
MAX_TOTAL = 200
WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
CARD = Card(
    name="haikus",
    what="Poems of three lines from several collections, with the number of syllables of each line.",
    citation="Docmarionum1 2018, haikurnn (a repository of poems and models)",
    licence="unstated",
    access=Repository(
        "https://github.com/docmarionum1/haikurnn",
        "082f0e0708a721d405accd597bed418c7e09a25a",
        (COUNTED, GUTENBERG, SBALLAS),
        below={
            COUNTED: f"input/poems/{COUNTED}",
            GUTENBERG: f"input/poems/raw/{GUTENBERG}",
            SBALLAS: f"input/poems/raw/{SBALLAS}",
        },
    ),
    ran_on_real_file=False,
    unit="collection and kind of request",
    problems=(
        "the loader has run on both real raw collections, not on haikus.csv, which alone the published suite uses",
        "gutenberg.csv is not of haiku: a program cut sentences of books into three lines",
        "img2poems, in haikus.csv, has parts of longer poems; some poems are not English; question marks stand for other signs",
    ),
    each_alone=True,
)


class Poem(NamedTuple):
    """Three lines, from which collection, and in words how many syllables each line has, where that is known."""

    lines: tuple[str, ...]
    collection: str
    syllables: str | None

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def load(folder: Path | None) -> list[Poem]:
    """The poems of those files that are there."""
    readers = {COUNTED: _counted, GUTENBERG: _gutenberg, SBALLAS: _sballas}
    poems = [poem for file in files_there(CARD, folder) for poem in readers[file](folder)]
    return [poem for poem in poems if len(poem.lines) == N_LINES and all(line.strip() for line in poem.lines)]


def _counted(folder: Path | None) -> list[Poem]:
    poems, faults = [], []
    for n, (*lines, collection, a, b, c) in enumerate(read_csv(CARD, folder, COUNTED, COLUMNS).iter_rows(), 1):
        if not collection:
            faults.append(f"row {n}: source is missing")
        elif wrong := [count for count in (a, b, c) if count and not re.fullmatch(r"\d+(,\d+)*", count)]:
            faults.append(f"row {n}: syllables must be whole numbers with commas between them, not {wrong[0]!r:.40}")
        else:
            syllables = ", ".join(map(_alternatives, (a, b, c))) if a and b and c else None
            poems.append(Poem(tuple(line or "" for line in lines), collection, syllables))
    if faults or not poems:
        raise unusable(CARD, folder, COUNTED, faults or "it holds no poem")
    return poems


def _alternatives(counts: str) -> str:
    """The possible numbers of syllables of a line, the smallest first.

    >>> _alternatives("8,7")
    '7 or 8'
    """
    return " or ".join(map(str, sorted({int(count) for count in counts.split(",")})))


def _gutenberg(folder: Path | None) -> list[Poem]:
    return [_raw(text, "gutenberg") for [text] in read_csv(CARD, folder, GUTENBERG, ["haiku"]).iter_rows()]


def _sballas(folder: Path | None) -> list[Poem]:
    """One column without a header."""
    text = read_text(CARD, folder, SBALLAS)
    if not text.endswith("\n"):
        raise unusable(CARD, folder, SBALLAS, "it ends within a line, so it is not whole")
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise unusable(CARD, folder, SBALLAS, f"it is not CSV: {error}") from error
    if faults := [f"record {n}: {len(row)} fields; there is one" for n, row in enumerate(rows, 1) if len(row) > 1]:
        raise unusable(CARD, folder, SBALLAS, faults)
    return [_raw(text, "sballas") for row in rows for text in row]


def _raw(text: str | None, collection: str) -> Poem:
    return Poem(tuple((text or "").removesuffix("\n").split("\n")), collection, None)


def _strands(data: list[Poem], seed: int) -> Iterator[Strand]:
    counted = [poem for poem in data if poem.syllables is not None]
    for collection, poems in grouped(counted, key=lambda poem: poem.collection).items():
        yield _strand(
            f"syllables/{collection}",
            [Example(poem.text, poem.syllables) for poem in poems],
            "Poems of three lines from one collection. The input tells how many syllables each line has.",
            "Write a poem of three lines, in the manner of a haiku, with the given numbers of syllables.",
        )
        yield _strand(
            f"word/{collection}",
            list(_with_word(poems, seed, f"word/{collection}")),
            "Poems of three lines from one collection. The input gives a word that the poem contains, and how many syllables "
            "its lines have.",
            "Write a poem of three lines, in the manner of a haiku. It has to include a certain word, and its lines have the "
            "given numbers of syllables.",
        )
    once = {tuple(line.strip() for line in poem.lines): poem for poem in reversed(data)}
    yield _strand(
        "free",
        [Example(poem.text) for poem in reversed(once.values())],
        "Poems of three lines.",
        "Short poems, three lines each; many of them are haiku.",
    )


def _with_word(poems: Sequence[Poem], seed: int, unit: str) -> Iterator[Example]:
    for poem in poems:
        if words := WORD.findall(poem.text):
            word = words[int(stream(seed, CARD.name, unit, poem.text, "word").integers(len(words)))]
            yield Example(poem.text, json_text(include_word=word, syllables=poem.syllables))


def _strand(unit: str, examples: list[Example], *descriptions: str) -> Strand:
    return Strand(
        unit=unit, examples=examples, descriptions=descriptions, n_outputs=N_OUTPUTS, n_episodes=None, max_total=MAX_TOTAL
    )


SOURCE = Source(
    CARD, load, (Task(name=CARD.name, kind="text", split="train", strands=_strands, about="a poem of three lines"),)
)
