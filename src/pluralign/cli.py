"""The command line: parses, calls one public function, prints.

Exit codes: 0 done, 1 a stated error, 2 wrong usage, 130 interrupted. With `--json` stdout holds one JSON document and
nothing else. What a command needs is imported when it runs, so that `--help` is quick.
"""

from __future__ import annotations

import itertools
import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import cyclopts.config
from cyclopts import App, CycloptsError, Group, Parameter

from pluralign import __version__
from pluralign.errors import PluralignError, UsageError

if TYPE_CHECKING:
    from pluralign.commands import StudyPlan
    from pluralign.raters.evidence import StudySettings
    from pluralign.raters.findings import Findings
    from pluralign.ratings.readers import ReadOptions

__all__ = ["OutputFlags", "ReadFlags", "RunFlags", "StudyFlags", "build_app", "demo", "inspect", "main", "study"]

_HELP = """Measure, model and train language models for human variation: how probable is this answer, from this person,
given what is known about them?"""
_MANY = Parameter(consume_multiple=True, negative=())
_PAIR = Parameter(negative=())
_THE_STUDY = Group("The study", sort_key=3)


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

    out: Path | None = None
    """Run folder; made if missing, resumed if it holds this very run. Default: runs/NAME."""
    seed: int = 0
    """Every random choice follows from it."""
    limit: int | None = None
    """Use only this many raters, drawn by the seed."""
    dry_run: Annotated[bool, Parameter(negative=())] = False
    """Say what would be done, and stop."""


@Parameter(name="*", group=_THE_STUDY)
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
        )


@Parameter(name="*", group=Group("Output and settings", sort_key=4))
@dataclass(frozen=True, kw_only=True)
class OutputFlags:
    """The words that every command shares."""

    json: Annotated[bool, Parameter(negative=())] = False
    """One JSON document on stdout; everything else goes to stderr."""
    config: Path | None = None
    """TOML or JSON file with the same names as the flags; flags win over it."""


_READ, _RUN, _STUDY, _OUTPUT = ReadFlags(), RunFlags(), StudyFlags(), OutputFlags()


def study(
    file: Path,
    /,
    *,
    read: ReadFlags = _READ,
    run: RunFlags = _RUN,
    features: Annotated[Path | None, Parameter(group=_THE_STUDY)] = None,
    asked: StudyFlags = _STUDY,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Study a table of ratings: who disagrees, about what, and what knowing the rater tells.

    Parameters
    ----------
    file
        The ratings: a file, or a folder where the format is one. Put it first: flags such as --item take several values.
    features
        Numbers about the items in place of their texts, such as an embedding: CSV or parquet, item_id and columns of
        numbers.
    """
    from pluralign import commands
    from pluralign.progress import progress_bars

    out = run.out or Path("runs") / (file.resolve().stem or "study")
    settings = asked.to_settings(seed=run.seed)
    options = read.to_options()
    if run.dry_run:
        plan = commands.plan(file, out, read=options, features=features, settings=settings, limit=run.limit)
        _show_plan(plan, output=output)
        return
    with progress_bars() as tell:
        found = commands.study(file, out, read=options, features=features, settings=settings, limit=run.limit, on_progress=tell)
    _finish(found, out, output=output)


def demo(*, run: RunFlags = _RUN, asked: StudyFlags = _STUDY, output: OutputFlags = _OUTPUT) -> None:
    """Study simulated people whose truth is known, and show how much of it the study finds. Needs no data."""
    from pluralign import commands
    from pluralign.progress import progress_bars

    out = run.out or Path("runs/demo")
    settings = asked.to_settings(seed=run.seed)
    if run.dry_run:
        _show_plan(commands.plan_demo(out, settings=settings, limit=run.limit), output=output)
        return
    with progress_bars() as tell:
        found = commands.demo(out, settings=settings, limit=run.limit, on_progress=tell)
    _finish(found, out, output=output)


def inspect(file: Path, /, *, read: ReadFlags = _READ, output: OutputFlags = _OUTPUT) -> int:
    """Show how a file of ratings is understood: format, columns, scale, counts, and everything that was left out.

    Exits with 1 when the file cannot be read, after printing all its faults.

    Parameters
    ----------
    file
        The ratings: a file, or a folder where the format is one. Put it first: flags such as --item take several values.
    """
    from pluralign.ratings.inspect import inspect_ratings

    found = inspect_ratings(file, read.to_options())
    if output.json:
        _print_json(found.to_dict())
    else:
        print("\n".join(found.lines()))
    return 0 if found.is_readable else 1


def build_app(settings: Mapping[str, Any] | None = None, *, source: str = "") -> App:
    """The command line as a value; `settings` are what flags take that are not given, `source` is where they are from."""
    config = cyclopts.config.Dict(dict(settings or {}), use_commands_as_keys=False, source=source)
    app = App(
        "pluralign",
        help=_HELP,
        version=__version__,
        config=config,
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    app.command(study)
    app.command(demo)
    ratings = App("ratings", help="Look at tables of ratings.")
    ratings.command(inspect)
    app.command(ratings)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. `arguments` are those of the process if not given."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    try:
        settings, source = _settings(tokens)
        code = build_app(settings, source=source)(tokens, exit_on_error=False, print_error=False)
    except (CycloptsError, UsageError) as error:
        _say(f"error: {error}\nSee: pluralign {''.join(_verbs(tokens))}--help")
        return 2
    except PluralignError as error:
        _say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        _say("interrupted. Finished steps are kept: the same command with the same --out goes on from there.")
        return 130
    return code or 0


def _settings(tokens: Sequence[str]) -> tuple[dict[str, Any], str]:
    """The content of the --config file, and its path. Read before the flags are, since it is what they default to."""
    path = ""
    for token, following in itertools.pairwise([*tokens, ""]):
        if token == "--config":
            path = following
        elif token.startswith("--config="):
            path = token.removeprefix("--config=")
    if not path:
        return {}, ""
    readers = {".toml": tomllib.loads, ".json": json.loads}
    if Path(path).suffix not in readers:
        raise UsageError(f"--config {path}: its name has to end in .toml or .json")
    try:
        content = readers[Path(path).suffix](Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"--config {path}: cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"--config {path}: need names and values, as in seed = 1; got {type(content).__name__}")
    return content, path


def _verbs(tokens: Sequence[str]) -> list[str]:
    """The commands at the start, each with a space after it."""
    known: dict[str, tuple[str, ...]] = {"study": (), "demo": (), "ratings": ("inspect",)}
    if not tokens or tokens[0] not in known:
        return []
    return [f"{token} " for token in tokens[:2] if token in known or token in known[tokens[0]]]


def _finish(found: Findings, out: Path, *, output: OutputFlags) -> None:
    from pluralign import commands
    from pluralign.summaries import summary

    if output.json:
        _print_json(found.to_dict())
    say = _say if output.json else print
    say("\n".join(summary(found)))
    say(f"\nWritten to {out}: results.json, records.parquet, and the page: {out / commands.PAGE}")


def _show_plan(plan: StudyPlan, *, output: OutputFlags) -> None:
    if output.json:
        _print_json(plan.to_dict())
    else:
        print("\n".join(plan.lines()))


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1))


def _say(line: str) -> None:
    """For people, beside the results."""
    print(line, file=sys.stderr, flush=True)
