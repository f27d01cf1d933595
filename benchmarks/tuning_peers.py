"""One way of training, in a process of its own: started by `tuning.py`, takes a step whenever it is told to.

    parent -> child     "step", or "end", a line each
    child -> parent     that it is up; what the check in float32 found; that the model is open; that it is ready; then for each
                        step its seconds; behind the end its peak of memory

`ours` is what `pluralign tune` computes in a step; the rest is TRL's SFTTrainer. With loss "nll", which makes whole logits, and
batches of one it is the published recipe, which is that trainer with these settings. A step is one pass over the same episodes,
whatever the batches, with gradients added up over it, and one update by AdamW.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from pluralign.models import FlatEncoded
from pluralign.models.loading import from_pretrained
from pluralign.tuning.attention import segment_attention
from pluralign.tuning.lora import add_lora
from pluralign.tuning.loss import open_loss
from pluralign.tuning.ranks import open_ranks
from pluralign.tuning.settings import LoraSettings, TuneSettings
from pluralign.tuning.sources import DataFile, TrainingFiles
from pluralign.tuning.steps import Schedule
from pluralign.tuning.work import StepWork

LR = 3e-6
LONGEST = 1024
ALIKE = 16
"""Sequences of like lengths that come together, so that a peer can pad them as little as it does in a long run."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A way of training and its settings."""

    name: str
    folder: str
    """With the model, the episodes and those of the check."""
    ours: bool = False
    lora: bool = False
    threads: int = 1
    loss: str = "chunked_nll"
    """Of TRL."""
    batch: int = 8
    """Sequences (rows, where they are packed) that go through the model at once."""
    order: str = "length"
    """random, or length: like lengths in one batch."""
    row_tokens: int | None = None
    """Of packed rows; None: a row for each sequence."""
    checkpointing: bool = False
    """Activations are computed again in the backward pass."""
    micro_tokens: int | None = None
    """Of ours; None: its default."""
    check: bool = True


@dataclass(frozen=True, eq=False)
class Episodes:
    """Sequences in memory, with what training asks of a store."""

    flat: FlatEncoded
    file_of: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.flat.starts)

    @property
    def n_loss(self) -> np.ndarray:
        return np.diff(np.concatenate([[0], self.flat.is_loss.cumsum()])[self.flat.starts])

    def gather(self, numbers: np.ndarray) -> FlatEncoded:
        places = np.concatenate([np.arange(*self.flat.starts[n : n + 2]) for n in numbers])
        starts = np.concatenate([[0], self.lengths[numbers].cumsum()])
        return FlatEncoded(self.flat.ids[places], self.flat.is_loss[places], self.flat.example_index[places], starts)

    def save(self, path: Path) -> None:
        np.savez(path, ids=self.flat.ids, is_loss=self.flat.is_loss, example=self.flat.example_index, starts=self.flat.starts)

    @classmethod
    def load(cls, path: Path) -> Episodes:
        with np.load(path, allow_pickle=False) as found:
            return cls(FlatEncoded(found["ids"], found["is_loss"], found["example"], found["starts"]))


def episodes(n_groups: int, n_ids: int, seed: int = 0) -> Episodes:
    """Turns of 20 tokens, the last two of which carry loss: a rating and the end of its turn.

    Lengths are geometric, 215 on average, at most 1024. Groups of like lengths are those that transformers' `group_by_length`
    makes of 800 sequences with batches of 16; the groups taken are spread evenly over the lengths.
    """
    rng = np.random.default_rng(seed)
    ordered = np.sort(np.clip(rng.geometric(1 / 215, size=50 * ALIKE), 8, LONGEST)).reshape(50, ALIKE)
    return in_turns(ordered[((np.arange(n_groups) + 0.5) * 50 / n_groups).astype(int)].ravel(), n_ids, rng)


