"""Commands over tables of ratings: study, ratings inspect."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from pluralign.cli.flags import THE_STUDY, OutputFlags, ReadFlags, RunFlags, StudyFlags
from pluralign.cli.printing import print_json, say

if TYPE_CHECKING:
    from pluralign.commands import StudyPlan
    from pluralign.raters.evidence import StudySettings
    from pluralign.raters.findings import Findings

__all__ = ["inspect", "study"]

_READ, _RUN, _STUDY, _OUTPUT = ReadFlags(), RunFlags(), StudyFlags(), OutputFlags()


def study(
    file: Annotated[Literal["simulated"] | Path, Parameter(show_choices=False)],
    /,
    *,
    read: ReadFlags = _READ,
    run: RunFlags = _RUN,
    features: Annotated[Path | None, Parameter(group=THE_STUDY)] = None,
    asked: StudyFlags = _STUDY,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Study a table of ratings: who disagrees, about what, and what knowing the rater tells.

    Parameters
    ----------
    file
        The ratings: a file, or a folder where the format is one. Put it first: flags such as --item take several values. The
        word simulated, in its place, studies simulated people whose truth is known, and shows how much of it the study finds;
        a file of that name is ./simulated.
    features
        Numbers about the items in place of their texts, such as an embedding: CSV or parquet, item_id and columns of
        numbers.
    """
    from pluralign import commands
    from pluralign.progress import progress_bars

    settings = asked.to_settings(seed=run.seed)
    if file == "simulated":
        _study_simulated(run, settings, read=read, features=features, output=output)
        return
    out = run.out or Path("runs") / (file.resolve().stem or "study")
    options = read.to_options()
    if run.dry_run:
        plan = commands.plan(file, out, read=options, features=features, settings=settings, limit=run.limit)
        _show_plan(plan, output=output)
        return
    with progress_bars() as tell:
        found = commands.study(file, out, read=options, features=features, settings=settings, limit=run.limit, on_progress=tell)
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
        print_json(found.to_dict())
    else:
        print("\n".join(found.lines()))
    return 0 if found.is_readable else 1


def _study_simulated(
    run: RunFlags, settings: StudySettings, *, read: ReadFlags, features: Path | None, output: OutputFlags
) -> None:
    from pluralign import commands
    from pluralign.errors import UsageError
    from pluralign.progress import progress_bars

    if read != ReadFlags() or features is not None:
        raise UsageError(
            "study simulated reads no file, so --features and the flags on reading the file mean nothing to it; leave them "
            "out, or write ./simulated for a file of that name."
        )
    out = run.out or Path("runs/simulated")
    if run.dry_run:
        _show_plan(commands.plan_simulated(out, settings=settings, limit=run.limit), output=output)
        return
    with progress_bars() as tell:
        found = commands.study_simulated(out, settings=settings, limit=run.limit, on_progress=tell)
    _finish(found, out, output=output)


def _finish(found: Findings, out: Path, *, output: OutputFlags) -> None:
    from pluralign import commands
    from pluralign.summaries import summary

    if output.json:
        print_json(found.to_dict())
    tell = say if output.json else print
    tell("\n".join(summary(found)))
    tell(f"\nWritten to {out}: results.json, records.parquet, and the page: {out / commands.PAGE}")


def _show_plan(plan: StudyPlan, *, output: OutputFlags) -> None:
    if output.json:
        print_json(plan.to_dict())
    else:
        print("\n".join(plan.lines()))
