"""How accurately people say that statements about a personality describe them: 120 statements with the shares of their answers.

*Departures:* the file of answers stores those to statements that speak against a trait the wrong way round (5 for "very
inaccurate", so that all can be added up); they are turned back here. Of the six options 0 to 5, 0 stands in the file where a
person gave no answer, and the option says so. An empty cell is no answer too.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pluralign.suite.card import Card, Manual, Source
from pluralign.suite.evaluation import Target, TargetTask
from pluralign.suite.reading import read_csv, require_file, unusable

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ANSWERS", "SOURCE", "STATEMENTS", "Statement", "load", "load_statements"]

STATEMENTS = "mpi_questions.csv"
ANSWERS = "mpi_human_resp.csv"
N_STATEMENTS = 120
LEVELS = (
    "no answer",
    "very inaccurate",
    "moderately inaccurate",
    "neither accurate nor inaccurate",
    "moderately accurate",
    "very accurate",
)
"""Of the answers 0 to 5."""
CARD = Card(
    name="mpi",
    what="The 120 statements of the IPIP-NEO-120 about personality, with the answers of a large sample of the internet.",
    citation="Johnson 2014, Measuring Thirty Facets of the Five Factor Model with a 120-item Public Domain Inventory; "
    "statements as in Jiang et al. 2023, Evaluating and Inducing Personality in Pre-trained Language Models (arXiv 2206.07550)",
    licence="the statements are in the public domain; that of the files is unstated",
    access=Manual(
        (STATEMENTS, ANSWERS),
        "github.com/jfisher52/AI_Pluralistic_Alignment: mpi_questions.csv from its folder data, commit "
        "5056ab9f21d7ba19d4bdcecba8fd139a2ee1ca50, and mpi_human_resp.csv from the Google Drive that its README links to",
    ),
    ran_on_real_file=False,
    rows=N_STATEMENTS,
    units=30,
    unit="facet",
    problems=(
        "the statements were read from the real file, the answers were not",
        "the last 120 columns of the file of answers are taken for the statements in their order, whatever their names",
        "reading the answers takes about 2 GB of memory",
    ),
)


@dataclass(frozen=True, slots=True)
class Statement:
    """What is said of oneself, the facet that it belongs to, and how many gave each of the answers 0 to 5."""

    text: str
    facet: str
    reverse: bool
    """It speaks against its facet, and its answers are stored the other way round."""
    counts: tuple[int, ...] = ()


def load(folder: Path | None) -> list[Statement]:
    """The statements with their counts; raises DataError for files that do not fit together and for answers beside 0 to 5."""
    statements = load_statements(folder)
    columns = _columns(folder)
    table = read_csv(CARD, folder, ANSWERS, columns)
    if len(columns) < N_STATEMENTS or not table.height:
        raise unusable(
            CARD, folder, ANSWERS, f"{N_STATEMENTS} columns of answers are needed, not {len(columns)}, and rows in them"
        )
    counted = [_counts(table[column]) for column in columns]
    faults = [
        f"column {column!r}: an answer must be 0 to 5, not {answer!r:.40} ({n:,} times)"
        for column, counts in zip(columns, counted, strict=True)
        for answer, n in counts.items()
        if not isinstance(answer, int)
    ]
    if faults:
        raise unusable(CARD, folder, ANSWERS, faults)
    return [
        Statement(one.text, one.facet, one.reverse, tuple(counts[_stored(level, one)] for level in range(len(LEVELS))))
        for one, counts in zip(statements, counted, strict=True)
    ]


def load_statements(folder: Path | None) -> list[Statement]:
    """The statements alone; raises DataError with the rows that lack something, or where there are not 120."""
    statements, faults = [], []
    for number, row in enumerate(read_csv(CARD, folder, STATEMENTS, ("text", "label_raw", "key")).iter_rows(), 1):
        text, facet, key = (cell.strip() if cell else "" for cell in row)
        if not text or not facet or key not in ("1", "-1"):
            faults.append(f"row {number}: a text, a label_raw and a key of 1 or -1 are needed, not {row!r:.80}")
        statements.append(Statement(text, facet, key == "-1"))
    if len(statements) != N_STATEMENTS:
        faults.append(f"{len(statements)} statements, {N_STATEMENTS} are needed")
    if faults:
        raise unusable(CARD, folder, STATEMENTS, faults)
    return statements


def _columns(folder: Path | None) -> list[str]:
    """The last names of the header; what the file is otherwise, `read_csv` looks at."""
    with require_file(CARD, folder, ANSWERS).open(encoding="utf-8-sig", errors="replace", newline="") as file:
        return next(csv.reader(file), [])[-N_STATEMENTS:]


def _counts(column: pl.Series) -> Counter[int | str]:
    """How often each answer comes: as a number where it is one of 0 to 5, also as 3.0, else as it stands."""
    counts: Counter[int | str] = Counter()
    for cell, n in column.value_counts().iter_rows():
        text = (cell or "").strip().removesuffix(".0") or "0"
        counts[int(text) if text in ("0", "1", "2", "3", "4", "5") else text] += n
    return counts


def _stored(level: int, statement: Statement) -> int:
    return 6 - level if statement.reverse and level else level


def _targets(statements: list[Statement], seed: int) -> Iterator[Target]:
    scale = [f"{level}: {words}" for level, words in enumerate(LEVELS)]
    for one in statements:
        total = sum(one.counts)
        yield Target(
            input="\n".join([f'Statement: "You {one.text[0].lower()}{one.text[1:]}."', "How accurate is it?", *scale]),
            options=tuple(str(level) for level in range(len(LEVELS))),
            shares=tuple(n / total for n in one.counts),
            n=total,
            description="One person, picked at random from the many who filled in a personality questionnaire on the internet, "
            "says how accurately a statement describes them. The answer is a number from 0 to 5; 0 means that the person gave "
            "none.",
            unit=one.facet,
            attributes={"facet": one.facet},
        )


SOURCE = Source(
    CARD,
    load,
    evaluations=(
        TargetTask(
            name="mpi",
            about="how accurately a statement describes a person, from 0 to 5",
            rows=_targets,
            label="Agreement",
        ),
    ),
)
