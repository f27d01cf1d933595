"""Is a post hateful? The same 200 posts under three guidelines, twenty people each: the guideline changes what is asked.

The first asks for the person's own feeling, the second for what long and detailed rules say, the third for what a short
definition says; the descriptions tell which, in words of our own. Not a task of the published suite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pluralign.suite.card import Card, Repository, Source
from pluralign.suite.ratings_task import Wordings, checked_ratings, raters_task
from pluralign.suite.reading import read_csv
from pluralign.suite.task import Strand, Task

if TYPE_CHECKING:
    from pluralign.ratings.table import Ratings

__all__ = ["COLUMNS", "SOURCE", "load"]

NAME = "annotation_paradigms"
SEXES = {"g1": "MFMMFMFMFFMMFMMFMFFF", "g2": "FFMMMFFFMMMMMMFFFFMF", "g3": "MMMMMMMMFFFMMFFFFFFF"}
"""Of the people of each group, in order."""
COLUMNS = {
    group: [f"label_{n}_{sex}" if group == "g1" else f"label_{sex}_{n}" for n, sex in enumerate(sexes, 1)]
    for group, sexes in SEXES.items()
}
"""The column of each person; the groups spell them in two ways."""
FILES = {group: f"annotations_{group}.csv" for group in SEXES}
LABELS = {"Non-hateful": "Non-hateful", "Hateful": "Hateful"}
GENDERS = {"M": "male", "F": "female"}
CARD = Card(
    name=NAME,
    what="200 posts of Twitter, each labelled hateful or not by 60 people: 20 under each of three guidelines.",
    citation="Röttger et al. 2022, Two Contrasting Data Annotation Paradigms for Subjective NLP Tasks (arXiv 2112.07475)",
    licence="CC0",
    access=Repository(
        "https://github.com/paul-rottger/annotation-paradigms",
        "47b4ae05154e95efb6cf0050feb31e903939912c",
        tuple(FILES.values()),
        {file: f"0_data/{file}" for file in FILES.values()},
    ),
    ran_on_real_file=True,
    rows=12_000,
    units=60,
    chance={NAME: 0.5},
    problems=("beyond the published suite", "the posts come from a corpus of hate speech and are offensive"),
)
_ASKED = {
    "g1": (
        "One person labels posts from social media as Hateful or Non-hateful, by the person's own feeling alone.",
        "The question is whether this person, personally, finds a post hateful; what others would say does not count. "
        "The answers are Hateful and Non-hateful.",
    ),
    "g2": (
        "One person labels posts from social media as Hateful or Non-hateful, by detailed rules of what counts as hate speech.",
        "The question is whether a post meets the criteria of hate speech in a long guideline, which explains hard cases. The "
        "person is to apply the rules and to leave personal feelings aside. The answers are Hateful and Non-hateful.",
    ),
    "g3": (
        "One person labels posts from social media as Hateful or Non-hateful, by a short definition of hate speech.",
        "The question is whether a post meets the criteria of hate speech, of which only a brief definition is given. Personal "
        "feelings are to be left aside. The answers are Hateful and Non-hateful.",
    ),
}
WORDINGS = {
    group: Wordings(bare=texts, described=tuple(f"{text} The person:" for text in texts)) for group, texts in _ASKED.items()
}


def load(folder: Path | None) -> dict[str, Ratings]:
    """Guideline to the labels under it."""
    return {group: _labels(folder, group) for group in FILES}


def _labels(folder: Path | None, group: str) -> Ratings:
    import polars as pl

    columns = COLUMNS[group]
    people = {column: f"{group}/{n}" for n, column in enumerate(columns, 1)}
    sexes = {column: GENDERS[sex] for column, sex in zip(columns, SEXES[group], strict=True)}
    posts = read_csv(CARD, folder, FILES[group], ["id", "text", *columns]).with_row_index("row", offset=1)
    table = posts.unpivot(columns, index=["row", "id", "text"], variable_name="column", value_name="rating").select(
        "row",
        pl.col("id").alias("item_id"),
        pl.col("text").alias("item_text"),
        pl.col("column").replace_strict(people).alias("rater_id"),
        pl.col("column").replace_strict(sexes).alias("rater_gender"),
        "rating",
    )
    return checked_ratings(CARD, folder, FILES[group], table, LABELS, kind="nominal")


def _strands(data: Mapping[str, Ratings], seed: int) -> Iterator[Strand]:
    for group, wordings in WORDINGS.items():
        yield from raters_task(NAME, wordings).strands(data[group], seed)


SOURCE = Source(
    CARD,
    load,
    (Task(name=NAME, kind="individual", split="train", strands=_strands, about="whether a post is labelled hateful"),),
)
