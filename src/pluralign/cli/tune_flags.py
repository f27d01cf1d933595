"""Flags of `tune`. What it needs is imported when it runs, so that `--help` is quick."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from pluralign.errors import UsageError

if TYPE_CHECKING:
    from pluralign.tuning.settings import LoraSettings, TuneSettings
    from pluralign.tuning.spectrum import TunePlaces

__all__ = ["LoraFlags", "PlaceFlags", "RecipeFlags", "StepFlags", "default_folder"]

_MANY = Parameter(consume_multiple=True, negative=())
_SWITCH = Parameter(negative=())


@Parameter(name="*", group=Group("What is learned", sort_key=1))
@dataclass(frozen=True, kw_only=True)
class RecipeFlags:
    """The recipe; the defaults are the published ones."""

    method: Literal["spectrum", "sft", "pretrain"] = "spectrum"
    """Turns with loss on outputs; turns with loss on every token; the same text without turns, loss on every token."""
    loss_on: Literal["outputs", "first", "last", "all"] | None = None
    """Which supervised outputs carry loss, or every token. Default: outputs for spectrum, all for the others."""
    weigh: Literal["tokens", "outputs"] = "tokens"
    """Whether each supervised token counts the same, or each output does."""
    task_weight: Annotated[tuple[str, ...], _MANY, Parameter(show_default=False)] = ()
    """TASK=NUMBER: what the task's tokens weigh beside others, which weigh 1."""
    max_tokens: int = 1024
    """Of a sequence; a longer episode is cut behind its last example that fits."""
    max_held_out: int = 1000
    """Held-out sequences of each task that are measured, at most."""

    def weights(self) -> dict[str, float]:
        """By task. Raises UsageError for what is not TASK=NUMBER."""
        found = {}
        for text in self.task_weight:
            task, equals, number = text.rpartition("=")
            try:
                found[task] = float(number) if equals else math.nan
            except ValueError:
                found[task] = math.nan
            if math.isnan(found[task]):
                raise UsageError(f"--task-weight {text!r}: write TASK=NUMBER, such as coinflip=0.5.")
        return found


@Parameter(name="*", group=Group("LoRA", sort_key=2))
@dataclass(frozen=True, kw_only=True)
class LoraFlags:
    """Adapters; without --lora all weights are trained."""

    lora: Annotated[bool, _SWITCH] = False
    """Train adapters of low rank instead of all weights."""
    rank: int = 16
    """Of the adapters."""
    alpha: int = 80
    """Adapters are scaled by alpha / rank."""
    lora_dropout: float = 0.0
    """Of the adapters' inputs."""
    lora_on: Annotated[tuple[str, ...], _MANY] = ("q_proj", "v_proj")
    """Last parts of the names of the modules that get adapters."""
    lora_embeddings: bool = True
    """Adapters also on the input embeddings and the output layer."""

    def to_settings(self) -> LoraSettings | None:
        """None without --lora."""
        from pluralign.tuning.settings import LoraSettings

        if not self.lora:
            return None
        return LoraSettings(
            rank=self.rank,
            alpha=self.alpha,
            dropout=self.lora_dropout,
            targets=self.lora_on,
            embeddings=self.lora_embeddings,
        )


