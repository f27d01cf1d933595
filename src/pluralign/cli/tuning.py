"""Commands that make models: transplant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pluralign.cli.flags import OutputFlags
from pluralign.cli.printing import print_json, say

__all__ = ["transplant"]

_OUTPUT = OutputFlags()


def transplant(
    base: str,
    /,
    *,
    instruct: Annotated[str, Parameter(name="--from")],
    out: Path,
    revision: str | None = None,
    from_revision: str | None = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Give a base model the turn tokens of its instruct sibling: their rows of the embedding and the output layer.

    All else stays byte by byte what it was. The new folder has a chat template for turns of description, input and output.

    Parameters
    ----------
    base
        Folder or hub id of the pretrained model.
    instruct
        Folder or hub id of its sibling for chat.
    out
        A new or empty folder.
    revision
        Branch, tag or commit of the base's hub id; pin it, so that it can be repeated.
    from_revision
        The same of the sibling's.
    overwrite
        Replace what an earlier transplant put there.
    """
    from pluralign.progress import progress_bars
    from pluralign.tuning.transplant import transplant as run

    with progress_bars() as tell:
        done = run(
            base,
            instruct,
            out,
            base_revision=revision,
            instruct_revision=from_revision,
            overwrite=overwrite,
            on_progress=tell,
        )
    if output.json:
        print_json(done.to_dict())
    tell_people = say if output.json else print
    tell_people("\n".join([*done.lines(), f"\nWritten to {out}"]))
