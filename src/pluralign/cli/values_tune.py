"""The command that trains an encoder-decoder on values, rights and duties: values-tune."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cyclopts import Group, Parameter

from pluralign.cli.flags import OutputFlags
from pluralign.cli.printing import print_found, say

if TYPE_CHECKING:
    from pluralign.tuning.settings import TuneSettings
    from pluralign.tuning.spectrum import TunePlaces

__all__ = ["PairFlags", "tune"]


@Parameter(name="*", group=Group("Training", sort_key=1))
@dataclass(frozen=True, kw_only=True)
class PairFlags:
    """The recipe; the learning rate and the pairs a step are the published ones."""

    lr: float = 3e-5
    """Learning rate at its highest; it falls linearly to 0."""
    warmup_steps: int = 0
    """Steps in which it rises from 0."""
    pairs_a_step: int = 32
    """Over all processes."""
    epochs: float = 1.0
    """Passes through the data."""
    max_steps: int | None = None
    """At most so many."""
    per_task: int | None = None
    """Rows of each task and split, at most, by chance."""
    max_tokens: int = 128
    """Of an input, where a situation loses its end; rows with a longer target are left out, and counted."""
    weight_decay: float = 0.0
    """Of AdamW."""
    clip: float = 1.0
    """Largest norm of a step's gradient."""
    seed: int = 0
    """Every random choice follows from it."""
    save_every: int | None = None
    """Steps between checkpoints. Default: a twentieth of the run."""
    measure_every: int | None = None
    """Steps between measures on held-out situations. Default: a tenth of the run."""
    max_held_out: int = 1000
    """Held-out rows of each task that are measured, at most."""
    device: str = "auto"
    """cpu, cuda; the first accelerator if there is one."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of products; weights are float32. Default: bfloat16 on accelerators, on a CPU the quicker."""
    micro_tokens: int | None = None
    """Tokens that go through the model at once. Default: 2,048 on a CPU, 16,384 on an accelerator."""
    revision: str | None = None
    """Branch, tag or commit of a hub id; pin it, so that the run can be repeated."""

    def to_settings(self) -> TuneSettings:
        from pluralign.tuning.settings import TuneSettings

        return TuneSettings(
            lr=self.lr,
            warmup_steps=self.warmup_steps,
            sequences_a_step=self.pairs_a_step,
            epochs=self.epochs,
            max_steps=self.max_steps,
            max_tokens=self.max_tokens,
            weight_decay=self.weight_decay,
            clip=self.clip,
            seed=self.seed,
            save_every=self.save_every,
            measure_every=self.measure_every,
            max_held_out=self.max_held_out,
            dtype=self.dtype,
            micro_tokens=self.micro_tokens,
        )

    def to_places(self) -> TunePlaces:
        from pluralign.tuning.spectrum import TunePlaces

        return TunePlaces(revision=self.revision, device=self.device)


_RECIPE, _OUTPUT = PairFlags(), OutputFlags()


def tune(
    model: str,
    /,
    *,
    data: str,
    out: Path | None = None,
    recipe: PairFlags = _RECIPE,
    output: OutputFlags = _OUTPUT,
) -> None:
    """Train an encoder-decoder (T5) on the four tasks of values, rights and duties, as the published Kaleido was. Resumes.

    Causal models are trained on the episodes that values-data writes, by tune. Several processes: torchrun --nproc-per-node N
    -m pluralign values-tune ..., with the same flags.

    Parameters
    ----------
    model
        Folder or hub id of an encoder-decoder with weights in safetensors, such as google/flan-t5-base.
    data
        A run folder of values-data, a table in ValuePrism's columns (file or folder), or its hub id (allenai/ValuePrism).
        Situations of the split train are learned from, those of the split validation measured.
    out
        Run folder; made if missing, resumed if it holds this very run. Default: runs/MODEL-values.
    """
    from pluralign.progress import progress_bars
    from pluralign.values.training import tune_values

    folder = out or Path("runs") / f"{Path(model).name}-values"
    is_first = os.environ.get("RANK", "0") == "0"
    with progress_bars(is_quiet=not is_first) as tell:
        results = tune_values(
            model,
            data,
            folder,
            settings=recipe.to_settings(),
            places=recipe.to_places(),
            per_task=recipe.per_task,
            on_progress=tell,
            tell=say if is_first else None,
        )
    if is_first:
        written = f"{folder}: model/, metrics.jsonl, results.json, checkpoints/"
        print_found(results, _lines(results), written, as_json=output.json)


def _lines(results: dict[str, Any]) -> list[str]:
    from pluralign.estimates import Estimate

    counts = results["counts"]
    lines = [
        f"{results['step']:,} steps, {results['pairs']:,} pairs, {results['tokens']:,} tokens in {results['seconds']:,.0f} s",
        f"{counts['pairs']:,} different pairs of {counts['situations']:,} situations; in {counts['situation_cut']:,} the "
        f"situation is cut, {counts['left_out_since_target_is_too_long']:,} more are left out, since their target is too long",
    ]
    if results["held_out"] is None:
        return [*lines, "no situation is in the split validation, so nothing was measured"]
    lines += ["", "held-out situations; nats and accuracy of a target, all its tokens together:"]
    for task, found in results["held_out"].items():
        lines.append(f"  {task}: {Estimate.from_dict(found['nats'])} nats, accuracy {Estimate.from_dict(found['accuracy'])}")
    return lines
