"""What a training run would do and need, without doing it: the mixture, the steps, the memory, what a sequence looks like."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pluralign.errors import ModelError
from pluralign.models import Encoded, Template
from pluralign.models.loading import opened_device
from pluralign.tuning.packing import IntArray
from pluralign.tuning.settings import TuneSettings
from pluralign.tuning.sources import find_files
from pluralign.tuning.start import check_transformers, folder_or_id, opened_template, products_dtype
from pluralign.tuning.steps import Schedule, open_schedule, supervised_on
from pluralign.tuning.store import EncodedStore, default_encoded_path, encode_once
from pluralign.tuning.work import default_micro_tokens

__all__ = ["Memory", "TaskShare", "TunePlan", "memory_of", "plan_tune"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskShare:
    """What one task brings to a run."""

    task: str
    n_sequences: int
    tokens: int
    loss_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes that a process is estimated to need at most, where the model is not in shards."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    """Of one batch, kept for the backward pass."""
    loss: int
    """A chunk of logits with its gradients, and the output layer's own."""

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.activations + self.loss


@dataclass(frozen=True, slots=True, kw_only=True)
class TunePlan:
    """Of a run with these arguments."""

    mixture: list[TaskShare]
    """Of the whole run, over all its epochs and up to its budget."""
    counts: dict[str, int]
    """Of the encoded data: episodes, sequences, examples, examples_kept, tokens, loss_tokens."""
    n_unusable: int
    """Sequences in which nothing carries loss."""
    n_held_out: int
    """Sequences of the held-out files."""
    n_steps: int
    n_parameters: int
    n_trained: int
    memory: Memory
    products: str
    sample: Encoded
    """The first sequence of the run, with loss where the run has it."""
    sample_task: str
    template: Template

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        sample = {"task": self.sample_task, "ids": self.sample.ids.tolist(), "is_loss": self.sample.is_loss.tolist()}
        plain = ("counts", "n_unusable", "n_held_out", "n_steps", "n_parameters", "n_trained", "products")
        fields = {name: getattr(self, name) for name in plain}
        memory = {**asdict(self.memory), "total": self.memory.total}
        return {"mixture": [asdict(one) for one in self.mixture], **fields, "memory_bytes": memory, "sample": sample}

    def lines(self) -> list[str]:
        """For people, without the sample."""
        tokens, losses = (sum(getattr(one, name) for one in self.mixture) for name in ("tokens", "loss_tokens"))
        width = max(len("all"), *(len(one.task) for one in self.mixture))
        rows = [("task", "sequences", "tokens", "share", "supervised")]
        rows += [
            (
                one.task,
                f"{one.n_sequences:,}",
                f"{one.tokens:,}",
                f"{one.tokens / tokens:.1%}",
                f"{one.loss_tokens / one.tokens:.1%}",
            )
            for one in self.mixture
        ]
        rows.append(("all", f"{sum(m.n_sequences for m in self.mixture):,}", f"{tokens:,}", "100.0%", f"{losses / tokens:.1%}"))
        table = [f"{row[0]:<{width}}" + "".join(f"{cell:>15}" for cell in row[1:]) for row in rows]
        cut, none = self.counts["examples"] - self.counts["examples_kept"], self.counts["episodes"] - self.counts["sequences"]
        memory, gib = self.memory, 2**30
        parts = [
            f"{name} {getattr(memory, name) / gib:.2f}" for name in ("weights", "gradients", "optimizer", "activations", "loss")
        ]
        return [
            *table,
            "",
            f"{self.n_steps:,} steps; {self.n_trained:,} of {self.n_parameters:,} parameters are trained; products in "
            f"{self.products}",
            f"left out: {cut:,} of {self.counts['examples']:,} examples that are behind the window, {none:,} episodes of which "
            f"nothing fits, {self.n_unusable:,} sequences without a supervised token",
            f"held out: {self.n_held_out:,} sequences"
            if self.n_held_out
            else "nothing is held out; name files with --held-out",
            f"memory, estimated: {memory.total / gib:.2f} GiB a process ({', '.join(parts)})",
        ]


