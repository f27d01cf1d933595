"""Three posts, twenty people under each of three guidelines; person n finds the post of number k hateful if n is above 6 k."""

from __future__ import annotations

from pathlib import Path

from pluralign.suite.sources.annotation_paradigms import COLUMNS
from suite.samples import write_csv

POSTS = {"7": "Nobody likes your kind,\nyou know", "3": "Süße Katze", "15": "I hate rain"}


def write(folder: Path) -> None:
    for group, columns in COLUMNS.items():
        rows = [
            {
                "id": post,
                "text": text,
                **{c: "Hateful" if n > 6 * k else "Non-hateful" for n, c in enumerate(columns, 1)},
            }
            for k, (post, text) in enumerate(POSTS.items(), 1)
        ]
        write_csv(folder / f"annotations_{group}.csv", rows)
