"""Invented films: scores with and without a sign, missing ones, a film without a date, a title with a comma and a line end."""

from __future__ import annotations

from pathlib import Path

from suite.samples import write_csv

FILMS = [
    ("Harbour of Glass", "Released Mar 12, 2005", "85%", "40%"),
    ("Stille Nächte", "Released Jan 1, 1999", "100", "0"),
    ("One, Two,\nThree", "Streaming Feb 2, 2021", "62.5%", None),
    ("Undated", None, "--", "71 %"),
    ("Nobody Saw This", "Released May 5, 2015", None, None),
]


def write(folder: Path) -> None:
    keys = ("title", "release_date", "critic_score", "audience_score")
    rows = [{"url": f"/m/{n}", **dict(zip(keys, film, strict=True))} for n, film in enumerate(FILMS)]
    write_csv(folder / "movie_info.csv", rows)
