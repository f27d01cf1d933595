"""Any table of ratings is a task: each rater is a strand, what was rated is the input, the rating is the output.

    ratings:FILE                                 a file or folder that the readers of `pluralign.ratings` know
    ratings:FILE?rating=label&rater=worker       how it is read: fields of `ReadOptions`, by the names of the command's flags
    ratings:FILE?held_out=0.2&part=test          a share of the raters is kept apart: these, or with part=train all others
    ratings:FILE?by=gender                       `evaluate` only: each item is asked for every gender (`alignment_questions`)

What stands after `?` is decoded as in a web address; a list is a name that is repeated. Who is held out follows from the
rater's id alone, whatever the seed and the file, so that people who were held out once stay so. The task's name is
`ratings_` and the file's name without folder and ending, then the part. `pluralign ratings inspect FILE` with the same flags
says what the reader saw and left out; columns that are computed from the ratings are never attributes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pluralign.episodes import Attribute, Example
from pluralign.errors import DataError, UsageError
from pluralign.suite.card import Card, Local, Source
from pluralign.suite.ratings_name import QUESTION_FLAGS, ratings_file
from pluralign.suite.reading import unusable
from pluralign.suite.sampler import chosen_units
from pluralign.suite.task import Around, Split, Strand, Task, json_text

if TYPE_CHECKING:
    import polars as pl

    from pluralign.ratings.scale import Scale, ScaleKind
    from pluralign.ratings.table import Ratings

__all__ = [
    "Wordings",
    "checked_ratings",
    "default_wordings",
    "item_inputs",
    "part_of",
    "rater_attributes",
    "raters_task",
    "ratings_source",
    "source_of_file",
]

_ABOUT = "one person's rating"
_HOW_FLAGS = "in the name of a task --FLAG VALUE is written as FLAG=VALUE: ratings:FILE?rating=label&rater=worker"
"""What errors of the readers leave open, which speak of the command's flags."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wordings:
    """Alternative descriptions of one rater."""

    bare: tuple[str, ...]
    described: tuple[str, ...] = ()
    """A rater's attributes follow, as JSON; for raters of whom any is known."""

    def of(self, attributes: Mapping[str, Attribute]) -> tuple[str, ...]:
        """All that are true of a rater with these attributes."""
        return self.bare + tuple(f"{text} {json_text(**attributes)}" for text in self.described if attributes)


def default_wordings(scale: Scale) -> Wordings:
    """Descriptions that name the answers and say whether they are ordered, for a table of which nothing else is known."""
    if scale.kind == "interval":
        answers = f"Each answer is a number from {scale.options[0]} to {scale.options[-1]}."
    else:
        order = "in this order" if scale.is_ordered else "in no particular order"
        answers = f"The possible answers, {order}: {json.dumps(list(scale.options), ensure_ascii=False)}."
    return Wordings(
        bare=(
            f"One person's ratings. {answers}",
            f"The same person rates one thing after another. {answers}",
            f"How a single rater, who may well differ from others, judges what is shown. {answers}",
        ),
        described=(
            f"One person's ratings. {answers} What is known of the person:",
            f"The same person rates one thing after another. {answers} The person, as far as known:",
        ),
    )


# from a table to a task


def raters_task(
    name: str,
    wordings: Wordings | None = None,
    *,
    about: str = _ABOUT,
    ratings: Callable[[Any], Ratings] = lambda data: cast("Ratings", data),
    split: Split = "train",
    most: int | None = None,
    fewest: int = 1,
    n_outputs: int | Around | None = None,
    files: tuple[str, ...] | None = None,
) -> Task:
    """A task with one strand for each rater of the table that `ratings` finds in what the source has loaded.

    `most`: raters, at most, chosen by chance of those with `fewest` ratings or more. `n_outputs`: in each episode; all the
    rater's, up to 5,000, if not given.
    """

    def strands(data: Any, seed: int) -> Iterator[Strand]:
        table = ratings(data)
        words = wordings or default_wordings(table.scale)
        rows = {unit: own for unit, own in _rows_by_rater(table).items() if len(own[1]) >= fewest}
        inputs, known = item_inputs(table), rater_attributes(table)
        for unit, (rater, own) in (rows if most is None else chosen_units(seed, name, rows, most)).items():
            item, option = table.item_index[own].tolist(), table.rating_index[own].tolist()
            yield Strand(
                unit=unit,
                examples=[Example(table.scale.options[o], inputs[i]) for i, o in zip(item, option, strict=True)],
                descriptions=words.of(known[rater]),
                options=table.scale.options,
                n_outputs=n_outputs,
                attributes=known[rater],
            )

    return Task(name=name, kind="individual", split=split, strands=strands, about=about, files=files)


def ratings_source(
    ratings: Ratings,
    *,
    name: str,
    about: str = _ABOUT,
    wordings: Wordings | None = None,
    split: Split = "train",
    most: int | None = None,
    n_outputs: int | Around | None = None,
) -> Source:
    """The source, with one task of its own name, of a table that is there already; see `raters_task`."""
    card = _card(name, Local(), None if ratings.scale.kind == "interval" else ratings.n_options)
    task = raters_task(name, wordings, about=about, split=split, most=most, n_outputs=n_outputs)
    return Source(card, lambda folder: ratings, (task,))


