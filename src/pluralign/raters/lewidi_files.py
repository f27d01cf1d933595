"""LeWiDi-2025: the test files of the shared task as what is asked, and the files that are handed in.

    DATASET_test_soft.tsv    ID <tab> [p, p, ...]      the distribution over an item's answers, in the task's order
    DATASET_test_pe.tsv      ID <tab> [a, a, ...]      an answer for each annotator, in the order of the item's annotators

    data set      soft                                 perspectivist
    MP            2 numbers, answers 0, 1              0 or 1: the mode, for the error rate
    CSC           7 numbers, answers 0..6 (0 is none)  1..6: the median, for the absolute distance
    Paraphrase    11 numbers, answers -5..5            -5..5: the median
    VariErrNLI    3 pairs [absent, present]            3 lists of 0 and 1, a list a label: present where that is more probable

There is no header; lists are JSON; labels of VariErrNLI are contradiction, entailment, neutral. The soft labels are the means
of the distributions that are predicted for the item's annotators.

*What is assumed.* The page of the task that states the format was not to be had. The above is what three teams that took part
write, in code that is public and agrees (the 7 numbers of CSC, whose answers are 1..6, among it); whether the scorer takes
other names of files is not known. An annotator who is named twice, as some of VariErrNLI are, is written once.

Source: Leonardelli et al. 2025, LeWiDi-2025 (arXiv 2510.08460).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, TypeAdapter

from pluralign.errors import DataError
from pluralign.files import write_text_atomic
from pluralign.raters.decisions import median_options, mode_options
from pluralign.ratings import Ratings
from pluralign.ratings.readers import ReadOptions
from pluralign.ratings.readers.checks import checked
from pluralign.ratings.readers.columns import prefixed
from pluralign.ratings.readers.files import Source, text_frame
from pluralign.ratings.readers.lewidi import dataset_of
from pluralign.ratings.readers.long import Long
from pluralign.ratings.readers.meta import join_meta
from pluralign.stores import Place

__all__ = [
    "LABELS",
    "SOFT_ANSWERS",
    "LewidiAsked",
    "is_lewidi_asked",
    "read_lewidi_asked",
    "read_submission",
    "write_submission",
]

FloatArray = npt.NDArray[np.float64]

LABELS = ("contradiction", "entailment", "neutral")
"""Of VariErrNLI, in the order of its files."""
SOFT_ANSWERS: Mapping[str, tuple[str, ...]] = {
    "MP": ("0", "1"),
    "CSC": tuple(map(str, range(7))),
    "Paraphrase": tuple(map(str, range(-5, 6))),
    "VariErrNLI": LABELS,
}
"""Data set to the answers whose probabilities a soft label has, in order; of VariErrNLI each has a pair."""


class _Entry(BaseModel):
    text: dict[str, str] | str
    annotators: str


_SHAPE = TypeAdapter(dict[str, _Entry])


@dataclass(frozen=True, kw_only=True)
class LewidiAsked:
    """A file of the shared task as what is asked."""

    dataset: str
    """One of `SOFT_ANSWERS`."""
    annotators: Mapping[str, tuple[str, ...]]
    """Item of the file to its annotators, in order, each once."""
    item_ids: Mapping[str, str]
    """Item of the file to its id among the ratings."""
    pairs: pl.DataFrame
    """item_id, rater_id, item_* and rater_* columns; answers of the file are not in it."""


def is_lewidi_asked(path: Path) -> bool:
    """Whether the file is named like one of the data sets, and is JSON."""
    return path.suffix == ".json" and dataset_of(path)[0] in SOFT_ANSWERS


def read_lewidi_asked(path: Path, ratings: Ratings) -> LewidiAsked:
    """The pairs of item and annotator of a file such as MP_test.json, with the annotators' properties if they lie beside.

    Ids of items begin anew in every file of a data set. An id that has another text in the ratings, or that stands there behind
    the file's split, is preceded by the split. Raises DataError for a file that is none of the shared task's.
    """
    dataset, split = dataset_of(path)
    if dataset not in SOFT_ANSWERS:
        raise DataError(path.name, f"its name has to begin with the data set: {', '.join(SOFT_ANSWERS)}.")
    source = Source(path, ReadOptions())
    entries = checked(_SHAPE, source.json[0], source.where)
    annotators = {key: tuple(dict.fromkeys(one.strip() for one in e.annotators.split(","))) for key, e in entries.items()}
    if bare := [key for key, names in annotators.items() if names == ("",)]:
        raise DataError(source.where, f"{len(bare):,} items have no annotators, e.g. {bare[0]!r}.")
    texts = {key: {"text": e.text} if isinstance(e.text, str) else e.text for key, e in entries.items()}
    fields = prefixed(dict.fromkeys(field for text in texts.values() for field in text), "item_")
    item_ids = _item_ids(texts, fields, split, ratings)
    rows = [(key, rater) for key, raters in annotators.items() for rater in raters]
    columns: dict[str, list[str | None]] = {
        "item_id": [item_ids[key] for key, _ in rows],
        "rater_id": [rater for _, rater in rows],
        **{ours: [texts[key].get(field) for key, _ in rows] for ours, field in fields.items()},
    }
    table = text_frame(columns, source.where)
    meta = path.parent / f"{dataset}_annotators_meta.json"
    if meta.is_file():
        table = join_meta(Long(table, source.where, dataset), source.beside(meta), "rater").table
    table = table.select(c for c in table.columns if not c.startswith("rater_") or c in ratings.raters.columns)
    missing = pl.lit(pl.Series(list(ReadOptions().missing), dtype=pl.String).implode())
    attributes = [c for c in table.columns if c.startswith("rater_") and c != "rater_id"]
    pairs = table.with_columns(pl.when(pl.col(c).is_in(missing)).then(None).otherwise(pl.col(c)).alias(c) for c in attributes)
    return LewidiAsked(dataset=dataset, annotators=annotators, item_ids=item_ids, pairs=pairs)


def _item_ids(
    texts: Mapping[str, Mapping[str, str]], fields: Mapping[str, str], split: str, ratings: Ratings
) -> dict[str, str]:
    shared = [ours for ours in fields if ours in ratings.items.columns]
    known = dict(zip(ratings.item_ids, ratings.items.select(shared).rows(), strict=True))
    asked = {key: tuple(text.get(fields[ours]) for ours in shared) for key, text in texts.items()}
    clashes = any(key in known and known[key] != text for key, text in asked.items())
    stands = any(f"{split}-{key}" in known for key in texts)
    return {key: f"{split or 'asked'}-{key}" if clashes or stands else key for key in texts}


def write_submission(folder: Place, asked: LewidiAsked, predictions: pl.DataFrame, options: Sequence[str]) -> list[Place]:
    """The two files of a data set, from the table of predictions (`individual.Predicted.table`) over these options.

    Raises DataError for answers that the data set does not have.
    """
    answers = _answer_table(asked.dataset, options)
    p = predictions.select(f"p_{option}" for option in options).to_numpy()
    place = {pair: n for n, pair in enumerate(predictions.select("item_id", "rater_id").iter_rows())}
    soft, single = {}, {}
    for key, raters in asked.annotators.items():
        rows = p[[place[asked.item_ids[key], rater] for rater in raters]]
        soft[key] = _soft(rows @ answers, asked.dataset)
        single[key] = _single(rows, answers, asked.dataset)
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Place] = []
    for name, lists in (("soft", soft), ("pe", single)):
        path = folder / f"{asked.dataset}_test_{name}.tsv"
        write_text_atomic(path, "".join(f"{key}\t{json.dumps(one)}\n" for key, one in lists.items()))
        written.append(path)
    return written


def _answer_table(dataset: str, options: Sequence[str]) -> FloatArray:
    """[options, answers] 1 where the option is the answer, or contains the label."""
    answers = SOFT_ANSWERS[dataset]
    parts = [set(option.split(",")) if dataset == "VariErrNLI" else {option} for option in options]
    if unknown := sorted({part for some in parts for part in some} - set(answers)):
        raise DataError(dataset, f"answers {unknown[:5]} are none of {', '.join(answers)}; take the ratings of this data set.")
    return np.array([[float(answer in some) for answer in answers] for some in parts])


def _soft(rows: FloatArray, dataset: str) -> list[Any]:
    """Of an item, from its annotators' probabilities of the answers [annotators, answers]."""
    mean = rows.mean(axis=0)
    return [[1.0 - p, p] for p in mean.tolist()] if dataset == "VariErrNLI" else mean.tolist()


def _single(rows: FloatArray, answers: FloatArray, dataset: str) -> list[Any]:
    """Of an item an answer for each annotator: what costs least by the measure of the data set [annotators, options]."""
    if dataset == "VariErrNLI":
        return [list(map(int, label)) for label in (rows @ answers > 0.5).T]
    values = np.array(list(map(int, SOFT_ANSWERS[dataset])))
    p = rows @ answers
    chosen = mode_options(p) if dataset == "MP" else median_options(p, values)
    return [int(values[one]) for one in chosen]


def read_submission(path: Path) -> dict[str, list[Any]]:
    """Item to list, from a file that is handed in. Raises DataError for lines that are not ID, tab, list."""
    found: dict[str, list[Any]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        key, tab, text = line.partition("\t")
        try:
            value = json.loads(text) if tab else None
        except ValueError:
            value = None
        if not isinstance(value, list) or key in found:
            raise DataError(path.name, f"line {number}: need a new id, a tab and a list; got {line[:60]!r}")
        found[key] = value
    return found
