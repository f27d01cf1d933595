"""What rules should an AI follow? A sample of Americans agrees with, disagrees with or passes on statements of other members.

The group that the platform puts a person into is computed from the votes, so it is no attribute. Not a task of the published
suite. People with fewer than four votes are left out, as from its Polis conversations.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pluralign.suite.card import Card, Repository, Source
from pluralign.suite.ratings_task import Wordings, checked_ratings, raters_task
from pluralign.suite.reading import read_csv, unusable

if TYPE_CHECKING:
    from pluralign.ratings.table import Ratings

__all__ = ["SOURCE", "load"]

VOTES = "clean_votes.csv"
COMMENTS = "clean_comments.csv"
FEWEST = 4
LABELS = {"-1.0": "Disagree", "-1": "Disagree", "0.0": "Pass", "0": "Pass", "1.0": "Agree", "1": "Agree"}
CARD = Card(
    name="ccai",
    what="Votes of 1,002 people on 275 statements about how an AI should behave, in one conversation on Polis.",
    citation="Huang et al. 2024, Collective Constitutional AI: Aligning a Language Model with Public Input (arXiv 2406.07814)",
    licence="unstated",
    access=Repository("https://github.com/saffronh/ccai", "3ff5dce9a1299d6035f1dd9e2f95be995311cb6e", (VOTES, COMMENTS)),
    ran_on_real_file=True,
    rows=34_563,
    units=1002,
    chance={"ccai_vote": 1 / 3},
    problems=("beyond the published suite", "people saw statements in an order that the platform chose"),
)
WORDINGS = Wordings(
    bare=(
        "One person's votes on how an AI should behave: Agree, Disagree or Pass.",
        "Members of the public wrote rules for an AI and voted on each other's. These are the votes of one of them: Agree, "
        "Disagree, or Pass for neither.",
        "Each input is a statement about what an AI should be like; the output is the same person's vote on it. "
        "Votes are Agree, Disagree or Pass.",
    )
)


def load(folder: Path | None) -> Ratings:
    """All votes, a missing one being none."""
    comments = read_csv(CARD, folder, COMMENTS, ["comment-id", "comment-body"])
    ids = comments["comment-id"].to_list()
    if None in ids or len(set(ids)) < len(ids):
        raise unusable(CARD, folder, COMMENTS, "comment-id is missing or comes twice, so that texts are uncertain")
    votes = read_csv(CARD, folder, VOTES, ["participant", *ids]).with_row_index("row", offset=1)
    table = votes.unpivot(ids, index=["row", "participant"], variable_name="comment-id", value_name="rating")
    table = table.drop_nulls("rating").join(comments, on="comment-id", how="left", maintain_order="left")
    names = {"comment-id": "item_id", "participant": "rater_id", "comment-body": "item_text"}
    return checked_ratings(CARD, folder, VOTES, table.rename(names), LABELS, kind="ordinal")


SOURCE = Source(CARD, load, (raters_task("ccai_vote", WORDINGS, about="one person's vote on a statement", fewest=FEWEST),))
