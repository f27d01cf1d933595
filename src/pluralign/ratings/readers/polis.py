"""Polis conversations: agree (1), pass (0), disagree (-1) on comments that participants wrote.

An export is a folder with `comments.csv` and either `votes.csv`, one row a vote with re-votes in it, or only
`participants-votes.csv`, one row a participant and one column a comment. Collective Constitutional AI published the same
as `clean_votes.csv` and `clean_comments.csv`. Of several votes on a comment the last one counts. `group-id` and the counts of
votes are computed from the votes: they are a leak, never attributes. Votes on comments that moderators took out are kept.

Source: the open data exports described at compdemocracy.org; Small et al. 2021, Polis: Scaling Deliberation.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from pluralign.errors import DataError
from pluralign.ratings.readers.columns import column_list, is_leak, normal
from pluralign.ratings.readers.files import Source
from pluralign.ratings.readers.long import Long
from pluralign.ratings.readers.wide import melted
from pluralign.ratings.table import Note
from pluralign.stores import Place

__all__ = ["COMMENT_FILES", "VOTE_FILES", "is_polis_header", "read_polis"]

VOTE_FILES = ("votes.csv", "clean_votes.csv", "participants-votes.csv")
"""In the order of preference: single votes say which one came last."""
COMMENT_FILES = ("comments.csv", "clean_comments.csv")
_ANSWERS = ("-1", "0", "1")
_LONG = {"comment-id": "item_id", "voter-id": "rater_id", "vote": "rating"}


def read_polis(source: Source) -> Long:
    """The votes of one conversation, with the comments' texts where their file lies beside."""
    votes = source if source.kind != "folder" else source.beside(_first_file(source.path, VOTE_FILES, source.where))
    table, notes = votes.frame
    if set(_LONG) <= set(table.columns):
        long, more, columns = _from_votes(table, votes.where)
    elif "participant" in table.columns:
        long, more, columns = _from_matrix(table, votes.where)
    else:
        raise DataError(
            votes.where, f"neither {list(_LONG)} nor 'participant' and comment ids; columns are {column_list(table.columns)}"
        )
    made = Long(long, votes.where, source.name, (*notes, *more), columns, duplicates="last", answers=_ANSWERS)
    folder = source.path if source.kind == "folder" else source.path.parent
    comments = [folder / name for name in COMMENT_FILES if (folder / name).is_file()]
    return _with_comments(made, source.beside(comments[0])) if comments else made


def is_polis_header(columns: list[str]) -> bool:
    """Whether a table with these columns is one of a Polis export's two files of votes."""
    matrix = "participant" in columns and any(c.isdigit() for c in columns) and ("group-id" in columns or "n-votes" in columns)
    return matrix or set(_LONG) <= set(columns)


def _first_file(folder: Place, names: tuple[str, ...], where: str) -> Place:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(where, f"no file of votes in this folder; one of {', '.join(names)} is needed")


def _from_votes(table: pl.DataFrame, where: str) -> tuple[pl.DataFrame, list[Note], dict[str, str]]:
    notes = []
    if "timestamp" in table.columns:
        order = table["timestamp"].cast(pl.Int64, strict=False)
        table = table.with_columns(order.alias("timestamp")).sort("timestamp", maintain_order=True, nulls_last=False)
        if order.null_count():
            notes.append(Note(where, "votes without a readable timestamp count as the earliest", order.null_count()))
    else:
        notes.append(Note(where, "no column 'timestamp': of several votes the last in the file counts", table.height))
    return table.select(pl.col(theirs).alias(ours) for theirs, ours in _LONG.items()), notes, {o: t for t, o in _LONG.items()}


def _from_matrix(table: pl.DataFrame, where: str) -> tuple[pl.DataFrame, list[Note], dict[str, str]]:
    comments = [c for c in table.columns if c.isdigit()]
    if not comments:
        raise DataError(where, f"no column is named by a comment's number; columns are {column_list(table.columns)}")
    leaks = [c for c in table.columns if is_leak(c)]
    others = [c for c in table.columns if c not in (*comments, *leaks, "participant")]
    long, columns = melted(table, "participant", comments, leaks, role="rater")
    notes = [Note(where, f"columns left out: {column_list(others)}", len(others))] if others else []
    return long, notes, columns


def _with_comments(long: Long, comments: Source) -> Long:
    table, notes = comments.frame
    names = {normal(c): c for c in table.columns}
    if not {"commentid", "commentbody"} <= set(names):
        raise DataError(comments.where, f"'comment-id' and 'comment-body' are needed; columns are {column_list(table.columns)}")
    texts = table.select(pl.col(names["commentid"]).alias("item_id"), pl.col(names["commentbody"]).alias("item_text"))
    if texts["item_id"].is_duplicated().any():
        raise DataError(comments.where, "a comment-id occurs twice, so that a comment's text is uncertain")
    if "moderated" in names:
        out = table.filter(pl.col("moderated") == "-1")[names["commentid"]]
        if n := len(set(out) & set(long.table["item_id"])):
            notes = [*notes, Note(comments.where, "comments that moderators took out have votes, which are kept", n)]
    voted = long.table["item_id"].unique()
    if n := len(voted) - int(voted.is_in(texts["item_id"].implode()).sum()):
        notes = [*notes, Note(comments.where, "comments with votes whose text is not in this file", n)]
    joined = long.table.join(texts, on="item_id", how="left", maintain_order="left")
    return replace(long, table=joined, notes=(*long.notes, *notes), columns={**long.columns, "item_text": names["commentbody"]})