def checked_ratings(
    card: Card, folder: Path | None, file: str, table: pl.DataFrame, labels: Mapping[str, str], *, kind: ScaleKind
) -> Ratings:
    """For loaders: one row a rating, as in `Ratings.from_long`, with a rating as written to an option, in order, by `labels`.

    Raises DataError with all that is wrong: an unknown rating, no rater, an item without text or rated twice by one person, and
    what `from_long` finds. A column `row` gives the row of the file; rows are counted if it is not there.
    """
    import polars as pl

    from pluralign.ratings.scale import Scale
    from pluralign.ratings.table import Ratings

    if "row" not in table.columns:
        table = table.with_row_index("row", offset=1)
    texts = [column for column in table.columns if column.startswith("item_") and column != "item_id"]
    allowed = list(labels)
    wrong = table.filter(pl.col("rating").is_null() | ~pl.col("rating").is_in(allowed)).select("row", "rating")
    faults = [f"row {row}: one of {', '.join(allowed)} is needed, not {value!r}" for row, value in wrong.iter_rows()]
    faults += [f"row {row}: no rater" for row in table.filter(pl.col("rater_id").is_null())["row"]]
    bare = table.filter(pl.any_horizontal(pl.col(texts).is_null() | (pl.col(texts).str.strip_chars() == "")))
    faults += [f"row {row}: {item!r} has no text" for row, item in bare.select("row", "item_id").iter_rows()]
    again = table.filter(~pl.struct("item_id", "rater_id").is_first_distinct() & pl.col("rater_id").is_not_null())
    again_rows = again.select("row", "rater_id", "item_id").iter_rows()
    faults += [f"row {row}: another rating of {item!r} by {rater!r} came before" for row, rater, item in again_rows]
    if faults:
        raise unusable(card, folder, file, faults)
    long = table.drop("row").with_columns(pl.col("rating").replace_strict(dict(labels), return_dtype=pl.String))
    try:
        return Ratings.from_long(long, Scale(kind, tuple(dict.fromkeys(labels.values()))), name=card.name)
    except DataError as error:
        raise unusable(card, folder, file, error.faults) from error


def part_of(ratings: Ratings, *, held_out: float, part: str) -> Ratings:
    """The ratings of the raters who are held out (`part` "test"), or of all others ("train"). Raises DataError for none.

    A rater is held out whose number, keyed by the id alone, is below the share: with a larger share the same and others.
    """
    from pluralign.ratings.keyed import id_codes, keyed_uniforms

    is_test = keyed_uniforms(0, "held_out", id_codes(ratings.rater_ids)) < held_out
    kept = ratings.take((is_test if part == "test" else ~is_test)[ratings.rater_index])
    if not len(kept):
        raise DataError(
            ratings.name, f"part={part} is empty: held_out={held_out:g} of {ratings.n_raters:,} raters; take another share"
        )
    return kept


def _rows_by_rater(ratings: Ratings) -> dict[str, tuple[int, Any]]:
    """Id to row in the table of raters and positions of the ratings, for raters who have any."""
    import numpy as np

    order = np.argsort(ratings.rater_index, kind="stable")
    raters, starts = np.unique(ratings.rater_index[order], return_index=True)
    parts = np.split(order, starts[1:])
    return {ratings.rater_ids[rater]: (rater, rows) for rater, rows in zip(raters.tolist(), parts, strict=True)}


def item_inputs(ratings: Ratings) -> list[str]:
    """What is asked about each item [items]: its text, its texts as one JSON object, or its id where it has none."""
    columns = ratings.text_columns
    if not columns:
        return ratings.item_ids
    names = [column.removeprefix("item_") for column in columns]
    rows = ratings.items.select(columns).rows()
    return [_input(item_id, names, row) for item_id, row in zip(ratings.item_ids, rows, strict=True)]


def _input(item_id: str, names: Sequence[str], row: Sequence[object]) -> str:
    there = {name: str(text) for name, text in zip(names, row, strict=True) if text is not None and str(text).strip()}
    if not there:
        return item_id
    return there[names[0]] if len(names) == 1 else json_text(**there)


def rater_attributes(ratings: Ratings) -> list[dict[str, Attribute]]:
    """What is known of each rater [raters]; what is missing or blank is left out."""
    columns = ratings.attributes
    if not columns:
        return [{} for _ in range(ratings.n_raters)]
    names = [column.removeprefix("rater_") for column in columns]
    rows = ratings.raters.select(columns).rows()
    return [
        {n: v for n, v in zip(names, row, strict=True) if v is not None and str(v).strip() not in ("", "nan")} for row in rows
    ]


def _card(name: str, access: Local, n_options: int | None) -> Card:
    return Card(
        name=name,
        what="A table of ratings of your own.",
        citation="your own",
        licence="unstated",
        access=access,
        ran_on_real_file=True,
        unit="rater",
        chance={name: 1 / n_options} if n_options else {},
    )


def source_of_file(name: str) -> Source:
    """The source, with one task, of a name `ratings:FILE?...`; the file is read when its ratings are asked for.

    Raises UsageError for an unknown or repeated flag, a value that it cannot take, and for flags that only questions have.
    """
    asked = ratings_file(name)
    if asked.by is not None or asked.fewest is not None:
        raise UsageError(
            f"{name}: {' and '.join(QUESTION_FLAGS)} are for questions of `evaluate`; leave them out where episodes are made, "
            "whose raters are one by one."
        )
    options = asked.options.options
    n_options = len(options) if options and asked.options.scale != "interval" else None

    def load(folder: Path | None) -> Ratings:
        from pluralign.ratings.readers import read_ratings

        try:
            ratings = read_ratings(asked.file, asked.options)
        except DataError as error:
            advice = [_HOW_FLAGS] if any("--" in fault for fault in error.faults) else []
            raise DataError(error.where, [*error.faults, *advice]) from error
        return ratings if asked.part is None else part_of(ratings, held_out=asked.held_out, part=asked.part)

    split: Split = "test" if asked.part == "test" else "train"
    return Source(_card(asked.task, Local(asked.paths), n_options), load, (raters_task(asked.task, split=split),))
