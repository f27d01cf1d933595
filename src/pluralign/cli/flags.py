"""Flags that several commands share. What a command needs is imported when it runs, so that `--help` is quick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter, Token

from pluralign.stores import Place, place

if TYPE_CHECKING:
    from pluralign.raters.evidence import StudySettings
    from pluralign.ratings.readers import ReadOptions

__all__ = ["A_PLACE", "THE_STUDY", "OutputFlags", "ReadFlags", "RunFlags", "StudyFlags"]


def _as_place(_: Any, tokens: Sequence[Token]) -> Place:
    return place(tokens[0].value)


A_PLACE = Parameter(converter=_as_place, accepts_keys=False, n_tokens=1)
"""A path, or the URL of a store, which `pathlib` would not leave as it is."""
_MANY = Parameter(consume_multiple=True, negative=())
_PAIR = Parameter(negative=())
THE_STUDY = Group("The study", sort_key=3)


@Parameter(name="*", group=Group("Reading the file", sort_key=1))
@dataclass(frozen=True, kw_only=True)
class ReadFlags:
    """How a file of ratings is read; the fields are those of `ReadOptions`, which this module must not load for `--help`."""

    format: str | None = None
    """Format of the file; recognised from its content if not given."""
    dataset: str | None = None
    """Which data set of a folder that holds several."""
    encoding: str = "utf-8"
    """Encoding of text files."""
    where: Annotated[tuple[str, ...], _MANY, Parameter(show_default=False)] = ()
    """Keep only the rows where COLUMN=VALUE; all conditions have to hold."""
    item: Annotated[tuple[str, ...] | None, _MANY] = None
    """Column that names the item; several columns name it together."""
    rater: str | None = None
    """Column that names the rater."""
    rating: str | None = None
    """Column of the rating, or the question of an annotation tool."""
    item_columns: Annotated[tuple[str, ...] | None, _MANY, Parameter(alias="--text")] = None
    """Columns that belong to items, such as their text."""
    attributes: Annotated[tuple[str, ...] | None, _MANY] = None
    """Columns that describe raters, such as age."""
    rating_columns: Annotated[tuple[str, ...] | None, _MANY] = None
    """Format wide: the columns that hold ratings, as names or patterns."""
    rows: Literal["raters", "items"] = "raters"
    """Format wide: what one row is."""
    scale: Literal["nominal", "ordinal", "interval"] | None = None
    """Labels without order, labels in order, or numbers whose differences mean something."""
    options: Annotated[tuple[str, ...] | None, _MANY] = None
    """Every answer that was possible, in order; if not given, those that occur."""
    bins: int | None = None
    """Group numbers into this many bins of equal width."""
    bin_range: Annotated[tuple[float, float] | None, _PAIR] = None
    """Lower and upper end of the bins."""
    missing: Annotated[tuple[str, ...] | None, _MANY] = None
    """Texts that stand for "no value"."""
    duplicates: Literal["error", "first", "last"] | None = None
    """Which of several ratings of one item by one rater counts."""
    rater_meta: Path | None = None
    """A second file, one row a rater, whose columns become attributes."""
    item_meta: Path | None = None
    """A second file, one row an item, whose columns become item columns."""

    def to_options(self) -> ReadOptions:
        """The same as `ReadOptions`, which checks them; what was not given is left to it."""
        from pluralign.ratings.readers import ReadOptions

        given = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}
        if self.item is not None and len(self.item) == 1:
            given["item"] = self.item[0]
        return ReadOptions(**given)


@Parameter(name="*", group=Group("The run", sort_key=2))
@dataclass(frozen=True, kw_only=True)
class RunFlags:
    """The words that every command with a run folder shares."""

    out: Annotated[Place | None, A_PLACE] = None
    """Run folder; made if missing, resumed if it holds this very run. Default: runs/NAME."""
    seed: int = 0
    """Every random choice follows from it."""
    limit: int | None = None
    """Use only this many raters, drawn by the seed."""
    dry_run: Annotated[bool, Parameter(negative=())] = False
    """Say what would be done, and stop."""


@Parameter(name="*", group=THE_STUDY)
@dataclass(frozen=True, kw_only=True)
class StudyFlags:
    """What a study does; each may change a number. The defaults are those of `StudySettings`."""

    n_seeds: int = 1
    """How often the random splits are repeated: with --seed, --seed + 1, and so on."""
    n_folds: int = 2
    """Parts that the raters are divided into; each is predicted once by models fitted to the others."""
    clusters: Annotated[tuple[int, ...], _MANY] = (2, 4, 8)
    """Numbers of groups to sort the raters into."""
    max_examples: int = 256
    """Most past ratings of a rater that are given: 1, 2, 4, ... up to this."""
    permutations: int = 1000
    """Random regroupings of the raters behind each p-value."""
    resamples: int = 1000
    """Resamples of raters (or items) behind each interval."""
    most_ratings: int = 500_000
    """Of a larger table the models are fitted to, and judged on, raters drawn by chance who have at most so many."""

    def to_settings(self, *, seed: int) -> StudySettings:
        """The same as `StudySettings`, which checks them."""
        from pluralign.raters.evidence import StudySettings

        return StudySettings(
            seed=seed,
            n_seeds=self.n_seeds,
            n_folds=self.n_folds,
            cluster_counts=tuple(sorted(set(self.clusters))),
            max_examples=self.max_examples,
            n_permutations=self.permutations,
            n_resamples=self.resamples,
            most_ratings=self.most_ratings,
        )


@Parameter(name="*", group=Group("Output and settings", sort_key=4))
@dataclass(frozen=True, kw_only=True)
class OutputFlags:
    """The words that every command shares."""

    json: Annotated[bool, Parameter(negative=())] = False
    """One JSON document on stdout; everything else goes to stderr."""
    config: Path | None = None
    """TOML or JSON file with the same names as the flags; flags win over it."""
