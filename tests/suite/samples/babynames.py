"""Each year the same: three names of girls, two of boys, Lee among both."""

from __future__ import annotations

from pathlib import Path

from pluralign.suite.sources import babynames
from suite.samples import write_zip


def write(folder: Path, *, first: str = "Mary,F,50") -> None:
    text = "\r\n".join([first, "Anna,F,30", "Lee,F,10", "John,M,60", "Lee,M,20"]) + "\r\n"
    years = {f"yob{year}.txt": text for year in babynames.YEARS}
    write_zip(folder / "names.zip", {"NationalReadMe.pdf": b"%PDF", **years})
