"""Tables of considerations in the published form, and what is made of them: splits, negatives, episodes, a sample for people.

A table has the columns of ValuePrism: situation, vrd, text, explanation, valence; one row a consideration. Who has access to
ValuePrism loads it with `load_prism`, by a file, a folder or a hub id; tables that were made here have the same columns.

    splits       by situation: no situation is in two of them; each keeps its place when others are added
    negatives    for the relevance task: considerations that are listed for other situations of the same split, as many as are
                 listed for this one, never one that is listed for it in these or other words
    episodes     the four tasks of one model: generate, relevance, valence, explanation

Source: Sorensen et al. 2024, Value Kaleidoscope (arXiv 2309.00779). Departures: which texts count as the same, and the number
of negatives, are ours (unknown there); negatives are drawn as often as they are listed, so that a consideration's frequency
tells nothing of its label.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from pluralign.episodes import Episode, Example
from pluralign.errors import DataError, UsageError
from pluralign.estimates import Estimate, estimate_mean
from pluralign.streams import stream
from pluralign.suite.card import Hub
from pluralign.suite.hub import HubFault, fetch
from pluralign.values.considerations import (
    KINDS,
    RELEVANCE,
    TASKS,
    VALENCES,
    Consideration,
    ValuesTask,
    explanation_input,
    generate_input,
    one_line,
    relevance_input,
    valence_input,
)
from pluralign.values.dedup import same_wording
from pluralign.values.episodes import DESCRIPTIONS

__all__ = [
    "COLUMNS",
    "SPLITS",
    "Split",
    "TaskRow",
    "load_prism",
    "prism_episodes",
    "quality_csv",
    "quality_of",
    "relevance_rows",
    "split_of",
    "splits_of",
    "task_rows",
]

COLUMNS = ("situation", "vrd", "text", "explanation", "valence")
"""As published; the explanation alone may be missing."""
Split = Literal["train", "validation", "test"]
SPLITS: Mapping[Split, float] = {"train": 0.8, "validation": 0.1, "test": 0.1}
_FILES = ("full/full.csv", "full.csv", "prism.parquet")
"""Of a folder, the first that is there."""
_QUALITY = ("situation", "vrd", "text", "valence", "explanation")
_JUDGED = ("is_good", "is_relevant", "valence_is_right", "explanation_is_right")
_MOST_FAULTS = 5
_FORMULA = ("=", "+", "-", "@")
_ALL = 2000
"""Rows of a split up to which all are looked through for negatives."""
_DRAWS = 10_000
"""At most, for the negatives of a situation from a larger split."""


def load_prism(source: str | os.PathLike[str]) -> pl.DataFrame:
    """A table in the published columns from a file (.csv, .parquet), a folder that holds one, or a hub id (OWNER/NAME).

    Raises DataError with all that is wrong: missing columns, unknown kinds or valences, rows without situation or text.
    """
    path = Path(source)
    if path.is_dir():
        found = next((path / name for name in _FILES if (path / name).is_file()), None)
        if found is None:
            raise DataError(str(path), f"none of {', '.join(_FILES)} is in this folder")
        path = found
    elif not path.is_file():
        path = _fetched(str(source))
    try:
        table = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(str(path), f"cannot be read as {path.suffix.removeprefix('.') or 'CSV'}: {error}") from error
    return _checked(table, str(path))


def splits_of(situations: Sequence[str], *, seed: int, shares: Mapping[Split, float] | None = None) -> dict[str, Split]:
    """The split of each situation, by a random number keyed by its text; about these shares of them."""
    return {text: split_of(text, seed=seed, shares=shares) for text in situations}


def split_of(situation: str, *, seed: int, shares: Mapping[Split, float] | None = None) -> Split:
    """The split of a situation, whatever else there is. Raises UsageError where shares do not sum to 1.

    >>> split_of("Biking to work", seed=0) == split_of("  Biking to  work", seed=0)
    True
    """
    shares = SPLITS if shares is None else shares
    if not np.isclose(sum(shares.values()), 1) or min(shares.values()) < 0:
        raise UsageError(f"the shares of splits are not negative and sum to 1; got {dict(shares)}.")
    place = stream(seed, "prism split", one_line(situation)).random()
    last: Split = "train"
    for name, share in shares.items():
        if share > 0:
            last = name
        place -= share
        if place < 0:
            return name
    return last


def relevance_rows(table: pl.DataFrame, splits: Mapping[str, Split], *, seed: int) -> pl.DataFrame:
    """Columns situation, vrd, text, label (Yes, No), split; of each situation what is listed, and as many negatives.

    There are fewer negatives where the other situations of the split do not hold so many different ones.
    """
    rows: list[tuple[str, str, str, str, str]] = []
    for split in dict.fromkeys(splits.values()):
        own = [(s, Consideration(vrd, text)) for s, vrd, text in table.select(COLUMNS[:3]).iter_rows() if splits[s] == split]
        listed: dict[str, list[Consideration]] = {}
        for situation, consideration in own:
            listed.setdefault(situation, []).append(consideration)
        for situation, here in listed.items():
            rows += [(situation, one.vrd, one.text, RELEVANCE[0], split) for one in here]
            rows += [(situation, one.vrd, one.text, RELEVANCE[1], split) for one in _negatives(situation, here, own, seed)]
    return pl.DataFrame(rows, schema=["situation", "vrd", "text", "label", "split"], orient="row")


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One thing that a model of values is asked, and the answer."""

    task: ValuesTask
    situation: str
    consideration: Consideration | None
    """None where the task is to generate."""
    answer: str