def plan_tune(
    model: str,
    data: Sequence[str | os.PathLike[str]],
    *,
    settings: TuneSettings | None = None,
    held_out: Sequence[str | os.PathLike[str]] = (),
    revision: str | None = None,
    device: str = "auto",
    cache: Path | None = None,
    on_progress: Callable[..., None] | None = None,
) -> TunePlan:
    """What `spectrum.tune` with the same arguments would do. The data are encoded for it, and kept in `cache` for the run."""
    settings = settings or TuneSettings()
    check_transformers()
    model = folder_or_id(model)
    template = opened_template(model, settings, revision)
    kept = cache or default_encoded_path()
    files = find_files(data, held_out, cache=kept)
    files.check_tasks(settings.task_weights)

    def encode(several: Sequence[Any]) -> EncodedStore:
        return encode_once([f.path for f in several], template, max_tokens=settings.max_tokens, cache=kept, tell=on_progress)

    store = encode(files.train)
    schedule = open_schedule(store, settings)
    place = opened_device(device)
    products = products_dtype(settings.dtype, place)
    bare = _bare(model, revision)
    n_all = sum(p.numel() for p in bare.parameters())
    n_trained = n_all if settings.lora is None else _adapter_size(bare, settings)
    first = int(schedule.numbers(0)[0])
    task_of = [file.task for file in files.train]
    encoded = supervised_on(store.gather([first]), settings.supervised)
    return TunePlan(
        mixture=_mixture(schedule, store, task_of, settings),
        counts=store.counts,
        n_unusable=len(store) - len(schedule.usable),
        n_held_out=len(encode(files.held_out)) if files.held_out else 0,
        n_steps=schedule.n_steps,
        n_parameters=n_all + (0 if settings.lora is None else n_trained),
        n_trained=n_trained,
        memory=memory_of(bare, settings, n_trained, products, place),
        products=str(products).removeprefix("torch."),
        sample=Encoded(encoded.ids, encoded.is_loss, encoded.example_index),
        sample_task=task_of[int(store.file_of[first])],
        template=template,
    )


def _mixture(schedule: Schedule, store: EncodedStore, task_of: Sequence[str], settings: TuneSettings) -> list[TaskShare]:
    times = np.zeros(len(store), dtype=np.int64)
    for step in range(schedule.n_steps):
        np.add.at(times, schedule.numbers(step), 1)
    losses = store.n_loss if settings.supervised == "outputs" else _losses(store, settings)
    names = list(dict.fromkeys(task_of))
    number = np.array([names.index(task) for task in task_of])[store.file_of]
    return [
        TaskShare(
            task=task,
            n_sequences=int(times[number == n].sum()),
            tokens=int((times * store.lengths)[number == n].sum()),
            loss_tokens=int((times * losses)[number == n].sum()),
        )
        for n, task in enumerate(names)
        if times[number == n].any()
    ]


def _losses(store: EncodedStore, settings: TuneSettings, block: int = 4096) -> IntArray:
    """Supervised tokens of each sequence [sequences], where the ablation has other ones than outputs."""
    if settings.supervised == "all":
        return store.lengths - 1
    counts = []
    for first in range(0, len(store), block):
        encoded = supervised_on(store.gather(np.arange(first, min(first + block, len(store)))), settings.supervised)
        counts.append(np.diff(np.concatenate([[0], encoded.is_loss.cumsum()])[encoded.starts]))
    return np.concatenate(counts)


def _bare(name: str, revision: str | None) -> Any:
    """The model without its weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(f"{name}: no causal model can be made from its config.json: {error}") from error


def _adapter_size(bare: Any, settings: TuneSettings) -> int:
    """Numbers in the adapters."""
    lora = settings.lora
    assert lora is not None
    ends = {id(bare.get_input_embeddings()), id(bare.get_output_embeddings())} if lora.embeddings else set()
    targets = tuple(f".{target}" for target in lora.targets)  # whole last parts of a name, as peft takes them
    sizes = [
        lora.rank * sum(module.weight.shape)
        for name, module in bare.named_modules()
        if id(module) in ends or (f".{name}".endswith(targets) and hasattr(module, "weight"))
    ]
    return sum(sizes)


def memory_of(bare: Any, settings: TuneSettings, n_trained: int, products: torch.dtype, device: torch.device) -> Memory:
    """An estimate: it counts what is held at once in the middle of a step, not what the allocator keeps beside it."""
    config = bare.config.get_text_config()
    n_all = sum(p.numel() for p in bare.parameters())
    size = products.itemsize
    frozen = 0 if settings.lora is None else n_all * size
    cast = n_trained * size if products != torch.float32 else 0  # copies that autocast makes of weights
    tokens = settings.micro_tokens or default_micro_tokens(device, config.vocab_size)
    tokens = max(tokens, settings.max_tokens)
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    of_layer = (12 * config.hidden_size + 4 * inner) * size
    n_layers = config.num_hidden_layers
    kept = n_layers * config.hidden_size * size + of_layer if settings.gradient_checkpointing else n_layers * of_layer
    output_layer = config.vocab_size * config.hidden_size * 4 if settings.lora is None else 0
    return Memory(
        weights=4 * n_trained + frozen + cast,
        gradients=4 * n_trained,
        optimizer=8 * n_trained,
        activations=tokens * kept,
        loss=4 * (64 << 20) + output_layer,
    )
