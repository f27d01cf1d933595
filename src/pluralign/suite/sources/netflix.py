"""Ratings of films and series by customers of Netflix, to the year 2005, two tasks: a customer's stars, and what one has seen.

The three files of ratings (the fourth is left out, as in the published suite) are gone through piece by piece, twice: to count
each customer's ratings, and to collect those of 2,000 customers with 10 or more, who are chosen at random. Nothing is kept on
disk, and some two hundred megabytes in memory. Both tasks take the same customers, `netflix_individual_ratings` 1,000 of them.

Departure: a title that several entries share comes once among the titles that a customer has seen.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pluralign.episodes import Example
from pluralign.suite.card import Card, Manual, Source
from pluralign.suite.reading import file_error, read_text, require_file, unusable
from pluralign.suite.rows import grouped
from pluralign.suite.sampler import chosen_units
from pluralign.suite.task import Around, Strand, Task

if TYPE_CHECKING:
    import polars as pl

__all__ = ["RATINGS", "SOURCE", "TITLES", "Ratings", "load"]

TITLES = "movie_titles.csv"
RATINGS = ("combined_data_1.txt", "combined_data_2.txt", "combined_data_3.txt")
STARS = "netflix_individual_ratings"
VIEWS = "netflix_individual_views"
N_PEOPLE = 2000
N_PEOPLE_STARS = 1000
LEAST_RATINGS = 10
MOST_ID = 9_999_999
"""Ids of customers end at 2,649,429."""
BLOCK_BYTES = 1 << 22
LINE = re.compile(rb"\d{1,7}:|\d{1,7},[1-5],\d{4}-\d\d-\d\d|")
"""A film's id, or customer, stars, day."""
CARD = Card(
    name="netflix",
    what="100 million star ratings of 17,770 films and series by 480,189 customers; three of the four files are used.",
    citation="Bennett & Lanning 2007, The Netflix Prize (KDD Cup and Workshop)",
    licence="the competition's own terms: research only, not to be passed on",
    access=Manual(
        (TITLES, *RATINGS),
        "https://www.kaggle.com/datasets/netflix-inc/netflix-prize-data (a login is needed; unpack the archive)",
    ),
    ran_on_real_file=False,
    units=N_PEOPLE,
    unit="customer",
    chance={STARS: 1 / 5},
    problems=(
        "customers were found again by name in other data (Narayanan & Shmatikov 2008): do not try",
        "films of the fourth file are missing for everybody",
        "titles in other scripts are transcribed; some are shared by several films",
    ),
)


