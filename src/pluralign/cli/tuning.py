"""Commands that make models: tune, transplant."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from pluralign.cli.flags import OutputFlags
from pluralign.cli.printing import print_json, say
from pluralign.cli.tune_flags import LoraFlags, PlaceFlags, RecipeFlags, StepFlags, default_folder

if TYPE_CHECKING:
    from pluralign.tuning.tune_plan import TunePlan

__all__ = ["transplant", "tune"]

_OUTPUT = OutputFlags()
_RECIPE, _LORA, _STEPS, _PLACE = RecipeFlags(), LoraFlags(), StepFlags(), PlaceFlags()
_MANY = Parameter(consume_multiple=True, negative=())


def tune(
    model: str,
    /,
    *,
    data: Annotated[tuple[Path, ...], _MANY],
    held_out: Annotated[tuple[Path, ...], _MANY, Parameter(show_default=False)] = (),
    out: Path | None = None,
    recipe: RecipeFlags = _RECIPE,
    lora: LoraFlags = _LORA,
    steps: StepFlags = _STEPS,
    place: PlaceFlags = _PLACE,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Train a causal language model on episodes, with loss on their outputs only (Spectrum Tuning). Resumes.

    Several processes: torchrun --nproc-per-node N -m pluralign tune ..., with the same flags.

    Parameters
    ----------
    model
        Folder or hub id, with turn tokens (see transplant); `embedded` for the package's own small model.
    data
        Files of episodes, .jsonl or .parquet, or folders made by suite build, whose tasks of the split "test" are held out.
    held_out
        More of these, to be measured during the run and never trained on.
    out
        Run folder; made if missing, resumed if it holds this very run. Default: runs/MODEL-METHOD.
    dry_run
        Say what would be trained on, how many steps, how much memory, show a sequence, and stop. The data are encoded for it.
    """
    from pluralign.progress import progress_bars

    settings, places = steps.to_settings(recipe, lora, place), place.to_places()
    folder = out or default_folder(model, recipe.method)
    is_first = os.environ.get("RANK", "0") == "0"
    with progress_bars(is_quiet=not is_first) as tell:
        if dry_run:
            from pluralign.tuning.tune_plan import plan_tune

            plan = plan_tune(
                model,
                data,
                settings=settings,
                held_out=held_out,
                revision=place.revision,
                device=place.device,
                cache=place.cache,
                on_progress=tell,
            )
        else:
            from pluralign.tuning.spectrum import tune as run

            said = say if is_first else _silent
            results = run(model, data, folder, settings=settings, held_out=held_out, places=places, on_progress=tell, tell=said)
    if dry_run:
        _print_plan(plan, as_json=output.json)
    elif is_first:
        _print_results(results, folder, as_json=output.json)


def _silent(line: str) -> None:
    """One process of several speaks."""


def _print_plan(plan: TunePlan, *, as_json: bool) -> None:
    from pluralign.cli.shown import print_shown
    from pluralign.models import render_tokens
    from pluralign.scoring import ShownEpisode

    if as_json:
        print_json(plan.to_dict())
        return
    print("\n".join(plan.lines()), end="\n\n")
    shown = ShownEpisode(
        row=0,
        task=plan.sample_task,
        unit=None,
        format=plan.template.name,
        pieces=render_tokens(plan.sample, plan.template.content),
        ids=plan.sample.ids.tolist(),
        is_loss=plan.sample.is_loss.tolist(),
        example_index=plan.sample.example_index.tolist(),
    )
    print_shown([shown])
    print("Nothing was trained (--dry-run).")


def _print_results(results: dict[str, Any], folder: Path, *, as_json: bool) -> None:
    if as_json:
        print_json(results)
    tell_people = say if as_json else print
    tell_people("\n".join(_result_lines(results)))
    tell_people(f"\nWritten to {folder}: model/, metrics.jsonl, results.json, checkpoints/")


def _result_lines(results: dict[str, Any]) -> list[str]:
    """Of a run that has ended."""
    from pluralign.estimates import Estimate

    lines = [
        f"{results['step']:,} steps, {results['tokens']:,} tokens, {results['loss_tokens']:,} of them supervised, in "
        f"{results['seconds']:,.0f} s"
    ]
    if results["held_out"] is None:
        return lines
    lines += ["", "held out, behind at least one example; nats and accuracy an output, calibration error a token:"]
    for task, found in results["held_out"].items():
        nats, accuracy = Estimate.from_dict(found["nats"]), Estimate.from_dict(found["accuracy"])
        lines.append(f"  {task}, k* {found['k_star']}: {nats} nats, accuracy {accuracy}, ECE {found['token_ece']:.3f}")
    return lines


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
