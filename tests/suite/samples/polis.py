"""Two conversations: one with single votes, re-votes among them, and one with the table of last votes and no description."""

from __future__ import annotations

from pathlib import Path

from suite.samples import write_csv, write_text

BENCHES, BUS = "brexit-consensus", "london.youth.policing"
"""Names of real folders; what is in them is made up."""
COMMENTS = {
    "0": "More benches, please.",
    "1": 'Say "no" to benches,\nsay yes to chairs',
    "2": "Bänke sind schön ☀",
    "3": "just testing",
    "4": "Benches cost too much",
    "5": None,
    "6": "The park needs shade",
    "7": "Protest now",
}
# as in the real exports: sorted by comment, not by time
SINGLE = [
    (30, "0", "11", "1"),
    (20, "0", "11", "-1"),  # the earlier one
    (21, "0", "12", "0"),
    (22, "1", "11", "-1"),
    (23, "2", "11", "0"),
    (24, "3", "11", "1"),  # on a test
    (25, "4", "11", "1"),
    (26, "5", "12", "1"),  # on nothing
    (27, "6", "11", "1"),
    (28, "1", "12", "1"),
    (29, "2", "12", "1"),  # three usable ones
    (31, "0", "13", "-1"),
    (32, "2", "13", "-1"),
    (33, "4", "13", "1"),
    (34, "7", "13", "-1"),
]
TABLE = [
    ("1", "1", "0", "-1", None, "1"),
    ("2", "0", "0", "0", "0", None),
    ("3", None, None, "1", None, None),
]


def write(folder: Path) -> None:
    summary = "url,https://example.org\nviews,13\ntopic,Benches in the park\ngroups,2\n"
    asked = 'conversation-description,"Should there be more of them, or fewer?\n\nTell us."\n'
    write_text(folder / BENCHES / "summary.csv", summary + asked)
    write_csv(
        folder / BENCHES / "comments.csv",
        [
            {"comment-id": comment, "author-id": 0, "moderated": -1 if comment == "4" else 1, "comment-body": text}
            for comment, text in COMMENTS.items()
        ],
    )
    write_csv(
        folder / BENCHES / "votes.csv",
        [
            {"timestamp": 1500000000000 + time, "datetime": "Monday", "comment-id": comment, "voter-id": voter, "vote": vote}
            for time, comment, voter, vote in SINGLE
        ],
    )
    write_text(folder / BUS / "summary.csv", "url,https://example.org\ntopic,A night bus\nconversation-description,\n")
    write_csv(
        folder / BUS / "comments.csv",
        [{"comment-id": str(n), "author-id": 1, "moderated": 1, "comment-body": f"Bus {n}, at night"} for n in (4, 3, 2, 1, 0)],
    )
    write_csv(
        folder / BUS / "participants-votes.csv",
        [
            {"participant": voter, "group-id": 0, "n-votes": 4, **{str(n): vote for n, vote in enumerate(votes)}}
            for voter, *votes in TABLE
        ],
    )