def task_rows(
    table: pl.DataFrame,
    relevance: pl.DataFrame,
    *,
    tasks: Sequence[ValuesTask] = TASKS,
    per_task: int | None = None,
    seed: int = 0,
) -> Iterator[TaskRow]:
    """The mixture of tasks. `table` and `relevance` hold what is wanted, e.g. one split.

    `per_task` keeps so many of each task, by chance.
    """
    for task in tasks:
        made = list(_of_task(task, table, relevance))
        if per_task is not None and per_task < len(made):
            chosen = np.sort(stream(seed, "prism mixture", task).permutation(len(made))[:per_task])
            made = [made[i] for i in chosen.tolist()]
        yield from made


def prism_episodes(
    table: pl.DataFrame,
    relevance: pl.DataFrame,
    *,
    tasks: Sequence[ValuesTask] = TASKS,
    per_task: int | None = None,
    seed: int = 0,
) -> Iterator[Episode]:
    """`task_rows`, an episode for each, the same description for all of a task; the unit is the situation."""
    for row in task_rows(table, relevance, tasks=tasks, per_task=per_task, seed=seed):
        options = {"relevance": RELEVANCE, "valence": VALENCES}.get(row.task)
        examples = [Example(row.answer, _asked(row))]
        yield Episode.checked(f"values_{row.task}", examples, DESCRIPTIONS[row.task], options, unit=row.situation)


def quality_csv(table: pl.DataFrame, *, n: int, seed: int) -> str:
    """A CSV of rows by chance for people to judge, with blank columns to be filled with yes or no, and one for remarks.

    A cell that a spreadsheet would take for a formula has an apostrophe in front.
    """
    n = min(n, table.height)
    order = np.sort(stream(seed, "prism quality").permutation(table.height)[:n])
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["row", *_QUALITY, *_JUDGED, "judge", "remark"])
    for row, values in zip(order.tolist(), table[order].select(_QUALITY).iter_rows(), strict=True):
        writer.writerow([row, *(_plain_cell(value) for value in values), *[""] * (len(_JUDGED) + 2)])
    return file.getvalue()


