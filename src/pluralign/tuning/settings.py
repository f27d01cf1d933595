"""What a training run is told. The defaults are the published ones.

Source: Sorensen et al. 2025, Spectrum Tuning (arXiv 2510.06084), training settings and the LoRA variant.
*Departures*: none of the numbers; a step's loss is one mean over all its supervised tokens (see `weights`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pluralign.errors import UsageError

__all__ = ["LoraSettings", "LossOn", "Method", "OptimizerName", "Pack", "Precision", "TuneSettings"]

Method = Literal["spectrum", "sft", "pretrain"]
"""spectrum: turns, loss on outputs. sft: turns, loss on every token. pretrain: the text without turns, loss on every token."""
LossOn = Literal["outputs", "first", "last", "all"]
"""Of the supervised outputs: all, the first, the last; or every token of the sequence."""
Pack = Literal["auto", "packed", "padded"]
Precision = Literal["auto", "float32", "bfloat16"]
OptimizerName = Literal["adamw", "muon"]
"""muon: for the matrices between embeddings and output layer, with AdamW for the rest; for models trained from the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSettings:
    """Adapters of low rank; the rest of the model stays as it is. Scale is alpha / rank."""

    rank: int = 16
    alpha: int = 80
    dropout: float = 0.0
    targets: tuple[str, ...] = ("q_proj", "v_proj")
    """Last parts of modules' names."""
    embeddings: bool = True
    """Also on the input embeddings and the output layer."""

    def __post_init__(self) -> None:
        if self.rank < 1 or self.alpha < 1 or not 0 <= self.dropout < 1:
            raise UsageError(
                f"LoRA: rank {self.rank}, alpha {self.alpha}, dropout {self.dropout}: the first two are at least 1, the last "
                "in [0, 1)."
            )
        if not self.targets and not self.embeddings:
            raise UsageError("LoRA: targets is empty and embeddings is off, so there is nothing to train; name a layer.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneSettings:
    """All that decides what a run computes, but for the model and the data."""

    method: Method = "spectrum"
    loss_on: LossOn | None = None
    """Default: outputs for spectrum, all for the others."""
    lora: LoraSettings | None = None
    """None: all weights are trained."""
    lr: float = 3e-6
    """At its highest; from there it falls linearly to 0."""
    warmup_steps: int = 0
    optimizer: OptimizerName = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    clip: float = 1.0
    """Largest norm of a step's gradient."""
    max_tokens: int = 1024
    """Of a sequence; an episode that is longer is cut behind its last example that fits."""
    sequences_a_step: int = 1024
    epochs: float = 1.0
    budget_tokens: int | None = None
    """Instead of `epochs`: the run ends with the step that reaches so many tokens."""
    max_steps: int | None = None
    weigh: Literal["tokens", "outputs"] = "tokens"
    """Each supervised token counts the same, or each output does, however long."""
    task_weights: Mapping[str, float] = field(default_factory=dict)
    """What a task's tokens weigh beside those of others, for which it is 1."""
    pack: Pack = "auto"
    micro_tokens: int | None = None
    """Tokens that go through the model at once; default 2,048 on a CPU (1,024 with a large vocabulary), 16,384 on an
    accelerator."""
    dtype: Precision = "auto"
    """Of products; weights that are trained are float32."""
    gradient_checkpointing: bool = False
    seed: int = 0
    save_every: int | None = None
    """Steps; default a twentieth of the run."""
    measure_every: int | None = None
    """Steps between measures on held-out data; default a tenth of the run."""
    max_held_out: int = 1000
    """Held-out sequences of each task, at most; drawn by the seed."""

    def __post_init__(self) -> None:
        """Raises UsageError, with all that is wrong."""
        lowest = {"max_tokens": 2, "sequences_a_step": 1, "budget_tokens": 1, "max_steps": 1, "micro_tokens": 2}
        lowest |= {"warmup_steps": 0, "save_every": 1, "measure_every": 1, "max_held_out": 1, "seed": 0}
        given = {name: getattr(self, name) for name in lowest}
        faults = [f"{k} is {v}, lowest is {lowest[k]}" for k, v in given.items() if v is not None and v < lowest[k]]
        positive = {"lr": self.lr, "clip": self.clip, "epochs": self.epochs}
        positive |= {f"the weight of task {name}": weight for name, weight in self.task_weights.items()}
        faults += [f"{name} is {value}, must be above 0" for name, value in positive.items() if not 0 < value < math.inf]
        if not self.weight_decay >= 0:
            faults.append(f"weight_decay is {self.weight_decay}, must not be negative")
        if not all(0 <= beta < 1 for beta in self.betas):
            faults.append(f"betas are {self.betas}, must lie in 0..1, below 1")
        if self.optimizer == "muon" and self.lora is not None:
            faults.append("optimizer is muon with LoRA, whose factors are no maps of one space: use adamw, or no LoRA")
        if faults:
            raise UsageError(f"settings of the run: {'; '.join(faults)}.")

    @property
    def format(self) -> str:
        """Of the template."""
        return "colon" if self.method == "pretrain" else "spectrum"

    @property
    def supervised(self) -> LossOn:
        """What carries loss."""
        return self.loss_on or ("outputs" if self.method == "spectrum" else "all")

    def steps_between(self, n_steps: int) -> tuple[int, int]:
        """Steps between measures, and between checkpoints, of a run of so many."""
        return self.measure_every or max(1, n_steps // 10), self.save_every or max(1, n_steps // 20)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        fields = asdict(self)
        fields["betas"] = list(self.betas)
        fields["task_weights"] = dict(sorted(self.task_weights.items()))
        if self.lora is not None:
            fields["lora"]["targets"] = list(self.lora.targets)
        return fields
