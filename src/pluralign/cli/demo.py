"""The command `demo`: the whole story on the embedded model, in one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pluralign.cli.flags import OutputFlags, RunFlags
from pluralign.cli.model_flags import THE_MODEL
from pluralign.cli.printing import print_json, say

__all__ = ["demo"]

_RUN, _OUTPUT = RunFlags(), OutputFlags()


def demo(
    *,
    run: RunFlags = _RUN,
    model: Annotated[str, Parameter(group=THE_MODEL)] = "embedded",
    base: Annotated[str, Parameter(group=THE_MODEL)] = "embedded/base",
    output: OutputFlags = _OUTPUT,
) -> None:
    """Show a small tuned model beside its base and the best possible: chances, people, profiles, values. Needs no data.

    Parameters
    ----------
    model
        The tuned model: embedded, or hf/FOLDER of one that was trained as it is.
    base
        The model beside it, which reads plain text.
    """
    from pluralign.demo.lines import demo_lines
    from pluralign.demo.run import PAGE, DemoSettings, plan_demo
    from pluralign.demo.run import demo as make
    from pluralign.progress import progress_bars

    out = run.out or Path("runs/demo")
    settings = DemoSettings(seed=run.seed, limit=run.limit, model=model, base=base)
    if run.dry_run:
        plan = plan_demo(out, settings)
        if output.json:
            print_json(plan.to_dict())
        else:
            print("\n".join(plan.lines()))
        return
    with progress_bars() as tell:
        found = make(out, settings, tell=tell)
    if output.json:
        print_json(found.to_dict())
    tell_people = say if output.json else print
    tell_people("\n".join(demo_lines(found)))
    tell_people(f"\nWritten to {out}: results.json, the answers as steps, and the page: {out / PAGE}")