def quality_of(file: str | os.PathLike[str], *, seed: int = 0) -> dict[str, Estimate]:
    """The share of yes in each column that people filled, situations resampled; undefined where nothing is filled.

    Raises DataError for another answer than yes or no (in any letters); a blank is no answer.
    """
    try:
        table = pl.read_csv(Path(file), infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(os.fspath(file), f"cannot be read as CSV: {error}") from error
    if missing := [name for name in ("situation", *_JUDGED) if name not in table.columns]:
        raise DataError(os.fspath(file), f"no column {', '.join(missing)}")
    found, faults = {}, []
    for name in _JUDGED:
        answers = table[name].fill_null("").str.strip_chars().str.to_lowercase()
        faults += [f"row {n}: {name} is {text!r}" for n, text in enumerate(answers, 2) if text not in ("yes", "no", "")]
        filled = (answers != "").to_numpy()
        units = table["situation"].fill_null("").rank("dense").to_numpy().astype(np.int64)
        found[name] = estimate_mean((answers == "yes").to_numpy()[filled] * 1.0, units[filled], unit="situation", seed=seed)
    if faults:
        raise DataError(os.fspath(file), [*faults[:_MOST_FAULTS], "write yes or no, or leave the cell blank"])
    return found


def _negatives(
    situation: str, listed: Sequence[Consideration], pool: Sequence[tuple[str, Consideration]], seed: int
) -> list[Consideration]:
    """Different ones, by chance, as often as they are listed elsewhere."""
    taken = {same_wording(one) for one in listed}
    found: list[Consideration] = []
    rng = stream(seed, "prism negatives", situation)
    order = rng.permutation(len(pool)) if len(pool) <= _ALL else rng.integers(len(pool), size=_DRAWS)
    for place in order.tolist():
        if len(found) == len(listed):
            break
        one = pool[place][1]
        if (key := same_wording(one)) not in taken:
            taken.add(key)
            found.append(one)
    return found


def _of_task(task: ValuesTask, table: pl.DataFrame, relevance: pl.DataFrame) -> Iterator[TaskRow]:
    if task == "relevance":
        for situation, vrd, text, label in relevance.select("situation", "vrd", "text", "label").iter_rows():
            yield TaskRow(task, situation, Consideration(vrd, text), label)
        return
    for situation, vrd, text, explanation, valence in table.select(COLUMNS).iter_rows():
        one = Consideration(vrd, text)
        if task == "generate":
            yield TaskRow(task, situation, None, one.written)
        elif task == "valence":
            yield TaskRow(task, situation, one, valence)
        elif explanation is not None:
            yield TaskRow(task, situation, one, one_line(explanation))


def _asked(row: TaskRow) -> str:
    """The input in the published form."""
    if row.consideration is None:
        return generate_input(row.situation)
    about = {"relevance": relevance_input, "valence": valence_input, "explanation": explanation_input}
    return about[row.task](row.situation, row.consideration)


def _checked(table: pl.DataFrame, where: str) -> pl.DataFrame:
    if missing := [name for name in COLUMNS if name not in table.columns]:
        raise DataError(where, f"no column {', '.join(missing)}; the published ones are {', '.join(COLUMNS)}")
    table = table.select(pl.col(name).cast(pl.String) for name in COLUMNS)
    allowed = {"vrd": KINDS, "valence": VALENCES}
    blank = [pl.col(name).fill_null("").str.strip_chars() == "" for name in ("situation", "text")]
    bad = {
        **{
            f"{name} must be one of {', '.join(values)}": ~pl.col(name).is_in(list(values)).fill_null(False)
            for name, values in allowed.items()
        },
        "situation is missing": blank[0],
        "text is missing": blank[1],
    }
    faults = []
    for what, condition in bad.items():
        rows = table.with_row_index("_row").filter(condition)["_row"].to_list()
        faults += [f"{len(rows):,} rows: {what} (the first is row {rows[0] + 1})"] if rows else []
    if table.height == 0:
        faults = ["it holds no row"]
    if faults:
        raise DataError(where, faults)
    return table.with_columns(
        pl.col(name).str.replace_all(r"\s+", " ").str.strip_chars() for name in ("situation", "text", "explanation")
    )


def _fetched(name: str) -> Path:
    parts = name.split("/")
    if len(parts) != 2 or not all(parts) or name.startswith(("/", ".")):
        raise DataError(name, "no such file or folder; a hub id is OWNER/NAME, such as allenai/ValuePrism")
    access = Hub(name, (_FILES[0],), revision=None, gated=True)
    try:
        return fetch(access, _FILES[0])
    except HubFault as error:
        raise DataError(name, str(error)) from error


def _plain_cell(value: str | None) -> str:
    text = value or ""
    return f"'{text}" if text.startswith(_FORMULA) else text
