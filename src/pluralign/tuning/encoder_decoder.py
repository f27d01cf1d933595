"""Fine-tuning of an encoder-decoder (T5 and others) on pairs of texts: cross-entropy of what is written, its end included.

    pairs of token ids -> steps of pairs -> batches of neighbouring lengths -> nats of the targets' tokens -> AdamW

    RUN/config.json      what was asked, and a hash of the pairs
    RUN/metrics.jsonl    a line for each step, and for each measure on held-out pairs
    RUN/checkpoints/     the last two; the same run goes on from the newest that is whole
    RUN/model/           the tuned model; RUN/results.json where it ended

A step's loss is one mean over the tokens of all its targets, however they are dealt out to batches and processes. What a step
sees follows from seed and step alone. Padding is masked in the encoder and carries no loss in the decoder.

Source: the recipe of Sorensen et al. 2024, Value Kaleidoscope (arXiv 2309.00779): learning rate 3e-5, 32 pairs a step.
*Departures*: none known; its schedule and optimiser are not published, ours are AdamW and a linear fall to 0.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pluralign import __version__
from pluralign.errors import DataError, ModelError, RunError, UsageError
from pluralign.estimates import estimate_mean
from pluralign.files import read_json
from pluralign.models import open_tokenizer
from pluralign.models.content import IdArray
from pluralign.models.loading import check_folder, from_pretrained, without_bars
from pluralign.runs import Run, RunConfig
from pluralign.tuning.checkpoints import latest_checkpoint, save_checkpoint
from pluralign.tuning.export_files import RECORD, check_export_place, write_ready_tokenizer
from pluralign.tuning.optimizers import open_optimizer
from pluralign.tuning.packing import IntArray, bucket
from pluralign.tuning.ranks import Ranks, open_ranks
from pluralign.tuning.run_log import RunLog, read_log
from pluralign.tuning.settings import TuneSettings
from pluralign.tuning.spectrum import TunePlaces, share_of_lr
from pluralign.tuning.start import check_transformers, folder_or_id, products_dtype
from pluralign.tuning.steps import Schedule
from pluralign.tuning.transplant_folder import check_room, new_folder, write_json
from pluralign.tuning.weights import step_loss, step_weight
from pluralign.tuning.work import default_micro_tokens

__all__ = ["RECIPE", "PairLoss", "Pairs", "tune_pairs"]

RECIPE = TuneSettings(lr=3e-5, sequences_a_step=32, max_tokens=128)
"""The published recipe; `max_tokens` is of an input and of a target each."""
IGNORED = -100
"""Of a place in a row of targets that carries no loss."""
_SEED_OF_STEP = 1_000_003


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pairs:
    """Inputs and targets as token ids, each with its end."""

    inputs: Sequence[IdArray]
    targets: Sequence[IdArray]
    task_of: IntArray
    """Number in `tasks` of each pair's task [pairs]."""
    unit_of: IntArray
    """Number of what was sampled, such as a situation [pairs]."""
    tasks: tuple[str, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    """What else is to be said of them, such as inputs that were cut."""

    def __len__(self) -> int:
        return len(self.inputs)

    def lengths(self, numbers: IntArray) -> IntArray:
        """Tokens of input and target of these pairs [numbers]."""
        return np.array([len(self.inputs[n]) + len(self.targets[n]) for n in numbers.tolist()], dtype=np.int64)

    def fingerprint(self) -> str:
        """Of all of it, in order."""
        digest = hashlib.sha256(repr(self.tasks).encode())
        for several in (self.inputs, self.targets):
            for ids in several:
                digest.update(len(ids).to_bytes(4, "little"))
                digest.update(np.asarray(ids, dtype="<i4").tobytes())
        digest.update(self.task_of.astype("<i8").tobytes() + self.unit_of.astype("<i8").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Rows of padded ids; `labels` are `IGNORED` behind each target."""

    numbers: IntArray
    inputs: Tensor
    mask: Tensor
    decoder: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.inputs.to(device), self.mask.to(device), self.decoder.to(device), self.labels.to(device)


class PairLoss(nn.Module):
    """What DDP goes round: nats of the targets of a batch."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor, mask: Tensor, decoder: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Their sum, and of each place of `labels` its nats and whether the target is the likeliest there; 0, True for none."""
        logits = self.model(input_ids=inputs, attention_mask=mask, decoder_input_ids=decoder, use_cache=False).logits.float()
        nats = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none").view_as(labels)
        is_top = (logits.argmax(-1) == labels) | (labels == IGNORED)
        return nats.sum(), nats.detach(), is_top


def tune_pairs(
    model: str,
    train: Callable[[Any, Any], Pairs],
    out: Path,
    *,
    held_out: Callable[[Any, Any], Pairs] | None = None,
    settings: TuneSettings = RECIPE,
    places: TunePlaces | None = None,
    inputs: Mapping[str, str] | None = None,
    arguments: Mapping[str, Any] | None = None,
    config: Callable[[Any], Mapping[str, Any]] | None = None,
    about: str = "",
    on_progress: Callable[..., None] | None = None,
    tell: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Trains an encoder-decoder, a folder or hub id, into the run folder `out`; what results.json says.

    `train` and `held_out` make pairs of the model's tokenizer and configuration. `inputs` and `arguments` are kept in
    config.json beside the pairs' hash; what `config` makes of the model's configuration goes into its config.json, `about` into
    its README. Started
    again with the same arguments it goes on from the last checkpoint. Under torchrun every process calls it, each with a copy.

    Raises UsageError and ModelError for what cannot be trained, DataError where there is no pair, RunError for a disk that
    refuses, a folder that holds another run, and where a loss is no number.
    """
    places, on_progress, tell = places or TunePlaces(), on_progress or _silent, tell or _silent
    check_transformers()
    _check(settings, places)
    model = folder_or_id(model)
    check_folder(model)
    with open_ranks(places.device) as ranks, contextlib.ExitStack() as stack:
        tokenizer = open_tokenizer(model, places.revision)
        torch.manual_seed(settings.seed)
        trained = from_pretrained(model, torch.float32, places.revision, kind="encoder-decoder model").to(ranks.device).train()
        data, unseen = train(tokenizer, trained.config), held_out(tokenizer, trained.config) if held_out else None
        _check_pairs(data, unseen, trained, model)
        run = stack.enter_context(_opened_run(out, model, data, unseen, settings, places, inputs, arguments, ranks))
        if (out / "results.json").exists() and (out / "model").is_dir():
            tell("this run has ended; what it found is in results.json")
            ended: dict[str, Any] = read_json(out / "results.json")
            return ended
        work = _Work(trained, settings, ranks, products_dtype(settings.dtype, ranks.device))
        state = _steps(work, data, unseen, out, on_progress, tell)
        results = {**state, "products": str(work.products).removeprefix("torch."), "counts": dict(data.counts)}
        results["held_out"] = _last_measure(out)
        if run is not None:
            _write_model(out / "model", model, trained, tokenizer, config, _card(model, places, settings, about))
            run.write_results(results)
        ranks.wait()
        return results


def _steps(
    work: _Work, data: Pairs, unseen: Pairs | None, out: Path, on_progress: Callable[..., None], tell: Callable[[str], None]
) -> dict[str, Any]:
    """All steps that are left; where the run ended."""
    settings, ranks, checkpoints = work.settings, work.ranks, out / "checkpoints"
    schedule, optimizer = _schedule(len(data), settings), open_optimizer(work.wrapped, settings)
    found = latest_checkpoint(checkpoints, tell=tell if ranks.is_first else _silent)
    state: dict[str, Any] = {"step": 0, "pairs": 0, "tokens": 0, "seconds": 0.0}
    if found is not None:
        found.restore(work.wrapped, optimizer, rank=ranks.rank)
        state = found.state
        tell(f"going on behind step {found.step:,} of {schedule.n_steps:,}")
    log = RunLog(out / "metrics.jsonl" if ranks.is_first else None, from_step=int(state["step"]))
    if state["step"] == 0 and unseen is not None:
        log.write(0, {"held_out": work.measured(unseen)})
    measure_every = settings.measure_every or max(1, schedule.n_steps // 10)
    save_every = settings.save_every or max(1, schedule.n_steps // 20)
    for step in range(int(state["step"]), schedule.n_steps):
        began = time.perf_counter()
        lr = settings.lr * share_of_lr(step, schedule.n_steps, settings.warmup_steps)
        numbers = schedule.numbers(step)
        line = work.step(step, data, numbers, optimizer, lr)
        seconds = time.perf_counter() - began
        state = {
            "step": step + 1,
            "pairs": state["pairs"] + len(numbers),
            "tokens": state["tokens"] + line["tokens"],
            "seconds": state["seconds"] + seconds,
        }
        log.write(step + 1, {**line, "tokens_per_second": line["tokens"] / seconds, "lr": lr})
        note = f"{line['loss']:.3f} nats a token, {state['pairs'] / state['seconds']:,.0f} pairs/s"
        on_progress("training", step + 1, schedule.n_steps, note)
        is_last = step + 1 == schedule.n_steps
        if unseen is not None and (is_last or (step + 1) % measure_every == 0):
            log.write(step + 1, {"held_out": work.measured(unseen)})
        if is_last or (step + 1) % save_every == 0:
            save_checkpoint(checkpoints, step + 1, work.wrapped, optimizer, state, rank=ranks.rank, n_ranks=ranks.n_ranks)
    return state


class _Work:
    """What steps and measures are computed with."""

    def __init__(self, trained: Any, settings: TuneSettings, ranks: Ranks, products: torch.dtype) -> None:
        self.settings, self.ranks, self.products = settings, ranks, products
        self.start = _start_id(trained)
        self.micro = settings.micro_tokens or default_micro_tokens(ranks.device, trained.config.vocab_size)
        self.loss = PairLoss(trained)
        devices = [ranks.device] if ranks.device.type == "cuda" else None
        self.wrapped: nn.Module = DistributedDataParallel(self.loss, device_ids=devices) if ranks.n_ranks > 1 else self.loss

    def step(self, step: int, data: Pairs, numbers: IntArray, optimizer: torch.optim.Optimizer, lr: float) -> dict[str, Any]:
        """One step of the optimiser; the mean nats of its tokens."""
        groups = self._groups(data, numbers)
        mine = groups[self.ranks.rank :: self.ranks.n_ranks]
        n_rounds = -(-len(groups) // self.ranks.n_ranks)
        batches = [self._batch(data, group) for group in mine]
        batches += [self._batch(data, groups[0], idle=True)] * (n_rounds - len(mine))
        counts = [(batch.labels != IGNORED).sum() for batch in batches]
        weight = step_weight([count[None].to(self.ranks.device) for count in counts])
        totals = torch.zeros(2, dtype=torch.float64, device=self.ranks.device)
        torch.manual_seed((self.settings.seed * _SEED_OF_STEP + step) * self.ranks.n_ranks + self.ranks.rank)  # of dropout
        for group in optimizer.param_groups:
            group["lr"] = lr
        for number, batch in enumerate(batches):
            with self._without_sync(is_last=number + 1 == len(batches)):
                total, _, _ = self._call(self.wrapped, batch)
                torch.autograd.backward(step_loss(total, weight, n_averaged=self.ranks.n_ranks))
            n_tokens = 0 if number >= len(mine) else int(batch.mask.sum()) + int(counts[number])
            totals += torch.stack([total.detach().double(), torch.tensor(float(n_tokens), device=self.ranks.device)])
        norm = nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], self.settings.clip)
        if not bool(torch.isfinite(norm)):
            raise RunError(
                f"step {step + 1}: the loss of its pairs, or its gradient, is no number, e.g. of pair {int(numbers[0])}; the "
                "last checkpoint is kept. Lower lr or use dtype float32 and start the same command again."
            )
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        nats, tokens = self.ranks.total(totals).tolist()
        return {"loss": nats / weight, "grad_norm": norm.item(), "loss_tokens": int(weight), "tokens": int(tokens)}

    @torch.no_grad()
    def measured(self, data: Pairs) -> dict[str, Any]:
        """Of each task nats and accuracy a target, units resampled; JSON-ready. A target is right if all its tokens are."""
        self.loss.eval()
        chosen = _chosen(data, self.settings.max_held_out, self.settings.seed)
        nats, is_right = np.zeros(len(data)), np.zeros(len(data))
        for group in self._groups(data, chosen):
            _, of_token, is_top = self._call(self.loss, self._batch(data, group))
            nats[group] = of_token.double().sum(1).cpu().numpy()
            is_right[group] = is_top.all(1).double().cpu().numpy()
        self.loss.train()
        found = {}
        for task in np.unique(data.task_of[chosen]).tolist():
            mine = chosen[data.task_of[chosen] == task]
            found[data.tasks[task]] = {
                name: estimate_mean(values[mine], data.unit_of[mine], seed=self.settings.seed, unit="situation").to_dict()
                for name, values in (("nats", nats), ("accuracy", is_right))
            }
        return found

    def _call(self, loss: nn.Module, batch: _Batch) -> tuple[Tensor, Tensor, Tensor]:
        with torch.autocast(self.ranks.device.type, self.products, enabled=self.products != torch.float32):
            found: tuple[Tensor, Tensor, Tensor] = loss(*batch.to(self.ranks.device))
        return found

    def _groups(self, data: Pairs, numbers: IntArray) -> list[IntArray]:
        lengths = data.lengths(numbers)
        return [numbers[group] for group in bucket(lengths, max(self.micro, int(lengths.max())))]

    def _batch(self, data: Pairs, numbers: IntArray, *, idle: bool = False) -> _Batch:
        inputs = [torch.from_numpy(np.asarray(data.inputs[n], dtype=np.int64)) for n in numbers.tolist()]
        targets = [torch.from_numpy(np.asarray(data.targets[n], dtype=np.int64)) for n in numbers.tolist()]
        pad = nn.utils.rnn.pad_sequence
        labels = pad(targets, batch_first=True, padding_value=IGNORED)
        decoder = F.pad(labels.clamp(min=0)[:, :-1], (1, 0), value=self.start)
        mask = pad([torch.ones_like(ids) for ids in inputs], batch_first=True)
        labels = torch.full_like(labels, IGNORED) if idle else labels
        return _Batch(numbers, pad(inputs, batch_first=True), mask, decoder, labels)

    def _without_sync(self, *, is_last: bool) -> contextlib.AbstractContextManager[Any]:
        if is_last or not isinstance(self.wrapped, DistributedDataParallel):
            return contextlib.nullcontext()
        return self.wrapped.no_sync()


def _silent(*_: Any) -> None:
    """Tells nobody."""


def _check(settings: TuneSettings, places: TunePlaces) -> None:
    if settings.lora is not None or settings.method != "spectrum" or settings.budget_tokens is not None:
        raise UsageError("an encoder-decoder is trained with all its weights, on its targets, for epochs or steps.")
    if places.spread == "shards":
        raise UsageError("an encoder-decoder is trained with a copy of the model in each process; leave shards out.")
    if places.tracker is not None:
        raise UsageError("training an encoder-decoder writes metrics.jsonl and knows no tracker.")


def _check_pairs(data: Pairs, unseen: Pairs | None, model: Any, name: str) -> None:
    for pairs, what in ((data, "training data"), (unseen, "held-out data")):
        if pairs is None:
            continue
        if not len(pairs):
            raise DataError(what, "no pair is left to train on or to be measured")
        largest = max(int(ids.max()) for several in (pairs.inputs, pairs.targets) for ids in several)
        if largest >= (n_rows := int(model.get_input_embeddings().weight.shape[0])):
            raise ModelError(
                f"{name}: the tokenizer has ids up to {largest:,}, the embeddings {n_rows:,} rows; they are of different "
                "models."
            )


@contextlib.contextmanager
def _opened_run(
    out: Path,
    model: str,
    data: Pairs,
    unseen: Pairs | None,
    settings: TuneSettings,
    places: TunePlaces,
    inputs: Mapping[str, str] | None,
    more: Mapping[str, Any] | None,
    ranks: Ranks,
) -> Iterator[Run | None]:
    """The run folder, by the first process; the others wait until it is there."""
    named = dict(inputs or {}) | ({"model": model} if Path(model).is_dir() else {})
    arguments: dict[str, Any] = {"settings": settings.to_dict(), "revision": places.revision, **(more or {})}
    arguments |= {"pairs": data.fingerprint(), "held_out": None if unseen is None else unseen.fingerprint()}
    if "model" not in named:
        arguments["model"] = model
    if not ranks.is_first:
        ranks.wait()
        yield None
        return
    with Run.open(out, RunConfig(command="values-tune", arguments=arguments, seed=settings.seed, inputs=named)) as run:
        ranks.wait()
        yield run


def _schedule(n: int, settings: TuneSettings) -> Schedule:
    positions = max(1, round(settings.epochs * n))
    if settings.max_steps is not None:
        positions = min(positions, settings.max_steps * settings.sequences_a_step)
    return Schedule(usable=np.arange(n), a_step=settings.sequences_a_step, n_positions=positions, seed=settings.seed)


def _chosen(data: Pairs, most: int, seed: int) -> IntArray:
    """At most so many pairs of each task, drawn by the seed, in order."""
    shuffled = np.random.default_rng([seed, 1]).permutation(len(data))
    chosen = [shuffled[data.task_of[shuffled] == task][:most] for task in range(len(data.tasks))]
    found: IntArray = np.sort(np.concatenate(chosen))
    return found


def _start_id(model: Any) -> int:
    start = getattr(model.config, "decoder_start_token_id", None)
    start = model.config.pad_token_id if start is None else start
    if start is None:
        raise ModelError(f"{type(model).__name__}: its configuration does not say what the decoder starts with.")
    return int(start)


def _last_measure(out: Path) -> Any:
    measures = [line["held_out"] for line in read_log(out / "metrics.jsonl") if "held_out" in line]
    return measures[-1] if measures else None


def _write_model(
    place: Path, name: str, trained: Any, tokenizer: Any, config: Callable[[Any], Mapping[str, Any]] | None, card: str
) -> None:
    """A folder that transformers loads, in the precision of training, with these fields in its configuration."""
    check_export_place(place.resolve(), name, overwrite=True)
    trained.zero_grad(set_to_none=True)
    for key, value in (config(trained.config) if config else {}).items():
        setattr(trained.config, key, value)
    check_room(place.resolve(), sum(p.numel() * p.element_size() for p in trained.parameters()))
    with new_folder(place.resolve()) as made, without_bars():
        trained.save_pretrained(made)
        write_ready_tokenizer(tokenizer, made)
        (made / "README.md").write_text(card, encoding="utf-8")
        write_json(made / RECORD, {"pluralign": __version__, "base": name})


def _card(name: str, places: TunePlaces, settings: TuneSettings, about: str) -> str:
    at = "" if places.revision is None else f" at {places.revision}"
    lines = [
        "# An encoder-decoder tuned by pluralign",
        "",
        f"Base: `{name}`{at}. All weights; learning rate {settings.lr:g}, {settings.sequences_a_step:,} pairs a step, at most "
        f"{settings.max_tokens:,} tokens of an input and of a target.",
        "",
        *([about, ""] if about else []),
        f"pluralign {__version__}",
        "",
    ]
    return "\n".join(lines)