class Ratings:
    """The files, gone through when asked."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._chosen: tuple[int, dict[str, list[tuple[str, int]]]] | None = None

    @cached_property
    def titles(self) -> dict[int, str]:
        """Film to title; raises DataError for lines that are not id, year, title, in Latin-1."""
        titles: dict[int, str] = {}
        faults: list[str] = []
        for number, line in enumerate(read_text(CARD, self._folder, TITLES, encoding="latin-1").split("\n"), 1):
            film, _, rest = line.rstrip("\r").partition(",")
            year, _, title = rest.partition(",")
            if strange := re.search("[\x80-\x9fÿ]", title):
                faults.append(
                    f"line {number}: byte 0x{ord(strange[0]):02x} is no letter of a title in latin-1, in which it should be"
                )
            elif film.isdecimal() and re.fullmatch(r"\d{4}|NULL", year) and title.strip():
                titles[int(film)] = title
            elif line.strip():
                faults.append(f"line {number}: id, year, title are needed, not {line[:40]!r}")
        if faults or not titles:
            raise unusable(CARD, self._folder, TITLES, faults or "it holds no title")
        return titles

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """How many ratings the customer of each id has [ids]."""
        counts = np.zeros(1, dtype=np.int64)
        for _, piece in self._pieces():
            more = np.bincount(piece["customer"].to_numpy(), minlength=len(counts))
            more[: len(counts)] += counts
            counts = more
        return counts

    def people(self, seed: int) -> dict[str, list[tuple[str, int]]]:
        """The chosen customers with titles and stars, in the order of the files."""
        if self._chosen is None or self._chosen[0] != seed:
            self._chosen = seed, self._collected(seed)
        return self._chosen[1]

    def _collected(self, seed: int) -> dict[str, list[tuple[str, int]]]:
        enough = np.flatnonzero(self.counts >= LEAST_RATINGS).tolist()
        chosen = chosen_units(seed, CARD.name, {str(customer): customer for customer in enough}, N_PEOPLE)
        wanted = np.zeros(len(self.counts), dtype=bool)
        wanted[list(chosen.values())] = True
        rows: list[tuple[int, int, int]] = []
        for file, piece in self._pieces():
            kept = piece.filter(wanted[piece["customer"].to_numpy()])
            if missing := [film for film in kept["film"].unique().sort().to_list() if film not in self.titles]:
                raise unusable(CARD, self._folder, file, [f"film {film} has no title in {TITLES}" for film in missing])
            rows += kept.rows()
        people = grouped(rows, key=lambda row: row[1])
        return {unit: [(self.titles[film], stars) for film, _, stars in people[number]] for unit, number in chosen.items()}

    def _pieces(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """Film, customer, stars of some hundred thousand lines at a time, with the file that they are from."""
        for file in RATINGS:
            film: int | None = None
            first_line = 1
            for block in self._blocks(file):
                piece = self._piece(file, block, film, first_line)
                film, first_line = piece["film"][-1], first_line + block.count(b"\n")
                yield file, piece.drop_nulls("customer")

    def _blocks(self, file: str) -> Iterator[bytes]:
        """The file in pieces of whole lines."""
        path = require_file(CARD, self._folder, file)
        try:
            with path.open("rb") as stream:
                rest = b""
                while block := stream.read(BLOCK_BYTES):
                    whole, end, rest = (rest + block).rpartition(b"\n")
                    if whole.strip():
                        yield whole + end
                if rest.strip():
                    yield rest
        except OSError as error:
            raise file_error(CARD, self._folder, file, error) from error

    def _piece(self, file: str, block: bytes, film: int | None, first_line: int) -> pl.DataFrame:
        """Film (which goes on from the piece before), customer (null in a film's own line), stars; raises DataError else."""
        import polars as pl

        kinds = {"customer": pl.String, "stars": pl.Int8, "day": pl.String}
        try:  # with a header, so that a film's own line, which comes first, may have fewer fields
            table = pl.read_csv(io.BytesIO(b"customer,stars,day\n" + block), schema_overrides=kinds, quote_char=None)
        except pl.exceptions.PolarsError as error:
            raise self._line_faults(file, block, first_line) or file_error(CARD, self._folder, file, error) from error
        heads = pl.col("customer").str.ends_with(":")
        numbers = pl.col("customer").str.strip_suffix(":").cast(pl.Int32, strict=False)
        table = table.filter(pl.col("customer").is_not_null()).with_columns(
            film=pl.when(heads).then(numbers).forward_fill().fill_null(pl.lit(film, dtype=pl.Int32)),
            customer=pl.when(~heads).then(numbers),
            is_whole=numbers.is_between(0, MOST_ID)
            & (heads == pl.col("stars").is_null())
            & (heads | (pl.col("stars").is_between(1, 5) & (pl.col("day").str.len_bytes() == 10))),
        )
        if not table["is_whole"].fill_null(value=False).all():
            raise self._line_faults(file, block, first_line) or unusable(CARD, self._folder, file, "a line cannot be read")
        if table["film"].null_count():
            raise unusable(CARD, self._folder, file, f"line {first_line}: a film's id and a colon must come first")
        return table.select("film", "customer", "stars")

    def _line_faults(self, file: str, block: bytes, first_line: int) -> Exception | None:
        """The slow way: which lines are at fault."""
        faults = []
        for number, line in enumerate(block.split(b"\n"), first_line):
            if strange := re.search(rb"[^\x00-\x7f]", line):
                faults.append(f"line {number}: byte 0x{strange[0][0]:02x} is not ascii, in which it should be")
            elif not LINE.fullmatch(line.strip()):
                faults.append(
                    f"line {number}: a film's id and a colon, or customer,stars,day are needed, not {line[:40].decode()!r}"
                )
        return unusable(CARD, self._folder, file, faults) if faults else None


def load(folder: Path | None) -> Ratings:
    """The files, checked for but not yet gone through."""
    for file in (TITLES, *RATINGS):
        require_file(CARD, folder, file)
    return Ratings(folder)


def _stars(data: Ratings, seed: int) -> Iterator[Strand]:
    for unit, rated in chosen_units(seed, STARS, data.people(seed), N_PEOPLE_STARS).items():
        yield Strand(
            unit=unit,
            examples=[Example(str(stars), title) for title, stars in rated],
            descriptions=(
                "One customer's star ratings of films and series.",
                "How many stars, from 1 to 5, somebody gave to films and series on Netflix; it is the same person throughout.",
            ),
            options=("1", "2", "3", "4", "5"),
            n_outputs=Around(64),
        )


def _views(data: Ratings, seed: int) -> Iterator[Strand]:
    for unit, rated in data.people(seed).items():
        yield Strand(
            unit=unit,
            examples=[Example(title) for title in dict.fromkeys(title for title, _ in rated)],
            descriptions=(
                "Titles that one person has watched.",
                "Films and series that one customer of Netflix had watched and rated, well or badly, by the end of 2005.",
            ),
            n_outputs=Around(64),
        )


SOURCE = Source(
    CARD,
    load,
    (
        Task(name=STARS, kind="individual", split="train", strands=_stars, about="one person's stars for a title, 1 to 5"),
        Task(name=VIEWS, kind="individual", split="train", strands=_views, about="a title that one person has seen"),
    ),
)