@Parameter(name="*", group=Group("Steps", sort_key=3))
@dataclass(frozen=True, kw_only=True)
class StepFlags:
    """The optimiser, and how long."""

    lr: float = 3e-6
    """Learning rate at its highest; it falls linearly to 0."""
    warmup_steps: int = 0
    """Steps in which it rises from 0."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """muon: for the matrices between embeddings and output layer, AdamW for the rest; for models trained from the start."""
    betas: Annotated[tuple[float, float], _SWITCH] = (0.9, 0.999)
    """Of AdamW."""
    weight_decay: float = 0.0
    """Of either."""
    clip: float = 1.0
    """Largest norm of a step's gradient."""
    sequences_a_step: int = 1024
    """Over all processes."""
    epochs: float = 1.0
    """Passes through the data."""
    budget_tokens: int | None = None
    """Instead of epochs: end with the step that reaches so many tokens."""
    match: Path | None = None
    """Run folder of another tune: as many tokens as it had."""
    max_steps: int | None = None
    """At most so many."""
    save_every: int | None = None
    """Steps between checkpoints. Default: a twentieth of the run."""
    measure_every: int | None = None
    """Steps between measures on held-out data. Default: a tenth of the run."""
    seed: int = 0
    """Every random choice follows from it."""

    @property
    def budget(self) -> int | None:
        """In tokens. Raises UsageError where it is given twice, RunError where the other run has not ended."""
        from pluralign.files import read_json

        if self.match is None:
            return self.budget_tokens
        if self.budget_tokens is not None:
            raise UsageError("--budget-tokens and --match both say how long the run is; give one.")
        return int(read_json(self.match / "results.json")["tokens"])

    def to_settings(self, recipe: RecipeFlags, lora: LoraFlags, place: PlaceFlags) -> TuneSettings:
        """All flags that decide what is computed, checked."""
        from pluralign.tuning.settings import TuneSettings

        return TuneSettings(
            method=recipe.method,
            loss_on=recipe.loss_on,
            lora=lora.to_settings(),
            lr=self.lr,
            warmup_steps=self.warmup_steps,
            optimizer=self.optimizer,
            betas=self.betas,
            weight_decay=self.weight_decay,
            clip=self.clip,
            max_tokens=recipe.max_tokens,
            sequences_a_step=self.sequences_a_step,
            epochs=self.epochs,
            budget_tokens=self.budget,
            max_steps=self.max_steps,
            weigh=recipe.weigh,
            task_weights=recipe.weights(),
            pack=place.pack,
            micro_tokens=place.micro_tokens,
            dtype=place.dtype,
            gradient_checkpointing=place.gradient_checkpointing,
            seed=self.seed,
            save_every=self.save_every,
            measure_every=self.measure_every,
            max_held_out=recipe.max_held_out,
        )


@Parameter(name="*", group=Group("The machine", sort_key=4))
@dataclass(frozen=True, kw_only=True)
class PlaceFlags:
    """Where and how it is computed; nothing of it changes more than rounding."""

    device: str = "auto"
    """cpu, cuda; the first accelerator if there is one."""
    spread: Literal["auto", "copies", "shards"] = "auto"
    """Under torchrun: a copy of the model in each process (DDP), or its weights in shards (FSDP2)."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of products; what is trained is float32. Default: bfloat16 on accelerators, on a CPU the quicker."""
    pack: Literal["auto", "packed", "padded"] = "auto"
    """Several sequences in a row, or one a row. Default: the quickest that keeps them apart."""
    micro_tokens: int | None = None
    """Tokens that go through the model at once. Default: 2,048 on a CPU (half with a large vocabulary), 16,384 on
    an accelerator."""
    gradient_checkpointing: Annotated[bool, _SWITCH] = False
    """Compute layers again in the backward pass, which takes less memory and more time."""
    revision: str | None = None
    """Branch, tag or commit of a hub id; pin it, so that the run can be repeated."""
    cache: Path | None = None
    """Folder for encoded data, which other runs on the same data use again. Default: in the user's cache folder."""
    track: Literal["trackio", "wandb"] | None = None
    """Also send metrics to this tracker, if it is installed; metrics.jsonl is always written."""

    def to_places(self) -> TunePlaces:
        from pluralign.tuning.spectrum import TunePlaces

        return TunePlaces(revision=self.revision, device=self.device, spread=self.spread, cache=self.cache, tracker=self.track)


def default_folder(model: str, method: str) -> Path:
    """runs/NAME-METHOD; of a path only its last part."""
    return Path("runs") / f"{Path(model).name}-{method}"