def in_turns(lengths: np.ndarray, n_ids: int, rng: np.random.Generator) -> Episodes:
    """Sequences of these lengths, as `episodes` has them."""
    within = np.concatenate([np.arange(n) for n in lengths])
    left = np.concatenate([np.arange(n, 0, -1) for n in lengths])
    is_loss = (within % 20 >= 18) | (left <= 2)
    ids = rng.integers(3, n_ids, size=len(within))
    ids[is_loss] = rng.integers(3, 10, size=is_loss.sum())
    starts = np.concatenate([[0], lengths.cumsum()])
    return Episodes(FlatEncoded(ids.astype(np.int32), is_loss, (within // 20).astype(np.int32), starts))


def opened(spec: Spec, dtype: torch.dtype) -> Any:
    """The model; of LoRA the frozen weights are in `dtype`, and adapters are not at 0, so that all of them have gradients."""
    model = from_pretrained(spec.folder, dtype if spec.lora else torch.float32, None)
    model.config.use_cache = False
    if spec.lora:
        model = add_lora(model, LoraSettings())  # the published ones
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name or "lora_embedding_B" in name:
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.02)
    return model.train()


def trained(model: Any) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


class Recorder(torch.optim.SGD):
    """Keeps gradients instead of using them."""

    def step(self, closure: Any = None) -> None:
        self.kept = [p.grad.clone() for group in self.param_groups for p in group["params"]]


def our_work(spec: Spec, model: Any, episodes: Episodes, products: torch.dtype, ranks: Any, clip: float) -> StepWork:
    loss = open_loss(model)
    attention = segment_attention(model, ranks.device, longest=int(episodes.lengths.max()), dtype=products)
    return StepWork(
        settings=TuneSettings(clip=clip, micro_tokens=spec.micro_tokens),
        store=episodes,  # type: ignore[arg-type]
        files=TrainingFiles((DataFile(Path("episodes"), "episodes"),), ()),
        attention=attention,
        wrapped=loss,
        products=products,
        ranks=ranks,
    )


def schedule_of(episodes: Episodes) -> Schedule:
    n = len(episodes.lengths)
    return Schedule(usable=np.arange(n), a_step=n, n_positions=10_000 * n, seed=0)


def check_ours(spec: Spec, episodes: Episodes) -> tuple[float, dict[str, torch.Tensor]]:
    """In float32: the mean loss in nats, and its gradient."""
    with open_ranks("cpu") as ranks:
        model = opened(spec, torch.float32)
        named = trained(model)
        work = our_work(spec, model, episodes, torch.float32, ranks, clip=1e9)
        recorder = Recorder(named.values(), lr=0.0)
        line = work.step(0, work.prepared(schedule_of(episodes), 0), recorder)
    return line["loss"], dict(zip(named, recorder.kept, strict=True))


def train_ours(spec: Spec, model: Any, episodes: Episodes, told: Callable[[dict[str, Any]], bool]) -> None:
    with open_ranks("cpu") as ranks:
        work = our_work(spec, model, episodes, torch.bfloat16, ranks, clip=1.0)
        optimizer = torch.optim.AdamW(trained(model).values(), lr=LR, betas=(0.9, 0.999), weight_decay=0.0, fused=True)
        schedule, step = schedule_of(episodes), 0
        goes_on = told({})
        while goes_on:
            began = time.perf_counter(), time.process_time()
            line = work.step(step, work.prepared(schedule, step), optimizer)  # batches are not made in the meantime here
            goes_on = told({**since(began), "loss": line["loss"]})
            step += 1


def trl_trainer(spec: Spec, model: Any, episodes: Episodes, place: str, *, check: bool, callback: Any) -> Any:
    """TRL's trainer, one update for each pass over the episodes."""
    from datasets import Dataset
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    vocabulary = {"<pad>": 0, "<eos>": 1, "<unk>": 2}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>")), pad_token="<pad>", eos_token="<eos>"
    )
    lengths, flat = episodes.lengths, episodes.flat
    order = (
        np.argsort(-lengths, kind="stable") if spec.order == "length" else np.random.default_rng(0).permutation(len(lengths))
    )
    spans = [slice(*flat.starts[n : n + 2]) for n in order]
    dataset = Dataset.from_dict(
        {
            "input_ids": [flat.ids[span].tolist() for span in spans],
            "labels": [np.where(flat.is_loss[span], flat.ids[span], -100).tolist() for span in spans],
        }
    )
    config = SFTConfig(
        output_dir=place,
        use_cpu=True,
        bf16=not check,
        loss_type=spec.loss,
        per_device_train_batch_size=spec.batch,
        gradient_accumulation_steps=len(spans),  # more than there are batches: an update a pass
        max_steps=1 if check else 10_000,
        max_length=spec.row_tokens or LONGEST,
        packing=spec.row_tokens is not None,
        gradient_checkpointing=spec.checkpointing,
        train_sampling_strategy="sequential",  # in the order of the data set
        learning_rate=0.0 if check else LR,
        weight_decay=0.0,
        max_grad_norm=0.0 if check else 1.0,
        optim="adamw_torch_fused",
        lr_scheduler_type="constant",
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    return SFTTrainer(model=model, args=config, train_dataset=dataset, processing_class=tokenizer, callbacks=[callback])


def check_trl(spec: Spec, episodes: Episodes) -> tuple[float, dict[str, torch.Tensor]]:
    from transformers import TrainerCallback

    kept: dict[str, torch.Tensor] = {}

    class Keep(TrainerCallback):
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            kept.update({name: p.grad.clone() for name, p in trained(more["model"]).items()})

    with tempfile.TemporaryDirectory() as place:
        trainer = trl_trainer(spec, opened(spec, torch.float32), episodes, place, check=True, callback=Keep())
        loss = trainer.train().training_loss
    return loss, kept


def train_trl(spec: Spec, model: Any, episodes: Episodes, told: Callable[[dict[str, Any]], bool]) -> None:
    from transformers import TrainerCallback

    class Told(TrainerCallback):
        began = 0.0, 0.0

        def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            control.should_training_stop = not told({})
            self.began = time.perf_counter(), time.process_time()

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            control.should_training_stop = not told(since(self.began))
            self.began = time.perf_counter(), time.process_time()

    with tempfile.TemporaryDirectory() as place:
        trl_trainer(spec, model, episodes, place, check=False, callback=Told()).train()


def since(began: tuple[float, float]) -> dict[str, Any]:
    return {"seconds": time.perf_counter() - began[0], "cpu_seconds": time.process_time() - began[1]}


def memory_now() -> int:
    """Bytes of this process in memory; from here on the peak is counted anew where the system can (Linux)."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # what the check has freed goes back
        Path("/proc/self/clear_refs").write_text("5")
    return of_status("VmRSS")


def memory_peak() -> int:
    return of_status("VmHWM")


def of_status(name: str) -> int:
    """Bytes, by the system's table of this process; elsewhere the peak since it began."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


@contextlib.contextmanager
def own_stdout() -> Iterator[Any]:
    """The pipe to the parent; whatever else prints goes to stderr."""
    with os.fdopen(os.dup(1), "w") as pipe:
        os.dup2(2, 1)
        yield pipe


def main() -> None:
    if len(sys.argv) < 2:
        print("tuning.py starts this; by itself it has nothing to do")
        return
    spec, place = Spec(**json.loads(sys.argv[1])), Path(json.loads(sys.argv[1])["folder"])
    warnings.filterwarnings("ignore")
    torch.set_num_threads(spec.threads)
    with own_stdout() as pipe:

        def told(what: dict[str, Any]) -> bool:
            pipe.write(json.dumps(what) + "\n")
            pipe.flush()
            return sys.stdin.readline().strip() == "step"

        told({})  # it is up
        if spec.check:
            loss, gradients = (check_ours if spec.ours else check_trl)(spec, Episodes.load(place / "check.npz"))
            save_file({name: g.contiguous() for name, g in gradients.items()}, place / f"{spec.name}.safetensors")
            del gradients
            told({"loss": loss})
        elif not spec.ours:
            from trl import SFTTrainer  # noqa: F401  # so that it counts as memory of the idle process
        model = opened(spec, torch.bfloat16)
        idle = memory_now()
        (train_ours if spec.ours else train_trl)(spec, model, Episodes.load(place / "episodes.npz"), told)
        told({"idle": idle, "peak": memory_peak()})


if __name__ == "__main__":
    main()
