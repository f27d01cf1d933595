"""Four people vote on five statements; one person has three votes only, and one statement is in two lines with a comma."""

from __future__ import annotations

from pathlib import Path

from suite.samples import write_csv

COMMENTS = {
    "0": "The AI should tell the truth.",
    "1": "The AI should be friendly,\nand brief.",
    "2": "Die KI sollte höflich sein.",
    "5": "The AI should never guess.",
    "7": "The AI should make jokes.",
}
VOTES = {
    "3": ["1.0", "1.0", "0.0", "-1.0", ""],
    "4": ["-1.0", "", "1.0", "1.0", "0.0"],
    "8": ["1.0", "1.0", "1.0", "1.0", "1.0"],
    "9": ["1.0", "-1.0", "", "", "0.0"],
}


def write(folder: Path) -> None:
    rows = [
        {"participant": who, "xid": f"x{who}", "group-id": n % 2, "n-votes": 4, **dict(zip(COMMENTS, votes, strict=True))}
        for n, (who, votes) in enumerate(VOTES.items())
    ]
    write_csv(folder / "clean_votes.csv", rows)
    texts = [{"comment-id": i, "moderated": 1, "comment-body": text, "agrees": 9} for i, text in COMMENTS.items()]
    write_csv(folder / "clean_comments.csv", texts)
