"""Names of colours: one request, with plain names as examples or with fancy ones.

A name may be in any case, so the valid answers cannot be listed; there are about 30,000 apart from that.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pluralign.suite.card import Card, Repository, Source
from pluralign.suite.evaluation import Coverage, CoverageTask
from pluralign.suite.reading import read_csv, unusable
from pluralign.suite.validators import one_of_in_any_case

__all__ = ["FILE", "SOURCE", "load"]

FILE = "colornames.csv"
CARD = Card(
    name="color_names",
    what="Names of colours, gathered from many lists, with their values.",
    citation="David Aerne, color-names (github.com/meodai/color-names)",
    licence="MIT",
    access=Repository(
        "https://github.com/meodai/color-names",
        "47446f5ecefd4656db225b9a3ec0a22f9219b786",
        (FILE,),
        below={FILE: "src/colornames.csv"},
    ),
    ran_on_real_file=False,
    unit="colour",
    problems=("the list grows and is pruned from week to week: answers are valid by the commit that is named here",),
)


def load(folder: Path | None) -> list[str]:
    """The names; raises DataError with the rows that have none."""
    names = read_csv(CARD, folder, FILE, ("name",))["name"].to_list()
    faults = [f"row {n}: a name is needed" for n, name in enumerate(names, 1) if name is None or not name.strip()]
    if faults or not names:
        raise unusable(CARD, folder, FILE, faults or "it holds no name")
    return names


def _asked(*examples: str) -> Callable[[list[str]], Coverage]:
    def make(names: list[str]) -> Coverage:
        return Coverage(
            description="The name of a colour, common or unusual. Only the name.",
            examples=examples,
            is_valid=one_of_in_any_case(names),
        )

    return make


SOURCE = Source(
    CARD,
    load,
    evaluations=(
        CoverageTask(name="color_normal_ex", about="a colour", make=_asked("Red", "Blue", "Green"), max_tokens=8),
        CoverageTask(
            name="color_interesting_ex",
            about="a colour",
            make=_asked("Alien Abduction", "Amber Romance", "Absolute Zero"),
            max_tokens=8,
        ),
    ),
)
