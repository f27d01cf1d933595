"""Commands over the suite: suite list, show, build, check."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from pluralign.cli.flags import OutputFlags
from pluralign.cli.printing import print_json, say
from pluralign.cli.suite_flags import DataFlags, FilterFlags, MixtureFlags, WorkFlags

if TYPE_CHECKING:
    from pluralign.suite.build import Plan

__all__ = ["build", "check", "list_tasks", "show"]

_DATA, _FILTER, _WORK, _MIXTURE, _OUTPUT = DataFlags(), FilterFlags(), WorkFlags(), MixtureFlags(), OutputFlags()
_SWITCH = Parameter(negative=())


def list_tasks(
    *,
    chosen: FilterFlags = _FILTER,
    available: Annotated[bool, _SWITCH] = False,
    data: DataFlags = _DATA,
    output: OutputFlags = _OUTPUT,
) -> None:
    """List tasks and evaluations, one a line: kind, split, source, and whether they can be drawn here.

    Parameters
    ----------
    available
        Only those that can be drawn with what is here.
    """
    from pluralign.cli.suite_lines import entry_lines
    from pluralign.suite.listing import entries

    found = list(entries(data.data_dir, kind=chosen.kind, split=chosen.split, available=available))
    if output.json:
        print_json([entry.to_dict() for entry in found])
        return
    print("\n".join(entry_lines(found)))
    counted = Counter("an evaluation" if "-" in e.kind or e.kind == "distributional" else "a task" for e in found)
    here = sum(entry.available for entry in found)
    say(f"{counted['a task']} tasks and {counted['an evaluation']} evaluations, {here} of them can be drawn here")


def show(
    task: str,
    /,
    *,
    n: int = 1,
    examples: int = 6,
    data: DataFlags = _DATA,
    seed: int = 0,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Show a task: its source's card, and episodes as they are drawn; of an evaluation its questions or its request.

    Parameters
    ----------
    task
        Name of a task or evaluation, or ratings:FILE.
    n
        How many episodes or questions.
    examples
        Of each episode, how many examples are printed; --json has them all.
    seed
        Every random choice follows from it.
    """
    from pluralign.cli.suite_lines import shown_lines
    from pluralign.suite.shown import shown_task

    found = shown_task(task, data_dir=data.data_dir, seed=seed, n=n)
    if output.json:
        print_json(found)
    else:
        print("\n".join(shown_lines(found, most_examples=examples)))


def build(
    tasks: tuple[str, ...] = (),
    /,
    *,
    out: Path | None = None,
    chosen: FilterFlags = _FILTER,
    data: DataFlags = _DATA,
    mixture: MixtureFlags = _MIXTURE,
    work: WorkFlags = _WORK,
    dry_run: Annotated[bool, _SWITCH] = False,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Draw tasks into a folder of parquet files, with a manifest. Resumes; the manifest is written last.

    Parameters
    ----------
    tasks
        Names of tasks, ratings:FILE for ratings of your own; all training tasks that can be drawn here if none is named.
    out
        Folder; made if missing, resumed if it holds this very build. Default: runs/suite.
    dry_run
        Say what would be taken of each task, and stop. Everything is drawn for it, and nothing is written.
    """
    from pluralign.cli.suite_lines import manifest_lines, plan_lines
    from pluralign.progress import progress_bars
    from pluralign.suite import build as building
    from pluralign.suite.listing import selected

    names = selected(tasks, data.data_dir, kind=chosen.kind, split=chosen.split or (None if tasks else "train"))
    asked: dict[str, Any] = {
        "seed": work.seed,
        "data_dir": data.data_dir,
        "mixture": mixture.to_mixture(),
        "measure": mixture.to_measure(),
        "keep_overlap": mixture.keep_overlap,
        "n_processes": work.n_processes,
    }

    def show_plan(plan: Plan) -> None:
        say("\n".join(plan_lines(plan, mixture.by)))

    if dry_run:
        with progress_bars() as tell:
            plan = building.plan_build(names, **asked, tell=tell)
        if output.json:
            print_json({name: amount.to_dict() for name, amount in plan.items()})
        else:
            print("\n".join(plan_lines(plan, mixture.by)))
        return
    folder = out or Path("runs") / "suite"
    say(f"{len(names)} tasks: {', '.join(names)}")
    with progress_bars() as tell:
        manifest = building.build(names, folder, **asked, tell=tell, show_plan=show_plan)
    if output.json:
        print_json(manifest)
    tell_people = say if output.json else print
    tell_people("\n".join(manifest_lines(manifest)))
    tell_people(f"\nWritten to {folder}: manifest.json, and parquet files for each task")


def check(
    tasks: tuple[str, ...] = (),
    /,
    *,
    chosen: FilterFlags = _FILTER,
    data: DataFlags = _DATA,
    contamination: Annotated[bool, _SWITCH] = False,
    limit: int | None = None,
    work: WorkFlags = _WORK,
    output: OutputFlags = _OUTPUT,
) -> int:
    """Draw tasks and look for faults: open slots, numbers with their type, missing values, broken JSON, repetitions.

    Exits with 1 if there is any.

    Parameters
    ----------
    tasks
        Names of tasks or evaluations; all that can be drawn here if none is named.
    contamination
        Also compare training tasks with test tasks and evaluations: the same texts, nearly the same ones, answer sets.
    limit
        Episodes of each part of a task, at most.
    """
    from pluralign.cli.suite_lines import checked_lines
    from pluralign.progress import progress_bars
    from pluralign.suite import check as checking
    from pluralign.suite.contamination import overlap_lines, overlaps_of
    from pluralign.suite.listing import selected

    names = selected(tasks, data.data_dir, kind=chosen.kind, split=chosen.split, evaluations=True)
    with progress_bars() as tell:
        found = checking.check(
            names, seed=work.seed, data_dir=data.data_dir, limit=limit, n_processes=work.n_processes, tell=tell
        )
    lines, report = checked_lines(found), {"tasks": [one.to_dict() for one in found]}
    n_faults = sum(sum(one.faults.values()) for one in found)
    if contamination:
        overlaps = overlaps_of(names, seed=work.seed, data_dir=data.data_dir, limit=limit)
        lines += ["", *overlap_lines(overlaps)]
        report["overlaps"] = [one.to_dict() for one in overlaps]
        n_faults += sum(one.is_contamination for one in overlaps)
    if output.json:
        print_json(report)
    else:
        print("\n".join(lines))
    say(f"{len(found)} tasks and evaluations checked, {n_faults:,} faults")
    return 1 if n_faults else 0
