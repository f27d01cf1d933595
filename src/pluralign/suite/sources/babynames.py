"""First names of the United States, drawn without replacement from the most frequent ones of a period.

Departures: the first line of each year's file is a name, which the published suite took for a header; a name that both sexes
have comes once, with the sum of its shares; a description says how many names there are, which in early years is fewer than
asked for.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from pluralign.episodes import Example
from pluralign.streams import stream
from pluralign.suite.card import Card, Source, Url
from pluralign.suite.reading import read_zip, unusable
from pluralign.suite.task import Strand, Task

__all__ = ["SOURCE", "load"]

YEARS = range(1880, 2024)
TOPS = (10, 100, 1000, 5000)
N_STRANDS = 500
Counts = Mapping[int, Mapping[str, Counter[str]]]
"""Year to sex ("F", "M") to how many got each name, the most frequent first."""

CARD = Card(
    name="babynames",
    what="Given names of people born in the United States by year and sex; names with under five bearers are left out.",
    citation="United States Social Security Administration, Popular Baby Names, national data",
    licence="public domain (work of the United States government)",
    access=Url("https://www.ssa.gov/oact/babynames/names.zip", ("names.zip",)),
    ran_on_real_file=False,
    units=N_STRANDS,
    unit="setting: sex, period, weighting, number of names",
)


def load(folder: Path | None) -> Counts:
    """The counts of every year; raises DataError with the lines that are not name, sex, count."""
    return {
        int(member[3:7]): _counts(folder, member, text)
        for member, text in read_zip(CARD, folder, "names.zip", [f"yob{year}.txt" for year in YEARS])
    }


def _counts(folder: Path | None, member: str, text: str) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {"F": Counter(), "M": Counter()}
    faults = []
    for number, line in enumerate(text.splitlines(), 1):
        match line.split(","):
            case [name, ("F" | "M") as sex, count] if name and count.isdecimal():
                counts[sex][name] += int(count)
            case _:
                faults.append(f"{member}, line {number}: name, F or M, count are needed, not {line[:40]!r}")
    if faults or not all(counts.values()):
        raise unusable(CARD, folder, "names.zip", faults or f"{member} has no names of one sex")
    return _ranked(counts)


def _ranked(counts: Mapping[str, Counter[str]]) -> dict[str, Counter[str]]:
    """By count, then by name, so that the order in the file does not decide."""
    return {sex: Counter(dict(sorted(of.items(), key=lambda pair: (-pair[1], pair[0])))) for sex, of in counts.items()}


def _strands(data: Counts, seed: int) -> Iterator[Strand]:
    periods: list[int | None] = [None, *reversed(YEARS)]
    weights = np.arange(len(periods), 0, -1)
    chances = weights / weights.sum()
    whole = _all_years(data)
    for i in range(N_STRANDS):
        rng = stream(seed, CARD.name, str(i), "parameters")
        sexes = ("FM", "M", "F")[int(rng.integers(3))]
        by_frequency = bool(rng.integers(2))
        top = TOPS[int(rng.integers(len(TOPS)))]
        year = periods[int(rng.choice(len(periods), p=chances))]
        names = _pool(whole if year is None else data[year], sexes, top, by_frequency=by_frequency)
        yield Strand(
            unit=str(i),
            examples=[Example(name) for name in names],
            weights=np.array(list(names.values())) if by_frequency else None,
            descriptions=(_description(len(names), sexes, year, by_frequency=by_frequency),),
            n_outputs=None,
        )


def _all_years(data: Counts) -> dict[str, Counter[str]]:
    whole: dict[str, Counter[str]] = {"F": Counter(), "M": Counter()}
    for year in data.values():
        for sex, counts in year.items():
            whole[sex].update(counts)
    return _ranked(whole)


def _pool(counts: Mapping[str, Counter[str]], sexes: str, top: int, *, by_frequency: bool) -> dict[str, float]:
    """Name to share; each sex has the same share of the whole."""
    pool: dict[str, float] = {}
    for sex in sexes:
        first = dict(itertools.islice(counts[sex].items(), top // len(sexes)))
        total = sum(first.values())
        for name, count in first.items():
            pool[name] = pool.get(name, 0.0) + (count / total if by_frequency else 1.0)
    return pool


def _description(n: int, sexes: str, year: int | None, *, by_frequency: bool) -> str:
    whose = {"FM": "girls and boys, as many of each", "M": "boys", "F": "girls"}[sexes]
    when = "of all years since 1880" if year is None else f"of the year {year}"
    how = "the more frequent a name, the earlier it tends to come" if by_frequency else "each as likely as any other"
    return f"The {n} most frequent first names {when} in the United States, for {whose}; none comes twice; {how}."


SOURCE = Source(CARD, load, (Task(name=CARD.name, kind="synthetic", split="train", strands=_strands, about="a first name"),))
