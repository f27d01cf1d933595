"""Made-up films and three files of ratings: two customers with twelve ratings, one with three."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from suite.samples import write_text

TITLES = {1: "Seen by Nobody", 2: "A Cat, a Hat: Season 2", 3: "No Tea", 4: "No Tea", **{n: f"Film {n}" for n in range(5, 15)}}
STARS = {
    10: {film: film % 5 + 1 for film in range(2, 14)},
    2_649_429: {film: 5 for film in range(3, 15)},
    7: {2: 1, 3: 1, 4: 1},
}
FILMS: dict[str, Sequence[int]] = {
    "combined_data_1.txt": (2, 3, 4),
    "combined_data_2.txt": (5, 6, 7, 8),
    "combined_data_3.txt": range(9, 15),
}


def ratings(films: Sequence[int]) -> str:
    lines = []
    for film in films:
        lines.append(f"{film}:")
        lines += [f"{who},{given[film]},2005-09-{film:02}" for who, given in STARS.items() if film in given]
    return "\n".join(lines) + "\n"


def write(folder: Path) -> None:
    lines = [f"{film},{'NULL' if film == 3 else 1990 + film},{title}" for film, title in TITLES.items()]
    write_text(folder / "movie_titles.csv", "\n".join(lines) + "\n")
    for file, films in FILMS.items():
        write_text(folder / file, ratings(films))
